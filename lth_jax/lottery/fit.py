"""Fit: whether a study's data and net are fit for its criteria, loss and pruning."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lth_jax.config import ConfigError, StudyConfig
from lth_jax.data import Split
from lth_jax.lottery.arms import find_arm
from lth_jax.models import Network
from lth_jax.pruning.criteria import CRITERIA
from lth_jax.pruning.layer_densities import LAYER_DENSITIES, shapes_of
from lth_jax.pruning.weights import Fraction
from lth_jax.training.early_bird import NUM_DRAWN
from lth_jax.training.losses import LOSSES, Loss

_NUM_TRIED = 3  # examples that a loss is tried on


def check_sample(config: StudyConfig, train: Split) -> None:
    """Checks that each class has enough examples for the criteria that read data.

    Raises:
      ConfigError: naming the criterion, or how many examples there are.
    """
    is_integer = np.issubdtype(train.labels.dtype, np.integer)
    for name, field in _criteria(config).items():
        criterion = CRITERIA.find(name)
        # A criterion that learns reads all examples.
        if not criterion.at_data or criterion.learns:
            continue
        if train.labels.ndim > 1 or not is_integer:
            raise ConfigError(
                f"{field}: {name!r} is not allowed for labels {_described(train.labels)};"
                " it looks at examples of each class, and needs one class an example"
            )
        most = int(np.unique(train.labels, return_counts=True)[1].min())
        if config.prune.examples_per_class > most:
            raise ConfigError(
                f"prune.examples_per_class: {config.prune.examples_per_class} is not"
                f" allowed; must be at most {most}, the training examples of the smallest"
                " class"
            )


def check_loss(config: StudyConfig, loss: Loss, network: Network, train: Split) -> None:
    """Checks that the loss takes the net's outputs and the labels, example by example.

    Raises:
      ConfigError: naming the loss, or the net if it has fewer outputs than classes.
    """
    inputs, labels = (jnp.asarray(x[:_NUM_TRIED]) for x in (train.inputs, train.labels))

    def outputs(key: jax.Array) -> jax.Array:
        found, _ = network.apply(*network.init(key), inputs, False)
        return found

    def measures(key: jax.Array) -> dict[str, jax.Array]:
        return loss.measures(outputs(key), labels)

    is_float = not np.issubdtype(train.labels.dtype, np.integer)
    try:
        if is_float and config.loss.name == "cross_entropy":
            raise ValueError("it takes classes; for numbers there is mean_squared_error")
        jax.eval_shape(measures, jax.random.key(0))
    except (AssertionError, TypeError, ValueError) as error:
        raise ConfigError(
            f"loss.name: {config.loss.name!r} is not allowed for labels"
            f" {_described(train.labels)} (with {len(labels)} examples:"
            f" {str(error).splitlines()[0]})"
        ) from None
    shape = jax.eval_shape(outputs, jax.random.key(0))
    if config.loss.name not in LOSSES:
        _check_examples_alone(config.loss.name, loss, shape, labels)
    if config.loss.name != "cross_entropy":
        return
    number = shape.shape[-1]
    most = int(train.labels.max())
    if most >= number:
        raise ConfigError(
            f"model.name: {config.model.name!r} has {number} outputs; labels are classes"
            f" up to {most}, which need {most + 1}"
        )


def _check_examples_alone(
    name: str, loss: Loss, shape: jax.ShapeDtypeStruct, labels: jax.Array
) -> None:
    """Checks that an example's loss does not depend on other examples.

    Outputs [N] minus labels [N, 1] are [N, N], and row means of it look like losses.
    """
    outputs = jax.random.normal(jax.random.key(0), shape.shape).astype(shape.dtype)
    together = loss.measures(outputs, labels)
    for i in range(len(labels)):
        alone = loss.measures(outputs[i : i + 1], labels[i : i + 1])
        for measure, found in alone.items():
            own = np.asarray(together[measure][i]), np.asarray(found[0])
            if not np.allclose(*own, rtol=1e-3, atol=1e-6, equal_nan=True):
                raise ConfigError(
                    f"loss.name: {name!r} is not allowed: the {measure} of an example"
                    f" depends on other examples, for outputs {_described(outputs)} and"
                    f" labels {_described(labels)}"
                )


def check_draws(config: StudyConfig, rewind_step: int) -> None:
    """Checks that the Early-Bird rule, if it is used, can hold before the end.

    Raises:
      ConfigError: naming the field, and how many evaluations it needs.
    """
    number = (config.num_steps - rewind_step) // config.eval_every_steps
    if config.prune.at == "early_bird" and number < NUM_DRAWN:
        raise ConfigError(
            f"prune.at: 'early_bird' compares {NUM_DRAWN} evaluations, and a level has"
            f" {number}; lower eval_every_steps ({config.eval_every_steps})"
        )


def check_counts(
    config: StudyConfig, leaves: Sequence[tuple[str, Any]], fraction: Fraction
) -> None:
    """Checks that every level leaves a weight in every layer, if counts can decide it.

    `leaves` are the prunable leaves, by path. `fraction` is the share that an iterative
    level prunes, of each leaf or of all together.

    Raises:
      ConfigError: naming the field, the level and the layers.
    """
    if config.prune.structure != "weights":
        return  # these counts are of single weights, not of units or blocks
    field = "prune.densities" if config.prune.densities else "prune.fraction"
    for name in _criteria(config):
        scope = CRITERIA.find(name).scope or config.prune.scope
        for level, kept in enumerate(_kept(config, scope, leaves, fraction), 1):
            if isinstance(kept, int):
                least = max(config.prune.floor, 1)
                needed = sum(min(least, leaf.size) for _, leaf in leaves)
                if kept < needed:
                    raise ConfigError(
                        f"{field}: level {level} would keep {kept} of the weights; must"
                        f" be at least {needed}, {least} in each layer (prune.floor)"
                    )
            elif empty := [path for path, number in kept.items() if not number]:
                raise ConfigError(
                    f"{field}: level {level} would leave no weight of"
                    f" {', '.join(empty)}; must prune less or at fewer levels, or with"
                    " prune.scope='global', which has a floor"
                )


def _kept(
    config: StudyConfig,
    scope: str,
    leaves: Sequence[tuple[str, Any]],
    fraction: Fraction,
) -> Iterator[dict[str, int] | int]:
    """How many weights each level from 1 on keeps, by leaf, or in all if global."""
    sizes = {path: leaf.size for path, leaf in leaves}
    total = sum(sizes.values())
    share = LAYER_DENSITIES.get(scope)
    for density in config.prune.densities:
        if scope == "global":
            yield round(density * total)
        else:
            own = dict.fromkeys(sizes, density)
            own = own if share is None else share(shapes_of(leaves), density)
            yield {path: round(own[path] * size) for path, size in sizes.items()}
    if config.prune.densities:
        return
    for _ in range(1, config.num_levels):
        if isinstance(fraction, float):
            total -= round(fraction * total)
            yield total
        else:
            sizes = {path: n - round(fraction[path] * n) for path, n in sizes.items()}
            yield sizes


def _criteria(config: StudyConfig) -> dict[str, str]:
    """The criteria that prune in a study, each with the config field that names it."""
    arms = (arm for arm in config.arms if find_arm(arm).is_criterion)
    return dict.fromkeys(arms, "arms") | {config.prune.criterion: "prune.criterion"}


def _described(labels: np.ndarray | jax.Array) -> str:
    return f"{labels.dtype}[{', '.join(['N', *map(str, labels.shape[1:])])}]"
