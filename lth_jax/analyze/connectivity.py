"""Connectivity: the line between copies of a net, or between successive levels."""

import argparse
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from lth_jax import masks as masks_lib
from lth_jax.analysis import connectivity, intervals
from lth_jax.analysis.intervals import Bounds
from lth_jax.analysis.metric import with_interval
from lth_jax.analysis.verdict import as_json, judge
from lth_jax.analysis.words import percent
from lth_jax.analyze.analysis import Analysis, Subject, add_levels
from lth_jax.config.requirements import require
from lth_jax.lottery.jobs import Job
from lth_jax.lottery.solutions import Solution, Solutions
from lth_jax.report.grid import aligned
from lth_jax.store import analyses, records
from lth_jax.store.analyses import Found
from lth_jax.store.files import DamagedFile

_BETWEEN = ("copies", "levels")
_MOST_LEVELS = 4  # levels that train again by default
_BOUNDS: dict[str, Bounds] = {"error": (0.0, 1.0), "loss": (0.0, np.inf)}
_Values = Mapping[str, np.ndarray]  # by measure, float[R, pairs, points]


def _add_flags(parser: argparse.ArgumentParser) -> None:
    add_levels(parser, f"{_MOST_LEVELS} of those")
    add = parser.add_argument
    told = "copies of each net, or levels: each ticket and the one a level before"
    add("--between", default="copies", help=told)
    add("--copies", type=int, default=2, help="copies of each net, the study's included")
    add("--points", type=int, default=30, help="points on the line, both ends included")
    add("--split", default="test", help="test, validation or train")


def _run(subject: Subject, asked: argparse.Namespace) -> tuple[Found, str]:
    for name in ("copies", "points"):
        require(name, getattr(asked, name), getattr(asked, name) >= 2, "at least 2")
    splits = "test", "validation", "train"
    require("split", asked.split, asked.split in splits, f"one of {', '.join(splits)}")
    allowed = f"one of {', '.join(_BETWEEN)}"
    require("between", asked.between, asked.between in _BETWEEN, allowed)
    are_levels = asked.between == "levels"
    levels = subject.levels(asked.levels, first=1 if are_levels else 0)
    if asked.levels is None:
        levels = subject.that_matter(levels, _MOST_LEVELS)
    ends = _successive if are_levels else _copies
    over_ends = connectivity.barrier_over_ends
    barrier = over_ends if are_levels else connectivity.barrier
    jobs = {level: ends(subject, level, asked.copies) for level in levels}
    nets = iter(subject.trained_again([job for own in jobs.values() for job in own]))
    matches = _matches(subject) if are_levels else {}
    found = []
    rows = [["level", "density", "statistics", "error barrier", "loss barrier"]]
    rows[0] += ["matches dense"] * are_levels
    for level in levels:
        own = {job: next(nets) for job in jobs[level]}
        masks = list(own.values())[-1].masks
        density = masks_lib.density(masks, subject.study.prunable)
        by_kind = _lines(subject.solutions, own, asked)
        shown = {kind: _shown(values, barrier) for kind, values in by_kind.items()}
        answer = {"matches_dense": matches.get(level, "not tested")} if are_levels else {}
        place = {"level": level, "density": density, **answer}
        found.append({**place, "lines": as_json(shown)})
        for kind, measures in shown.items():
            barriers = [_told(measures, name) for name in ("error", "loss")]
            row = [str(level), percent(density), kind, *barriers, *answer.values()]
            rows.append(row)
    settings = {name: getattr(asked, name) for name in ("copies", "points", "split")}
    settings["rewind_step"] = step = subject.study.rewind_step
    pair = "each ticket\nand the one a level before"
    if not are_levels:
        pair = f"{asked.copies} copies\ntrained from step {step}"
    told = f"\n\nBarriers on the {asked.split} split, of error in points, between {pair}."
    measured = {asked.between: settings | {"levels": found}}
    return _others(subject) | measured, "\n".join(aligned(rows)) + told


def _copies(subject: Subject, level: int, number: int) -> list[Job]:
    job = subject.job("ticket", level)
    return [dataclasses.replace(job, copy=copy) for copy in range(number)]


def _successive(subject: Subject, level: int, _: int) -> list[Job]:
    """Returns the jobs of the ticket a level before and of the level's own."""
    return [subject.job("ticket", at) for at in (level - 1, level)]


def _matches(subject: Subject) -> dict[int, str]:
    """Returns the verdict's answers, by level, on whether the ticket matches dense."""
    runs = records.read(subject.workdir.records)
    judged = judge(runs, subject.config.verdict).levels
    return {x.level: x.matches_dense.answer for x in judged}


def _others(subject: Subject) -> Found:
    """Returns what an earlier run found, between copies or between levels."""
    try:
        found = analyses.read(subject.workdir.analysis("connectivity"))
    except (FileNotFoundError, DamagedFile):
        return {}
    return {
        name: own
        for name, own in found.items()
        if name in _BETWEEN and isinstance(own, dict)
    }


def _told(measures: Mapping[str, Any], name: str) -> str:
    """Returns a barrier as text, with its interval; empty if it was not measured."""
    if name not in measures:
        return ""
    form, scale = (".2f", 100) if name == "error" else (".3g", 1)
    return with_interval(measures[name]["barrier"], form, form, scale)


def _lines(
    solutions: Solutions, copies: Mapping[Job, Solution], asked: argparse.Namespace
) -> dict[str, _Values]:
    """Measures the lines between copies, for each source of batch statistics."""
    (job, first), *_ = copies.items()
    has_statistics = bool(jax.tree.leaves(first.batch_stats))
    kinds = ["anew", "interpolated"] if has_statistics else ["none"]
    by_pair = connectivity.pairs(list(copies.values()))
    line = jax.jit(connectivity.line, static_argnums=2)
    measured: dict[str, list[list[_Values]]] = {kind: [] for kind in kinds}
    for at, replicate in enumerate(job.study.config.replicates):
        for kind in kinds:
            measured[kind].append([])
        for pair in by_pair:
            params, stats = line(*(nets.member(at) for nets in pair), asked.points)
            for kind in kinds:
                if kind == "anew":
                    own = solutions.statistics(job, replicate, params, stats)
                else:
                    own = stats
                metrics = solutions.metrics(asked.split, params, own)
                measured[kind][-1].append(_errors(metrics))
    return {
        kind: jax.tree.map(lambda *x: np.stack(x), *[_stacked(x) for x in values])
        for kind, values in measured.items()
    }


def _errors(metrics: Mapping[str, Any]) -> _Values:
    found = {"loss": np.asarray(metrics["loss"], float)}
    if "accuracy" in metrics:
        found["error"] = 1 - np.asarray(metrics["accuracy"], float)
    return found


def _stacked(values: list[_Values]) -> _Values:
    return {name: np.stack([one[name] for one in values]) for name in values[0]}


def _shown(values: _Values, barrier: Callable[..., jax.Array]) -> dict[str, Any]:
    """Returns the barrier and the line by measure, averaged over the replicates."""
    shown = {}
    for name, found in values.items():  # float[R, pairs, points]
        each = np.asarray(barrier(found)).mean(1)
        bounds = _BOUNDS[name] if (found >= 0).all() else intervals.UNBOUNDED
        shown[name] = {
            "barrier": intervals.mean(each, bounds=bounds),
            "each": [float(x) for x in each],
            "line": [intervals.mean(x, bounds=bounds) for x in found.mean(1).T],
        }
    return shown


ANALYSIS = Analysis(
    "whether copies of a net, or successive levels, are connected by a straight line",
    _add_flags,
    _run,
)
