"""Levels: which of many a reader is shown."""

from collections.abc import Sequence

from lth_jax.analysis.verdict import Verdict


def levels_that_matter(verdict: Verdict, there: Sequence[int], most: int) -> list[int]:
    """At most so many of the levels that are there, those that matter among them.

    They are the sparsest that matches dense, the one beyond it, the most accurate and the
    fastest, in this order where not all fit. Others are the first and the last, and then
    those farthest from all that are chosen.
    """
    answers, ordered = verdict.answers, sorted(there)
    wanted: list[int] = []
    if (sparsest := answers.sparsest_matching) is not None:
        wanted += [sparsest.level, sparsest.level + 1]
    wanted += [choice.level for choice in (answers.best, answers.fastest) if choice]
    wanted += [*ordered[:1], *ordered[-1:]]
    chosen = [level for level in dict.fromkeys(wanted) if level in ordered][:most]
    while len(chosen) < min(most, len(ordered)):
        places = [ordered.index(level) for level in chosen]
        gaps = [min(abs(i - place) for place in places) for i in range(len(ordered))]
        chosen.append(ordered[gaps.index(max(gaps))])
    return sorted(chosen)
