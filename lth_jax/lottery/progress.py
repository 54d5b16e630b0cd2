"""Progress: a bar over all training steps of a study."""

import contextlib
import sys
import time
from collections.abc import Hashable, Iterator, Sequence

from tqdm import tqdm

from lth_jax import devices
from lth_jax.lottery.jobs import Job

_FIRST_SECONDS = 2.0  # after this training time the time of the study is estimated
_MOST_NAMED = 3  # arms that the bar names


class Progress(tqdm):
    """A bar: what is done now, steps a second (of all members together), and time left.

    Rate and time left are means over all training so far, with the time between calls.
    Compiling does not count, since each program is compiled once.
    """

    def __init__(self, num_member_steps: int):
        super().__init__(
            total=num_member_steps,
            disable=not devices.is_first(),
            unit=" steps",
            unit_scale=True,
            dynamic_ncols=True,
            mininterval=0.1 if sys.stderr.isatty() else 10.0,
            smoothing=0,  # the mean rate, as the time left needs it
            bar_format="{desc}{percentage:3.0f}%|{bar}| {rate_fmt}, {remaining} left",
        )
        self._is_estimated = self.disable
        self._done: set[Hashable] = set()

    @contextlib.contextmanager
    def compiling(self, jobs: Sequence[Job]) -> Iterator[None]:
        """A context in which the program of some jobs compiles."""
        self.set_description(f"compiling {named(jobs)}")
        with self._uncounted():
            yield
        self.says(named(jobs))

    @contextlib.contextmanager
    def once(self, *what: Hashable) -> Iterator[None]:
        """A context for work that compiles once; only its later runs count as time."""
        with contextlib.nullcontext() if what in self._done else self._uncounted():
            yield
        self._done.add(what)

    @contextlib.contextmanager
    def _uncounted(self) -> Iterator[None]:
        """A context whose time does not count, nor any time before the first call."""
        began = time.time()
        yield
        if not self.disable:
            is_first = self.n == self.initial
            counted = 0.0 if is_first else began - float(self.start_t)
            self.start_t: float = time.time() - counted
            # Otherwise tqdm assumes that it has shown nothing yet, and ends silently.
            self.last_print_t: float = max(float(self.last_print_t), self.start_t)

    def says(self, what: str) -> None:
        """Sets what is done now, and on a terminal shows it at once."""
        self.set_description(what, refresh=sys.stderr.isatty())

    def advance(self, num_member_steps: int) -> None:
        """Counts steps of all members together as done."""
        self.update(num_member_steps)
        if self._is_estimated:
            return
        seconds, trained = time.time() - self.start_t, self.n - self.initial
        if seconds >= _FIRST_SECONDS and trained:
            self._is_estimated = True
            self._estimate(trained / seconds)

    def extend(self, num_member_steps: int) -> None:
        """Adds steps that must be trained again to the total."""
        self.total += num_member_steps

    def skip(self, num_member_steps: int) -> None:
        """Counts steps that were done before, without an effect on the rate."""
        if self.disable:
            return
        self.initial += num_member_steps
        self.last_print_n += num_member_steps
        self.n += num_member_steps

    def _estimate(self, rate: float) -> None:
        """Writes once how long the rest of the study takes."""
        left = self.format_interval((self.total - self.n) / rate)
        self.write(
            f"{left} left to train, as measured in the first seconds"
            f" ({self.format_sizeof(rate)} steps/s); compiling comes on top",
            file=self.fp,
        )


def named(jobs: Sequence[Job]) -> str:
    """Jobs in a few words, such as "level 3 reinit, shuffle"."""
    levels = sorted({job.level for job in jobs})
    arms = list(dict.fromkeys(job.arm for job in jobs))
    where = f"level {levels[0]}"
    if len(levels) > 1:
        where = f"levels {levels[0]} to {levels[-1]}"
    more = len(arms) - _MOST_NAMED
    told = ", ".join(arms[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"{where} {told}"
