"""Errors that the user can mend: commands print them in one line."""

import sys
from typing import Any


class UserError(Exception):
    """Names what is wrong, the value, and what is allowed."""


def name_of(thing: Any) -> str:
    """A short name for a message: a class's or function's own, of others their class."""
    return str(getattr(thing, "__name__", type(thing).__name__))


def fail(text: str) -> int:
    """Prints what is wrong; returns the exit code of a command that was used wrongly."""
    print(f"error: {text}", file=sys.stderr)
    return 2
