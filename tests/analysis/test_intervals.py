import math

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis.extra import numpy as hnp
from support.tiers import quick

from lth_jax.analysis import intervals
from lth_jax.analysis.intervals import UNBOUNDED, Estimate

REPLICATES = st.integers(2, 12)
ACCURACIES = REPLICATES.flatmap(
    lambda n: hnp.arrays(np.int64, n, elements=st.integers(0, 10_000))
).map(lambda counts: counts / 10_000)
PAIRED_STEPS = REPLICATES.flatmap(
    lambda n: hnp.arrays(np.int64, (2, n), elements=st.integers(1, 500))
).map(lambda counts: 100.0 * counts)


def lognormal_steps(rng, shape, dense=6_000, ticket=4_000, every=100):
    """Paired early-stop steps, CVs 0.30 and 0.21, correlation of logs 0.5, rounded."""
    first, second = rng.standard_normal((2, *shape))
    second = 0.5 * first + math.sqrt(0.75) * second
    steps = []
    for z, center, cv in ((first, dense, 0.30), (second, ticket, 0.21)):
        scale = math.sqrt(math.log1p(cv**2))
        drawn = center * np.exp(scale * z - scale**2 / 2)
        steps.append(np.maximum(every, every * np.round(drawn / every)))
    return steps


# Means.


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
@pytest.mark.parametrize("n", [2, 5, 30])
def test_a_mean_has_students_interval(n, confidence):
    values = np.random.default_rng(n).normal(3, 2, n)
    found = intervals.mean(list(values), confidence)
    expected = scipy.stats.t.interval(
        confidence, n - 1, loc=values.mean(), scale=scipy.stats.sem(values)
    )
    np.testing.assert_allclose(found, (values.mean(), *expected))
    assert found.has_interval


@pytest.mark.parametrize("null", [0.0, -0.002, 3.0])
@pytest.mark.parametrize("n", [2, 5, 30])
def test_p_is_students(n, null):
    values = np.random.default_rng(n).normal(1, 2, n)
    expected = scipy.stats.ttest_1samp(values, null).pvalue
    assert intervals.p_value(values, null) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("n", [2, 5, 30])
def test_p_and_interval_of_paired_differences_are_students(n):
    a, b = np.random.default_rng(n).normal(0.98, 0.002, (2, n))
    expected = scipy.stats.ttest_rel(a, b)
    assert intervals.p_value(a - b) == pytest.approx(expected.pvalue, rel=1e-9)
    found = intervals.mean(a - b)
    np.testing.assert_allclose(found[1:], expected.confidence_interval(0.95))


@given(ACCURACIES, st.sampled_from([0.0, 0.5, 0.98]))
def test_p_is_below_5_percent_where_the_interval_leaves_the_null_out(values, null):
    p, (_, low, high) = intervals.p_value(values, null), intervals.mean(values)
    if abs(p - 0.05) > 1e-9 and not math.isnan(low):
        assert (p < 0.05) == (not low <= null <= high)


# Bounds.

SCALES = [
    ((0.0, 1.0), scipy.special.logit, scipy.special.expit),
    ((0.0, math.inf), np.log, np.exp),
    ((50.0, 600.0), *(lambda x: np.log((x - 50) / (600 - x)), None)),
    ((-2.0, math.inf), *(lambda x: np.log(x + 2), None)),
]


@pytest.mark.parametrize("n", [2, 5, 30])
@pytest.mark.parametrize(("bounds", "scale", "_"), SCALES)
def test_a_bounded_means_interval_is_the_delta_methods(n, bounds, scale, _):
    low, high = bounds[0], min(bounds[1], 3.0 + bounds[0] if bounds[1] > 1e9 else 1e9)
    values = low + (high - low) * np.random.default_rng(n).beta(8, 3, n)
    found = intervals.mean(values, bounds=bounds)
    step = 1e-6 * (high - low)
    slope = (scale(found.value + step) - scale(found.value - step)) / (2 * step)
    reach = scipy.stats.t.ppf(0.975, n - 1) * scipy.stats.sem(values) * slope
    ends = scale(found.value) + np.array([-reach, reach])
    assert found.value == pytest.approx(values.mean())
    np.testing.assert_allclose(scale(np.array(found[1:])), ends, rtol=1e-6)


@given(ACCURACIES, st.sampled_from([0.5, 0.95, 0.9999]))
def test_intervals_of_accuracies_keep_to_the_possible(values, confidence):
    value, low, high = intervals.mean(values, confidence, (0.0, 1.0))
    if np.ptp(values) < 1e-6:
        assert math.isnan(low) and math.isnan(high)
        return
    assert 0 <= low < value < high <= 1
    (_, low, high) = intervals.mean(1 - values, confidence, (0.0, 1.0))
    flipped = intervals.mean(values, confidence, (0.0, 1.0))
    np.testing.assert_allclose((1 - high, 1 - low), flipped[1:], atol=1e-12)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_replicates_that_are_all_at_a_bound_give_no_interval(value):
    found = intervals.mean([value] * 5, bounds=(0.0, 1.0))
    assert found.value == value
    assert not found.has_interval
    beyond = [float(np.nextafter(np.float32(1), np.float32(2)))] * 3  # as XLA may divide
    assert intervals.mean(beyond, bounds=(0.0, 1.0)).value == 1


@given(ACCURACIES, ACCURACIES)
def test_differences_of_accuracies_keep_to_the_possible(a, b):
    n = min(len(a), len(b))
    gains = a[:n] - b[:n]
    found, free = (
        intervals.mean_difference(gains, bounds=x) for x in ((0, 1), UNBOUNDED)
    )
    np.testing.assert_allclose(free, intervals.mean(gains))
    np.testing.assert_array_equal(found, np.clip(free, -1, 1))


# Ratios.


def delta_method(numerators, denominators, confidence):
    """var(log(A / B)) = var(A) / A^2 + var(B) / B^2 - 2 cov(A, B) / (A B)."""
    n = len(numerators)
    a, b = np.mean(numerators), np.mean(denominators)
    (var_a, cov), (_, var_b) = np.cov(numerators, denominators) / n
    error = math.sqrt(var_a / a**2 + var_b / b**2 - 2 * cov / (a * b))
    reach = scipy.stats.t.ppf((1 + confidence) / 2, n - 1) * error
    return a / b, a / b * math.exp(-reach), a / b * math.exp(reach)


def jackknife_error(statistic, *samples):
    """Standard error of a statistic of paired samples, leaving out one pair at a time."""
    n = len(samples[0])
    left_out = [statistic(*(np.delete(s, i) for s in samples)) for i in range(n)]
    return math.sqrt((n - 1) * np.var(left_out))


@pytest.mark.parametrize("confidence", [0.95, 0.99])
@pytest.mark.parametrize("n", [2, 5, 30])
def test_the_ratio_of_means_has_the_delta_methods_interval(n, confidence):
    dense, ticket = lognormal_steps(np.random.default_rng(n), (n,))
    found = intervals.ratio_of_means(dense, ticket, confidence)
    np.testing.assert_allclose(found, delta_method(dense, ticket, confidence))


@pytest.mark.parametrize("n", [2, 5, 30])
def test_the_mean_of_ratios_has_the_delta_methods_interval(n):
    dense, ticket = lognormal_steps(np.random.default_rng(n), (n,))
    ratios = [a / b for a, b in zip(dense, ticket, strict=True)]
    found = intervals.mean_of_ratios(dense, ticket)
    np.testing.assert_allclose(found, delta_method(ratios, np.ones(n), 0.95))


def test_ratios_errors_are_about_the_jackknifes():
    dense, ticket = lognormal_steps(np.random.default_rng(0), (200,))
    reach = scipy.stats.t.ppf(0.975, 199)
    for function, statistic in (
        (intervals.ratio_of_means, lambda a, b: math.log(np.mean(a) / np.mean(b))),
        (intervals.mean_of_ratios, lambda a, b: math.log(np.mean(a / b))),
    ):
        found = function(dense, ticket)
        error = math.log(found.high / found.value) / reach
        assert error == pytest.approx(jackknife_error(statistic, dense, ticket), rel=0.02)


@given(PAIRED_STEPS)
def test_the_other_way_round_the_ratio_of_means_is_inverted(steps):
    found = intervals.ratio_of_means(*steps)
    value, low, high = intervals.ratio_of_means(*steps[::-1])
    np.testing.assert_allclose(found, (1 / value, 1 / high, 1 / low), rtol=1e-9)


@given(PAIRED_STEPS, st.integers(1, 100))
def test_ratios_do_not_depend_on_the_unit(steps, factor):
    numerators, denominators = steps
    for function in (intervals.ratio_of_means, intervals.mean_of_ratios):
        found = np.array(function(numerators, denominators))
        both = function(factor * numerators, factor * denominators)
        above = function(factor * numerators, denominators)
        below = function(numerators, factor * denominators)
        np.testing.assert_allclose(both, found, rtol=1e-9)
        np.testing.assert_allclose(above, found * factor, rtol=1e-9)
        np.testing.assert_allclose(below, found / factor, rtol=1e-9)


@given(PAIRED_STEPS)
def test_ratios_do_not_depend_on_the_order_of_replicates(steps):
    for function in (intervals.ratio_of_means, intervals.mean_of_ratios):
        found, turned = function(*steps), function(*steps[:, ::-1])
        np.testing.assert_allclose(found, turned, rtol=1e-9)


@given(PAIRED_STEPS)
def test_values_that_stand_for_a_ratio_have_its_logarithm_as_mean(steps):
    values = intervals.log_ratio_of_means(*steps)
    found, ratio = intervals.mean(values), intervals.ratio_of_means(*steps)
    np.testing.assert_allclose(np.exp(found), ratio, rtol=1e-9)


def test_an_interval_too_wide_for_a_float_ends_at_infinity():
    steps = np.array([100.0, 50_000.0])
    found = intervals.ratio_of_means(steps, steps[::-1], 1 - 0.05 / 50)
    assert found == (1, 0, math.inf)
    found = intervals.ratio_of_means(steps, steps[::-1], 0.999, (1 / 500, 500))
    assert found == (1, 1 / 500, 500)
    assert intervals.mean_of_ratios(steps, steps[::-1], (0.1, 7.0))[1:] == (0.1, 7.0)


# No interval.


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.5], [0.98] * 10])
def test_one_replicate_or_no_variation_gives_no_interval(values):
    value, low, high = intervals.mean(values)
    assert value == pytest.approx(values[0])
    assert math.isnan(low)
    assert math.isnan(high)
    assert not intervals.mean(values).has_interval
    for function in (intervals.ratio_of_means, intervals.mean_of_ratios):
        found = function(np.array(values) * 3, values)
        assert found.value == pytest.approx(3)
        assert not found.has_interval
        assert math.isnan(found.high)


@pytest.mark.parametrize("n", [1, 2, 5, 6, 50])
def test_without_variation_p_is_the_sign_tests(n):
    values = [0.5] * n
    expected = math.nan
    if n > 1:
        expected = scipy.stats.binomtest(n, n, 0.5).pvalue
        assert intervals.p_value(values, 0.5) == 1  # neither above nor below
    np.testing.assert_allclose(intervals.p_value(values, 0.4), expected)
    np.testing.assert_allclose(intervals.p_value(values, 0.6), expected)


def test_float32_accuracies_that_differ_by_rounding_do_not_vary():
    # As XLA divides counts: by the inverse, so that the last bit may be off.
    counts = np.array([9_801, 9_810, 9_814, 9_822], np.float32)
    tickets, dense = counts * np.float32(1e-4), (counts - 10) * np.float32(1e-4)
    gains = [float(str(a)) - float(str(b)) for a, b in zip(tickets, dense, strict=True)]
    assert np.ptp(gains) > 1e-8
    bounds = 0.0, 1.0
    assert intervals.p_value(gains, bounds=bounds) == 2**-3  # as the sign test has it
    assert not intervals.mean_difference(gains, bounds=bounds).has_interval
    gains[0] += 1 / 100_000  # what one test example of many makes out
    assert intervals.mean_difference(gains, bounds=bounds).has_interval


# Several p-values.


def rejected(p_values, alpha):
    """Holm's procedure: the smallest p first, until one is above alpha / (those left)."""
    there = sorted((p, i) for i, p in enumerate(p_values) if not math.isnan(p))
    found = set()
    for step, (p, i) in enumerate(there):
        if p * (len(there) - step) > alpha:
            break
        found.add(i)
    return found


P_VALUES = st.lists(st.floats(0, 1) | st.just(math.nan), max_size=8)


@given(P_VALUES, st.floats(0.001, 0.999))
def test_adjusted_p_values_reject_what_holms_procedure_rejects(p_values, alpha):
    adjusted = intervals.holm(p_values)
    assert {i for i, p in enumerate(adjusted) if p <= alpha} == rejected(p_values, alpha)


@given(P_VALUES)
def test_adjusted_p_values_are_in_order_and_at_most_bonferronis(p_values):
    adjusted = intervals.holm(p_values)
    num_tests = sum(not math.isnan(p) for p in p_values)
    assert len(adjusted) == len(p_values)
    for p, found in zip(p_values, adjusted, strict=True):
        if math.isnan(p):
            assert math.isnan(found)
        else:
            assert p <= found <= min(1, num_tests * p)
    for p, found in zip(p_values, adjusted, strict=True):
        for q, other in zip(p_values, adjusted, strict=True):
            assert not (p <= q and found > other)


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        ([], []),
        ([0.03], [0.03]),
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        # R: p.adjust(c(.01, .02, .03, .04, .05), "holm")
        ([0.01, 0.02, 0.03, 0.04, 0.05], [0.05, 0.08, 0.09, 0.09, 0.09]),
        ([0.6, 0.4], [0.8, 0.8]),
        ([0.7, 0.6], [1.0, 1.0]),
        ([math.nan, 0.02, 0.03], [math.nan, 0.04, 0.04]),
        ([math.nan], [math.nan]),
    ],
)
def test_adjusted_p_values_by_hand(p_values, adjusted):
    np.testing.assert_allclose(intervals.holm(p_values), adjusted)


# Coverage: how often a 95% interval holds the truth.

NUM_STUDIES = 4_000


def coverage(found, truth):
    return np.mean([low <= truth <= high for _, low, high in found])


def simulated(measure, n):
    """The intervals of many studies of n replicates, and the truth."""
    rng = np.random.default_rng([n, *measure.encode()])
    studies = NUM_STUDIES, n
    if measure in ("accuracy", "difference"):
        own, dense, ticket = rng.standard_normal((3, *studies))
        dense = np.round(0.9800 + 0.0015 * (own + dense) / math.sqrt(2), 4)
        ticket = np.round(0.9813 + 0.0015 * (own + ticket) / math.sqrt(2), 4)
        if measure == "accuracy":
            return [intervals.mean(values) for values in ticket], 0.9813
        return [intervals.mean(values) for values in ticket - dense], 0.0013
    function = getattr(intervals, measure)
    dense, ticket = lognormal_steps(rng, studies)
    found = [function(*steps) for steps in zip(dense, ticket, strict=True)]
    dense, ticket = lognormal_steps(rng, (1_000_000,))
    ratio = dense.mean() / ticket.mean()
    return found, ratio if measure == "ratio_of_means" else (dense / ticket).mean()


@pytest.mark.parametrize("n", [5, 10])
@pytest.mark.parametrize(
    "measure", ["accuracy", "difference", "ratio_of_means", "mean_of_ratios"]
)
def test_95_percent_intervals_hold_the_truth_in_93_to_97_percent_of_studies(measure, n):
    found, truth = simulated(measure, n)
    assert all(estimate.has_interval for estimate in found)
    assert 0.93 <= coverage(found, truth) <= 0.97


SPREADS = [  # means and standard deviations of accuracies, and how many are tested
    (0.98, 0.01, 10_000),
    (0.999, 0.0003, 10_000),
    (0.5, 0.02, 1_000),
    (0.9, 0.05, 1_000),
    (0.98, 0.0015, 10_000),
    (0.995, 0.001, 10_000),
]


@pytest.mark.parametrize("n", [2, 3, 5, 10])
@pytest.mark.parametrize(
    ("center", "spread", "num_tested"), quick(*SPREADS[:2], of=SPREADS)
)
def test_accuracies_near_a_bound_are_as_well_covered(center, spread, num_tested, n):
    rng = np.random.default_rng(n)
    size = center * (1 - center) / spread**2 - 1
    nets = rng.beta(center * size, (1 - center) * size, (NUM_STUDIES, n))
    seen = rng.binomial(num_tested, nets) / num_tested
    found = [intervals.mean(values, bounds=(0.0, 1.0)) for values in seen]
    given = [estimate for estimate in found if estimate.has_interval]
    assert coverage(given, center) >= 0.935
    cut = [np.clip(intervals.mean(values), 0, 1) for values in seen]
    cut = [estimate for estimate in cut if not math.isnan(estimate[1])]
    assert coverage(given, center) >= coverage(cut, center) - 0.004


def percentile_bootstrap(statistic, *samples, resamples=1_000):
    """Of paired samples [studies, n]; one resampling for all studies."""
    n = samples[0].shape[1]
    chosen = np.random.default_rng(n).integers(0, n, (resamples, n))
    found = []
    for chunk in np.array_split(np.arange(len(samples[0])), 20):
        values = statistic(*(sample[chunk][:, chosen] for sample in samples))
        found.append(np.quantile(values, [0.025, 0.975], axis=1))
    return [Estimate(math.nan, *ends) for ends in np.concatenate(found, axis=1).T]


def test_the_percentile_bootstraps_intervals_are_too_narrow():
    rng = np.random.default_rng(0)
    accuracies = np.round(rng.normal(0.98, 0.0015, (NUM_STUDIES, 5)), 4)
    found = percentile_bootstrap(lambda x: x.mean(2), accuracies)
    assert coverage(found, 0.98) < 0.86
    steps = lognormal_steps(rng, (NUM_STUDIES, 5))
    dense, ticket = lognormal_steps(rng, (1_000_000,))
    found = percentile_bootstrap(lambda a, b: a.mean(2) / b.mean(2), *steps)
    assert coverage(found, dense.mean() / ticket.mean()) < 0.86
    found = percentile_bootstrap(lambda a, b: (a / b).mean(2), *steps)
    assert coverage(found, (dense / ticket).mean()) < 0.86


def test_the_bootstrap_simulated_here_is_scipys():
    values = np.random.default_rng(0).normal(0.98, 0.0015, (1, 5))
    (found,) = percentile_bootstrap(lambda x: x.mean(2), values, resamples=20_000)
    expected = scipy.stats.bootstrap(
        (values[0],), np.mean, n_resamples=20_000, method="percentile", rng=0
    ).confidence_interval
    np.testing.assert_allclose(found[1:], expected, atol=5e-5)


@pytest.mark.parametrize("num_asked", [1, 8])
def test_so_many_replicates_would_tell(num_asked):
    values = np.random.default_rng(3).normal(0.4, 1, 10)
    needed = intervals.replicates_to_tell(values, 0.0, num_asked)
    t = values.mean() / values.std(ddof=1)
    for n, tells in ((needed - 1, False), (needed, True)):
        p = 2 * scipy.stats.t.sf(abs(t) * math.sqrt(n), n - 1)
        assert (p * num_asked <= 0.05) == tells
    assert needed > 10


def test_how_many_would_tell_is_unknown_or_too_many():
    assert intervals.replicates_to_tell([0.3], 0.0, 1) is None
    assert intervals.replicates_to_tell([0.3, 0.3], 0.0, 1) is None
    assert intervals.replicates_to_tell([-1, 1.1], 0.0, 1) is None
    assert intervals.replicates_to_tell([-1, 0, 1], 0.0, 1) == intervals.MOST_TO_TELL
