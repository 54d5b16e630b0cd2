"""What is drawn anew when a finished study is shown again, and what is not."""

import dataclasses
import json
import os
import shutil

import pytest

from lth_jax import report
from lth_jax.report import drawn
from lth_jax.store.workdir import Workdir, read_config


@pytest.fixture(scope="module")
def shown(tiny_study, tmp_path_factory):
    """A study that was reported, and what was printed."""
    root = tmp_path_factory.mktemp("drawn") / "tiny"
    shutil.copytree(tiny_study.root, root)
    files = Workdir(root)
    return files, report.write(files)


@pytest.fixture
def copy(shown, tmp_path):
    """A copy of the same name, to be changed."""
    shutil.copytree(shown[0].root, tmp_path / "tiny")
    return Workdir(tmp_path / "tiny")


@pytest.fixture
def draws(monkeypatch):
    """Whether showing a study draws it."""
    monkeypatch.setattr(report, "write", lambda *_: "drawn")
    return lambda *given: report.show(*given) == "drawn"


def test_nothing_is_drawn_where_all_is_up_to_date(shown, draws, copy):
    files, printed = shown
    before = {p: p.stat().st_mtime_ns for p in files.root.rglob("*") if p.is_file()}
    assert report.show(files) == printed
    assert not draws(copy)
    os.utime(copy.page)  # when it was written says nothing
    assert not draws(copy)
    assert before == {p: p.stat().st_mtime_ns for p in before}


def change_a_record(files):
    path = sorted(files.records.glob("*.csv"))[0]
    seal = path.with_name(f"{path.name}.sha256")
    seal.write_text(f"{'0' * 64}  {path.name}\n")


def add_an_analysis(files):
    files.analyses.mkdir()
    (files.analyses / "overlap.json").write_text("{}")


CHANGES = {
    "a record": change_a_record,
    "an analysis": add_an_analysis,
    "the page": lambda files: files.page.write_text("other"),
    "the table, gone": lambda files: files.table.unlink(),
    "a figure, gone": lambda files: next(files.figures.glob("*.png")).unlink(),
    "the note, gone": lambda files: files.drawn.unlink(),
    "the note, damaged": lambda files: files.drawn.write_text('{"origin": '),
    "a ticket, gone": lambda files: files.ticket(1).unlink(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_changed_is_drawn_anew(change, copy, draws):
    change(copy)
    assert draws(copy)


def test_other_settings_names_code_and_libraries_are_drawn_anew(copy, draws, monkeypatch):
    verdict = read_config(copy).verdict
    assert not draws(copy, verdict)
    assert draws(copy, dataclasses.replace(verdict, accuracy_margin=0.1))
    for name, other in (("_code", lambda: "edited"), ("_LIBRARIES", ("numpy",))):
        with monkeypatch.context() as patched:
            patched.setattr(drawn, name, other)
            assert draws(copy)
    renamed = Workdir(copy.root.rename(copy.root.with_name("other")))
    assert draws(renamed)


def test_a_page_that_lacks_what_was_damaged_is_never_up_to_date(copy):
    """It is mended to the same bytes, with the same SHA-256."""
    path = copy.weight_histograms(1)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    drawn.note(copy, drawn.origin(copy, None))
    path.write_bytes(whole)
    assert not drawn.is_up_to_date(copy, None)
    drawn.note(copy, drawn.origin(copy, None))
    assert drawn.is_up_to_date(copy, None)
    noted = json.loads(copy.drawn.read_text())
    assert {"report.html", "table.txt", "verdict.json"} < set(noted["written"])
