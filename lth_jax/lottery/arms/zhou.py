"""Zhou: the actions of Zhou et al. 2019, "Deconstructing Lottery Tickets".

Mask-0 actions leave pruned weights at their init. Mask-1 actions change the weights that
the mask keeps, and may keep their signs. Their "reinit" differs from the arm "reinit" in
biases and normalisation alone.
"""

import dataclasses
from collections.abc import Callable

from lth_jax import masks as masks_lib
from lth_jax.lottery.arms import actions
from lth_jax.lottery.arms.arm import Arm, Colour, Origin, Rules, Start
from lth_jax.lottery.arms.rewound import rewound_params, start_ticket, untrained
from lth_jax.masks import Params


def start_freeze(origin: Origin, rules: Rules) -> Start:
    """The ticket, whose pruned weights stay at their rewound values."""
    never_kept = dataclasses.replace(rules, rewind=untrained(rules.rewind))
    started = start_ticket(origin, never_kept)
    constants = actions.frozen(rewound_params(origin, rules), origin.masks)
    return started._replace(frozen=constants)


def start_freeze_moved_away(origin: Origin, rules: Rules) -> Start:
    """As `start_freeze`, for weights that the dense net did not move towards 0."""
    started = start_freeze(origin, rules)
    assert origin.dense is not None  # the arm says that it needs it
    moved = actions.moved_away(origin.initial.params, origin.dense.params)
    return started._replace(frozen=masks_lib.apply(moved, started.frozen))


def _redrawn(origin: Origin, rules: Rules) -> Params:
    return rules.init(origin.init_key)[0]


def _reshuffled(origin: Origin, rules: Rules) -> Params:
    params = rewound_params(origin, rules)
    return actions.reshuffle(origin.init_key, params, origin.masks, rules.prunable)


def _constant(origin: Origin, rules: Rules) -> Params:
    return actions.constant(origin.init_key, origin.initial.params, rules.prunable)


def acting(
    act: Callable[[Origin, Rules], Params], *, same_signs: bool
) -> Callable[[Origin, Rules], Start]:
    """The start of an arm: an action makes its prunable leaves, the rest is rewound."""

    def start(origin: Origin, rules: Rules) -> Start:
        rewound, params = rewound_params(origin, rules), act(origin, rules)
        if same_signs:
            params = actions.with_signs(params, rewound, rules.prunable)
        params = actions.replace_prunable(rewound, params, rules.prunable)
        point = dataclasses.replace(origin.point, params=params)
        what = dataclasses.replace(untrained(rules.rewind), params="rewind")
        acted = dataclasses.replace(rules, rewind=what)
        return start_ticket(origin._replace(point=point), acted)

    return start


# An arm that keeps signs, or freezes fewer weights, has a darker shade of the colour of
# the arm that does not.
ARMS = {
    "freeze": Arm(
        start_freeze,
        "freeze",
        "the ticket with its pruned weights frozen, not zero",
        Colour("#56b4e9", "#2b8fc9", "#9ad1f5"),
    ),
    "freeze_moved_away": Arm(
        start_freeze_moved_away,
        "freeze_moved_away",
        "the ticket with pruned weights frozen that moved away from 0",
        Colour("#1d5c80", "#1d5c80", "#d3ecff"),
        needs_dense=True,
    ),
    "reshuffle": Arm(
        acting(_reshuffled, same_signs=False),
        "reshuffle",
        "the ticket's weights shuffled within its mask",
        Colour("#b8a800", "#8a7d00", "#d9cc4a"),
    ),
    "constant": Arm(
        acting(_constant, same_signs=False),
        "constant",
        "constants of random signs under the ticket's mask",
        Colour("#8f79d6", "#7d64cc", "#ae9bee"),
    ),
    "reinit_signs": Arm(
        acting(_redrawn, same_signs=True),
        "reinit_signs",
        "a fresh init with the ticket's signs and mask",
        Colour("#8c3b00", "#8c3b00", "#ffcba6"),
    ),
    "reshuffle_signs": Arm(
        acting(_reshuffled, same_signs=True),
        "reshuffle_signs",
        "the ticket's weights shuffled within its mask, signs kept",
        Colour("#665d00", "#554d00", "#f3eeb4"),
    ),
    "constant_signs": Arm(
        acting(_constant, same_signs=True),
        "constant_signs",
        "constants of the ticket's signs under its mask",
        Colour("#4b2e91", "#4b2e91", "#ddd3ff"),
    ),
}
