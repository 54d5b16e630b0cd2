"""Captions: what a page says above its figures."""


def assert_captioned(sections):
    """Every section has a heading, a caption and figures, and every figure a title."""
    names = [name for section in sections for name in section.plots]
    assert len(set(names)) == len(names)
    for section in sections:
        assert section.title.strip()
        assert section.lead.strip().endswith("."), section.title
        assert section.plots, section.title
        for name, plot in section.plots.items():
            assert any(axes.get_title("left").strip() for axes in plot.figure.axes), name
