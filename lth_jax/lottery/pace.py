"""Pace: how many evaluations a compiled call spans, so that a study can stop soon."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from lth_jax.lottery.interruption import ANSWER_SECONDS
from lth_jax.lottery.segments import Segment

# The longest a call should take. The bar moves, and a signal is answered, at its end.
MOST_SECONDS = 2.0
# Of the steps, from one call to the next, since the next may be the first that tests.
_MOST_GROWTH = 10
_log = logging.getLogger(__name__)


class Pace:
    """How much of a segment fits `MOST_SECONDS`, measured on earlier calls.

    No result of training or evaluation depends on it: see
    `training.segment.over_evaluations`.
    """

    def __init__(self) -> None:
        self._steps = 0  # the next call's steps; the first call is as short as can be
        self._is_told = False
        self._step_seconds: float | None = None  # a step, with its share of evaluation
        self._ends_at: float | None = None  # when the call in flight ends, if known

    def stop(self, first: int, segment: Segment) -> int:
        """The evaluation, in a segment, before which a call from `first` ends."""
        return min(first + max(1, self._steps // segment.num_steps), segment.num_evals)

    def seconds_left(self) -> float | None:
        """Seconds until the call in flight ends, by earlier calls; None if unknown."""
        ends_at = self._ends_at
        return None if ends_at is None else max(0.0, ends_at - time.perf_counter())

    @contextmanager
    def measured(self, part: tuple[int, int], segment: Segment) -> Iterator[None]:
        """A context that times a call over `part`, (first, stop), of a segment."""
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
