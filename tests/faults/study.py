"""Study: the small real study that faults happen to, and what of it must be the same."""

import functools
import os
import pathlib
import re
import shutil
import signal
from typing import NamedTuple

from support.commands import Command, Commands
from support.paths import ROOT

_SETTINGS = (
    "--config.num_levels=3",
    "--config.num_steps=40",
    "--config.batch_size=30",
    "--config.eval_every_steps=10",
    "--config.checkpoint_every_steps=10",
    "--config.model.hidden_sizes=(12,8)",
    "--config.rewind.preset=late_rewind",
    "--config.rewind.step=10",
    "--config.arms=ticket,reinit,set",
    "--config.dynamic.update_every_steps=10",
)
_MOST_SECONDS = 900
_SAME_BYTES = ("records", "tickets", "weights")
_WHERE = re.compile(rb"/[^\s\"'<>&]*/study\b")  # a workdir, in a page


class Bench(NamedTuple):
    """The folder of a run of the harness: studies to copy, and what they are made of.

    `whole` was never disturbed; `cut` was stopped while its second level trained;
    `other` is of another seed; `package` is what deploy made of a level of `whole`.
    """

    folder: pathlib.Path

    @property
    def whole(self) -> pathlib.Path:
        return self.folder / "whole" / "study"

    @property
    def cut(self) -> pathlib.Path:
        return self.folder / "cut" / "study"

    @property
    def other(self) -> pathlib.Path:
        return self.folder / "other" / "study"

    @property
    def package(self) -> pathlib.Path:
        return self.folder / "package"

    @property
    def environment(self) -> dict[str, str]:
        """One device, as a user has it, and a cache of compiled programs of its own."""
        env = {
            k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "PYTHONPATH")
        }
        return {**env, "XDG_CACHE_HOME": str(self.folder / "cache")}

    def flags(self, root: pathlib.Path, *more: str) -> list[str]:
        """The study's flags, for a workdir."""
        data = f"--config.data.name=npz:{self.folder / 'data.npz'}"
        config = f"--config={ROOT / 'configs' / 'mnist1d.py'}:smoke"
        return [config, *_SETTINGS, data, f"--workdir={root}", *more]

    def command(self, root: pathlib.Path, *more: str, signals=(), **what) -> Command:
        """The command that trains it; it is killed if it never ends."""
        signals = (*signals, (_MOST_SECONDS, signal.SIGKILL))
        return Command("lth_jax.main", self.flags(root, *more), signals=signals, **what)


@functools.cache
def commands_of(bench: Bench) -> Commands:
    """What runs commands in the bench's environment, until this process ends."""
    return Commands(bench.environment)


def fresh(source: pathlib.Path, parent: pathlib.Path) -> pathlib.Path:
    """A copy of a study to do harm to, in a folder that is emptied before."""
    shutil.rmtree(parent, ignore_errors=True)
    shutil.copytree(source, parent / "study", symlinks=True)
    return parent / "study"


def content(root: pathlib.Path) -> dict[str, bytes]:
    """All that must be the same, by its path: every number that a user is shown.

    Of the page it is the text without the workdir's path, of figures the name alone, of
    all other files the bytes.
    """
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_dir() or any(part.startswith(".") for part in path.parts[1:]):
            continue
        if name.split("/")[0] in _SAME_BYTES or name in (
            "config.json",
            "verdict.json",
            "table.txt",
        ):
            found[name] = path.read_bytes()
        elif name == "report.html":
            found[name] = _WHERE.sub(b"ROOT", path.read_bytes())
        elif name.startswith("figures/"):
            found[name] = b""
    return found


def differing(found: dict[str, bytes], expected: dict[str, bytes]) -> list[str]:
    """The names of what is missing, other, or too much.

    Figures may be too many: one that lacked a damaged file may have had another name.
    """
    names = {*expected, *(x for x in found if not x.startswith("figures/"))}
    return [x for x in sorted(names) if found.get(x) != expected.get(x)]
