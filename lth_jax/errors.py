"""Errors that the user can mend: commands print them in one line."""

import sys


class UserError(Exception):
    """Names what is wrong, the value, and what is allowed."""


def fail(text: str) -> int:
    """Prints what is wrong; returns the exit code of a command that was used wrongly."""
    print(f"error: {text}", file=sys.stderr)
    return 2
