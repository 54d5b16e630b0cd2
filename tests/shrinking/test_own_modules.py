"""Smaller nets of modules that are not the package's, and those that cannot be."""

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import lth_jax
from lth_jax import masks, models, shrinking
from lth_jax.layout import INPUTS, NoLayout, chain
from lth_jax.models.layers import EPSILON
from lth_jax.wiring import sizes

KEY = jax.random.key(0)
INPUTS_OF_FOUR = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)


class Own(nn.Module):
    """Dense layers, of which some have no bias, and a normalisation without scale."""

    widths: tuple[int, ...] = (6, 5)
    biases: tuple[bool, ...] = (True, False, False)
    has_norm: bool = False
    use_bias: bool = True  # the norm's

    @nn.compact
    def __call__(self, x, train=False):
        for i, width in enumerate(self.widths):
            x = nn.Dense(width, use_bias=self.biases[i], name=f"dense_{i}")(x)
            if self.has_norm and i == 0:
                x = nn.BatchNorm(
                    not train,
                    epsilon=EPSILON,
                    use_scale=False,
                    use_bias=self.use_bias,
                    name="norm",
                )(x)
            x = nn.relu(x)
        return nn.Dense(3, use_bias=self.biases[-1], name="output")(x)

    def layout(self):
        hidden = [(f"dense_{i}", None) for i in range(len(self.widths))]
        if self.has_norm:
            hidden[0] = ("dense_0", "norm")
        return chain([*hidden, ("output", None)])

    def resized(self, sizes):
        places = [f"dense_{i}" for i in range(len(self.widths))]
        return self.clone(widths=tuple(sizes[place] for place in places))


def drawn(module):
    """Params and statistics, all other than 0."""
    shapes = jax.eval_shape(lambda: module.init(KEY, INPUTS_OF_FOUR))
    rng = np.random.default_rng(1)
    draw = lambda s: jnp.asarray(rng.uniform(0.2, 1, s.shape), jnp.float32)  # noqa: E731
    variables = jax.tree.map(draw, shapes)
    return variables["params"], variables.get("batch_stats", {})


def logits(module, params, stats, inputs):
    return module.apply({"params": params, "batch_stats": stats}, inputs)


NETS = {
    "no bias can be one": Own(),
    "constants behind a bias alone": Own(biases=(True, True, False)),
    "without biases": Own(biases=(False, False, False)),
    "norm without scale": Own(has_norm=True),
    "norm without scale and offset": Own(has_norm=True, use_bias=False),
}


@pytest.mark.parametrize("name", NETS)
def test_constants_are_kept_where_no_bias_can_take_them(name):
    module = NETS[name]
    params, stats = drawn(module)
    found = jax.tree.map(lambda p: np.ones(p.shape, bool), params)
    found["dense_0"]["kernel"][:, :3] = False  # constant
    found["dense_1"]["kernel"][3:, :2] = False  # reads constants alone
    found["output"]["kernel"][4] = False
    small = shrinking.compact(module, params, found, stats)
    expected = logits(module, masks.apply(found, params), stats, INPUTS_OF_FOUR)
    got = logits(small.module, small.params, small.batch_stats, INPUTS_OF_FOUR)
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    numbers = sizes(small.module.layout(), small.params)
    assert numbers["dense_1"] < 5


def test_a_norm_without_scale_keeps_units_that_lost_their_weights():
    module = NETS["norm without scale and offset"]
    params, stats = drawn(module)
    found = jax.tree.map(lambda p: np.ones(p.shape, bool), params)
    found["dense_0"]["kernel"][:, :3] = False
    found["dense_0"]["bias"][:3] = False
    tx = optax.sgd(0.1)
    state = lth_jax.initial_state(params, tx, stats)
    small = shrinking.compact_for_training(module, state, found, tx)
    expected = logits(module, masks.apply(found, params), stats, INPUTS_OF_FOUR)
    got = logits(
        small.module, small.state.params, small.state.batch_stats, INPUTS_OF_FOUR
    )
    np.testing.assert_allclose(got, expected, rtol=1e-5)


class OwnNnx(nnx.Module):
    def __init__(self, rngs, width=6):
        self.dense = nnx.Linear(4, width, rngs=rngs)
        self.output = nnx.Linear(width, 3, rngs=rngs)

    def __call__(self, x):
        return self.output(nnx.relu(self.dense(x)))

    def layout(self):
        return chain([("dense", None), ("output", None)])

    def resized(self, sizes):
        return OwnNnx(nnx.Rngs(0), sizes["dense"])


def test_params_of_nnx_are_made_smaller_as_they_are():
    graph, params = nnx.split(OwnNnx(nnx.Rngs(0)), nnx.Param)
    scores = jax.tree.map(jnp.abs, params)
    module = nnx.merge(graph, params)
    found = lth_jax.prune_units(scores, masks.full(params), 0.5, module.layout())
    small = shrinking.compact(module, params, found)
    assert sizes(module.layout(), small.params) == {INPUTS: 4, "dense": 3, "output": 3}
    smaller, _ = nnx.split(small.module, nnx.Param)
    expected = nnx.merge(graph, masks.apply(found, params))(INPUTS_OF_FOUR)
    got = nnx.merge(smaller, small.params)(INPUTS_OF_FOUR)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


class Anything:
    """A module by its layout alone."""

    def __init__(self, *names):
        self.names = names

    def layout(self):
        return chain([(name, None) for name in self.names])

    def resized(self, sizes):
        raise AssertionError


def full(params):
    return params, masks.full(params)


def test_what_cannot_be_made_smaller_is_refused_by_leaf():
    linear = eqx.nn.Linear(4, 4, key=KEY), eqx.nn.Linear(4, 4, key=KEY)
    with pytest.raises(ValueError, match=r"params: 0/weight is \(4, 4\), with 1 groups"):
        shrinking.compact(Anything("0", "1"), *full(list(linear)))
    conv = {
        "stem": {"kernel": jnp.ones((3, 3, 2, 4))},
        "depthwise": {"kernel": jnp.ones((3, 3, 1, 4))},
    }
    with pytest.raises(ValueError, match=r"depthwise/kernel is .* with 4 groups"):
        shrinking.compact(Anything("stem", "depthwise"), *full(conv))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (nn.Dense(3), "Dense"),
        (models.LeNet, "LeNet"),
        (None, "NoneType"),
        (OwnNnx, "OwnNnx"),
        (len, "len"),
    ],
)
def test_a_module_without_a_layout_is_refused_by_name(module, name):
    params = {"kernel": jnp.ones((4, 3))}
    tx = optax.sgd(0.1)
    state, found = lth_jax.initial_state(params, tx), masks.full(params)
    with pytest.raises(
        NoLayout, match=rf"^compact needs module.layout\(\), which {name}"
    ):
        shrinking.compact(module, params, found)
    for make in (shrinking.compact_for_training, shrinking.compact_members):
        with pytest.raises(NoLayout, match=rf"which {name} does not have"):
            make(module, state, found, tx)
