import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.trees import assert_trees_equal

from lth_jax import masks
from lth_jax.store import tickets as ticket_files
from lth_jax.store.files import DamagedFile


@pytest.fixture
def saved(params, half_masks, tmp_path):
    other = jax.tree.map(jnp.zeros_like, half_masks)
    kept = jax.tree.map(lambda a, b: jnp.stack([a, b]), half_masks, other)
    weights = jax.vmap(masks.apply)(
        kept, jax.tree.map(lambda p: jnp.stack([p, p]), params)
    )
    ticket_files.save(tmp_path / "level_02.npz", weights, kept, {"level": 2})
    return tmp_path / "level_02.npz"


def test_a_ticket_comes_back_bit_for_bit(saved, params, half_masks):
    weights, kept, provenance = ticket_files.load(saved, replicate=0)
    assert_trees_equal(weights, masks.apply(half_masks, params))
    assert_trees_equal(kept, half_masks)
    shapes = {name: list(leaf.shape) for name, leaf in masks.named_leaves(params)}
    dtypes = dict.fromkeys(shapes, "float32")
    assert provenance == {"level": 2, "shapes": shapes, "dtypes": dtypes}
    assert not any(m.any() for m in jax.tree.leaves(ticket_files.load(saved, 1)[1]))
    with pytest.raises(IndexError):
        ticket_files.load(saved, replicate=2)


def test_a_shards_replicates_have_their_own_numbers(saved, params, half_masks):
    kept = jax.tree.map(lambda m: jnp.stack([~m, m]), half_masks)
    weights = jax.tree.map(lambda p: jnp.stack([p, p]), params)
    ticket_files.save(saved, weights, kept, {"first_replicate": 10})
    assert_trees_equal(ticket_files.load(saved, replicate=11)[1], half_masks)
    for beyond in (0, 1, 9, 12):
        with pytest.raises(ticket_files.NoReplicate, match="must be from 10 to 11"):
            ticket_files.load(saved, replicate=beyond)


def test_masks_of_shards_are_put_together_in_order(saved):
    found, _ = ticket_files.load_masks(saved)
    shards = [{n: m[at] for n, m in found.items()} for at in (slice(1), slice(1, 2))]
    assert_trees_equal(ticket_files.merged(shards), found)
    other = {n: m for n, m in found.items() if not n.startswith("output")}
    with pytest.raises(ValueError, match="other leaves"):
        ticket_files.merged([found, other])


def test_numpy_alone_reads_it(saved, half_masks):
    with np.load(saved, allow_pickle=False) as arrays:
        kernel = arrays["weights/dense_0/kernel"]
        bits = arrays["mask/dense_0/kernel"]
        provenance = json.loads(str(arrays["provenance"]))
    assert provenance["level"] == 2
    assert provenance["shapes"]["dense_0/kernel"] == list(kernel.shape[1:])
    mask = np.unpackbits(bits[0], count=kernel[0].size).reshape(kernel[0].shape)
    np.testing.assert_array_equal(mask, half_masks["dense_0"]["kernel"])
    assert bits.nbytes <= kernel.size / 8 + 2
    assert not kernel[0][mask == 0].any()


def test_masks_alone_are_those_of_every_replicate(saved):
    found, provenance = ticket_files.load_masks(saved)
    for replicate in range(2):
        _, kept, whole_provenance = ticket_files.load(saved, replicate)
        one = {name: mask[replicate] for name, mask in found.items()}
        assert_trees_equal(one, dict(masks.named_leaves(kept)))
        assert provenance == whole_provenance
    assert all(len(mask) == 2 for mask in found.values())


def repacked(path, **changes):
    """A copy of the file with some arrays changed, or left out; it has no SHA-256."""
    with np.load(path) as arrays:
        content = {**dict(arrays), **changes}
    other = path.with_name("other.npz")
    np.savez_compressed(other, **{k: v for k, v in content.items() if v is not None})
    return other


@pytest.mark.parametrize(
    "changes",
    [
        {"provenance": None},
        {"provenance": np.array("{}")},
        {"provenance": np.array("[1")},
        {"provenance": np.array("[1]")},
        {"provenance": np.array('{"shapes": {"a": ["1"]}, "dtypes": {"a": "int8"}}')},
        {"provenance": np.array('{"shapes": {"a": [{}]}, "dtypes": {"a": "int8"}}')},
        {"provenance": np.array('{"shapes": {"a": [1]}, "dtypes": {"a": "int8,("}}')},
        {"provenance": np.array(json.dumps({"shapes": 3, "dtypes": {}}))},
        {"provenance": np.array(json.dumps({"shapes": {}, "dtypes": {}}))},
        {"provenance": np.array(3)},
        {
            "provenance": np.array(
                '{"first_replicate": "1", "shapes": {"a": [3]}, "dtypes": {"a": "int8"}}'
            )
        },
        {"mask/dense_0/bias": None},
        {"mask/dense_0/bias": np.uint8(0)},
        {"weights/dense_9/bias": np.zeros((2, 3), np.float32)},
        {"weights/dense_0/bias": np.zeros((2, 3), np.float32)},
        {"weights/dense_0/bias": np.zeros((2, 8), np.float64)},
        {"weights/dense_0/bias": np.zeros((1, 8), np.float32)},
        {"mask/dense_0/bias": np.zeros((2, 8), np.uint8)},
        {"mask/dense_0/bias": np.zeros((2, 1), np.int8)},
    ],
)
def test_a_file_that_is_not_as_its_provenance_has_it_is_damaged(saved, changes):
    other = repacked(saved, **changes)
    for load in (
        lambda: ticket_files.load(other, 0),
        lambda: ticket_files.load_masks(other),
    ):
        with pytest.raises(DamagedFile, match=r"other\.npz"):
            load()


def test_a_file_copied_elsewhere_alone_is_read(saved, half_masks):
    assert_trees_equal(ticket_files.load(repacked(saved), 0)[1], half_masks)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.int8])
def test_dtypes_come_back(tmp_path, dtype):
    weights = {"a": jnp.arange(6, dtype=dtype).reshape(2, 3), "b": jnp.ones(2, dtype)}
    kept = {"a": jnp.ones((2, 3), bool), "b": jnp.ones(2, bool)}
    ticket_files.save(tmp_path / "t.npz", weights, kept, {})
    found = ticket_files.load(tmp_path / "t.npz", 1)[0]
    assert found["a"].dtype == dtype
    assert_trees_equal(found, {name: np.asarray(x[1]) for name, x in weights.items()})


@settings(max_examples=60)
@given(data=st.data())
def test_any_flipped_bit_is_damage_or_harmless(saved_once, data):
    """Of a file without its seal; a few of zip's bits, such as dates, say nothing."""
    path, content, expected = saved_once
    changed = bytearray(content)
    changed[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(
        st.integers(0, 7)
    )
    path.write_bytes(changed)
    try:
        found = ticket_files.load(path, 0)
    except DamagedFile:
        return
    assert_trees_equal(found, expected)


@pytest.fixture(scope="module")
def saved_once(tmp_path_factory):
    path = tmp_path_factory.mktemp("tickets") / "t.npz"
    weights = {"a": {"kernel": jnp.arange(24.0).reshape(2, 3, 4)}}
    kept = {"a": {"kernel": jnp.arange(24).reshape(2, 3, 4) % 3 > 0}}
    ticket_files.save(path, weights, kept, {"level": 1})
    path.with_name("t.npz.sha256").unlink()
    return path, path.read_bytes(), ticket_files.load(path, 0)
