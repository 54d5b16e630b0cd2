"""Arms: how one member of an arm starts, with what a test does not name left out."""

import jax

from lth_jax.lottery.arms import Origin, Rules, Start, find_arm
from lth_jax.training.rewinding import REWINDS


def start_arm(
    arm,
    point,
    masks,
    tx,
    *,
    init,
    init_key=None,
    mask_key=None,
    trained=None,
    what=REWINDS["rewind"],
    initial=None,
    dense=None,
) -> Start:
    """Where one member starts."""
    key = jax.random.key(3)
    origin = Origin(
        masks=masks,
        initial=point if initial is None else initial,
        point=point,
        trained=trained,
        dense=dense,
        counts=None,
        init_key=key if init_key is None else init_key,
        mask_key=jax.random.key(4) if mask_key is None else mask_key,
    )
    return find_arm(arm).start(origin, Rules(tx, init, what))
