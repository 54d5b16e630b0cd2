import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.trees import assert_trees_equal

from lth_jax import masks
from lth_jax.store import tickets as ticket_files


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
    assert provenance == {"level": 2, "shapes": shapes}
    assert not any(m.any() for m in jax.tree.leaves(ticket_files.load(saved, 1)[1]))
    with pytest.raises(IndexError):
        ticket_files.load(saved, replicate=2)


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
