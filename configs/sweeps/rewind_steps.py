"""Rewind steps for any config of long training: the init, and steps up to 5,000.

Command:   python -m lth_jax.sweep --config=resnet20 --sweep=configs/sweeps/rewind_steps.py
"""  # noqa: E501  # a command is one line

from collections.abc import Callable


def sweep(add: Callable[..., None]) -> None:
    """Adds the steps k that levels are rewound to."""
    add(**{"rewind.preset": "rewind", "rewind.step": "0"})
    for k in ("100", "500", "1000", "2000", "5000"):
        add(**{"rewind.preset": "late_rewind", "rewind.step": k})
