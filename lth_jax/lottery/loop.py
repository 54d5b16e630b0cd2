"""The loop: train, prune, rewind, repeat; each ticket trains beside its controls.

Frankle & Carbin 2019, section 2. `find_tickets` yields the jobs in their order. `start`
prunes the trained nets and rewinds the weights that are kept. The executor trains.
"""

from collections.abc import Iterator

from lth_jax.lottery.arms import Origin, Start
from lth_jax.lottery.jobs import Job
from lth_jax.lottery.pruner import counts_to_keep, prune
from lth_jax.lottery.study import Study
from lth_jax.lottery.tickets import Found
from lth_jax.training.connections import Counts


def find_tickets(study: Study) -> Iterator[Job]:
    """The jobs of a study in order; each comes after the jobs whose nets it needs.

    A level's masks are pruned from the tickets of the level before. In one-shot pruning
    they are pruned from the dense nets. No job needs the nets of a control.
    """
    dense = ticket = Job(study, "ticket", level=0)
    yield dense
    for level in range(1, study.config.num_levels):
        parent = dense if study.is_one_shot else ticket
        ticket = Job(study, "ticket", level, parent)
        yield ticket
        for arm in study.controls:
            yield Job(study, arm, level, parent)


def start(job: Job, found: Found) -> tuple[Start, Counts | None]:
    """Where a job's members start: pruned, then rewound as its arm says.

    It also returns the counts that changing masks reach, None for static masks. Arrays
    have a leading axis R, the replicates.
    """
    if job.parent is None:
        return Start(found.point, found.full_masks), None
    masks = prune(job, found) if found.masks is None else found.masks
    goal = None if job.how.dynamics is None else counts_to_keep(job, masks)
    origin = Origin(
        masks=masks,
        initial=found.initial,
        point=found.point,
        trained=found.parent.state if found.parent else None,
        dense=found.dense.state if found.dense else None,
        counts=goal if job.how.draws_connections else None,
        init_key=job.keys("init"),
        mask_key=job.keys("masks"),
    )
    return job.study.start_members(job.how.start, origin), goal
