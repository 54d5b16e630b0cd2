"""Training: one network, from its state to a compiled segment."""

from lth_jax.training.evaluation import make_evaluate
from lth_jax.training.losses import Examples, Loss, Metrics
from lth_jax.training.segment import Best, Curves, make_segment
from lth_jax.training.state import Apply, TrainState, initial_state, project
from lth_jax.training.steps import Steps, make_steps

__all__ = [
    "Apply",
    "Best",
    "Curves",
    "Examples",
    "Loss",
    "Metrics",
    "Steps",
    "TrainState",
    "initial_state",
    "make_evaluate",
    "make_segment",
    "make_steps",
    "project",
]
