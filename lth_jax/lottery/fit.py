"""Fit: what of a study's data its criteria and its loss can use."""

import jax
import jax.numpy as jnp
import numpy as np

from lth_jax.config import ConfigError, StudyConfig
from lth_jax.data import Split
from lth_jax.lottery.arms import find_arm
from lth_jax.models import Network
from lth_jax.pruning.criteria import CRITERIA
from lth_jax.training.losses import Loss


def check_sample(config: StudyConfig, train: Split) -> None:
    """Checks that each class has the examples that criteria look at.

    Raises:
      ConfigError: naming the criterion, or how many examples there are.
    """
    is_integer = np.issubdtype(train.labels.dtype, np.integer)
    arms = (arm for arm in config.arms if find_arm(arm).is_criterion)
    fields = dict.fromkeys(arms, "arms") | {config.prune.criterion: "prune.criterion"}
    for name, field in fields.items():
        criterion = CRITERIA.find(name)
        # Those that learn take all of them.
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
    """Checks that the loss takes the net's outputs and the labels; computes nothing.

    Raises:
      ConfigError: naming the loss.
    """

    def measures(key: jax.Array) -> dict[str, jax.Array]:
        inputs, labels = map(jnp.asarray, (train.inputs[:2], train.labels[:2]))
        outputs, _ = network.apply(*network.init(key), inputs, False)
        return loss.measures(outputs, labels)

    is_float = not np.issubdtype(train.labels.dtype, np.integer)
    try:
        if is_float and config.loss.name == "cross_entropy":
            raise ValueError("it takes classes; for numbers there is mean_squared_error")
        jax.eval_shape(measures, jax.random.key(0))
    except (AssertionError, TypeError, ValueError) as error:
        raise ConfigError(
            f"loss.name: {config.loss.name!r} is not allowed for labels"
            f" {_described(train.labels)} ({str(error).splitlines()[0]})"
        ) from None


def _described(labels: np.ndarray) -> str:
    return f"{labels.dtype}[{', '.join(['N', *map(str, labels.shape[1:])])}]"
