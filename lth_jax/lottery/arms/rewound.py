"""Rewound: the ticket, and the arms that change one part of its start."""

import dataclasses

import jax

from lth_jax import masks as masks_lib
from lth_jax.lottery.arms.arm import Arm, Colour, Origin, Rules, Start
from lth_jax.masks import Masks, Params, Prunable, default_prunable
from lth_jax.training.rewinding import Rewind, rewind
from lth_jax.training.state import initial_state


def start_ticket(origin: Origin, rules: Rules) -> Start:
    """The ticket's masks and rewound weights (Frankle & Carbin 2019, section 2)."""
    return _started(origin, rules, rules.rewind)


def start_reinit(origin: Origin, rules: Rules) -> Start:
    """The ticket's masks and a fresh init (Frankle & Carbin 2019, figure 3 right)."""
    params, batch_stats = rules.init(origin.init_key)
    fresh = initial_state(params, rules.tx, batch_stats)
    # The schedule is the ticket's, but never constant, since nothing was trained yet.
    point = dataclasses.replace(fresh, step=origin.point.step)
    what = Rewind(schedule=untrained(rules.rewind).schedule)
    return _started(origin._replace(point=point), rules, what)


def start_shuffle(origin: Origin, rules: Rules) -> Start:
    """The rewound weights under a permuted mask (Frankle et al. 2021, section 5)."""
    return _started(_shuffled(origin, rules), rules, untrained(rules.rewind))


def start_random(origin: Origin, rules: Rules) -> Start:
    """A fresh init under a permuted mask (Frankle & Carbin 2019, figure 1)."""
    return start_reinit(_shuffled(origin, rules), rules)


def start_continue(origin: Origin, rules: Rules) -> Start:
    """The ticket's masks and the trained weights that they were pruned from."""
    kept = dataclasses.replace(rules.rewind, params="keep", batch_stats="keep")
    return _started(origin, rules, kept)


def shuffle_masks(
    key: jax.Array, masks: Masks, prunable: Prunable = default_prunable
) -> Masks:
    """Masks permuted within each prunable leaf: same counts, other places."""

    def shuffle(i: int, mask: jax.Array) -> jax.Array:
        leaf_key = jax.random.fold_in(key, i)
        return jax.random.permutation(leaf_key, mask.ravel()).reshape(mask.shape)

    return masks_lib.map_prunable(shuffle, prunable, masks)


def untrained(what: Rewind) -> Rewind:
    """The rewinding of a member that keeps nothing trained.

    Kept params and statistics become those of step k. Kept moments become fresh. A
    constant schedule becomes that of step k, since these weights are not trained yet.
    """
    return Rewind(
        params="init" if what.params == "init" else "rewind",
        batch_stats="init" if what.batch_stats == "init" else "rewind",
        optimizer="rewind" if what.optimizer == "rewind" else "fresh",
        schedule="restart" if what.schedule == "restart" else "rewind",
    )


def rewound_params(origin: Origin, rules: Rules) -> Params:
    """The weights, not masked, that a member which keeps nothing trained rewinds to."""
    to_init = rules.rewind.params == "init"
    return (origin.initial if to_init else origin.point).params


def _shuffled(origin: Origin, rules: Rules) -> Origin:
    return origin._replace(
        masks=shuffle_masks(origin.mask_key, origin.masks, rules.prunable)
    )


def _started(origin: Origin, rules: Rules, what: Rewind) -> Start:
    state = rewind(
        origin.point, origin.masks, rules.tx, origin.trained, what, origin.initial
    )
    return Start(state, origin.masks)


ARMS = {
    "ticket": Arm(
        start_ticket, "ticket", "the ticket", Colour("#0072b2", "#0072b2", "#56b4e9")
    ),
    "reinit": Arm(
        start_reinit,
        "reinit",
        "a fresh init under the ticket's mask",
        Colour("#d55e00", "#d55e00", "#f08c4a"),
    ),
    "shuffle": Arm(
        start_shuffle,
        "shuffle",
        "the ticket's weights under a shuffled mask",
        Colour("#009e73", "#009e73", "#35c79c"),
    ),
    "random": Arm(
        start_random,
        "random",
        "a fresh init under a shuffled mask",
        Colour("#cc79a7", "#b85f92", "#e09ac0"),
    ),
    # Strategy 2 in appendix B of the paper starts a level in the same way. It has tickets
    # of its own, and this arm has the study's tickets.
    "continue": Arm(
        start_continue,
        "continue",
        "the trained weights, not rewound, under the ticket's mask",
        Colour("#e69f00", "#b87900", "#f0b840"),
        needs_trained=True,
    ),
}
