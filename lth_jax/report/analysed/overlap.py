"""Overlap: whether masks keep the same weights."""

from collections.abc import Mapping, Sequence
from typing import Any

from lth_jax.analysis.learning import spread
from lth_jax.analysis.metric import with_interval
from lth_jax.analysis.overlap import NET
from lth_jax.analysis.verdict import Verdict
from lth_jax.lottery.arms import reported_arm
from lth_jax.report import density_plots, style
from lth_jax.report.analysed import lines
from lth_jax.report.anatomy_plots import layer_name
from lth_jax.report.section import Section, plain
from lth_jax.report.style import Plot
from lth_jax.store.analyses import Found

_MOST_LAYERS = 6
_MEASURE = (
    "Intersection over union of two masks, in %: 100 if they keep the same weights. Grey"
    " is the value for random masks that keep as many weights of each layer."
)
_BRIEFLY = "Intersection over union, in %; grey is chance."
_Agreements = list[tuple[int, float, Mapping[str, Any]]]  # level, density, what was found


def sections(found: Found, _: Verdict) -> list[Section]:
    """Returns sections on overlap between replicates and levels, by layer and by arm."""
    levels = found["levels"]
    shown = []
    plots = {}
    if alike := _agreements(levels, "replicates"):
        plots["overlap_replicates"] = _plot("Tickets of two replicates, %", alike, NET)
    if alike := _agreements(levels, "before"):
        title = "A ticket and that of the level before, %"
        plots["overlap_levels"] = _plot(title, alike, NET)
    if plots:
        shown.append(Section("Do masks agree?", _MEASURE, plots, "wide"))
    if alike := _agreements(levels, "replicates"):
        layers = spread([name for name in alike[0][2] if name != NET], _MOST_LAYERS)
        plots = {
            plain(f"overlap_replicates_{name}"): _plot(
                layer_name(name), alike, name, style.SMALL
            )
            for name in layers
        }
        title = "In which layers do replicates agree?"
        shown.append(
            Section(title, f"Tickets of two replicates. {_BRIEFLY}", plots, "small")
        )
    by_arm = _arms(levels)
    own = {arm: alike for arm, alike in by_arm.items() if not _are_same(alike)}
    if own:
        plots = {
            plain(f"overlap_{arm}"): _plot(
                reported_arm(arm).label, alike, NET, style.SMALL
            )
            for arm, alike in own.items()
        }
        title = "Which arms keep the ticket's weights?"
        lead = f"An arm's masks and the ticket's, of the same replicate. {_BRIEFLY}"
        if same := [reported_arm(arm).label for arm in by_arm if arm not in own]:
            lead += f" Left out, because they share its masks: {', '.join(same)}."
        shown.append(Section(title, lead, plots, "small"))
    return shown


def _agreements(levels: Sequence[Mapping[str, Any]], kind: str) -> _Agreements:
    return [(x["level"], x["density"], x[kind]) for x in levels if x.get(kind)]


def _arms(levels: Sequence[Mapping[str, Any]]) -> dict[str, _Agreements]:
    names = dict.fromkeys(arm for level in levels for arm in level["arms"])
    return {
        arm: [
            (x["level"], x["density"], x["arms"][arm]) for x in levels if arm in x["arms"]
        ]
        for arm in names
    }


def _are_same(alike: _Agreements) -> bool:
    return all(found[NET]["found"]["value"] == 1 for *_, found in alike)


def _plot(
    title: str, alike: _Agreements, name: str, size: tuple[float, float] = style.WIDE
) -> Plot:
    """A plot of the overlap in a layer or the net, beside that of random masks."""
    drawn = [
        lines.series(key, colour, [(n, p, found[name][key]) for n, p, found in alike])
        for key, colour in (("found", lines.FOUND), ("chance", lines.CHANCE))
    ]

    def text(estimate: Any) -> str:
        return with_interval(estimate, ".1f", ".1f", 100)

    return density_plots.draw(title, drawn, 100, from_zero=True, text=text, size=size)
