"""The floors: each imports only from floors below it."""

import ast
import pathlib
import subprocess
import sys

import pytest

PACKAGE = pathlib.Path(__file__).parents[1] / "lth_jax"

# Rooms by floor, the ground first; `lth_jax` itself, the notebook API, is the roof.
FLOORS = {
    "errors": 0,
    "terminal": 0,
    "leaves": 0,
    "version": 0,
    "npz": 1,
    "layout": 1,
    "masks": 1,
    "registry": 1,
    "removal": 2,
    "wiring": 2,
    "models": 2,
    "data": 2,
    "devices": 2,
    "training": 3,
    "pruning": 4,
    "shrinking": 5,
    "config": 5,
    "store": 6,
    "lottery": 7,
    "analysis": 8,
    "deploy": 8,
    "report": 9,
    "supervisor": 8,
    "run": 10,
    "together": 10,
    "analyze": 11,
    "main": 11,
    "__main__": 12,
    "points": 12,
    "sweep": 13,
    "launch": 13,
    "lth_jax": 14,
}
PURE = ("masks", "models", "pruning", "removal", "training")
FORBIDDEN_IN_PURE = {
    "absl",
    "matplotlib",
    "ml_collections",
    "orbax",
    "tensorflow_datasets",
    "tqdm",
}


def room(module: str) -> str:
    """The room that a dotted module name lies in."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in FLOORS else "lth_jax"


def imports(path: pathlib.Path) -> set[str]:
    """Everything a file imports, at its top or later, as dotted names."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_every_file_imports_only_from_floors_below(path):
    relative = path.relative_to(PACKAGE).with_suffix("")
    here = relative.parts[0] if relative.parts != ("__init__",) else "lth_jax"
    for name in imports(path):
        if name.split(".")[0] == "lth_jax":
            there = room(name)
            allowed = there == here or FLOORS[there] < FLOORS[here]
            assert allowed, f"{here} (floor {FLOORS[here]}) imports {name}"
        elif here in PURE:
            assert name.split(".")[0] not in FORBIDDEN_IN_PURE


def test_every_room_has_a_floor():
    rooms = {p.stem if p.is_file() else p.name for p in PACKAGE.iterdir()}
    assert rooms - {"__init__", "__pycache__", "py"} == FLOORS.keys() - {"lth_jax"}


def test_the_notebook_api_imports_fast_and_nothing_heavy():
    heavy = FORBIDDEN_IN_PURE - {"absl"}  # optax imports that itself
    code = f"""
import sys, time
began = time.process_time()
import lth_jax
seconds = time.process_time() - began
print(seconds, *sorted(set(sys.modules) & {heavy!r}))
"""
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
        for _ in range(3)
    ]
    assert all(loaded == [] for _, *loaded in runs)
    assert min(float(seconds) for seconds, *_ in runs) < 2


def test_a_report_starts_without_what_few_reports_need():
    code = """
import sys
import lth_jax.report.page
print(*{"scipy.signal", "scipy.stats"} & set(sys.modules))
"""
    run = [sys.executable, "-c", code]
    assert subprocess.run(run, capture_output=True, check=True).stdout.strip() == b""


def test_every_public_name_is_there_and_documented():
    import lth_jax

    for name in lth_jax.__all__:
        assert getattr(lth_jax, name).__doc__, name
