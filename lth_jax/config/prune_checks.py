"""Prune checks: which settings of `prune.*` go together."""

import itertools

from lth_jax.config.fields import PruneConfig
from lth_jax.config.requirements import at_least, inside_unit, one_of, require
from lth_jax.pruning.criteria import CRITERIA
from lth_jax.pruning.densities import LAYER_DENSITIES

STRUCTURES = ("weights", "units", "blocks", "n_of_m")


def check_prune(prune: PruneConfig, num_levels: int) -> None:
    """Checks `prune.*`, for so many levels.

    Raises:
      ConfigError: naming the field, its value, and what is allowed.
    """
    one_of("prune.criterion", prune.criterion, CRITERIA)
    _check_structure(prune, num_levels)
    criterion = CRITERIA[prune.criterion]
    scope = criterion.scope or prune.scope
    require(
        "prune.criterion",
        prune.criterion,
        not criterion.one_shot or bool(prune.densities),
        "given with prune.densities, since it looks at the net before training",
    )
    at_least("prune.examples_per_class", prune.examples_per_class, 1)
    at_least("prune.mask_steps", prune.mask_steps, 1)
    one_of("prune.scope", prune.scope, ("layerwise", "global", *LAYER_DENSITIES))
    shared = scope in LAYER_DENSITIES
    require(
        "prune.criterion" if criterion.scope else "prune.scope",
        prune.criterion if criterion.scope else prune.scope,
        not shared or bool(prune.densities),
        "given with prune.densities, which it shares out among the layers",
    )
    at_least("prune.floor", prune.floor, 0)
    inside_unit("prune.fraction", prune.fraction)
    inside_unit("prune.conv_fraction", prune.conv_fraction)
    inside_unit("prune.output_fraction", prune.output_fraction)
    for density in prune.densities:
        inside_unit("prune.densities", density)
    counted = not (prune.densities and prune.exclude)
    require("prune.densities", prune.densities, counted, "empty with prune.exclude")
    decreasing = all(a > b for a, b in itertools.pairwise(prune.densities))
    require("prune.densities", prune.densities, decreasing, "decreasing")
    require(
        "prune.densities",
        prune.densities,
        len(prune.densities) in (0, num_levels - 1),
        f"empty, or one for each of the {num_levels - 1} levels after the first"
        " (num_levels - 1)",
    )


def _check_structure(prune: PruneConfig, num_levels: int) -> None:
    structure = prune.structure
    one_of("prune.structure", structure, STRUCTURES)
    sized = (prune.block_size is not None) == (structure == "blocks")
    require(
        "prune.block_size",
        prune.block_size,
        sized,
        "given for 'blocks', and for it alone",
    )
    if prune.block_size is not None:
        at_least("prune.block_size", prune.block_size, 1)
    _check_n_of_m(prune, num_levels)
    if structure == "weights":
        return
    beside = f"with prune.structure={structure!r}"
    looks = CRITERIA[prune.criterion].looks
    trained = f"one that looks at the trained net {beside}"
    require("prune.criterion", prune.criterion, looks != "init", trained)
    empty = f"empty {beside}"
    require("prune.densities", prune.densities, not prune.densities, empty)
    require("prune.floor", prune.floor, prune.floor == 1, f"1 {beside}")
    if structure == "units":
        require("prune.exclude", prune.exclude, not prune.exclude, empty)
    scopes = ("layerwise",) if structure == "n_of_m" else ("layerwise", "global")
    allowed = f"{' or '.join(map(repr, scopes))} {beside}"
    require("prune.scope", prune.scope, prune.scope in scopes, allowed)


def _check_n_of_m(prune: PruneConfig, num_levels: int) -> None:
    field, given = "prune.n_of_m", prune.n_of_m
    number = num_levels - 1 if prune.structure == "n_of_m" else 0
    require(
        field,
        given,
        len(given) == number,
        f"one for each of the {num_levels - 1} levels after the first for 'n_of_m', and"
        " empty without it",
    )
    shares = []
    for text in given:
        numbers = [int(part) for part in text.split(":") if part.isdecimal()]
        fits = len(numbers) == text.count(":") + 1 == 2 and 1 <= numbers[0] < numbers[1]
        require(field, text, fits, "n:m with 1 <= n < m, such as '2:4'")
        shares.append(numbers[0] / numbers[1])
    decreasing = all(a > b for a, b in itertools.pairwise(shares))
    require(field, given, decreasing, "decreasing")
