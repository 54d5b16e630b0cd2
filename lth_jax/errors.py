"""Errors that the user can fix. Commands print them in one line."""

import difflib
import enum
import sys
from collections.abc import Iterable
from typing import Any


class Exit(enum.IntEnum):
    """The exit codes of a command; 0 is success, 1 is a bug in the program."""

    WRONG = 2  # wrong use, or an error that the user can fix
    TRY_AGAIN = 75  # another job uses the workdir (EX_TEMPFAIL of sysexits.h)
    SAVED = 85  # stopped and saved: repeat the command to continue (as in HTCondor)
    LOST = 86  # one of several processes is lost: repeat the command to continue


class UserError(Exception):
    """An error whose text names the field, the value, and what is allowed."""

    exit_code = Exit.WRONG
    is_common = False  # whether every process of a job raises it
    is_told = False  # whether another process prints it
    study: Any = None  # which of the studies that train together failed; None: all


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Returns the suggestion that ends a message about an unknown name, or ""."""
    near = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def name_of(thing: Any) -> str:
    """Returns a class's or function's name, or the class name of another object."""
    return str(getattr(thing, "__name__", type(thing).__name__))


def fail(text: str, code: int = Exit.WRONG) -> int:
    """Prints an error to stderr; returns the exit code."""
    print(f"error: {text}", file=sys.stderr)
    return code
