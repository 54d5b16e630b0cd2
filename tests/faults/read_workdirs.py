"""Readers of a workdir's files: records, tickets, histograms, config, environment."""

import hashlib
import pathlib
import random
import shutil
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from faults.mutations import mutate, mutate_json, mutate_npz
from faults.readers import Reader
from faults.study import Bench
from lth_jax.config import StudyConfig
from lth_jax.store import histograms as histogram_files
from lth_jax.store import records as record_files
from lth_jax.store import tickets as ticket_files
from lth_jax.store.records import Run
from lth_jax.store.workdir import Workdir, read_config, read_environment

_LEVEL = 1


def records(bench: Bench, folder: pathlib.Path) -> Reader:
    """Of the dense net alone, since all of a folder are read."""
    path = folder / "records" / "level_00-ticket.csv"
    copied(bench.whole / "records" / path.name, path)

    def is_good(found: Any) -> bool:
        return all(isinstance(run, Run) and run.curves for run in found) and bool(found)

    return in_file(path, mutate, lambda: record_files.read(path.parent), is_good)


def tickets(bench: Bench, folder: pathlib.Path) -> Reader:
    """Whole tickets, and masks alone."""
    path = folder / Workdir(bench.whole).ticket(_LEVEL).name
    copied(Workdir(bench.whole).ticket(_LEVEL), path)

    def read() -> Any:
        return ticket_files.load(path, 0), ticket_files.load_masks(path)

    def is_good(found: Any) -> bool:
        (params, masks, provenance), (all_masks, _) = found
        pairs = zip(jax.tree.leaves(params), jax.tree.leaves(masks), strict=True)
        fits = all(
            p.shape == m.shape and p.dtype == np.float32 and m.dtype == bool
            for p, m in pairs
        )
        return fits and bool(all_masks) and isinstance(provenance, dict)

    return in_file(path, mutate_npz, read, is_good)


def histograms(bench: Bench, folder: pathlib.Path) -> Reader:
    """Counts, one fewer than edges."""
    path = folder / Workdir(bench.whole).weight_histograms(_LEVEL).name
    copied(Workdir(bench.whole).weight_histograms(_LEVEL), path)

    def is_good(found: Any) -> bool:
        return bool(found) and all(
            one.edges.ndim == 1
            and one.start.shape == one.end.shape == (len(one.edges) - 1,)
            and one.start.dtype.kind == one.end.dtype.kind == "i"
            for one in found.values()
        )

    return in_file(path, mutate_npz, lambda: histogram_files.load(path), is_good)


def config(bench: Bench, folder: pathlib.Path) -> Reader:
    """The config that a study noted."""
    return _note(bench, folder, "config.json", read_config, StudyConfig)


def environment(bench: Bench, folder: pathlib.Path) -> Reader:
    """Where a study began."""
    return _note(bench, folder, "environment.json", read_environment, dict)


def _note(
    bench: Bench,
    folder: pathlib.Path,
    name: str,
    read: Callable[[Workdir], Any],
    kind: type,
) -> Reader:
    """One of the JSON files in which a study notes what it is."""
    copied(bench.whole / name, folder / name)
    return in_file(
        folder / name,
        mutate_json,
        lambda: read(Workdir(folder)),
        lambda found: isinstance(found, kind),
    )


def copied(source: pathlib.Path, path: pathlib.Path) -> None:
    """Copies a file, and its SHA-256 where one lies beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, path)
    if _seal(source).exists():
        shutil.copyfile(_seal(source), _seal(path))


def in_file(
    path: pathlib.Path,
    change: Callable[[random.Random, bytes], bytes],
    read: Callable[[], Any],
    is_good: Callable[[Any], bool],
) -> Reader:
    """A reader of one file, which may have its SHA-256 beside it.

    Half of the inputs are sealed anew, so that what reads the content sees them; of the
    others none but the first content may be believed.
    """
    content = path.read_bytes()
    seal = _seal(path).read_bytes() if _seal(path).exists() else None
    written = read()
    is_own = True

    def write(rng: random.Random) -> str:
        nonlocal is_own
        changed = change(rng, content)
        path.write_bytes(changed)
        if seal is None:
            return path.name
        is_own = changed != content and rng.random() < 0.5
        digest = hashlib.sha256(changed).hexdigest()
        own = f"{digest}  {path.name}\n".encode()
        _seal(path).write_bytes(own if is_own else seal)
        return f"{path.name}{', sealed anew' if is_own else ''}"

    def is_as_said(found: Any) -> bool:
        return is_good(found) and (is_own or are_equal(found, written))

    return Reader(write, read, is_as_said)


def are_equal(a: Any, b: Any) -> bool:
    """Whether two trees of arrays and plain values hold the same."""
    (a_leaves, a_tree), (b_leaves, b_tree) = map(jax.tree.flatten, (a, b))
    return a_tree == b_tree and all(
        np.array_equal(x, y) for x, y in zip(a_leaves, b_leaves, strict=True)
    )


def _seal(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(f"{path.name}.sha256")
