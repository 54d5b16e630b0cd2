"""ONNX graph: translates a net to ONNX, for runtimes other than JAX.

It translates JAX's trace of the net node by node, so that the graph cannot differ from
the net. There are rules for the operations of `lth_jax.models` in evaluation. Whatever
does not depend on the inputs is computed here and becomes a constant.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax import export, lax
from jax.extend import core

from lth_jax.deploy.export import Predict, batched
from lth_jax.errors import UserError

OPSET = 18  # the first with the axes of every reduction as an input
_ELEMENTWISE = {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "max": "Max"}
_REDUCTIONS = {"reduce_max": "ReduceMax", "reduce_sum": "ReduceSum"}
_NHWC, _HWIO = (0, 3, 1, 2), (3, 2, 0, 1)
_PLAIN = {  # the params that a convolution must have, because ONNX gets none of them
    "dimension_numbers": lax.ConvDimensionNumbers(_NHWC, _HWIO, _NHWC),
    "lhs_dilation": (1, 1),
    "rhs_dilation": (1, 1),
    "feature_group_count": 1,
    "batch_group_count": 1,
}
_BODY = {"jit": "jaxpr", "custom_jvp_call": "call_jaxpr", "custom_vjp_call": "call_jaxpr"}

# An array that does not depend on the inputs, of length 1 along the batch; or the name of
# a node's result, with the batch as axis 0.
_Value = np.ndarray | str


class OnnxError(UserError):
    """A net cannot be written as ONNX."""


def check() -> None:
    """Checks that the package onnx is installed.

    Raises:
      OnnxError: if it is not; it says how to install it.
    """
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise OnnxError(
            f'--onnx: needs onnx ({error}); pip install -e ".[onnx]"'
        ) from None


def onnx_model(predict: Predict, example: jax.ShapeDtypeStruct) -> bytes:
    """Returns a function as an ONNX model with its weights, for batches of any size.

    Its input is "inputs" [batch, ...], as stored; `example` is one input's shape and
    dtype. Its output is "logits" float32[batch, classes].

    Raises:
      OnnxError: if the package onnx is missing, or an operation has no rule here.
    """
    check()
    import onnx

    batch = batched(example)
    traced = jax.make_jaxpr(predict)(batch)
    graph, helper = _Graph(), onnx.helper
    graph.node("Identity", graph.run(traced, ["inputs"]), "logits")

    def described(name: str, array: Any) -> list[Any]:
        kind, shape = graph.type_of(array.dtype), ["batch", *array.shape[1:]]
        return [helper.make_tensor_value_info(name, kind, shape)]

    ends = described("inputs", batch), described("logits", traced.out_avals[0])
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "compact", *ends, graph.constants),
        opset_imports=opsets,
        ir_version=helper.find_min_ir_version_for(opsets),
        producer_name="lth_jax",
    )
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


class _Graph:
    """The nodes and constants of a graph, as it is built."""

    def __init__(self) -> None:
        import onnx

        self._onnx: Any = onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def type_of(self, dtype: Any) -> int:
        """Returns ONNX's number for a dtype."""
        return int(self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def node(
        self, op: str, inputs: Sequence[_Value], name: str = "", **attributes: Any
    ) -> str:
        """Adds a node; returns the name of its output."""
        name = name or f"{op.lower()}_{len(self.nodes)}"
        names = [x if isinstance(x, str) else self._constant(x) for x in inputs]
        made = self._onnx.helper.make_node(op, names, [name], name, **attributes)
        self.nodes.append(made)
        return name

    def _constant(self, value: np.ndarray) -> str:
        name = f"constant_{len(self.constants)}"
        array = np.ascontiguousarray(value).reshape(value.shape)
        self.constants.append(self._onnx.numpy_helper.from_array(array, name))
        return name

    def run(self, traced: Any, inputs: Sequence[_Value]) -> list[_Value]:
        """Translates a traced function; returns its results."""
        jaxpr, consts = traced.jaxpr, map(np.asarray, traced.consts)
        known: dict[Any, _Value] = dict(zip(jaxpr.invars, inputs, strict=True))
        known |= dict(zip(jaxpr.constvars, consts, strict=True))

        def read(atom: Any) -> _Value:
            is_literal = isinstance(atom, core.Literal)
            return np.asarray(atom.val, atom.aval.dtype) if is_literal else known[atom]

        for equation in jaxpr.eqns:
            results = self._equation(equation, [read(atom) for atom in equation.invars])
            known |= dict(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _equation(self, equation: Any, inputs: list[_Value]) -> list[_Value]:
        name, params = equation.primitive.name, equation.params
        if name in _BODY:
            return self.run(params[_BODY[name]], inputs)
        if name == "platform_index":  # choose the default branch, not the one for a CPU
            return [np.asarray(params["platforms"].index(None))]
        if name == "cond":
            assert isinstance(inputs[0], np.ndarray)
            return self.run(params["branches"][int(inputs[0])], inputs[1:])
        if name == "broadcast_in_dim" and isinstance(inputs[0], np.ndarray):
            return [_broadcast(inputs[0], params)]
        if all(isinstance(x, np.ndarray) for x in inputs):
            return [np.asarray(equation.primitive.bind(*inputs, **params))]
        if name in _ELEMENTWISE:
            return [self.node(_ELEMENTWISE[name], [_once(x) for x in inputs])]
        if name in _RULES:
            return [_RULES[name](self, equation, inputs)]
        raise OnnxError(f"onnx: no rule for the operation {name!r}")


def _broadcast(constant: np.ndarray, params: Any) -> np.ndarray:
    """A constant broadcast to that shape, as a view; ONNX repeats it along the batch."""
    axes, size_of = params["broadcast_dimensions"], params["shape"]
    others = [axis for axis in range(len(size_of)) if axis not in axes]
    whole = [1 if export.is_symbolic_dim(size) else size for size in size_of]
    return np.broadcast_to(np.expand_dims(constant, others), whole)


def _once(value: _Value) -> _Value:
    """A constant without repetitions; elementwise operations of ONNX broadcast it."""
    if isinstance(value, str):
        return value
    once = tuple(slice(None if stride else 1) for stride in value.strides)
    return np.asarray(value[once])


def _cast(graph: _Graph, equation: Any, inputs: list[_Value]) -> str:
    return graph.node("Cast", inputs, to=graph.type_of(equation.params["new_dtype"]))


def _reshape(graph: _Graph, equation: Any, inputs: list[_Value]) -> str:
    shape = np.array(
        [0, *equation.params["new_sizes"][1:]], np.int64
    )  # 0 keeps the batch
    return graph.node("Reshape", [*inputs, shape])


def _reduce(graph: _Graph, equation: Any, inputs: list[_Value]) -> str:
    axes = np.array(equation.params["axes"], np.int64)
    return graph.node(_REDUCTIONS[equation.primitive.name], [*inputs, axes], keepdims=0)


def _matmul(graph: _Graph, equation: Any, inputs: list[_Value]) -> str:
    numbers = equation.params["dimension_numbers"]
    ranks = [len(operand.aval.shape) for operand in equation.invars]
    if numbers != (((1,), (0,)), ((), ())) or ranks != [2, 2]:
        raise OnnxError(f"onnx: no rule for a product of ranks {ranks} over {numbers}")
    return graph.node("MatMul", inputs)


def _convolution(graph: _Graph, equation: Any, inputs: list[_Value]) -> str:
    """A convolution between two transposes, because ONNX has channels first."""
    for name, plain in _PLAIN.items():
        if (found := equation.params[name]) != plain:
            raise OnnxError(f"onnx: no rule for a convolution with {name}={found}")
    images, kernel = inputs
    assert isinstance(kernel, np.ndarray)
    low, high = zip(*equation.params["padding"], strict=True)
    result = graph.node(
        "Conv",
        [graph.node("Transpose", [images], perm=_NHWC), kernel.transpose(_HWIO)],
        strides=equation.params["window_strides"],
        pads=(*low, *high),
    )
    return graph.node("Transpose", [result], perm=(0, 2, 3, 1))


def _gather(graph: _Graph, equation: Any, inputs: list[_Value]) -> str:
    """The gather that `jnp.take` along the last axis makes."""
    numbers, (operand, indices) = equation.params["dimension_numbers"], inputs
    last = len(equation.invars[0].aval.shape) - 1
    if numbers.start_index_map != (last,) or numbers.collapsed_slice_dims != (last,):
        raise OnnxError(f"onnx: no rule for {numbers}")
    assert isinstance(indices, np.ndarray)
    return graph.node("Gather", [operand, indices[:, 0].astype(np.int64)], axis=last)


_RULES: dict[str, Callable[[_Graph, Any, list[_Value]], str]] = {
    "convert_element_type": _cast,
    "reshape": _reshape,
    "reduce_max": _reduce,
    "reduce_sum": _reduce,
    "dot_general": _matmul,
    "conv_general_dilated": _convolution,
    "gather": _gather,
}
