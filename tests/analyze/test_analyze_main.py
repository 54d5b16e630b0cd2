"""The command that analyses a study, and the sections of its page."""

import dataclasses
import importlib.util
import json
import shutil
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import unflatten_dict
from jax.flatten_util import ravel_pytree
from support.captions import assert_captioned
from support.runs import run

from lth_jax import config as lth_config
from lth_jax import report
from lth_jax.analysis.alignment import identity, places_of, rearrange
from lth_jax.analysis.levels import levels_that_matter
from lth_jax.analysis.outcomes import early_stop, outcomes
from lth_jax.analysis.verdict import judge
from lth_jax.analyze import movement, smallest
from lth_jax.analyze.__main__ import main
from lth_jax.errors import UserError
from lth_jax.lottery.jobs import Job
from lth_jax.lottery.solutions import Planted, Solutions
from lth_jax.lottery.study import build
from lth_jax.lottery.tickets import Tickets
from lth_jax.lottery.trainer import Trainer
from lth_jax.report.material import gather
from lth_jax.report.panels import sections
from lth_jax.store import analyses, records, tickets
from lth_jax.store.files import is_sealed
from lth_jax.store.workdir import Workdir


@pytest.fixture
def study(tiny_study, tmp_path):
    shutil.copytree(tiny_study.root, tmp_path / "study")
    return Workdir(tmp_path / "study")


@pytest.fixture
def written(monkeypatch):
    """The workdirs whose page was asked for; drawing takes seconds."""
    asked = []
    monkeypatch.setattr(report, "write", asked.append)
    return asked


def titles(study):
    shown = sections(gather(study, None))
    assert_captioned(shown)
    return [section.title for section in shown]


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def test_by_default_it_covers_levels_that_matter(study, written, monkeypatch):
    verdict = gather(study, None).verdict
    monkeypatch.setattr(movement, "_MOST_LEVELS", 2)
    assert main(["movement", f"--workdir={study.root}", "--against="]) == 0
    found = analyses.read(study.analysis("movement"))["levels"]
    shown = [level["level"] for level in found]
    assert shown == levels_that_matter(verdict, [0, 1, 2], 2)


def test_overlap_of_a_study_is_that_of_its_ticket_files(study, capsys, written):
    assert main(["overlap", f"--workdir={study.root}", "--levels=2"]) == 0
    assert "Intersection over union" in capsys.readouterr().out
    assert is_sealed(study.analysis("overlap")) and len(written) == 1
    (level,) = analyses.read(study.analysis("overlap"))["levels"]
    assert level["level"] == 2
    now, _ = tickets.load_masks(study.ticket(2))
    before, _ = tickets.load_masks(study.ticket(1))
    for name, found in level["replicates"].items():
        if name != "net":
            assert name.endswith("/kernel")
            assert found["found"]["value"] == pytest.approx(iou(*now[name]))
            each = map(iou, now[name], before[name])
            found = level["before"][name]["found"]["value"]
            assert found == pytest.approx(np.mean(list(each)))
    arms = level["arms"]
    assert arms["reinit"]["net"]["found"]["value"] == 1
    assert arms["shuffle"]["net"]["found"]["value"] < 0.7


def test_a_page_has_the_section_while_the_file_is_there_and_whole(study, caplog, written):
    own = ["Do masks agree?", "In which layers do replicates agree?"]
    before = titles(study)
    assert main(["overlap", f"--workdir={study.root}", "--arms="]) == 0
    assert titles(study) == before + own
    path = study.analysis("overlap")
    path.write_text(path.read_text().replace("1", "2"))
    assert titles(study) == before
    (told,) = caplog.messages
    assert "damaged" in told and "python -m lth_jax.analyze overlap" in told
    path.unlink()  # but not the SHA-256 that tells of it
    assert titles(study) == before
    assert "analyze overlap makes it again" in caplog.messages[1]


@pytest.mark.slow
def test_its_command_writes_the_page(study, commands):
    code, out, err = commands.run("lth_jax.analyze", "overlap", f"--workdir={study.root}")
    assert (code, err) == (0, "")
    assert str(study.page) in out and str(study.analysis("overlap")) in out
    assert "Which arms keep the ticket&#39;s weights?" in study.page.read_text()
    assert (study.figures / "overlap_shuffle.png").exists()


def test_an_analysis_of_another_version_costs_its_section_alone(study, caplog):
    before = titles(study)
    analyses.write(study.analysis("overlap"), {"levels": [{"level": 1}]})
    assert titles(study) == before
    (told,) = caplog.messages
    assert "overlap.json" in told and "another version" in told


@pytest.mark.slow
def test_connectivity_of_a_study_ends_in_its_own_nets(study, capsys, written):
    flags = [f"--workdir={study.root}", "--points=4", "--levels=0,2"]
    assert main(["connectivity", *flags]) == 0
    found = analyses.read(study.analysis("connectivity"))["copies"]
    assert [level["level"] for level in found["levels"]] == [0, 2]
    assert found["points"] == 4 and found["rewind_step"] == 0
    runs = records.read(study.records)
    for level in found["levels"]:
        (measured,) = level["lines"].values()
        ended = [
            run.curves["test", "accuracy"].values[-1]
            for run in runs
            if (run.arm, run.level) == ("ticket", level["level"])
        ]
        error = measured["error"]
        assert error["line"][0]["value"] == pytest.approx(1 - np.mean(ended), abs=1e-6)
        assert len(error["line"]) == 4 and len(error["each"]) == 2
        assert error["barrier"]["value"] == pytest.approx(np.mean(error["each"]))
        assert min(error["each"] + measured["loss"]["each"]) >= 0
    assert "Do copies stay connected?" in titles(study)


@pytest.mark.slow
def test_connectivity_of_levels_is_from_the_one_before(study, capsys, written):
    flags = [f"--workdir={study.root}", "--points=3"]
    assert main(["connectivity", *flags, "--levels=1"]) == 0
    assert main(["connectivity", *flags, "--between=levels"]) == 0
    assert "matches dense" in capsys.readouterr().out
    both = analyses.read(study.analysis("connectivity"))
    assert both.keys() == {"copies", "levels"}  # the one leaves the other's numbers
    runs = records.read(study.records)
    judged = {x.level: x for x in judge(runs, lth_config.VerdictConfig()).levels}
    ended = outcomes(runs)
    for level in both["levels"]["levels"]:
        ends = [ended["ticket", level["level"] - back].final_metric for back in (1, 0)]
        line = level["lines"]["none"]["error"]["line"]
        found = [line[at]["value"] for at in (0, -1)]
        assert found == pytest.approx([1 - own.mean() for own in ends], abs=1e-6)
        answer = judged[level["level"]].matches_dense.answer
        assert level["matches_dense"] == answer
    assert [level["level"] for level in both["levels"]["levels"]] == [1, 2]
    shown = ["Do copies stay connected?", "Are levels connected to the one before?"]
    assert set(shown) <= set(titles(study))


def assert_layers_have_their_colours(study):
    """They are those of the figure of the whole net's layers."""
    figures = {
        name: plot.figure
        for section in sections(gather(study, None))
        for name, plot in section.plots.items()
    }
    of_net, of_units = (
        [line.get_color() for line in figures[name].axes[0].lines]
        for name in ("layer_densities", "connections_incoming")
    )
    assert len(set(of_net)) == 3
    assert set(of_net) < set(of_units)
    assert len(set(of_units)) == 4  # and chance


def assert_survivors(study, found, path):
    """What was said of a layer at level 2 is what the ticket files have."""
    init = tickets.load_all(study.ticket(0))[0][path]
    kept = tickets.load_masks(study.ticket(2))[0][path]
    pairs = zip(np.abs(init), kept, strict=True)
    sizes = [size[own].mean() / size.mean() for size, own in pairs]
    assert found["inits"]["size"]["value"] == pytest.approx(np.mean(sizes), rel=1e-5)
    for direction, axis in (("incoming", 1), ("outgoing", 2)):
        share = kept.mean(axis)  # [R, units]
        mean, each = kept.mean((1, 2)), kept.shape[axis]
        total = kept[0].size
        chance = mean * (1 - mean) / each * (total - each) / (total - 1)
        expected = np.sqrt(((share - mean[:, None]) ** 2).mean(1) / chance).mean()
        own = found["connections"][direction]["unevenness"]["value"]
        assert own == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_movement_of_a_study_is_that_of_its_nets(study, tiny_config, written, capsys):
    flags = [f"--workdir={study.root}", "--levels=1,2"]
    assert main(["movement", *flags]) == 0
    table, told = capsys.readouterr().out.split("\n\n")[:2]
    assert all(name in table for name in ("weights", "survive", "pruned"))
    for name in (
        *table.split("\n")[0].replace(", %", "").split()[2:],
        "survive",
        "pruned",
    ):
        assert name in told.lower()
    first, last = analyses.read(study.analysis("movement"))["levels"]
    assert first["moved"].keys() == {"ticket", "survive", "pruned", "reinit"}
    assert last["moved"].keys() == {"ticket", "reinit"}  # nothing is pruned after it
    state = Tickets(build(tiny_config), study).trained(1).state
    path = "dense_0/kernel"
    distances = {"survive": [], "pruned": []}
    for replicate in range(2):
        start, kept, _ = tickets.load(study.ticket(1), replicate)
        following = tickets.load(study.ticket(2), replicate)[1]
        moved = np.abs(
            state.params["dense_0"]["kernel"][replicate] - start["dense_0"]["kernel"]
        )
        survive = following["dense_0"]["kernel"]
        distances["survive"].append(moved[survive].mean())
        distances["pruned"].append(moved[kept["dense_0"]["kernel"] & ~survive].mean())
    for what, found in distances.items():
        said = first["moved"][what][path]["distance"]["value"]
        assert said == pytest.approx(np.mean(found), rel=1e-5)
    assert "Do survivors move differently?" in titles(study)
    assert_layers_have_their_colours(study)
    assert_survivors(study, last["survivors"]["output/kernel"], "output/kernel")
    assert {"Which inits survive?", "Are connections spread evenly over units?"} <= set(
        titles(study)
    )
    assert main(["movement", *flags, "--against="]) == 0
    assert analyses.read(study.analysis("movement"))["levels"][1]["moved"].keys() == {
        "ticket"
    }
    assert "Does a ticket move differently from others?" in titles(study)


@pytest.mark.slow
@pytest.mark.parametrize("at", ["15", "early_stop", "early_bird"])
def test_finding_costs_what_trains_until_nets_are_pruned(
    at, tiny_config, tmp_path, written
):
    prune = dataclasses.replace(tiny_config.prune, at=at)
    changes = {"arms": ("ticket",), "prune": prune, "eval_every_steps": 5}
    study = run(dataclasses.replace(tiny_config, **changes), tmp_path)
    assert main(["cost", f"--workdir={study.root}"]) == 0
    dense_and_first = [r for r in records.read(study.records) if r.level < 2]
    own = {
        "15": lambda run: 15,
        "early_stop": lambda run: early_stop(run)[0],
        "early_bird": lambda run: run.curves["mask", "early_bird_distance"].steps[0],
    }
    steps = sum(map(own[at], dense_and_first)) / 2  # of two replicates
    last = analyses.read(study.analysis("cost"))["levels"][2]["dense"]
    assert last["find"]["value"] == pytest.approx(steps / 40)
    assert last["use"]["value"] == pytest.approx(1)


@pytest.mark.slow
def test_cost_of_a_study_counts_the_weights_of_its_dense_layers(study, written):
    """Each weight of a dense layer is one multiply-add."""
    assert main(["cost", f"--workdir={study.root}"]) == 0
    found = analyses.read(study.analysis("cost"))
    masks = [tickets.load_masks(study.ticket(level))[0] for level in range(3)]
    kept = [sum(m[0].sum() for k, m in own.items() if "kernel" in k) for own in masks]
    assert found["dense_flops"] == pytest.approx(6 * 30 * 40 * kept[0])
    assert [x["sparse"]["use"]["value"] for x in found["levels"]] == pytest.approx(
        [number / kept[0] for number in kept]
    )
    last = found["levels"][2]
    assert last["sparse"]["find"]["value"] == pytest.approx(1 + kept[1] / kept[0])
    assert last["dense"]["find"]["value"] == pytest.approx(2)
    assert last["dense"]["pays_after"]["value"] is None  # it saves nothing
    pays = (1 + kept[1] / kept[0]) / (1 - kept[2] / kept[0])
    assert last["sparse"]["pays_after"]["value"] == pytest.approx(pays)
    assert "What does a ticket cost?" in titles(study)
    use = last["sparse"]["use"]["value"]
    assert main(["cost", f"--workdir={study.root}", "--until=early_stop"]) == 0
    steps = {
        level: [
            early_stop(run)[0]
            for run in records.read(study.records)
            if (run.arm, run.level) == ("ticket", level)
        ]
        for level in (0, 2)
    }
    last = analyses.read(study.analysis("cost"))["levels"][2]
    expected = use * np.mean(np.divide(steps[2], steps[0]))
    assert last["sparse"]["use"]["value"] == pytest.approx(expected)


@pytest.mark.slow
def test_criteria_cost_what_trains_before_they_prune(
    tiny_config, tmp_path, written, monkeypatch
):
    prune = lth_config.PruneConfig(densities=(0.7, 0.4), mask_steps=30)
    arms = ("ticket", "snip", "random_er", "supermask")
    study = run(dataclasses.replace(tiny_config, arms=arms, prune=prune), tmp_path)
    sparsest = lambda known, margin: {arm: known[arm, 2] for arm in arms}  # noqa: E731
    monkeypatch.setattr(smallest, "smallest_matching", sparsest)
    assert main(["cost", f"--workdir={study.root}"]) == 0
    rows = analyses.read(study.analysis("cost"))["criteria"]
    found = {row["criterion"]: row for row in rows}
    assert found.keys() == set(arms)
    for arm, steps in {"ticket": 40, "snip": 0, "random_er": 0, "supermask": 30}.items():
        density, cost = found[arm]["density"], found[arm]["cost"]["value"]
        assert density == pytest.approx(0.4, abs=0.01)
        assert cost == pytest.approx(steps / 40 + density, rel=1e-4)
    costs = [row["cost"]["value"] for row in rows]
    assert costs == sorted(costs)
    assert "Which criterion is cheapest?" in titles(study)


@pytest.mark.slow
def test_spectrum_of_a_study_is_that_of_its_whole_hessian(study, tiny_config, written):
    flags = [f"--workdir={study.root}", "--levels=2", "--probes=2", "--steps=40"]
    assert main(["spectrum", *flags]) == 0
    (level,) = analyses.read(study.analysis("spectrum"))["levels"]
    built = build(tiny_config)
    trained = Tickets(built, study).trained(2)
    tops, means = [], []
    for replicate in range(2):
        params, kept = jax.tree.map(
            lambda x, r=replicate: x[r], (trained.state.params, trained.masks)
        )
        flat, unravel = ravel_pytree(params)

        def loss(flat, unravel=unravel):
            inputs, labels = built.splits.train
            logits, _ = built.network.apply(unravel(flat), {}, inputs, False, None)
            return built.loss.per_example(logits, labels).mean()

        own = np.concatenate([np.ravel(x) for x in jax.tree.leaves(kept)])
        whole = np.asarray(jax.jit(jax.hessian(loss))(flat))[own][:, own]
        tops.append(np.linalg.eigvalsh(whole.astype(float))[::-1][:3])
        means.append(np.trace(whole) / own.sum())
    found = [x["value"] for x in level["top"]]
    assert found == pytest.approx(np.mean(tops, 0), rel=1e-4)
    assert level["mean"]["value"] == pytest.approx(np.mean(means), rel=0.5)  # of 2 probes
    assert level["error_bound"] < 1e-3 * found[0]
    assert level["along"] is None  # nothing is pruned after the last
    width = np.diff(level["grid"])[0]
    assert np.sum(level["spectrum"]) * width == pytest.approx(1, abs=0.01)
    assert "How sharp is the minimum?" in titles(study)


@pytest.mark.slow
def test_sharpness_of_a_study_is_that_of_its_loss_along_the_line(
    study, tiny_config, written
):
    flags = [f"--workdir={study.root}", "--levels=1", "--probes=3", "--steps=5"]
    assert main(["spectrum", *flags]) == 0
    (level,) = analyses.read(study.analysis("spectrum"))["levels"]
    built, curvatures, rises = build(tiny_config), [], []
    nets = Tickets(built, study)
    following, parent = nets.trained(2), nets.trained(1).state.params
    inputs, labels = built.splits.train
    for replicate in range(2):
        params, kept = jax.tree.map(
            lambda x, r=replicate: x[r], (parent, following.masks)
        )
        away = jax.tree.map(lambda p, m: jnp.where(m, 0, -p), params, kept)

        def loss(share, params=params, away=away):
            at = jax.tree.map(lambda p, d: p + share * d, params, away)
            logits, _ = built.network.apply(at, {}, inputs, False, None)
            return built.loss.per_example(logits, labels).mean()

        length = sum((x**2).sum() for x in jax.tree.leaves(away))
        curvatures.append(jax.hessian(loss)(0.0) / length)
        rises.append(loss(1.0) - loss(0.0))
    pruned = level["along"]["pruned"]
    assert pruned["curvature"]["value"] == pytest.approx(np.mean(curvatures), rel=1e-3)
    assert pruned["rise"]["value"] == pytest.approx(np.mean(rises), rel=1e-3, abs=1e-5)
    random = level["along"]["random"]
    assert random["rise"]["value"] > pruned["rise"]["value"]  # which prunes small ones
    assert "Is the loss flat where weights are pruned?" in titles(study)


def test_spectrum_without_matfree_says_what_to_install(study, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matfree", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["spectrum", f"--workdir={study.root}"]) == 2
    assert "pip install" in capsys.readouterr().err


@pytest.fixture
def planted(study, monkeypatch):
    """Starts that would train, by arm or kind and level; nothing does."""
    starts = {}

    def note(self, jobs):
        names = [job.name.removeprefix("transferred_") for job in jobs]
        kinds = [name.rpartition("-")[0] for name in names]
        found = zip(kinds, jobs, strict=True)
        starts.update({(kind, job.level): job.start for kind, job in found})
        raise UserError("nothing trains")

    monkeypatch.setattr(Solutions, "runs", note)
    return starts


def test_transferred_masks_signs_and_weights_arrive_at_their_places(
    study, tmp_path, planted
):
    """Where a source keeps one weight of a layer, that one is kept, of each replicate."""
    source = Workdir(tmp_path / "source")
    shutil.copytree(study.root, source.root)
    weights, masks = tickets.load_all(study.ticket(2))
    path = "dense_0/kernel"
    masks[path][:] = False
    masks[path][[0, 1], [3, 5], [2, 4]] = True
    weights[path] = np.where(masks[path], np.float32(-0.5), np.float32(0))
    _, provenance = tickets.load_masks(study.ticket(2))
    nested = (unflatten_dict(x, sep="/") for x in (weights, masks))
    tickets.save(source.ticket(2), *nested, provenance)
    flags = [f"--workdir={study.root}", f"--source={source.root}", "--levels=2"]
    assert main(["transfer", *flags]) == 2
    own, _ = tickets.load_all(study.ticket(0))  # the dense nets' inits
    expected = {
        "masks": own[path],
        "signs": -np.abs(own[path]),
        "tickets": np.full_like(own[path], -0.5),
    }
    for kind, before in expected.items():
        start = planted[kind, 2]
        np.testing.assert_array_equal(start.masks["dense_0"]["kernel"], masks[path])
        found = start.state.params["dense_0"]["kernel"]
        np.testing.assert_array_equal(found, np.where(masks[path], before, 0))
    random = np.asarray(planted["random", 2].masks["dense_0"]["kernel"])
    assert (random.sum((1, 2)) == 1).all()  # the study's own control keeps more


def test_replicates_are_given_what_the_next_one_has(study, planted):
    assert main(["transfer", f"--workdir={study.root}", "--kinds=tickets"]) == 2
    weights, masks = tickets.load_all(study.ticket(1))
    start, path = planted["tickets", 1], "dense_1/kernel"
    for found, had in ((start.state.params, weights), (start.masks, masks)):
        np.testing.assert_array_equal(found["dense_1"]["kernel"], had[path][::-1])
    assert ("random", 1) not in planted  # its arm `shuffle` keeps as many


def test_of_a_source_whose_units_changed_places_aligned_tickets_are_the_own(
    study, tmp_path, planted, monkeypatch, tiny_config
):
    source = Workdir(tmp_path / "source")
    shutil.copytree(study.root, source.root)
    built = build(tiny_config)
    layout = built.network.module.layout()
    nets = Tickets(built, study)
    own = jax.tree.map(lambda x: np.asarray(x[0]), nets.initial.params)
    units = identity(layout, own) | {"dense_0": np.roll(np.arange(12), 5)}
    places = places_of(layout, own, units)
    moved = jax.vmap(rearrange, (0, None))

    def changed(self, jobs):
        nets = found(self, jobs)
        if self._tickets.workdir.root == study.root:
            return nets
        return [net._replace(params=moved(net.params, places)) for net in nets]

    found = Solutions.of
    monkeypatch.setattr(Solutions, "of", changed)
    weights, masks = tickets.load_all(study.ticket(2))
    _, provenance = tickets.load_masks(study.ticket(2))
    nested = (unflatten_dict(x, sep="/") for x in (weights, masks))
    tickets.save(source.ticket(2), *(moved(x, places) for x in nested), provenance)
    flags = [f"--workdir={study.root}", f"--source={source.root}", "--levels=2"]
    assert main(["transfer", *flags, "--align", "--kinds=masks,tickets"]) == 2
    assert planted.keys() == {
        (kind, 2) for kind in ("masks", "masks_aligned", "tickets", "tickets_aligned")
    }
    for path, kept in masks.items():
        layer, leaf = path.split("/")
        start = planted["masks_aligned", 2]
        np.testing.assert_array_equal(start.masks[layer][leaf], kept)
        start = planted["tickets_aligned", 2].state.params[layer][leaf]
        np.testing.assert_array_equal(start, weights[path])
    before = planted["masks", 2].masks["dense_0"]["kernel"]
    assert (before != masks["dense_0/kernel"]).any()


@pytest.mark.slow
def test_a_study_transferred_to_itself_has_its_own_records(study, written, monkeypatch):
    flags = [f"--workdir={study.root}", f"--source={study.root}"]
    assert main(["transfer", *flags]) == 0
    for level in (1, 2):
        own = records.path_of(study.records, "ticket", level).read_text()
        trained = list(study.analyses.glob(f"nets/level_{level:02d}*.csv"))
        assert len(trained) == 3  # kinds
        assert all(path.read_text() == own for path in trained)
    found = analyses.read(study.analysis("transfer"))
    assert (found["differs"], found["misfits"]) == ({}, {})
    control = outcomes(records.read(study.records))["shuffle", 2]
    for level in found["levels"]:
        arms = level["arms"]
        assert arms["masks"]["minus_ticket"]["value"] == 0
        assert arms["tickets"] == arms["masks"] == arms["signs"]
    random = arms["random"]["reached"]["value"]
    assert random == pytest.approx(control.early_stop_metric.mean())
    assert "Do others' tickets train here?" in titles(study)
    damaged = trained[0]
    damaged.write_text(own.replace("1", "2"))
    assert main(["transfer", *flags]) == 0
    assert damaged.read_text() == own
    monkeypatch.setattr(Trainer, "train", None)  # nothing trains twice
    assert main(["transfer", *flags]) == 0


@pytest.mark.slow
def test_of_a_source_of_other_shapes_what_fits_is_transferred(
    study, tiny_config, tmp_path, written, capsys
):
    model = lth_config.ModelConfig(hidden_sizes=(12, 6))
    other = dataclasses.replace(tiny_config, model=model, num_levels=2, arms=("ticket",))
    source = run(other, tmp_path / "source")
    flags = [f"--workdir={study.root}", f"--source={source.root}"]
    assert main(["transfer", *flags, "--kinds=masks"]) == 0
    found = analyses.read(study.analysis("transfer"))
    assert found["misfits"] == {"dense_1": "12x6, here 12x8", "output": "6x10, here 8x10"}
    assert "dense_1 (12x6, here 12x8)" in capsys.readouterr().out
    (level,) = found["levels"]  # the source has no second
    kept = tickets.load_masks(source.ticket(1))[0]["dense_0/kernel"][0].sum()
    density = (kept + 12 * 8 + 8 * 10) / (40 * 12 + 12 * 8 + 8 * 10)
    arms = level["arms"]
    assert arms["masks"]["density"] == arms["random"]["density"]
    assert arms["masks"]["density"] == pytest.approx(density)
    assert main(["transfer", *flags, "--levels=2"]) == 2
    assert f"levels: 2 is not finished in {source.root}" in capsys.readouterr().err


@pytest.mark.slow
def test_a_source_that_has_no_place_is_refused(study, tiny_config, tmp_path, capsys):
    model = lth_config.ModelConfig(hidden_sizes=(11, 7))
    other = dataclasses.replace(tiny_config, model=model, num_levels=2, arms=("ticket",))
    source = run(other, tmp_path / "source")
    flags = [f"--workdir={study.root}", f"--source={source.root}"]
    assert main(["transfer", *flags]) == 2
    told = capsys.readouterr().err.splitlines()[-1]  # after the bar of its source
    assert told.startswith(f"error: source: no layer of {source.root} fits; dense_0 (40x")
    assert told.endswith("output (7x10, here 8x10)")
    few = dataclasses.replace(other, num_replicates=1)
    alone = run(few, tmp_path / "alone")
    flags = [f"--workdir={study.root}", f"--source={alone.root}"]
    assert main(["transfer", *flags]) == 2
    assert "has 1 replicates; must have 2" in capsys.readouterr().err
    assert main(["transfer", f"--workdir={alone.root}"]) == 2
    assert "source: needed" in capsys.readouterr().err


@pytest.mark.slow
def test_the_mean_of_copies_that_are_alike_is_the_study_itself(
    study, written, monkeypatch
):
    monkeypatch.setattr(Job, "_of_copy", lambda self, purpose: purpose)
    assert main(["swamp", f"--workdir={study.root}", "--copies=3"]) == 0
    found = analyses.read(study.analysis("swamp"))
    ended = outcomes(records.read(study.records))
    for level, own in enumerate(found["levels"]):
        outcome = ended["ticket", level]
        assert own["density"] == outcome.density
        assert own["mean_minus_copy"]["value"] == own["mean_minus_ticket"]["value"] == 0
        assert own["mean"]["value"] == pytest.approx(outcome.final_metric.mean())
    assert "Is the mean of copies a better ticket?" in titles(study)


@pytest.mark.slow
def test_masks_are_pruned_from_the_mean_of_copies(
    study, written, tiny_config, monkeypatch
):
    starts = []
    made = Planted.at.__func__
    monkeypatch.setattr(
        Planted,
        "at",
        classmethod(lambda cls, *x: starts.append(x) or made(cls, *x)),
    )
    assert main(["swamp", f"--workdir={study.root}", "--copies=3", "--last=1"]) == 0
    ((job, _, start),) = starts
    solutions = Solutions(Tickets(build(tiny_config), study))
    copies = solutions.of(
        [
            dataclasses.replace(job.parent, study=solutions._tickets.study, copy=copy)
            for copy in range(3)
        ]
    )
    mean = np.mean([x.params["dense_0"]["kernel"] for x in copies], 0)
    for weights, kept in zip(mean, start.masks["dense_0"]["kernel"], strict=True):
        ranks = np.argsort(np.argsort(np.abs(weights).ravel())).reshape(weights.shape)
        np.testing.assert_array_equal(kept, ranks >= round(0.2 * weights.size))
    # The mean is another net than the ticket, so its masks are.
    own = tickets.load_masks(study.ticket(1))[0]["dense_0/kernel"]
    assert (own != np.asarray(start.masks["dense_0"]["kernel"])).any()
    assert len(analyses.read(study.analysis("swamp"))["levels"]) == 2
    state = Tickets(build(tiny_config), study).initial.params["dense_0"]["kernel"]
    masked = np.where(start.masks["dense_0"]["kernel"], state, 0)
    np.testing.assert_array_equal(start.state.params["dense_0"]["kernel"], masked)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("prune.at: '20'", {"prune": lth_config.PruneConfig(at="20")}),
        ("rewind.preset: 'lr_r", {"rewind": lth_config.RewindConfig("lr_rewind", "20")}),
    ],
)
def test_a_study_whose_levels_need_more_than_weights_has_no_mean_to_prune(
    field, change, tiny_config, tmp_path, capsys
):
    small = {"arms": ("ticket",), "num_levels": 2, "num_replicates": 1}
    study = run(dataclasses.replace(tiny_config, **small, **change), tmp_path)
    assert main(["swamp", f"--workdir={study.root}"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"error: {field}")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["overlaps", "--workdir={root}"], "did you mean 'overlap'?"),
        ([], "NAME: missing; must be one of overlap, connectivity"),
        (["--workdir={root}"], "NAME: missing; must be one of overlap, connectivity"),
        (["overlap"], "--workdir"),
        (["overlap", "--workdir=runs/nowhere"], "runs/nowhere holds no study"),
        (["overlap", "--workdir={root}", "--levels=0"], "levels: 0 is not allowed"),
        (["overlap", "--workdir={root}", "--levels=3"], "must be from 1 to 2"),
        (["overlap", "--workdir={root}", "--levels=one"], "--levels"),
        (["overlap", "--workdir={root}", "--arms=reinitt"], "did you mean 'reinit'"),
        (["overlap", "--workdir={root}", "--arms=rigl"], "arms: 'rigl' is not allowed"),
        (
            ["movement", "--workdir={root}", "--against=set"],
            "against: 'set' is not allow",
        ),
        (["spectrum", "--workdir={root}", "--top=70"], "top: 70 is not allowed"),
        (["cost", "--workdir={root}", "--until=never"], "until: 'never' is not allowed"),
        (["swamp", "--workdir={root}", "--copies=1"], "copies: 1 is not allowed"),
        (["transfer", "--workdir={root}", "--kinds=mask"], "kinds: 'mask' is not all"),
        (["transfer", "--workdir={root}", "--source=runs/no"], "source: runs/no holds"),
        (["connectivity", "--workdir={root}", "--between=nets"], "one of copies, levels"),
        (["connectivity", "--workdir={root}", "--points=1"], "points: 1 is not allowed"),
        (["connectivity", "--workdir={root}", "--split=all"], "split: 'all' is not"),
    ],
)
def test_errors_take_one_line(study, capsys, flags, message):
    given = [flag.format(root=study.root) for flag in flags]
    try:
        code = main(given)
    except SystemExit as stop:
        code = stop.code
    told = capsys.readouterr()
    assert code == 2
    assert told.err.startswith("error: ") and told.err.count("\n") == 1
    assert message in told.err
    assert not study.analyses.exists()


def test_an_unfinished_level_is_reported(study, capsys, written):
    shutil.rmtree(study.level(2))
    assert main(["overlap", f"--workdir={study.root}", "--levels=2"]) == 2
    assert "levels: 2 is not finished" in capsys.readouterr().err
    assert main(["overlap", f"--workdir={study.root}", "--arms="]) == 0
    found = json.loads(study.analysis("overlap").read_text())
    assert [level["level"] for level in found["levels"]] == [1]
