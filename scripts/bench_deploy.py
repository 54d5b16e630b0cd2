"""Times dense, masked and compact nets, one JSON line per measurement.

  python scripts/bench_deploy.py [--raw_dir=FOLDER_OF_MNIST] [--workdir=runs/lenet]
      [--train_steps=3000] [--steps=200] [--repeats=7]

Machines are shared and noisy. Every ratio is therefore between calls timed in turn in
this run, and is the median over the repeats. Above 1, the compact net is faster.

The nets are LeNet-300-100 with weights pruned to 3.6% and 1.2%, and with 70% of each
layer's neurons removed; and Conv-4 with half of each layer's filters and neurons removed.
With `--workdir`, LeNet's weights come from a study's tickets of the nearest density.
Otherwise they come from a short iterative magnitude pruning by 20% (10% of the output),
with `--train_steps` steps per level on MNIST. With few steps, masks are near those of the
init and cut off less. Conv-4 has a fresh init and random data, which do not affect speed.

- `inference`: one jitted call on raw inputs. The compact net's call also removes inputs
  that it does not read, which on CPU takes about a seventh of LeNet's first layer.
  "masked" applies masks in the call, "zeros" has zeros stored. Logits are compared.
- `cost`: weights, bytes and multiply-adds before and after.
- `training`: steps of `make_steps`. Inputs that the compact net does not read are removed
  from its data beforehand.
"""

import argparse
import pathlib
import statistics
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from timing import ratio, report, timed

import lth_jax
from lth_jax import data, shrinking, wiring
from lth_jax.devices import use_all_cores
from lth_jax.models import MODELS
from lth_jax.store import tickets as ticket_files
from lth_jax.training import optimizers, sampling, schedules

BATCH_SIZE = 60
LEVELS = {15: "3.6%", 20: "1.2%"}  # of the paper's ladder


class Case(NamedTuple):
    """A net and its masks."""

    name: str
    module: Any
    params: Any
    masks: Any
    train: lth_jax.Examples


def prepare(inputs: jax.Array) -> jax.Array:
    """Returns pixels as numbers around 0."""
    return (inputs.astype(jnp.float32) - 127.5) / 73.9


def network(module: Any, inputs: Any) -> lth_jax.models.Network:
    """Returns a network on raw inputs, in uint8."""
    return lth_jax.from_linen(module, inputs[:1], prepare)


def adam() -> Any:
    """Returns Adam with the rate of the paper's LeNet."""
    schedule = schedules.make_schedule("constant", 1.2e-3, num_steps=1_000_000)
    return optimizers.make_optimizer("adam", schedule)


def batches(steps: int, train: lth_jax.Examples) -> np.ndarray:
    """Returns the indices of the examples of each step."""
    return sampling.batch_indices(
        jax.random.key(0), 0, steps, batch_size=BATCH_SIZE, num_examples=len(train.labels)
    )


def magnitudes(params: Any) -> Any:
    """Returns scores by magnitude."""
    return jax.tree.map(jnp.abs, params)


def pruned_by_weights(
    train: lth_jax.Examples, num_steps: int
) -> Iterator[tuple[int, Any, Any]]:
    """Yields each level of iterative magnitude pruning, its final weights and masks."""
    module, tx = lth_jax.LeNet(), adam()
    net = network(module, train.inputs)
    steps = jax.jit(lth_jax.make_steps(net.apply, tx))
    params, _ = net.init(jax.random.key(0))
    init, masks = lth_jax.initial_state(params, tx), lth_jax.masks.full(params)
    fractions = {"dense_0/kernel": 0.2, "dense_1/kernel": 0.2, "output/kernel": 0.1}
    for level in range(max(LEVELS) + 1):
        state = lth_jax.rewind(init, masks, tx)
        state, _ = steps(state, masks, batches(num_steps, train), train)
        yield level, state.params, masks
        masks = lth_jax.prune(magnitudes(state.params), masks, fractions)


def tickets(workdir: pathlib.Path) -> Iterator[tuple[int, Any, Any]]:
    """Yields the tickets of a study, first replicate, that are nearest to `LEVELS`."""
    found = [ticket_files.load(p, 0) for p in sorted(workdir.glob("tickets/*.npz"))]
    if not found:
        raise SystemExit(f"--workdir: {workdir} holds no tickets/*.npz")
    for level, label in {0: "100%", **LEVELS}.items():
        density = float(label[:-1]) / 100
        params, masks, _ = min(
            found,
            key=lambda f: abs(np.log(lth_jax.masks.density(f[1]) / density)),
        )
        yield level, params, masks


def cases(args: argparse.Namespace) -> Iterator[Case]:
    """Yields the nets."""
    mnist = data.load("mnist", args.raw_dir).train
    train = lth_jax.Examples(jnp.asarray(mnist.inputs), jnp.asarray(mnist.labels))
    levels = (
        tickets(args.workdir)
        if args.workdir
        else pruned_by_weights(train, args.train_steps)
    )
    module = lth_jax.LeNet()
    for level, params, masks in levels:
        if level == 0:
            full = lth_jax.masks.full(params)
            units = lth_jax.prune_units(magnitudes(params), full, 0.7, module.layout())
            yield Case("lenet, 70% of neurons gone", module, params, units, train)
        elif level in LEVELS:
            name = f"lenet, {100 * lth_jax.masks.density(masks):.1f}% of weights"
            yield Case(name, module, params, masks, train)
    rng = np.random.default_rng(0)
    inputs = jnp.asarray(rng.integers(0, 256, (5_000, 32, 32, 3), np.uint8))
    train = lth_jax.Examples(inputs, jnp.asarray(rng.integers(0, 10, 5_000, np.int32)))
    module = MODELS["conv4"]()
    params, _ = network(module, inputs).init(jax.random.key(0))
    full = lth_jax.masks.full(params)
    units = lth_jax.prune_units(magnitudes(params), full, 0.5, module.layout())
    yield Case("conv4, half of filters gone", module, params, units, train)


def calls(function: Callable[[], Any], number: int) -> Callable[[], None]:
    """Returns a function that calls another `number` times, and waits for each call."""

    def many() -> None:
        for _ in range(number):
            jax.block_until_ready(function())

    return many


def measure_inference(case: Case, repeats: int) -> None:
    """Measures the latency of a call, by batch size."""
    compact = shrinking.compact(case.module, case.params, case.masks)
    masked = lth_jax.masks.apply(case.masks, case.params)
    small = lth_jax.from_linen(
        compact.module, case.train.inputs[:1], lambda x: compact.inputs(prepare(x))
    )
    large = network(case.module, case.train.inputs)
    run = {
        "dense": (jax.jit(lambda p, x: large.apply(p, {}, x, False)[0]), case.params),
        "masked": (
            jax.jit(
                lambda p, x: large.apply(
                    lth_jax.masks.apply(case.masks, p), {}, x, False
                )[0]
            ),
            case.params,
        ),
        "zeros": (jax.jit(lambda p, x: large.apply(p, {}, x, False)[0]), masked),
        "compact": (
            jax.jit(lambda p, x: small.apply(p, {}, x, False)[0]),
            compact.params,
        ),
    }
    shape = prepare(case.train.inputs[0]).shape
    kept = int(np.prod(compact.inputs(jnp.zeros((1, *shape))).shape[1:]))
    cost = shrinking.cost(case.module, case.params, case.masks, shape)
    shape = shape if kept == np.prod(shape) else (kept,)
    after = shrinking.cost(compact.module, compact.params, compact.masks, shape)
    for batch in (1, 256):
        inputs = case.train.inputs[:batch]
        number = (5 if batch == 1 else 1) * (1 if case.name.startswith("conv") else 40)
        seconds = timed(
            {
                name: calls(lambda f=f, p=p, x=inputs: f(p, x), number)
                for name, (f, p) in run.items()
            },
            repeats,
        )
        logits = {name: f(p, inputs) for name, (f, p) in run.items()}
        difference = jnp.abs(logits["compact"] - logits["masked"]).max()
        report(
            "inference",
            net=case.name,
            batch=batch,
            faster_than_dense=ratio(seconds["dense"], seconds["compact"]),
            faster_than_masked=ratio(seconds["masked"], seconds["compact"]),
            faster_than_zeros_stored=ratio(seconds["zeros"], seconds["compact"]),
            **{
                f"{name}_us": round(1e6 * statistics.median(s) / number, 1)
                for name, s in seconds.items()
            },
            largest_difference=float(difference),
        )
    report(
        "cost",
        net=case.name,
        units=wiring.sizes(compact.module.layout(), compact.params),
        multiply_adds=[cost.multiply_adds, after.multiply_adds],
        live_multiply_adds=cost.live_multiply_adds,
        num_bytes=[cost.num_bytes, after.num_bytes],
    )


def measure_training(case: Case, steps: int, repeats: int) -> None:
    """Measures steps a second."""
    if case.name.startswith("conv"):
        steps = max(2, steps // 40)
    tx = adam()
    state = lth_jax.rewind(lth_jax.initial_state(case.params, tx), case.masks, tx)
    net = shrinking.compact_for_training(case.module, state, case.masks, tx)
    selected = lth_jax.Examples(net.inputs(case.train.inputs), case.train.labels)
    runs = {
        "masked": (case.module, state, case.masks, case.train),
        "compact": (net.module, net.state, net.masks, selected),
    }
    indices = batches(steps, case.train)
    functions = {}
    for name, (module, start, masks, train) in runs.items():
        call = jax.jit(lth_jax.make_steps(network(module, train.inputs).apply, tx))
        functions[name] = lambda c=call, s=start, m=masks, t=train: c(s, m, indices, t)
    losses = [function()[1] for function in functions.values()]
    seconds = timed(functions, repeats)
    report(
        "training",
        net=case.name,
        batch=BATCH_SIZE,
        units=net.selection.sizes,
        faster_than_masked=ratio(seconds["masked"], seconds["compact"]),
        **{
            f"{n}_steps_per_s": round(steps / statistics.median(s), 1)
            for n, s in seconds.items()
        },
        largest_difference_of_losses=float(jnp.abs(losses[0] - losses[1]).max()),
    )


def main() -> None:
    """Runs all measurements, one net after the other."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--raw_dir", help="the folder of MNIST's four .gz files")
    parser.add_argument("--workdir", type=pathlib.Path, help="a folder of a LeNet study")
    parser.add_argument("--train_steps", type=int, default=3000, help="steps per level")
    parser.add_argument("--steps", type=int, default=200, help="steps in one call")
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()

    use_all_cores()
    for case in cases(args):
        measure_inference(case, args.repeats)
        measure_training(case, args.steps, args.repeats)


if __name__ == "__main__":
    main()
