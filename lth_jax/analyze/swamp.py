"""Swamp: tickets that are pruned from the mean of copies' weights.

Sparse Weight Averaging with Multiple Particles (Choi et al. 2023): copies of a ticket
train from the same rewound weights, on the data in other orders. Their mean is what is
pruned, and what counts at the end. So each level has masks of its own from the second on,
which no arm of a study could have: an arm starts from the study's tickets. Choi et al.
also average each copy along its training; here a copy is what training came to.
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
    add("--copies", type=int, default=4, help="of each ticket, whose mean is pruned")
    add("--last", type=int, help="level; by default the last that is finished")


def _run(subject: Subject, asked: argparse.Namespace) -> tuple[Found, str]:
    require("copies", asked.copies, asked.copies >= 2, "at least 2")
    _check(subject)
    done = subject.levels(None if asked.last is None else [asked.last])
    found, rows = [], [["level", "density", "mean", "one copy", "own ticket"]]
    rows[0] += ["mean - copy", "mean - ticket"]
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
        cells = [metric.text(shown[name]) for name in ("mean", "copy", "ticket")]
        differences = ("mean_minus_copy", "mean_minus_ticket")
        cells += [metric.difference(shown[name]) for name in differences]
        rows.append([str(level), percent(density), *cells])
    told = (
        f"\n\nTest {metric.heading} at the end of training. Mean: of the weights of"
        f" {asked.copies} copies that differ in the\norder of their data; each level is"
        " pruned from the mean before it. One copy: the mean of\nwhat the copies reach."
    )
    settings = {"copies": asked.copies, "metric": metric.name}
    return settings | {"levels": found}, "\n".join(aligned(rows)) + told


def _check(subject: Subject) -> None:
    """Checks that the study prunes what training came to, and keeps nothing of it."""
    prune, rewind = subject.config.prune, subject.config.rewind
    looks = subject.job("ticket", 1).criterion.looks == "end"
    require("prune.criterion", prune.criterion, looks, "one that looks at trained nets")
    require("prune.at", prune.at, prune.at == "end", "'end' where copies are averaged")
    allowed = "one that keeps nothing that was trained"
    require("rewind.preset", rewind.preset, not rewind.what.needs_trained, allowed)


def _copies(
    subject: Subject, job: Job, number: int, past: dict[int, Solution]
) -> list[Job]:
    """Those of a level: of the dense net, or of the ticket pruned from a mean before."""
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
    """The mean of copies, axis R, with batch statistics estimated anew."""
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
    """Of each net what it reaches on the test split, float64[R]."""
    each = [subject.solutions.metrics("test", x.params, x.batch_stats) for x in nets]
    metric = ACCURACY if ACCURACY.name in each[0] else LOSS
    return metric, [np.asarray(found[metric.name], float) for found in each]


def _shown(measured: list[np.ndarray], metric: Metric) -> dict[str, Estimate]:
    """Of the mean, the own ticket and the copies: means over the replicates."""
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
    "what the mean of copies' weights reaches, where masks are pruned from it (SWAMP)",
    _add_flags,
    _run,
)
