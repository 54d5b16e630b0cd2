"""The page of several studies."""

import json
import re
import shutil
from types import SimpleNamespace

import pytest
from support import browsing
from support.shards import forget

from lth_jax import report
from lth_jax.analysis.intervals import Estimate
from lth_jax.analysis.metric import ACCURACY
from lth_jax.analysis.verdict import as_json
from lth_jax.report import comparison_page, page
from lth_jax.report.analysed import connectivity
from lth_jax.report.material import gather
from lth_jax.report.studies_table import studies_table
from lth_jax.store import analyses
from lth_jax.store.files import write_sealed
from lth_jax.store.workdir import Workdir


def make(tiny_study, root, **changes):
    """A copy of the tiny study with other values of its config."""
    shutil.copytree(tiny_study.root, root)
    files = Workdir(root)
    config = json.loads(files.config.read_text()) | changes
    write_sealed(files.config, json.dumps(config).encode())
    return files


@pytest.fixture
def studies(tiny_study, tmp_path):
    """Two, of which the second has a level less, and says other things of itself."""
    first = make(tiny_study, tmp_path / "first")
    second = make(tiny_study, tmp_path / "second", seed=7, num_levels=2)
    for path in second.records.glob("level_02-*"):
        path.unlink()
    return [first, second]


def compare(studies, path):
    printed = report.compare(studies, path, [None] * len(studies))
    *_, nothing, last = printed.splitlines()
    assert (nothing, last) == ("", f"page     {path}")
    return path


def test_what_is_printed_is_the_main_answers_of_the_page(studies, visit, tmp_path):
    path = tmp_path / "both.html"
    printed = report.compare(studies, path, [None, None])
    head, *rows = browsing.rows(visit(path).page, "#studies")
    asked = ["study", "dense net, % accuracy", "matches dense down to", "winning tickets"]
    expected = [[row[head.index(name)] for name in asked] for row in (head, *rows)]
    lines = printed.splitlines()[: len(expected)]
    assert [re.split(r"  +", line) for line in lines] == expected


def test_studies_stand_side_by_side(studies, visit, tmp_path):
    found = visit(compare(studies, tmp_path / "both.html"))
    page = found.page
    page.wait_for_load_state("networkidle")
    assert (found.complaints, found.requests) == ([], [])
    head, *rows = browsing.rows(page, "#studies")
    assert [row[0] for row in rows] == ["first", "second"]
    column = head.index("winning tickets")
    for row, num_levels, files in zip(rows, (2, 1), studies, strict=True):
        assert row[column].partition(" (")[0].endswith(f" of {num_levels}")
        levels = gather(files, None).verdict.levels
        num_open = sum(level.winning.answer == "undecided" for level in levels)
        assert row[column].endswith(f"({num_open} undecided)") == (num_open > 0)
    for files, row in zip(studies, rows, strict=True):
        verdict = json.loads(json.dumps(as_json(gather(files, None).verdict)))
        dense = verdict["summaries"][0]["early_stop_accuracy"]
        shown = ACCURACY.text(Estimate(*dense.values()))
        assert row[head.index("dense net, % accuracy")] == shown
        density = f"{100 * verdict['answers']['best']['density']:.3g}%"
        assert row[head.index("most accurate at")] == density
        embedded = json.loads(page.locator("#verdict").text_content())
        assert embedded[row[0]] == verdict
    assert browsing.rows(page, "#differing") == [
        ["field", "first", "second"],
        ["seed", "0", "7"],
        ["num_levels", "3", "2"],
    ]


def test_a_row_links_to_the_page_of_its_study_if_there_is_one(studies, visit, tmp_path):
    studies[0].page.write_text("<h1>its page</h1>")
    (tmp_path / "pages").mkdir()
    page = visit(compare(studies, tmp_path / "pages" / "both.html")).page
    (link,) = page.locator("#studies a").all()
    assert link.text_content() == "first"
    assert link.get_attribute("href") == "../first/report.html"
    link.click()
    assert page.locator("h1").text_content() == "its page"


@pytest.mark.parametrize("are_short", [(True, True), (True, False)])
def test_speed_is_left_out_if_all_budgets_are_short(are_short, studies):
    materials = [
        material._replace(verdict=material.verdict._replace(is_budget_short=is_short))
        for material, is_short in zip(
            (gather(files, None) for files in studies), are_short, strict=True
        )
    ]
    table = studies_table(materials, ["first", "second"])
    assert ("speed-up" in table.heads) == (not all(are_short))
    assert {len(row) for row in table.rows} == {len(table.heads)}


def test_a_study_has_its_colour_and_can_be_hidden(studies, visit, tmp_path):
    page = visit(compare(studies, tmp_path / "both.html")).page
    assert page.locator("figure svg").count() == 3 + 3
    assert browsing.texts(page, ".legend button") == ["first", "second"]
    colours = page.evaluate(
        "[...document.querySelectorAll('[data-series] path[style*=stroke]')].map(path =>"
        " [path.closest('[data-series]').dataset.series, getComputedStyle(path).stroke])"
    )
    by_study = {}
    for key, colour in colours:
        by_study.setdefault(key, set()).add(colour)
    by_study.pop("reference", None)
    assert by_study["study0"].isdisjoint(by_study["study1"])
    second = page.locator("[data-series=study1]")
    displays = "all => all.map(x => getComputedStyle(x).display === 'none')"
    page.locator(".legend button", has_text="second").click()
    assert all(second.evaluate_all(displays))
    assert not any(page.locator("[data-series=study0]").evaluate_all(displays))
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_names_that_collide_are_told_apart_by_their_paths(tiny_study, visit, tmp_path):
    roots = [tmp_path / parent / "study" for parent in ("a", "b")]
    studies = [make(tiny_study, root) for root in roots]
    page = visit(compare(studies, tmp_path / "both.html")).page
    _, *rows = browsing.rows(page, "#studies")
    assert [row[0] for row in rows] == ["a/study", "b/study"]
    assert len(json.loads(page.locator("#verdict").text_content())) == 2
    assert page.locator("#differing").count() == 0  # nothing does


def test_long_names_leave_room_for_the_figures(tiny_study, visit, tmp_path):
    names = ["study " * 20 + end for end in ("one", "two")]
    studies = [make(tiny_study, tmp_path / name) for name in names]
    page = visit(compare(studies, tmp_path / "both.html")).page
    assert browsing.texts(page, ".legend button") == names
    labels = page.locator("#accuracy svg text[data-series], #accuracy [data-series] text")
    texts = labels.all_text_contents()
    assert {text[-3:] for text in texts} >= {"one", "two"}
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_of_many_studies_each_has_a_row_and_a_panel(tiny_study, visit, tmp_path):
    names = [f"init.name=init{i},seed={i % 2}" for i in range(18)]
    studies = [
        make(tiny_study, tmp_path / name, seed=i % 2, init={"name": f"init{i}"})
        for i, name in enumerate(names)
    ]
    found = visit(compare(studies, tmp_path / "many.html"))
    page = found.page
    assert (found.complaints, found.requests) == ([], [])
    assert page.locator("h1").text_content() == "18 studies by init.name"
    head, *rows = browsing.rows(page, "#studies")
    assert head[0] == "name"
    assert [row[0] for row in rows] == [f"init{i}" for i in range(18)]
    assert page.locator("figure svg").count() == 4 + 18
    rows = page.locator("#overview_over_reinit text").all_text_contents()
    assert {"init0", "init17"} <= set(rows)  # which decides the seed
    # No panel has more than a ticket, its fresh init, and the dense net.
    for i in range(18):
        lines = page.locator(f"#study_{i:02d} [data-series]")
        keys = {line.get_attribute("data-series") for line in lines.all()}
        assert keys == {"ticket", "reinit"}
    assert page.locator("#differing").is_hidden()
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_field_of_numbers_is_the_axis_and_another_the_colour(
    tiny_study, visit, tmp_path
):
    studies = [
        make(
            tiny_study,
            tmp_path / f"{rate}-{name}",
            optimizer={"learning_rate": rate},
            init={"name": name},
        )
        for name in ("he_normal", "glorot_normal")
        for rate in (0.1, 0.001, 0.01)
    ]
    page = visit(compare(studies, tmp_path / "rates.html")).page
    assert browsing.texts(page, ".legend button") == [
        "name he_normal",
        "name glorot_normal",
        "ticket",
        "reinit",
    ]
    for name in ("dense", "over_dense", "over_reinit"):
        texts = page.locator(f"#overview_{name} text").all_text_contents()
        ticks = [t for t in texts if t in ("0.001", "0.01", "0.1")]
        assert ticks == ["0.001", "0.01", "0.1"]
        assert "optimizer.learning_rate" in texts


def test_barriers_stand_along_the_axis_where_they_were_analysed(
    tiny_study, visit, tmp_path
):
    studies = [
        make(tiny_study, tmp_path / f"{rate}", optimizer={"learning_rate": rate})
        for rate in (0.1, 0.001, 0.01)
    ]
    page = visit(compare(studies, tmp_path / "without.html")).page
    assert page.locator("#overview_ticket_barrier").count() == 0
    for files, barrier in zip(studies, (0.5, 0.02, 0.1), strict=True):
        copies = {"levels": [measured(level, barrier / (1 + level)) for level in (0, 1)]}
        analyses.write(files.analysis("connectivity"), {"copies": copies})
    page = visit(compare(studies, tmp_path / "with.html")).page
    for name in ("dense_barrier", "ticket_barrier"):
        texts = page.locator(f"#overview_{name} text").all_text_contents()
        assert [t for t in texts if t in ("0.001", "0.01", "0.1")] == [
            "0.001",
            "0.01",
            "0.1",
        ]


def measured(level, barrier):
    """A level's barriers; those of statistics estimated anew count."""
    estimate = {"value": barrier, "low": barrier / 2, "high": 2 * barrier}
    lines = {
        "anew": {"error": {"barrier": estimate}},
        "interpolated": {"error": {"barrier": 1.0}},
    }
    return {"level": level, "density": 0.8**level, "lines": lines}


def test_a_barrier_is_of_the_sparsest_level_with_statistics_estimated_anew():
    levels = [measured(level, 0.5 / (1 + level)) for level in (0, 1, 4)]
    assert connectivity.barriers({"copies": {"levels": levels}}) == {
        "dense_barrier": Estimate(0.5, 0.25, 1.0),
        "ticket_barrier": Estimate(0.1, 0.05, 0.2),
    }
    del levels[2]["lines"]["anew"]
    assert connectivity.barriers({"copies": {"levels": levels}})["ticket_barrier"] == (
        Estimate(0.25, 0.125, 0.5)
    )
    assert connectivity.barriers({"levels": {}}) == {}


def test_notes_say_whose_they_are_and_names_are_no_code(studies, visit, tmp_path):
    first, second = studies
    forget(second, "level_01-shuffle")
    name = "<img src=q onerror=alert(1)>$x_"
    root = first.root.rename(first.root.with_name(name))
    environment = json.loads(second.environment.read_text()) | {"data_note": "<b>odd"}
    write_sealed(second.environment, json.dumps(environment).encode())
    found = visit(compare([Workdir(root), second], tmp_path / "both.html"))
    assert (found.complaints, found.requests) == ([], [])
    partial, odd, *_ = browsing.texts(found.page, ".note")
    assert partial.startswith("second: Partial: 3 of 4 arms and levels are finished.")
    assert odd == "second: <b>odd"
    assert browsing.texts(found.page, ".legend button") == [name, "second"]
    figure = found.page.locator("#accuracy")
    assert name[:11] in figure.text_content()
    assert name[-11:] in figure.text_content()


def test_dense_nets_alone_can_be_compared(studies, visit, tmp_path):
    for files in studies:
        for level in (1, 2):
            for path in files.records.glob(f"level_{level:02d}-*"):
                path.unlink()
    found = visit(compare(studies, tmp_path / "both.html"))
    assert found.complaints == []
    assert found.page.locator("figure svg").count() == 1 + 2


def test_late_rewinding_says_that_pruned_nets_train_less(tiny_study, tmp_path):
    late = {"preset": "late_rewind", "step": "20"}
    rewind = json.loads(tiny_study.config.read_text())["rewind"]
    for name, own in (("early", {}), ("late", late)):
        files = make(tiny_study, tmp_path / name, rewind=rewind | own)
        material = gather(files, None)
        found = comparison_page._overview([material] * 2, ["a", "b"], None, {}).lead
        assert ("fresh inits train only from there on" in found) == (name == "late")
        assert ("steps, pruned nets from 20 on" in page._facts(material)) == bool(own)


@pytest.mark.parametrize(
    ("ends", "is_drawn"),
    [
        ([(0.5, 0.2), (0.2,)], True),
        ([(0.5, 0.2), (0.4, 0.205)], True),
        ([(0.5, 0.2), (0.5, 0.3)], False),
        ([(0.2,), (0.2,)], False),  # it is the mean over all levels
        ([(0.5, 0.2), ()], False),
    ],
)
def test_sparsest_levels_are_compared_if_they_are_equally_sparse(ends, is_drawn):
    levels = [[SimpleNamespace(density=x) for x in own] for own in ends]
    assert comparison_page._end_alike(levels) == is_drawn


def _material(is_short, *densities):
    """What notes on several studies read of one."""
    levels = [SimpleNamespace(density=x) for x in densities]
    return SimpleNamespace(
        verdict=SimpleNamespace(is_budget_short=is_short, levels=levels)
    )


def test_notes_tell_of_short_budgets_and_of_other_densities(monkeypatch):
    monkeypatch.setattr(page, "notes", lambda material: [])
    alike = [_material(False, 0.5, 0.25), _material(False, 0.5, 0.25)]
    assert comparison_page._notes(alike, ["a", "b"]) == []
    (short,) = comparison_page._notes([alike[0], _material(True, 0.5, 0.25)], ["a", "b"])
    assert short.startswith("Training was too short in 1 of 2 studies")
    assert "Speed-ups do not show speed there" in short
    (short,) = comparison_page._notes([_material(True, 0.5)] * 2, ["a", "b"])
    assert short.startswith("Training was too short in all 2 studies")
    assert "Speed-ups" not in short  # there are none
    (other,) = comparison_page._notes([alike[0], _material(False, 0.8, 0.64)], ["a", "b"])
    assert "levels of different densities" in other


def test_the_page_names_the_net_and_the_data_that_studies_share(studies, visit, tmp_path):
    found = visit(compare(studies, tmp_path / "both.html"))
    (kind,) = browsing.texts(found.page, ".kind")
    assert kind.startswith("Lottery-ticket studies: LeNet-") and " on " in kind
