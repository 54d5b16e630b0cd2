"""Pruner: the masks of a level, by the study's criterion or another."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lth_jax import masks as masks_lib
from lth_jax.lottery.jobs import Job
from lth_jax.lottery.tickets import Found, Trained
from lth_jax.masks import Masks
from lth_jax.pruning import densities
from lth_jax.pruning import weights as pruning
from lth_jax.pruning.counts import counts_at
from lth_jax.pruning.criteria import Evidence
from lth_jax.pruning.densities import LAYER_DENSITIES
from lth_jax.pruning.structures import STRUCTURES, Request
from lth_jax.pruning.weights import Density
from lth_jax.training import connections, sampling
from lth_jax.training.connections import Counts
from lth_jax.training.losses import Examples
from lth_jax.training.state import TrainState


def prune(job: Job, found: Found) -> Masks:
    """The masks of a job's level, bool leaves [R, ...], from nets that it found."""
    nets = found.parent if job.prunes_trained else None
    nets = nets or Trained(found.initial, found.full_masks)
    pruned = [prune_one(job, m.replicate, nets, found.initial) for m in job.members]
    return jax.tree.map(lambda *members: jnp.stack(members), *pruned)


def prune_one(job: Job, replicate: int, parent: Trained, initial: TrainState) -> Masks:
    """The masks of one replicate, on the host.

    Args:
      job: of a level from 1.
      replicate: which one of those that `parent` and `initial` have.
      parent: the nets that are pruned, and their masks.
      initial: the original inits.
    """
    evidence = _evidence(job, replicate, parent, initial)
    spec, kept = job.study.config.prune, evidence.masks

    def score(kept: Masks) -> Any:
        scores = job.study.score(job.criterion, evidence._replace(masks=kept))
        inverted = spec.invert and not job.how.is_criterion
        return jax.tree.map(jnp.negative, scores) if inverted else scores

    scope = "global" if job.scope == "global" else "layerwise"
    if spec.densities:
        return pruning.prune_in_rounds(
            score,
            kept,
            _density(job, kept),
            job.criterion.num_rounds,
            scope=scope,
            prunable=job.study.prunable,
            floor=spec.floor,
        )
    module = job.study.network.module
    request = Request(
        job.study.fraction,
        scope,
        job.study.prunable,
        spec.floor,
        module.layout() if hasattr(module, "layout") else None,
        spec.block_size or 1,
        spec.n_of_m,
    )
    structure = STRUCTURES.find(spec.structure)
    return structure(score(kept), kept, job.level, request)


def counts_to_keep(job: Job, masks: Masks) -> Counts:
    """How many weights of each leaf a job's changing masks come to, int32[R].

    As many as the ticket's masks keep; in all, where the config has them shared out among
    the layers and the arm draws its connections by them.
    """
    share = LAYER_DENSITIES.get(job.study.config.dynamic.densities)
    if share is None or not job.how.draws_connections:
        counts: Counts = jax.vmap(connections.kept_counts)(masks)
        return counts
    prunable, masks = job.study.prunable, jax.device_get(masks)
    shared = []
    for member in job.members:
        own = jax.tree.map(lambda mask, r=member.replicate: mask[r], masks)
        shapes = {n: m.shape for n, m in masks_lib.prunable_leaves(own, prunable)}
        total = masks_lib.total_count(own, prunable).kept
        count_of = densities.counts(share, shapes, total)
        shared.append([count_of.get(n, m.size) for n, m in masks_lib.named_leaves(own)])
    leaves = jnp.array(shared, jnp.int32).T
    return jax.tree.unflatten(jax.tree.structure(masks), list(leaves))


def _evidence(job: Job, replicate: int, parent: Trained, initial: TrainState) -> Evidence:
    """What is known of one replicate when it is pruned."""
    criterion, network = job.criterion, job.study.network
    # On the host, since they may lie on different devices.
    state, init, kept = jax.tree.map(
        lambda x: np.asarray(x[replicate]),
        (
            dataclasses.replace(parent.state, opt_state=()),
            dataclasses.replace(initial, opt_state=()),
            parent.masks,
        ),
    )
    learns_by_layer = criterion.learns and job.scope != "global"
    return Evidence(
        params=state.params,
        init_params=init.params,
        masks=kept,
        key=job.mask_key(replicate, "criterion"),
        batch_stats=state.batch_stats,
        init_batch_stats=init.batch_stats,
        examples=_examples(job, replicate) if criterion.at_data else None,
        apply=jax.tree_util.Partial(network.apply),
        apply_to_ones=jax.tree_util.Partial(network.apply_to_ones),
        loss=job.study.loss,
        batch_indices=_batches(job, replicate) if criterion.learns else None,
        counts=counts_at(_density(job, kept), kept, job.study.prunable)
        if learns_by_layer
        else None,
    )


def _examples(job: Job, replicate: int) -> Examples:
    """As many of each class, the same for all arms and levels pruned from one net.

    All of them for a criterion that learns.
    """
    inputs, labels = train = job.study.splits.train
    if job.criterion.learns:
        return train
    assert job.parent is not None  # level 0 is not pruned
    chosen = sampling.balanced_indices(
        job.parent.mask_key(replicate, "examples"),
        np.asarray(labels),
        job.study.config.prune.examples_per_class,
    )
    return Examples(inputs[chosen], labels[chosen])


def _batches(job: Job, replicate: int) -> np.ndarray:
    """The batches that a mask is learned on."""
    return sampling.batch_indices(
        job.mask_key(replicate, "mask order"),
        0,
        job.study.config.prune.mask_steps,
        batch_size=job.study.config.batch_size,
        num_examples=len(job.study.splits.train.labels),
    )


def _density(job: Job, kept: Masks) -> Density:
    """Of each leaf where the scope shares them out, else of all."""
    density = job.study.config.prune.densities[job.level - 1]
    share = LAYER_DENSITIES.get(job.scope)
    if share is None:
        return density
    leaves = masks_lib.prunable_leaves(kept, job.study.prunable)
    return share({path: leaf.shape for path, leaf in leaves}, density)
