"""Leaves: which leaves of the params are weights, and what their axes mean.

A leaf's path and shape decide. If modules are nodes of the pytree, as in equinox, their
classes count too. Weights are `kernel` in linen and nnx, and `w` in haiku, of shape
[pixels..., in, out]. They are `weight` in equinox, of shape [out, in, pixels...].
"""

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

# Words in the names of leaves that shift, scale or look up instead of multiplying.
_OFFSETS = {"bias", "offset", "beta"}
_SHIFTS = _OFFSETS | {"scale", "gamma", "cls", "token", "tokens"}
_LOOKUPS = {"emb", "embed", "embedding", "embeddings", "wte", "wpe"}
_NORMS = {"norm", "layernorm", "batchnorm", "groupnorm", "rmsnorm", "ln", "bn", "gn"}
_ATTENTION = {"attention", "attn", "att", "mha"}
_CONTRACTIONS = {"general", "einsum"}  # over any axes


class Path(str):
    """The path of a leaf, such as "dense_0/kernel".

    Attributes:
      owner: the class of the leaf's module if that is a node of the pytree, else None.
    """

    owner: type | None

    def __new__(cls, path: str, owner: type | None = None) -> "Path":
        """Returns a string with an owner."""
        self = super().__new__(cls, path)
        self.owner = owner
        return self


class Axes(NamedTuple):
    """The axes of a weight along which a unit reads, and those that number the units.

    All other axes are pixels. Negative axes count from the end.
    """

    inputs: tuple[int, ...]
    units: tuple[int, ...]

    def ordered(self, leaf: Any) -> Any:
        """Returns the leaf with its axes in the order pixels, inputs, units."""
        return leaf.transpose(self._order(leaf.ndim))

    def matrices(self, leaf: Any) -> Any:
        """Returns the leaf as [pixels, inputs, units]."""
        shape = self.shape(leaf)
        return self.ordered(leaf).reshape(math.prod(shape[:-2]), *shape[-2:])

    def shape(self, leaf: Any) -> tuple[int, ...]:
        """Returns the sizes (pixels..., inputs, units)."""
        read, units = (math.prod(leaf.shape[a] for a in axes) for axes in self)
        return (*(leaf.shape[axis] for axis in self.pixels(leaf.ndim)), read, units)

    def pixels(self, ndim: int) -> list[int]:
        """Returns the pixel axes, which are all other axes."""
        return self._order(ndim)[: ndim - len(self.inputs + self.units)]

    def ascending(self, ndim: int) -> "Axes":
        """Returns the same axes, counted from 0 and in ascending order."""
        return Axes(*(tuple(sorted(axis % ndim for axis in axes)) for axes in self))

    def restored(self, matrices: Any, shape: tuple[int, ...]) -> Any:
        """Returns a leaf of this shape from a result of `matrices`."""
        order = self._order(len(shape))
        back = [order.index(axis) for axis in range(len(shape))]
        return matrices.reshape([shape[axis] for axis in order]).transpose(back)

    def _order(self, ndim: int) -> list[int]:
        named = [axis % ndim for axis in (*self.inputs, *self.units)]
        return [axis for axis in range(ndim) if axis not in named] + named


AxesOf = Callable[[str, Any], Axes]  # of (path, leaf)


def named_leaves(tree: Any) -> list[tuple[str, Any]]:
    """Returns the leaves of a pytree with their paths, in `tree_flatten` order.

    Raises:
      ValueError: if two leaves have the same path, as with the keys "a/b" and "a", "b".
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    named: list[tuple[str, Any]] = [(_path(tree, keys), x) for keys, x in leaves]
    if len({path for path, _ in named}) < len(named):
        paths = [path for path, _ in named]
        twice = next(path for path in paths if paths.count(path) > 1)
        raise ValueError(
            f"params: two leaves are at {twice}; each must have its own path"
        )
    return named


def check_arrays(name: str, tree: Any) -> None:
    """Checks that all leaves have a shape and a dtype; `name` is the argument's name.

    Raises:
      ValueError: if a leaf is a number, a function or the like; it names the leaf.
    """
    for path, leaf in named_leaves(tree):
        if not (hasattr(leaf, "shape") and hasattr(leaf, "dtype")):
            raise ValueError(
                f"{name}: {path} is a {type(leaf).__name__}; must be an array; for an"
                " equinox module, use eqx.partition(module, eqx.is_inexact_array)"
            )


def split(path: str) -> tuple[str, str]:
    """Returns a leaf's module and its name, such as ("dense_0", "kernel").

    It leaves out the "value" that nnx adds to each path.
    """
    *parents, name = _parts(path)
    return "/".join(parents), name


def is_offset(path: str) -> bool:
    """Returns whether a leaf's name is that of a bias or offset, which units add."""
    name = _parts(path)[-1]
    return name == "b" or bool(_words(name) & _OFFSETS)


def multiplies(path: str, leaf: Any) -> bool:
    """Returns whether a leaf is a weight of a layer; embeddings count too."""
    *parents, name = _parts(path)
    if leaf.ndim < 2 or _words(name) & _SHIFTS:
        return False
    if name == "b":  # haiku's bias, or the second matrix of a plain dict
        above = _words(parents[-1]) if parents else set()
        return leaf.size > max(leaf.shape) and not above & _SHIFTS
    return not _kind(path) & _NORMS


def default_prunable(path: str, leaf: Any) -> bool:
    """Returns whether a leaf is a kernel, which multiplies what a layer reads.

    Leaves of any framework are recognised. Biases, normalisations, embeddings, class
    tokens and leaves with fewer than two axes are not prunable.
    """
    return multiplies(path, leaf) and not _looks_up(path)


def axes_of(path: str, leaf: Any) -> Axes:
    """Returns the axes of a weight, by the conventions of its framework.

    Raises:
      ValueError: if these conventions do not decide; it names the leaf.
    """
    found = told_axes(path, leaf)
    if found is None:
        raise ValueError(
            f"axes: None; {path} {list(leaf.shape)} does not show which axes are inputs"
            " and which are units; pass axes=, a function of (path, leaf) that returns"
            " lth_jax.leaves.Axes"
        )
    return found


def told_axes(path: str, leaf: Any) -> Axes | None:
    """Returns what `axes_of` does, or None where `axes_of` raises."""
    *parents, name = _parts(path)
    around = set[str]().union(*map(_words, parents))
    above = _words(parents[-1]) if parents else set()
    owner = getattr(path, "owner", None) or int
    ndim = leaf.ndim
    if ndim < 2:
        return None
    if _looks_up(path):
        return Axes((0,), (1,)) if ndim == 2 else None
    if name.startswith("weight"):
        is_known = owner.__module__.startswith("equinox") and multiplies(path, leaf)
        return Axes((1,), (0,)) if is_known else None
    if name == "w" and "transpose" in above:  # haiku's
        return Axes((ndim - 1,), (ndim - 2,))
    if ndim == 2 or "conv" in above or (name in ("kernel", "w") and ndim > 3):
        return None if above & _CONTRACTIONS else Axes((ndim - 2,), (ndim - 1,))
    if name == "kernel" and above & {"query", "key", "value"}:
        return Axes((0,), tuple(range(1, ndim)))
    if name == "kernel" and "out" in above and around & _ATTENTION:
        return Axes(tuple(range(ndim - 1)), (ndim - 1,))
    return None


def checked_axes(axes: AxesOf, path: str, leaf: Any) -> Axes:
    """Returns the axes that a function finds for a leaf, after checking them.

    Raises:
      ValueError: if the leaf lacks these axes; it names the leaf.
    """
    found = axes(path, leaf)
    if not (isinstance(found, tuple) and len(found) == 2):
        raise ValueError(f"axes: {found!r} of {path}; must be an lth_jax.leaves.Axes")
    found = Axes(*map(tuple, found))
    named = found.inputs + found.units
    is_within = all(-leaf.ndim <= axis < leaf.ndim for axis in named)
    is_once = is_within and len({axis % leaf.ndim for axis in named}) == len(named)
    if not (is_once and all(found)):
        raise ValueError(
            f"axes: {found} of {path} {list(leaf.shape)}; inputs and units must each be"
            " one or more of its axes, none twice"
        )
    return found


def _looks_up(path: str) -> bool:
    """Whether a leaf is an embedding, by its own name or its module's."""
    return bool((_words(_parts(path)[-1]) | _kind(path)) & _LOOKUPS)


def _kind(path: str) -> set[str]:
    """The words in a module's class name and, for a leaf `weight`, in its own name."""
    *parents, name = _parts(path)
    owner = _words(getattr(getattr(path, "owner", None), "__name__", ""))
    return owner | (_words(parents[-1]) if parents and name == "weight" else set())


def _parts(path: str) -> list[str]:
    """The names on a path, without the "value" that nnx adds to each path."""
    parts = path.split("/")
    return parts[:-1] if len(parts) > 1 and parts[-1] == "value" else parts


def _words(name: str) -> set[str]:
    """The lower-case words in a name; "MultiHeadAttention_0" has three."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def _path(tree: Any, keys: tuple[Any, ...]) -> Path:
    text, node = jax.tree_util.keystr(keys, simple=True, separator="/"), tree
    for key in keys[:-1]:
        if isinstance(key, jax.tree_util.GetAttrKey):
            node = getattr(node, key.name)
        elif isinstance(key, jax.tree_util.DictKey | jax.tree_util.SequenceKey):
            node = node[getattr(key, "key", getattr(key, "idx", None))]
        else:
            return Path(text)
    is_owned = bool(keys) and isinstance(keys[-1], jax.tree_util.GetAttrKey)
    return Path(text, type(node) if is_owned else None)
