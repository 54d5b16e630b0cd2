"""Prune: what a level removes, and which settings may be combined."""

import dataclasses
import itertools
from collections.abc import Sequence

from lth_jax.config.requirements import Checks, ConfigError, require
from lth_jax.errors import did_you_mean
from lth_jax.pruning.criteria import CRITERIA, Criterion
from lth_jax.pruning.layer_densities import LAYER_DENSITIES
from lth_jax.pruning.structures import STRUCTURES


@dataclasses.dataclass(frozen=True)
class PruneConfig:
    """What a level removes.

    A `fraction` of 0.2 removes `round(0.2 * survivors)` weights of each prunable layer.
    These settings change or replace that share:
    - `scope`: a share of each layer, or of all layers together;
    - `conv_fraction` and `output_fraction`: the share of those layers;
    - `exclude`: layers that are never pruned;
    - `structure`: a share of units or blocks, or `n_of_m`;
    - `densities`: the densities themselves, in place of all fractions;
    - `criterion`: some criteria have their own scope;
    - `floor`: the number of weights that every layer keeps at least.

    Biases and normalisation are not counted.
    """

    # In `lth_jax.pruning.criteria.CRITERIA`, or `package.module:name`. SNIP, GraSP,
    # SynFlow and the learned masks need densities.
    criterion: str = "magnitude"
    # Whether to prune the highest scores instead of the lowest. It tests whether the
    # criterion matters (Frankle et al. 2021, section 5).
    invert: bool = False
    # Training examples of each class that saliency, snip, grasp and grasp_magnitude use.
    examples_per_class: int = 10
    # Training steps of the scores of supermask, supermask_rescaled and edge_popup. The
    # weights are frozen at the init; the learning rates are those of the papers.
    mask_steps: int = 1000
    # "layerwise", "global", or with densities "er" or "erk". The last two are layer-wise
    # Erdős-Rényi densities; see `lth_jax.pruning.layer_densities`. The criteria
    # random_uniform, random_er and random_erk have their own scope.
    scope: str = "layerwise"
    # The least number of weights that each layer keeps, for "global". A warning says when
    # that changes what is pruned. With 0, a level that would empty a layer is an error.
    floor: int = 1
    fraction: float = 0.2  # share of each layer's (or the net's) survivors, each level
    conv_fraction: float = 0.1  # share for convolutions, for "layerwise"
    output_fraction: float = 0.1  # share for the output layer, for "layerwise"
    # Layers that are never pruned, by name, such as "output" or "shortcut". Their weights
    # still count in densities, as in the paper.
    exclude: tuple[str, ...] = ()
    # One-shot pruning: level i prunes the dense net straight to densities[i - 1]. The
    # criterion decides whether that net is trained or at init. Empty means iterative
    # pruning by the fractions. May not be combined with exclude.
    densities: tuple[float, ...] = ()
    # What is pruned as one: "weights", "units", "blocks", "n_of_m", or
    # `package.module:name`; see `lth_jax.pruning.structures`. "units" are neurons and
    # filters off residual streams; their fraction is that of their layer. "blocks" are
    # block_size x block_size weights of a layer's matrix. "n_of_m" keeps n of every m
    # consecutive weights that a unit reads with, and uses no fractions. All except
    # "weights" need iterative pruning, by a criterion that uses the trained net. Arms
    # that draw masks draw them weight by weight.
    structure: str = "weights"
    block_size: int | None = None  # side of a block, for "blocks"
    n_of_m: tuple[str, ...] = ()  # one a later level, such as "2:4", "1:4"
    # The step whose weights decide what is pruned: "end", "early_stop", "early_bird", or
    # a step after the rewind step, such as "500" or "20%" of num_steps. "early_bird" is
    # the first evaluation whose masks differ little from those of the four before; see
    # `lth_jax.training.early_bird`. The weights are those of the previous level, or of
    # the dense net in one-shot pruning. Every net still trains the whole budget. A
    # multiple of eval_every_steps saves compilations.
    at: str = "end"

    @property
    def is_found_in_training(self) -> bool:
        """Whether each net finds in its own training when it is pruned."""
        return self.at in ("early_stop", "early_bird")

    def check(self, num_levels: int) -> None:
        """Raises a `ConfigError` on a value not allowed for this number of levels."""
        check, later = Checks(self, "prune."), num_levels - 1
        criterion = check.registered("criterion", CRITERIA)
        looks = f"'end' with {self.criterion!r}, which does not look at the trained net"
        check.require("at", self.at == "end" or criterion.looks == "end", looks)
        check.registered("structure", STRUCTURES)
        self._check_n_of_m(check, later)
        self._check_structure(check, criterion)
        plain = ("magnitude", False, "weights", ())
        is_plain = plain == (self.criterion, self.invert, self.structure, self.densities)
        allowed = (
            "'early_bird' with criterion='magnitude', structure='weights', and without"
            " invert and densities"
        )
        check.require("at", is_plain or self.at != "early_bird", allowed)
        self._check_densities(check, criterion, later)
        check.at_least(1, "examples_per_class", "mask_steps")
        check.at_least(0, "floor")
        check.are("inside (0, 1)", "fraction", "conv_fraction", "output_fraction")

    def _check_structure(self, check: Checks, criterion: Criterion) -> None:
        structure = self.structure
        given = (self.block_size is not None) == (structure == "blocks")
        check.require("block_size", given, "given for 'blocks', and for it alone")
        check.at_least(1, "block_size")
        if structure == "weights":
            return
        beside = f"with prune.structure={structure!r}"
        looks = f"one that looks at the trained net {beside}"
        check.require("criterion", criterion.looks != "init", looks)
        check.require("densities", not self.densities, f"empty {beside}")
        excludes = structure == "units" and self.exclude
        check.require("exclude", not excludes, f"empty {beside}")
        check.require("floor", self.floor == 1, f"1 {beside}")
        scopes = ("layerwise",) if structure == "n_of_m" else ("layerwise", "global")
        allowed = f"{' or '.join(map(repr, scopes))} {beside}"
        check.require("scope", self.scope in scopes, allowed)

    def _check_densities(self, check: Checks, criterion: Criterion, later: int) -> None:
        field, given = "prune.densities", bool(self.densities)
        at_init = f"given with {field}, since it looks at the net before training"
        check.require("criterion", given or not criterion.one_shot, at_init)
        check.one_of("scope", ("layerwise", "global", *LAYER_DENSITIES))
        layerwise = (criterion.scope or self.scope) not in LAYER_DENSITIES
        shares = f"given with {field}, which it shares out among the layers"
        named = "criterion" if criterion.scope else "scope"
        check.require(named, given or layerwise, shares)
        check.are("inside (0, 1)", "densities")
        alone = not (given and self.exclude)
        check.require("densities", alone, "empty with prune.exclude")
        check.require("densities", _is_decreasing(self.densities), "decreasing")
        allowed = f"empty, or one for each of the {later} levels after the first"
        fits = len(self.densities) in (0, later)
        check.require("densities", fits, f"{allowed} (num_levels - 1)")

    def _check_n_of_m(self, check: Checks, later: int) -> None:
        allowed = f"one for each of the {later} levels after the first for 'n_of_m', and"
        fits = len(self.n_of_m) == (later if self.structure == "n_of_m" else 0)
        check.require("n_of_m", fits, f"{allowed} empty without it")
        shares = []
        for text in self.n_of_m:
            n, _, m = text.partition(":")
            ok = n.isdecimal() and m.isdecimal() and 1 <= int(n) < int(m)
            require("prune.n_of_m", text, ok, "n:m with 1 <= n < m, such as '2:4'")
            shares.append(int(n) / int(m))
        check.require("n_of_m", _is_decreasing(shares), "decreasing")


def prune_step(prune: PruneConfig, rewind_step: int, num_steps: int) -> int | None:
    """Returns the step below the budget whose weights decide what is pruned.

    Returns None for the end of the budget and for early stop. Raises a `ConfigError` if
    the step does not fit the rewind step or the budget.
    """
    if prune.at == "end" or prune.is_found_in_training:
        return None
    number = prune.at.removesuffix("%")
    is_share = number != prune.at
    try:
        exact = float(number) / 100 * num_steps if is_share else int(number)
        step = round(exact)
    except (ValueError, OverflowError):
        allowed = (
            "'end', 'early_stop', 'early_bird', a step such as '500', or a share such"
            " as '20%'"
        )
        near = did_you_mean(prune.at, ("end", "early_stop", "early_bird"))
        raise ConfigError(f"prune.at: {prune.at!r}; must be {allowed}{near}") from None
    given = f"{prune.at} (step {step})" if is_share else prune.at
    allowed = f"after the rewind step ({rewind_step}), up to num_steps ({num_steps})"
    require("prune.at", given, rewind_step < step and exact <= num_steps, allowed)
    return step if step < num_steps else None


def _is_decreasing(values: Sequence[float]) -> bool:
    return all(a > b for a, b in itertools.pairwise(values))
