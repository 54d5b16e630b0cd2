"""Movement: how training moves weights that survive or are pruned, and another arm's."""

import argparse
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from lth_jax import masks as masks_lib
from lth_jax.analysis.metric import with_interval
from lth_jax.analysis.movement import Movement, movements
from lth_jax.analysis.overlap import NET
from lth_jax.analysis.verdict import as_json
from lth_jax.analysis.words import percent
from lth_jax.analyze.analysis import Analysis, Subject, add_levels
from lth_jax.analyze.survivors import of_all, survivors
from lth_jax.lottery.jobs import Job
from lth_jax.lottery.solutions import Solution
from lth_jax.report.grid import aligned
from lth_jax.store.analyses import Found

_MOST_LEVELS = 4  # at which an arm trains again by default


def _add_flags(parser: argparse.ArgumentParser) -> None:
    add_levels(parser, f"{_MOST_LEVELS} of those")
    parser.add_argument(
        "--against",
        default="reinit",
        help="an arm to train again and compare with the ticket; empty: none",
    )


def _run(subject: Subject, asked: argparse.Namespace) -> tuple[Found, str]:
    if asked.against:
        subject.check_arm("against", asked.against)
    levels = subject.levels(asked.levels)
    if asked.levels is None:
        levels = subject.that_matter(levels, _MOST_LEVELS)
    jobs = [subject.job("ticket", level) for level in levels]
    if asked.against:
        jobs += [subject.job(asked.against, level) for level in levels if level > 0]
    nets = dict(zip(jobs, subject.trained_again(jobs), strict=True))
    by_level: dict[int, dict[str, dict[str, Movement]]] = {level: {} for level in levels}
    densities, kept = {}, {}
    for job, end in nets.items():
        by_level[job.level] |= _moved(subject, job, end)
        if job.is_ticket:
            densities[job.level] = masks_lib.density(end.masks, subject.study.prunable)
            kept[job.level] = _layers(subject, end.masks)
    init = _layers(subject, subject.rewound.initial.params)
    found = [
        {
            "level": level,
            "density": densities[level],
            "moved": as_json(by_level[level]),
            "survivors": as_json(survivors(init, kept[level])),
        }
        for level in levels
    ]
    rows = [["level", "density", "weights", "distance", "growth", "flips, %"]]
    for level in levels:
        for what, own in by_level[level].items():
            named = "dense net" if (level, what) == (0, "ticket") else what
            row = [str(level), percent(densities[level]), named]
            rows.append([*row, *_told(own[NET])])
    told = (
        "\n\nWeights: all of an arm; or those of the ticket that survive the next"
        "\npruning, or are pruned. From the start to the end of a level, distance is the"
        "\nmean |end - start|, growth the mean |end| - |start|, and flips the share that"
        "\nchange their sign."
    )
    settings = {"against": asked.against, "inits": of_all(init)}
    return settings | {"levels": found}, "\n".join(aligned(rows)) + told


def _moved(subject: Subject, job: Job, end: Solution) -> dict[str, dict[str, Movement]]:
    """Returns how a job's weights move: all, and those that survive or are pruned."""
    start = _layers(subject, subject.start(job).state.params)
    ended, kept = _layers(subject, end.params), _layers(subject, end.masks)
    found = {job.arm: movements(start, ended, kept)}
    following = subject.pruned_from(job)
    if following is None:
        return found
    survive = _layers(subject, following.masks)
    pruned = {path: kept[path] & ~mask for path, mask in survive.items()}
    parts = {"survive": survive, "pruned": pruned}
    return found | {
        what: movements(start, ended, chosen) for what, chosen in parts.items()
    }


def _layers(subject: Subject, tree: Any) -> Mapping[str, np.ndarray]:
    """Returns the prunable leaves [R, ...] of all replicates by path, on the host."""
    prunable = subject.study.prunable
    return {
        path: np.asarray(leaf)
        for path, leaf in masks_lib.named_leaves(jax.device_get(tree))
        if prunable(path, leaf[0])
    }


def _told(own: Movement) -> list[str]:
    return [
        with_interval(own.distance, ".3g", ".2g"),
        with_interval(own.growth, "+.3g", ".2g"),
        with_interval(own.flips, ".1f", ".1f", 100),
    ]


ANALYSIS = Analysis(
    "how far, and which way, surviving and pruned weights move", _add_flags, _run
)
