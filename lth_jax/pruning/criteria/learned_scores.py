"""Learned scores: masks that are learned at the init, as criteria.

All take the init and its statistics, the batches of the evidence, and every setting at
its default. The statistics that the masked nets came to are left behind.
"""

from typing import Any

from lth_jax.masks import Params
from lth_jax.pruning.criteria.edge_popup import edge_popup
from lth_jax.pruning.criteria.evidence import Evidence
from lth_jax.pruning.criteria.supermask import supermask


def supermask_scores(evidence: Evidence) -> Params:
    """The m of a mask Bernoulli(sigmoid(m)) (Zhou et al. 2019); see `supermask`.

    Raises:
      ValueError: without `apply`, `batch_indices` or `examples`.
    """
    return supermask(*_arguments(evidence), loss=evidence.loss).scores


def supermask_rescaled_scores(evidence: Evidence) -> Params:
    """As `supermask_scores`, with dynamic weight rescaling while the mask is learned.

    Raises:
      ValueError: without `apply`, `batch_indices` or `examples`.
    """
    return supermask(*_arguments(evidence), rescale=True, loss=evidence.loss).scores


def edge_popup_scores(evidence: Evidence) -> Params:
    """|s|, the highest of each layer kept (Ramanujan et al. 2020); see `edge_popup`.

    It learns with as many weights in each layer as are to be kept.

    Raises:
      ValueError: without `apply`, `batch_indices`, `examples` or `counts`.
    """
    arguments = _arguments(evidence)
    (counts,) = evidence.need("counts")
    return edge_popup(*arguments, counts=counts, loss=evidence.loss).scores


def _arguments(evidence: Evidence) -> tuple[Any, ...]:
    """What every learned mask takes."""
    apply, batch_indices, examples = evidence.need("apply", "batch_indices", "examples")
    init = evidence.init_params, evidence.init_batch_stats
    return apply, *init, batch_indices, examples, evidence.key
