"""How many steps a call comes to, by a clock of its own."""

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
    """The calls of a segment: steps and seconds of each."""
    calls, first = [], 0
    while first < segment.total_steps:
        stop = own.stop(first, segment)
        assert first < stop <= segment.total_steps
        assert stop % segment.block_steps == 0
        made = segment.evaluations((first, stop))
        seconds = (stop - first) * step + (made.stop - made.start) * evaluation
        with own.measured((first, stop), segment):
            clock[0] += seconds
        calls.append((stop - first, seconds))
        first = stop
    return calls


def test_a_fast_segment_is_soon_one_call(clock):
    own, segment = Pace(), Segment(0, 500, 10)
    calls = train(clock, 1e-4, 1e-3, segment, own)
    assert [n for n, _ in calls] == [10, 100, 1000, 3890]
    assert [n for n, _ in train(clock, 1e-4, 1e-3, segment, own)] == [5000]


def test_a_call_is_first_one_block(clock):
    for segment, block in [
        (Segment(0, 500, 100), 10),
        (Segment(0, 9, 31), 1),
        (Segment(0, 9, 14), 7),
        (Segment(0, 9, 100, update_every=25), 5),
        (Segment(0, 9, 6, update_every=100), 2),
    ]:
        assert segment.block_steps == Pace().stop(0, segment) == block


def test_what_is_left_of_a_call_is_as_the_one_before_took(clock):
    own, segment = Pace(), Segment(0, 100, 10)
    assert own.seconds_left() is None
    with own.measured((0, 10), segment):
        clock[0] += 0.5
        assert own.seconds_left() is None  # nothing before it tells
    assert own.seconds_left() is None  # none is in flight
    with own.measured((10, 50), segment):
        assert own.seconds_left() == pytest.approx(2)
        clock[0] += 1.5
        assert own.seconds_left() == pytest.approx(0.5)
        clock[0] += 1
        assert own.seconds_left() == 0
    assert own.seconds_left() is None


def test_what_is_left_of_a_call_knows_of_its_evaluations(clock):
    """Where a step takes a second, and an evaluation a minute."""
    own, segment = Pace(), Segment(0, 3, 20)
    lefts = []
    for first in range(0, 60, 10):
        with own.measured((first, first + 10), segment):
            lefts.append(own.seconds_left())
            clock[0] += 10 + 60 * (first % 20 == 10)
    assert lefts == [None, 10, 10, 70, 10, 70]


def test_calls_of_slow_steps_keep_to_the_bound(clock):
    calls = train(clock, 0.004, 0.1, Segment(0, 100, 100), Pace())
    assert max(seconds for _, seconds in calls) <= pace.MOST_SECONDS + 0.1
    assert len(calls) <= 28


def test_calls_end_between_evaluations_where_steps_are_slow(clock):
    calls = train(clock, 0.5, 5, Segment(0, 3, 100), Pace())
    assert {n for n, _ in calls} == {10} and len(calls) == 30


def test_a_machine_that_becomes_slow_is_noticed_after_one_call(clock):
    own = Pace()
    train(clock, 1e-3, 0, Segment(0, 500, 10), own)
    calls = train(clock, 1e-2, 0, Segment(0, 5000, 10), own)
    fitting = pace.MOST_SECONDS / 1e-2
    assert calls[0][0] > 5 * fitting and max(n for n, _ in calls[1:]) == fitting


def test_segments_of_other_distances_share_what_was_measured(clock):
    own = Pace()
    train(clock, 1e-2, 0, Segment(0, 500, 10), own)
    assert own.stop(0, Segment(0, 40, 100)) == pace.MOST_SECONDS / 1e-2


def test_what_cannot_be_cut_to_the_grace_is_told_once(clock, caplog):
    with caplog.at_level(logging.WARNING):
        calls = train(clock, 4, 2, Segment(0, 3, 20), Pace())
    assert [n for n, _ in calls] == [10] * 6
    assert [r.getMessage() for r in caplog.records] == [
        "a call trains at least 10 steps of all its nets; this took 40 s, and a signal to"
        " stop may lose them; shards of fewer replicates take less"
    ]
