"""Layer densities: how a total density is divided among the layers.

The functions are pure, run on the host, and read shapes alone. They return a density for
each leaf, for `prune_to_density`. The leaves' counts add up to exactly
`round(density * size)` of all weights. The scope `layerwise` has one density for all.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lth_jax.leaves import AxesOf, axes_of, checked_axes

Shapes = Mapping[str, tuple[int, ...]]  # by path; pixels, inputs, units
Densities = dict[str, float]
Share = Callable[[Shapes, float], Densities]


def erdos_renyi(shapes: Shapes, density: float) -> Densities:
    """Layer densities in proportion to (n_in + n_out) / (n_in * n_out).

    Mocanu et al. 2018, equation 1. In a convolution the channels count, and the height
    and width of the kernel do not. A layer whose share would be above 1 is dense, and the
    others share the rest.

    `shapes` has the shape of each prunable leaf, [..., n_in, n_out]. `density`, in
    (0, 1), is that of all together. It returns a density in [0, 1] for each leaf, which
    is a whole number of weights.

    Raises:
      ValueError: on a density outside (0, 1).

    Example:
      >>> shapes = {"dense_0/kernel": (784, 300), "output/kernel": (100, 10)}
      >>> shared = erdos_renyi(shapes, 0.1)
      >>> {name: round(density, 3) for name, density in shared.items()}
      {'dense_0/kernel': 0.096, 'output/kernel': 1.0}
    """
    matrices = {name: shape[-2:] for name, shape in shapes.items()}
    rates = {name: sum(matrix) / math.prod(matrix) for name, matrix in matrices.items()}
    return _share(rates, shapes, density)


def erdos_renyi_kernel(shapes: Shapes, density: float) -> Densities:
    """As `erdos_renyi`, but with the kernel's height and width in both sum and product.

    Evci et al. 2020, section 3: (n_in + n_out + h + w) / (n_in * n_out * h * w).
    """
    rates = {name: sum(shape) / math.prod(shape) for name, shape in shapes.items()}
    return _share(rates, shapes, density)


def shapes_of(leaves: Iterable[tuple[str, Any]], axes: AxesOf = axes_of) -> Shapes:
    """The shapes of leaves by path, with their axes in the order of `Shapes`.

    Raises:
      ValueError: naming a leaf whose axes are unknown.
    """
    return {path: checked_axes(axes, path, leaf).shape(leaf) for path, leaf in leaves}


LAYER_DENSITIES: dict[str, Share] = {"er": erdos_renyi, "erk": erdos_renyi_kernel}


def counts(share: Share, shapes: Shapes, total: int) -> dict[str, int]:
    """How many weights of each leaf a share keeps; they add up to exactly `total`.

    The total is from 1 to the number of all weights, with which every layer is dense.
    """
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    size = sum(sizes.values())
    if total == size:
        return sizes
    densities = share(shapes, total / size)
    return {name: round(densities[name] * own) for name, own in sizes.items()}


def _share(rates: Mapping[str, float], shapes: Shapes, density: float) -> Densities:
    """Densities in proportion to the rates, capped at 1, for a total density."""
    if not 0 < density < 1:
        raise ValueError(f"density: {density}; must be inside (0, 1)")
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    total = round(density * sum(sizes.values()))
    dense: set[str] = set()
    while True:
        sparse = [name for name in sizes if name not in dense]
        left = total - sum(sizes[name] for name in dense)
        if not sparse:
            break
        scale = left / sum(rates[name] * sizes[name] for name in sparse)
        # Dense layers free weights for the others, whose share can only grow.
        above = {name for name in sparse if scale * rates[name] > 1}
        if not above:
            break
        dense |= above
    exact = {name: scale * rates[name] * sizes[name] for name in sparse}
    counts = sizes | _rounded(exact, left)
    return {name: counts[name] / size for name, size in sizes.items()}


def _rounded(exact: Mapping[str, float], total: int) -> dict[str, int]:
    """Whole numbers that add up to the total: the largest remainders are rounded up."""
    counts = {name: math.floor(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: counts[name] - exact[name])
    for name in by_remainder[: total - sum(counts.values())]:
        counts[name] += 1
    return counts
