"""Four seeds of any config; each draws new inits, data order and controls.

Command:   python -m lth_jax.launch --config=mnist1d --sweep=configs/sweeps/seeds.py
"""

from collections.abc import Callable


def sweep(add: Callable[..., None]) -> None:
    """Adds a point for each seed."""
    for seed in range(4):
        add(seed=seed)
