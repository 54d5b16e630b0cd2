"""Keys, dtypes and pytrees that others have, under the functional API."""

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import lth_jax
from lth_jax.pruning import criteria
from lth_jax.training import sampling

KEY = jax.random.key(0)


def linear(params, stats, x, train, key):
    return x @ params["w"], stats


def two_classes(num=300):
    x = np.random.default_rng(0).normal(size=(num, 4)).astype(np.float32)
    return lth_jax.Examples(jnp.asarray(x), jnp.asarray(x[:, 0] > 0, jnp.int32))


# Keys.


def test_the_order_of_a_default_key_is_what_it_always_was():
    words = np.array([0, 7], np.uint64)
    order = np.random.Generator(np.random.Philox(key=words, counter=2 << 64))
    found = sampling.epoch_order(jax.random.key(7), 2, 50)
    np.testing.assert_array_equal(found, order.permutation(50))


@pytest.mark.parametrize(
    "impl", ["rbg", pytest.param("unsafe_rbg", marks=pytest.mark.slow)]
)
def test_keys_of_every_kind_order_the_data(impl):
    typed, legacy = jax.random.key(3, impl=impl), jax.random.PRNGKey(3, impl=impl)
    found = [
        lth_jax.sampling.batch_indices(key, 0, 10, batch_size=5, num_examples=50)
        for key in (typed, legacy, jax.random.fold_in(typed, 1))
    ]
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()
    assert sorted(found[0].ravel()) == list(range(50))
    with pytest.raises(ValueError, match="must be one key"):
        several = jax.random.split(typed, 2)
        lth_jax.sampling.batch_indices(several, 0, 1, batch_size=5, num_examples=50)


# 64 bits, complex numbers.


@pytest.mark.slow
def test_in_64_bit_mode_all_comes_out_the_same():
    def study():
        params, tx = {"w": jnp.ones((4, 2), jnp.float32) / 3}, optax.adam(0.1)
        data, masks = two_classes(), lth_jax.masks.full(params)
        state = lth_jax.initial_state(params, tx)
        batches = lth_jax.sampling.batch_indices(
            jax.random.key(0), 0, 30, batch_size=20, num_examples=300
        ).reshape(3, 10, 20)
        segment = jax.jit(lth_jax.make_segment(linear, tx))
        best = lth_jax.Best.before(state)
        state, best, curves = segment(state, best, masks, batches, data, data, data)
        masks = lth_jax.prune(jax.tree.map(jnp.abs, state.params), masks, 0.5)
        metrics = lth_jax.make_evaluate(linear)(state, data)
        return jax.device_get((state.params, masks, curves, metrics))

    expected = study()
    with jax.enable_x64(True):
        found = study()
    for a, b in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert found[3].loss == found[3]["loss"]
    with pytest.raises(AttributeError, match="speed: not measured; there are accuracy"):
        found[3].speed  # noqa: B018


@pytest.mark.slow
def test_complex_weights_learn_and_complex_scores_are_refused():
    w = jax.random.normal(jax.random.key(0), (6, 3), jnp.complex64)
    x = jax.random.normal(jax.random.key(1), (200, 6))
    labels = (jnp.abs(x @ w) * jnp.array([1.0, 1.3, 0.7])).argmax(-1)
    tx, full = optax.sgd(0.1), lth_jax.masks.full({"w": w})
    steps = lth_jax.make_steps(lambda p, s, x, t, k: (jnp.abs(x @ p["w"]), s), tx)
    batches = lth_jax.sampling.batch_indices(
        jax.random.key(2), 0, 200, batch_size=50, num_examples=200
    )
    data = lth_jax.Examples(x, labels)
    state, losses = steps(lth_jax.initial_state({"w": w}, tx), full, batches, data)
    assert losses[-10:].mean() < 0.95 * losses[:10].mean()
    with pytest.raises(ValueError, match="scores: w is complex64; must be real"):
        lth_jax.prune(state.params, full, 0.5)
    kept = lth_jax.prune(jax.tree.map(jnp.abs, state.params), full, 0.5)
    assert lth_jax.masks.total_count(kept).kept == 9


# Donation.


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", [optax.sgd(0.1), optax.adam(0.1)])
def test_donating_a_state_leaves_what_it_was_rewound_from(optimizer):
    init = lth_jax.initial_state({"w": jnp.ones((4, 2))}, optimizer, {"m": jnp.ones(3)})
    masks, data = lth_jax.masks.full(init.params), two_classes()
    train = jax.jit(lth_jax.make_steps(linear, optimizer), donate_argnums=0)
    batches = lth_jax.sampling.batch_indices(
        jax.random.key(0), 0, 5, batch_size=10, num_examples=300
    )
    for what in ("rewind", "continue"):
        kept = lth_jax.rewinding.REWINDS[what]
        for _ in range(2):
            start = lth_jax.rewind(init, masks, optimizer, init, kept, init)
            train(start, masks, batches, data)
    assert float(init.params["w"].sum()) == 8


# N of M, along the inputs of every framework.


def scores_and_masks(params):
    return jax.tree.map(jnp.abs, params), lth_jax.masks.full(params)


def n_of_m(params, n=2, m=4, **how):
    return lth_jax.keep_n_of_m(*scores_and_masks(params), n, m, **how)


@pytest.mark.slow
def test_n_of_m_runs_along_the_inputs_of_each_framework():
    key = jax.random.key(0)
    net = {
        "linear": eqx.nn.Linear(8, 6, key=key),
        "conv": eqx.nn.Conv2d(8, 3, 2, key=key),
    }
    kept = n_of_m(eqx.partition(net, eqx.is_inexact_array)[0])
    assert (np.asarray(kept["linear"].weight).reshape(6, 2, 4).sum(2) == 2).all()
    assert (np.asarray(kept["conv"].weight).reshape(3, 2, 4, 2, 2).sum(2) == 2).all()

    attention = nn.MultiHeadDotProductAttention(num_heads=2)
    params = {"attention": attention.init(key, jnp.ones((1, 3, 8)))["params"]}
    kept = n_of_m(params)["attention"]
    assert (np.asarray(kept["query"]["kernel"]).reshape(2, 4, 8).sum(1) == 2).all()
    assert (np.asarray(kept["out"]["kernel"]).reshape(2, 4, 8).sum(1) == 2).all()

    conv = nnx.state(nnx.Conv(8, 3, (2, 2), rngs=nnx.Rngs(0)), nnx.Param)
    (kernel,) = (np.asarray(x) for x in jax.tree.leaves(n_of_m(conv)) if x.ndim > 1)
    assert (kernel.reshape(2, 2, 2, 4, 3).sum(3) == 2).all()


def test_a_group_never_runs_into_the_next_pixel(caplog):
    kernel = jax.random.normal(jax.random.key(0), (3, 3, 6, 5))
    kept = np.asarray(n_of_m({"conv": {"kernel": kernel}})["conv"]["kernel"])
    assert (kept[:, :, :4].sum(2) == 2).all()
    assert (kept[:, :, 4:].sum(2) == 2).all()
    assert "conv/kernel: 6 inputs are no multiple of m = 4" in caplog.text


def test_axes_that_nothing_tells_are_asked_for():
    params = {"mix": {"kernel": jax.random.normal(jax.random.key(0), (4, 2, 3))}}
    with pytest.raises(ValueError, match="pass axes="):
        n_of_m(params)
    with pytest.raises(ValueError, match="pass axes="):
        lth_jax.prune_blocks(*scores_and_masks(params), 0.5, 2)
    axes = lth_jax.leaves.Axes((0,), (1, 2))
    kept = n_of_m(params, axes=lambda path, leaf: axes)["mix"]["kernel"]
    assert (np.asarray(kept).sum(0) == 2).all()
    blocks = lth_jax.prune_blocks(
        *scores_and_masks(params), 0.5, 2, axes=lambda path, leaf: axes
    )
    flat = np.asarray(blocks["mix"]["kernel"]).reshape(2, 2, 3, 2)
    assert (flat.all((1, 3)) | ~flat.any((1, 3))).all()
    assert flat.any((1, 3)).sum() == 3


# Trees with more than float arrays in them.


def kept_of(params):
    masks = lth_jax.prune(jax.tree.map(jnp.abs, params), lth_jax.masks.full(params), 0.5)
    return lth_jax.masks.layer_counts(masks)


@pytest.mark.parametrize("wrong", [2.0, True, "name", jax.nn.relu, object()])
def test_what_is_no_array_is_refused_by_name(wrong):
    params = {"w": jnp.ones((4, 2)), "other": wrong}
    masks = {"w": jnp.ones((4, 2), bool), "other": wrong}
    full = lth_jax.masks.full(params | {"other": jnp.ones(())})
    for use in (
        lambda: lth_jax.masks.full(params),
        lambda: lth_jax.masks.layer_counts(masks),
        lambda: lth_jax.masks.apply(full, params),
        lambda: lth_jax.masks.apply(masks, params),
        lambda: lth_jax.masks.is_subset(full, masks),
        lambda: lth_jax.prune(params, full, 0.5),
        lambda: lth_jax.initial_state(params, optax.sgd(0.1)),
    ):
        with pytest.raises(ValueError, match=r"other is a .*; must be an array"):
            use()


@pytest.mark.parametrize("dtype", [jnp.int32, jnp.bool_])
def test_what_cannot_be_trained_is_refused_by_name(dtype):
    params = {"w": jnp.ones((4, 2)), "steps": jnp.ones(3, dtype)}
    with pytest.raises(
        ValueError, match=f"params: steps is {params['steps'].dtype}; must"
    ):
        lth_jax.initial_state(params, optax.sgd(0.1))
    assert kept_of(params) == {"w": (4, 8)}


def test_leaves_without_entries_are_never_prunable():
    params = {"w": jnp.ones((4, 4)), "none": jnp.ones((0, 3))}
    assert kept_of(params) == {"w": (8, 16)}
    scores, masks = scores_and_masks(params)
    for structure in (
        lth_jax.keep_n_of_m(scores, masks, 2, 4),
        lth_jax.prune_blocks(scores, masks, 0.5, 2),
        lth_jax.connections.draw(jax.random.key(0), params, {"w": 8, "none": 0}),
    ):
        assert int(structure["w"].sum()) == 8
        assert structure["none"].shape == (0, 3)
    with pytest.raises(ValueError, match=r"prunable: admits none of the leaves \(none\)"):
        lth_jax.masks.layer_counts({"none": params["none"]})


def test_two_leaves_at_one_path_are_refused():
    leaf = {"w": jnp.ones((4, 2))}
    params = {"a/b": leaf, "a": {"b": leaf}}
    with pytest.raises(ValueError, match="params: two leaves are at a/b/w"):
        lth_jax.masks.full(params)


@pytest.mark.parametrize("dtype", [np.float64, jnp.bfloat16, jnp.float16, np.complex64])
def test_masked_leaves_have_the_dtype_that_jax_gives_them(dtype):
    params = {"w": np.arange(8).reshape(4, 2).astype(dtype)}
    masks = {"w": np.arange(8).reshape(4, 2) % 2 == 0}
    found = lth_jax.masks.apply(masks, params)["w"]
    assert found.dtype == jnp.asarray(params["w"]).dtype
    np.testing.assert_array_equal(found, np.where(masks["w"], params["w"], 0))


@pytest.mark.parametrize("criterion", ["grasp", "supermask", "edge_popup"])
def test_criteria_of_real_weights_refuse_complex_ones(criterion):
    params = {"w": jnp.ones((4, 2), jnp.complex64)}
    evidence = criteria.Evidence(
        *(params, params, lth_jax.masks.full(params), jax.random.key(0)),
        examples=two_classes(),
        apply=jax.tree_util.Partial(linear),
        batch_indices=np.zeros((1, 4), np.int32),
        counts={"w": 4},
    )
    with pytest.raises(ValueError, match="params: w is complex64; must be real"):
        criteria.CRITERIA.find(criterion).scores(evidence)


def test_the_fan_in_of_learned_scores_is_told_by_the_leaf():
    net = eqx.filter(eqx.nn.Linear(600, 6, use_bias=False, key=KEY), eqx.is_array)

    def apply(params, stats, x, train, key):
        return 0 * x @ params.weight.T, stats

    data = lth_jax.Examples(jnp.ones((4, 600)), jnp.zeros(4, int))
    batches = np.zeros((1, 4), np.int32)
    found = criteria.edge_popup(apply, net, {}, batches, data, KEY, weight_decay=0.0)
    scores = np.asarray(found.scores.weight)
    assert 0.9 * 600**-0.5 < scores.max() <= 600**-0.5
    mix = {"mix": {"kernel": jnp.ones((4, 2, 3))}}
    with pytest.raises(ValueError, match=r"mix/kernel \[4, 2, 3\] .* pass axes="):
        criteria.edge_popup(apply, mix, {}, batches, data, KEY)


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        (lth_jax.leaves.Axes((0,), (0,)), "none twice"),
        (lth_jax.leaves.Axes((0,), (2,)), "must each be one or more of its axes"),
        (lth_jax.leaves.Axes((), (1,)), "one or more of its axes"),
        (None, "must be an lth_jax.leaves.Axes"),
    ],
)
def test_axes_that_a_leaf_has_not_are_refused_by_name(axes, words):
    with pytest.raises(ValueError, match=f"axes: .* of w.*{words}"):
        n_of_m({"w": jnp.ones((4, 2))}, axes=lambda *_: axes)
    kept = n_of_m(
        {"w": jnp.ones((2, 4))}, axes=lambda *_: lth_jax.leaves.Axes((-1,), (-2,))
    )
    assert np.asarray(kept["w"]).sum(1).tolist() == [2, 2]


@pytest.mark.parametrize("module", [nn.Dense, eqx.nn.Identity(), jax.nn.relu, None])
def test_what_is_no_module_is_refused_by_name(module):
    with pytest.raises(
        ValueError, match=r"^module: .*; must be a module of linen, not its"
    ):
        lth_jax.from_linen(module, jnp.ones((1, 4)))


@pytest.mark.parametrize("factory", [nn.Dense, nn.Dense(3), None, 3])
def test_what_makes_no_module_of_nnx_is_refused_by_name(factory):
    with pytest.raises(ValueError, match=r"^factory: .*; must be a class of nnx, or a f"):
        lth_jax.from_nnx(factory, jnp.ones((1, 4)))


def test_a_module_without_a_mode_is_a_network():
    net = lth_jax.from_linen(nn.Sequential([nn.Dense(3), nn.relu]), jnp.ones((1, 4)))
    params, stats = net.init(KEY)
    for train in (True, False):
        logits, found = net.apply(params, stats, jnp.ones((2, 4)), train, KEY)
        assert logits.shape == (2, 3)
        assert found == {}


# Erdos-Renyi next to density 1.


@pytest.mark.parametrize("share", lth_jax.layer_densities.LAYER_DENSITIES.values())
@pytest.mark.parametrize("density", [0.9, 0.97, 0.999])
def test_shares_next_to_density_one_add_up(share, density):
    shapes = {"conv": (3, 3, 1, 2), "out": (2, 9)}
    sizes = {name: np.prod(shape) for name, shape in shapes.items()}
    found = share(shapes, density)
    assert all(0 <= value <= 1 for value in found.values())
    total = sum(found[name] * sizes[name] for name in shapes)
    assert round(total) == round(density * sum(sizes.values()))


# SynFlow out of float32's range.


class Deep(nn.Module):
    depth: int
    scale: float
    is_residual: bool = False

    @nn.compact
    def __call__(self, x):
        init = nn.initializers.variance_scaling(self.scale, "fan_in", "normal")
        for _ in range(self.depth):
            y = nn.relu(nn.Dense(64, kernel_init=init)(x))
            x = x + y if self.is_residual else y
        return nn.Dense(4)(x)


def synflow(module):
    net = lth_jax.from_linen(module, jax.ShapeDtypeStruct((1, 64), jnp.float32))
    params, _ = net.init(jax.random.key(0))
    evidence = criteria.Evidence(
        params,
        params,
        lth_jax.masks.full(params),
        jax.random.key(1),
        apply_to_ones=jax.tree_util.Partial(net.apply_to_ones),
    )
    return evidence, jax.jit(criteria.synflow)(evidence)


@pytest.mark.parametrize(
    ("depth", "scale"),
    [(3, 2.0), *(pytest.param(40, s, marks=pytest.mark.slow) for s in (8.0, 1e-4))],
)
def test_synflow_shares_the_flow_however_deep_the_net(depth, scale):
    _, scores = synflow(Deep(depth, scale))
    sums = [np.asarray(s).sum() for s in jax.tree.leaves(scores) if s.ndim > 1]
    np.testing.assert_allclose(sums, 1, rtol=1e-3)


@pytest.mark.slow
def test_scaled_layers_have_the_scores_of_plain_ones():
    evidence, plain = synflow(Deep(3, 2.0))
    small = jax.tree.map(lambda w: w * 2.0**-60, evidence.init_params)
    scaled = criteria.synflow(evidence._replace(init_params=small))
    for a, b in zip(*map(jax.tree.leaves, (plain, scaled)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


@pytest.mark.slow
def test_a_flow_that_cannot_be_scaled_is_refused_by_name():
    evidence, scores = synflow(Deep(60, 60.0, is_residual=True))
    with pytest.raises(ValueError, match="scores: Dense_0/kernel holds NaN"):
        lth_jax.prune(scores, evidence.masks, 0.5)
