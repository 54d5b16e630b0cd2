import math
import random

import numpy as np
import pytest
import scipy.stats
from support.studies import exact, make_run, noisy

from lth_jax.analysis import intervals
from lth_jax.analysis.comparison import all_comparisons, compare, pairs
from lth_jax.analysis.outcomes import DENSE, outcomes

TRUTH = {
    DENSE: (0.950, 4_000),
    ("ticket", 1): (0.956, 3_000),
    ("ticket", 2): (0.953, 2_500),
    ("ticket", 3): (0.948, 5_000),
    ("reinit", 1): (0.949, 4_500),
    ("reinit", 2): (0.946, 5_500),
    ("shuffle", 1): (0.947, 5_000),
}


def study(num_replicates=6):
    rng = np.random.default_rng(1)
    return outcomes(noisy(TRUTH, num_replicates, noise=0.002, spread=0.2, rng=rng))


def test_pairs_are_of_the_same_level_and_dense_is_the_tickets_first():
    found = study()
    assert [(p.arm.level, p.reference) for p in pairs(found, "ticket", "dense")] == [
        (level, found[DENSE]) for level in (1, 2, 3)
    ]
    assert [
        (p.arm.arm, p.reference.arm, p.arm.level, p.reference.level)
        for p in pairs(found, "ticket", "reinit")
    ] == [("ticket", "reinit", 1, 1), ("ticket", "reinit", 2, 2)]
    assert len(pairs(found, "shuffle", "dense")) == 1
    assert pairs(found, "ticket", "random") == []


def test_pairs_are_of_the_same_replicate_whatever_the_order():
    accuracies = {0: (0.90, 0.91), 1: (0.95, 0.97), 2: (0.80, 0.83), 10: (0.7, 0.74)}
    runs = []
    for replicate, (dense, ticket) in accuracies.items():
        runs.insert(0, make_run(*DENSE, replicate, 400, dense))
        runs.append(make_run("ticket", 1, replicate, 200, ticket))
    random.Random(0).shuffle(runs)
    (pair,) = pairs(outcomes(runs), "ticket", "dense")
    np.testing.assert_allclose(pair.gain, [0.01, 0.02, 0.03, 0.04])


def test_differences_and_p_are_those_of_the_paired_t_test():
    found = study()
    (comparison,) = compare(found, "shuffle", "dense")
    shuffle, dense = found["shuffle", 1], found[DENSE]
    assert comparison[:4] == ("shuffle", "dense", 1, 0.5)
    test = scipy.stats.ttest_rel(shuffle.early_stop_metric, dense.early_stop_metric)
    assert comparison.p == pytest.approx(test.pvalue)  # one level alone
    ends = test.confidence_interval(0.95)
    np.testing.assert_allclose(comparison.early_stop_difference[1:], ends)
    final = shuffle.final_metric - dense.final_metric
    assert comparison.final_difference == intervals.mean(final)


def test_the_speedup_is_above_1_where_the_arm_is_faster():
    found = study(100)
    faster, _, slower = compare(found, "ticket", "dense")
    assert faster.speedup.low > 1
    assert slower.speedup.high < 1
    steps = found[DENSE].early_stop_step, found["ticket", 1].early_stop_step
    assert faster.speedup == intervals.ratio_of_means(*steps)
    assert faster.speedup_by_replicate == intervals.mean_of_ratios(*steps)
    assert faster.speedup.value == pytest.approx(steps[0].mean() / steps[1].mean())
    assert faster.speedup_by_replicate.value == pytest.approx(
        np.mean(steps[0] / steps[1])
    )


def test_p_is_corrected_for_the_levels_of_each_pair_of_arms():
    found = study()
    for arm, reference in (("ticket", "dense"), ("ticket", "reinit")):
        raw = [intervals.p_value(pair.gain) for pair in pairs(found, arm, reference)]
        adjusted = [c.p for c in compare(found, arm, reference)]
        assert adjusted == intervals.holm(raw)
        assert min(adjusted) == pytest.approx(len(raw) * min(raw))


def test_every_arm_is_compared_with_dense_and_the_ticket_with_every_control():
    found = [(c.arm, c.reference, c.level) for c in all_comparisons(study())]
    assert found == [
        *(("ticket", "dense", level) for level in (1, 2, 3)),
        *(("reinit", "dense", level) for level in (1, 2)),
        ("shuffle", "dense", 1),
        *(("ticket", "reinit", level) for level in (1, 2)),
        ("ticket", "shuffle", 1),
    ]


def test_the_dense_net_alone_is_compared_with_nothing():
    assert all_comparisons(outcomes(exact({DENSE: (0.95, 400)}, 5))) == []


@pytest.mark.parametrize("num_replicates", [1, 5])
def test_without_variation_there_are_values_and_no_intervals(num_replicates):
    found = all_comparisons(outcomes(exact(TRUTH, num_replicates)))
    assert found[0].early_stop_difference.value == pytest.approx(0.006)
    assert found[0].speedup.value == pytest.approx(4 / 3)
    for comparison in found:
        assert math.isnan(comparison.p) == (num_replicates == 1)
        assert not comparison.p <= 0.05
        assert not any(estimate.has_interval for estimate in comparison[4:8])
