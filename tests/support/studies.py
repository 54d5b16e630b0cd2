"""Made-up studies: records whose true accuracies and early-stop steps are known."""

import numpy as np

from lth_jax.store.records import Curve, Run

EVERY = 100  # steps between evaluations
BUDGET = 10_000
STEPS = np.arange(EVERY, BUDGET + 1, EVERY)
DENSITIES = [0.5**level for level in range(20)]


def make_run(arm, level, replicate, step, accuracy, final=None, density=None):
    """A run that stops early at a step, with a test accuracy there and at the end."""
    density = DENSITIES[level] if density is None else density
    test = np.full(len(STEPS), accuracy if final is None else final, float)
    test[np.searchsorted(STEPS, step)] = accuracy
    loss = 0.1 + np.abs(STEPS - step) / BUDGET
    return Run(
        arm,
        replicate,
        level,
        density,
        {
            ("mask", "weights_left"): Curve(STEPS[:1], np.array([round(1000 * density)])),
            ("train", "accuracy"): Curve(STEPS[-1:], np.array([0.999])),
            ("validation", "loss"): Curve(STEPS, loss),
            ("test", "accuracy"): Curve(STEPS, test),
        },
    )


def exact(truth, num_replicates=1):
    """A study without noise: `truth` has (accuracy, step) for every (arm, level)."""
    return [
        make_run(arm, level, replicate, step, accuracy)
        for (arm, level), (accuracy, step) in truth.items()
        for replicate in range(num_replicates)
    ]


def noisy(truth, num_replicates, noise, spread, rng):
    """The same with independent replicates, as 10,000 test examples would show them.

    Accuracies are normal about the truth, and half of their variance is the replicate's
    own at all arms and levels; so are the logarithms of the steps.
    """

    def drawn():
        own = rng.standard_normal((len(truth), num_replicates))
        return (own + rng.standard_normal(num_replicates)) / np.sqrt(2)

    runs = []
    scale = np.sqrt(np.log1p(spread**2))
    for (arm, level), z, log_z in zip(truth, drawn(), drawn(), strict=True):
        accuracy, step = truth[arm, level]
        accuracies = np.round(accuracy + noise * z, 4)
        factors = np.exp(scale * log_z - scale**2 / 2)
        steps = np.clip(np.round(step * factors / EVERY) * EVERY, EVERY, BUDGET)
        runs += [
            make_run(arm, level, replicate, *values)
            for replicate, values in enumerate(zip(steps, accuracies, strict=True))
        ]
    return runs


def by_loss(runs):
    """The same without accuracies: each test loss is 1 minus the accuracy."""

    def curves(run):
        for (split, metric), curve in run.curves.items():
            if metric == "accuracy":
                yield (split, "loss"), curve._replace(values=1 - curve.values)
            else:
                yield (split, metric), curve

    return [run._replace(curves=dict(curves(run))) for run in runs]


def rarely_tested(runs):
    """The same, tested at the last step alone, and once more at the early stop."""
    found = []
    for run in runs:
        metric = "accuracy" if ("test", "accuracy") in run.curves else "loss"
        validation, test = run.curves["validation", "loss"], run.curves["test", metric]
        at = np.argmin(validation.values)
        stop, last = (Curve(*(x[i : i + 1 or None] for x in test)) for i in (at, -1))
        changed = {("test", metric): last, ("test", f"early_stop_{metric}"): stop}
        found.append(run._replace(curves=run.curves | changed))
    return found
