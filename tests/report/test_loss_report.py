"""Reports of a study that is judged by loss, and of one that is rarely tested."""

import json
import re
import shutil

import pytest
from support.studies import rarely_tested

from lth_jax import report
from lth_jax.errors import UserError
from lth_jax.store import records
from lth_jax.store.workdir import Workdir


@pytest.fixture
def tiny(tiny_study, tmp_path):
    shutil.copytree(tiny_study.root, tmp_path / "tiny")
    return Workdir(tmp_path / "tiny")


def rewrite(files, change):
    """Writes the records anew, as `change` makes them of all runs."""
    groups = {}
    for run in change(records.read(files.records)):
        groups.setdefault((run.arm, run.level), []).append(run)
    for key, runs in groups.items():
        records.write(records.path_of(files.records, *key), runs)


def without_accuracy(runs):
    for run in runs:
        kept = {k: c for k, c in run.curves.items() if not k[1].endswith("accuracy")}
        yield run._replace(curves=kept)


def test_a_study_without_accuracy_speaks_of_its_loss(tiny):
    rewrite(tiny, without_accuracy)
    printed = report.write(tiny)
    assert printed.splitlines()[1].split()[2] == "loss" and "Test loss and" in printed
    table = tiny.table.read_text()
    assert "loss at stop" in table and "test loss, at the stop" in table
    assert "acc at" not in table and "Test accuracy" not in printed
    verdict = json.loads(tiny.verdict.read_text())
    final = [run.curves["test", "loss"].values[-1] for run in records.read(tiny.records)]
    (dense, *_) = verdict["summaries"]
    assert dense["final_loss"]["value"] == pytest.approx(sum(final[:2]) / 2)
    names = {path.stem for path in tiny.figures.iterdir()}
    assert {"loss_at_early_stop", "loss_at_the_end", "training_loss_at_the_end"} <= names
    page = re.sub(r"<details>.*?</details>", "", tiny.page.read_text(), flags=re.DOTALL)
    assert "ticket, loss" in page and "dense net loss" in page
    assert "ccuracy" not in page


def test_a_study_that_is_rarely_tested_shows_how_validation_goes(tiny):
    report.write(tiny)
    lead = "accuracy (%) over training"
    assert f"Test {lead}" in tiny.page.read_text()
    before = tiny.verdict.read_text()
    rewrite(tiny, rarely_tested)
    rewrite(tiny, drop_most_test_losses)
    report.write(tiny)
    page = tiny.page.read_text()
    assert f"Validation {lead}" in page and f"Test {lead}" not in page
    assert tiny.verdict.read_text() == before


def drop_most_test_losses(runs):
    for run in runs:
        steps, values = run.curves["test", "loss"]
        last = records.Curve(steps[-1:], values[-1:])
        yield run._replace(curves=run.curves | {("test", "loss"): last})


def test_studies_on_one_page_share_a_metric(tiny, tiny_study, tmp_path):
    rewrite(tiny, without_accuracy)
    with pytest.raises(UserError, match=r"is judged by loss, .* by accuracy"):
        report.compare([tiny_study, tiny], tmp_path / "page.html", [None, None])
    both = [tiny, Workdir(shutil.copytree(tiny.root, tmp_path / "other"))]
    report.compare(both, tmp_path / "page.html", [None, None])
    assert "dense net, loss" in (tmp_path / "page.html").read_text()
