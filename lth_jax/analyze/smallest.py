"""Smallest: what each criterion's smallest matching ticket costs."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from lth_jax import masks as masks_lib
from lth_jax.analysis import intervals
from lth_jax.analysis.intervals import Estimate
from lth_jax.analysis.metric import with_interval
from lth_jax.analysis.outcomes import DENSE, Outcome, Outcomes
from lth_jax.analysis.smallest import smallest_matching
from lth_jax.analysis.words import percent
from lth_jax.analyze.analysis import Subject
from lth_jax.analyze.forward_pass import Products, kept
from lth_jax.analyze.steps import steps_to_pruning, steps_used
from lth_jax.lottery.jobs import Job
from lth_jax.report.grid import aligned


class Row(NamedTuple):
    """The smallest ticket of a criterion that matches dense; None if none does."""

    criterion: str
    density: float | None
    cost: Estimate | None  # to find it and use it once, in trainings of the dense net


def by_criterion(
    subject: Subject, known: Outcomes, products: Products, until: str
) -> list[Row]:
    """Returns a row per criterion, cheapest first; costs leave out pruned weights."""
    margin = getattr(subject.config.verdict, f"{known[DENSE].metric.name}_margin")
    rows = []
    for arm, found in smallest_matching(known, margin).items():
        cost = None if found is None else _cost(subject, known, found, products, until)
        rows.append(Row(arm, found and found.density, cost))
    return sorted(rows, key=lambda row: row.cost.value if row.cost else np.inf)


def told(rows: Sequence[Row]) -> str:
    """Returns a table of the rows; empty if there are none."""
    if not rows:
        return ""
    shown = [["criterion", "smallest matching", "to find and use"]]
    for arm, density, cost in rows:
        cells = ["none", ""]
        if density is not None and cost is not None:
            cells = [percent(density), with_interval(cost, ".2f", ".2f")]
        shown.append([arm, *cells])
    return "\n\n" + "\n".join(aligned(shown))


def _cost(
    subject: Subject, known: Outcomes, smallest: Outcome, products: Products, until: str
) -> Estimate:
    job, dense = subject.job(smallest.arm, smallest.level), known[DENSE]
    masks = dict(masks_lib.named_leaves(jax.device_get(subject.start(job).masks)))
    share = kept(products, masks) / sum(products.values())
    used = share * steps_used(job, smallest, until)
    total = (_steps_to_find(job, dense) + used) / steps_used(job.dense, dense, until)
    return intervals.mean(total, bounds=(0.0, np.inf))


def _steps_to_find(job: Job, dense: Outcome) -> np.ndarray:
    """Returns the steps that train before masks are pruned, float64[R].

    A criterion that learns masks takes the steps that train them. Any other criterion
    that looks at nets before training takes none.
    """
    study, early = job.study, np.asarray(dense.early_stop_step, float)
    if job.criterion.learns:
        return np.full_like(early, study.config.prune.mask_steps)
    if job.criterion.looks != "end":
        return np.zeros_like(early)
    return steps_to_pruning(job, dense)
