"""Tiers: which members of a family the quick tests try."""

import pytest


def quick(*chosen, of):
    """All of a family as parameters; those that are not chosen are slow.

    Args:
      *chosen: members, tuples where a test has several parameters.
      of: the family.
    """
    family = list(of)
    assert set(chosen) <= set(family), chosen
    return [x if x in chosen else _slow(x) for x in family]


def _slow(member):
    values = member if isinstance(member, tuple) else (member,)
    return pytest.param(*values, marks=pytest.mark.slow)
