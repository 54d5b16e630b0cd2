"""Writes a study's trained ticket as files for use elsewhere.

  python -m lth_jax.deploy --workdir=runs/mnist1d --level=5 --out=ticket [--onnx]

The level must be finished, but the study may still be running.
`lth_jax.deploy.load("ticket")` reads the files back.
"""

import argparse
import dataclasses
import logging
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import jax
import jax.numpy as jnp

from lth_jax import deploy, devices, layout, shrinking, wiring
from lth_jax import masks as masks_lib
from lth_jax.config import StudyConfig
from lth_jax.config.requirements import require
from lth_jax.deploy import export, measures, onnx_graph, package, weights
from lth_jax.errors import UserError, fail
from lth_jax.store.workdir import Workdir, read_config
from lth_jax.terminal import make_streams_last

_log = logging.getLogger(__name__)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Prints what is wrong in one line, and exits."""
        sys.exit(fail(message))


def main(argv: Sequence[str]) -> int:
    """Writes what the flags ask for; returns the exit code."""
    parser = _Parser(prog="python -m lth_jax.deploy", allow_abbrev=False)
    add = parser.add_argument
    add("--workdir", required=True, type=pathlib.Path, help="the study's folder")
    add("--level", required=True, type=int, help="0 is the dense net")
    add("--replicate", type=int, help="by default the study's first")
    add("--out", required=True, type=pathlib.Path, help="a new or empty folder")
    add("--raw_dir", help="the raw data's folder, if they moved since the study ran")
    add("--onnx", action="store_true", help="also write model.onnx")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="warning: %(message)s")
    try:
        print(_deploy(args))
    except (UserError, OSError) as error:
        return fail(str(error))
    return 0


def _deploy(args: argparse.Namespace) -> str:
    # Imported here so that a wrong flag is reported at once: orbax imports slowly.
    from lth_jax.lottery import study
    from lth_jax.lottery.tickets import Tickets
    from lth_jax.store import own_parts
    from lth_jax.store.environment import check_same, software

    devices.check()
    package.check_free(args.out)
    export.check()
    if args.onnx:
        onnx_graph.check()
    workdir = Workdir(args.workdir)
    config = read_config(workdir)
    if args.replicate is None:
        args.replicate = config.first_replicate
    _check_finished(args, config)
    if args.raw_dir is not None:
        raw = dataclasses.replace(config.data, raw_dir=args.raw_dir)
        config = dataclasses.replace(config, data=raw)
    own_parts.check(workdir, config)
    built = study.build(config)
    check_same(workdir, built.data_note)
    trained = Tickets(built, workdir).trained(args.level)
    if trained is None:
        raise UserError(
            f"level: {args.level} cannot be read; delete {workdir.level(args.level)}, and"
            " repeat the study's command to train it again"
        )
    at = config.replicates.index(args.replicate)
    state, masks = jax.tree.map(lambda leaf: leaf[at], trained)

    module: Any = built.network.module
    if hasattr(module, "dtype"):
        module = module.clone(dtype=jnp.float32)
    large = measures.Masked(module, state.params, masks, state.batch_stats)
    net, units = _compacted(large)
    normalize, test = built.normalization.apply, built.splits.test
    example = jax.ShapeDtypeStruct(test.inputs.shape[1:], test.inputs.dtype)
    predict = export.predictor(
        net.module, net.params, net.batch_stats, lambda x: net.inputs(normalize(x))
    )
    provenance = {
        "workdir": str(args.workdir),
        "level": args.level,
        "replicate": args.replicate,
        "rewind_step": built.rewind_step,
        "config": dataclasses.asdict(config),
        "software": software(),
        "data_note": built.data_note,
        "module": type(net.module).__name__,
        "units": units,
    }
    files = {
        package.WEIGHTS: weights.as_bytes(net, built.normalization, provenance),
        package.PROGRAM: export.program(predict, example),
    }
    if args.onnx:
        files[package.ONNX] = onnx_graph.onnx_model(predict, example)
    program = export.read(files[package.PROGRAM]).call
    facts = {
        "costs": measures.costs(large, net, normalize, example),
        measures.metric(test): measures.accuracies(large, program, normalize, test),
        "median_seconds": measures.median_seconds(large, program, normalize, test.inputs),
        "measured_on": measures.machine(),
    }
    package.write(args.out, files, facts)
    return f"{_table(deploy.load(args.out).manifest)}\nwritten to {args.out}"


def _table(manifest: Mapping[str, Any]) -> str:
    """Dense, masked and compact net, one line per measure; then the files."""
    metric = next(key for key in manifest if key.startswith("test_"))
    costs, accuracy = manifest["costs"], manifest[metric]
    rows = [["", "dense", "masked", "compact"]]
    for key in ("num_params", "multiply_adds", "num_bytes"):
        words = key.removeprefix("num_").replace("_", "-")
        rows.append([words, *(f"{costs[net][key]:,}" for net in rows[0][1:])])
    measured = [f"{accuracy[net]:.4f}" for net in ("masked", "compact")]
    rows.append([metric.replace("_", " "), "", *measured])
    for batch, seconds in manifest["median_seconds"].items():
        dense, compact = (f"{1e6 * seconds[net]:,.0f}" for net in ("dense", "compact"))
        rows.append([f"us, {batch.replace('_', ' of ')}", dense, "", compact])
    lines = [f"{first:<19}" + "".join(f"{c:>14}" for c in rest) for first, *rest in rows]
    difference = accuracy["largest_difference_of_logits"]
    lines.append(f"largest difference of logits {difference:.1e}")
    for name, file in manifest["files"].items():
        lines.append(f"{name:<19}{file['bytes']:>14,} bytes")
    return "\n".join(lines)


def _check_finished(args: argparse.Namespace, config: StudyConfig) -> None:
    """Checks that the study has this level and replicate, and that it is finished."""
    there_are = {"level": range(config.num_levels), "replicate": config.replicates}
    for name, numbers in there_are.items():
        allowed = f"from {numbers.start} to {numbers.stop - 1}"
        require(name, getattr(args, name), getattr(args, name) in numbers, allowed)
    if not Workdir(args.workdir).level(args.level).exists():
        raise UserError(f"level: {args.level} is not finished in {args.workdir}")


def _compacted(large: measures.Masked) -> tuple[shrinking.Compact, dict[str, int]]:
    """The compact net and its units by place; the masked one if it has no layout."""
    try:
        net = shrinking.compact(*large)
    except layout.NoLayout as error:
        _log.warning("%s; the net keeps its zeros", error)
        every = shrinking.InputSelection(None, is_flat=False)
        zeroed = large._replace(params=masks_lib.apply(large.masks, large.params))
        return shrinking.Compact(*zeroed, every), {}
    return net, wiring.sizes(net.module.layout(), net.params)


if __name__ == "__main__":
    make_streams_last()
    sys.exit(main(sys.argv[1:]))
