"""ONNX graph: a net's computation as ONNX has it, for runtimes other than JAX.

What JAX traces is written down node by node, so that the graph cannot differ from the
net; there are rules for what the nets of `lth_jax.models` do in evaluation. What does
not depend on the inputs is computed here.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import export, lax
from jax.extend import core

from lth_jax.deploy.export import Predict, batched
from lth_jax.errors import UserError

OPSET = 18  # the first with the axes of every reduction as an input
_ELEMENTWISE = {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "max": "Max"}
_REDUCTIONS = {"reduce_max": "ReduceMax", "reduce_sum": "ReduceSum"}
_PLAIN = {  # what a convolution must have, since it is not written down
    "dimension_numbers": lax.ConvDimensionNumbers(
        (0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2)
    ),
    "lhs_dilation": (1, 1),
    "rhs_dilation": (1, 1),
    "feature_group_count": 1,
    "batch_group_count": 1,
}
_BODIES = {
    "jit": "jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
}


class OnnxError(UserError):
    """A net that cannot be written as ONNX here."""


def check() -> None:
    """Checks that the package onnx is there.

    Raises:
      OnnxError: saying how to install it.
    """
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise OnnxError(
            f'--onnx: needs onnx ({error}); pip install -e ".[onnx]"'
        ) from None


def onnx_model(predict: Predict, example: jax.ShapeDtypeStruct) -> bytes:
    """A function as an ONNX model with the weights inside, any batch.

    Its input is "inputs" [batch, ...], as stored; its output "logits" float32[batch,
    classes].

    Args:
      predict: a batch to logits.
      example: shape and dtype of one input, as stored.

    Raises:
      OnnxError: without the package onnx, or for an operation that has no rule here.
    """
    check()
    import onnx

    traced = jax.make_jaxpr(predict)(batched(example))
    graph = _Graph()
    logits = graph.run(traced.jaxpr, traced.consts, ["inputs"])[0]
    graph.node("Identity", [logits], "logits")
    (result,) = traced.out_avals
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.nodes,
            "compact",
            [_value("inputs", example.dtype, example.shape)],
            [_value("logits", result.dtype, result.shape[1:])],
            graph.constants,
        ),
        opset_imports=(opsets := [onnx.helper.make_opsetid("", OPSET)]),
        ir_version=onnx.helper.find_min_ir_version_for(opsets),
        producer_name="lth_jax",
    )
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _value(name: str, dtype: Any, shape: Sequence[int]) -> Any:
    import onnx

    return onnx.helper.make_tensor_value_info(name, _type(dtype), ["batch", *shape])


def _type(dtype: Any) -> int:
    import onnx

    return int(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


class _Constant(NamedTuple):
    """What does not depend on the inputs; 1 long along the batch."""

    value: np.ndarray


_Value = _Constant | str  # a constant, or the name of what a node computes


class _Graph:
    """Nodes and constants in the making. Axis 0 of what nodes compute is the batch."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def node(
        self, op: str, inputs: Sequence[_Value], name: str = "", **attributes: Any
    ) -> str:
        """Adds a node; gives the name of its output."""
        import onnx

        name = name or f"{op.lower()}_{len(self.nodes)}"
        names = [x if isinstance(x, str) else self._constant(x.value) for x in inputs]
        self.nodes.append(onnx.helper.make_node(op, names, [name], name, **attributes))
        return name

    def _constant(self, value: np.ndarray) -> str:
        import onnx

        name = f"constant_{len(self.constants)}"
        array = np.ascontiguousarray(value).reshape(value.shape)
        self.constants.append(onnx.numpy_helper.from_array(array, name))
        return name

    def run(
        self, jaxpr: Any, consts: Sequence[Any], inputs: Sequence[_Value]
    ) -> list[_Value]:
        """Writes a traced function down; gives its results."""
        known: dict[Any, _Value] = dict(zip(jaxpr.invars, inputs, strict=True))
        for variable, const in zip(jaxpr.constvars, consts, strict=True):
            known[variable] = _Constant(np.asarray(const))

        def read(atom: Any) -> _Value:
            if isinstance(atom, core.Literal):
                aval: Any = atom.aval
                return _Constant(np.asarray(atom.val, aval.dtype))
            return known[atom]

        for equation in jaxpr.eqns:
            results = self._equation(equation, [read(atom) for atom in equation.invars])
            known |= dict(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _equation(self, equation: Any, inputs: list[_Value]) -> list[_Value]:
        name, params = equation.primitive.name, equation.params
        if name in _BODIES:
            body = params[_BODIES[name]]
            return self.run(body.jaxpr, body.consts, inputs)
        if name == "platform_index":  # the plain way, not the one that suits a CPU
            return [_Constant(np.asarray(params["platforms"].index(None)))]
        if name == "cond":
            assert isinstance(inputs[0], _Constant)
            body = params["branches"][int(inputs[0].value)]
            return self.run(body.jaxpr, body.consts, inputs[1:])
        if name == "broadcast_in_dim" and isinstance(inputs[0], _Constant):
            return [_broadcast(inputs[0], params)]
        constants = [x.value for x in inputs if isinstance(x, _Constant)]
        if len(constants) == len(inputs):
            return [_Constant(np.asarray(equation.primitive.bind(*constants, **params)))]
        rule = _RULES.get(name)
        if rule is None and name not in _ELEMENTWISE:
            raise OnnxError(f"onnx: no rule for the operation {name!r}")
        if rule is None:
            return [self.node(_ELEMENTWISE[name], [_once(x) for x in inputs])]
        return [rule(self, equation, inputs)]


def _broadcast(constant: _Constant, params: Any) -> _Constant:
    """A constant of that shape, as a view; along the batch ONNX repeats it."""
    shape = [1] * len(params["shape"])
    for axis, size in zip(
        params["broadcast_dimensions"], constant.value.shape, strict=True
    ):
        shape[axis] = size
    whole = [1 if export.is_symbolic_dim(size) else size for size in params["shape"]]
    return _Constant(np.broadcast_to(constant.value.reshape(shape), whole))


def _once(value: _Value) -> _Value:
    """A constant without its repetitions, which ONNX makes between elements alone."""
    if isinstance(value, str):
        return value
    strides = value.value.strides
    return _Constant(value.value[tuple(slice(None if s else 1) for s in strides)])


def _cast(graph: _Graph, equation: Any, inputs: list[_Value]) -> str:
    return graph.node("Cast", inputs, to=_type(equation.params["new_dtype"]))


def _reshape(graph: _Graph, equation: Any, inputs: list[_Value]) -> str:
    # The batch stays as it is, which ONNX says with a 0.
    shape = np.array([0, *equation.params["new_sizes"][1:]], np.int64)
    return graph.node("Reshape", [*inputs, _Constant(shape)])


def _reduce(graph: _Graph, equation: Any, inputs: list[_Value]) -> str:
    axes = _Constant(np.array(equation.params["axes"], np.int64))
    op = _REDUCTIONS[equation.primitive.name]
    return graph.node(op, [*inputs, axes], keepdims=0)


def _matmul(graph: _Graph, equation: Any, inputs: list[_Value]) -> str:
    numbers = equation.params["dimension_numbers"]
    ranks = [len(operand.aval.shape) for operand in equation.invars]
    if numbers != (((1,), (0,)), ((), ())) or ranks != [2, 2]:
        raise OnnxError(f"onnx: no rule for a product of ranks {ranks} over {numbers}")
    return graph.node("MatMul", inputs)


def _convolution(graph: _Graph, equation: Any, inputs: list[_Value]) -> str:
    """ONNX has channels first."""
    for name, plain in _PLAIN.items():
        if (found := equation.params[name]) != plain:
            raise OnnxError(f"onnx: no rule for a convolution with {name}={found}")
    images, kernel = inputs
    assert isinstance(kernel, _Constant)
    low, high = zip(*equation.params["padding"], strict=True)
    result = graph.node(
        "Conv",
        [
            graph.node("Transpose", [images], perm=(0, 3, 1, 2)),
            _Constant(kernel.value.transpose(3, 2, 0, 1)),
        ],
        strides=equation.params["window_strides"],
        pads=(*low, *high),
    )
    return graph.node("Transpose", [result], perm=(0, 2, 3, 1))


def _gather(graph: _Graph, equation: Any, inputs: list[_Value]) -> str:
    """As `jnp.take` along the last axis makes it."""
    numbers, (operand, indices) = equation.params["dimension_numbers"], inputs
    last = len(equation.invars[0].aval.shape) - 1
    if numbers.start_index_map != (last,) or numbers.collapsed_slice_dims != (last,):
        raise OnnxError(f"onnx: no rule for {numbers}")
    assert isinstance(indices, _Constant)
    flat = _Constant(indices.value[:, 0].astype(np.int64))
    return graph.node("Gather", [operand, flat], axis=last)


_RULES: dict[str, Callable[[_Graph, Any, list[_Value]], str]] = {
    "convert_element_type": _cast,
    "reshape": _reshape,
    "reduce_max": _reduce,
    "reduce_sum": _reduce,
    "dot_general": _matmul,
    "conv_general_dilated": _convolution,
    "gather": _gather,
}
