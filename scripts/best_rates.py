"""Compares criteria, each at its best learning rate on validation data.

  python scripts/best_rates.py runs/rates-sweep [runs/rates-seed1]

Each folder holds a sweep over `optimizer.learning_rate`. For every arm and density, the
script prints the rate with the highest mean validation accuracy at early stop. It also
prints the test accuracy at this rate, and at the dense net's best rate. Intervals are
95%, over replicates; they do not account for the choice of the rate.
"""

import pathlib
import sys
from typing import NamedTuple

import numpy as np

from lth_jax.analysis.intervals import mean
from lth_jax.analysis.outcomes import DENSE, Outcome, outcomes
from lth_jax.store import records
from lth_jax.store.records import Run
from lth_jax.store.workdir import Workdir, read_config

Key = tuple[str, int]  # arm and level


class Tried(NamedTuple):
    """An arm and level at one rate."""

    validation: float  # mean accuracy at early stop
    test: Outcome


def at_early_stop(run: Run) -> float:
    """Returns the validation accuracy at the least validation loss."""
    losses = run.curves["validation", "loss"].values
    return float(run.curves["validation", "accuracy"].values[np.argmin(losses)])


def tried(folder: pathlib.Path) -> dict[float, dict[Key, Tried]]:
    """Returns all arms and levels of a sweep, by rate."""
    found = {}
    for config in sorted(folder.glob("*/config.json")):
        workdir = Workdir(config.parent)
        runs = records.read(workdir.records)
        groups = records.by_group(runs)
        found[read_config(workdir).optimizer.learning_rate] = {
            key: Tried(float(np.mean(list(map(at_early_stop, groups[key])))), outcome)
            for key, outcome in outcomes(runs).items()
        }
    return dict(sorted(found.items()))


def best_rate(by_rate: dict[float, dict[Key, Tried]], key: Key) -> float:
    """Returns the rate with the highest mean validation accuracy."""
    return max(by_rate, key=lambda rate: by_rate[rate][key].validation)


def text(outcome: Outcome) -> str:
    """Returns the test accuracy at early stop in %, and its interval, as text."""
    found = mean(outcome.early_stop_metric, bounds=(0.0, 1.0))
    value, low, high = (100 * x for x in (found.value, found.low, found.high))
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"


def main() -> None:
    """Prints a table for each folder."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for folder in map(pathlib.Path, sys.argv[1:]):
        by_rate = tried(folder)
        if len(by_rate) < 2:
            sys.exit(f"{folder}: no sweep over optimizer.learning_rate")
        common = best_rate(by_rate, DENSE)
        print(f"\n{folder.name}; rates {', '.join(map(str, by_rate))}\n")
        print("| density | arm | best rate | accuracy there | at", f"{common} |")
        print("| --- | --- | --- | --- | --- |")
        keys = sorted(by_rate[common], key=lambda key: (key[1], key[0] != "ticket", key))
        for key in keys:
            rate, density = best_rate(by_rate, key), by_rate[common][key].test.density
            name = "dense" if key == DENSE else key[0]
            cells = [text(by_rate[r][key].test) for r in (rate, common)]
            print(f"| {density:.0%} | {name} | {rate} | {cells[0]} | {cells[1]} |")


if __name__ == "__main__":
    main()
