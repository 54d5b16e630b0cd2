"""The mesh: members over devices, and the batches of one over what is left of them."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from support import meshes
from support.commands import run_module, run_several
from support.tiers import quick
from support.trees import assert_trees_equal

import lth_jax
from lth_jax import devices, pruning
from lth_jax.data.augment import flip_and_crop
from lth_jax.devices.mesh import idle_devices, make_mesh


@pytest.mark.parametrize("num_data", [1, 2, 3, 4])
@pytest.mark.parametrize("num_members", [1, 2, 3, 4, 5, 8, 10, 40])
def test_members_come_first_and_no_device_is_taken_for_nothing(num_members, num_data):
    mesh = make_mesh(num_members, num_data)
    groups = mesh.shape["member"]
    assert dict(mesh.shape) == {"member": groups, "data": num_data}
    slots = jax.local_device_count() // num_data
    assert groups <= min(slots, num_members)
    rounds = -(-num_members // groups)
    assert rounds == -(-num_members // slots)  # as soon done as with all of them
    if groups > 1:
        assert -(-num_members // (groups - 1)) > rounds
    # What shares a batch lies side by side.
    numbers = [[d.id for d in row] for row in mesh.devices]
    assert numbers == np.arange(groups * num_data).reshape(groups, num_data).tolist()


@pytest.mark.parametrize("num_data", [0, -1, 5])
def test_more_devices_than_there_are_make_no_mesh(num_data):
    expected = rf"num_data: {num_data}; must be one of \[1, 2, 3, 4\]"
    with pytest.raises(ValueError, match=expected):
        make_mesh(1, num_data)


@pytest.mark.parametrize(
    ("num_members", "batch_size", "expected"),
    [(1, 60, 4), (1, 6, 3), (1, 7, 1), (2, 60, 2), (2, 7, 1), (3, 60, 1), (9, 60, 1)],
)
def test_idle_devices_share_batches_off_the_cpu_alone(
    num_members, batch_size, expected, monkeypatch
):
    assert idle_devices(num_members, batch_size) == 1
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert idle_devices(num_members, batch_size) == expected


FAMILY = [
    ("dense", 1, "vmap"),
    ("dense", 2, "vmap"),
    ("normed", 4, "vmap"),
    ("dropped", 2, "map"),
    ("resnet", 2, "map"),
    ("resnet", 4, "vmap"),
    ("convnet", 2, "map"),
]


@pytest.mark.parametrize(
    ("name", "num_data", "how"), quick(("dense", 2, "vmap"), of=FAMILY)
)
def test_a_split_batch_gives_what_one_device_gives(name, num_data, how):
    """Losses, gradients, batch statistics and metrics, with every draw the same."""
    meshes.check(name, num_data, how)


# Not of grouped convolutions, which vmap makes: there XLA gathers the batch.
SPLIT = [
    ("dense", 1, "map"),
    ("dense", 2, "map"),
    ("normed", 4, "vmap"),
    ("dropped", 4, "map"),
    ("resnet", 2, "map"),
    ("convnet", 1, "map"),
]


@pytest.mark.parametrize(
    ("name", "num_data", "how"), quick(("dense", 1, "map"), of=SPLIT)
)
def test_devices_tell_one_another_sums_and_no_params(name, num_data, how):
    meshes.check_collectives(name, num_data, how)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dense", "normed", "dropped"])
def test_eight_devices_give_what_one_gives(name):
    """Meshes of 8x1, 4x2, 2x4 and 1x8, as many members as fill them."""
    code, err = run_module(8, "support.meshes", name, 1, 2, 4, 8)
    assert code == 0, err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "data_sizes"), [("dense", (1, 4)), ("normed", (2,)), ("dropped", (8,))]
)
def test_two_processes_of_four_devices_give_what_one_gives(name, data_sizes):
    """The same meshes; in that of 1x8 both processes share a member's batches."""
    for code, err in run_several(2, 4, "support.meshes", name, *data_sizes):
        assert code == 0, err


@pytest.mark.parametrize("num_data", [2, 4])
def test_crops_and_flips_are_drawn_as_on_one_device(num_data):
    """Bit for bit, each device for its own share."""

    def augmented(params, stats, images, train, key):
        return flip_and_crop(key, images), stats

    images, keys = meshes.splits()[0].inputs[:24], jax.random.split(jax.random.key(3), 2)

    def cropped(key, images):
        return devices.by_data(augmented)({}, {}, images, True, key)[0]

    lifted = devices.over_members(cropped, 2, num_shared=1, num_data=num_data)
    found = lifted(keys, devices.replicated(images, 2, num_data))
    expected = jnp.stack([flip_and_crop(key, images) for key in keys])
    np.testing.assert_array_equal(found, expected)


SHAPES = {"a": {"kernel": (8, 12)}, "b": {"kernel": (12, 4), "bias": (4,)}}
LAYOUTS = {"whole": P(), "by row": P("data"), "by column": P(None, "data")}


@pytest.mark.parametrize(
    ("layout", "scope"),
    quick(
        ("by row", "global"),
        of=itertools.product(LAYOUTS, ("layerwise", "global")),
    ),
)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), fraction=st.floats(0.05, 0.9))
def test_sharded_params_are_pruned_as_on_one_device(layout, scope, seed, fraction):
    """The same masks bit for bit, many scores alike."""
    rng = np.random.default_rng(seed)
    is_shape = lambda x: isinstance(x, tuple)  # noqa: E731
    scores = jax.tree.map(
        lambda s: rng.integers(0, 5, s).astype(np.float32), SHAPES, is_leaf=is_shape
    )
    kept = jax.tree.map(lambda s: rng.random(s.shape) < 0.8, scores)
    kept["b"]["bias"][:] = True
    for layer in "ab":  # none is emptied, which would be a warning
        scores[layer]["kernel"][0, 0], kept[layer]["kernel"][0, 0] = 9, True
    expected = lth_jax.prune(scores, kept, fraction, scope=scope)

    def spread(x):
        spec = LAYOUTS[layout] if x.ndim > 1 else P()
        return jax.device_put(x, NamedSharding(make_mesh(1, 4), spec))

    placed = jax.tree.map(spread, (scores, kept))
    assert_trees_equal(pruning.weights.prune(*placed, fraction, scope=scope), expected)
