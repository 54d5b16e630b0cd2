"""The README's and the pages' examples run, and pages name everything that there is."""

import dataclasses
import os
import pathlib
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.pages import PAGES, block, files
from support.paths import ROOT

import lth_jax as lth
from lth_jax.config.prune import PruneConfig
from lth_jax.config.rewind import RewindConfig
from lth_jax.store import records


def test_the_example_is_twenty_lines_and_does_what_it_says(capsys):
    code = block("docs/tutorial.md", "example")
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
    names = {}
    exec(code, names)
    lines = capsys.readouterr().out.splitlines()
    densities = [float(line.split()[1]) for line in lines]
    accuracies = [float(line.split()[3]) for line in lines]
    np.testing.assert_allclose(densities, 0.7 ** np.arange(8), atol=0.005)
    assert min(accuracies[:5]) > 0.9
    assert names["train"]._cache_size() == 1


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_the_study_of_ones_own_things_runs(page, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}  # as a script or a notebook has it
    exec(block(page, "own"), names)
    assert "winning ticket" in capsys.readouterr().out
    assert names["result"].workdir.page.exists()
    assert names["result"].workdir.ticket(2).exists()
    found = {run.level for run in records.read(names["result"].workdir.records)}
    assert found == {0, 1, 2}


def run(command: str, folder: pathlib.Path) -> None:
    """Runs a page's command in a folder, with this interpreter and this tree."""
    subprocess.run(
        command.replace("python", sys.executable, 1),
        shell=True,
        check=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.slow
def test_the_command_of_ones_own_things_runs(tmp_path):
    own = block("docs/tutorial.md", "own")
    (tmp_path / "my_nets.py").write_text(own.split("\nx = ")[0])
    arrays = "x = " + own.split("\nx = ")[1].split("\nconfig")[0]
    load = "def load():\n    return x[:1000], y[:1000], x[1000:], y[1000:]\n"
    (tmp_path / "my_data.py").write_text(f"import numpy as np\n{arrays}\n{load}")
    run(block("docs/tutorial.md", "own command"), tmp_path)
    assert (tmp_path / "runs/named/report.html").exists()


@pytest.mark.slow
def test_the_examples_of_every_extension_make_a_study(tmp_path):
    examples = files("docs/extending.md")
    for name, code in examples.items():
        (tmp_path / name).write_text(code)
    command = block("docs/extending.md", "extending command")
    assert all(
        f"={name.removesuffix('.py')}:" in command
        for name in examples
        if name != "my_arm.py"
    )
    run(command, tmp_path)
    found = records.read(tmp_path / "runs/own/records")
    assert {each.arm for each in found} == {"ticket", "reinit", "my_arm:half"}


def test_the_commands_are_complete():
    for mark in ("study", "tests"):
        (command,) = block("README.md", mark).splitlines()
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install -e ")


@pytest.mark.parametrize("page", PAGES)
def test_every_path_named_is_there(page):
    words = PAGES[page].replace("`", " ").replace("(", " ").replace(")", " ").split()
    rooms = ("lth_jax/", "configs/", "notebooks/", "scripts/", "tests/", "docs/")
    for word in words:
        name = word.split("=")[-1].split(":")[0].split("#")[0].rstrip(".,;")
        if name.startswith(rooms) and "NAME" not in name:
            assert (ROOT / name).exists(), name


def test_every_criterion_is_in_the_table_and_where_it_looks():
    rows = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in PAGES["docs/criteria.md"].splitlines()
        if line.startswith("| `")
    ]
    row_of = {name: row for row in rows for name in row[0].strip("`").split("`, `")}
    for name, criterion in lth.criteria.CRITERIA.items():
        _, _, _, looks, data, beside = row_of[name]
        assert data == ("yes" if criterion.at_data else "")
        expected = {"init": {"init"}, "nothing": {"nothing"}}
        assert looks in expected.get(criterion.looks, {"trained net", "both"})
        needs_densities = criterion.one_shot or criterion.scope in ("er", "erk")
        assert beside.startswith("densities") == needs_densities


@pytest.mark.parametrize(
    ("page", "fields"),
    [
        ("docs/criteria.md", ("prune.", PruneConfig)),
        ("docs/rewinding.md", ("rewind.", RewindConfig)),
    ],
)
def test_every_field_of_a_group_is_named_where_it_is_explained(page, fields):
    prefix, group = fields
    elsewhere = "" if prefix != "prune." else PAGES["docs/structures.md"]
    for field in dataclasses.fields(group):
        assert f"{prefix}{field.name}" in PAGES[page] + elsewhere, field.name


def test_every_arm_is_in_a_table():
    cells = re.findall(r"^\| (`.+?) \|", PAGES["docs/arms.md"], re.MULTILINE)
    assert {n for cell in cells for n in re.findall(r"`(\w+)`", cell)} == set(
        lth.arms.ARMS
    )


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Linear:
    """As equinox has a layer."""

    weight: jax.Array
    bias: jax.Array


KERNELS = jax.random.normal(jax.random.key(0), (2, 8, 8)) / 3
TREES = {
    "plain dict": (
        {"W1": KERNELS[0], "b1": jnp.zeros(8), "W2": KERNELS[1]},
        lambda p, x: jax.nn.relu(x @ p["W1"] + p["b1"]) @ p["W2"],
    ),
    "haiku": (
        {
            "mlp/~/linear_0": {"w": KERNELS[0], "b": jnp.zeros(8)},
            "mlp/~/linear_1": {"w": KERNELS[1], "b": jnp.zeros(8)},
        },
        lambda p, x: jax.nn.relu(x @ p["mlp/~/linear_0"]["w"]) @ p["mlp/~/linear_1"]["w"],
    ),
    "equinox": (
        [Linear(KERNELS[0], jnp.zeros(8)), Linear(KERNELS[1], jnp.zeros(8))],
        lambda p, x: p[1].weight @ jax.nn.relu(p[0].weight @ x.T + p[0].bias[:, None]),
    ),
}


@pytest.mark.parametrize("kind", TREES)
def test_iterative_magnitude_pruning_on_any_tree(kind):
    params, net = TREES[kind]
    inputs = jax.random.normal(jax.random.key(1), (200, 8))
    data = lth.Examples(inputs, inputs.argmax(-1))

    def apply_fn(params, batch_stats, inputs, train, key):
        logits = net(params, inputs)
        return (logits.T if kind == "equinox" else logits), batch_stats

    tx = optax.adamw(1e-2)
    train = jax.jit(lth.make_steps(apply_fn, tx))
    batches = lth.sampling.batch_indices(
        jax.random.key(2), 0, 60, batch_size=50, num_examples=200
    )
    init, masks = lth.initial_state(params, tx), lth.masks.full(params)
    kept = 128
    for _ in range(3):
        state, losses = train(lth.rewind(init, masks, tx), masks, batches, data)
        assert losses[-5:].mean() < losses[:5].mean()
        jax.tree.map(
            lambda m, p: np.testing.assert_array_equal(np.asarray(p)[~np.asarray(m)], 0),
            masks,
            state.params,
        )
        masks = lth.prune(jax.tree.map(jnp.abs, state.params), masks, 0.5, scope="global")
        kept //= 2
        assert lth.masks.total_count(masks).kept == kept
