"""Shards: copies of a study's workdir that say that they have other replicates."""

import json
import pathlib
import shutil

from lth_jax.store import records
from lth_jax.store.files import write_sealed
from lth_jax.store.workdir import Workdir, read_config


def shard(study: Workdir, root: pathlib.Path, first: int, **changes) -> Workdir:
    """A copy whose replicates count from `first`, with other values of its config."""
    files = Workdir(pathlib.Path(shutil.copytree(study.root, root)))
    note(files.config, first_replicate=first, **changes)
    moved_by = first - read_config(study).first_replicate
    for (arm, level), runs in records.by_group(records.read(files.records)).items():
        moved = [run._replace(replicate=run.replicate + moved_by) for run in runs]
        records.write(records.path_of(files.records, arm, level), moved)
    return files


def note(path: pathlib.Path, **changes) -> None:
    """Changes what a JSON file says, and its SHA-256."""
    write_sealed(path, json.dumps(json.loads(path.read_text()) | changes).encode())


def forget(files: Workdir, name: str) -> None:
    """As before an arm at a level was trained, or several."""
    for path in files.records.glob(f"{name}.*"):
        path.unlink()
