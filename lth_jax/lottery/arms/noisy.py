"""Noisy: tickets with noise on the rewound weights, to test how exact an init must be."""

import functools

from lth_jax.lottery.arms import actions
from lth_jax.lottery.arms.arm import Arm, Colour, Origin, Rules
from lth_jax.lottery.arms.rewound import rewound_params
from lth_jax.lottery.arms.zhou import acting
from lth_jax.masks import Params


def _noisy(factor: float, origin: Origin, rules: Rules) -> Params:
    params, initial = rewound_params(origin, rules), origin.initial.params
    return actions.noise(origin.init_key, params, initial, factor, rules.prunable)


def _arm(name: str, factor: float, *colours: str) -> Arm:
    return Arm(
        acting(functools.partial(_noisy, factor), same_signs=False),
        name,
        f"the ticket's weights with noise of {factor:g} standard deviations",
        Colour(*colours),
    )


# Frankle & Carbin 2019, appendix F.7. More noise has a darker colour, and a lighter one
# on a dark page.
ARMS = {
    "noise_half": _arm("noise_half", 0.5, "#8fae3c", "#7d9a2e", "#5f7a1c"),
    "noise_1": _arm("noise_1", 1, "#6c8a1f", "#64801c", "#86a53a"),
    "noise_2": _arm("noise_2", 2, "#4c6610", "#4c6610", "#adca66"),
    "noise_3": _arm("noise_3", 3, "#2f4206", "#2f4206", "#d6ecaa"),
}
