"""Overlap: masks of replicates, levels and arms against each other and chance."""

import argparse
from collections.abc import Mapping

import jax
import numpy as np

from lth_jax import masks as masks_lib
from lth_jax.analysis import overlap
from lth_jax.analysis.metric import with_interval
from lth_jax.analysis.overlap import NET, Agreement
from lth_jax.analysis.verdict import as_json
from lth_jax.analysis.words import percent
from lth_jax.analyze.analysis import Analysis, Subject, add_levels
from lth_jax.lottery.arms import find_arm
from lth_jax.report.grid import aligned
from lth_jax.store import tickets
from lth_jax.store.analyses import Found

_Masks = dict[str, np.ndarray]  # bool[R, ...] by the layer's path


def _add_flags(parser: argparse.ArgumentParser) -> None:
    add_levels(parser)
    parser.add_argument(
        "--arms",
        type=lambda text: text.split(",") if text else [],
        help="arms to compare with the ticket, such as snip,random; by default the"
        " study's own with fixed masks; empty: none",
    )


def _run(subject: Subject, asked: argparse.Namespace) -> tuple[Found, str]:
    arms = _arms(subject, asked.arms)
    levels = subject.levels(asked.levels, first=1)
    found, rows = [], [["level", "density", "replicates", "chance", *arms]]
    for level in levels:
        own = _masks(subject, level)
        kept = sum(int(mask.sum()) for mask in own.values())
        density = kept / sum(mask.size for mask in own.values())
        alike = overlap.among(own) if subject.config.num_replicates > 1 else {}
        before = overlap.between(own, _masks(subject, level - 1)) if level > 1 else {}
        by_arm = {
            arm: overlap.between(own, _started(subject, arm, level)) for arm in arms
        }
        found.append(
            {
                "level": level,
                "density": density,
                "replicates": as_json(alike),
                "before": as_json(before),
                "arms": as_json(by_arm),
            }
        )
        row = [str(level), percent(density), _text(alike), ""]
        if alike:
            row[-1] = f"{100 * alike[NET].chance:.1f}"
        rows.append([*row, *map(_text, by_arm.values())])
    told = (
        "\n\nIntersection over union of masks of the whole net, in %: of tickets of two"
        "\nreplicates, of random masks, and of each arm with its ticket."
    )
    return {"levels": found}, "\n".join(aligned(rows)) + told


def _arms(subject: Subject, asked: list[str] | None) -> list[str]:
    """Returns the arms to compare, by default the study's with fixed masks."""
    for arm in asked or ():
        subject.check_arm("arms", arm)
    if asked is not None:
        return asked
    own = subject.config.arms
    return [a for a in own if a != "ticket" and find_arm(a).dynamics is None]


def _masks(subject: Subject, level: int) -> _Masks:
    found, _ = tickets.load_masks(subject.workdir.ticket(level))
    return _prunable(subject, found)


def _started(subject: Subject, arm: str, level: int) -> _Masks:
    """Returns the masks under which an arm trained."""
    masks = jax.device_get(subject.start(subject.job(arm, level)).masks)
    return _prunable(subject, dict(masks_lib.named_leaves(masks)))


def _prunable(subject: Subject, found: Mapping[str, np.ndarray]) -> _Masks:
    prunable = masks_lib.excluding(subject.config.prune.exclude)
    return {name: mask for name, mask in found.items() if prunable(name, mask[0])}


def _text(found: Mapping[str, Agreement]) -> str:
    return with_interval(found[NET].found, ".1f", ".1f", 100) if found else ""


ANALYSIS = Analysis(
    "whether masks of replicates, levels and arms keep the same weights", _add_flags, _run
)
