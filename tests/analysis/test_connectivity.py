"""The line between two nets, on landscapes whose barrier is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lth_jax.analysis.connectivity import (
    barrier,
    barrier_over_ends,
    line,
    mean,
    pairs,
)

FLOATS = st.floats(-3, 3, width=32, allow_subnormal=False)  # XLA takes these for 0
NETS = st.lists(FLOATS, min_size=3, max_size=3).map(np.float32)


def quadratic(net):
    return ((net["a"] - 1) ** 2).sum()


def double_well(net):
    return ((net["a"] ** 2 - 1) ** 2).sum()


def on_line(loss):
    """Compiled: losses [1, 31] on the line between two nets [1, 3]."""

    def measured(first, second):
        return jax.vmap(loss)(line({"a": first}, {"a": second}, 31))

    return jax.jit(jax.vmap(measured))


ON_LINE = {loss: on_line(loss) for loss in (quadratic, double_well)}


def values_on_line(loss, first, second):
    return np.asarray(ON_LINE[loss](first[None], second[None]))


@given(NETS)
def test_between_two_copies_of_one_net_there_is_no_barrier(net):
    points = line({"a": net}, {"a": net}, 31)["a"]
    assert (np.asarray(points) == net).all()
    values = values_on_line(double_well, net, net)
    assert barrier(values)[0] == pytest.approx(0, abs=1e-6 * float(values.max()))
    assert barrier(np.repeat(values[:, :1], 31, axis=1))[0] == 0


@given(NETS, NETS)
def test_a_quadratic_has_its_maximum_at_an_end(first, second):
    (values,) = values_on_line(quadratic, first, second)
    ends = quadratic({"a": first}), quadratic({"a": second})
    assert values[[0, -1]] == pytest.approx(ends, rel=1e-5, abs=1e-6)
    expected = abs(ends[0] - ends[1]) / 2
    assert barrier(values) == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_of_two_wells_the_barrier_is_the_hill_between_them():
    ends = np.full(3, -1, np.float32), np.full(3, 1, np.float32)
    values = values_on_line(double_well, *ends)
    assert barrier(values)[0] == pytest.approx(3)  # 1 for each weight, at 0
    assert np.argmax(values[0]) == 15


def test_the_ends_are_the_nets_to_the_last_bit():
    first, second = {"a": jnp.float32(0.1)}, {"a": jnp.float32(1e8)}
    points = line(first, second, 7)["a"]
    assert points[0] == first["a"] and points[-1] == second["a"]
    assert points.shape == (7,)
    assert pairs("abc") == [("a", "b"), ("a", "c"), ("b", "c")]


def test_a_steady_change_is_no_barrier_between_unequal_ends():
    slope = np.linspace([1, 5], [4, 2], 13, axis=1)
    np.testing.assert_allclose(barrier_over_ends(slope), 0, atol=1e-6)
    assert (np.asarray(barrier(slope)) > 1).all()
    hill = slope + 2 * np.sin(np.linspace(0, np.pi, 13))
    np.testing.assert_allclose(jax.jit(barrier_over_ends)(hill), 2, rtol=1e-6)
    flat = 3 + np.sin(np.linspace(0, np.pi, 13))[None]
    assert barrier_over_ends(flat) == pytest.approx(np.asarray(barrier(flat)), rel=1e-5)


def test_the_mean_of_copies_is_that_of_each_weight_compiled_and_over_members():
    values = np.random.default_rng(0).normal(size=(3, 2, 50)).astype(np.float32)
    values[:, 0, 7], values[:, 1, 8] = 0, 0.1
    found = jax.jit(jax.vmap(lambda *nets: mean([{"a": net} for net in nets])))(*values)
    np.testing.assert_allclose(found["a"], values.mean(0), rtol=1e-5, atol=1e-6)
    assert found["a"][0, 7] == 0 and found["a"][1, 8] == np.float32(0.1)
    one = mean([{"a": values[0]}])["a"]
    np.testing.assert_array_equal(one, values[0])
