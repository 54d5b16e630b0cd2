"""Spectrum: eigenvalues of the Hessian of the loss, on the support of a mask.

Lanczos' method needs only products with the Hessian. It is implemented by `matfree` (the
extra "analysis"). The support consists of the params that the mask keeps, biases
included. Rows and columns of pruned params are left out, and so are their zero
eigenvalues.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Float

from lth_jax import masks as masks_lib
from lth_jax.masks import Masks, Params
from lth_jax.training.evaluation import scan_in_chunks
from lth_jax.training.losses import CROSS_ENTROPY, Examples, Loss
from lth_jax.training.state import Apply, BatchStats

Product = Callable[[Params], Params]


class Ritz(NamedTuple):
    """The Ritz values of Lanczos' method, float32[..., steps] each, in ascending order.

    The method may find fewer of them, if the start has no component along others. The
    last values are then NaN, with weight 0.
    """

    values: jax.Array  # close to eigenvalues; the outermost converge first
    weights: jax.Array  # the start's share in each; they sum to 1
    errors: jax.Array  # bounds on the distance to an eigenvalue, up to rounding


def hessian_product(
    apply_fn: Apply,
    params: Params,
    batch_stats: BatchStats,
    masks: Masks,
    examples: Examples,
    loss: Loss = CROSS_ENTROPY,
    chunk_size: int = 250,
) -> Product:
    """Returns a function that multiplies the Hessian of the mean loss by a direction.

    The mean is over the examples. The net is in evaluation mode, with fixed batch
    statistics and without weight decay. Both the direction and the product are 0 where
    the masks prune. Pure, for `jit` and `vmap`.

    Raises:
      AssertionError: if a mask does not fit the params; the message names it.
    """
    masks_lib.check(masks, params)

    def product(direction: Params) -> Params:
        along = masks_lib.apply(masks, direction)

        def add(total: Params, chunk: Any) -> tuple[Params, None]:
            inputs, labels = chunk

            def of(params: Params) -> jax.Array:
                outputs, _ = apply_fn(params, batch_stats, inputs, False, None)
                return loss.per_example(outputs, labels).sum()

            own = jax.jvp(jax.grad(of), (params,), (along,))[1]
            return jax.tree.map(jnp.add, total, own), None

        zeros = jax.tree.map(jnp.zeros_like, params)
        total, _ = scan_in_chunks(add, zeros, examples, chunk_size)
        mean = jax.tree.map(lambda x: x / len(examples.labels), total)
        return masks_lib.apply(masks, mean)

    return product


def ritz(product: Product, start: Params, num_steps: int) -> Ritz:
    """Runs Lanczos' method with reorthogonalisation, from a start of any norm.

    It stops when the next vector is no larger than rounding errors. Later values would be
    noise. It holds `num_steps` vectors of the start's size in memory. Pure, for `jit` and
    `vmap`.
    """
    from matfree import decomp

    flat, unravel = ravel_pytree(start)
    steps = min(num_steps, flat.size)

    def matvec(vector: jax.Array) -> jax.Array:
        return ravel_pytree(product(unravel(vector)))[0]

    _, (diagonal, beside), residual, _ = decomp.tridiag_sym(steps, materialize=False)(
        matvec, flat
    )
    last = jnp.linalg.norm(residual)
    noise = 4 * float(np.finfo(flat.dtype).eps) * math.sqrt(flat.size)
    scale = jnp.maximum(jnp.abs(diagonal[0]), jnp.abs(beside[:1]).sum())
    goes_on = jnp.cumprod(jnp.abs(beside) > noise * scale).astype(bool)
    is_seen = jnp.concatenate([jnp.ones(1, bool), goes_on])
    beside = jnp.where(goes_on, beside, 0)
    small = jnp.diag(jnp.where(is_seen, diagonal, 0))
    small += jnp.diag(beside, 1) + jnp.diag(beside, -1)
    values, vectors = jnp.linalg.eigh(small)
    # Eigenvectors of what was not seen lie in the coordinates of later steps.
    is_own = (jnp.where(is_seen[:, None], vectors, 0) ** 2).sum(0) > 0.5
    ends = jnp.where(is_seen[-1], last * jnp.abs(vectors[-1]), 0)
    found = jnp.where(is_own, values, jnp.nan)
    order = jnp.argsort(found)  # NaN last
    weights = jnp.where(is_own, vectors[0] ** 2, 0)
    return Ritz(found[order], weights[order], ends[order])


def spectral_density(
    found: Ritz, grid: Float[jax.Array, " points"], width: float
) -> Float[jax.Array, " points"]:
    """Returns the smoothed density of eigenvalues on a grid, averaged over probes.

    This is stochastic Lanczos quadrature (Ghorbani et al. 2019, section 2). The probes,
    axis 0 of `found`, start from random directions on the support. Normal distributions
    with standard deviation `width` smooth the density. Its integral is 1.
    """
    values = jnp.where(found.weights > 0, found.values, 0)
    bells = jax.scipy.stats.norm.pdf(grid, values[..., None], width)
    return (found.weights[..., None] * bells).sum(-2).mean(0)


def probe(key: jax.Array, masks: Masks) -> Params:
    """Returns a random direction: standard normal on the support, 0 where pruned."""
    flat, unravel = ravel_pytree(jax.tree.map(lambda m: jnp.asarray(m, float), masks))
    direction = unravel(jax.random.normal(key, flat.shape, flat.dtype))
    return masks_lib.apply(masks, direction)
