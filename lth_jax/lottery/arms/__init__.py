"""Arms: what trains at a level, one family a file.

Each has a function `(origin, rules) -> Start` of one member. What goes back to where
when a level starts is the study's `Rewind`, here "rewound"; "never kept" is step k where
the rewinding would keep what was trained, with fresh moments and the schedule of step k.

| arm | params and statistics | moments | schedule |
| --- | --- | --- | --- |
| ticket | rewound | rewound | rewound |
| continue | of the trained net | rewound | rewound |
| shuffle, freeze | rewound, never kept | the same | the same |
| reshuffle, constant, *_signs, noise_* | the same, then changed | the same | the same |
| reinit, random | fresh | fresh | rewound, never constant |
| gradual, set, rigl | of the init | fresh | from step 0 |
"""

from typing import Any

from lth_jax.lottery.arms import changing, noisy, rewound, zhou
from lth_jax.lottery.arms.arm import Arm, Colour, Origin, Rules, Start
from lth_jax.lottery.arms.rewound import shuffle_masks
from lth_jax.pruning.criteria import CRITERIA
from lth_jax.registry import Registry, UnknownName


def _made(found: Any, name: str | None = None) -> Arm:
    """An arm; one of a plain function is given everything that it could read."""
    if isinstance(found, Arm):
        return found
    if not callable(found):
        raise TypeError("an arm is an `Arm`, or a function of (origin, rules)")
    label = name or getattr(found, "__name__", type(found).__name__).replace("_", " ")
    sentence = f"the arm '{label}'"
    return Arm(found, label, sentence, needs_trained=True, needs_dense=True)


# Okabe and Ito's palette, and colours of Tol's kind, told apart by colour-blind readers.
ARMS = Registry("arm", rewound.ARMS | zhou.ARMS | noisy.ARMS | changing.ARMS, _made)

__all__ = [
    "ARMS",
    "Arm",
    "Colour",
    "Origin",
    "Rules",
    "Start",
    "find_arm",
    "reported_arm",
    "shuffle_masks",
]


def find_arm(name: str) -> Arm:
    """The arm of a name: in `ARMS`, a criterion, or `package.module:name`.

    A criterion is an arm that starts as the ticket, under masks of its own.

    Raises:
      UnknownName: with the names that there are.
    """
    if name in CRITERIA:
        return Arm(rewound.start_ticket, name, name, is_criterion=True)
    try:
        return ARMS.find(name)
    except UnknownName as error:
        if ":" in name:
            raise
        raise UnknownName(f"{error}; or a criterion: {', '.join(CRITERIA)}") from None


def reported_arm(name: str) -> Arm:
    """As `find_arm`; of an arm of one's own that is not there any more, its name alone.

    Raises:
      UnknownName: on a name that never was one.
    """
    try:
        return find_arm(name)
    except UnknownName:
        if ":" not in name:
            raise

    def start(origin: Origin, rules: Rules) -> Start:
        raise ValueError(f"arm: {name!r} is not there any more")

    return _made(start, name.replace(":", ".").rpartition(".")[2].replace("_", " "))
