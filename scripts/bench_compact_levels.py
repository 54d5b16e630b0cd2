"""Times levels of a study with and without `compact_levels`, one JSON line per level.

  python scripts/bench_compact_levels.py --config=configs/lenet.py --config.num_steps=2000
      --config.num_replicates=2 [--levels=5,10,15,20] [--steps=400] [--repeats=7]
  python scripts/bench_compact_levels.py --config=configs/conv4.py --config.num_steps=4
      --config.num_levels=3 --config.prune.structure=units
      --config.prune.fraction=0.3 --config.prune.conv_fraction=0.3
      --config.eval_every_steps=4 --config.checkpoint_every_steps=4 --examples=500
      --levels=1,2 --steps=4

The study runs first, with only the ticket, in --workdir (by default a temporary folder).
Then its members train for `--steps` steps from each level's start, evaluations included.
Large nets and smaller ones take turns: `faster` is the median ratio over the repeats.
`compile_s` is the time to compile each level's sizes.
"""

import dataclasses
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence

from absl import app, flags
from ml_collections import config_flags
from timing import ratio, report, timed

from lth_jax import config as lth_config
from lth_jax import masks
from lth_jax.config import command_line
from lth_jax.devices import use_all_cores
from lth_jax.lottery import loop
from lth_jax.lottery.arms import Start
from lth_jax.lottery.begun import Begun, Training, fresh
from lth_jax.lottery.executor import Executor
from lth_jax.lottery.jobs import Job
from lth_jax.lottery.study import Splits, build
from lth_jax.lottery.tickets import Tickets
from lth_jax.lottery.trainer import Trainer
from lth_jax.shrinking import compact_members
from lth_jax.store import claim
from lth_jax.training.losses import Examples

_CONFIG = config_flags.DEFINE_config_file("config")
_LEVELS = flags.DEFINE_list("levels", ["5", "10", "15", "20"], "levels to time")
_STEPS = flags.DEFINE_integer("steps", 400, "steps to time")
_EXAMPLES = flags.DEFINE_integer("examples", None, "most examples of each split")
_REPEATS = flags.DEFINE_integer("repeats", 7, "repeats of each measurement")
_WORKDIR = flags.DEFINE_string("workdir", None, "the study's folder, new or to resume")


def measure(job: Job, start: Start, repeats: int) -> None:
    """Times one level."""
    study, trainer = job.study, Trainer(job.study)
    compact = compact_members(study.network.module, start.state, start.masks, study.tx)
    begun = {
        "large": Begun(job, start, None, None, fresh(job, start.state, start.masks)),
        "small": Begun(
            job, start, None, compact, fresh(job, compact.states, compact.masks)
        ),
    }
    trained: dict[str, Training] = {}

    def train(name: str) -> Callable[[], None]:
        def run() -> None:
            _, reached = list(trainer.train([begun[name]]))[-1]
            trained[name] = reached()[0].training

        return run

    began = time.perf_counter()
    train("small")()
    compile_s = time.perf_counter() - began
    seconds = timed({name: train(name) for name in ("large", "small")}, repeats)
    losses = [trained[name].curves.validation["loss"] for name in ("large", "small")]
    report(
        "compact level",
        net=study.config.model.name,
        level=job.level,
        density=round(masks.density(start.masks), 4),
        units=compact.selections[0].sizes,
        of=dict(compact.selections[0].numbers),
        faster=ratio(seconds["large"], seconds["small"]),
        compile_s=round(compile_s - statistics.median(seconds["small"]), 2),
        largest_difference_of_losses=float(abs(losses[0] - losses[1]).max()),
    )


def main(argv: Sequence[str]) -> None:
    """Runs the study and times its levels."""
    del argv
    use_all_cores()
    config = dataclasses.replace(
        lth_config.read(_CONFIG.value), arms=("ticket",), compact_levels=True
    )
    with tempfile.TemporaryDirectory() as scratch:
        study = build(config)
        few = [Examples(*(x[: _EXAMPLES.value] for x in s)) for s in study.splits]
        study = dataclasses.replace(study, splits=Splits(*few))
        root = pathlib.Path(_WORKDIR.value or scratch)
        with claim.opened(root, config, study.data_note) as files:
            Executor([Tickets(study, files)]).run()
            short = dataclasses.replace(config, num_steps=_STEPS.value)
            tickets = Tickets(dataclasses.replace(study, config=short), files)
            for job in loop.find_tickets(tickets.study):
                if job.level in map(int, _LEVELS.value):
                    start, _ = loop.start(job, tickets.find(job))
                    measure(job, start, _REPEATS.value)


if __name__ == "__main__":
    app.run(main, flags_parser=lambda argv: flags.FLAGS(command_line.prepare(argv)))
