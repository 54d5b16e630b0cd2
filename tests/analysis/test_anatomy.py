"""The anatomy of masks, against NumPy on ticket files made up here."""

import json

import numpy as np
import pytest

from lth_jax.analysis.anatomy import anatomy
from lth_jax.store import records
from lth_jax.store import tickets as ticket_files

NUM_REPLICATES = 3
DENSE = {"dense_0": (12, 5), "dense_1": (5, 4), "output": (4, 10)}
CONV = {
    "conv_0": (3, 2, 3, 8),
    "conv_2": (3, 3, 8, 4),
    "conv_10": (3, 3, 4, 4),
    "dense_0": (16, 6),
    "output": (6, 10),
}


def save(path, shapes, input_shape, level=4):
    """Writes random masks of these kernels, each with a bias that is never pruned."""
    rng = np.random.default_rng(level)
    masks = {
        name: {
            "kernel": rng.random((NUM_REPLICATES, *shape)) < rng.random(),
            "bias": np.ones((NUM_REPLICATES, shape[-1]), bool),
        }
        for name, shape in shapes.items()
    }
    weights = {
        name: {key: mask * np.float32(2) for key, mask in leaves.items()}
        for name, leaves in masks.items()
    }
    provenance = {"level": level, "input_shape": input_shape}
    ticket_files.save(path, weights, masks, provenance)
    return {name: leaves["kernel"] for name, leaves in masks.items()}


@pytest.mark.parametrize(
    ("shapes", "input_shape"),
    [(DENSE, (3, 4, 1)), (CONV, (8, 8, 3))],
    ids=["dense", "conv"],
)
def test_densities_are_of_all_replicates_in_the_nets_order(shapes, input_shape, tmp_path):
    path = tmp_path / "level_04.npz"
    kernels = save(path, shapes, input_shape)
    found = anatomy(*ticket_files.load_masks(path))
    assert found.level == 4
    assert list(found.layers) == [f"{name}/kernel" for name in shapes]
    for name, kept in kernels.items():
        share = found.layers[f"{name}/kernel"]
        assert share == pytest.approx(np.count_nonzero(kept) / kept.size)
    everything = np.concatenate([kept.ravel() for kept in kernels.values()])
    assert found.density == pytest.approx(everything.mean())


def test_a_dense_layer_shows_how_much_of_every_input_is_kept(tmp_path):
    path = tmp_path / "level_04.npz"
    kept = save(path, DENSE, (3, 4, 1))["dense_0"]
    found = anatomy(*ticket_files.load_masks(path))
    assert found.first.name == "dense_0/kernel"
    assert not found.first.is_convolution
    assert found.first.kept.shape == (3, 4)
    for row in range(3):
        for column in range(4):
            share = kept[:, 4 * row + column].mean()
            assert found.first.kept[row, column] == pytest.approx(share)
    # Inputs on a line, and in colours.
    save(path, DENSE, (12,))
    assert anatomy(*ticket_files.load_masks(path)).first.kept.shape == (12,)
    save(path, DENSE, (2, 2, 3))
    assert anatomy(*ticket_files.load_masks(path)).first.kept.shape == (2, 2, 3)


def test_a_convolution_shows_the_filters_of_the_first_replicate(tmp_path):
    path = tmp_path / "level_04.npz"
    kept = save(path, CONV, (8, 8, 3))["conv_0"]
    found = anatomy(*ticket_files.load_masks(path))
    assert found.first.name == "conv_0/kernel"
    assert found.first.is_convolution
    assert found.first.kept.shape == (8, 3, 2)
    assert np.issubdtype(found.first.kept.dtype, np.integer)
    for place in np.ndindex(8, 3, 2):
        filter_, row, column = place
        channels = kept[0, row, column, :, filter_]
        assert found.first.kept[place] == np.count_nonzero(channels)


def test_residual_nets_begin_with_their_first_convolution(tmp_path):
    path = tmp_path / "level_04.npz"
    names = [
        "conv",
        "stage_0_block_0/conv_0",
        "stage_0_block_0/conv_1",
        "stage_1_block_0/conv_0",
        "stage_1_block_0/shortcut",
        "stage_1_block_10/conv_0",
        "output",
    ]
    rng = np.random.default_rng(0)
    masks = {}
    for name in reversed(names):
        tree = masks
        for part in name.split("/"):
            tree = tree.setdefault(part, {})
        shape = (3, 3, 2, 2) if name != "output" else (2, 10)
        tree["kernel"] = rng.random((NUM_REPLICATES, *shape)) < 0.5
    masks["norm"] = {"scale": np.ones((NUM_REPLICATES, 2), bool)}
    ticket_files.save(path, masks, masks, {"level": 1, "input_shape": (8, 8, 2)})
    found = anatomy(*ticket_files.load_masks(path))
    assert list(found.layers) == [f"{name}/kernel" for name in names]
    assert found.first.name == "conv/kernel"


@pytest.mark.parametrize(
    ("shape", "input_shape"),
    [
        ((7, 5), (3, 4, 1)),  # behind an embedding, or on fewer inputs
        ((3, 4, 6), (10, 4)),  # a convolution on a line
        ((4, 3, 3, 3), (8, 8, 4)),  # axes in another order
        ((2, 3, 4, 5, 6), (8, 8, 8, 5)),  # on volumes
        ((16, 5), (2, 2, 2, 2)),  # more axes than a figure has
    ],
)
def test_a_first_layer_that_cannot_be_laid_out_is_left_out(shape, input_shape, tmp_path):
    rng = np.random.default_rng(0)
    leaves = {"Block_0": {"w": shape}, "Block_1": {"w": (4, 3)}}
    kept = {
        name: {key: rng.random((NUM_REPLICATES, *x)) < 0.5 for key, x in layer.items()}
        for name, layer in leaves.items()
    }
    kept["gate"] = {"scale": np.array([[True, False]] * NUM_REPLICATES)}  # pruned too
    path = tmp_path / "level_01.npz"
    ticket_files.save(path, kept, kept, {"level": 1, "input_shape": input_shape})
    found = anatomy(*ticket_files.load_masks(path))
    assert found.first is None
    assert list(found.layers) == ["Block_0/w", "Block_1/w", "gate/scale"]
    assert found.layers["gate/scale"] == 0.5


def test_densities_of_a_study_are_those_of_its_records(tiny_study, tiny_config):
    found = [
        anatomy(*ticket_files.load_masks(tiny_study.ticket(level))) for level in range(3)
    ]
    densities = {run.level: run.density for run in records.read(tiny_study.records)}
    assert {a.level: a.density for a in found} == pytest.approx(densities)
    assert found[0].layers == dict.fromkeys(found[0].layers, 1.0)
    assert found[0].first.kept.shape == (40,)
    with np.load(tiny_study.ticket(0)) as arrays:
        provenance = json.loads(str(arrays["provenance"]))
    assert provenance["num_replicates"] == tiny_config.num_replicates
