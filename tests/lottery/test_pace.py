"""How many evaluations a call comes to, by a clock of its own."""

import logging

import pytest

from lth_jax.lottery import pace
from lth_jax.lottery.pace import Pace
from lth_jax.lottery.segments import Segment


@pytest.fixture
def clock(monkeypatch):
    """Seconds, moved by hand."""
    now = [0.0]
    monkeypatch.setattr(pace.time, "perf_counter", lambda: now[0])
    return now


def train(clock, step, evaluation, segment, own):
    """The calls of a segment: evaluations and seconds of each."""
    calls, first = [], 0
    while first < segment.num_evals:
        stop = own.stop(first, segment)
        assert first < stop <= segment.num_evals
        seconds = (stop - first) * (segment.num_steps * step + evaluation)
        with own.measured((first, stop), segment):
            clock[0] += seconds
        calls.append((stop - first, seconds))
        first = stop
    return calls


def test_a_fast_segment_is_soon_one_call(clock):
    own, segment = Pace(), Segment(0, 500, 10)
    calls = train(clock, 1e-4, 1e-3, segment, own)
    assert [n for n, _ in calls] == [1, 10, 100, 389]
    assert [n for n, _ in train(clock, 1e-4, 1e-3, segment, own)] == [500]


def test_what_is_left_of_a_call_is_as_the_one_before_took(clock):
    own, segment = Pace(), Segment(0, 100, 10)
    assert own.seconds_left() is None
    with own.measured((0, 1), segment):
        clock[0] += 0.5
        assert own.seconds_left() is None  # nothing before it tells
    assert own.seconds_left() is None  # none is in flight
    with own.measured((1, 5), segment):
        assert own.seconds_left() == pytest.approx(2)
        clock[0] += 1.5
        assert own.seconds_left() == pytest.approx(0.5)
        clock[0] += 1
        assert own.seconds_left() == 0
    assert own.seconds_left() is None


def test_calls_of_slow_steps_keep_to_the_bound(clock):
    calls = train(clock, 0.004, 0.1, Segment(0, 100, 100), Pace())
    assert max(seconds for _, seconds in calls) <= pace.MOST_SECONDS
    assert len(calls) <= 28


def test_a_machine_that_becomes_slow_is_noticed_after_one_call(clock):
    own = Pace()
    train(clock, 1e-3, 0, Segment(0, 500, 10), own)
    calls = train(clock, 1e-2, 0, Segment(0, 5000, 10), own)
    fitting = pace.MOST_SECONDS / 1e-2 / 10
    assert calls[0][0] > 5 * fitting and max(n for n, _ in calls[1:]) == fitting


def test_segments_of_other_distances_share_what_was_measured(clock):
    own = Pace()
    train(clock, 1e-2, 0, Segment(0, 500, 10), own)
    assert own.stop(0, Segment(0, 40, 100)) == pace.MOST_SECONDS


def test_what_cannot_be_cut_to_the_grace_is_told_once(clock, caplog):
    with caplog.at_level(logging.WARNING):
        calls = train(clock, 0.4, 2, Segment(0, 3, 100), Pace())
    assert [n for n, _ in calls] == [1, 1, 1]
    assert [r.getMessage() for r in caplog.records] == [
        "the shortest call, 100 steps and an evaluation of all its nets, takes 42 s, and"
        " a signal to stop may lose what it trained; a lower eval_every_steps or"
        " members_per_call makes it shorter"
    ]
