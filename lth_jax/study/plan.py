"""Plan: which members train in which call, and in which order."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from lth_jax.core.arms import spec_of


class Group(NamedTuple):
    """All replicates of one arm at one level."""

    arm: str
    level: int


Call = tuple[Group, ...]  # groups that train in one compiled call


def plan(num_levels: int, arms: Sequence[str], groups_per_call: int) -> Iterator[Call]:
    """The calls of a study, in order.

    The ticket's levels follow one another; controls, which feed no other level,
    follow as soon as they fill a call. A call's masks all change in the same way, or
    none do.
    """
    alike: dict[str | None, list[str]] = {}
    for arm in arms:
        if arm != "ticket":
            alike.setdefault(spec_of(arm).dynamics, []).append(arm)
    waiting: dict[str | None, list[Group]] = {dynamics: [] for dynamics in alike}
    for level in range(num_levels):
        yield (Group("ticket", level),)
        for dynamics, groups in waiting.items():
            if level > 0:
                groups += [Group(arm, level) for arm in alike[dynamics]]
            while len(groups) >= groups_per_call:
                yield tuple(groups[:groups_per_call])
                del groups[:groups_per_call]
    for groups in waiting.values():
        if groups:
            yield tuple(groups)
