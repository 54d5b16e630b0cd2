"""Intervals: for means, differences and ratios over a few independent replicates.

All are Student's t intervals. A value between two bounds (an accuracy) uses the logit
scale. A positive value (a loss, a ratio) uses the logarithmic scale.

With 5 replicates, 95% intervals cover the truth in 93 to 96% of simulated studies. Those
of the percentile bootstrap cover it in only 82 to 85%. Accuracies near 1 have a skewed
spread. There, a t interval that is clipped at the bounds covers the truth in 88 to 95%,
and the logit interval in 93 to 97%. `tests/analysis/test_intervals.py` simulates all
three. There is no interval for a single replicate, or for replicates that do not vary.
"""

import bisect
import functools
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import scipy.special  # not scipy.stats, whose import takes half a second

CONFIDENCE = 0.95
ALPHA = 1 - CONFIDENCE
MOST_TO_TELL = 10_000  # replicates; `replicates_to_tell` returns no more
_ROUNDING = 1e-6  # above that of accuracies to float32, in [0, 1]

Values = Sequence[float] | np.ndarray
Bounds = tuple[float, float]  # the lowest and highest value; infinite if unbounded
UNBOUNDED: Bounds = -math.inf, math.inf
_POSITIVE: Bounds = 0.0, math.inf


class Estimate(NamedTuple):
    """A value and the ends of its interval, which are NaN if there is none."""

    value: float
    low: float
    high: float

    @property
    def has_interval(self) -> bool:
        """Whether there is an interval."""
        return not math.isnan(self.low)


NONE = Estimate(math.nan, math.nan, math.nan)


def mean(
    values: Values,
    confidence: float = CONFIDENCE,
    bounds: Bounds = UNBOUNDED,
    error: float = 0.0,
) -> Estimate:
    """Returns the mean of independent values, with an interval within the bounds.

    All values lie within the bounds, ends included. `error` is a further standard error
    that they share, such as that of their test examples. It counts as known exactly.

    Example:
      >>> value, low, high = mean([1.0, 2.0, 3.0])
      >>> round(value, 2), round(low, 2), round(high, 2)
      (2.0, -0.48, 4.48)
    """
    center = float(np.clip(np.mean(values), *bounds))  # float32 may round beyond
    reach = _reach(values, confidence, bounds, error)
    return Estimate(center, *_ends(center, reach, bounds))


def mean_difference(
    values: Values,
    confidence: float = CONFIDENCE,
    bounds: Bounds = UNBOUNDED,
    error: float = 0.0,
) -> Estimate:
    """Returns the mean of paired differences; arguments as for `mean`.

    The bounds are those of the values before they are subtracted. The interval is clipped
    at the largest possible difference. At 95% and without `error`, it excludes a null
    exactly if `p_value` is below 5%.
    """
    center, reach = float(np.mean(values)), _reach(values, confidence, bounds, error)
    most = bounds[1] - bounds[0]
    low, high = np.clip([center - reach, center + reach], -most, most)  # keeps NaN
    return Estimate(center, float(low), float(high))


def ratio_of_means(
    numerators: Values,
    denominators: Values,
    confidence: float = CONFIDENCE,
    bounds: Bounds = _POSITIVE,
) -> Estimate:
    """Returns mean(numerators) / mean(denominators), with an interval.

    Values are positive, and paired by replicate. The interval is clipped at the ratio's
    bounds.
    """
    logs = log_ratio_of_means(numerators, denominators)
    value = float(np.mean(numerators) / np.mean(denominators))
    return _ratio(value, logs, confidence, bounds)


def mean_of_ratios(
    numerators: Values, denominators: Values, bounds: Bounds = _POSITIVE
) -> Estimate:
    """Returns mean(numerators / denominators); see `ratio_of_means`."""
    ratios = np.divide(numerators, denominators)
    return _ratio(float(ratios.mean()), _log_of_mean(ratios), CONFIDENCE, bounds)


def log_ratio_of_means(numerators: Values, denominators: Values) -> np.ndarray:
    """Returns values float64[R] whose mean is the log of the ratio of means.

    By the delta method, their standard error is also that of the log. They are meant for
    `mean` and `p_value`.
    """
    logs: np.ndarray = _log_of_mean(numerators) - _log_of_mean(denominators)
    return logs


def p_value(values: Values, null: float = 0.0, bounds: Bounds = UNBOUNDED) -> float:
    """Returns the two-sided p of Student's t test that the mean is `null`.

    The bounds are those of the values, or of those from which they are subtracted.
    It is NaN for one value. Values that do not vary have the p of the sign test. By
    chance, all n of them lie on one side of the truth once in 2**(n - 1) times.
    """
    error, n = _standard_error(values, bounds), len(values)
    if n < 2:
        return math.nan
    if math.isnan(error):
        differs = abs(float(np.mean(values)) - null) > _rounding(bounds)
        return 2.0 ** (1 - n) if differs else 1.0
    t = abs(float(np.mean(values)) - null) / error
    return 2 * float(scipy.special.stdtr(len(values) - 1, -t))


def adjusted_p_values(
    samples: Iterable[Values], null: float = 0.0, bounds: Bounds = UNBOUNDED
) -> list[float]:
    """Returns the `p_value` of each sample, adjusted by `holm`."""
    return holm([p_value(values, null, bounds) for values in samples])


def holm(p_values: Values) -> list[float]:
    """Returns p-values adjusted for their number (Holm 1979); NaNs stay NaN.

    NaNs do not count towards the number.
    """
    p = np.asarray(p_values, float)
    adjusted = np.full(p.shape, math.nan)
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]  # NaNs are sorted last
    stepped = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1)
    return [float(x) for x in adjusted]


def replicates_to_tell(
    values: Values, null: float, num_asked: int, bounds: Bounds = UNBOUNDED
) -> int | None:
    """Returns how many replicates would show that the mean is not `null`.

    It assumes that the mean and the spread stay the same. The p-value is corrected for
    `num_asked` samples (Bonferroni). The number is at most `MOST_TO_TELL`. It is None for
    replicates that do not vary, and for fewer than three: the spread of two says nothing.
    """
    error = _standard_error(values, bounds)
    if math.isnan(error) or len(values) < 3:
        return None
    distance = abs(float(np.mean(values)) - null) / (error * math.sqrt(len(values)))

    def tells(n: int) -> bool:
        p = 2 * float(scipy.special.stdtr(n - 1, -distance * math.sqrt(n)))
        return p * num_asked <= ALPHA

    numbers = range(2, MOST_TO_TELL)
    return numbers.start + bisect.bisect_left(numbers, True, key=tells)


def _reach(values: Values, confidence: float, bounds: Bounds, error: float) -> float:
    """Returns the half-width of Student's interval for the mean; NaN if there is none.

    With a further error, it is the root of the sum of the squares of both half-widths
    (Howe 1974).
    """
    own = _quantile(len(values) - 1, confidence) * _standard_error(values, bounds)
    return math.hypot(own, _quantile(math.inf, confidence) * error)


@functools.cache
def _quantile(freedom: float, confidence: float) -> float:
    return float(scipy.special.stdtrit(freedom, (1 + confidence) / 2))  # NaN at 0


def _ends(center: float, reach: float, bounds: Bounds) -> tuple[float, float]:
    """Returns the ends of an interval on the unbounded scale, by the delta method."""
    low, high = bounds
    below, above = center - low, high - center
    if math.isnan(reach) or below <= 0 or above <= 0:
        return math.nan, math.nan
    rate = reach / below + reach / above  # of the logit; of the log without `high`
    if math.isinf(low):
        return center - reach, center + reach
    if math.isinf(high):
        with np.errstate(over="ignore"):  # with two replicates an end can be infinite
            factors = np.exp([-rate, rate])
        return low + below * float(factors[0]), low + below * float(factors[1])
    logit = math.log(below / above)
    shares = scipy.special.expit([logit - rate, logit + rate])
    return low + (high - low) * float(shares[0]), low + (high - low) * float(shares[1])


def _rounding(bounds: Bounds) -> float:
    """Returns by how much values can differ and still count as equal.

    Replicates often have the same accuracy, and differ by its rounding. The size of other
    values is unknown, and replicates have the same only if all their bits are the same.
    """
    width = bounds[1] - bounds[0]
    return _ROUNDING * width if math.isfinite(width) else 1e-13


def _standard_error(values: Values, bounds: Bounds) -> float:
    """Returns the mean's standard error; NaN for one value, or values that are equal."""
    if len(values) < 2 or np.ptp(values) <= _rounding(bounds):
        return math.nan
    return float(np.std(values, ddof=1)) / math.sqrt(len(values))


def _log_of_mean(values: Values) -> np.ndarray:
    """Returns values whose mean is the log of the mean, by the delta method."""
    given = np.asarray(values, float)
    logs: np.ndarray = np.log(given.mean()) + given / given.mean() - 1
    return logs


def _ratio(value: float, logs: np.ndarray, confidence: float, bounds: Bounds) -> Estimate:
    """Returns a ratio; its interval is computed on the logarithmic scale."""
    with np.errstate(over="ignore"):  # with two replicates an end can be infinite
        low, high = np.clip(np.exp(mean(logs, confidence)[1:]), *bounds)  # keeps NaN
    return Estimate(value, float(low), float(high))
