"""Progress: a bar over all training steps of a study."""

import sys

from tqdm import tqdm

from lth_jax import devices
from lth_jax.lottery.jobs import Job


class Progress(tqdm):
    """Level, arm, steps a second (of all members together) and time left."""

    def __init__(self, num_member_steps: int):
        super().__init__(
            total=num_member_steps,
            disable=not devices.is_first(),
            unit=" steps",
            unit_scale=True,
            dynamic_ncols=True,
            mininterval=0.1 if sys.stderr.isatty() else 10.0,
            bar_format="{desc}{percentage:3.0f}%|{bar}| {rate_fmt}, {remaining} left",
        )

    def advance(self, num_member_steps: int, job: Job) -> None:
        """Counts steps as done, those of all members together."""
        self.set_description(f"level {job.level} {job.arm}", refresh=False)
        self.update(num_member_steps)

    def extend(self, num_member_steps: int) -> None:
        """Counts steps that are to be made again."""
        self.total += num_member_steps

    def skip(self, num_member_steps: int) -> None:
        """Counts steps that were done before, which say nothing of the speed."""
        if self.disable:
            return
        self.initial += num_member_steps
        self.last_print_n += num_member_steps
        self.n += num_member_steps
