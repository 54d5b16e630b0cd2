"""Errors that the user can mend: commands print them in one line."""

import difflib
import enum
import sys
from collections.abc import Iterable
from typing import Any


class Exit(enum.IntEnum):
    """What a command's exit code says; 0 is success, 1 a defect of the program."""

    WRONG = 2  # used wrongly, or something that the user can mend
    TRY_AGAIN = 75  # another job works there: try later (EX_TEMPFAIL of sysexits.h)
    SAVED = 85  # stopped and saved: go on with the same command (as HTCondor has it)
    LOST = 86  # of several processes one is lost: the same command may go on


class UserError(Exception):
    """Names what is wrong, the value, and what is allowed."""

    exit_code = Exit.WRONG
    is_common = False  # whether every process of a job raises it
    is_told = False  # whether another process says it
    study: Any = None  # which of several that train together it is of; None: of all


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """The end of a message on an unknown name: the nearest of those there are, if any."""
    near = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def name_of(thing: Any) -> str:
    """A short name for a message: a class's or function's own, of others their class."""
    return str(getattr(thing, "__name__", type(thing).__name__))


def fail(text: str, code: int = Exit.WRONG) -> int:
    """Prints what is wrong; returns the exit code."""
    print(f"error: {text}", file=sys.stderr)
    return code
