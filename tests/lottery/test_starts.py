import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.arms import start_arm
from support.trees import assert_trees_equal
from support.zoo import NormNet

import lth_jax
from lth_jax import masks, optimizers, rewinding, schedules, training
from lth_jax.lottery.arms import ARMS, actions, find_arm, shuffle_masks
from lth_jax.registry import UnknownName
from lth_jax.training import sampling
from lth_jax.training.steps import make_steps

SCHEDULE = schedules.make_schedule("cosine", 0.1, num_steps=50)
TX = optimizers.make_optimizer("momentum", SCHEDULE)
PLAIN, UNIT = optimizers.make_optimizer("sgd", SCHEDULE), optax.sgd(1.0)
BATCHES = sampling.batch_indices(
    jax.random.key(5), 0, 20, batch_size=30, num_examples=210
)


@pytest.fixture(scope="module")
def norm_net():
    return lth_jax.from_linen(NormNet(), jax.ShapeDtypeStruct((1, 12), jnp.float32))


@pytest.fixture(scope="module")
def initial(norm_net):
    params, batch_stats = norm_net.init(jax.random.key(0))
    return lth_jax.initial_state(params, TX, batch_stats)


@pytest.fixture(scope="module")
def point_and_trained(norm_net, initial, examples):
    """The dense net at step 8, the rewind point, and at step 20."""
    steps = compiled(norm_net, TX)
    dense = masks.full(initial.params)
    point, _ = steps(initial, dense, BATCHES[:8], examples)
    trained, _ = steps(point, dense, BATCHES[8:], examples)
    return point, trained


@pytest.fixture(scope="module")
def sparse(point_and_trained):
    _, trained = point_and_trained
    dense = masks.full(trained.params)
    return lth_jax.prune(jax.tree.map(jnp.abs, trained.params), dense, 0.6)


@functools.cache
def compiled(net, tx):
    return jax.jit(make_steps(net.apply, tx))


def first_learning_rate(norm_net, state, sparse, examples):
    """What the first step uses: the length of the update by that of the gradient."""
    fresh = optimizers.with_schedule_step(
        PLAIN.init(state.params), optax.tree.get(state.opt_state, "count")
    )
    steps = compiled(norm_net, PLAIN)
    after, _ = steps(state.replace(opt_state=fresh), sparse, BATCHES[:1], examples)
    unit_state = state.replace(opt_state=UNIT.init(state.params))
    unit_after, _ = compiled(norm_net, UNIT)(unit_state, sparse, BATCHES[:1], examples)

    def length(new):
        return optax.tree.norm(jax.tree.map(jnp.subtract, new.params, state.params))

    return float(length(after) / length(unit_after))


def test_batch_statistics_are_trained_and_never_pruned(point_and_trained, sparse):
    point, trained = point_and_trained
    assert point.batch_stats["norm"]["mean"].any()
    assert (
        trained.batch_stats["norm"]["mean"] != point.batch_stats["norm"]["mean"]
    ).any()
    assert [n for n, _ in masks.prunable_leaves(sparse)] == [
        "dense_0/kernel",
        "output/kernel",
    ]
    assert sparse["norm"]["scale"].all()


def test_rewinding_to_init_is_the_masked_init(norm_net, initial, sparse, examples):
    state = rewinding.rewind(initial, sparse, TX)
    assert_trees_equal(state.params, masks.apply(sparse, initial.params))
    assert_trees_equal(state.batch_stats, initial.batch_stats)
    assert_trees_equal(state.opt_state, TX.init(initial.params))
    rate = first_learning_rate(norm_net, state, sparse, examples)
    np.testing.assert_allclose(rate, SCHEDULE(0), rtol=1e-3)


def test_rewinding_to_step_k_starts_from_there(
    norm_net, point_and_trained, sparse, examples
):
    point, trained = point_and_trained
    state = jax.jit(lambda p, m, t: rewinding.rewind(p, m, TX, t))(point, sparse, trained)
    assert int(state.step) == 8
    assert_trees_equal(state.params, masks.apply(sparse, point.params))
    assert_trees_equal(state.batch_stats, point.batch_stats)
    moments = optax.tree.get(state.opt_state, "trace")
    assert not any(m.any() for m in jax.tree.leaves(moments))
    rate = first_learning_rate(norm_net, state, sparse, examples)
    np.testing.assert_allclose(rate, SCHEDULE(8), rtol=1e-3)


def test_each_setting_acts_alone(norm_net, point_and_trained, sparse, examples):
    point, trained = point_and_trained

    def rewound(**what):
        return rewinding.rewind(point, sparse, TX, trained, rewinding.Rewind(**what))

    usual = rewound()
    kept = rewound(params="keep")
    assert_trees_equal(kept.params, masks.apply(sparse, trained.params))
    assert_trees_equal(kept.batch_stats, usual.batch_stats)
    assert_trees_equal(kept.opt_state, usual.opt_state)

    kept = rewound(batch_stats="keep")
    assert_trees_equal(kept.batch_stats, trained.batch_stats)
    assert_trees_equal(kept.params, usual.params)

    kept = rewound(optimizer="rewind")
    at_k = optax.tree.get(point.opt_state, "trace")
    assert_trees_equal(optax.tree.get(kept.opt_state, "trace"), masks.apply(sparse, at_k))
    assert_trees_equal(kept.params, usual.params)

    restarted = rewound(schedule="restart")
    rate = first_learning_rate(norm_net, restarted, sparse, examples)
    np.testing.assert_allclose(rate, SCHEDULE(0), rtol=1e-3)
    assert_trees_equal(restarted.params, usual.params)

    kept = rewound(optimizer="keep")
    at_end = optax.tree.get(trained.opt_state, "trace")
    assert_trees_equal(
        optax.tree.get(kept.opt_state, "trace"), masks.apply(sparse, at_end)
    )
    assert_trees_equal(kept.params, usual.params)


# What each preset starts a level from: params, statistics, moments; and its first rate.
PRESETS = {
    "rewind": ("initial", "initial", None, SCHEDULE(0)),
    "late_rewind": ("point", "point", None, SCHEDULE(8)),
    "lr_rewind": ("trained", "trained", None, SCHEDULE(8)),
    "fine_tune": ("trained", "trained", None, SCHEDULE(49)),
    "continue": ("trained", "trained", "trained", SCHEDULE(49)),
}


@pytest.mark.parametrize("preset", rewinding.REWINDS)
def test_presets_start_a_level_as_their_papers_do(
    preset, norm_net, initial, point_and_trained, sparse, examples
):
    point, trained = point_and_trained
    states = {
        "initial": initial,
        "point": initial if preset == "rewind" else point,
        "trained": trained.replace(step=jnp.int32(50)),  # the end of the budget
    }
    state = rewinding.rewind(
        states["point"],
        sparse,
        TX,
        states["trained"],
        rewinding.REWINDS[preset],
        states["initial"],
    )
    params, stats, moments, rate = PRESETS[preset]
    assert_trees_equal(state.params, masks.apply(sparse, states[params].params))
    assert_trees_equal(state.batch_stats, states[stats].batch_stats)
    expected = (
        jax.tree.map(jnp.zeros_like, initial.params)
        if moments is None
        else masks.apply(sparse, optax.tree.get(states[moments].opt_state, "trace"))
    )
    assert_trees_equal(optax.tree.get(state.opt_state, "trace"), expected)
    assert int(state.step) == int(states["point"].step)
    found = first_learning_rate(norm_net, state, sparse, examples)
    np.testing.assert_allclose(found, rate, rtol=1e-3)


def test_a_constant_schedule_stays_at_its_last_value(
    norm_net, point_and_trained, sparse, examples
):
    point, trained = point_and_trained
    trained = trained.replace(step=jnp.int32(50))
    what = rewinding.REWINDS["fine_tune"]
    state = rewinding.rewind(point, sparse, TX, trained, what)
    steps = compiled(norm_net, TX)
    later, _ = steps(state, sparse, BATCHES[:5], examples)
    rate = first_learning_rate(norm_net, later, sparse, examples)
    np.testing.assert_allclose(rate, SCHEDULE(49), rtol=1e-3)


def test_weights_can_go_to_the_init_and_the_schedule_to_step_k(
    norm_net, initial, point_and_trained, sparse, examples
):
    point, _ = point_and_trained
    what = rewinding.Rewind(params="init", batch_stats="init")
    state = rewinding.rewind(point, sparse, TX, what=what, initial=initial)
    assert_trees_equal(state.params, masks.apply(sparse, initial.params))
    assert_trees_equal(state.batch_stats, initial.batch_stats)
    rate = first_learning_rate(norm_net, state, sparse, examples)
    np.testing.assert_allclose(rate, SCHEDULE(8), rtol=1e-3)


@pytest.mark.parametrize(
    "what",
    [
        {"params": "keep"},
        {"batch_stats": "keep"},
        {"optimizer": "keep"},
        {"schedule": "constant"},
    ],
)
def test_keeping_needs_a_trained_state(what, initial, sparse):
    with pytest.raises(ValueError, match="trained: needed"):
        rewinding.rewind(initial, sparse, TX, what=rewinding.Rewind(**what))


def test_going_back_to_the_init_needs_it(initial, sparse):
    what = rewinding.Rewind(params="init")
    with pytest.raises(ValueError, match="initial: needed"):
        rewinding.rewind(initial, sparse, TX, what=what)


@pytest.mark.parametrize("preset", rewinding.REWINDS)
def test_a_shuffled_arm_has_live_weights_wherever_its_mask_keeps_them(
    preset, norm_net, initial, point_and_trained, sparse, examples
):
    """The ticket's trained weights are 0 outside its own mask."""
    point, trained = point_and_trained
    trained = training.project(trained, sparse, TX).replace(step=jnp.int32(50))
    start = start_arm(
        "shuffle",
        point,
        sparse,
        TX,
        init_key=jax.random.key(3),
        mask_key=jax.random.key(4),
        init=norm_net.init,
        trained=trained,
        what=rewinding.REWINDS[preset],
        initial=initial,
    )
    assert_trees_equal(start.state.params, masks.apply(start.masks, point.params))
    for name in ("dense_0", "output"):
        kept = start.masks[name]["kernel"]
        assert (start.state.params[name]["kernel"] != 0).sum() == kept.sum()
    assert_trees_equal(start.state.batch_stats, point.batch_stats)
    rate = first_learning_rate(norm_net, start.state, start.masks, examples)
    np.testing.assert_allclose(rate, SCHEDULE(8), rtol=1e-3)


def test_a_fresh_init_trains_by_the_schedule_where_the_ticket_stays_at_its_end(
    norm_net, point_and_trained, sparse, examples
):
    point, trained = point_and_trained
    start = start_arm(
        "reinit",
        point,
        sparse,
        TX,
        init_key=jax.random.key(3),
        mask_key=jax.random.key(4),
        init=norm_net.init,
        trained=trained.replace(step=jnp.int32(50)),
        what=rewinding.REWINDS["continue"],
    )
    fresh, _ = norm_net.init(jax.random.key(3))
    assert_trees_equal(start.state.params, masks.apply(sparse, fresh))
    moments = optax.tree.get(start.state.opt_state, "trace")
    assert not any(m.any() for m in jax.tree.leaves(moments))
    rate = first_learning_rate(norm_net, start.state, sparse, examples)
    np.testing.assert_allclose(rate, SCHEDULE(8), rtol=1e-3)


def act(arm, rewound, initial, kept, fresh, key):
    """A mask-1 action on one pytree, by its name."""
    if arm.startswith("reinit"):
        params = fresh
    elif arm.startswith("reshuffle"):
        params = actions.reshuffle(key, rewound, kept)
    else:
        params = actions.constant(key, initial)
    if arm.endswith("_signs"):
        params = actions.with_signs(params, rewound)
    return actions.replace_prunable(rewound, params)


ACTIONS = (
    "reshuffle",
    "constant",
    "reinit_signs",
    "reshuffle_signs",
    "constant_signs",
)


NOISE = {"noise_half": 0.5, "noise_1": 1.0, "noise_2": 2.0, "noise_3": 3.0}
STATIC = [arm for arm, spec in ARMS.items() if spec.dynamics is None]
DYNAMIC = [arm for arm in ARMS if arm not in STATIC]


@pytest.mark.parametrize("arm", STATIC)
def test_arms_start_as_their_names_say(arm, norm_net, initial, point_and_trained, sparse):
    point, trained = point_and_trained

    def start(mask_key):
        return start_arm(
            arm,
            point,
            sparse,
            TX,
            init_key=jax.random.key(42),
            mask_key=mask_key,
            init=norm_net.init,
            trained=trained,
            initial=initial,
            dense=trained,
        )

    state, kept, _ = jax.jit(start)(jax.random.key(7))
    shuffled = arm in ("shuffle", "random")
    assert masks.layer_counts(kept) == masks.layer_counts(sparse)
    assert (masks.overlap(kept, sparse) < 1) == shuffled
    key, fresh = jax.random.key(42), norm_net.init(jax.random.key(42))[0]
    source = {
        "reinit": fresh,
        "random": fresh,
        "continue": trained.params,
    } | {a: act(a, point.params, initial.params, sparse, fresh, key) for a in ACTIONS}
    for name, factor in NOISE.items():
        source[name] = actions.noise(key, point.params, initial.params, factor)
    expected = masks.apply(kept, source.get(arm, point.params))
    # Compiled, the sum behind a std has another order.
    if arm.startswith(("constant", "noise")):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6),
            state.params,
            expected,
        )
    else:
        assert_trees_equal(state.params, expected)
    assert int(state.step) == int(point.step) == 8
    assert int(optax.tree.get(state.opt_state, "count")) == 8


@pytest.mark.parametrize("preset", ["late_rewind", "continue"])
@pytest.mark.parametrize("arm", (*ACTIONS, "freeze", "freeze_moved_away"))
def test_actions_are_on_the_weights_of_step_k_whatever_the_ticket_keeps(
    arm, preset, norm_net, initial, point_and_trained, sparse
):
    point, dense = point_and_trained
    trained = training.project(dense, sparse, TX).replace(step=jnp.int32(50))
    what = rewinding.REWINDS[preset]
    key = jax.random.key(3)
    state, kept, frozen = start_arm(
        arm,
        point,
        sparse,
        TX,
        init_key=key,
        mask_key=jax.random.key(4),
        init=norm_net.init,
        trained=trained,
        what=what,
        initial=initial,
        dense=dense,
    )
    assert_trees_equal(kept, sparse)
    assert_trees_equal(state.batch_stats, point.batch_stats)
    for name in ("bias", "scale"):
        assert_trees_equal(state.params["norm"][name], point.params["norm"][name])
    moments = optax.tree.get(state.opt_state, "trace")
    assert not any(m.any() for m in jax.tree.leaves(moments))
    assert int(optax.tree.get(state.opt_state, "count")) == 8
    for name in ("dense_0", "output"):
        mask = np.asarray(sparse[name]["kernel"])
        found, rewound = (
            np.asarray(p[name]["kernel"])[mask] for p in (state.params, point.params)
        )
        assert (found != 0).all()
        same_signs = (np.sign(found) == np.sign(rewound)).mean()
        if arm.endswith("_signs") or arm.startswith("freeze"):
            assert same_signs == 1
        else:
            assert same_signs < 0.9
        if arm.startswith("reshuffle"):
            np.testing.assert_array_equal(
                np.sort(np.abs(found)), np.sort(np.abs(rewound))
            )
        elif arm.startswith("constant"):
            alpha = np.asarray(initial.params[name]["kernel"]).std()
            np.testing.assert_allclose(np.abs(found), alpha, rtol=1e-5)
        elif arm == "reinit_signs":
            fresh = np.asarray(norm_net.init(key)[0][name]["kernel"])[mask]
            np.testing.assert_array_equal(np.abs(found), np.abs(fresh))
        else:
            np.testing.assert_array_equal(found, rewound)
        pruned = np.asarray(point.params[name]["kernel"]) * ~mask
        constants = 0 if frozen is None else np.asarray(frozen[name]["kernel"])
        was, became = (np.abs(s.params[name]["kernel"]) for s in (initial, dense))
        moved_away = np.asarray(became >= was)
        assert 0.1 < moved_away[~mask].mean() < 0.9
        stays = {"freeze": ~mask, "freeze_moved_away": ~mask & moved_away}
        expected = pruned * stays.get(arm, 0)
        np.testing.assert_array_equal(np.broadcast_to(constants, mask.shape), expected)


def begin(norm_net, arm, point, sparse, trained, what, initial):
    """Where an arm starts, with keys that no other test needs to know."""
    return start_arm(
        arm,
        point,
        sparse,
        TX,
        init_key=jax.random.key(3),
        mask_key=jax.random.key(4),
        init=norm_net.init,
        trained=trained,
        what=what,
        initial=initial,
        dense=trained,
    )


@pytest.mark.parametrize("kept_weights", [{}, {"params": "keep", "batch_stats": "keep"}])
@pytest.mark.parametrize("arm", STATIC)
def test_moments_of_step_k_are_those_of_every_arm_but_of_fresh_inits(
    arm, kept_weights, norm_net, initial, point_and_trained, sparse
):
    point, trained = point_and_trained
    what = rewinding.Rewind(optimizer="rewind", **kept_weights)
    state, kept, _ = begin(norm_net, arm, point, sparse, trained, what, initial)
    at_k = optax.tree.get(point.opt_state, "trace")
    if arm in ("reinit", "random"):
        at_k = jax.tree.map(jnp.zeros_like, at_k)
    moments = optax.tree.get(state.opt_state, "trace")
    assert_trees_equal(moments, masks.apply(kept, at_k))  # 0 where pruned


def test_actions_can_go_back_to_the_init(norm_net, initial, point_and_trained, sparse):
    point, _ = point_and_trained
    what = rewinding.Rewind(params="init", batch_stats="init")
    for arm in (*ACTIONS, "freeze"):
        state, _, frozen = begin(norm_net, arm, point, sparse, None, what, initial)
        assert_trees_equal(state.batch_stats, initial.batch_stats)
        bias = state.params["norm"]["bias"]
        assert_trees_equal(bias, initial.params["norm"]["bias"])
        seen = state.params
        if frozen is not None:
            seen = jax.tree.map(jnp.add, seen, frozen)
        same = [
            bool((a == b).all())
            for a, b in zip(*map(jax.tree.leaves, (seen, initial.params)), strict=True)
        ]
        assert all(same) == (arm == "freeze")


def test_actions_of_one_key_are_the_same_and_of_others_not(norm_net, initial, sparse):
    def start(arm, seed):
        return start_arm(
            arm,
            initial,
            sparse,
            TX,
            init_key=jax.random.key(seed),
            mask_key=jax.random.key(9),
            init=norm_net.init,
            initial=initial,
        ).state.params["dense_0"]["kernel"]

    for arm in ACTIONS:
        assert_trees_equal(start(arm, 0), start(arm, 0))
        differs = bool((start(arm, 0) != start(arm, 1)).any())
        assert differs == (arm != "constant_signs")  # which draws nothing


@pytest.mark.parametrize("arm", DYNAMIC)
def test_arms_whose_masks_change_start_from_the_init_at_step_0(
    arm, norm_net, initial, point_and_trained, sparse
):
    point, trained = point_and_trained
    given = {
        "init_key": jax.random.key(42),
        "mask_key": jax.random.key(7),
        "init": norm_net.init,
        "trained": trained,
        "what": rewinding.REWINDS["continue"],
    }
    state, kept, frozen = start_arm(arm, point, sparse, TX, initial=initial, **given)
    assert frozen is None
    if arm == "gradual":
        assert_trees_equal(kept, masks.full(sparse))
    else:
        assert masks.layer_counts(kept) == masks.layer_counts(sparse)
        assert masks.overlap(kept, sparse) < 1
    expected = initial.replace(params=masks.apply(kept, initial.params))
    assert_trees_equal(state, expected)


def test_reinit_is_never_the_original_init_but_drawn_alike():
    network = lth_jax.from_linen(
        lth_jax.LeNet(), jax.ShapeDtypeStruct((1, 784), jnp.float32)
    )
    original, _ = network.init(lth_jax.keys.member_key(0, 0, "ticket", 0, "init"))
    seen = [original]
    for arm, level in (("reinit", 1), ("reinit", 2), ("random", 1)):
        params, _ = network.init(lth_jax.keys.member_key(0, 0, arm, level, "init"))
        for other in seen:
            same = params["dense_0"]["kernel"] == other["dense_0"]["kernel"]
            assert not same.any()
        np.testing.assert_allclose(
            params["dense_0"]["kernel"].std(),
            original["dense_0"]["kernel"].std(),
            rtol=0.02,
        )
        seen.append(params)


def test_shuffling_keeps_counts_of_every_layer_and_is_uniform():
    # One of four entries kept, as in two layers of equal shape: over many keys each
    # place is kept equally often, and the two layers are shuffled apart.
    tree = {n: {"kernel": jnp.array([[True, False], [False, False]])} for n in "ab"}
    shuffled = jax.vmap(lambda k: shuffle_masks(k, tree))(
        jax.random.split(jax.random.key(0), 4000)
    )
    a, b = (np.asarray(shuffled[n]["kernel"]).reshape(4000, 4) for n in "ab")
    assert (a.sum(1) == 1).all()
    assert (b.sum(1) == 1).all()
    np.testing.assert_allclose(a.mean(0), 0.25, atol=0.03)
    assert abs((a == b).all(1).mean() - 0.25) < 0.03


def test_what_is_misspelt_is_refused(initial, sparse, norm_net):
    for name in ("params", "batch_stats", "optimizer", "schedule"):
        with pytest.raises(ValueError, match=f"{name}: 'rewnd'; must be one of"):
            rewinding.Rewind(**{name: "rewnd"})
    with pytest.raises(UnknownName, match=r"'tiket' is not .* ticket, reinit.*criterion"):
        find_arm("tiket")


def test_a_function_is_an_arm_and_its_module_may_be_anyones(
    tmp_path, monkeypatch, norm_net, initial, sparse
):
    (tmp_path / "strangers_arms.py").write_text(
        "from lth_jax.lottery.arms import find_arm\n"
        "def late_ticket(origin, rules):\n"
        "    return find_arm('ticket').start(origin, rules)\n"
        "number = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = find_arm("strangers_arms:late_ticket")
    assert (found.label, found.sentence) == ("late ticket", "the arm 'late ticket'")
    init = norm_net.init
    expected = start_arm("ticket", initial, sparse, TX, init=init)
    own = start_arm("strangers_arms:late_ticket", initial, sparse, TX, init=init)
    assert_trees_equal(own.state, expected.state)
    with pytest.raises(UnknownName, match="'strangers_arms:number' is no arm"):
        find_arm("strangers_arms:number")


def test_forgotten_batch_statistics_are_an_error(initial, sparse, norm_net, examples):
    state = lth_jax.initial_state(initial.params, TX)
    steps = make_steps(norm_net.apply, TX)
    with pytest.raises(ValueError, match="batch_stats: empty, but the module has some"):
        steps(state, sparse, BATCHES, examples)
