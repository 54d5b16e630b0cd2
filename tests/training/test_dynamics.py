import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lth_jax import dynamics


def amounts(found, num_steps):
    return np.asarray(jax.jit(jax.vmap(found.amount))(jnp.arange(num_steps)))


def test_rigl_drops_by_the_cosine_of_its_paper():
    found = amounts(dynamics.rigl(10, 75, 0.3), 100)
    for step in range(100):
        is_due = step % 10 == 0 and step < 75
        expected = 0.15 * (1 + math.cos(math.pi * step / 75)) if is_due else 0
        assert found[step] == pytest.approx(expected, rel=1e-6)


def test_set_drops_a_constant_fraction_between_the_first_steps_and_the_end():
    found = amounts(dynamics.sparse_evolution(10, 70, 0.3), 100)
    assert np.flatnonzero(found).tolist() == [10, 20, 30, 40, 50, 60]
    np.testing.assert_allclose(found[found > 0], 0.3)


@pytest.mark.parametrize(("begin", "end"), [(0, 75), (20, 60), (15, 69)])
def test_gradual_pruning_follows_the_cubic_of_its_paper(begin, end):
    schedule = dynamics.gradual(10, begin, end)
    found = amounts(schedule, 100)
    first, last = math.ceil(begin / 10) * 10, end // 10 * 10
    for step in range(100):
        if step % 10 or not first <= step <= last:
            assert found[step] == 0
        else:  # equation 1, from sparsity 0 to 1
            expected = 1 - (1 - (step - first) / (last - first)) ** 3
            assert found[step] == pytest.approx(expected, rel=1e-6)
    assert found[last] == 1
    assert schedule.goal_step == last + 1


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"update_every_steps: 100; .* step 75"):
        dynamics.gradual(100, 0, 75)
    for make in (dynamics.rigl, dynamics.sparse_evolution):
        with pytest.raises(ValueError, match=r"drop_fraction: 1\.0; must be inside"):
            make(10, 75, 1.0)
    with pytest.raises(
        ValueError, match="'regal' is not allowed; must be one of gradual"
    ):
        dynamics.make_dynamics(
            "regal",
            update_every_steps=1,
            begin_step=0,
            end_step=9,
            drop_fraction=0.3,
        )


def test_own_dynamics_take_what_they_have_parameters_for(tmp_path, monkeypatch):
    (tmp_path / "my_dynamics.py").write_text(
        "from lth_jax.training.dynamics import Dynamics\n"
        "def still(every, end_step):\n"
        "    return Dynamics(every, (0.0,) * end_step, lambda amount, now: now.masks)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = dynamics.make_dynamics(
        "my_dynamics:still",
        update_every_steps=5,
        begin_step=0,
        end_step=3,
        drop_fraction=0.3,
    )
    assert (found.every, found.amounts) == (5, (0.0, 0.0, 0.0))
