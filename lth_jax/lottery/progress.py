"""Progress: a bar over all training steps of a study."""

import sys
from types import TracebackType
from typing import Self

from tqdm import tqdm

from lth_jax.lottery.jobs import Job


class Progress:
    """Level, arm, steps a second (of all members together) and time left."""

    def __init__(self, num_member_steps: int):
        on_terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=num_member_steps,
            unit=" steps",
            unit_scale=True,
            dynamic_ncols=True,
            mininterval=0.1 if on_terminal else 10.0,
            bar_format="{desc}{percentage:3.0f}%|{bar}| {rate_fmt}, {remaining} left",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.close()

    def advance(self, num_member_steps: int, job: Job) -> None:
        """Counts steps as done, those of all members together."""
        self._bar.set_description(f"level {job.level} {job.arm}", refresh=False)
        self._bar.update(num_member_steps)

    def extend(self, num_member_steps: int) -> None:
        """Counts steps that are to be made again."""
        self._bar.total += num_member_steps

    def skip(self, num_member_steps: int) -> None:
        """Counts steps that were done before, which say nothing of the speed."""
        self._bar.initial += num_member_steps
        self._bar.last_print_n += num_member_steps
        self._bar.n += num_member_steps
