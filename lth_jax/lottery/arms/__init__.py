"""Arms: the package's by name; criteria are arms too."""

from typing import Any, NamedTuple

from lth_jax.pruning.criteria import CRITERIA
from lth_jax.registry import Registry


class Colour(NamedTuple):
    """Of figures in files, and of the page by day and by night."""

    figure: str
    light: str
    dark: str


class Arm(NamedTuple):
    """What a report asks of an arm."""

    label: str
    sentence: str
    colour: Colour | None = None
    is_criterion: bool = False


def _made(found: Any) -> Arm:
    if not isinstance(found, Arm):
        raise TypeError("must be an Arm")
    return found


ARMS = Registry(
    "arm",
    {
        "ticket": Arm("ticket", "the ticket", Colour("#0072b2", "#0072b2", "#56b4e9")),
        "reinit": Arm(
            "fresh init",
            "a fresh init of its mask",
            Colour("#d55e00", "#d55e00", "#f08c4a"),
        ),
        "shuffle": Arm(
            "shuffled mask",
            "its weights under a shuffled mask",
            Colour("#009e73", "#009e73", "#35c79c"),
        ),
        "random": Arm(
            "random mask, init",
            "a random mask and init",
            Colour("#cc79a7", "#b85f92", "#e09ac0"),
        ),
        "continue": Arm(
            "not rewound",
            "the net that is not rewound",
            Colour("#e69f00", "#b87900", "#f0b840"),
        ),
        "freeze": Arm(
            "pruned frozen",
            "the net with its pruned weights frozen, not zero",
            Colour("#56b4e9", "#2b8fc9", "#9ad1f5"),
        ),
        "freeze_moved_away": Arm(
            "frozen if moved away",
            "the net with pruned weights frozen that moved away from 0",
            Colour("#1d5c80", "#1d5c80", "#d3ecff"),
        ),
        "reshuffle": Arm(
            "shuffled weights",
            "its weights shuffled within its mask",
            Colour("#b8a800", "#8a7d00", "#d9cc4a"),
        ),
        "constant": Arm(
            "random signs",
            "constants of random signs in its mask",
            Colour("#8f79d6", "#7d64cc", "#ae9bee"),
        ),
        "reinit_signs": Arm(
            "fresh init, signs kept",
            "a fresh init of its mask with its signs",
            Colour("#8c3b00", "#8c3b00", "#ffcba6"),
        ),
        "reshuffle_signs": Arm(
            "shuffled, signs kept",
            "its weights shuffled within its mask, the signs kept",
            Colour("#665d00", "#554d00", "#f3eeb4"),
        ),
        "constant_signs": Arm(
            "signs alone",
            "constants of its signs in its mask",
            Colour("#4b2e91", "#4b2e91", "#ddd3ff"),
        ),
        "gradual": Arm(
            "gradual pruning",
            "the net that is pruned while it trains",
            Colour("#6a3d1f", "#6a3d1f", "#b07d5a"),
        ),
        "set": Arm("SET", "SET", Colour("#3a9d9d", "#2c8a8a", "#6fd3d3")),
        "rigl": Arm("RigL", "RigL", Colour("#c2185b", "#c2185b", "#ff7aa8")),
    },
    _made,
)


def find_arm(name: str) -> Arm:
    """An arm of the package's, a criterion, or that of `package.module:name`."""
    if name in CRITERIA:
        return Arm(name, name, is_criterion=True)
    return ARMS.find(name)
