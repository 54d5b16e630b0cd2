"""Metric: the metric that judges a study, and how its numbers are shown."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from lth_jax.analysis.intervals import UNBOUNDED, Bounds, Estimate
from lth_jax.store.records import Run

_ROUNDING = 1e-6  # of float32 accuracies
_MOST_DECIMALS = 8  # smaller numbers have exponents
_EVEN = 4 / 3  # the longer side is at most so many times the shorter


def with_interval(found: Estimate, form: str, half_form: str, scale: float = 1) -> str:
    """Returns a formatted value, with its interval if there is one.

    If both sides of the interval are about even, it is shown as ± the longer side.
    Otherwise its ends are shown. `scale` multiplies all numbers.
    """
    value, low, high = (scale * number for number in found)
    shorter, longer = sorted((value - low, high - value))
    if found.has_interval and longer <= _EVEN * shorter:
        return f"{value:{form}} ± {longer:{half_form}}"
    return with_ends(found, lambda number: f"{scale * number:{form}}")


def with_ends(estimate: Estimate, show: Callable[[float], str]) -> str:
    """Returns a formatted value, with the ends of its interval if there is one."""
    value, low, high = map(show, estimate)
    return f"{value} [{low}, {high}]" if estimate.has_interval else value


def _with_minus(text: str) -> str:
    """The text with minus signs; lines break after a hyphen, even in an exponent."""
    return text.replace("-", "\N{MINUS SIGN}")


class Metric(NamedTuple):
    """A metric of the test split."""

    name: str  # as in the records
    sign: int  # 1 if more is better, -1 if less is
    scale: float  # factor for the numbers that a reader sees
    unit: str  # after a number
    points: str  # after a difference
    short: str  # its name in a narrow column
    better: str  # in a sentence, such as "above"
    worse: str
    value_form: str  # formats of numbers
    half_width_form: str
    difference_form: str
    bounds: Bounds

    @property
    def heading(self) -> str:
        """The unit and the name, for a column."""
        return f"{self.unit} {self.name}".strip()

    @property
    def axis(self) -> str:
        """The unit, for the end of a figure's title."""
        return self.unit and f", {self.unit}"

    def text(self, estimate: Estimate) -> str:
        """Returns a value as text, with its interval."""
        forms = self.value_form, self.half_width_form
        return _with_minus(with_interval(estimate, *forms, self.scale))

    def difference(self, estimate: Estimate) -> str:
        """Returns a difference with its interval; percentage points for an accuracy."""
        return with_ends(estimate, self._signed)

    def ends(self, estimate: Estimate, is_difference: bool = False) -> str:
        """Returns only the ends of an interval as text; empty if there is none."""
        if not estimate.has_interval:
            return ""
        low, high = (
            self._signed(x)
            if is_difference
            else _with_minus(f"{self.scale * x:{self.value_form}}")
            for x in estimate[1:]
        )
        return f"[{low}, {high}]"

    def _signed(self, difference: float) -> str:
        text = f"{self.scale * difference:{self.difference_form}}"
        if float(text.replace(",", "")) == 0:
            return f"{0:{self.difference_form.removeprefix('+')}}"
        return _with_minus(text)

    def as_precise_as(self, size: float) -> "Metric":
        """The metric with as many decimals as four digits of such a value have."""
        if not 0 < size < math.inf:
            return self
        decimals = 3 - math.floor(math.log10(size))
        form = ".2e" if decimals > _MOST_DECIMALS else f",.{max(0, decimals)}f"
        return self._replace(
            value_form=form, half_width_form=form, difference_form=f"+{form}"
        )


_PERCENT = "above", "below", ".2f", ".2f", "+.2f"
_PLAIN = "better than", "worse than", ".4g", ".2g", "+.3g"
ACCURACY = Metric("accuracy", 1, 100, "%", " points", "acc", *_PERCENT, (0.0, 1.0))
LOSS = Metric("loss", -1, 1, "", "", "loss", *_PLAIN, (0.0, math.inf))


def metric_of(runs: Sequence[Run]) -> Metric:
    """Returns accuracy if all runs record it for the test split, else the loss.

    If recorded values lie outside its bounds, such as a negative loss, it has none. All
    losses of a study are shown with the same decimals, to be compared in columns.
    """
    has_accuracy = all(("test", "accuracy") in run.curves for run in runs)
    metric = ACCURACY if has_accuracy else LOSS
    low, high = metric.bounds
    values = np.concatenate(
        [
            curve.values
            for run in runs
            for (_, name), curve in run.curves.items()
            if name.endswith(metric.name)
        ]
    )
    is_within = low <= values.min() and values.max() <= high + _ROUNDING
    metric = metric if is_within else metric._replace(bounds=UNBOUNDED)
    return metric if has_accuracy else metric.as_precise_as(float(np.median(abs(values))))
