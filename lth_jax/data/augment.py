"""Augmentation: on the device, a pure function of its key."""

import jax
import jax.numpy as jnp

_PAD = 4


def flip_and_crop(key: jax.Array, images: jax.Array) -> jax.Array:
    """Flips images left to right at random, and shifts them by up to 4 pixels each way.

    The paper trains ResNet and VGG with it (Frankle & Carbin 2019, appendix I). Images of
    any dtype [N, H, W, C] are padded with 4 black pixels (0) on each side, and cropped to
    their size at random. The key is that of one batch.
    """
    number, *size = images.shape
    flip_key, crop_key = jax.random.split(key)
    flipped = jax.random.bernoulli(flip_key, 0.5, (number,))
    corners = jax.random.randint(crop_key, (number, 2), 0, 2 * _PAD + 1)
    padded = jnp.pad(images, ((0, 0), (_PAD, _PAD), (_PAD, _PAD), (0, 0)))

    def one(image: jax.Array, flip: jax.Array, corner: jax.Array) -> jax.Array:
        crop = jax.lax.dynamic_slice(image, (corner[0], corner[1], 0), size)
        return jnp.where(flip, crop[:, ::-1], crop)

    return jax.vmap(one)(padded, flipped, corners)


AUGMENTATIONS = {"none": None, "flip_and_crop": flip_and_crop}
