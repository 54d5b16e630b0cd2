"""Evidence: what a job's criterion may read about one replicate."""

import dataclasses

import jax
import numpy as np

from lth_jax.lottery.jobs import Job
from lth_jax.lottery.tickets import Trained
from lth_jax.pruning.criteria import Evidence
from lth_jax.pruning.weights import counts_at
from lth_jax.training import sampling
from lth_jax.training.losses import Examples
from lth_jax.training.state import TrainState


def gather(job: Job, replicate: int, parent: Trained, initial: TrainState) -> Evidence:
    """What is known of one replicate when it is pruned.

    The examples have equal numbers of each class. All arms and levels that are pruned
    from one net share them. A criterion that learns sees all training examples.
    """
    assert job.parent is not None  # level 0 is not pruned
    study, criterion = job.study, job.criterion
    at = study.config.replicates.index(replicate)
    # They are copied to the host, since they may lie on different devices.
    trained, init, kept = jax.tree.map(
        lambda x: np.asarray(x[at]),
        (
            dataclasses.replace(parent.state, opt_state=()),
            dataclasses.replace(initial, opt_state=()),
            parent.masks,
        ),
    )
    inputs, labels = examples = study.splits.train
    batches = counts = None
    if criterion.learns:
        batches = sampling.batch_indices(
            job.mask_key(replicate, "mask order"),
            0,
            study.config.prune.mask_steps,
            batch_size=study.config.batch_size,
            num_examples=len(labels),
        )
        if job.scope != "global":
            counts = counts_at(job.density(kept), kept, study.prunable)
    elif criterion.at_data:
        chosen = sampling.balanced_indices(
            job.parent.mask_key(replicate, "examples"),
            np.asarray(labels),
            study.config.prune.examples_per_class,
        )
        examples = Examples(inputs[chosen], labels[chosen])
    return Evidence(
        params=trained.params,
        init_params=init.params,
        masks=kept,
        key=job.mask_key(replicate, "criterion"),
        batch_stats=trained.batch_stats,
        init_batch_stats=init.batch_stats,
        examples=examples if criterion.at_data else None,
        apply=jax.tree_util.Partial(study.network.apply),
        apply_to_ones=jax.tree_util.Partial(study.network.apply_to_ones),
        loss=study.loss,
        batch_indices=batches,
        counts=counts,
    )
