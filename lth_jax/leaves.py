"""Leaves: which leaves of the params are weights, and what their axes mean.

Told by path and shape and, where modules are nodes of the pytree (equinox), by their
classes. linen and nnx name weights `kernel`, haiku `w`, both [pixels..., in, out];
equinox names them `weight`, [out, in, pixels...].
"""

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

# Words in the names of what shifts, scales or looks up instead of multiplying.
_OFFSETS = {"bias", "offset", "beta"}
_SHIFTS = _OFFSETS | {"scale", "gamma", "cls", "token", "tokens"}
_LOOKUPS = {"emb", "embed", "embedding", "embeddings", "wte", "wpe"}
_NORMS = {"norm", "layernorm", "batchnorm", "groupnorm", "rmsnorm", "ln", "bn", "gn"}
_ATTENTION = {"attention", "attn", "att", "mha"}
_CONTRACTIONS = {"general", "einsum"}  # of any axes


class Path(str):
    """Where a leaf is, such as "dense_0/kernel".

    Attributes:
      owner: the class of the module that has it, where that is a node of the pytree.
    """

    owner: type | None

    def __new__(cls, path: str, owner: type | None = None) -> "Path":
        """A string that knows its owner."""
        self = super().__new__(cls, path)
        self.owner = owner
        return self


class Axes(NamedTuple):
    """Along which axes of a weight a unit reads, and which axes number the units.

    All others are pixels. They count from 0, or, below it, from the end.
    """

    inputs: tuple[int, ...]
    units: tuple[int, ...]

    def ordered(self, leaf: Any) -> Any:
        """The leaf with its axes in the order pixels, inputs, units."""
        return leaf.transpose(self._order(leaf.ndim))

    def matrices(self, leaf: Any) -> Any:
        """The leaf as [pixels, inputs, units]."""
        shape = self.shape(leaf)
        return self.ordered(leaf).reshape(math.prod(shape[:-2]), *shape[-2:])

    def shape(self, leaf: Any) -> tuple[int, ...]:
        """(pixels..., inputs, units): the number of each."""
        read, units = (math.prod(leaf.shape[a] for a in axes) for axes in self)
        return (*(leaf.shape[axis] for axis in self.pixels(leaf.ndim)), read, units)

    def pixels(self, ndim: int) -> list[int]:
        """The other axes."""
        return self._order(ndim)[: ndim - len(self.inputs + self.units)]

    def ascending(self, ndim: int) -> "Axes":
        """The same, counted from 0 and in their order in the leaf."""
        return Axes(*(tuple(sorted(axis % ndim for axis in axes)) for axes in self))

    def restored(self, matrices: Any, shape: tuple[int, ...]) -> Any:
        """A leaf of this shape from what `matrices` gave."""
        order = self._order(len(shape))
        back = [order.index(axis) for axis in range(len(shape))]
        return matrices.reshape([shape[axis] for axis in order]).transpose(back)

    def _order(self, ndim: int) -> list[int]:
        named = [axis % ndim for axis in (*self.inputs, *self.units)]
        return [axis for axis in range(ndim) if axis not in named] + named


AxesOf = Callable[[str, Any], Axes]  # of (path, leaf)


def named_leaves(tree: Any) -> list[tuple[str, Any]]:
    """The leaves of a pytree with their paths, in `tree_flatten` order.

    Raises:
      ValueError: if two leaves have one path, as under the keys "a/b" and "a", "b".
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
    """Checks that all leaves have shape and dtype; `name` is the argument's.

    Raises:
      ValueError: naming a leaf that is a number, a function or the like.
    """
    for path, leaf in named_leaves(tree):
        if not (hasattr(leaf, "shape") and hasattr(leaf, "dtype")):
            raise ValueError(
                f"{name}: {path} is a {type(leaf).__name__}; must be an array; of an"
                " equinox module, eqx.partition(module, eqx.is_inexact_array) has them"
            )


def split(path: str) -> tuple[str, str]:
    """The module that a leaf is in, and the leaf's name: ("dense_0", "kernel").

    nnx wraps each param once more, as "value", which is left out.
    """
    *parents, name = _parts(path)
    return "/".join(parents), name


def is_offset(path: str) -> bool:
    """Whether a leaf is added to what units have, by its name: a bias, an offset."""
    name = _parts(path)[-1]
    return name == "b" or bool(_words(name) & _OFFSETS)


def multiplies(path: str, leaf: Any) -> bool:
    """Whether a leaf is of the weights that a layer has, lookups among them."""
    *parents, name = _parts(path)
    if leaf.ndim < 2 or _words(name) & _SHIFTS:
        return False
    if name == "b":  # haiku's bias; the second matrix of many a plain dict
        above = _words(parents[-1]) if parents else set()
        return leaf.size > max(leaf.shape) and not above & _SHIFTS
    return not _kind(path) & _NORMS


def default_prunable(path: str, leaf: Any) -> bool:
    """Whether a leaf multiplies what a layer reads: a kernel, of whatever framework.

    Never a bias, a normalisation, an embedding, a class token, or less than two axes.
    """
    return multiplies(path, leaf) and not _looks_up(path)


def axes_of(path: str, leaf: Any) -> Axes:
    """What the axes of a weight mean, by the conventions of its framework.

    Raises:
      ValueError: naming the leaf, where these do not tell.
    """
    found = told_axes(path, leaf)
    if found is None:
        raise ValueError(
            f"axes: None; {path} {list(leaf.shape)} does not tell which axes are inputs"
            " and which units; give axes=, (path, leaf) to lth_jax.leaves.Axes"
        )
    return found


def told_axes(path: str, leaf: Any) -> Axes | None:
    """As `axes_of`, or None."""
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
    """The axes of a leaf, from whoever tells them.

    Raises:
      ValueError: naming the leaf, on axes that it has not.
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
            f"axes: {found} of {path} {list(leaf.shape)}; must be one or more axes of it"
            " each, none twice"
        )
    return found


def _looks_up(path: str) -> bool:
    """Whether a leaf is looked up in, as embeddings are, by its name or its module's."""
    return bool((_words(_parts(path)[-1]) | _kind(path)) & _LOOKUPS)


def _kind(path: str) -> set[str]:
    """Words of the module that a leaf is of: its class, and its name above `weight`."""
    *parents, name = _parts(path)
    owner = _words(getattr(getattr(path, "owner", None), "__name__", ""))
    return owner | (_words(parents[-1]) if parents and name == "weight" else set())


def _parts(path: str) -> list[str]:
    """The names on a path; nnx wraps each param once more, as "value"."""
    parts = path.split("/")
    return parts[:-1] if len(parts) > 1 and parts[-1] == "value" else parts


def _words(name: str) -> set[str]:
    """The lower-case words in a name: of "MultiHeadAttention_0" the three."""
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
