"""Levels: which levels of a long study are shown to a reader."""

from collections.abc import Sequence

from lth_jax.analysis.verdict import Verdict


def levels_that_matter(verdict: Verdict, there: Sequence[int], most: int) -> list[int]:
    """Returns at most `most` of the levels `there`, in order, with those that matter.

    These are the sparsest level that matches dense, the next one, the best and the
    fastest. If not all of them fit, the earlier ones in this list are chosen. The first
    and the last level follow, and then the level farthest from all that are chosen.
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
