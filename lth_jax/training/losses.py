"""Losses: the functions that training minimises, and the metrics beside them."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float, Integer, Shaped

from lth_jax.masks import Params
from lth_jax.registry import Registry, callables
from lth_jax.training.state import Apply, Array, BatchStats

Logits = Float[jax.Array, "n *inner classes"]
Classes = Integer[jax.Array, " n *inner"]
Targets = Shaped[jax.Array, "n ..."]
PerExample = Float[jax.Array, " n"]
Measure = Callable[[jax.Array, jax.Array], jax.Array]  # (outputs, labels) to [N]
BatchLoss = Callable[..., tuple[jax.Array, BatchStats]]


class Examples(NamedTuple):
    """Examples of one split: inputs of any dtype [N, ...], labels [N, ...]."""

    inputs: Array
    labels: Array


@jax.tree_util.register_pytree_with_keys_class
class Metrics(dict[str, Any]):
    """Means over examples, by name: "loss", and the metrics of the loss; float32[...].

    `metrics.loss` is `metrics["loss"]`. It is a pytree, as a dict is.
    """

    def __getattr__(self, name: str) -> Any:
        if name not in self:
            raise AttributeError(f"{name}: not measured; there are {', '.join(self)}")
        return self[name]

    def tree_flatten_with_keys(self) -> tuple[list[tuple[Any, Any]], tuple[str, ...]]:
        """The values by name, in alphabetical order."""
        names = tuple(sorted(self))
        return [(jax.tree_util.DictKey(name), self[name]) for name in names], names

    @classmethod
    def tree_unflatten(cls, names: tuple[str, ...], values: Iterable[Any]) -> "Metrics":
        """The metrics of these names and values; undoes `tree_flatten_with_keys`."""
        return cls(zip(names, values, strict=True))


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Loss:
    """The loss that training minimises, a static node of pytrees for `jit` and `vmap`.

    `losses` takes outputs [N, ...] and labels [N, ...], and returns float32[N], one per
    example. The metrics, by name, do the same; evaluation measures them beside the loss.
    """

    losses: Measure
    metrics: Mapping[str, Measure] = dataclasses.field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Raises ValueError if a metric has the loss's name."""
        if "loss" in self.metrics:
            raise ValueError("metrics: 'loss' is the name of the loss itself")

    def per_example(self, outputs: jax.Array, labels: Targets) -> PerExample:
        """The loss of each example, float32[N]; raises ValueError on another shape."""
        return _per_example("loss", self.losses, outputs, labels)

    def measures(self, outputs: jax.Array, labels: Targets) -> dict[str, PerExample]:
        """The loss and every metric of each example, by name, as `per_example`."""
        return {
            name: _per_example(name, measure, outputs, labels)
            for name, measure in {"loss": self.losses, **self.metrics}.items()
        }


def _per_example(
    name: str, measure: Measure, outputs: jax.Array, labels: Targets
) -> PerExample:
    found = jnp.asarray(measure(outputs, labels), jnp.float32)
    if found.shape != labels.shape[:1]:
        are_single = labels.shape[1:] == (1,) and found.shape[:1] == labels.shape[:1]
        raise ValueError(
            f"{name}: of shape {found.shape}; must be {labels.shape[:1]}, one per example"
            + (
                f"; labels are {labels.shape}, and so must outputs be"
                if are_single
                else ""
            )
        )
    return found


def _mean_of_each(values: Float[jax.Array, "n ..."]) -> PerExample:
    """The mean over all axes but the first."""
    return values.mean(tuple(range(1, values.ndim))) if values.ndim > 1 else values


def cross_entropy(logits: Logits, labels: Classes) -> PerExample:
    """Cross-entropy in nats, float32[N], of logits [N, ..., C] and labels [N, ...]."""
    losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels)
    return _mean_of_each(losses)


def accuracy(logits: Logits, labels: Classes) -> PerExample:
    """The share of an example's labels that have the highest logit; float32[N]."""
    return _mean_of_each((logits.argmax(-1) == labels).astype(jnp.float32))


def mean_squared_error(outputs: Float[jax.Array, "n ..."], labels: Targets) -> PerExample:
    """The mean of (output - label)**2 over an example; float32[N].

    Raises:
      ValueError: unless labels have the outputs' shape; they may lack a last axis of 1.
    """
    if outputs.shape == (*labels.shape, 1):
        outputs = outputs[..., 0]
    if outputs.shape != labels.shape:
        raise ValueError(
            f"outputs: of shape {outputs.shape}; must be {labels.shape}, as the labels"
        )
    return _mean_of_each(jnp.square(outputs - labels))


CROSS_ENTROPY = Loss(cross_entropy, {"accuracy": accuracy})
MEAN_SQUARED_ERROR = Loss(mean_squared_error)

LOSSES = Registry(
    "loss",
    {"cross_entropy": CROSS_ENTROPY, "mean_squared_error": MEAN_SQUARED_ERROR},
    callables("must be a Loss, or a function of outputs and labels", Loss),
)


def make_loss(apply_fn: Apply, loss: Loss = CROSS_ENTROPY) -> BatchLoss:
    """Makes `batch_loss(params, batch_stats, inputs, labels, key)`.

    It returns the mean loss of the batch, float32[], and the new batch statistics.
    """

    def batch_loss(
        params: Params,
        batch_stats: BatchStats,
        inputs: jax.Array,
        labels: jax.Array,
        key: jax.Array | None,
    ) -> tuple[Float[jax.Array, ""], BatchStats]:
        outputs, batch_stats = apply_fn(params, batch_stats, inputs, True, key)
        return loss.per_example(outputs, labels).mean(), batch_stats

    return batch_loss
