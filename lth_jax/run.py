"""Run: runs a study from config to verdict, with your own net, data and loss."""

import contextlib
import dataclasses
import pathlib
import re
import zlib
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

import flax.linen as nn
import jax
import numpy as np

from lth_jax import config as lth_config
from lth_jax import devices
from lth_jax.analysis.verdict import Verdict, judge
from lth_jax.config import StudyConfig
from lth_jax.config.requirements import require
from lth_jax.data import DATA_SETS, DataError
from lth_jax.errors import UserError
from lth_jax.lottery.arms import ARMS
from lth_jax.lottery.checks import check_arms
from lth_jax.lottery.executor import Executor
from lth_jax.lottery.interruption import Interruption
from lth_jax.lottery.loading import Loaded, load
from lth_jax.lottery.study import Study, build
from lth_jax.lottery.tickets import Tickets
from lth_jax.masks import Masks, Params
from lth_jax.models import MODELS
from lth_jax.pruning.criteria import CRITERIA
from lth_jax.store import correct, records, tickets, trackers
from lth_jax.store.claim import opened
from lth_jax.store.workdir import Workdir, read_config
from lth_jax.training.losses import LOSSES

if TYPE_CHECKING:
    import pandas


@dataclasses.dataclass(frozen=True)
class Result:
    """The results of a study, read from its workdir."""

    workdir: Workdir  # `python -m lth_jax.report --workdir=…` writes its page

    def __str__(self) -> str:
        """Returns the workdir and the verdict in sentences."""
        return f"study in {self.workdir.root}\n{self.verdict}"

    __repr__ = __str__  # what a notebook shows

    @property
    def verdict(self) -> Verdict:
        """Returns whether tickets win, and at which densities."""
        config = read_config(self.workdir)
        runs = records.read(self.workdir.records)
        return judge(
            runs,
            config.verdict,
            is_rewound=config.rewind.is_rewound,
            correct=correct.read(self.workdir.records, runs),
        )

    @property
    def records(self) -> "pandas.DataFrame":
        """Returns every evaluation of every net, one per row (tidy data).

        Raises:
          UserError: if pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise UserError("records needs pandas; pip install pandas") from error

        files = sorted(self.workdir.records.glob("level_*.csv"))
        return pandas.concat(map(pandas.read_csv, files), ignore_index=True)

    def ticket(self, level: int, replicate: int | None = None) -> tuple[Params, Masks]:
        """Returns a ticket: a level's starting weights, 0 where pruned, and its masks.

        The replicate defaults to the study's first.

        Raises:
          ConfigError: if there is no such level.
          NoReplicate: if there is no such replicate.
        """
        config = read_config(self.workdir)
        last = config.num_levels - 1
        allowed = f"from 0, the dense net, to {last}"
        require("level", level, 0 <= level <= last, allowed)
        if replicate is None:
            replicate = config.first_replicate
        params, masks, _ = tickets.load(self.workdir.ticket(level), replicate)
        return params, masks


def run_study(
    config: StudyConfig | Mapping[str, Any] | None = None,
    *,
    workdir: str | pathlib.Path,
    model: Any = None,
    data: Any = None,
    loss: Any = None,
    criterion: Any = None,
    arms: tuple[Any, ...] = (),
) -> Result:
    """Runs a whole study, or resumes one; no finished work is repeated.

    Objects or names replace the names in the config. If an object cannot be imported,
    only a call with the same objects can resume the study.

    Args:
      config: a `StudyConfig`, a ConfigDict or nested dicts; None means the default.
      workdir: the folder for the study's files, either new or already this study's.
      model: a linen module or its class, in place of `model.name`.
      data: (x_train, y_train, x_test, y_test) arrays, in place of `data.name`.
      loss: a function from `(outputs, labels)` to one loss per example, or a `Loss`.
      criterion: a function from evidence to scores, or a `Criterion`; low scores are
        pruned first.
      arms: additional arms, each a function of `(origin, rules)`.

    Raises:
      UserError: if a field is wrong; it names the field, its value and what is allowed.

    Example:
      result = run_study(config, model=MyNet(), data=arrays, workdir="runs/mine")
      result.verdict, result.records, result.ticket(level=3, replicate=0)
    """
    study = config if isinstance(config, StudyConfig) else lth_config.read(config or {})
    arrays = data if data is None or isinstance(data, str) else lambda: data
    for group, field, thing, registry, name in (
        ("model", "name", model, MODELS, _described(model)),
        ("data", "name", arrays, DATA_SETS, "arrays"),
        ("loss", "name", loss, LOSSES, None),
        ("prune", "criterion", criterion, CRITERIA, None),
    ):
        if thing is not None:
            own: Any = getattr(study, group)
            own = dataclasses.replace(own, **{field: registry.give(thing, name)})
            study = dataclasses.replace(study, **{group: own})
    more = tuple(ARMS.give(arm) for arm in arms)
    study = dataclasses.replace(study, arms=(*study.arms, *more))
    study.check()
    check_arms(study)
    return Result(run(study, pathlib.Path(workdir)))


def _described(model: Any) -> str | None:
    """A module's class and the values of its fields, which identify it."""
    if not isinstance(model, nn.Module):
        return None
    fields = (
        f.name for f in dataclasses.fields(model) if f.name not in ("parent", "name")
    )
    values = ", ".join(f"{name}={getattr(model, name)!r}" for name in fields)
    where = re.compile(r" at 0x[0-9a-f]+")  # a function's address differs in each process
    return f"{type(model).__name__}({where.sub('', values)})"


def _digest(tree: Any) -> int:
    """A checksum of arrays."""
    leaves = map(np.asarray, jax.tree.leaves(tree))
    return zlib.crc32(
        b"".join(
            zlib.crc32(np.ascontiguousarray(x).data).to_bytes(4, "big") for x in leaves
        )
    )


def run(
    config: StudyConfig,
    root: pathlib.Path,
    interruption: Interruption | None = None,
) -> Workdir:
    """Trains the unfinished part of a study, given its checked config and its folder.

    If an interruption asks it to stop, it saves and raises `Interrupted`. Returns the
    study's workdir.
    """
    _train({root: _built(config, {})}, interruption)
    return Workdir(root)


def run_several(
    configs: Mapping[pathlib.Path, StudyConfig],
    interruption: Interruption | None = None,
) -> dict[pathlib.Path, UserError]:
    """Runs several studies by folder, as `run` does; returns the errors of failed ones.

    Studies that share a program train together (see `lottery.study.Study.program`). Each
    has the same records as if it ran alone. One that fails does not stop the others.

    Raises:
      UserError: before any study trains, if one does not fit its data.
    """
    groups = _by_program(configs)
    failed: dict[pathlib.Path, UserError] = {}
    while groups:
        studies = groups.pop(next(iter(groups)))  # frees its device memory
        while studies:
            try:
                _train(studies, interruption)
                break
            except UserError as error:
                mine = [root for root, study in studies.items() if study is error.study]
                if not mine:
                    raise
                failed[mine[0]] = error
                del studies[mine[0]]
    return failed


def _by_program(
    configs: Mapping[pathlib.Path, StudyConfig],
) -> dict[Hashable, dict[pathlib.Path, Study]]:
    """Groups studies by their program, which those that train together share."""
    groups: dict[Hashable, dict[pathlib.Path, Study]] = {}
    loaded: dict[Hashable, Loaded] = {}
    for root, config in configs.items():
        try:
            study = _built(config, loaded)
        except UserError as error:
            error.args = (f"{root.name}: {error}",)
            raise
        groups.setdefault(study.program, {})[root] = study
    return groups


def _built(config: StudyConfig, loaded: dict[Hashable, Loaded]) -> Study:
    """Builds a study, and loads its data if needed; all processes must have the same."""
    trackers.check(config)
    config.mesh.check_devices(devices.data_sizes())
    of_data = config.data, config.seed
    if of_data not in loaded:
        loaded[of_data] = devices.by_all(lambda: load(config))
    study = devices.by_all(lambda: build(config, loaded[of_data]))
    if devices.are_several() and devices.differ(_digest(study.splits)):
        error = DataError(f"{config.data.name}: the data differ between processes")
        error.is_common = True
        raise error
    return study


def _train(
    studies: Mapping[pathlib.Path, Study], interruption: Interruption | None
) -> None:
    """Trains the unfinished parts of studies, which are given by folder."""
    with contextlib.ExitStack() as stack:
        found = []
        for root, study in studies.items():
            opening = opened(root, study.config, study.data_note)
            found.append(Tickets(study, stack.enter_context(opening)))
        Executor(found, interruption).run()
