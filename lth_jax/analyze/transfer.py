"""Transfer: masks, signs or tickets of one study, trained in another."""

import argparse
import functools
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np

from lth_jax import masks as masks_lib
from lth_jax.analysis import intervals, transfer
from lth_jax.analysis.comparison import find_pair
from lth_jax.analysis.outcomes import DENSE, Outcomes, outcomes
from lth_jax.analysis.transfer import Given
from lth_jax.analysis.verdict import as_json
from lth_jax.analysis.words import percent
from lth_jax.analyze.analysis import Analysis, Subject, add_levels
from lth_jax.analyze.source import Source, described
from lth_jax.config.requirements import require
from lth_jax.lottery.arms import Origin, Rules, Start
from lth_jax.lottery.arms.rewound import start_shuffle
from lth_jax.lottery.solutions import Planted
from lth_jax.masks import Masks
from lth_jax.report.grid import aligned
from lth_jax.store import records, tickets
from lth_jax.store.analyses import Found
from lth_jax.store.records import Run

_MOST_LEVELS = 4  # levels that train by default
_CONTROL = "shuffle"  # the arm whose masks are random: its own weights, masks permuted
_RANDOM = "random"  # its name here, also for the study's own runs of it
_ALIGNED = "_aligned"  # suffix of a kind after the source's units are aligned
_Start = Callable[[Origin, Given], Start]  # compiled, axis R


def _add_flags(parser: argparse.ArgumentParser) -> None:
    add_levels(parser, f"{_MOST_LEVELS} of those")
    add = parser.add_argument
    told = "the workdir of another study; by default replicates take the next one's"
    add("--source", type=pathlib.Path, help=told)
    kinds, told = list(transfer.KINDS), "what is transferred, by default all of"
    add(
        "--kinds",
        type=lambda text: list(dict.fromkeys(text.split(","))),
        default=kinds,
        help=f"{told} {','.join(kinds)}",
    )
    told = (
        "also train each kind with the source's units aligned by the dense nets' weights"
    )
    add("--align", action="store_true", help=told)


def _run(subject: Subject, asked: argparse.Namespace) -> tuple[Found, str]:
    allowed = f"one of {', '.join(transfer.KINDS)}"
    for kind in asked.kinds:
        require("kinds", kind, kind in transfer.KINDS, allowed)
    source = Source(subject, asked.source)
    levels = source.levels(asked.levels)
    if asked.levels is None:
        levels = subject.that_matter(levels, _MOST_LEVELS)
    known = records.read(subject.workdir.records)
    recorded = {run.level for run in known if run.arm == "ticket"}
    levels = [level for level in levels if level in recorded]  # not of one just ended
    jobs, misfits = _jobs(subject, source, levels, asked, known)
    runs = [run for run in known if run.arm == "ticket" and run.level in (0, *levels)]
    measured = subject.solutions.runs(list(jobs.values()))
    for (what, _), own in zip(jobs, measured, strict=True):
        runs += [run._replace(arm=what) for run in own]
    controls = [level for level in levels if (_RANDOM, level) not in jobs]
    runs += [
        run._replace(arm=_RANDOM)
        for run in known
        if run.arm == _CONTROL and run.level in controls
    ]
    found = outcomes(runs)
    dense = found[DENSE]
    settings = {
        "source": None if asked.source is None else str(asked.source),
        "differs": source.differs,
        "kinds": asked.kinds,
        "misfits": misfits,
        "aligned": _aligned(source) if asked.align else None,
        "metric": dense.metric.name,
        "dense": as_json(dense.mean("early_stop_metric")),
    }
    tried = _tried(asked)
    shown = [_shown(found, level, tried) for level in levels]
    table = "\n".join(aligned(_rows(found, levels, tried)))
    return settings | {"levels": shown}, table + _note(misfits, settings["aligned"])


def _tried(asked: argparse.Namespace) -> list[str]:
    """Returns the kinds, each followed by its aligned variant if that is asked for."""
    ends = ("", _ALIGNED) if asked.align else ("",)
    return [kind + end for kind in asked.kinds for end in ends]


def _aligned(source: Source) -> dict[str, Any]:
    """Returns the cosine between the dense nets before and after alignment."""
    names, bounds = ("before", "after"), (-1.0, 1.0)
    each = zip(names, source.similarity, strict=True)
    found: dict[str, Any] = as_json(
        {k: intervals.mean(x, bounds=bounds) for k, x in each}
    )
    return found


def _jobs(
    subject: Subject,
    source: Source,
    levels: Sequence[int],
    asked: argparse.Namespace,
    known: Iterable[Run],
) -> tuple[dict[tuple[str, int], Planted], dict[str, str]]:
    """Returns the jobs to train, by kind and level, and the layers that do not fit."""
    starts, nets = _starts(subject, asked.kinds), subject.rewound
    to_init = subject.config.rewind.what.params == "init"
    weights = jax.device_get((nets.initial if to_init else nets.point).params)
    controls = {run.level for run in known if run.arm == _CONTROL}
    jobs: dict[tuple[str, int], Planted] = {}
    misfits: dict[str, str] = {}
    for level in levels:
        given, told = source.given(weights, level)
        misfits |= told
        matched = source.aligned(given, told) if asked.align else given
        for what in _tried(asked):
            kind = what.removesuffix(_ALIGNED)
            part = given if what == kind else matched
            jobs[what, level] = _planted(
                subject, "ticket", level, what, starts[kind], part
            )
        own, _ = tickets.load_masks(subject.workdir.ticket(level))
        theirs = dict(masks_lib.named_leaves(given.masks))
        if level not in controls or not _are_as_many(own, theirs):
            jobs[_RANDOM, level] = _planted(
                subject, _CONTROL, level, _RANDOM, starts[_RANDOM], given
            )
    return jobs, misfits


def _starts(subject: Subject, kinds: Sequence[str]) -> dict[str, _Start]:
    study = subject.study
    rules = Rules(study.tx, study.network.init, study.config.rewind.what, study.prunable)

    def shuffled(origin: Origin, given: Given) -> Start:
        return start_shuffle(origin._replace(masks=given.masks), rules)

    def transferred(kind: str, origin: Origin, given: Given) -> Start:
        return transfer.start(kind, origin, given, rules)

    found: dict[str, _Start] = {_RANDOM: shuffled}
    found |= {kind: functools.partial(transferred, kind) for kind in kinds}
    return {what: jax.jit(jax.vmap(start)) for what, start in found.items()}


def _planted(
    subject: Subject, arm: str, level: int, what: str, begin: _Start, given: Given
) -> Planted:
    """Returns the job of an arm that starts from `given` instead."""
    job, nets = subject.job(arm, level), subject.rewound
    origin = Origin(
        masks=given.masks,
        initial=nets.initial,
        point=nets.point,
        trained=None,
        dense=None,
        counts=None,
        init_key=job.keys("init"),
        mask_key=job.keys("masks"),
    )
    return Planted.at(job, f"transferred_{what}", begin(origin, given))


def _are_as_many(a: Masks, b: Masks) -> bool:
    """Returns whether masks bool[R, ...] by path keep equally many weights by layer."""
    counts = [
        {path: x.reshape(len(x), -1).sum(1) for path, x in m.items()} for m in (a, b)
    ]
    return all(np.array_equal(counts[0][path], counts[1][path]) for path in counts[0])


def _shown(found: Outcomes, level: int, tried: Sequence[str]) -> dict[str, Any]:
    """Returns the metrics at a level, and the differences paired by replicate."""
    arms = {}
    for what in ("ticket", *tried, _RANDOM):
        outcome = found[what, level]
        arms[what] = {
            "density": outcome.density,
            "reached": as_json(outcome.mean("early_stop_metric")),
        }
        for reference in ("ticket", _RANDOM):
            pair = find_pair(found, what, reference, level)
            if what != reference and what != "ticket" and pair:
                arms[what][f"minus_{reference}"] = as_json(pair.mean_difference())
    return {"level": level, "density": found["ticket", level].density, "arms": arms}


def _rows(
    found: Outcomes, levels: Sequence[int], tried: Sequence[str]
) -> list[list[str]]:
    metric = found[DENSE].metric
    rows = [["level", "density", "trained", f"test {metric.heading}", "minus own ticket"]]
    for level in levels:
        for what in ("ticket", *tried, _RANDOM):
            outcome, pair = found[what, level], find_pair(found, what, "ticket", level)
            reached = metric.text(outcome.mean("early_stop_metric"))
            name = what.replace("_", ", ")
            cells = [str(level), percent(outcome.density), name, reached]
            minus = ""
            if pair and what != "ticket":
                minus = metric.difference(pair.mean_difference())
            rows.append([*cells, minus])
    return rows


def _note(misfits: dict[str, str], matched: dict[str, Any] | None) -> str:
    told = (
        "\n\nAt early stop. Masks: the study's weights under the source's masks. Signs:"
        "\nthe same with the source's signs. Tickets: the source's weights and masks."
        "\nRandom: the study's weights under random masks that keep as many per layer."
    )
    if matched:
        before, after = (matched[name]["value"] for name in ("before", "after"))
        told += (
            "\nAligned: the source's units are matched to the study's by the dense nets'"
            f"\nweights. This raises the cosine from {before:.2f} to {after:.2f}."
        )
    if misfits:
        told += "\nThese do not fit, and stay dense with the study's weights:"
        told += f"\n{described(misfits)}."
    return told


ANALYSIS = Analysis(
    "whether another study's masks, signs or tickets train as well as the study's",
    _add_flags,
    _run,
)
