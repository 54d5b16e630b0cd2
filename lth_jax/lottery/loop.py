"""The loop: train, prune, rewind, repeat; and beside each ticket its controls.

Frankle & Carbin 2019, section 2. `find_tickets` says what trains, and in which order;
`start` prunes what was trained and rewinds what is left. The executor trains the jobs.
"""

from collections.abc import Iterator

from lth_jax.lottery.arms import Origin, Start
from lth_jax.lottery.jobs import Job
from lth_jax.lottery.pruner import counts_to_keep, prune
from lth_jax.lottery.study import Study
from lth_jax.lottery.tickets import Found
from lth_jax.training.connections import Counts


def find_tickets(study: Study) -> Iterator[Job]:
    """The jobs of a study in order, each after those whose nets it needs.

    A level's masks are pruned from the tickets of the level before or, in one shot, from
    the dense nets. No job needs a control.
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
    """Where a job's members start: pruned, then rewound as its arm has it.

    And the counts that masks come to, None where these do not change. Arrays have a
    leading axis R, the replicates.
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
