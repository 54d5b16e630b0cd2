"""Pruner: the masks of a level, by the study's criterion or by an arm's."""

import logging
from typing import Any

import jax
import jax.numpy as jnp

from lth_jax import masks as masks_lib
from lth_jax.lottery.evidence import gather
from lth_jax.lottery.jobs import Job
from lth_jax.lottery.tickets import Found, Trained
from lth_jax.masks import Masks
from lth_jax.pruning import layer_densities
from lth_jax.pruning import weights as pruning
from lth_jax.pruning.criteria import check_scores
from lth_jax.pruning.layer_densities import LAYER_DENSITIES
from lth_jax.pruning.structures import STRUCTURES, Request
from lth_jax.training import connections
from lth_jax.training.connections import Counts
from lth_jax.training.state import TrainState

_log = logging.getLogger(__name__)


def prune(job: Job, found: Found) -> Masks:
    """The masks of a job's level, bool leaves [R, ...], from the nets in `found`."""
    nets = found.pruned_from if job.prunes_trained else None
    nets = nets or Trained(found.initial, found.full_masks)
    pruned = [prune_one(job, m.replicate, nets, found.initial) for m in job.members]
    for path, _ in masks_lib.prunable_leaves(pruned[0], job.study.prunable):
        leaves = [dict(masks_lib.named_leaves(member))[path] for member in pruned]
        by_replicate = zip(job.study.config.replicates, leaves, strict=True)
        if empty := [str(r) for r, leaf in by_replicate if not leaf.any()]:
            told = "%s, level %d: no weight of %s is left, in replicates %s"
            _log.warning(told, job.arm, job.level, path, ", ".join(empty))
    return jax.tree.map(lambda *members: jnp.stack(members), *pruned)


def prune_one(job: Job, replicate: int, parent: Trained, initial: TrainState) -> Masks:
    """The masks of one replicate; `parent` and `initial` hold all replicates, axis R."""
    evidence = gather(job, replicate, parent, initial)
    spec, kept = job.study.config.prune, evidence.masks

    def score(kept: Masks) -> Any:
        scores = job.study.score(job.criterion, evidence._replace(masks=kept))
        check_scores(scores, kept, job.study.prunable)
        inverted = spec.invert and not job.how.is_criterion
        return jax.tree.map(jnp.negative, scores) if inverted else scores

    scope = "global" if job.scope == "global" else "layerwise"
    if spec.densities:
        return pruning.prune_in_rounds(
            score,
            kept,
            job.density(kept),
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
    """How many weights a job's changing masks keep in the end, by leaf, int32[R].

    Each leaf keeps as many as in the ticket's masks. With `dynamic.densities`, an arm
    that draws its connections keeps only the ticket's total, divided among the layers.
    """
    share = LAYER_DENSITIES.get(job.study.config.dynamic.densities)
    if share is None or not job.how.draws_connections:
        counts: Counts = jax.vmap(connections.kept_counts)(masks)
        return counts
    prunable, masks = job.study.prunable, jax.device_get(masks)
    shared = []
    for at in range(len(job.members)):
        own = jax.tree.map(lambda mask, at=at: mask[at], masks)
        shapes = layer_densities.shapes_of(masks_lib.prunable_leaves(own, prunable))
        total = masks_lib.total_count(own, prunable).kept
        count_of = layer_densities.counts(share, shapes, total)
        shared.append([count_of.get(n, m.size) for n, m in masks_lib.named_leaves(own)])
    leaves = jnp.array(shared, jnp.int32).T
    return jax.tree.unflatten(jax.tree.structure(masks), list(leaves))
