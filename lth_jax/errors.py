"""Errors that the user can mend: `main` prints them in one line."""


class UserError(Exception):
    """Names what is wrong, the value, and what is allowed."""
