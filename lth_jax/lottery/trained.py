"""Trained: one replicate's ticket as a level left it, read from a study's checkpoints."""

import jax

from lth_jax import masks
from lth_jax.config import StudyConfig
from lth_jax.errors import UserError
from lth_jax.lottery.study import Study
from lth_jax.lottery.tickets import Trained
from lth_jax.store import checkpoints
from lth_jax.store.workdir import Workdir


class TrainedError(UserError):
    """A trained ticket that is not there."""


def check(config: StudyConfig, workdir: Workdir, level: int, replicate: int) -> None:
    """Checks that there is such a ticket; reads none.

    Raises:
      TrainedError: naming the level or the replicate, if the study has no such one, or
        not yet.
    """
    for name, value, number in (
        ("level", level, config.num_levels),
        ("replicate", replicate, config.num_replicates),
    ):
        if not 0 <= value < number:
            raise TrainedError(
                f"{name}: {value} is not allowed; must be from 0 to {number - 1}"
            )
    if not workdir.level(level).exists():
        raise TrainedError(f"level: {level} is not finished in {workdir.root}")


def load(study: Study, workdir: Workdir, level: int, replicate: int) -> Trained:
    """The state at the end of a level's training, and the masks, as NumPy arrays.

    Raises:
      TrainedError: as `check`, or if the checkpoint is damaged.
    """
    check(study.config, workdir, level, replicate)

    def like(key: jax.Array) -> Trained:
        state = study.initial_state(key)
        return Trained(state, masks.full(state.params))

    keys = jax.random.split(jax.random.key(0), study.config.num_replicates)
    structure = jax.eval_shape(jax.vmap(like), keys)
    try:
        found = checkpoints.load(workdir.level(level), structure)
    except checkpoints.DamagedCheckpoint as error:
        raise TrainedError(f"level: {level} cannot be read ({error})") from None
    one: Trained = jax.tree.map(lambda leaf: leaf[replicate], found)
    return one
