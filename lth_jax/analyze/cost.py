"""Cost: what it takes to find a study's tickets, and what they save."""

import argparse

import jax
import numpy as np

from lth_jax.analysis import intervals
from lth_jax.analysis.cost import Spending, spending
from lth_jax.analysis.intervals import Estimate
from lth_jax.analysis.outcomes import Outcome, outcomes
from lth_jax.analysis.verdict import as_json
from lth_jax.analysis.words import percent
from lth_jax.analyze import smallest
from lth_jax.analyze.analysis import Analysis, Subject
from lth_jax.analyze.forward_pass import Products, kept, products_of
from lth_jax.analyze.steps import steps_to_pruning, steps_used
from lth_jax.config.requirements import require
from lth_jax.errors import UserError
from lth_jax.report.grid import aligned
from lth_jax.store import records, tickets
from lth_jax.store.analyses import Found

_UNTIL = {"end": "final_metric", "early_stop": "early_stop_metric"}


def _add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--until",
        default="end",
        help="how long a net trains when it is used: to the end, or to its early_stop",
    )


def _run(subject: Subject, asked: argparse.Namespace) -> tuple[Found, str]:
    require("until", asked.until, asked.until in _UNTIL, f"one of {', '.join(_UNTIL)}")
    known = outcomes(records.read(subject.workdir.records))
    done = [n for n in subject.levels(None) if ("ticket", n) in known]
    levels = [
        level for at, level in enumerate(done) if level == at
    ]  # each needs all before it
    if not levels:
        raise UserError(f"level 0 is not finished in {subject.workdir.root}")
    reached = [known["ticket", level] for level in levels]
    products = products_of(subject)
    every, live = _multiply_adds(subject, products, levels)
    steps, used = _steps(subject, reached, asked.until)
    size, shots = subject.config.batch_size, subject.study.is_one_shot
    compute = jax.jit(jax.vmap(lambda own, *x: spending(own, x[0], x[1], size, shots)))
    by_kind = {
        kind: jax.device_get(compute(own, steps, used))
        for kind, own in (("dense", every), ("sparse", live))
    }
    name = _UNTIL[asked.until]
    found = []
    rows = [["level", "density", "counted", "find", "use", "pays after", "reached"]]
    for at, outcome in enumerate(reached):
        own = {kind: _shown(spent, at) for kind, spent in by_kind.items()}
        metric = outcome.mean(name)
        place = {"level": outcome.level, "density": outcome.density}
        found.append({**place, "reached": as_json(metric), **as_json(own)})
        for kind, shown in own.items():
            row = [str(outcome.level), percent(outcome.density), kind]
            cells = [_text(shown[x]) for x in ("find", "use", "pays_after")]
            if outcome.level == 0:  # the dense net needs no search
                cells[0] = cells[-1] = ""
            rows.append([*row, *cells, outcome.metric.text(metric)])
    criteria = smallest.by_criterion(subject, known, products, asked.until)
    settings = {
        "until": asked.until,
        "criteria": as_json(criteria),
        "metric": reached[0].metric.name,
        "dense_flops": (flops := float(by_kind["dense"].use[:, 0].mean())),
    }
    told = (
        f"\n\nThe unit is one training of the dense net, {flops:.3g} FLOPs. Dense counts"
        " all weights,\nsparse only those that are left. The search pays after so many"
        " uses; never, if some\nreplicate saves nothing."
    )
    table = "\n".join(aligned(rows)) + told + smallest.told(criteria)
    return settings | {"levels": found}, table


def _multiply_adds(
    subject: Subject, products: Products, levels: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns multiply-adds float64[R, levels] of all weights, and of those left."""
    masks = (tickets.load_masks(subject.workdir.ticket(level))[0] for level in levels)
    found = np.stack([kept(products, own) for own in masks], 1)
    return np.full(found.shape, float(sum(products.values()))), found


def _steps(
    subject: Subject, reached: list[Outcome], until: str
) -> tuple[np.ndarray, np.ndarray]:
    """Steps to where levels are pruned, and to where they are used, float[R, levels]."""
    to_pruning, used = [], []
    for outcome in reached:
        job = subject.job("ticket", outcome.level)
        to_pruning.append(steps_to_pruning(job, outcome) - job.first_step)
        used.append(steps_used(job, outcome, until))
    return np.stack(to_pruning, 1), np.stack(used, 1)


def _shown(spent: Spending, at: int) -> dict[str, Estimate]:
    """Returns a level's costs, in trainings of the dense net, over the replicates."""
    find, use, _, pays_after = (np.asarray(x, float) for x in spent)
    dense = use[:, 0]

    def mean(values: np.ndarray) -> Estimate:
        return intervals.mean(values, bounds=(0.0, np.inf))

    own = {"find": find[:, at] / dense, "use": use[:, at] / dense}
    shown = {name: mean(values) for name, values in own.items()}
    pays = pays_after[:, at]  # NaN if it never does
    return shown | {"pays_after": intervals.NONE if np.isnan(pays).any() else mean(pays)}


def _text(estimate: Estimate) -> str:
    return "never" if np.isnan(estimate.value) else f"{estimate.value:.2f}"


ANALYSIS = Analysis(
    "what training costs to find tickets, and what they save", _add_flags, _run
)
