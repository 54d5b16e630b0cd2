"""Metric: what a study is judged by, and how its numbers are shown."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from lth_jax.analysis.intervals import Estimate
from lth_jax.store.records import Run


def with_half_width(found: Estimate, form: str, half_form: str, scale: float = 1) -> str:
    """A value in a format, with half of its interval if there is one."""
    value, half = scale * found.value, scale * found.half_width
    return f"{value:{form}}" + (f" ± {half:{half_form}}" if found.has_interval else "")


def with_ends(estimate: Estimate, show: Callable[[float], str]) -> str:
    """A value, with the ends of its interval if there is one."""
    value, low, high = map(show, estimate)
    return f"{value} [{low}, {high}]" if estimate.has_interval else value


class Metric(NamedTuple):
    """A metric of the test split."""

    name: str  # as the records have it
    sign: int  # 1 where more is better, -1 where less is
    scale: float  # of the numbers that a reader sees
    unit: str  # after a number
    points: str  # after a difference
    short: str  # its name in a narrow column
    better: str  # than another, in a sentence
    worse: str
    value_form: str  # formats of numbers
    half_width_form: str
    difference_form: str

    @property
    def heading(self) -> str:
        """Its name, for a column."""
        return f"{self.unit} {self.name}".strip()

    @property
    def axis(self) -> str:
        """Its unit, at the end of a figure's title."""
        return self.unit and f", {self.unit}"

    def text(self, estimate: Estimate) -> str:
        """A value, with half of its interval."""
        forms = self.value_form, self.half_width_form
        return with_half_width(estimate, *forms, self.scale)

    def difference(self, estimate: Estimate) -> str:
        """A difference, with its interval; percentage points of an accuracy."""
        return with_ends(estimate, self._signed)

    def _signed(self, difference: float) -> str:
        text = f"{self.scale * difference:{self.difference_form}}"
        if float(text) == 0:
            return f"{0:{self.difference_form.removeprefix('+')}}"
        return text.replace("-", "\N{MINUS SIGN}")


ACCURACY = Metric(
    "accuracy", 1, 100, "%", " points", "acc", "above", "below", ".2f", ".2f", "+.2f"
)
LOSS = Metric(
    "loss", -1, 1, "", "", "loss", "better than", "worse than", ".4g", ".2g", "+.3g"
)


def metric_of(runs: Sequence[Run]) -> Metric:
    """Accuracy where the records have it, else the loss."""
    has_accuracy = all(("test", "accuracy") in run.curves for run in runs)
    return ACCURACY if has_accuracy else LOSS
