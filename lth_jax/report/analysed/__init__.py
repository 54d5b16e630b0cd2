"""Analysed: the page's sections for each analysis, one module per analysis."""

import logging
from collections.abc import Callable, Mapping

from lth_jax.analysis.verdict import Verdict
from lth_jax.report.analysed import (
    connectivity,
    cost,
    movement,
    overlap,
    spectrum,
    swamp,
    transfer,
)
from lth_jax.report.section import Section
from lth_jax.store.analyses import Found

# By the name of the analysis, in the order of the page.
SECTIONS: dict[str, Callable[[Found, Verdict], list[Section]]] = {
    "overlap": overlap.sections,
    "connectivity": connectivity.sections,
    "movement": movement.sections,
    "spectrum": spectrum.sections,
    "cost": cost.sections,
    "swamp": swamp.sections,
    "transfer": transfer.sections,
}
_NOT_AS_WRITTEN = LookupError, TypeError, ValueError, ArithmeticError, AttributeError
_log = logging.getLogger(__name__)


def sections(analyses: Mapping[str, Found], verdict: Verdict) -> list[Section]:
    """Returns the sections of the analyses that were made.

    An analysis in the format of another version has none; a warning names it. The verdict
    determines the levels that matter.
    """
    shown: list[Section] = []
    for name, draw in SECTIONS.items():
        if name not in analyses:
            continue
        try:
            shown += draw(analyses[name], verdict)
        except _NOT_AS_WRITTEN as error:
            told = "analysis/%s.json: of another version (%r); its section is left out"
            _log.warning(told, name, error)
    return shown
