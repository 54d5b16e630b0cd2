"""Convolution: forward and both gradients, against XLA's and against loops."""

import math
import re

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from jax import lax
from support import oracles

from lth_jax.models import convolution
from lth_jax.models.convolution import convolve


def plain(inputs, kernel, strides, padding):
    """XLA's own."""
    return lax.conv_general_dilated(
        inputs, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def drawn(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def pulled_back(convolution, strides, padding):
    """(inputs, kernel, cotangent) to the outputs and the gradients of both."""

    @jax.jit
    def run(inputs, kernel, cotangent):
        outputs, pull_back = jax.vjp(
            lambda x, k: convolution(x, k, strides, padding), inputs, kernel
        )
        return outputs, *pull_back(cotangent)

    return run


def case(inputs, kernel, strides, padding):
    """Inputs, kernel and a cotangent of these shapes."""
    outputs = jax.eval_shape(
        lambda x, k: plain(x, k, strides, padding),
        *(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in (inputs, kernel)),
    )
    return drawn(1, *inputs), drawn(2, *kernel), drawn(3, *outputs.shape)


def assert_close(found, expected, atol):
    """Up to rounding, which grows with the largest value."""
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        a, b = np.float64(a), np.float64(b)
        np.testing.assert_allclose(a, b, rtol=0, atol=atol * (1 + np.abs(b).max()))


# Inputs, kernel, strides, padding.
CASES = {
    "3x3": ((6, 8, 8, 3), (3, 3, 3, 5), (1, 1), "SAME"),
    "3x3, stride 2": ((6, 8, 8, 3), (3, 3, 3, 5), (2, 2), "SAME"),
    "odd sizes, stride 2, prime batch": ((7, 9, 7, 2), (3, 3, 2, 4), (2, 2), "SAME"),
    "shortcut": ((4, 8, 8, 4), (1, 1, 4, 8), (2, 2), "SAME"),
    "shortcut, odd sizes": ((3, 7, 9, 4), (1, 1, 4, 2), (2, 2), "SAME"),
    "stride beyond the kernel": ((2, 11, 10, 2), (1, 3, 2, 3), (3, 3), "VALID"),
    "5x5, stride 3": ((5, 12, 10, 1), (5, 5, 1, 2), (3, 3), "SAME"),
    "5x3, strides 1 and 2": ((3, 7, 8, 2), (5, 3, 2, 3), (1, 2), "VALID"),
    "uneven padding": ((2, 6, 5, 2), (3, 3, 2, 1), (2, 1), ((0, 3), (2, 1))),
    "padding beyond the kernel": ((2, 6, 5, 2), (3, 3, 2, 3), (1, 1), ((4, 0), (0, 5))),
    "even kernel": ((3, 6, 7, 2), (2, 4, 2, 3), (1, 2), "SAME"),
    "one channel, one example": ((1, 5, 6, 1), (3, 3, 1, 1), (1, 1), "SAME"),
    "4x4 pixels": ((11, 4, 4, 8), (3, 3, 8, 6), (1, 1), "SAME"),
    "2x2 pixels": ((6, 2, 2, 16), (3, 3, 16, 12), (1, 1), "SAME"),
    "2x2 pixels, 5x5": ((5, 2, 2, 3), (5, 5, 3, 2), (1, 1), "SAME"),
    "few pixels, stride 2": ((5, 4, 4, 3), (3, 3, 3, 2), (2, 2), "SAME"),
    "few pixels, uneven padding": ((3, 3, 4, 2), (3, 1, 2, 2), (1, 1), ((2, 0), (1, 3))),
    "32 rows": ((1, 32, 3, 32), (3, 3, 32, 33), (1, 1), "SAME"),
    "32 rows, 1x1": ((1, 32, 2, 32), (1, 1, 32, 32), (1, 1), "VALID"),
    "32 rows, padding beyond the kernel": (
        (1, 30, 3, 32),
        (2, 3, 32, 32),
        (1, 1),
        ((0, 4), (3, 0)),
    ),
    "one pixel": ((3, 1, 1, 4), (1, 1, 4, 2), (1, 1), "VALID"),
}


@pytest.mark.parametrize("name", CASES)
def test_outputs_and_gradients_agree_with_xla_and_with_loops(name):
    strides, padding = CASES[name][2:]
    inputs, kernel, cotangent = case(*CASES[name])
    found = pulled_back(convolve, strides, padding)(inputs, kernel, cotangent)
    xla = pulled_back(plain, strides, padding)(inputs, kernel, cotangent)
    assert_close(found, xla, atol=1e-5)
    loops = (
        oracles.convolution(inputs, kernel, strides, padding),
        *oracles.convolution(inputs, kernel, strides, padding, cotangent),
    )
    assert_close(found, loops, atol=1e-5)


SMALL = st.integers(1, 5)
ENDS = st.tuples(st.integers(0, 3), st.integers(0, 3))


@settings(max_examples=15)
@given(
    batch=st.integers(1, 7),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel=st.tuples(SMALL, SMALL),
    channels=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.one_of(st.just("SAME"), st.tuples(ENDS, ENDS)),
)
@example(1, (1, 1), (1, 1), (1, 1), (1, 3), ((0, 0), (2, 0)))  # crops more than there is
def test_any_shape_agrees_with_loops(batch, size, kernel, channels, strides, padding):
    if padding != "SAME":  # at least one output
        padding = tuple(
            (low, max(high, k - n - low))
            for (low, high), n, k in zip(padding, size, kernel, strict=True)
        )
    inputs, weights, cotangent = case(
        (batch, *size, channels[0]), (*kernel, *channels), strides, padding
    )
    found = pulled_back(convolve, strides, padding)(inputs, weights, cotangent)
    loops = (
        oracles.convolution(inputs, weights, strides, padding),
        *oracles.convolution(inputs, weights, strides, padding, cotangent),
    )
    assert_close(found, loops, atol=1e-5)


@pytest.mark.parametrize("num_chunked", [1, 2, 4, 7])
def test_the_weight_gradient_is_the_same_in_any_chunks(num_chunked, monkeypatch):
    shape, kernel, strides, padding = CASES["3x3"]
    patch = 4 * 8 * 8 * math.prod(kernel[:3])
    monkeypatch.setattr(convolution, "_PATCH_BYTES", patch * num_chunked)
    inputs, kernel, cotangent = case((12, *shape[1:]), kernel, strides, padding)
    _, _, found = pulled_back(convolve, strides, padding)(inputs, kernel, cotangent)
    _, expected = oracles.convolution(inputs, kernel, strides, padding, cotangent)
    assert_close([found], [expected], atol=1e-5)


def test_a_chunk_is_the_largest_divisor_within_the_limit():
    for number in range(1, 30):
        for limit in range(0, 40):
            divisors = [d for d in range(1, number + 1) if number % d == 0]
            expected = max([d for d in divisors if d <= limit], default=1)
            assert convolution._largest_divisor(number, limit) == expected


@pytest.mark.parametrize("name", ["3x3, stride 2", "2x2 pixels"])
def test_members_and_loops_give_what_each_gives_alone(name):
    strides, padding = CASES[name][2:]
    inputs, kernel, cotangent = case(*CASES[name])
    stack = [np.stack([x, 2 * x + 1, x[..., ::-1]]) for x in (inputs, kernel, cotangent)]
    run = pulled_back(convolve, strides, padding)
    members = [run(*member) for member in zip(*stack, strict=True)]
    alone = jax.tree.map(lambda *x: np.stack(x), *members)
    assert_close(jax.jit(jax.vmap(run))(*stack), alone, atol=1e-5)
    mapped = jax.jit(lambda *stack: lax.map(lambda member: run(*member), stack))
    assert_close(mapped(*stack), alone, atol=1e-5)
    scanned = jax.jit(lambda *s: lax.scan(lambda c, member: (c, run(*member)), 0, s)[1])
    assert_close(scanned(*stack), alone, atol=1e-5)


@pytest.mark.parametrize("name", ["3x3, stride 2", "2x2 pixels"])
def test_the_gradient_of_a_sum_is_that_of_ones(name):
    shape, kernel_shape, strides, padding = CASES[name]
    inputs, kernel, cotangent = case(shape, kernel_shape, strides, padding)
    found = jax.grad(lambda x, k: convolve(x, k, strides, padding).sum(), (0, 1))(
        inputs, kernel
    )
    ones = np.ones_like(cotangent)
    expected = oracles.convolution(inputs, kernel, strides, padding, ones)
    assert_close(found, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["3x3", "3x3, stride 2", "2x2 pixels"])
def test_bfloat16_stays_bfloat16(name):
    strides, padding = CASES[name][2:]
    arrays = [jnp.asarray(x, jnp.bfloat16) for x in case(*CASES[name])]
    found = pulled_back(convolve, strides, padding)(*arrays)
    assert [x.dtype for x in found] == [jnp.bfloat16] * 3
    inputs, kernel, cotangent = (np.float64(x) for x in arrays)
    loops = (
        oracles.convolution(inputs, kernel, strides, padding),
        *oracles.convolution(inputs, kernel, strides, padding, cotangent),
    )
    assert_close(found, loops, atol=1e-2)  # 8 bits of mantissa


@pytest.mark.parametrize(
    "given",
    [
        {"rhs_dilation": (2, 1)},
        {"lhs_dilation": (1, 2)},
        {"feature_group_count": 2},
        {"batch_group_count": 2},
        {"precision": "highest"},
        {"preferred_element_type": jnp.float32},
    ],
    ids=lambda given: next(iter(given)),
)
def test_what_is_not_plain_is_refused(given):
    inputs, kernel = jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 2, 2))
    with pytest.raises(ValueError, match="undilated, ungrouped"):
        convolve(inputs, kernel, (1, 1), "SAME", **given)


def windows(convolution, size, stride):
    """Of the convolutions in the compiled program of a loop over gradients, 3x3."""

    def step(kernel, inputs):
        outputs, pull_back = jax.vjp(
            lambda x, k: convolution(x, k, (stride, stride), "SAME"), inputs, kernel
        )
        of_inputs, of_kernel = pull_back(jnp.sin(outputs))
        return kernel - of_kernel, of_inputs

    inputs, kernel = jnp.ones((3, 4, size, size, 8)), jnp.ones((3, 3, 8, 6))
    run = jax.jit(lambda kernel, inputs: lax.scan(step, kernel, inputs))
    program = run.lower(kernel, inputs).compile().as_text()
    found = re.findall(r"convolution\(.*window={size=(\d+)x(\d+)", program)
    return [(int(height), int(width)) for height, width in found]


@pytest.mark.parametrize("stride", [1, 2])
def test_no_window_in_a_loop_is_larger_than_the_kernel(stride):
    """XLA's weight gradient has one of the size of the outputs: what is slow there."""
    assert (16 // stride, 16 // stride) in windows(plain, 16, stride)
    assert windows(convolve, 16, stride) == [(3, 3)] * 2


def test_few_pixels_take_no_convolution_at_all():
    assert len(windows(plain, 2, 1)) == 3
    assert windows(convolve, 2, 1) == []


def test_what_keeps_to_one_core_is_avoided():
    """XLA leaves all three products to YNNPACK."""
    shape = jnp.ones((2, 32, 32, 64))

    def on_one_core(convolution):
        run = pulled_back(convolution, (1, 1), "SAME")
        program = run.lower(shape, jnp.ones((3, 3, 64, 64)), shape).compile().as_text()
        return program.count("__ynn_fusion")

    assert on_one_core(plain) == 3
    assert on_one_core(convolve) == 0


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("size", [2, 16])
def test_off_the_cpu_all_three_products_are_xlas_convolutions(platform, size):
    def loss(inputs, kernel):
        return jnp.sum(jnp.sin(convolve(inputs, kernel, (1, 1), "SAME")))

    gradients = jax.jit(jax.grad(loss, (0, 1)))
    shapes = (jnp.ones((4, size, size, 8)), jnp.ones((3, 3, 8, 6)))
    program = jax.export.export(gradients, platforms=[platform])(*shapes).mlir_module()
    assert program.count("stablehlo.convolution") == 3
    assert "stablehlo.while" not in program
