"""Times LeNet-300-100's steps while its masks change, one JSON line per measurement.

  python scripts/bench_dynamic.py [--steps=200] [--every=100] [--repeats=7]

Machines are shared and noisy. Every ratio is therefore between calls timed in turn in
this run, and is the median over the repeats.

- `between_updates`: a step of a dynamics without an update, against the static masked
  step.
- `with_updates`: steps with an update every `--every` steps, against the same.
- `update`: milliseconds of one update, by the difference of the two.
"""

import argparse
import dataclasses
import statistics

import jax
import jax.numpy as jnp
from timing import ratio, report, timed

import lth_jax
from lth_jax import connections, dynamics
from lth_jax.training import optimizers, sampling, schedules

BATCH_SIZE = 60


def main() -> None:
    """Runs all measurements."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=200, help="a multiple of --every")
    parser.add_argument("--every", type=int, default=100, help="steps between updates")
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()

    key = jax.random.key(0)
    inputs = jax.random.randint(key, (55_000, 28, 28, 1), 0, 256).astype(jnp.uint8)
    train = lth_jax.Examples(inputs, jax.random.randint(key, (55_000,), 0, 10))
    network = lth_jax.from_linen(
        lth_jax.LeNet(), inputs[:1], lambda x: (x.astype(jnp.float32) - 33.3) / 78.6
    )
    schedule = schedules.make_schedule("constant", 1.2e-3, num_steps=args.steps)
    tx = optimizers.make_optimizer("adam", schedule)
    params, _ = network.init(key)
    masks = lth_jax.prune(jax.tree.map(jnp.abs, params), lth_jax.masks.full(params), 0.8)
    goal = connections.kept_counts(masks)
    state = lth_jax.rewind(lth_jax.initial_state(params, tx), masks, tx)
    indices = sampling.batch_indices(
        key, 0, args.steps, batch_size=BATCH_SIZE, num_examples=55_000
    )
    static = jax.jit(lth_jax.make_steps(network.apply, tx))
    functions = {"static": lambda: static(state, masks, indices, train)}
    for name in dynamics.DYNAMICS:
        own = dynamics.make_dynamics(
            name,
            update_every_steps=args.every,
            begin_step=0,
            end_step=args.steps,
            drop_fraction=0.3,
        )
        # An update before every block, as in the middle of a study.
        always = dataclasses.replace(own, amounts=(0.3,) * (args.steps // args.every))
        never = dataclasses.replace(own, amounts=(0.0,))
        for when, masks_change in (("never", never), ("always", always)):
            steps = jax.jit(lth_jax.make_dynamic_steps(network.apply, tx, masks_change))
            functions[f"{name} {when}"] = lambda f=steps: f(
                state, masks, goal, indices, train, key, key
            )
    seconds = timed(functions, args.repeats)
    num_updates = args.steps // args.every
    for name in dynamics.DYNAMICS:
        never, always = seconds[f"{name} never"], seconds[f"{name} always"]
        updates = [a - b for a, b in zip(always, never, strict=True)]
        report("between_updates", dynamics=name, ratio=ratio(never, seconds["static"]))
        report(
            "with_updates",
            dynamics=name,
            ratio=ratio(always, seconds["static"]),
            update_every_steps=args.every,
            static_us=round(1e6 * statistics.median(seconds["static"]) / args.steps, 1),
        )
        report(
            "update",
            dynamics=name,
            ms=round(1e3 * statistics.median(updates) / num_updates, 1),
        )


if __name__ == "__main__":
    main()
