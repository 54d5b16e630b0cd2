"""Training: one network, from its state to a compiled segment."""

from lth_jax.training.evaluation import Evaluate, make_evaluate
from lth_jax.training.losses import (
    CROSS_ENTROPY,
    LOSSES,
    MEAN_SQUARED_ERROR,
    Examples,
    Loss,
    Metrics,
    make_loss,
)
from lth_jax.training.segment import Best, Curves, Segment, make_curves, make_segment
from lth_jax.training.state import (
    Apply,
    BatchStats,
    TrainState,
    initial_state,
    map_moments,
    project,
)
from lth_jax.training.steps import Steps, make_steps

__all__ = [
    "CROSS_ENTROPY",
    "LOSSES",
    "MEAN_SQUARED_ERROR",
    "Apply",
    "BatchStats",
    "Best",
    "Curves",
    "Evaluate",
    "Examples",
    "Loss",
    "Metrics",
    "Segment",
    "Steps",
    "TrainState",
    "initial_state",
    "make_curves",
    "make_evaluate",
    "make_loss",
    "make_segment",
    "make_steps",
    "map_moments",
    "project",
]
