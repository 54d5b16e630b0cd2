import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lth_jax import optimizers, schedules


def test_schedules_agree_with_their_formulas():
    def values(name, **kwargs):
        schedule = schedules.make_schedule(name, 0.4, num_steps=100, **kwargs)
        return [float(schedule(jnp.int32(s))) for s in (0, 5, 10, 50, 80)]

    np.testing.assert_allclose(values("constant"), [0.4] * 5)
    np.testing.assert_allclose(
        values("step_drops", drop_steps=(10, 60), drop_factor=0.5),
        [0.4, 0.4, 0.2, 0.2, 0.1],
        rtol=1e-6,
    )
    cosine = [0.2 * (1 + np.cos(np.pi * s / 100)) for s in (0, 5, 10, 50, 80)]
    np.testing.assert_allclose(values("cosine"), cosine, rtol=1e-5)
    np.testing.assert_allclose(
        values("constant", warmup_steps=10), [0.0, 0.2, 0.4, 0.4, 0.4], rtol=1e-6
    )


@pytest.mark.parametrize("warmup_steps", [0, 10, 30])
@pytest.mark.parametrize("name", schedules.SCHEDULES)
def test_schedules_hold_their_last_rate_beyond_the_budget(name, warmup_steps):
    schedule = schedules.make_schedule(
        name, 0.4, num_steps=20, warmup_steps=warmup_steps, drop_steps=(15, 25)
    )
    last = float(schedule(19))
    assert last > 0
    assert [float(schedule(jnp.int32(s))) for s in (20, 25, 30, 10_000)] == [last] * 4
    base = {
        "constant": 0.4,
        "step_drops": 0.04,
        "cosine": 0.2 * (1 + np.cos(np.pi * 19 / 20)),
    }
    warmth = 19 / 30 if warmup_steps == 30 else 1
    np.testing.assert_allclose(last, base[name] * warmth, rtol=1e-4)


def reference_steps(name, gradients, *, rate, momentum=0.9, decay=0.0):
    """Parameters after each step from 1.0, by the textbook formulas."""
    p, m, v, path = 1.0, 0.0, 0.0, []
    for t, g in enumerate(gradients, start=1):
        if name in ("sgd", "momentum"):
            g = g + decay * p
            m = g + (momentum * m if name == "momentum" else 0.0)
            p = p - rate * m
        else:
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            step = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
            p = p - rate * (step + (decay * p if name == "adamw" else 0.0))
        path.append(p)
    return path


@pytest.mark.parametrize(
    ("name", "decay"),
    [("sgd", 0.0), ("sgd", 0.1), ("momentum", 0.1), ("adam", 0.0), ("adamw", 0.1)],
)
def test_optimizers_agree_with_their_formulas(name, decay):
    schedule = schedules.make_schedule("constant", 0.05, num_steps=10)
    tx = optimizers.make_optimizer(name, schedule, weight_decay=decay)
    params, gradients = {"w": jnp.float32(1.0)}, [0.3, -0.2, 0.5, 0.1]
    state, path = tx.init(params), []
    for g in gradients:
        updates, state = tx.update({"w": jnp.float32(g)}, state, params)
        params = optax.apply_updates(params, updates)
        path.append(float(params["w"]))
    expected = reference_steps(name, gradients, rate=0.05, decay=decay)
    np.testing.assert_allclose(path, expected, rtol=1e-5)


def test_schedule_step_moves_the_rate_and_nothing_else():
    schedule = schedules.make_schedule("cosine", 1.0, num_steps=100)
    tx = optax.chain(
        optax.clip_by_global_norm(1.0), optimizers.make_optimizer("adam", schedule)
    )
    fresh = tx.init({"w": jnp.zeros(3)})
    moved = jax.jit(optimizers.with_schedule_step)(fresh, 60)
    counts = [int(c) for path, c in optax.tree.get_all_with_path(moved, "count")]
    assert counts == [0, 60]  # Adam's own, then the schedule's


def test_schedule_step_moves_injected_schedules_too():
    schedule = schedules.make_schedule("cosine", 1.0, num_steps=100)
    tx = optax.inject_hyperparams(optax.sgd)(learning_rate=schedule)
    moved = optimizers.with_schedule_step(tx.init({"w": jnp.zeros(1)}), 60)
    updates, _ = tx.update({"w": jnp.ones(1)}, moved)
    np.testing.assert_allclose(updates["w"], -schedule(60), rtol=1e-6)


def test_an_optimizer_without_a_schedule_is_left_as_it_is():
    state = optax.sgd(0.1).init({"w": jnp.zeros(3)})
    assert optimizers.with_schedule_step(state, 60) == state


def test_own_optimizers_and_schedules_are_found_by_name(tmp_path, monkeypatch):
    (tmp_path / "my_training.py").write_text(
        "import optax\n"
        "def halves(learning_rate, num_steps):\n"
        "    return lambda step: learning_rate / 2 ** step\n"
        "def plain(schedule): return optax.sgd(schedule)\n"
        "def decaying(schedule, weight_decay):\n"
        "    return optax.adamw(schedule, weight_decay=weight_decay)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    schedule = schedules.make_schedule("my_training:halves", 1.0, num_steps=3)
    assert [float(schedule(s)) for s in (0, 1, 2, 9)] == [1, 0.5, 0.25, 0.25]
    params = {"w": jnp.ones(2)}
    for name, decay, own in (
        ("my_training:plain", 0.0, optax.sgd(schedule)),
        ("my_training:decaying", 0.1, optax.adamw(schedule, weight_decay=0.1)),
        ("optax:lion", 0.1, optax.lion(schedule, weight_decay=0.1)),
    ):
        tx = optimizers.make_optimizer(name, schedule, weight_decay=decay)
        found, expected = (
            t.update(params, optimizers.with_schedule_step(t.init(params), 2), params)[0]
            for t in (tx, own)
        )
        np.testing.assert_array_equal(found["w"], expected["w"])
    with pytest.raises(ValueError, match=r"weight_decay: 0\.1 .* 'my_training:plain'"):
        optimizers.make_optimizer("my_training:plain", schedule, weight_decay=0.1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda s: optimizers.make_optimizer("lion", s),
            "'lion' is not allowed; must be one of",
        ),
        (
            lambda s: optimizers.make_optimizer("adam", s, weight_decay=0.1),
            "use 'adamw'",
        ),
        (
            lambda s: schedules.make_schedule("linear", 0.1, num_steps=1),
            "'linear' is not allowed; must be one of",
        ),
    ],
)
def test_what_is_unknown_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make(optax.constant_schedule(0.1))


@pytest.mark.parametrize("schedule", ["constant", "step_drops", "cosine"])
@pytest.mark.parametrize(
    ("name", "decay"),
    [
        *((name, 0.0) for name in optimizers.OPTIMIZERS),
        *((name, 0.013) for name in ("sgd", "momentum", "adamw")),
    ],
)
def test_rates_that_are_traced_give_the_bits_of_constants(name, decay, schedule):
    def make(rate, decay):
        drops = (4,) if schedule == "step_drops" else ()
        rates = schedules.make_schedule(
            schedule, rate, num_steps=9, warmup_steps=3, drop_steps=drops
        )
        return optimizers.make_optimizer(name, rates, weight_decay=decay)

    def train(tx, params):
        def step(carry, _):
            params, state = carry
            gradients = jax.tree.map(jnp.sin, params)
            updates, state = tx.update(gradients, state, params)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, tx.init(params)), length=7)[0]

    params = {"w": jax.random.normal(jax.random.key(0), (7, 5))}
    constant = jax.jit(lambda p: train(make(0.37, decay), p))(params)
    given = jax.jit(lambda r, d, p: train(make(r, d if decay else 0.0), p))
    traced = given(jnp.float32(0.37), jnp.float32(decay), params)
    jax.tree.map(np.testing.assert_array_equal, traced, constant)
    other = given(jnp.float32(0.1), jnp.float32(decay), params)
    assert not np.array_equal(other[0]["w"], traced[0]["w"])
    assert given._cache_size() == 1
