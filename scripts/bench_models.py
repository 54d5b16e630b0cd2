"""Times the masked training step of the paper's nets, one JSON line per measurement.

  python scripts/bench_models.py [--models=conv2,resnet20] [--steps=10] [--repeats=5]
      [--torch=eager,graph,compiled]
      [--members=1,2] [--how=map] [--compute_dtype=bfloat16] [--segment] [--collapsed]

Machines are shared and noisy. Every ratio is therefore between calls timed in turn in
this run, and is the median over the repeats. The data are random, which does not affect
speed. Each net has its paper's batch, optimizer and augmentation; half of its weights are
pruned.

- `model_step`: one step of `make_steps`, inside its scan over `--steps` steps. It takes
  its batch from the data on the device, augments it and normalises it. By convention,
  FLOPs are three times those of the forward pass. These are two for each multiply-add of
  convolutions (padding counted) and matrix products in the traced net; nothing else
  counts. Conv-2's forward pass has 87.5 million per example. The fraction is of the
  device's own rate in a large float32 matrix product, whatever `--compute_dtype` is;
  on a GPU both may use TF32.
- `scan_vs_loop`: the scan against the same step in a Python loop, jitted alone, with its
  state donated; below 1 the scan is faster. It runs once with the package's own
  convolution ("own"), and once with XLA's gradients, those of a plain `nn.Conv` ("xla").
- `collapsed_scan` (--collapsed, only Conv-2): XLA's gradients inside a scan, which on CPU
  take many seconds a step. It runs two steps, because XLA unrolls a loop of one.
- `segment` (--segment): a study's segment, `--steps` steps and then both evaluations, on
  5,000 and 10,000 examples, against the loop followed by both, jitted.
- `members`: M members in one call of `over_members`, against one alone, not batched:
  the whole call's time, and the time per member. A call spreads its members over all
  devices (cores). On CPU only `map` runs by default.
- `vs_pytorch`: against the same net in PyTorch on the same kind of device, in the faster
  of its two memory formats. On CPU it is eager, with one thread and with all. On a GPU
  `--torch` chooses eager, a CUDA graph of a step, or this compiled by `torch.compile`. It
  has fused optimizers, TF32 and tuned convolutions, and autocast for bfloat16. PyTorch
  trains on one ready batch, and neither gathers, augments, normalises nor masks. Its
  threads sleep while they wait, because spinning takes 50 times as long on shared cores;
  on a dedicated machine, set OMP_WAIT_POLICY=active.

On a GPU: --models=conv6 --members=1,5 --how=vmap,map --steps=100
          --models=lenet --members=1,100 --steps=1000
"""

import argparse
import functools
import os
import statistics
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from cases import Apply, Case, make_case, xla_gradients
from timing import matrix_product, ratio, timed

import lth_jax
from lth_jax import masks as masks_lib
from lth_jax.devices import over_members, replicated, use_all_cores
from lth_jax.models import MODELS

Functions = dict[str, Callable[[], Any]]


def python_loop(case: Case, apply: Apply) -> Callable[[], Any]:
    """Returns a Python loop over the jitted masked step; each call continues training."""

    def loss_fn(params: Any, stats: Any, inputs: Any, labels: Any, key: Any) -> Any:
        logits, stats = apply(params, stats, inputs, True, key)
        losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.mean(), stats

    def step(state: Any, masks: Any, batch: Any, examples: Any, key: Any) -> Any:
        (loss, stats), gradients = jax.value_and_grad(loss_fn, has_aux=True)(
            state.params,
            state.batch_stats,
            examples.inputs[batch],
            examples.labels[batch],
            jax.random.fold_in(key, state.step),
        )
        gradients = masks_lib.apply(masks, gradients)
        updates, opt_state = case.tx.update(gradients, state.opt_state, state.params)
        params = masks_lib.apply(masks, optax.apply_updates(state.params, updates))
        return type(state)(state.step + 1, params, stats, opt_state), loss

    jitted = jax.jit(step, donate_argnums=0)
    state = jax.tree.map(jnp.copy, case.state)  # since it is donated

    def loop() -> Any:
        nonlocal state
        losses = []
        for batch in case.indices:
            state, loss = jitted(state, case.masks, batch, case.train, case.key)
            losses.append(loss)
        return state.params, losses

    return loop


def scan(case: Case, apply: Apply, num_steps: int | None = None) -> Callable[[], Any]:
    """Returns one call of the package's own steps, all of them or the first."""
    steps = jax.jit(lth_jax.make_steps(apply, case.tx))
    indices = case.indices[:num_steps]
    return lambda: steps(case.state, case.masks, indices, case.train, case.key)


def segments(case: Case, loop: Callable[[], Any]) -> Functions:
    """Returns a study's segment, and the loop with the same evaluations."""
    held_out = [jax.tree.map(lambda x, n=n: x[:n], case.train) for n in (5_000, 10_000)]
    segment = jax.jit(lth_jax.make_segment(case.apply, case.tx))
    evaluate = jax.jit(lth_jax.make_evaluate(case.apply))
    best = lth_jax.training.Best.before(case.state)
    return {
        "segment": lambda: segment(
            case.state,
            best,
            case.masks,
            case.indices[None],
            case.train,
            *held_out,
            case.key,
        ),
        "evaluated loop": lambda: (loop(), [evaluate(case.state, x) for x in held_out]),
    }


def torch_loops(case: Case, ways: list[str]) -> Functions:
    """Returns the same training in PyTorch, by memory format and threads or `ways`.

    Raises:
      ValueError: if a comparison with PyTorch is impossible; it says why.
    """
    try:
        import torch
        from torch_models import training_loop
    except ImportError as error:
        raise ValueError(f"no PyTorch ({error})") from error
    on_gpu = jax.default_backend() == "gpu"
    if on_gpu and not torch.cuda.is_available():
        raise ValueError("PyTorch sees no GPU")
    formats = {"contiguous": torch.contiguous_format}
    if case.name != "lenet":
        formats["channels_last"] = torch.channels_last
    counts = [None] if on_gpu else sorted({1, jax.local_device_count()})
    found: Functions = {}
    for name, memory_format in formats.items():
        make = functools.partial(
            training_loop,
            case.name,
            case.indices.shape[1],
            len(case.indices),
            optimizer=case.optimizer,
            memory_format=memory_format,
            bfloat16=case.dtype == "bfloat16",
            on_gpu=on_gpu,
        )
        for threads in counts if "eager" in ways else ():
            suffix = f" threads_{threads}" if threads else ""
            found[f"torch {name}{suffix}"] = make(threads=threads)
        for how in [way for way in ways if way != "eager"]:
            try:
                found[f"torch {name} {how}"] = make(threads=None, how=how)
            except Exception as error:  # a missing compiler raises any of several types
                print(f"torch {name} {how}: skipped: {error!r}"[:300], flush=True)
    return found


def measure_alone(
    case: Case, repeats: int, with_segment: bool, torch_ways: list[str]
) -> None:
    """Measures one member's step, and the steps with which it is compared."""
    product, flops = matrix_product()
    loop = python_loop(case, case.apply)
    functions = {"matmul": product, "scan": scan(case, case.apply), "own": loop}
    if case.name != "lenet":
        functions["xla"] = python_loop(case, xla_gradients(case.apply))
    if with_segment:
        functions |= segments(case, loop)
    skipped = None
    try:
        functions |= torch_loops(case, torch_ways)
    except ValueError as error:
        skipped = str(error)
    seconds = timed(functions, repeats)

    scanned, step_ms = seconds["scan"], case.step_ms
    achieved = [case.step_flops * len(case.indices) / s for s in scanned]
    rates = [flops / s for s in seconds["matmul"]]
    case.report(
        "model_step",
        step_ms=step_ms(scanned),
        steps_per_s=round(len(case.indices) / statistics.median(scanned), 2),
        step_gflop=round(case.step_flops / 1e9, 3),
        achieved_gflops=round(statistics.median(achieved) / 1e9, 1),
        matmul_gflops=round(statistics.median(rates) / 1e9, 1),
        matmul_fraction=ratio(achieved, rates),
    )
    for name in ("own", "xla"):
        if name in seconds:
            case.report(
                "scan_vs_loop",
                loop_convolution=name,
                ratio=ratio(scanned, seconds[name]),
                scan_step_ms=step_ms(scanned),
                loop_step_ms=step_ms(seconds[name]),
            )
    if with_segment:
        case.report(
            "segment",
            ratio=ratio(seconds["segment"], seconds["evaluated loop"]),
            segment_ms=round(1e3 * statistics.median(seconds["segment"]), 1),
            loop_ms=round(1e3 * statistics.median(seconds["evaluated loop"]), 1),
        )
    by_format = {n: s for n, s in seconds.items() if n.startswith("torch ")}
    if not by_format:
        case.report("vs_pytorch", skipped=skipped or "no PyTorch loop ran")
        return
    fastest = min(by_format, key=lambda name: statistics.median(by_format[name]))
    case.report(
        "vs_pytorch",
        ratio=ratio(scanned, by_format[fastest]),
        against=fastest,
        scan_step_ms=step_ms(scanned),
        **{f"{n.replace(' ', '_')}_step_ms": step_ms(s) for n, s in by_format.items()},
    )


def measure_collapsed(case: Case) -> None:
    """Measures XLA's gradients inside a scan, once."""
    seconds = timed({"scan": scan(case, xla_gradients(case.apply), 2)}, repeats=1)
    case.report("collapsed_scan", step_ms=round(1e3 * seconds["scan"][0] / 2, 1))


def measure_members(case: Case, repeats: int, ways: list[str], counts: list[int]) -> None:
    """Measures members in one call against one alone, by each way to share a device."""
    steps = lth_jax.make_steps(case.apply, case.tx)

    def run(state: Any, masks: Any, indices: Any, key: Any, train: Any) -> Any:
        return steps(state, masks, indices, train, key)

    def call(how: str, count: int) -> Callable[[], Any]:
        batched = over_members(run, count, num_shared=1, how=how)
        member = (case.state, case.masks, jnp.asarray(case.indices), case.key)
        stacked = jax.tree.map(lambda x: jnp.stack([x] * count), member)
        train = replicated(case.train, count)
        return lambda: batched(*stacked, train)

    calls = [(how, count) for how in ways for count in counts]
    functions = {"alone": scan(case, case.apply)}
    functions |= {f"{how} {count}": call(how, count) for how, count in calls}
    seconds = timed(functions, repeats)
    for how, count in calls:
        taken = seconds[f"{how} {count}"]
        member_steps = count * len(case.indices)
        case.report(
            "members",
            how=how,
            members=count,
            whole_call_ratio=ratio(taken, seconds["alone"]),
            ratio_per_member=ratio([s / count for s in taken], seconds["alone"]),
            member_steps_per_s=round(member_steps / statistics.median(taken), 2),
        )


def several_of(*choices: str) -> Callable[[str], list[str]]:
    """Returns a flag's type: names from a choice, separated by commas."""

    def parse(text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in choices:
                raise argparse.ArgumentTypeError(
                    f"{name!r}; must be one of {', '.join(choices)}"
                )
        return names

    return parse


def at_least(least: int) -> Callable[[str], int]:
    """Returns a flag's type: an integer of at least `least`."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(
                f"{text!r}; must be an integer of at least {least}"
            )
        return int(text)

    return parse


def numbers(text: str) -> list[int]:
    """A flag's type: integers of at least 1, separated by commas."""
    return [at_least(1)(part) for part in text.split(",")]


def main() -> None:
    """Runs all measurements, one net after the other."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", type=several_of(*MODELS), default=list(MODELS))
    parser.add_argument("--steps", type=at_least(2), default=10, help="steps in one call")
    parser.add_argument("--repeats", type=at_least(1), default=5)
    parser.add_argument("--members", type=numbers, help="1,2 on CPU, else 1,2,5")
    parser.add_argument(
        "--how", type=several_of("vmap", "map"), help="map on CPU, else vmap,map"
    )
    parser.add_argument(
        "--compute_dtype", choices=("float32", "bfloat16"), default="float32"
    )
    parser.add_argument(
        "--torch",
        type=several_of("eager", "graph", "compiled"),
        help="eager on CPU, else eager,graph",
    )
    parser.add_argument("--segment", action="store_true", help="slow on CPU")
    parser.add_argument("--collapsed", action="store_true", help="very slow on CPU")
    args = parser.parse_args()

    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read when PyTorch loads
    use_all_cores()
    on_cpu = jax.default_backend() == "cpu"
    ways = args.how or (["map"] if on_cpu else ["vmap", "map"])
    counts = args.members or ([1, 2] if on_cpu else [1, 2, 5])
    torch_ways = args.torch or (["eager"] if on_cpu else ["eager", "graph"])
    for name in args.models:
        case = make_case(name, args.steps, args.compute_dtype)
        measure_alone(case, args.repeats, args.segment, torch_ways)
        if args.collapsed and name == "conv2":
            measure_collapsed(case)
        measure_members(case, args.repeats, ways, counts)


if __name__ == "__main__":
    main()
