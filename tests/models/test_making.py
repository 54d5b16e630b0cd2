import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import lth_jax
from lth_jax import layout, models, shrinking
from lth_jax.registry import UnknownName

NETS = """
import flax.linen as nn
from flax import nnx

class Plain(nn.Module):
    width: float = 1.0
    dropout_rate: float = 0.0

    @nn.compact
    def __call__(self, x):
        return nn.Dense(round(4 * self.width))(x)

class Named(nn.Module):
    size: int

def made(num_classes):
    return Plain(num_classes)

def no_net():
    return 3

class Nnx(nnx.Module):
    pass

net, number = Plain(5.0), 3
"""
WANTED = {"num_classes": 7, "width": 2.0, "dtype": jnp.float32}


@pytest.fixture
def nets(tmp_path, monkeypatch):
    (tmp_path / "strangers_nets.py").write_text(NETS)
    monkeypatch.syspath_prepend(tmp_path)


def test_a_net_of_ones_own_takes_what_it_has_of_what_is_wanted(nets):
    assert models.make_module("strangers_nets:Plain", **WANTED).width == 2.0
    assert models.model_fields("strangers_nets:Plain") >= {"width", "dropout_rate"}
    assert models.make_module("strangers_nets:made", **WANTED).width == 7
    assert models.make_module("strangers_nets:net", **WANTED).width == 5.0
    assert not models.model_fields("strangers_nets:net")
    vgg = models.make_module("vgg16", **WANTED, dropout_rate=0.5)
    assert (vgg.num_classes, vgg.width, len(vgg.convolutions)) == (7, 2.0, 5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("number", "must be a linen module, its class, or a function"),
        ("Nnx", "it is of nnx; make a network of it with lth_jax.from_nnx"),
        ("no_net", "it makes a int, not a linen module"),
        ("Named", "missing 1 required positional argument: 'size'"),
    ],
)
def test_what_is_no_net_is_told(nets, name, message):
    with pytest.raises(
        UnknownName, match=f"'strangers_nets:{name}' is no model .*{message}"
    ):
        models.make_module(f"strangers_nets:{name}", **WANTED)


def test_an_initializer_of_ones_own_is_found(tmp_path, monkeypatch):
    (tmp_path / "strangers_init.py").write_text(
        "import jax\nones = jax.nn.initializers.ones"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert models.INITIALIZERS.find("strangers_init:ones") is jax.nn.initializers.ones


class Dropping(nn.Module):
    @nn.compact
    def __call__(self, x, deterministic=True):
        x = nn.BatchNorm(use_running_average=deterministic)(nn.Dense(6)(x))
        return nn.Dropout(0.5, deterministic=deterministic)(x)


class Silent(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(x)


def test_nets_are_told_that_they_train_in_their_own_words_or_not_at_all():
    inputs = jnp.ones((4, 5))
    net = lth_jax.from_linen(Dropping(), inputs)
    params, stats = net.init(jax.random.key(0))
    evaluated, same = net.apply(params, stats, inputs, False)
    assert same is stats
    trained, new = net.apply(params, stats, inputs, True, jax.random.key(1))
    assert (trained == 0).any() and not (evaluated == 0).any()
    assert (new["BatchNorm_0"]["mean"] != stats["BatchNorm_0"]["mean"]).any()
    net = lth_jax.from_linen(Silent(), inputs)
    params, stats = net.init(jax.random.key(0))
    np.testing.assert_array_equal(
        *(net.apply(params, stats, inputs, t)[0] for t in (0, 1))
    )


def test_a_net_with_other_collections_is_refused():
    class Caching(nn.Module):
        @nn.compact
        def __call__(self, x):
            self.variable("cache", "last", lambda: x)
            return nn.Dense(3)(x)

    with pytest.raises(ValueError, match="Caching has a collection 'cache'; must"):
        lth_jax.from_linen(Caching(), jnp.ones((4, 5))).init(jax.random.key(0))


def test_a_net_that_does_not_say_how_its_units_connect_is_told_so():
    with pytest.raises(layout.NoLayout, match=r"^compact needs module.layout\(\), which"):
        shrinking.compact(Silent(), {}, {})


def test_weights_outside_of_layers_are_counted_too():
    class Bare(nn.Module):
        @nn.compact
        def __call__(self, x):
            return {"logits": x @ self.param("kernel", nn.initializers.ones, (5, 3))}

    params = Bare().init(jax.random.key(0), jnp.ones((4, 5)))["params"]
    cost = shrinking.cost(Bare(), params, lth_jax.masks.full(params), (5,))
    assert cost.multiply_adds == 5 * 3
