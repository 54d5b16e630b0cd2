"""Swamp: tickets that are pruned from the mean of copies' weights.

This is Sparse Weight Averaging with Multiple Particles (Choi et al. 2023). Copies of a
ticket train from the same rewound weights, with the data in different orders. Their mean
is pruned, and is measured at the end. From the second level on, the masks therefore
differ from those of the study. No arm could have them, since arms start from the study's
tickets. Choi et al. also average each copy over its training. Here a copy is the net at
the end of training.
"""

import argparse
import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from lth_jax import masks as masks_lib
from lth_jax.analysis import connectivity, intervals
from lth_jax.analysis.intervals import Estimate
from lth_jax.analysis.metric import ACCURACY, LOSS, Metric
from lth_jax.analysis.verdict import as_json
from lth_jax.analysis.words import percent
from lth_jax.analyze.analysis import Analysis, Subject
from lth_jax.config.requirements import require
from lth_jax.lottery import loop
from lth_jax.lottery.jobs import Job
from lth_jax.lottery.solutions import Planted, Solution
from lth_jax.lottery.tickets import Trained
from lth_jax.report.grid import aligned
from lth_jax.store.analyses import Found
from lth_jax.training.state import TrainState


def _add_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--copies", type=int, default=4, help="of each ticket; their mean is pruned")
    add("--last", type=int, help="the last level; by default the last that is finished")


def _run(subject: Subject, asked: argparse.Namespace) -> tuple[Found, str]:
    require("copies", asked.copies, asked.copies >= 2, "at least 2")
    _check(subject)
    done = subject.levels(None if asked.last is None else [asked.last])
    found, rows = [], [["level", "density", "mean", "minus a copy", "minus own ticket"]]
    past: dict[int, Solution] = {}  # what each level is pruned from
    for level in range(max(done) + 1):
        job = subject.job("ticket", level)
        copies = subject.trained_again(_copies(subject, job, asked.copies, past))
        past[level] = _mean(subject, job, copies)
        (own,) = subject.trained_again([job])
        metric, measured = _measured(subject, [past[level], own, *copies])
        shown = _shown(measured, metric)
        density = masks_lib.density(past[level].masks, subject.study.prunable)
        found.append({"level": level, "density": density, **as_json(shown)})
        differences = ("mean_minus_copy", "mean_minus_ticket")
        cells = [metric.difference(shown[name]) for name in differences]
        rows.append([str(level), percent(density), metric.text(shown["mean"]), *cells])
    told = (
        f"\n\nTest {metric.heading} at the end of training. Mean: a net with the mean"
        f" weights of {asked.copies}\ncopies that differ in the order of their data; each"
        " level is pruned from the\nmean before it. A copy: the average result of the"
        " copies."
    )
    settings = {"copies": asked.copies, "metric": metric.name}
    return settings | {"levels": found}, "\n".join(aligned(rows)) + told


def _check(subject: Subject) -> None:
    """Checks that the study prunes nets after training, and keeps nothing trained."""
    prune, rewind = subject.config.prune, subject.config.rewind
    looks = subject.job("ticket", 1).criterion.looks == "end"
    require("prune.criterion", prune.criterion, looks, "one that looks at trained nets")
    require("prune.at", prune.at, prune.at == "end", "'end' if copies are averaged")
    allowed = "one that keeps nothing that was trained"
    require("rewind.preset", rewind.preset, not rewind.what.needs_trained, allowed)


def _copies(
    subject: Subject, job: Job, number: int, past: dict[int, Solution]
) -> list[Job]:
    """Returns a level's copies of the dense net, or of the ticket from the last mean."""
    if job.parent is not None:
        nets = past[job.parent.level]
        state = TrainState(_zeros(nets), nets.params, nets.batch_stats, ())
        pruned_from = Trained(state, nets.masks)
        start, _ = loop.start(job, subject.rewound._replace(pruned_from=pruned_from))
        job = Planted.at(job, "swamp", start)
    return [dataclasses.replace(job, copy=copy) for copy in range(number)]


def _zeros(nets: Solution) -> jax.Array:
    return jnp.zeros(len(jax.tree.leaves(nets.params)[0]), jnp.int32)


def _mean(subject: Subject, job: Job, copies: Sequence[Solution]) -> Solution:
    """Returns the mean of copies, axis R, with batch statistics estimated anew."""
    params, stats = jax.jit(connectivity.mean)(
        [(nets.params, nets.batch_stats) for nets in copies]
    )
    if jax.tree.leaves(stats):
        each = [
            subject.solutions.statistics(
                job,
                replicate,
                *jax.tree.map(lambda x, at=at: x[at][None], (params, stats)),
            )
            for at, replicate in enumerate(job.study.config.replicates)
        ]
        stats = jax.tree.map(lambda *x: jnp.concatenate(x), *each)
    return Solution(params, stats, copies[0].masks)


def _measured(
    subject: Subject, nets: Sequence[Solution]
) -> tuple[Metric, list[np.ndarray]]:
    """Returns the metric, and each net's value on the test split, float64[R]."""
    each = [subject.solutions.metrics("test", x.params, x.batch_stats) for x in nets]
    metric = ACCURACY if ACCURACY.name in each[0] else LOSS
    return metric, [np.asarray(found[metric.name], float) for found in each]


def _shown(measured: list[np.ndarray], metric: Metric) -> dict[str, Estimate]:
    """Returns means over replicates for the mean, the study's ticket and the copies."""
    mean, ticket, *copies = measured
    copy = np.mean(copies, 0)
    whole = np.stack([mean, copy, ticket])
    bounds = metric.bounds if (whole >= 0).all() else intervals.UNBOUNDED
    named = {"mean": mean, "copy": copy, "ticket": ticket}
    shown = {name: intervals.mean(x, bounds=bounds) for name, x in named.items()}
    for name in ("copy", "ticket"):
        difference = mean - named[name]
        shown[f"mean_minus_{name}"] = intervals.mean_difference(difference, bounds=bounds)
    return shown


ANALYSIS = Analysis(
    "how good the mean of copies' weights is, with masks pruned from it (SWAMP)",
    _add_flags,
    _run,
)
