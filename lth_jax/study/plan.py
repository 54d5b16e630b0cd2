"""Plan: which members train in which call, and in which order."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Group(NamedTuple):
    """All replicates of one arm at one level."""

    arm: str
    level: int


Call = tuple[Group, ...]  # groups that train in one compiled call


def plan(num_levels: int, arms: Sequence[str], groups_per_call: int) -> Iterator[Call]:
    """The calls of a study, in order.

    The ticket's levels follow one another; controls, which feed no other level,
    follow as soon as they fill a call.
    """
    waiting: list[Group] = []
    for level in range(num_levels):
        yield (Group("ticket", level),)
        if level > 0:
            waiting += [Group(arm, level) for arm in arms if arm != "ticket"]
        while len(waiting) >= groups_per_call:
            yield tuple(waiting[:groups_per_call])
            del waiting[:groups_per_call]
    if waiting:
        yield tuple(waiting)
