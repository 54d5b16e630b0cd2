"""Products: the multiply-adds of each leaf of the params, counted in a traced program."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core

from lth_jax.errors import UserError
from lth_jax.masks import Params, named_leaves

# The places of the leaves that a value depends on; None if it depends on the inputs.
_Source = frozenset[int] | None


class NotCounted(UserError, ValueError):
    """Multiply-adds cannot be counted, or cannot be assigned to one leaf."""


def multiply_adds(fn: Callable[..., Any], params: Params, *inputs: Any) -> dict[str, int]:
    """The multiply-adds of `fn(params, *inputs)` with each leaf, by path.

    A product counts if one side depends on the inputs and the other on a leaf alone.
    Each use of a shared leaf and each step of a scan counts. A convolution counts its
    padding; a transposed one does not count the zeros between its inputs. If inputs
    choose a branch, the most expensive branch counts. Products of weights alone, lookups,
    and products of activations do not count.

    Raises:
      NotCounted: on a loop of unknown length, or on a weight made from several leaves of
        one size.
    """
    traced = jax.make_jaxpr(fn)(params, *inputs)
    leaves = named_leaves(params)
    sources: list[_Source] = [frozenset([i]) for i in range(len(leaves))]
    sources += [None] * (len(traced.jaxpr.invars) - len(leaves))
    counter = _Counter([leaf.size for _, leaf in leaves])
    found, _ = counter.count(traced.jaxpr, sources)
    return {path: int(n) for (path, _), n in zip(leaves, found, strict=True)}


class _Counter:
    """Counts multiply-adds by leaf; arrays are int64[leaves]."""

    def __init__(self, sizes: Sequence[int]):
        self._sizes = sizes

    def count(
        self, jaxpr: Any, inputs: Sequence[_Source]
    ) -> tuple[np.ndarray, list[_Source]]:
        """The counts of a program, and the sources of its results."""
        known: dict[Any, _Source] = dict.fromkeys(jaxpr.constvars, frozenset())
        known |= dict(zip(jaxpr.invars, inputs, strict=True))

        def source(atom: Any) -> _Source:
            return frozenset() if isinstance(atom, core.Literal) else known[atom]

        total = np.zeros(len(self._sizes), np.int64)
        for equation in jaxpr.eqns:
            read = [source(atom) for atom in equation.invars]
            counts, results = self._equation(equation, read)
            total += counts
            known |= dict(zip(equation.outvars, results, strict=True))
        return total, [source(atom) for atom in jaxpr.outvars]

    def _equation(
        self, equation: Any, read: list[_Source]
    ) -> tuple[np.ndarray, list[_Source]]:
        name, params = equation.primitive.name, equation.params
        if name == "cond":
            branches = [self.count(b.jaxpr, read[1:]) for b in params["branches"]]
            # Branches that no input chooses compute the same, each for its device.
            choose = max if read[0] is None else min
            counts, _ = choose(branches, key=lambda branch: branch[0].sum())
            sources = zip(*(results for _, results in branches), strict=True)
            return counts, [_both([*branch, read[0]]) for branch in sources]
        if name == "scan":
            body = params["jaxpr"].jaxpr
            carry = _carry(equation, body)
            read[carry] = [None if None in read else s for s in read[carry]]
            counts, results = self.count(body, read)
            return counts * params["length"], results
        if name == "while":
            body, first = params["body_jaxpr"].jaxpr, params["cond_nconsts"]
            consts = read[first : first + params["body_nconsts"]]
            unknown: list[_Source] = [None] * len(equation.outvars)
            counts, _ = self.count(body, [*consts, *unknown])
            if counts.any():
                raise NotCounted("a while loop: how often it multiplies cannot be told")
            return counts, unknown
        bodies = [b for b in map(_body, params.values()) if b is not None]
        if len(bodies) == 1 and len(bodies[0].invars) == len(read):
            return self.count(bodies[0], read)
        if bodies and any(read):
            raise NotCounted(f"{name}: its products cannot be counted")
        counts = np.zeros(len(self._sizes), np.int64)
        if name in ("dot_general", "conv_general_dilated") and (read[0] is None) != (
            read[1] is None
        ):
            weight = read.index(next(s for s in read if s is not None))
            leaf = self._leaf(read[weight], equation.invars[weight].aval)
            if leaf is not None:
                counts[leaf] = _products(equation)
        return counts, [_both(read)] * len(equation.outvars)

    def _leaf(self, source: _Source, aval: Any) -> int | None:
        """The leaf whose weights a product multiplies; None for constants."""
        leaves = sorted(source or ())
        alike = [i for i in leaves if self._sizes[i] == aval.size] or leaves
        if len(alike) > 1:
            raise NotCounted(
                f"a product with weights {list(aval.shape)} that come of several leaves"
                " of the params; its multiply-adds cannot be told to one"
            )
        return alike[0] if alike else None


def _carry(scan: Any, body: Any) -> slice:
    """Which inputs of a scan are its carry: after the constants, before sliced inputs.

    Ranks tell them apart, since the names of a scan's params change between jax versions.
    """
    whole, kept = (
        [one.aval.ndim == other.aval.ndim for one, other in zip(*pair, strict=True)]
        for pair in ((scan.invars, body.invars), (scan.outvars, body.outvars))
    )
    end = sum(whole)
    return slice(end - sum(kept), end)


def _both(sources: Sequence[_Source]) -> _Source:
    if any(source is None for source in sources):
        return None
    return frozenset[int]().union(*(s for s in sources if s is not None))


def _body(value: Any) -> Any:
    """The program in an equation's parameter, if it is one."""
    return getattr(value, "jaxpr", value) if hasattr(value, "eqns") else None


def _products(equation: Any) -> int:
    size = math.prod(equation.outvars[0].aval.shape)
    lhs, rhs = (atom.aval.shape for atom in equation.invars[:2])
    numbers = equation.params["dimension_numbers"]
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = numbers
        return int(size * math.prod(lhs[axis] for axis in contracted))
    per_unit = math.prod(rhs) // rhs[numbers.rhs_spec[0]]
    return int(size * per_unit // math.prod(equation.params["lhs_dilation"]))
