"""Spectrum: how curved the loss is where training ended, on the ticket's own support."""

import argparse
import importlib.util
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lth_jax import masks as masks_lib
from lth_jax.analysis import intervals
from lth_jax.analysis.intervals import Estimate
from lth_jax.analysis.metric import with_interval
from lth_jax.analysis.spectrum import Ritz, hessian_product, probe, ritz, spectral_density
from lth_jax.analysis.verdict import as_json
from lth_jax.analysis.words import percent
from lth_jax.analyze.analysis import Analysis, Subject, add_levels
from lth_jax.analyze.sharpness import Directions, pruned_directions, told
from lth_jax.config.requirements import require
from lth_jax.errors import UserError
from lth_jax.lottery.study import Study
from lth_jax.report.grid import aligned
from lth_jax.store.analyses import Found
from lth_jax.training import keys, sampling
from lth_jax.training.losses import Examples

_MOST_LEVELS = 6
_NUM_POINTS = 400  # of a density
_WIDTH = 0.005  # of the smoothing normal distributions, as a share of the range


def _add_flags(parser: argparse.ArgumentParser) -> None:
    add_levels(parser, f"{_MOST_LEVELS} of those")
    add = parser.add_argument
    add("--steps", type=int, default=60, help="steps of Lanczos' method")
    add("--probes", type=int, default=4, help="random directions to start from")
    add("--top", type=int, default=3, help="largest eigenvalues to show")
    of = "training examples in the loss, drawn once; all if there are fewer"
    add("--examples", type=int, default=5000, help=of)


def _run(subject: Subject, asked: argparse.Namespace) -> tuple[Found, str]:
    if importlib.util.find_spec("matfree") is None:
        raise UserError('spectrum needs matfree; pip install -e ".[analysis]"')
    for name in ("steps", "probes", "top", "examples"):
        require(name, getattr(asked, name), getattr(asked, name) > 0, "above 0")
    allowed = f"at most {asked.steps}, the number of steps"
    require("top", asked.top, asked.top <= asked.steps, allowed)
    levels = subject.levels(asked.levels)
    if asked.levels is None:
        levels = subject.that_matter(levels, _MOST_LEVELS)
    measure, order = (
        _measure(subject.study, asked),
        _examples(subject.study, asked.examples),
    )
    found = []
    heads = ["largest", *(f"no. {i}" for i in range(2, asked.top + 1))]
    rows = [["level", "density", *heads, "least", "mean"]]
    by_place: dict[tuple[int, float], Directions] = {}
    for level in levels:
        job = subject.job("ticket", level)
        (nets,) = subject.trained_again([job])
        density = masks_lib.density(nets.masks, subject.study.prunable)
        members = *nets, job.keys("probes")
        seen = Ritz(*subject.solutions.each(measure, members, (order,)))
        own = _shown(seen, asked.top)
        along = pruned_directions(subject, job, nets, order, asked.probes)
        place = {"level": level, "density": density, "along": along and as_json(along)}
        found.append({**place, **as_json(own)})
        by_place |= {(level, density): along} if along else {}
        missing = [""] * (asked.top - len(own["top"]))
        cells = [
            *map(_text, own["top"]),
            *missing,
            _text(own["least"]),
            f"{own['mean'].value:.3g}",
        ]
        rows.append([str(level), percent(density), *cells])
    names = ("steps", "probes", "examples")
    settings = {name: getattr(asked, name) for name in names}
    # At least the rounding error of the largest.
    bound = max(max(x["error_bound"], 1e-6 * x["top"][0]["value"]) for x in found)
    note = (
        "\n\nEigenvalues of the Hessian of the training loss at the end of each level, on"
        f"\nthe weights that are left. The error of the largest is at most {bound:.0e};"
        "\nmore --steps reduce it."
    )
    return settings | {"levels": found}, "\n".join(aligned(rows)) + note + told(by_place)


def _text(estimate: Estimate) -> str:
    return with_interval(estimate, ".3g", ".2g")


def _measure(study: Study, asked: argparse.Namespace) -> Callable[..., Ritz]:
    """Returns a function that runs Lanczos' method for a member, [probes, steps]."""

    def of_member(
        params: Any, stats: Any, masks: Any, key: Any, order: Any, *splits: Examples
    ) -> Ritz:
        train = Examples(*(x[order] for x in splits[0]))
        product = hessian_product(
            study.network.apply, params, stats, masks, train, study.loss
        )

        def one(key: jax.Array) -> Ritz:
            return ritz(product, probe(key, masks), asked.steps)

        found: Ritz = jax.lax.map(one, jax.random.split(key, asked.probes))
        return found

    return of_member


def _examples(study: Study, number: int) -> np.ndarray:
    """Returns indices of the examples in the loss, for all levels and replicates."""
    key = keys.study_key(study.config.seed, "spectrum")
    return sampling.epoch_order(key, 0, len(study.splits.train.labels))[:number]


def _shown(seen: Ritz, num_top: int) -> dict[str, Any]:
    """Returns the largest, least and mean eigenvalues and their density, over replicates.

    Single eigenvalues are those of the first probe, since all probes converge to them.
    """
    single, bounds = np.asarray(seen.values[:, 0]), np.asarray(seen.errors[:, 0])
    order = np.argsort(np.where(np.isnan(single), -np.inf, single))[
        :, : -1 - num_top : -1
    ]
    values = np.take_along_axis(single, order, 1)
    errors = np.take_along_axis(bounds, order, 1)
    top = [x for x in values.T if np.isfinite(x).all()]  # a support may have fewer
    filled = np.nan_to_num(seen.values)
    low, high = float(filled.min()), float(filled.max())
    width = _WIDTH * (high - low) or 1.0
    grid = np.linspace(low - 5 * width, high + 5 * width, _NUM_POINTS)
    smooth = jax.jit(jax.vmap(spectral_density, (0, None, None)))
    each = np.asarray(smooth(seen, jnp.asarray(grid), width), float)
    return {
        "top": [intervals.mean(x) for x in top],
        "least": intervals.mean(np.nanmin(single, axis=1)),
        "mean": intervals.mean((filled * seen.weights).sum(2).mean(1)),
        "error_bound": float(errors[np.isfinite(values)].max()),
        "grid": [float(x) for x in grid],
        "spectrum": [float(x) for x in each.mean(0)],
    }


ANALYSIS = Analysis(
    "how curved the loss is where training ended: eigenvalues of its Hessian",
    _add_flags,
    _run,
)
