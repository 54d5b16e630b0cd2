"""What a net becomes outside of this package is the same function, for any batch."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest
from zoo import NETS, draw_masks, images, logits, variables

from lth_jax import data, shrinking
from lth_jax.deploy import export, onnx_graph

NORMALIZATION = data.Normalization(np.float32([100, 120, 140]), np.float32([60, 70, 80]))
# Dense; max pools; batch normalisation; residuals; few pixels, which a CPU does its way.
NAMES = ("lenet", "conv2", "small_vgg", "small_resnet", "vgg16")
BATCHES = (1, 3, 8)


def stored(name, number):
    shape = (number, *images(name).shape[1:])
    return np.random.default_rng(number).integers(0, 256, shape, np.uint8)


@pytest.fixture(scope="module", params=NAMES)
def case(request):
    """A net's program by JAX, by ONNX, and the masked net's logits of each batch."""
    name = request.param
    params, stats = variables(name)
    masks = draw_masks(name, 3, density=0.3, dead=0.2, others=0.9, dead_inputs=0.3)
    net = shrinking.compact(NETS[name], params, masks, stats)
    predict = export.predictor(
        net.module,
        net.params,
        net.batch_stats,
        lambda x: net.inputs(NORMALIZATION.apply(x)),
    )
    example = jax.ShapeDtypeStruct(images(name).shape[1:], jnp.uint8)
    masked = jax.tree.map(lambda m, p: np.where(m, p, 0), masks, params)
    expected = {
        number: logits(
            NETS[name], masked, stats, NORMALIZATION.apply(stored(name, number))
        )
        for number in BATCHES
    }
    return name, predict, example, expected


def assert_same(found, expected):
    assert found.dtype == np.float32
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5 * scale)


def test_a_program_read_back_gives_the_masked_nets_logits(case):
    name, predict, example, expected = case
    program = export.read(export.program(predict, example))
    assert program.platforms == ("cpu", "cuda")
    (inputs,) = program.in_avals
    assert inputs.dtype == np.uint8 and inputs.shape[1:] == example.shape
    for number, answer in expected.items():
        assert_same(np.asarray(program.call(stored(name, number))), answer)


def test_an_onnx_model_gives_the_masked_nets_logits(case):
    name, predict, example, expected = case
    model = onnx_graph.onnx_model(predict, example)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (inputs,), (output,) = session.get_inputs(), session.get_outputs()
    assert (inputs.name, inputs.type) == ("inputs", "tensor(uint8)")
    assert inputs.shape == ["batch", *example.shape]
    assert (output.name, output.shape) == ("logits", ["batch", 10])
    for number, answer in expected.items():
        (found,) = session.run(None, {"inputs": stored(name, number)})
        assert_same(found, answer)


def test_what_does_not_depend_on_the_inputs_is_not_in_an_onnx_graph():
    params, stats = variables("small_vgg")
    predict = export.predictor(
        NETS["small_vgg"], params, stats, lambda x: x.astype(jnp.float32)
    )
    model = onnx.load_from_string(
        onnx_graph.onnx_model(predict, jax.ShapeDtypeStruct((16, 16, 3), jnp.uint8))
    )
    ops = [node.op_type for node in model.graph.node]
    assert ops.count("Conv") == 3 and ops.count("Reshape") == 1  # of the one max pool
    # Scales come to one factor for each normalisation: no roots, no products of weights.
    assert ops.count("Mul") == 3 and not {"Sqrt", "Reciprocal", "Rsqrt"} & set(ops)


def test_an_operation_without_a_rule_is_named():
    example = jax.ShapeDtypeStruct((4,), jnp.float32)
    with pytest.raises(onnx_graph.OnnxError, match="no rule for the operation 'tanh'"):
        onnx_graph.onnx_model(jnp.tanh, example)


def test_without_onnx_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(onnx_graph.OnnxError, match=r'pip install -e "\.\[onnx\]"'):
        onnx_graph.check()
