"""Histograms of surviving weights, against NumPy."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lth_jax import masks as masks_lib
from lth_jax.store import histograms as weight_histograms
from lth_jax.store import records
from lth_jax.store.files import DamagedFile

NUM_REPLICATES = 3
SHAPES = {"dense_0": (30, 20), "conv_1": (3, 3, 4, 8), "output": (20, 10)}


def draw(seed, scale=1.0):
    rng = np.random.default_rng(seed)
    return {
        name: {
            "kernel": np.float32(rng.normal(0, scale, (NUM_REPLICATES, *shape))),
            "bias": np.float32(rng.normal(0, scale, (NUM_REPLICATES, shape[-1]))),
        }
        for name, shape in SHAPES.items()
    }


def random_masks(density):
    rng = np.random.default_rng(2)
    return {
        name: {
            "kernel": rng.random((NUM_REPLICATES, *shape)) < density,
            "bias": np.ones((NUM_REPLICATES, shape[-1]), bool),
        }
        for name, shape in SHAPES.items()
    }


@pytest.fixture
def path(tmp_path):
    return tmp_path / "level_02.npz"


@pytest.mark.parametrize("density", [1.0, 0.2])
def test_survivors_of_all_replicates_are_counted_and_nothing_else(density, path):
    kept = random_masks(density)
    start, end = jax.tree.map(np.multiply, (draw(0), draw(1, 3.0)), (kept, kept))
    weight_histograms.save(path, start, end, kept, masks_lib.default_prunable)
    found = weight_histograms.load(path)
    assert sorted(found) == sorted(f"{name}/kernel" for name in SHAPES)
    for name in SHAPES:
        survive = kept[name]["kernel"]
        starts, ends = start[name]["kernel"][survive], end[name]["kernel"][survive]
        histogram = found[f"{name}/kernel"]
        edges = histogram.edges
        assert edges.dtype == np.float64
        most = float(max(np.abs(starts).max(), np.abs(ends).max()))
        assert most < edges[-1] <= 2 * most and float(np.log2(edges[-1])).is_integer()
        np.testing.assert_array_equal(edges, edges[-1] * np.arange(-64, 65) / 64)
        for counts, weights in ((histogram.start, starts), (histogram.end, ends)):
            assert counts.dtype == np.int64
            assert counts.sum() == np.count_nonzero(survive)
            np.testing.assert_array_equal(counts, np.histogram(weights, edges)[0])


def test_zeros_count_only_where_they_survive(path):
    kept = random_masks(0.5)
    zeros = jax.tree.map(np.zeros_like, draw(0))
    weight_histograms.save(path, zeros, draw(1), kept, masks_lib.default_prunable)
    found = weight_histograms.load(path)["dense_0/kernel"]
    assert np.count_nonzero(found.start) == 1
    assert found.start.max() == np.count_nonzero(kept["dense_0"]["kernel"])


def test_layers_without_survivors_or_without_width_are_no_failure(path):
    kept = random_masks(0.5)
    kept["dense_0"]["kernel"][:] = False
    weights = jax.tree.map(np.multiply, draw(0), kept)
    weights["output"]["kernel"][:] = 0
    weight_histograms.save(path, weights, weights, kept, masks_lib.default_prunable)
    found = weight_histograms.load(path)
    for name, count in (("dense_0", 0), ("output", kept["output"]["kernel"].sum())):
        edges, *counts = found[f"{name}/kernel"]
        assert (np.diff(edges) > 0).all()
        assert [c.sum() for c in counts] == [count, count]


def test_leaves_that_are_never_pruned_are_left_out(path):
    weights = draw(0)
    prunable = masks_lib.excluding(["output"])
    weight_histograms.save(path, weights, weights, random_masks(0.5), prunable)
    assert sorted(weight_histograms.load(path)) == ["conv_1/kernel", "dense_0/kernel"]


def test_numpy_alone_reads_them_and_the_file_appears_whole(path):
    weights = draw(0)
    weight_histograms.save(
        path, weights, weights, random_masks(0.5), masks_lib.default_prunable
    )
    names = sorted(p.name for p in path.parent.iterdir())
    assert names == [path.name, f"{path.name}.sha256"]
    with np.load(path, allow_pickle=False) as arrays:
        assert sorted(arrays) == sorted(
            f"{part}/{name}/kernel"
            for part in ("edges", "start", "end")
            for name in SHAPES
        )
        np.testing.assert_array_equal(
            arrays["start/output/kernel"], arrays["end/output/kernel"]
        )


def test_a_study_keeps_those_of_every_level(tiny_study, tiny_config):
    weights_left = {
        (run.level, run.replicate): run.curves["mask", "weights_left"].values[0]
        for run in records.read(tiny_study.records)
        if run.arm == "ticket"
    }
    for level in range(tiny_config.num_levels):
        found = weight_histograms.load(tiny_study.weight_histograms(level))
        expected = sum(n for (at, _), n in weights_left.items() if at == level)
        assert sum(h.start.sum() for h in found.values()) == expected
        assert sum(h.end.sum() for h in found.values()) == expected
        assert any((h.start != h.end).any() for h in found.values())


@pytest.mark.parametrize(
    "changes",
    [
        {"edges/a": np.zeros(80)},
        {"start/a": np.zeros(80)},
        {"end/b": np.zeros(80, int)},
        {"edges/a": None},
        {"edges/a": None, "start/a": None, "end/a": None},
    ],
)
def test_a_file_of_other_arrays_is_damaged(tmp_path, changes):
    arrays = {
        "edges/a": np.zeros(81),
        "start/a": np.zeros(80, int),
        "end/a": np.zeros(80, int),
    }
    path = tmp_path / "w.npz"
    np.savez(path, **arrays)
    assert weight_histograms.load(path).keys() == {"a"}
    arrays = {k: v for k, v in {**arrays, **changes}.items() if v is not None}
    np.savez(path, **arrays)
    with pytest.raises(DamagedFile, match=r"w\.npz: its arrays"):
        weight_histograms.load(path)


def counted(start, end, kept, replicates=slice(None)):
    """The histograms of some of the replicates."""
    own = jax.tree.map(lambda x: x[replicates], (start, end, kept))
    return weight_histograms.counted(*own, masks_lib.default_prunable)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-149, 100) | st.just(-1000), min_size=3, max_size=3))
def test_those_of_shards_add_up_to_those_of_all(exponents):
    """Of weights of any scale, also 0, and at the very ends of bins."""
    scales = [np.float32(2.0**exponent) for exponent in exponents]
    weights = [
        jax.tree.map(lambda x: x * np.reshape(scales, (3,) + (1,) * (x.ndim - 1)), drawn)
        for drawn in (draw(3), jax.tree.map(np.round, draw(4, 2.0)))
    ]
    kept = random_masks(0.5)
    whole = counted(*weights, kept)
    shards = [counted(*weights, kept, at) for at in (slice(0, 2), slice(2, 3))]
    found = weight_histograms.merged(shards)
    assert found.keys() == whole.keys()
    for name, expected in whole.items():
        for ours, theirs in zip(found[name], expected, strict=True):
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)


def test_older_bins_are_read_and_not_added_up(tmp_path):
    edges = np.linspace(-0.3, 0.3, 81)
    counts = np.arange(80)
    path = tmp_path / "w.npz"
    np.savez(path, **{"edges/a": edges, "start/a": counts, "end/a": counts})
    found = weight_histograms.load(path)
    assert weight_histograms.merged([found]) == found
    with pytest.raises(ValueError, match="bins of an older version"):
        weight_histograms.merged([found, found])
    with pytest.raises(ValueError, match="other leaves"):
        weight_histograms.merged([found, {"b": found["a"]}])
