"""What a net becomes outside of this package is the same function, for any batch."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest
from support.tiers import quick
from support.zoo import NETS, draw_masks, images, logits, variables

from lth_jax import data, shrinking
from lth_jax.deploy import export, onnx_graph

NORMALIZATION = data.Normalization(np.float32([100, 120, 140]), np.float32([60, 70, 80]))
# Dense; max pools; batch normalisation; residuals; few pixels, which a CPU does its way.
NAMES = ("lenet", "conv2", "small_vgg", "small_resnet", "vgg16")
BATCHES = (1, 3, 8)


def stored(name, number):
    shape = (number, *images(name).shape[1:])
    return np.random.default_rng(number).integers(0, 256, shape, np.uint8)


@pytest.fixture(scope="module", params=quick(*NAMES[:4], of=NAMES))
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
    assert program.platforms == ("cpu", "cuda", "tpu")
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

    # Nothing is stored as often as it is repeated.
    number = sum(onnx.numpy_helper.to_array(c).size for c in model.graph.initializer)
    assert number < 1.1 * sum(leaf.size for leaf in jax.tree.leaves((params, stats)))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + jnp.sum(jnp.ones(4)),
        lambda x: x + jnp.max(jnp.ones((3, 4)) * jnp.arange(4.0), 0),
        lambda x: x @ jnp.ones((4, 4)) + jnp.ones((4, 4)).sum(0),
        lambda x: x * jnp.broadcast_to(jnp.arange(4.0), x.shape),
    ],
)
def test_a_repeated_constant_counts_as_often_as_it_is_repeated(function):
    model = onnx_graph.onnx_model(function, jax.ShapeDtypeStruct((4,), jnp.float32))
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    inputs = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    (found,) = session.run(None, {"inputs": inputs})
    np.testing.assert_allclose(found, function(inputs), rtol=1e-6)


def convolution(x, features=2, numbers=("NHWC", "HWIO", "NHWC"), **settings):
    kernel = jnp.ones((2, 2, features, 2))
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), [(0, 1)] * 2, dimension_numbers=numbers, **settings
    )


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (jnp.tanh, "the operation 'tanh'"),
        (lambda x: x @ jnp.ones((2, 4)), r"a product of ranks \[4, 2\]"),
        (lambda x: jnp.einsum("bijc,bijc->b", x, x), r"a product of ranks \[4, 4\]"),
        (
            lambda x: convolution(x, rhs_dilation=(2, 2)),
            r"a convolution with rhs_dilation=\(2, 2\)",
        ),
        (
            lambda x: convolution(x, lhs_dilation=(1, 2)),
            r"a convolution with lhs_dilation=\(1, 2\)",
        ),
        (
            lambda x: convolution(x, 1, feature_group_count=2),
            "a convolution with feature_group_count=2",
        ),
        (
            lambda x: convolution(x, numbers=("NWHC", "HWIO", "NHWC")),
            "a convolution with dimension_numbers=",
        ),
    ],
)
def test_what_has_no_rule_is_named(function, words):
    example = jax.ShapeDtypeStruct((6, 6, 2), jnp.float32)
    with pytest.raises(onnx_graph.OnnxError, match=f"no rule for {words}"):
        onnx_graph.onnx_model(function, example)


def test_a_machine_without_a_program_of_its_own_is_refused(monkeypatch):
    export.check()
    monkeypatch.setattr(jax.export, "default_export_platform", lambda: "rocm")
    with pytest.raises(export.ExportError, match="platform: 'rocm'; must be one of"):
        export.check()


def test_without_onnx_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(onnx_graph.OnnxError, match=r'pip install -e "\.\[onnx\]"'):
        onnx_graph.check()
