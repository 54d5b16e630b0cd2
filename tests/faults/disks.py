"""Disks that are full: a small file system, or a limit on the size of files."""

import contextlib
import os
import pathlib
import shutil
import subprocess

from faults.outcomes import Case, Outcome, Said, Trial, judge
from faults.study import Bench, commands_of, content, differing

_PAGE = 4096


class Disks:
    """Runs the study of a bench where there is little room, then with more."""

    def __init__(self, bench: Bench, folder: pathlib.Path):
        self._bench = bench
        self._folder = folder / "disk"
        self._commands = commands_of(bench)

    def fill(self, case: Case) -> Trial:
        """A tmpfs of a random size, at most twice what the study needs."""
        needed = sum(x.stat().st_size for x in self._bench.whole.rglob("*"))
        size = case.rng.randrange(16 * _PAGE, 2 * needed)
        with mounted(self._folder, f"size={size}") as remount:
            root = self._folder / "study"
            first = self._run(root)
            remount("size=1g")
            return self._judge(f"a disk of {size} bytes", root, first)

    def limit(self, case: Case) -> Trial:
        """No file may exceed a random size, at most that of the largest."""
        largest = max(x.stat().st_size for x in self._bench.whole.rglob("*"))
        size = case.rng.randrange(largest)
        root = self._folder / "study"
        shutil.rmtree(root, ignore_errors=True)
        self._folder.mkdir(exist_ok=True)
        first = self._run(root, file_bytes=size)
        return self._judge(f"files of {size} bytes at most", root, first)

    def _judge(self, did: str, root: pathlib.Path, first: Said) -> Trial:
        """The first run is clear or whole; with more room the study is whole."""
        expected = content(self._bench.whole)
        other = differing(content(root), expected) if first.code == 0 else []
        found = judge(did, first, other)
        if found.outcome == Outcome.FELL_SHORT:
            return found
        again = self._run(root)
        ends = judge(
            f"{did}, then again with more", again, differing(content(root), expected)
        )
        if ends.outcome == Outcome.CLEAR_ERROR:  # there is room now
            return ends._replace(outcome=Outcome.FELL_SHORT)
        return max(found, ends, key=lambda trial: trial.outcome)

    def _run(self, root: pathlib.Path, **what) -> Said:
        command = self._bench.command(root, **what)
        return Said(*self._commands.run_together([command])[0])


@contextlib.contextmanager
def mounted(folder: pathlib.Path, options: str):
    """A tmpfs at a folder; gives what mounts it again with other options."""

    def mount(options: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        subprocess.run(command, check=True, capture_output=True)

    folder.mkdir(exist_ok=True)
    mount(options)
    try:
        yield lambda options: mount(f"remount,{options}")
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def why_not_mount(folder: pathlib.Path) -> str | None:
    """Why no disk can be filled here; None where one can."""
    if os.geteuid() != 0:
        return "only root may mount a small disk"
    try:
        with mounted(folder / "tried", "size=65536"):
            return None
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no small disk can be mounted ({error})"
