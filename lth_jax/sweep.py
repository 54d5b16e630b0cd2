"""Runs all studies of a sweep in one process. Those that share a program train together.

  python -m lth_jax.sweep --config=configs/sweeps/init.py
  python -m lth_jax.sweep --config=mnist1d --sweep=configs/sweeps/seeds.py

Repeat the command to resume a sweep that stopped; finished studies are skipped. `python
-m lth_jax.launch` runs each study as its own job.
"""

import functools
import pathlib
from collections.abc import Mapping, Sequence

from absl import flags

from lth_jax import devices, points
from lth_jax import main as of_a_study
from lth_jax.config import StudyConfig
from lth_jax.errors import Exit
from lth_jax.lottery.interruption import Interrupted, Interruption
from lth_jax.store import claim
from lth_jax.store.workdir import Workdir

flags.adopt_module_key_flags(of_a_study)
flags.adopt_module_key_flags(points)


def main(argv: Sequence[str], interruption: Interruption | None = None) -> int:
    """Runs the sweep that the flags describe; returns the exit code."""

    def prepared() -> of_a_study.Prepared:
        file = points.SWEEP.value
        root, found = points.described(
            pathlib.Path(file) if file else points.config_file()
        )
        studies = {workdir.root: point.study for point, workdir in found}
        command = functools.partial(_run, root, studies, interruption)
        return list(studies.values()), command

    return of_a_study.carry_out("lth_jax.sweep", argv, prepared, interruption)


def _run(
    root: pathlib.Path,
    studies: Mapping[pathlib.Path, StudyConfig],
    interruption: Interruption | None,
) -> int:
    # Imported here so that a wrong flag is reported at once.
    from lth_jax import run

    devices.use_all_cores()
    devices.check()
    todo = devices.from_first(lambda: _unfinished(studies))
    failed = {}
    if todo:
        of_a_study.use_compilation_cache()
        of_a_study.say(f"to train: {len(todo)} of {len(studies)} studies")
        try:
            failed = run.run_several(todo, interruption)
        except Interrupted:
            of_a_study.say(f"saved in {root}; go on with the same command")
            return Exit.SAVED
    for folder, error in failed.items():
        of_a_study.say(f"{folder.name}: {error}")
    done = [folder for folder in studies if folder not in failed]
    of_a_study.say(f"{len(done)} of {len(studies)} studies are finished, in {root}")
    if done:
        shown = list(map(Workdir, done))
        text = devices.from_first(lambda: points.result(root, shown))
        if devices.is_first():
            print(text)
    return Exit.WRONG if failed else 0


def _unfinished(
    studies: Mapping[pathlib.Path, StudyConfig],
) -> dict[pathlib.Path, StudyConfig]:
    """The studies still to train; checks first that each folder can hold its study."""
    from lth_jax.lottery.results import is_finished

    for folder, config in studies.items():
        claim.check(Workdir(folder), config)
    return {
        folder: config
        for folder, config in studies.items()
        if not is_finished(config, Workdir(folder))
    }


if __name__ == "__main__":
    of_a_study.start(main, __doc__)
