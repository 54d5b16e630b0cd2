"""The loop: train, prune, rewind, repeat; and beside each ticket its controls.

Frankle & Carbin 2019, section 2. `find_tickets` says what trains, and in which order;
`start` prunes what was trained and rewinds what is left. The executor trains the jobs.
Nothing here is done before it is needed: what the store has is not made again.
"""

from collections.abc import Iterator

from lth_jax.lottery.arms import Origin, Start
from lth_jax.lottery.jobs import Job
from lth_jax.lottery.tickets import Tickets
from lth_jax.masks import Masks
from lth_jax.training.connections import Counts


def find_tickets(tickets: Tickets) -> Iterator[Job]:
    """The jobs of a study in order, each after those whose nets it needs.

    A level's masks are pruned from the tickets of the level before or, in one shot, from
    the dense nets. No job needs a control.
    """
    dense = ticket = Job(tickets, "ticket", level=0)
    yield dense
    for level in range(1, tickets.study.config.num_levels):
        parent = dense if tickets.study.is_one_shot else ticket
        ticket = Job(tickets, "ticket", level, parent)
        yield ticket
        for arm in tickets.study.controls:
            yield Job(tickets, arm, level, parent)


def start(job: Job) -> Start:
    """Where a job's members start: pruned, then rewound as its arm has it.

    Leading axis R, the replicates.
    """
    tickets = job.tickets
    initial = tickets.inits()
    if job.parent is None:
        return Start(initial, tickets.full_masks())
    origin = Origin(
        masks=_masks(job),
        initial=initial,
        point=tickets.rewind_point(),
        trained=tickets.trained(job.parent.level).state if job.reads_parent else None,
        dense=tickets.trained(0).state if job.how.needs_dense else None,
        counts=goal(job) if job.how.draws_connections else None,
        init_key=job.keys("init"),
        mask_key=job.keys("masks"),
    )
    return tickets.starter(job.arm)(origin)


def goal(job: Job) -> Counts | None:
    """How many weights of each leaf changing masks come to; None where masks stay."""
    if job.how.dynamics is None:
        return None
    return job.tickets.counts(_masks(job), are_drawn=job.how.draws_connections)


def missing(job: Job) -> Iterator[Job]:
    """Jobs whose nets `start` needs and the store does not have, damaged ones included.

    A consumer trains each before it asks for the next.
    """
    if job.parent is None:
        return
    tickets = job.tickets
    if tickets.study.rewind_step > 0 and not tickets.has_rewind_point():
        yield job.dense.until_rewind_step()
    if job.how.needs_dense and not tickets.has_trained(0):
        yield job.dense
    is_pruned = tickets.found_masks(job.level, job.criterion) is None
    prunes_trained = job.parent.level > 0 or tickets.pruner.looks(job.criterion) == "end"
    reads_parent = job.reads_parent or (is_pruned and prunes_trained)
    if reads_parent and not tickets.has_trained(job.parent.level):
        yield job.parent


def _masks(job: Job) -> Masks:
    """The masks of a job's level, as the store has them, or pruned from the parent's."""
    found = job.tickets.found_masks(job.level, job.criterion)
    if found is not None:
        return found
    assert job.parent is not None  # level 0 is not pruned
    return job.tickets.prune(job.criterion, job.level, job.parent.level)
