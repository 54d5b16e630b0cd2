"""Sharpness: how curved the loss is in the direction that the next level prunes."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lth_jax.analysis import intervals
from lth_jax.analysis.intervals import Estimate
from lth_jax.analysis.metric import with_interval
from lth_jax.analysis.sharpness import Sharpness, pruned_at_random, sharpness
from lth_jax.analysis.spectrum import hessian_product
from lth_jax.analysis.words import percent
from lth_jax.analyze.analysis import Subject
from lth_jax.lottery.jobs import Job
from lth_jax.lottery.solutions import Solution
from lth_jax.lottery.study import Study
from lth_jax.report.grid import aligned
from lth_jax.training.evaluation import make_evaluate
from lth_jax.training.losses import Examples
from lth_jax.training.state import TrainState

Directions = Mapping[str, Mapping[str, Estimate]]  # by what is pruned, and by measure

_HEADS = {
    ("pruned", "curvature"): "curvature",
    ("random", "curvature"): "at random",
    ("pruned", "rise"): "loss added",
    ("random", "rise"): "at random",
}


def pruned_directions(
    subject: Subject, job: Job, nets: Solution, order: np.ndarray, num_draws: int
) -> Directions | None:
    """Returns the sharpness towards the next level's masks, and towards random masks.

    Random masks prune as many weights of each layer. The loss is over the training
    examples at the indices `order`. None if nothing was pruned from the nets, or not yet.

    Raises:
      UserError: if the nets of the next level are missing or damaged.
    """
    following = subject.pruned_from(job)
    if following is None:
        return None
    keys = job.keys("pruned at random")
    measure = _measure(subject.study, num_draws)
    members = *nets, following.masks, keys
    own, drawn = subject.solutions.each(measure, members, (order,))
    drawn = jax.tree.map(lambda x: np.asarray(x).mean(1), drawn)  # [R, draws]
    return {"pruned": _means(own), "random": _means(drawn)}


def told(by_place: Mapping[tuple[int, float], Directions]) -> str:
    """Returns a table of them by level and density; empty if there are none."""
    rows = [["level", "density", *_HEADS.values()]]
    for (level, density), found in by_place.items():
        each = (found[what][measure] for what, measure in _HEADS)
        cells = [with_interval(x, ".3g", ".2g") for x in each]
        rows.append([str(level), percent(density), *cells])
    note = (
        "\n\nThe curvature of the loss towards what the next level keeps, and the loss"
        "\nadded there before training. At random, as many weights per layer are pruned."
    )
    return "\n\n" + "\n".join(aligned(rows)) + note if by_place else ""


def _measure(study: Study, num_draws: int) -> Callable[..., tuple[Sharpness, Sharpness]]:
    """Returns a function that measures one member's next masks, and random ones."""
    evaluate = make_evaluate(study.network.apply, study.loss)

    def of_member(
        params: Any,
        stats: Any,
        masks: Any,
        following: Any,
        key: Any,
        order: Any,
        *splits: Examples,
    ) -> tuple[Sharpness, Sharpness]:
        train = Examples(*(x[order] for x in splits[0]))
        product = hessian_product(
            study.network.apply, params, stats, masks, train, study.loss
        )

        def loss(params: Any) -> jax.Array:
            state = TrainState(jnp.int32(0), params, stats, ())
            return jnp.asarray(evaluate(state, train)["loss"])

        def one(key: jax.Array) -> Sharpness:
            drawn = pruned_at_random(key, masks, following, study.prunable)
            return sharpness(product, loss, params, drawn)

        drawn: Sharpness = jax.lax.map(one, jax.random.split(key, num_draws))
        return sharpness(product, loss, params, following), drawn

    return of_member


def _means(found: Sharpness) -> dict[str, Estimate]:
    """Returns the means over the replicates."""
    return {
        name: intervals.mean(np.asarray(values, float))
        for name, values in found._asdict().items()
    }
