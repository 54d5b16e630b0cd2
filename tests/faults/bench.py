"""Bench: the studies that a run of the harness does harm to, made once."""

import pathlib

import numpy as np
from support.commands import Command

from faults.inside import Inside
from faults.study import Bench, commands_of
from lth_jax import data


def make(folder: pathlib.Path) -> None:
    """Makes all of a bench; takes half a minute."""
    bench = Bench(folder)
    source = data.load("mnist1d")
    names = ("x_train", "y_train", "x_test", "y_test")
    arrays = dict(zip(names, (*source.train, *source.test), strict=True))
    np.savez(folder / "data.npz", **arrays)
    # One after the other: the second finds compiled what the first compiled.
    _run(bench, bench.command(bench.whole))
    _run(bench, bench.command(bench.other, "--config.seed=1"))
    deploy = [f"--workdir={bench.whole}", "--level=1", f"--out={bench.package}"]
    _run(bench, Command("lth_jax.deploy", deploy))
    Inside(bench).cut(bench.cut)


def _run(bench: Bench, command: Command) -> None:
    """Runs what must not fail."""
    [(code, _, err)] = commands_of(bench).run_together([command])
    if code != 0:
        raise RuntimeError(f"undisturbed, and yet: {err}")
