"""Times pruning itself, one JSON line per measurement.

  python scripts/bench_pruning.py [--weights=25000000] [--repeats=5] [--model=vgg19]

- `global`: `prune` with global scope on `--weights` random scores. It includes making
  masks on the host, and excludes compilation.
- `synflow`: all 100 rounds of SynFlow to 1% of a model at init, compilation included. It
  has the processor's seconds over all cores, and the wall clock's, which other processes
  lengthen. It also has the smallest density of a layer.
"""

import argparse
import statistics
import time

import jax
import jax.numpy as jnp
from timing import report, timed

import lth_jax
from lth_jax.pruning import criteria

NUM_LEAVES, DENSITY = 16, 0.01


def time_global(num_weights: int, repeats: int) -> None:
    """Times one level of global pruning."""
    key = jax.random.key(0)
    leaves = jax.random.uniform(
        key, (NUM_LEAVES, num_weights // NUM_LEAVES // 1000, 1000)
    )
    scores = {f"layer_{i}": leaf for i, leaf in enumerate(leaves)}
    masks = lth_jax.masks.full(scores)
    before = lth_jax.masks.total_count(masks).kept
    kept = lth_jax.prune(scores, masks, 0.2, scope="global")
    left = lth_jax.masks.total_count(kept).kept
    seconds = timed(
        {"prune": lambda: lth_jax.prune(scores, masks, 0.2, scope="global")}, repeats
    )
    report(
        "global",
        weights=before,
        exact=left == before - round(0.2 * before),
        seconds=round(statistics.median(seconds["prune"]), 3),
    )


def time_synflow(model: str) -> None:
    """Times all rounds of SynFlow."""
    criterion = criteria.CRITERIA["synflow"]
    inputs = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    network = lth_jax.from_linen(lth_jax.models.MODELS[model](num_classes=10), inputs)
    params, batch_stats = jax.jit(network.init)(jax.random.key(0))
    masks = lth_jax.masks.full(params)
    evidence = criteria.Evidence(
        params,
        params,
        masks,
        jax.random.key(0),
        init_batch_stats=batch_stats,
        apply_to_ones=jax.tree_util.Partial(network.apply_to_ones),
    )
    began, began_cpu = time.perf_counter(), time.process_time()
    scores_of = jax.jit(criterion.scores)
    kept = lth_jax.prune_in_rounds(
        lambda kept: scores_of(evidence._replace(masks=kept)),
        masks,
        DENSITY,
        criterion.num_rounds,
        scope="global",
    )
    seconds = time.perf_counter() - began
    cpu_seconds = time.process_time() - began_cpu
    count = lth_jax.masks.total_count(kept)
    layers = lth_jax.masks.layer_counts(kept).values()
    report(
        "synflow",
        model=model,
        weights=count.total,
        exact=count.kept == round(DENSITY * count.total),
        smallest_layer_density=min(layer.kept / layer.total for layer in layers),
        rounds=criterion.num_rounds,
        seconds=round(seconds, 1),
        cpu_seconds=round(cpu_seconds, 1),
    )


def main() -> None:
    """Runs both measurements."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--weights", type=int, default=25_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--model", default="vgg19", choices=lth_jax.models.MODELS)
    args = parser.parse_args()
    time_global(args.weights, args.repeats)
    time_synflow(args.model)


if __name__ == "__main__":
    main()
