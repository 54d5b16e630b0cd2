"""Masks: pytrees of booleans with the structure of the params, `True` = kept.

Every leaf of the params has a mask leaf of the same shape. Leaves that are never pruned
are all `True`. A `Prunable` predicate says which leaves may be pruned.
"""

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, PyTree

from lth_jax.leaves import check_arrays
from lth_jax.leaves import default_prunable as default_prunable
from lth_jax.leaves import named_leaves as named_leaves

Params = Any  # a pytree of arrays
Prunable = Callable[[str, Any], bool]  # (path such as "dense_0/kernel", leaf)

# Structure and shapes are those of the params; mypy has no type for pytrees.
if TYPE_CHECKING:
    Masks = Any
else:
    Masks = PyTree[Bool[jax.Array | np.ndarray, "..."]]


class LayerCount(NamedTuple):
    """The number of a leaf's weights that are kept, and of all its weights."""

    kept: int
    total: int


def excluding(layers: Collection[str]) -> Prunable:
    """Returns `default_prunable`, except for the layers of these names.

    A name may be any part of a path: "shortcut" excludes "block_0/shortcut/kernel".
    """

    def prunable(path: str, leaf: Any) -> bool:
        return default_prunable(path, leaf) and not set(path.split("/")) & set(layers)

    return prunable


def prunable_leaves(
    tree: Any, prunable: Prunable = default_prunable
) -> list[tuple[str, Any]]:
    """Returns the prunable leaves of a pytree and their paths, in `tree_flatten` order.

    Empty leaves are left out.

    Raises:
      ValueError: if no leaf is prunable, or a leaf is not an array.
    """
    check_arrays("params", tree)
    named = named_leaves(tree)
    leaves = [(path, leaf) for path, leaf in named if leaf.size and prunable(path, leaf)]
    if not leaves:
        names = ", ".join(path for path, _ in named)
        raise ValueError(f"prunable: admits none of the leaves ({names})")
    return leaves


def map_prunable(
    fn: Callable[..., jax.Array], prunable: Prunable, tree: Any, *others: Any
) -> Any:
    """Maps `fn(i, leaf, *others' leaves)` over prunable leaves; the rest stays.

    Empty leaves stay too. `i` is the leaf's position in `tree_flatten` order, from which
    `fn` may derive random keys.
    """
    leaves = zip(named_leaves(tree), *map(jax.tree.leaves, others), strict=True)
    mapped = [
        fn(i, leaf, *more) if leaf.size and prunable(path, leaf) else leaf
        for i, ((path, leaf), *more) in enumerate(leaves)
    ]
    return jax.tree.unflatten(jax.tree.structure(tree), mapped)


def full(params: Params) -> Masks:
    """Returns masks of `True` everywhere; raises ValueError if a leaf is not an array."""
    check_arrays("params", params)
    return jax.tree.map(lambda p: jnp.ones(p.shape, bool), params)


def check(masks: Masks, params: Params) -> None:
    """Asserts that masks fit params: structure, shapes, and `bool` leaves.

    It costs nothing at run time under `jit`: it reads shapes and dtypes only.

    Raises:
      AssertionError: if a leaf does not fit; it names the leaf.
      ValueError: if a leaf is not an array; it names the leaf.
    """
    check_arrays("masks", masks)
    check_arrays("params", params)
    chex.assert_trees_all_equal_structs(masks, params)
    chex.assert_trees_all_equal_shapes(masks, params)
    for path, mask in named_leaves(masks):
        if mask.dtype != jnp.bool_:
            raise AssertionError(f"masks: {path} is {mask.dtype}; must be bool")


def apply(masks: Masks, params: Params) -> Params:
    """Returns params with every pruned entry exactly 0, the others unchanged bit by bit.

    It uses `where`, because in a product 0 * NaN is NaN, and -1 * 0 is -0.

    >>> import numpy as np
    >>> masks, params = {"w": np.array([True, False])}, {"w": np.array([3.0, -1.0])}
    >>> apply(masks, params)["w"].tolist()
    [3.0, 0.0]
    """
    check(masks, params)
    return jax.tree.map(lambda m, p: jnp.where(m, p, _zero(p.dtype)), masks, params)


def _zero(dtype: Any) -> jax.Array:
    """The 0 of a dtype, or of the 32-bit dtype that JAX uses for it."""
    own: Any = jax.dtypes.canonicalize_dtype(dtype, allow_extended_dtype=True)
    return jnp.zeros((), own)


def layer_counts(
    masks: Masks, prunable: Prunable = default_prunable
) -> dict[str, LayerCount]:
    """Returns how many weights each prunable leaf keeps and has, by path; on the host."""
    return {
        path: LayerCount(int(np.count_nonzero(np.asarray(mask))), mask.size)
        for path, mask in prunable_leaves(masks, prunable)
    }


def total_count(masks: Masks, prunable: Prunable = default_prunable) -> LayerCount:
    """Returns how many weights all prunable leaves keep and have (on the host)."""
    counts = layer_counts(masks, prunable).values()
    return LayerCount(sum(c.kept for c in counts), sum(c.total for c in counts))


def density(masks: Masks, prunable: Prunable = default_prunable) -> float:
    """Returns P_m, the fraction of the prunable weights that is kept, in [0, 1].

    >>> import numpy as np
    >>> density({"layer": np.array([[True, False], [False, False]])})
    0.25
    """
    count = total_count(masks, prunable)
    return count.kept / count.total


def union(a: Masks, b: Masks) -> Masks:
    """Returns masks of the entries that either keeps."""
    check(a, b)
    return jax.tree.map(jnp.logical_or, a, b)


def intersection(a: Masks, b: Masks) -> Masks:
    """Returns masks of the entries that both keep."""
    check(a, b)
    return jax.tree.map(jnp.logical_and, a, b)


def overlap(a: Masks, b: Masks, prunable: Prunable = default_prunable) -> float:
    """Returns the Jaccard index of two masks over the prunable leaves, in [0, 1].

    It is 1.0 if both keep nothing.
    """
    both = total_count(intersection(a, b), prunable).kept
    either = total_count(union(a, b), prunable).kept
    return both / either if either else 1.0


def is_subset(a: Masks, b: Masks) -> bool:
    """Returns whether `b` keeps every entry that `a` keeps (on the host)."""
    check(a, b)
    return all(
        not np.any(np.asarray(x) & ~np.asarray(y))
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )
