import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from lth_jax.data.augment import flip_and_crop

CHOICES = [(flip, y, x) for flip in (False, True) for y in range(9) for x in range(9)]


def candidates(images):
    """Each image by each of the 2 * 9 * 9 choices: [162, N, H, W, C]."""
    _, height, width, _ = images.shape
    padded = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)))
    crops = [padded[:, y : y + height, x : x + width] for _, y, x in CHOICES]
    flips = [flip for flip, _, _ in CHOICES]
    return np.stack(
        [c[:, :, ::-1] if f else c for c, f in zip(crops, flips, strict=True)]
    )


@functools.cache
def random_images(*shape):
    return np.random.default_rng(0).integers(1, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("shape", [(50, 8, 8, 3), (20, 7, 10, 1)])
def test_every_image_is_one_of_its_flips_and_crops(shape):
    images = random_images(*shape)
    found = np.asarray(flip_and_crop(jax.random.key(0), images))
    assert found.dtype == np.uint8
    assert found.shape == shape
    same = (candidates(images) == found).all((2, 3, 4))
    np.testing.assert_array_equal(same.sum(0), 1)


def test_flips_and_offsets_are_uniform_and_independent():
    images = random_images(4000, 5, 5, 1)
    found = np.asarray(flip_and_crop(jax.random.key(1), images))
    chosen = (candidates(images) == found).all((2, 3, 4)).argmax(0)
    counts = np.bincount(chosen, minlength=162).reshape(2, 9, 9)
    assert stats.chisquare(counts.ravel()).pvalue > 1e-3
    for axes in ((1, 2), (0, 2), (0, 1)):  # flips, rows, columns
        assert stats.chisquare(counts.sum(axes)).pvalue > 1e-3


def test_images_are_drawn_for_on_their_own():
    images = np.repeat(random_images(1, 8, 8, 1), 30, axis=0)
    found = np.asarray(flip_and_crop(jax.random.key(2), images))
    assert len({image.tobytes() for image in found}) > 20


def test_the_key_alone_decides():
    images, key = random_images(50, 8, 8, 3), jax.random.key(3)
    found = np.asarray(flip_and_crop(key, images))
    np.testing.assert_array_equal(flip_and_crop(key, images), found)
    other = np.asarray(flip_and_crop(jax.random.key(4), images))
    assert (other != found).any((1, 2, 3)).sum() > 40


def test_under_jit_and_vmap_every_batch_is_what_it_is_alone():
    images = random_images(50, 8, 8, 3).reshape(5, 10, 8, 8, 3)
    keys = jax.random.split(jax.random.key(5), 5)
    alone = [flip_and_crop(key, batch) for key, batch in zip(keys, images, strict=True)]
    together = jax.jit(jax.vmap(flip_and_crop))(keys, images)
    np.testing.assert_array_equal(together, alone)


def test_floats_stay_floats():
    images = random_images(6, 8, 8, 1)
    key = jax.random.key(6)
    found = flip_and_crop(key, jnp.asarray(images, jnp.float32))
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, flip_and_crop(key, images))
