"""Prune: what a level removes, and which settings may be combined."""

import dataclasses
import itertools
from collections.abc import Sequence

from lth_jax.config.requirements import (
    at_least,
    inside_unit,
    one_of,
    registered,
    require,
)
from lth_jax.pruning.criteria import CRITERIA, Criterion
from lth_jax.pruning.layer_densities import LAYER_DENSITIES
from lth_jax.pruning.structures import STRUCTURES


@dataclasses.dataclass(frozen=True)
class PruneConfig:
    """What a level removes.

    Attributes:
      criterion: a name in `lth_jax.pruning.criteria.CRITERIA`, or `package.module:name`.
        SNIP, GraSP, SynFlow and the learned masks need densities.
      invert: whether the highest scores go instead of the lowest, to see whether the
        criterion matters (Frankle et al. 2021, section 5).
      examples_per_class: training examples that saliency, snip, grasp and
        grasp_magnitude look at, as many of each class.
      mask_steps: for how many steps the scores of supermask, supermask_rescaled and
        edge_popup train, at the frozen init; at the learning rates of the papers.
      scope: "layerwise", "global", or with densities "er" or "erk" (layer-wise, the
        Erdős-Rényi share of each; see `lth_jax.pruning.layer_densities`). The criteria
        random_uniform, random_er and random_erk have their own.
      floor: for "global", weights that every layer keeps at least; a warning tells when
        that changes what is pruned. With 0 a level that would empty a layer is an error.
      fraction: of each layer's (or the net's) surviving weights, at each level.
      conv_fraction: the convolutions' own, for "layerwise".
      output_fraction: the output layer's own, for "layerwise".
      exclude: layers that are never pruned, by name, such as "output" or "shortcut".
        Their weights count in densities all the same, as in the paper.
      densities: one-shot pruning: level i prunes the dense net, trained or at init as
        the criterion has it, straight to densities[i - 1]. Empty: iterative pruning by
        the fractions. Not with exclude.
      structure: what is pruned as one: "weights" (one by one), "units" (neurons and
        filters, off residual streams; their fraction is that of their layer), "blocks"
        (block_size x block_size weights of a layer's matrix), or "n_of_m" (of every m
        weights in a row that a unit reads with, all but n; without fractions), or
        `package.module:name`. See `lth_jax.pruning.structures`. All but "weights" go
        iteratively, by one that looks at the trained net; the arms that draw masks draw
        them weight by weight.
      block_size: of the sides, for "blocks".
      n_of_m: for "n_of_m", one for each level after the first, such as "2:4", "1:4".
    """

    criterion: str = "magnitude"
    invert: bool = False
    examples_per_class: int = 10
    mask_steps: int = 1000
    scope: str = "layerwise"
    floor: int = 1
    fraction: float = 0.2
    conv_fraction: float = 0.1
    output_fraction: float = 0.1
    exclude: tuple[str, ...] = ()
    densities: tuple[float, ...] = ()
    structure: str = "weights"
    block_size: int | None = None
    n_of_m: tuple[str, ...] = ()

    def check(self, num_levels: int) -> None:
        """Raises a `ConfigError` on a value that is not allowed for so many levels."""
        criterion = registered("prune.criterion", self.criterion, CRITERIA)
        registered("prune.structure", self.structure, STRUCTURES)
        self._check_n_of_m(num_levels)
        self._check_structure(criterion)
        self._check_densities(num_levels, criterion)
        at_least("prune.examples_per_class", self.examples_per_class, 1)
        at_least("prune.mask_steps", self.mask_steps, 1)
        at_least("prune.floor", self.floor, 0)
        for name in ("fraction", "conv_fraction", "output_fraction"):
            inside_unit(f"prune.{name}", getattr(self, name))

    def _check_structure(self, criterion: Criterion) -> None:
        structure, size = self.structure, self.block_size
        given = (size is not None) == (structure == "blocks")
        require("prune.block_size", size, given, "given for 'blocks', and for it alone")
        if size is not None:
            at_least("prune.block_size", size, 1)
        if structure == "weights":
            return
        beside = f"with prune.structure={structure!r}"
        looks = f"one that looks at the trained net {beside}"
        require("prune.criterion", self.criterion, criterion.looks != "init", looks)
        for name in ("densities", "exclude") if structure == "units" else ("densities",):
            value = getattr(self, name)
            require(f"prune.{name}", value, not value, f"empty {beside}")
        require("prune.floor", self.floor, self.floor == 1, f"1 {beside}")
        scopes = ("layerwise",) if structure == "n_of_m" else ("layerwise", "global")
        allowed = f"{' or '.join(map(repr, scopes))} {beside}"
        require("prune.scope", self.scope, self.scope in scopes, allowed)

    def _check_densities(self, num_levels: int, criterion: Criterion) -> None:
        field, given = "prune.densities", self.densities
        at_init = f"given with {field}, since it looks at the net before training"
        iterative = bool(given) or not criterion.one_shot
        require("prune.criterion", self.criterion, iterative, at_init)
        one_of("prune.scope", self.scope, ("layerwise", "global", *LAYER_DENSITIES))
        name = "criterion" if criterion.scope else "scope"
        layerwise = (criterion.scope or self.scope) not in LAYER_DENSITIES
        shares = f"given with {field}, which it shares out among the layers"
        require(f"prune.{name}", getattr(self, name), bool(given) or layerwise, shares)
        for density in given:
            inside_unit(field, density)
        require(field, given, not (given and self.exclude), "empty with prune.exclude")
        require(field, given, _is_decreasing(given), "decreasing")
        later = num_levels - 1
        allowed = f"empty, or one for each of the {later} levels after the first"
        require(field, given, len(given) in (0, later), f"{allowed} (num_levels - 1)")

    def _check_n_of_m(self, num_levels: int) -> None:
        field, given, later = "prune.n_of_m", self.n_of_m, num_levels - 1
        allowed = f"one for each of the {later} levels after the first for 'n_of_m', and"
        fits = len(given) == (later if self.structure == "n_of_m" else 0)
        require(field, given, fits, f"{allowed} empty without it")
        shares = []
        for text in given:
            numbers = [int(part) for part in text.split(":") if part.isdecimal()]
            ok = len(numbers) == text.count(":") + 1 == 2 and 1 <= numbers[0] < numbers[1]
            require(field, text, ok, "n:m with 1 <= n < m, such as '2:4'")
            shares.append(numbers[0] / numbers[1])
        require(field, given, _is_decreasing(shares), "decreasing")


def _is_decreasing(values: Sequence[float]) -> bool:
    return all(a > b for a, b in itertools.pairwise(values))
