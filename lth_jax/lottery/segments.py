"""Segments: the steps where a level is cut and where it is evaluated."""

from collections.abc import Collection
from typing import NamedTuple

from lth_jax.training.segment import steps_per_block


class Segment(NamedTuple):
    """`num_evals` evaluations, with `num_steps` training steps before each."""

    start_step: int
    num_evals: int
    num_steps: int
    update_every: int | None = None  # steps between changes of the masks; None: no change

    @property
    def total_steps(self) -> int:
        """The number of its training steps."""
        return self.num_evals * self.num_steps

    @property
    def stop_step(self) -> int:
        """The step at which it ends."""
        return self.start_step + self.total_steps

    @property
    def block_steps(self) -> int:
        """A call trains a multiple of so many steps."""
        return steps_per_block(self.num_steps, self.update_every)

    def next_evaluation(self, step: int) -> int:
        """Which of its steps ends with the first evaluation after one of its steps."""
        return (step // self.num_steps + 1) * self.num_steps

    def evaluations(self, part: tuple[int, int]) -> slice:
        """Which of its evaluations are made in a part of its steps, (first, stop)."""
        return slice(part[0] // self.num_steps, part[1] // self.num_steps)


def eval_steps(start: int, stop: int, every: int, cuts: Collection[int]) -> list[int]:
    """The sorted steps of evaluations: multiples of `every`, the cuts and the end."""
    steps = {step for step in range(0, stop, every) if step > start}
    return sorted(steps | {s for s in (*cuts, stop) if s > start})


def segments(
    start: int,
    stop: int,
    *,
    every: int,
    checkpoint_every: int,
    cuts: Collection[int],
    update_every: int | None = None,
) -> list[Segment]:
    """Cuts a level into segments.

    A segment ends at every multiple of `checkpoint_every` and at every cut, such as the
    rewind step. It also ends where the distance between evaluations changes.
    """
    result: list[Segment] = []
    step = start
    for eval_step in eval_steps(start, stop, every, cuts):
        length = eval_step - step
        last = result[-1] if result else None
        if (
            last is None
            or last.num_steps != length
            or step % checkpoint_every == 0
            or step in cuts
        ):
            result.append(Segment(step, 1, length, update_every))
        else:
            result[-1] = last._replace(num_evals=last.num_evals + 1)
        step = eval_step
    return result
