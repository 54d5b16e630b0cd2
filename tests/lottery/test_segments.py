import itertools

import hypothesis.strategies as st
from hypothesis import given

from lth_jax.lottery.segments import Segment, eval_steps, segments


def test_without_late_rewinding_all_segments_are_alike():
    found = segments(0, 1000, every=100, checkpoint_every=500, cuts=(0,))
    assert found == [Segment(0, 5, 100), Segment(500, 5, 100)]


def test_the_rewind_step_ends_a_segment_wherever_it_falls():
    found = segments(0, 400, every=100, checkpoint_every=400, cuts=(130,))
    assert found == [
        Segment(0, 1, 100),
        Segment(100, 1, 30),
        Segment(130, 1, 70),
        Segment(200, 2, 100),
    ]
    later_levels = segments(130, 400, every=100, checkpoint_every=400, cuts=(130,))
    assert later_levels == found[2:]


@given(st.data())
def test_segments_cover_every_step_and_evaluation_once(data):
    every = data.draw(st.integers(1, 20))
    checkpoint_every = every * data.draw(st.integers(1, 5))
    stop = data.draw(st.integers(every, 200))
    rewind_step = data.draw(st.integers(0, stop - 1))
    start = data.draw(st.sampled_from([0, rewind_step]))
    cuts = rewind_step, data.draw(st.integers(rewind_step + 1, stop))
    found = segments(
        start, stop, every=every, checkpoint_every=checkpoint_every, cuts=cuts
    )
    assert found[0].start_step == start
    assert found[-1].stop_step == stop
    assert all(a.stop_step == b.start_step for a, b in itertools.pairwise(found))
    evaluated = [
        s.start_step + (i + 1) * s.num_steps for s in found for i in range(s.num_evals)
    ]
    assert evaluated == eval_steps(start, stop, every, cuts)
    ends = {s.stop_step for s in found}
    assert {s for s in evaluated if s % checkpoint_every == 0 or s in cuts} <= ends
    expected = {s for s in range(start + 1, stop + 1) if s % every == 0} | {stop}
    expected |= {cut for cut in cuts if cut > start}
    assert set(evaluated) == expected


@given(st.integers(1, 30), st.integers(1, 8), st.data())
def test_every_evaluation_is_in_one_part_of_the_steps(num_steps, num_evals, data):
    segment = Segment(0, num_evals, num_steps)
    inside = st.sets(st.integers(1, segment.total_steps), max_size=4)
    cuts = sorted({0, segment.total_steps} | data.draw(inside))
    parts = [segment.evaluations(part) for part in itertools.pairwise(cuts)]
    made = [v for part in parts for v in range(part.start, part.stop)]
    assert made == list(range(num_evals))
    ends = [(v + 1) * num_steps for v in range(num_evals)]
    for step in range(segment.total_steps):
        assert segment.next_evaluation(step) == min(end for end in ends if end > step)
