"""Four seeds of any config: inits, data order and controls are drawn anew for each.

Command:   python -m lth_jax.launch --config=mnist1d --sweep=configs/sweeps/seeds.py
"""

from collections.abc import Callable


def sweep(add: Callable[..., None]) -> None:
    """Adds the points, each of the fields that it changes."""
    for seed in range(4):
        add(seed=seed)
