"""A figure of a page is a file of its own."""

import importlib.util
import xml.etree.ElementTree

import pytest
from support.paths import ROOT

from lth_jax.analysis.intervals import Estimate
from lth_jax.analysis.metric import ACCURACY
from lth_jax.report import overview_plots, page, style
from lth_jax.report.section import Section
from lth_jax.report.verdict_table import Table

_spec = importlib.util.spec_from_file_location("figure", ROOT / "scripts/figure.py")
figure = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(figure)
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """A page with a figure "rows"."""
    measure = overview_plots.measures(ACCURACY)["over_dense"]
    plot = overview_plots.in_rows(measure, ["one & two"], [Estimate(0.1, 0.0, 0.2)])
    text = page.render(
        "comparison.html",
        [Section("How?", "Thus.", {"rows": plot}, "wide")],
        [],
        title="",
        verdict={},
        heading="",
        studies=Table([], []),
        notes=[],
        differing=[],
        are_few=True,
    )
    path = tmp_path_factory.mktemp("page") / "comparison.html"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_figure_has_the_pages_light_colours_on_white(rendered, tmp_path):
    out = tmp_path / "rows.svg"
    assert figure.main([str(rendered), "rows", str(out)]) == 0
    text = out.read_text(encoding="utf-8")
    assert "var(" not in text and f"stroke: {style.INK}" in text
    root = xml.etree.ElementTree.fromstring(text)
    paper = root[0]
    assert paper.tag == f"{SVG}rect" and paper.get("fill") == "#ffffff"
    assert "one & two" in [element.text for element in root.iter(f"{SVG}text")]


def test_a_wrong_name_prints_those_of_the_page(rendered, tmp_path, capsys):
    out = tmp_path / "rows.svg"
    assert figure.main([str(rendered), "row", str(out)]) == 2
    assert "NAME: 'row' is not" in capsys.readouterr().err
    assert not out.exists()
