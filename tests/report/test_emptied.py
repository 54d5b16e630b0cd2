"""Reports of studies that pruned a layer, or the whole net, to nothing."""

import io
import json
import re
import shutil

import numpy as np
import pytest
from support.tiers import quick

from lth_jax import report
from lth_jax.config import Claim, VerdictConfig
from lth_jax.store import records
from lth_jax.store.files import write_sealed
from lth_jax.store.records import Curve
from lth_jax.store.workdir import Workdir

LAST = 2  # of the tiny study's levels


WHAT = ["a layer", "the last level", "all levels"]


@pytest.fixture(params=quick("the last level", of=WHAT))
def emptied(request, tiny_study, tmp_path):
    """A copy of the tiny study; its records and tickets say that so much is pruned."""
    files = Workdir(shutil.copytree(tiny_study.root, tmp_path / "emptied"))
    levels = range(1 if request.param == "all levels" else LAST, LAST + 1)
    for level in levels:
        empty_ticket(files.ticket(level), one_layer=request.param == "a layer")
        if request.param != "a layer":
            for path in files.records.glob(f"level_{level:02d}-*.csv"):
                arm = path.stem.partition("-")[2]
                rewrite(path, [r for r in records.read(files.records) if r.arm == arm])
    return files, request.param


def empty_ticket(path, one_layer):
    with np.load(path) as arrays:
        found = dict(arrays)
    for name in found:
        if re.match("mask/dense_0/kernel" if one_layer else "mask/.*kernel", name):
            found[name] = np.zeros_like(found[name])
    file = io.BytesIO()
    np.savez_compressed(file, **found)
    write_sealed(path, file.getvalue())


def rewrite(path, runs):
    level = int(path.stem[6:8])
    nothing = {("mask", "weights_left"): Curve(np.array([0]), np.array([0]))}
    mine = [run for run in runs if run.level == level]
    records.write(
        path, [r._replace(density=0.0, curves=r.curves | nothing) for r in mine]
    )


def test_a_study_pruned_to_nothing_is_reported(emptied, tmp_path):
    files, what = emptied
    claims = (Claim(0.5, "accuracy", 0.0, -1.0, 1.0, "a"),)
    printed = report.write(files, VerdictConfig(claims=claims))
    verdict = json.loads(files.verdict.read_text())
    for level in verdict["levels"]:
        is_empty = what == "all levels" or (what, level["level"]) == (
            "the last level",
            LAST,
        )
        assert (level["density"] == 0) == is_empty
        assert (level["weights_left"] == 0) == is_empty
    if what != "a layer":
        assert re.search(rf"^ +{LAST} +0\.00% ", printed, re.MULTILINE)
        table = files.table.read_text()
        assert re.search(rf"^ +{LAST} +0\.00% +0 ", table, re.MULTILINE)
        assert "0% of the weights" in files.page.read_text()
    names = {path.stem for path in files.figures.iterdir()}
    assert {"accuracy_at_early_stop", "early_stop_step", "layer_densities"} <= names
    page = tmp_path / "both.html"
    other = Workdir(shutil.copytree(files.root, tmp_path / "other"))
    report.compare([files, other], page, [None, None])
    assert "<svg" in page.read_text()
