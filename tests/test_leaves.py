"""What a leaf is, and what its axes mean, in the trees of four frameworks."""

import warnings

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from lth_jax import masks
from lth_jax.leaves import Axes, axes_of, named_leaves

KEY = jax.random.key(0)


class Linen(nn.Module):
    @nn.compact
    def __call__(self, x):
        nn.Embed(10, 8, name="words")(jnp.zeros((2,), int))
        self.param("pos_embedding", nn.initializers.ones, (1, 6, 8))
        self.param("cls", nn.initializers.ones, (1, 1, 8))
        x = nn.MultiHeadDotProductAttention(2)(x)
        x = nn.LayerNorm(reduction_axes=(-2, -1), feature_axes=(-2, -1))(x)
        x = nn.Conv(8, (3,), feature_group_count=8, name="depthwise_conv")(x)
        x = nn.ConvTranspose(4, (3,))(x)
        x = nn.Conv(5, (3, 3), name="stem")(x[..., None, :])
        x = nn.DenseGeneral((2, 3))(x)
        return nn.Dense(3)(x)


class Nnx(nnx.Module):
    def __init__(self, rngs):
        self.words = nnx.Embed(10, 8, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(2, 8, decode=False, rngs=rngs)
        self.conv = nnx.Conv(3, 4, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.head = nnx.Linear(4, 2, rngs=rngs)


def of_linen():
    return Linen().init(KEY, jnp.ones((1, 6, 8)))["params"]


def of_nnx():
    return nnx.state(Nnx(nnx.Rngs(0)), nnx.Param)


def of_equinox():
    net = {
        "words": eqx.nn.Embedding(10, 8, key=KEY),
        "linear": eqx.nn.Linear(8, 6, key=KEY),
        "conv": eqx.nn.Conv2d(3, 4, (2, 5), key=KEY),
        "shift": eqx.nn.LayerNorm((4, 8)),
        "cell": eqx.nn.GRUCell(4, 5, key=KEY),
    }
    return eqx.partition(net, eqx.is_inexact_array)[0]


def of_haiku():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hk = pytest.importorskip("haiku")

    def net(x):
        hk.Embed(10, 8)(jnp.zeros((2,), int))
        x = hk.BatchNorm(True, True, 0.9)(x, True)
        x = hk.Conv1DTranspose(4, 3)(hk.Conv1D(5, 3)(x))
        return hk.Bias()(hk.Linear(3)(x))

    return hk.transform_with_state(net).init(KEY, jnp.ones((1, 6, 8)))[0]


# The axes of what may be pruned; None where nothing tells them.
EXPECTED = {
    of_linen: {
        "MultiHeadDotProductAttention_0/query/kernel": Axes((0,), (1, 2)),
        "MultiHeadDotProductAttention_0/key/kernel": Axes((0,), (1, 2)),
        "MultiHeadDotProductAttention_0/value/kernel": Axes((0,), (1, 2)),
        "MultiHeadDotProductAttention_0/out/kernel": Axes((0, 1), (2,)),
        "depthwise_conv/kernel": Axes((1,), (2,)),
        "ConvTranspose_0/kernel": Axes((1,), (2,)),
        "stem/kernel": Axes((2,), (3,)),
        "DenseGeneral_0/kernel": None,
        "Dense_0/kernel": Axes((0,), (1,)),
    },
    of_nnx: {
        "attention/query/kernel/value": Axes((0,), (1, 2)),
        "attention/key/kernel/value": Axes((0,), (1, 2)),
        "attention/value/kernel/value": Axes((0,), (1, 2)),
        "attention/out/kernel/value": Axes((0, 1), (2,)),
        "conv/kernel/value": Axes((2,), (3,)),
        "head/kernel/value": Axes((0,), (1,)),
    },
    of_equinox: {
        "linear/weight": Axes((1,), (0,)),
        "conv/weight": Axes((1,), (0,)),
        "cell/weight_ih": Axes((1,), (0,)),
        "cell/weight_hh": Axes((1,), (0,)),
    },
    of_haiku: {
        "conv1_d/w": Axes((1,), (2,)),
        "conv1_d_transpose/w": Axes((2,), (1,)),
        "linear/w": Axes((0,), (1,)),
    },
}


def found_axes(path, leaf):
    try:
        return axes_of(path, leaf)
    except ValueError as error:
        assert f"{path} {list(leaf.shape)} does not show" in str(error)
        return None


@pytest.mark.parametrize("make", EXPECTED, ids=lambda make: make.__name__)
def test_weights_and_their_axes_are_told_in_every_framework(make):
    params = make()
    for tree in (params, masks.full(params)):
        leaves = masks.prunable_leaves(tree)
        assert {p: found_axes(p, leaf) for p, leaf in leaves} == EXPECTED[make]


def test_plain_pytrees_are_inputs_by_units():
    params = {"a": np.ones((4, 3)), "b": np.ones((3, 5)), "out": [np.ones((5, 2))]}
    params["conv"] = {"b": np.ones((4, 1, 1))}  # haiku's, with channels first
    leaves = masks.prunable_leaves(params)
    assert [path for path, _ in leaves] == ["a", "b", "out/0"]
    assert {axes_of(*leaf) for leaf in leaves} == {Axes((0,), (1,))}


@pytest.mark.parametrize(
    ("path", "shape"),
    [("weight", (4, 3)), ("layer/w", (2, 3, 4)), ("mix/kernel", (2, 3, 4))],
)
def test_what_nothing_tells_is_refused_by_name(path, shape):
    with pytest.raises(ValueError, match=rf"axes: None; {path} \[.* pass axes="):
        axes_of(path, np.ones(shape))


@pytest.mark.parametrize(
    "axes", [Axes((1,), (0,)), Axes((0, 2), (3,)), Axes((2,), (1, 3))]
)
def test_matrices_are_put_back(axes):
    leaf = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    matrices = axes.matrices(leaf)
    read, units = (np.prod([leaf.shape[a] for a in part]) for part in axes)
    assert matrices.shape == (leaf.size // read // units, read, units)
    np.testing.assert_array_equal(axes.restored(matrices, leaf.shape), leaf)
    one = np.zeros(4, int)
    one[list(axes.inputs)] = 1  # the next of each input axis, at the first of the others
    expected = leaf[tuple(one)]
    flat = np.ravel_multi_index(
        [1] * len(axes.inputs), [leaf.shape[a] for a in axes.inputs]
    )
    assert matrices[0, flat, 0] == expected


def test_a_path_knows_the_class_that_owns_its_leaf():
    owners = {path: path.owner for path, _ in named_leaves(of_equinox())}
    assert owners["linear/weight"] is eqx.nn.Linear
    assert owners["words/weight"] is eqx.nn.Embedding
    assert {path.owner for path, _ in named_leaves({"a": [np.ones(1)]})} == {None}
