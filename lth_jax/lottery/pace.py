"""Pace: how many steps a compiled call spans, so that a study can stop soon."""

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
    `training.segment.run_segment`.
    """

    def __init__(self) -> None:
        self._steps = 0  # the next call's steps; the first call is as short as can be
        self._is_told = False
        self._step_seconds: float | None = None
        self._eval_seconds = 0.0  # an evaluation, beside the steps before it
        self._ends_at: float | None = None  # when the call in flight ends, if known

    def stop(self, first: int, segment: Segment) -> int:
        """The step, in a segment, up to which a call from `first` trains."""
        num_blocks = max(1, self._steps // segment.block_steps)
        return min(first + num_blocks * segment.block_steps, segment.total_steps)

    def seconds_left(self) -> float | None:
        """Seconds until the call in flight ends, by earlier calls; None if unknown."""
        ends_at = self._ends_at
        return None if ends_at is None else max(0.0, ends_at - time.perf_counter())

    @contextmanager
    def measured(self, part: tuple[int, int], segment: Segment) -> Iterator[None]:
        """A context that times a call over `part`, (first, stop), of a segment."""
        steps, made = part[1] - part[0], segment.evaluations(part)
        num_evals = made.stop - made.start
        began = time.perf_counter()
        if self._step_seconds is not None:
            training = steps * self._step_seconds
            self._ends_at = began + training + num_evals * self._eval_seconds
        yield
        self._ends_at = None
        seconds = time.perf_counter() - began
        self._learn(seconds, steps, num_evals)
        fitting = steps * MOST_SECONDS / max(seconds, 1e-9)
        self._steps = int(min(fitting, max(self._steps, _MOST_GROWTH * steps)))
        if steps == segment.block_steps and seconds > ANSWER_SECONDS:
            self._tell(seconds, steps, num_evals)

    def _learn(self, seconds: float, steps: int, num_evals: int) -> None:
        """Learns from a call: what its steps leave of the time is of its evaluations."""
        known = 0.0 if self._step_seconds is None else steps * self._step_seconds
        if num_evals and 0 < known < seconds:
            self._eval_seconds = (seconds - known) / num_evals
            return
        self._step_seconds = seconds / steps
        if num_evals:
            self._eval_seconds = 0.0  # the steps' share has it

    def _tell(self, seconds: float, steps: int, num_evals: int) -> None:
        """Warns, once, of a shortest call that is too long."""
        if not self._is_told:
            self._is_told = True
            _log.warning(
                "a call trains at least %d steps of all its nets%s; this took %.0f s, and"
                " a signal to stop may lose them; shards of fewer replicates take less",
                steps,
                " and evaluates them" if num_evals else "",
                seconds,
            )
