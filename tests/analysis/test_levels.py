"""The levels that are shown, for verdicts whose important levels are given."""

import hypothesis.strategies as st
from hypothesis import given, settings

from lth_jax.analysis.intervals import NONE
from lth_jax.analysis.levels import levels_that_matter
from lth_jax.analysis.verdict import Answers, Choice, Place, Verdict


def verdict(sparsest, best, fastest):
    answers = Answers(
        sparsest_matching=None if sparsest is None else Place(sparsest, 0.5),
        best=None if best is None else Choice(best, 0.5, NONE),
        fastest=None if fastest is None else Choice(fastest, 0.5, NONE),
        below_dense_from={},
        winning=[],
        sparsest_matching_at_end=None,
        winning_at_end=[],
    )
    return Verdict(*[None] * Verdict._fields.index("answers"), answers, [], [])


LEVEL = st.none() | st.integers(1, 20)


@given(st.sets(st.integers(1, 20)), st.integers(1, 8), LEVEL, LEVEL, LEVEL)
@settings(max_examples=200, deadline=None)
def test_what_matters_is_among_as_many_as_there_may_be(
    there, most, sparsest, best, fastest
):
    shown = levels_that_matter(verdict(sparsest, best, fastest), sorted(there), most)
    assert shown == sorted(set(shown)) and set(shown) <= there
    assert len(shown) == min(most, len(there))
    beyond = None if sparsest is None else sparsest + 1
    wanted = {sparsest, beyond, best, fastest} & there
    if most >= 4:
        assert wanted <= set(shown)
    if most >= len(wanted) + 2 and there:
        assert {min(there), max(there)} <= set(shown)


def test_others_lie_far_from_those_that_matter():
    assert levels_that_matter(verdict(None, None, None), range(1, 10), 3) == [1, 5, 9]
    shown = levels_that_matter(verdict(3, 3, 2), range(1, 9), 6)
    assert shown == [1, 2, 3, 4, 6, 8]
