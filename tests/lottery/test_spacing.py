"""Spacing of checkpoints, on a clock of the test's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lth_jax.lottery import spacing


class Clock:
    """A time that only tests move."""

    now = 1000.0

    def perf_counter(self) -> float:
        return self.now


def written(segment: float, checkpoint: float, number: int) -> tuple[int, float]:
    """How many checkpoints so many segments have, and their share of the time."""
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spacing, "time", clock)
        began, spaced, count = clock.now, spacing.Spacing(), 0
        for _ in range(number):
            clock.now += segment
            if spaced.is_due():
                with spaced.measured():
                    clock.now += checkpoint
                count += 1
        return count, count * checkpoint / (clock.now - began)


@given(st.floats(0.01, 100), st.floats(0.01, 100), st.integers(1, 300))
def test_all_but_the_first_take_a_twentieth_of_the_time(segment, checkpoint, number):
    count, share = written(segment, checkpoint, number)
    assert count >= 1
    assert share * (count - 1) / count <= 0.05 + 1e-9


@given(st.floats(1, 100), st.integers(1, 300))
def test_where_segments_are_long_each_ends_in_one(segment, number):
    assert written(segment, segment / 20, number)[0] == number


def test_where_writing_is_slow_some_are_left_out():
    assert written(1, 1, 100)[0] == pytest.approx(100 / 20, abs=1)
