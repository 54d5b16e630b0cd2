"""Jobs: a study that schedulers can stop, and what is left of it."""

import pathlib

# A second or two of training, in many segments.
TINY = (
    "--config=configs/mnist1d.py:smoke",
    "--config.num_levels=2",
    "--config.arms=ticket",
    "--config.num_replicates=1",
    "--config.num_steps=400",
    "--config.eval_every_steps=20",
    "--config.checkpoint_every_steps=20",
)


def has_saved(root: pathlib.Path) -> bool:
    """Whether a study is in the middle of a level."""
    return any(root.glob("checkpoints/in_training*/*"))
