"""Outcomes: what a case came to, and whether that is what is promised."""

import enum
import random
from typing import NamedTuple

from lth_jax.errors import Exit


class Outcome(enum.IntEnum):
    """From the best to the worst; of several the worst counts."""

    IDENTICAL = 0  # every number is that of an undisturbed study
    CLEAR_ERROR = 1  # one line that says what is wrong; no number
    FELL_SHORT = 2


class Case(NamedTuple):
    """One case of a kind, which its seed and number say all of."""

    kind: str
    seed: int
    number: int

    @property
    def rng(self) -> random.Random:
        """Chance that is its own."""
        return random.Random(f"{self.kind} {self.seed} {self.number}")


class Trial(NamedTuple):
    """What was done, and what came of it."""

    outcome: Outcome
    did: str
    told: str = ""  # why it fell short, or the error


class Said(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str | None:
        """The one line that says what is wrong, if it ended with that alone."""
        lines = [x for x in self.err.replace("\r", "\n").splitlines() if x.strip()]
        errors = [line for line in lines if line.startswith("error: ")]
        is_told = self.code in (Exit.WRONG, Exit.TRY_AGAIN, Exit.LOST)
        is_clear = is_told and len(errors) == 1 and lines[-1] == errors[0]
        return errors[0] if is_clear and "Traceback" not in self.err else None

    @property
    def warned(self) -> bool:
        """Whether it said that something is not as it was."""
        return any(line.startswith("warning: ") for line in self.err.splitlines())

    @property
    def last_line(self) -> str:
        """The last that it said."""
        lines = [x.strip() for x in self.err.replace("\r", "\n").splitlines()]
        return ([x for x in lines if x] or [""])[-1]


def judge(did: str, said: Said, differing: list[str]) -> Trial:
    """The outcome of a command; `differing` names what should be the same and is not."""
    if said.code == 0 and "Traceback" not in said.err:
        if differing:
            return Trial(Outcome.FELL_SHORT, did, f"other: {', '.join(differing[:4])}")
        return Trial(Outcome.IDENTICAL, did)
    if said.error:
        return Trial(Outcome.CLEAR_ERROR, did, said.error)
    return Trial(Outcome.FELL_SHORT, did, f"exit code {said.code}: {said.last_line}")


def worst(trials: list[Trial]) -> Trial:
    """The trial that counts."""
    return max(trials, key=lambda trial: trial.outcome)
