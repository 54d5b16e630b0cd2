"""Times LeNet-300-100's masked training step, one JSON line per measurement.

  python scripts/bench_step.py [--members=1,5] [--steps=1000] [--repeats=7]

Machines are shared and noisy. Every ratio is therefore between calls timed in turn in
this run, and is the median over the repeats.

- `masked_vs_bare`: the step inside a segment, against the same scan without masks,
  evaluation or records.
- `matmul_fraction`: FLOP/s of the masked step, as a fraction of the device's own rate
  in a large float32 matrix product. The step's FLOPs are counted in two ways. The usual
  convention is three times the forward pass's. The other counts only what is executed,
  without the first layer's input gradient, which is not needed.
- `member_cost`: time per member when M train in one call, against one alone, not batched.
  Both are by the wall clock. The call spreads its members over all devices (cores).
- `segment_vs_bare`: a study's segment (validation every 100 steps, test every 1,000 and
  at the end), and the same with both splits every 100 steps.

On a GPU: --members=1,5,50,500 --steps=1000.
"""

import argparse
import statistics
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from timing import matrix_product, ratio, report, timed

import lth_jax
from lth_jax.devices import over_members, replicated, use_all_cores
from lth_jax.training import optimizers, sampling, schedules

BATCH_SIZE = 60
WEIGHTS = 266_200
FIRST_LAYER = 784 * 300


def bare_steps(apply_fn: Any, tx: optax.GradientTransformation) -> Any:
    """Returns the same scan without masks, evaluation or records."""

    def steps(params: Any, opt_state: Any, indices: jax.Array, examples: Any) -> Any:
        def loss_fn(params: Any, inputs: jax.Array, labels: jax.Array) -> jax.Array:
            logits, _ = apply_fn(params, {}, inputs, train=True)
            return optax.losses.softmax_cross_entropy_with_integer_labels(
                logits, labels
            ).mean()

        def step(carry: Any, batch: jax.Array) -> Any:
            params, opt_state = carry
            loss, gradients = jax.value_and_grad(loss_fn)(
                params, examples.inputs[batch], examples.labels[batch]
            )
            updates, opt_state = tx.update(gradients, opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), loss

        return jax.lax.scan(step, (params, opt_state), indices)

    return jax.jit(steps)


def main() -> None:
    """Runs all measurements."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--members", default="1,5", help="numbers of members, from 1")
    parser.add_argument("--steps", type=int, default=1000, help="steps in a segment")
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()

    use_all_cores()
    key = jax.random.key(0)
    inputs = jax.random.randint(key, (55_000, 28, 28, 1), 0, 256).astype(jnp.uint8)
    labels = jax.random.randint(key, (55_000,), 0, 10)
    train = lth_jax.Examples(inputs, labels)
    validation = lth_jax.Examples(inputs[:5_000], labels[:5_000])
    test = lth_jax.Examples(inputs[:10_000], labels[:10_000])
    network = lth_jax.from_linen(
        lth_jax.LeNet(), inputs[:1], lambda x: (x.astype(jnp.float32) - 33.3) / 78.6
    )
    schedule = schedules.make_schedule("constant", 1.2e-3, num_steps=args.steps)
    tx = optimizers.make_optimizer("adam", schedule)
    params, _ = network.init(key)
    masks = lth_jax.prune(jax.tree.map(jnp.abs, params), lth_jax.masks.full(params), 0.5)
    state = lth_jax.rewind(lth_jax.initial_state(params, tx), masks, tx)
    indices = sampling.batch_indices(
        key, 0, args.steps, batch_size=BATCH_SIZE, num_examples=55_000
    )

    # One member against the bare scan and the matrix product.
    masked = jax.jit(lth_jax.make_steps(network.apply, tx))
    segment = jax.jit(lth_jax.make_segment(network.apply, tx))
    bare = bare_steps(network.apply, tx)
    evals = max(1, args.steps // 100)
    seldom = np.arange(1, evals + 1) % 10 == 0
    seldom[-1] = True
    segment_arguments = (
        state,
        lth_jax.training.Best.before(state),
        masks,
        indices.reshape(evals, -1, BATCH_SIZE),
        train,
        validation,
        test,
    )
    product, product_flops = matrix_product()
    seconds = timed(
        {
            "masked": lambda: masked(state, masks, indices, train),
            "bare": lambda: bare(params, state.opt_state, indices, train),
            "segment": lambda: segment(*segment_arguments, test_due=seldom),
            "segment, all tests": lambda: segment(*segment_arguments),
            "matmul": product,
        },
        args.repeats,
    )
    step_us = {
        n: round(1e6 * statistics.median(s) / args.steps, 1) for n, s in seconds.items()
    }
    report(
        "masked_vs_bare",
        ratio=ratio(seconds["masked"], seconds["bare"]),
        masked_us=step_us["masked"],
        bare_us=step_us["bare"],
    )
    rates = [product_flops / s for s in seconds["matmul"]]
    executed = 2 * BATCH_SIZE * (3 * WEIGHTS - FIRST_LAYER)
    for convention, flops in (
        ("three forward passes", 6 * BATCH_SIZE * WEIGHTS),
        ("as executed", executed),
    ):
        achieved = [flops * args.steps / s for s in seconds["masked"]]
        report(
            "matmul_fraction",
            convention=convention,
            ratio=ratio(achieved, rates),
            achieved_gflops=round(statistics.median(achieved) / 1e9, 1),
            matmul_gflops=round(statistics.median(rates) / 1e9, 1),
        )
    for name, num_tests in (("segment", sum(seldom)), ("segment, all tests", evals)):
        report(
            "segment_vs_bare",
            ratio=ratio(seconds[name], seconds["bare"]),
            segment_us=step_us[name],
            eval_every_steps=args.steps // evals,
            num_tests=int(num_tests),
        )

    # Members in one call, by `vmap` and by `map`, against one alone.
    functions = {
        "alone": lambda: masked(state, masks, indices, train),
        "matmul": product,
    }
    counts = [int(n) for n in args.members.split(",")]
    for how in ("vmap", "map"):
        steps = lth_jax.make_steps(network.apply, tx)
        for count in counts:
            batched = over_members(steps, count, num_shared=1, how=how)
            stacked = jax.tree.map(
                lambda x, n=count: jnp.stack([x] * n),
                (state, masks, jnp.asarray(indices)),
            )
            data = replicated(train, count)
            functions[f"{how} {count}"] = lambda f=batched, s=stacked, d=data: f(*s, d)
    seconds = timed(functions, args.repeats)
    rates = [product_flops / s for s in seconds["matmul"]]
    for how in ("vmap", "map"):
        for count in counts:
            members = seconds[f"{how} {count}"]
            report(
                "member_cost",
                how=how,
                members=count,
                ratio=ratio([s / count for s in members], seconds["alone"]),
                member_steps_per_s=round(count * args.steps / statistics.median(members)),
                matmul_fraction_as_executed=ratio(
                    [count * args.steps * executed / s for s in members], rates
                ),
            )


if __name__ == "__main__":
    main()
