import jax
import numpy as np
import pytest

from lth_jax import keys, sampling

KEY = jax.random.key(3)


def indices(start, num, key=KEY, batch_size=7, num_examples=24):
    return sampling.batch_indices(
        key, start, num, batch_size=batch_size, num_examples=num_examples
    )


def test_every_epoch_sees_every_example_once_in_a_fresh_order():
    stream = indices(0, 24).ravel()  # 168 draws: seven epochs of 24
    epochs = stream.reshape(7, 24)
    for epoch in epochs:
        assert sorted(epoch) == list(range(24))
    assert len({tuple(epoch) for epoch in epochs}) == 7


def test_any_slice_of_a_run_agrees_with_the_whole():
    whole = indices(0, 40)
    for start, num in [(0, 1), (3, 5), (17, 23), (39, 1)]:
        np.testing.assert_array_equal(indices(start, num), whole[start : start + num])


def test_batches_as_large_as_the_data_are_permutations():
    batches = indices(5, 3, batch_size=24)
    assert all(sorted(batch) == list(range(24)) for batch in batches)


def test_orders_differ_between_keys_and_are_the_same_for_the_same_key():
    other = keys.member_key(0, 0, "ticket", 1, "order")
    assert not np.array_equal(indices(0, 4), indices(0, 4, key=other))
    np.testing.assert_array_equal(indices(0, 4), indices(0, 4, key=jax.random.key(3)))
    assert indices(0, 4).dtype == np.int32


def test_positions_are_uniform():
    # Chi-squared of example against position over 2,000 epochs of 6 examples.
    orders = np.stack([sampling.epoch_order(KEY, e, 6) for e in range(2000)])
    counts = np.stack([np.bincount(column, minlength=6) for column in orders.T])
    chi_squared = ((counts - 2000 / 6) ** 2 / (2000 / 6)).sum()
    assert chi_squared < 52.6  # the 0.1% tail at 25 degrees of freedom


@pytest.mark.parametrize("batch_size", [0, 25])
def test_a_batch_larger_than_the_data_is_refused(batch_size):
    with pytest.raises(
        ValueError, match=f"batch_size: {batch_size}; must be from 1 to 24"
    ):
        indices(0, 1, batch_size=batch_size)


def test_several_keys_are_refused_and_no_steps_are_fine():
    assert indices(3, 0).shape == (0, 7)
    with pytest.raises(ValueError, match=r"key: of shape \(2,\); must be one key"):
        indices(0, 1, key=jax.random.split(KEY))


def test_a_balanced_sample_has_as_many_of_each_class_and_none_twice():
    labels = np.random.default_rng(0).choice([0, 1, 4], 90, p=[0.2, 0.3, 0.5])
    chosen = sampling.balanced_indices(KEY, labels, 5)
    assert labels[chosen].tolist() == [0] * 5 + [1] * 5 + [4] * 5
    assert len(set(chosen.tolist())) == 15 and chosen.dtype == np.int32
    np.testing.assert_array_equal(chosen, sampling.balanced_indices(KEY, labels, 5))
    other = sampling.balanced_indices(jax.random.key(4), labels, 5)
    assert set(other.tolist()) != set(chosen.tolist())
    with pytest.raises(ValueError, match="num_per_class: 60; class 0 has"):
        sampling.balanced_indices(KEY, labels, 60)
