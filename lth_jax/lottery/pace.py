"""Pace: how many evaluations a compiled call comes to, so that a study can stop soon."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from lth_jax.lottery.interruption import ANSWER_SECONDS
from lth_jax.lottery.segments import Segment

MOST_SECONDS = 2.0  # of one call; the bar moves, and a signal is answered, at its end
_MOST_GROWTH = 10  # from one call to the next, which may be the first that tests
_log = logging.getLogger(__name__)


class Pace:
    """How much of a segment fits `MOST_SECONDS`, as the calls of its program took.

    Nothing that is trained, drawn or evaluated depends on it: see
    `training.segment.over_evaluations`.
    """

    def __init__(self) -> None:
        self._steps = 0  # that the next call may have; before any, as few as can be
        self._is_told = False
        self._step_seconds: float | None = None  # with its share of the evaluation
        self._ends_at: float | None = None  # the call in flight, as far as is known

    def stop(self, first: int, segment: Segment) -> int:
        """Before which of a segment's evaluations a call ends that begins at `first`."""
        return min(first + max(1, self._steps // segment.num_steps), segment.num_evals)

    def seconds_left(self) -> float | None:
        """How long the call in flight goes on, as the one before took; None: unknown."""
        ends_at = self._ends_at
        return None if ends_at is None else max(0.0, ends_at - time.perf_counter())

    @contextmanager
    def measured(self, part: tuple[int, int], segment: Segment) -> Iterator[None]:
        """Around a call of these evaluations of a segment."""
        first, stop = part
        steps = (stop - first) * segment.num_steps
        began = time.perf_counter()
        if self._step_seconds is not None:
            self._ends_at = began + steps * self._step_seconds
        yield
        self._ends_at = None
        seconds = time.perf_counter() - began
        self._step_seconds = seconds / steps
        fitting = steps * MOST_SECONDS / max(seconds, 1e-9)
        self._steps = int(min(fitting, max(self._steps, _MOST_GROWTH * steps)))
        if stop - first == 1 and seconds > ANSWER_SECONDS and not self._is_told:
            self._is_told = True
            _log.warning(
                "the shortest call, %d steps and an evaluation of all its nets, takes"
                " %.0f s, and a signal to stop may lose what it trained; a lower"
                " eval_every_steps or members_per_call makes it shorter",
                segment.num_steps,
                seconds,
            )
