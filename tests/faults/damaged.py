"""Damaged files: every file of a workdir and of a package, in every way."""

import json
import pathlib
import random
import shutil
from typing import Any

import numpy as np
from support.damage import DAMAGES

from faults.inside import Inside, said
from faults.outcomes import Case, Outcome, Said, Trial, judge, worst
from faults.study import Bench, content, differing, fresh
from lth_jax import deploy
from lth_jax.errors import UserError, fail

_NUMBERS = ("verdict.json", "table.txt")
_INPUTS = np.random.default_rng(0).normal(size=(7, 40, 1)).astype(np.float32)


class Damager:
    """Damages one file of a copy, and asks every command that reads it."""

    def __init__(self, bench: Bench, folder: pathlib.Path):
        self._bench = bench
        self._folder = folder / "damaged"
        self._inside = inside = Inside(bench)
        root = fresh(bench.whole, self._folder)
        self._printed = inside.report(root).out
        self._whole = content(root)  # with figures as they are drawn here
        (self._folder / "deployed").mkdir()
        self._levels = [self._deployed(root, level)[1] for level in range(3)]
        self._logits = np.asarray(deploy.load(bench.package)(_INPUTS))

    def damage(self, case: Case) -> Trial:
        """One file damaged in one way, and all that is asked of it then."""
        rng = case.rng
        base = rng.choices(("whole", "cut", "package"), (6, 3, 1))[0]
        source = getattr(self._bench, base)
        root = fresh(source, self._folder)
        path = _chosen(root, rng)
        name = path.relative_to(root).as_posix()
        other = self._other(base, path, name, rng)
        damage = rng.choice(sorted(DAMAGES))
        DAMAGES[damage](path, rng, other)
        # A file without its SHA-256, as one that was copied alone, is taken as it is.
        self._lost = name if damage == "deleted" and name.endswith(".sha256") else None
        did = f"{base}: {name} {damage}"
        if base == "package":
            return self._load(did, root)
        if base == "cut":
            return self._go_on(f"{did}, then main", root)
        return self._ask(did, name, root)

    def _other(self, base, path, name, rng) -> pathlib.Path:
        """Another study's file of the same name, or of the same folder."""
        if base == "package":
            return rng.choice(sorted(x for x in path.parent.iterdir() if x != path))
        there = self._bench.other / name
        if there.exists():
            return there
        others = self._bench.other.rglob("*")
        same = [x for x in others if x.is_file() and x.parent.name == path.parent.name]
        return rng.choice(sorted(same) or [self._bench.other / "config.json"])

    def _ask(self, did: str, name: str, root: pathlib.Path) -> Trial:
        """Reports, deploys, trains what is left, and reports again."""
        found = [self._report(f"{did}, then report", root)]
        for level in range(3):
            if name.startswith((f"checkpoints/level_{level:02d}", "config", "env")):
                found.append(self._deploy(f"{did}, then deploy", root, level))
        found.append(again := self._go_on(f"{did}, then main", root))
        if again.outcome == Outcome.IDENTICAL:
            found.append(self._report(f"{did}, then main and report", root))
        return worst(found)

    def _report(self, did: str, root: pathlib.Path) -> Trial:
        """The verdict must be the same.

        With a warning the page may lack a figure, and the verdict intervals over test
        examples.
        """
        said = self._inside.report(root)
        if said.code != 0:
            return judge(did, said, [])
        found = content(root)
        verdicts = (json.loads(x["verdict.json"]) for x in (found, self._whole))
        other = [x for x in _NUMBERS if found.get(x) != self._whole[x]]
        if other and said.warned and lacks_two_way(*verdicts):
            return Trial(Outcome.CLEAR_ERROR, did, said.last_line)
        if said.out != self._printed:
            other.append("what is printed")
        if found["report.html"] != self._whole["report.html"]:
            if not other and said.warned:
                return Trial(Outcome.CLEAR_ERROR, did, said.last_line)
            other.append("report.html, without a warning")
        return judge(did, said, other)

    def _go_on(self, did: str, root: pathlib.Path) -> Trial:
        said = self._inside.main(root)
        found = content(root) if said.code == 0 else self._whole
        other = [x for x in differing(found, self._whole) if x != self._lost]
        return judge(did, said, other)

    def _deploy(self, did: str, root: pathlib.Path, level: int) -> Trial:
        said, weights = self._deployed(root, level)
        other = [] if said.code else differing(weights, self._levels[level])
        return judge(did, said, other)

    def _deployed(self, root: pathlib.Path, level: int) -> tuple[Said, dict[str, bytes]]:
        """The weights of a level's package, without where they come from."""
        out = self._folder / "deployed" / f"{level}"
        shutil.rmtree(out, ignore_errors=True)
        said = self._inside.deploy(root, level, out)
        if said.code:
            return said, {}
        with np.load(out / "weights.npz") as arrays:
            names = [name for name in arrays.files if name != "provenance"]
            return said, {name: arrays[name].tobytes() for name in names}

    def _load(self, did: str, root: pathlib.Path) -> Trial:
        other = []

        def command() -> int:
            try:
                logits = np.asarray(deploy.load(root)(_INPUTS))
            except UserError as error:
                return fail(str(error))
            if not np.array_equal(logits, self._logits):
                other.append("logits")
            return 0

        return judge(f"{did}, then deploy.load", said(command), other)


def _chosen(root: pathlib.Path, rng: random.Random) -> pathlib.Path:
    """A file; each folder, and each file beside them, is as likely as another."""
    files = sorted(x for x in root.rglob("*") if x.is_file() and not x.is_symlink())
    groups: dict[str, list[pathlib.Path]] = {}
    for path in files:
        groups.setdefault(path.relative_to(root).parts[0], []).append(path)
    return rng.choice(groups[rng.choice(sorted(groups))])


def lacks_two_way(found: Any, whole: Any) -> bool:
    """Whether a verdict differs at most in intervals over test examples."""
    if isinstance(whole, dict):
        return found.keys() == whole.keys() and all(
            key.endswith("two_way") or lacks_two_way(found[key], whole[key])
            for key in whole
        )
    if isinstance(whole, list):
        pairs = zip(found, whole, strict=False)
        return len(found) == len(whole) and all(lacks_two_way(*pair) for pair in pairs)
    return bool(found == whole)
