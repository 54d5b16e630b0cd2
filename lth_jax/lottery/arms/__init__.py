"""Arms: the ways to start a level, one family a file.

Each arm has a function `(origin, rules) -> Start` of one member. "Rewound" means reset
as the study's `Rewind` says. Some rewindings keep trained weights. "Never kept" replaces
these by the weights of step k, with fresh moments and the schedule of step k.

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
    """The arm of `found`; a plain function becomes an arm that may read all origins."""
    if isinstance(found, Arm):
        return found
    if not callable(found):
        raise TypeError("an arm is an `Arm`, or a function of (origin, rules)")
    label = name or getattr(found, "__name__", type(found).__name__).replace("_", " ")
    sentence = f"the arm '{label}'"
    return Arm(found, label, sentence, needs_trained=True, needs_dense=True)


# The colours are Okabe and Ito's palette, and some in the manner of Tol's. Colour-blind
# readers can tell them apart.
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
    """As `find_arm`; an own arm that no longer exists becomes an arm that cannot start.

    Reports need only its label.

    Raises:
      UnknownName: if the name was never that of an arm.
    """
    try:
        return find_arm(name)
    except UnknownName:
        if ":" not in name:
            raise

    def start(origin: Origin, rules: Rules) -> Start:
        raise ValueError(f"arm: {name!r} is not there any more")

    return _made(start, name.replace(":", ".").rpartition(".")[2].replace("_", " "))
