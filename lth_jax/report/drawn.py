"""Drawn: records what a study's page was made from, to know whether it is up to date.

A file beside the page lists everything that the page depends on, and the SHA-256 of each
file written. The code and the libraries that draw are included.
"""

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import pathlib
from collections.abc import Iterable
from typing import Any, NamedTuple

from lth_jax.config import VerdictConfig
from lth_jax.lottery.arms import reported_arm
from lth_jax.pruning.criteria import CRITERIA
from lth_jax.store.files import is_lost, noted_digest, whole
from lth_jax.store.workdir import Workdir, read_config

_PACKAGE = pathlib.Path(__file__).parents[1]
_LIBRARIES = "matplotlib", "numpy", "scipy", "jinja2"


class _Noted(NamedTuple):
    """The content of that file."""

    origin: dict[str, Any]  # what the page depends on
    written: dict[str, str]  # SHA-256 by path


def is_up_to_date(workdir: Workdir, settings: VerdictConfig | None) -> bool:
    """Returns whether `report.write` would write the same files again.

    For sealed files it reads only the stored SHA-256, which `results.is_finished` checks.
    """
    try:
        noted = json.loads(workdir.drawn.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    here = _Noted(origin(workdir, settings), _digests(workdir, _written(workdir)))
    return bool(noted == here._asdict())


def origin(workdir: Workdir, settings: VerdictConfig | None) -> dict[str, Any]:
    """Returns everything that a page drawn now would depend on, as JSON values."""
    config = read_config(workdir)
    return {
        "title": workdir.root.resolve().name,
        "settings": json.loads(
            json.dumps(dataclasses.asdict(settings or config.verdict))
        ),
        "arms": {name: _looks(name) for name in config.arms},
        "code": _code(),
        "libraries": {name: importlib.metadata.version(name) for name in _LIBRARIES},
        "read": _digests(workdir, _read(workdir)),
    }


def note(workdir: Workdir, before: dict[str, Any]) -> None:
    """Records that the report was drawn from `before`, which `origin` returned.

    If a file is damaged, its figures are missing, and nothing is recorded. Otherwise the
    page would seem up to date after the repair, which restores the same SHA-256.
    """
    if any(map(is_lost, _read(workdir))):
        workdir.drawn.unlink(missing_ok=True)
        return
    here = _Noted(before, _digests(workdir, _written(workdir)))
    with whole(workdir.drawn) as unfinished:
        text = json.dumps(here._asdict(), indent=1) + "\n"
        unfinished.write_text(text, encoding="utf-8")


def _read(workdir: Workdir) -> list[pathlib.Path]:
    """The files that a report reads."""
    folders = workdir.records, workdir.tickets, workdir.weights, workdir.analyses
    found = [path for folder in folders for path in folder.glob("[!.]*")]
    return [workdir.config, workdir.environment, *filter(pathlib.Path.is_file, found)]


def _written(workdir: Workdir) -> list[pathlib.Path]:
    """The files that a report writes."""
    figures = workdir.figures.glob("*.p[nd][gf]")  # not another process's partial files
    return [workdir.page, workdir.table, workdir.verdict, *figures]


def _digests(workdir: Workdir, paths: Iterable[pathlib.Path]) -> dict[str, str]:
    """SHA-256 by path in the workdir; missing files are left out."""
    return {
        str(path.relative_to(workdir.root)): noted_digest(path)
        for path in sorted(paths)
        if path.exists() and path.suffix != ".sha256"
    }


def _looks(name: str) -> list[Any]:
    """What figures show of an arm, which may be the user's own."""
    arm = reported_arm(name)
    looks = CRITERIA.find(name).looks if arm.is_criterion else None
    return [arm.label, arm.sentence, arm.colour and list(arm.colour), looks]


@functools.cache
def _code() -> str:
    """A digest of this package's files, which changes with versions and local edits."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*")):
        if path.is_file() and path.suffix in (".py", ".html", ".css", ".js"):
            digest.update(str(path.relative_to(_PACKAGE)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()
