"""Trained: one replicate's ticket as a level left it, read from a study's checkpoints."""

import jax

from lth_jax import masks
from lth_jax.config import StudyConfig
from lth_jax.core.tickets import Start
from lth_jax.errors import UserError
from lth_jax.store import checkpoints as checkpoint
from lth_jax.store.workdir import Workdir
from lth_jax.study.experiment import Experiment
from lth_jax.training import initial_state


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


def load(experiment: Experiment, workdir: Workdir, level: int, replicate: int) -> Start:
    """The state at the end of a level's training, and the masks, as NumPy arrays.

    Raises:
      TrainedError: as `check`, or if the checkpoint is damaged.
    """
    config = experiment.config
    check(config, workdir, level, replicate)

    def structure(key: jax.Array) -> Start:
        params, batch_stats = experiment.network.init(key)
        state = initial_state(params, experiment.tx, batch_stats)
        return Start(state, masks.full(params))

    keys = jax.random.split(jax.random.key(0), config.num_replicates)
    try:
        found = checkpoint.load(
            workdir.level(level), jax.eval_shape(jax.vmap(structure), keys)
        )
    except checkpoint.DamagedCheckpoint as error:
        raise TrainedError(f"level: {level} cannot be read ({error})") from None
    one: Start = jax.tree.map(lambda leaf: leaf[replicate], Start(*found))
    return one
