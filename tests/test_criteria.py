import jax
import numpy as np
import pytest

from lth_jax import criteria, masks, pruning


@pytest.fixture
def evidence(params):
    return criteria.Evidence(params, params, masks.full(params), jax.random.key(0))


def test_magnitude_is_the_absolute_value(evidence, params):
    scores = jax.jit(criteria.magnitude)(evidence)
    for score, p in zip(*map(jax.tree.leaves, (scores, params)), strict=True):
        np.testing.assert_array_equal(score, np.abs(p))


def test_random_scores_depend_on_the_key_alone(evidence, params):
    first, again = criteria.random(evidence), criteria.random(evidence)
    other = criteria.random(evidence._replace(key=jax.random.key(1)))
    for a, b, c in zip(*map(jax.tree.leaves, (first, again, other)), strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a != c).all()


@pytest.mark.parametrize("name", criteria.CRITERIA)
def test_every_criterion_feeds_prune_and_works_over_members(name, evidence, params):
    scores = criteria.CRITERIA[name](evidence)
    pruned = pruning.prune(scores, evidence.masks, 0.5)
    assert masks.density(pruned) == 0.5
    members = jax.tree.map(lambda x: jax.numpy.stack([x, x]), evidence)
    stacked = jax.vmap(criteria.CRITERIA[name])(members)
    for one, both in zip(*map(jax.tree.leaves, (scores, stacked)), strict=True):
        np.testing.assert_array_equal(both[1], one)
