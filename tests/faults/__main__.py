"""Tries what may happen to a study, and prints what came of it.

  python -m tests.faults
  python -m tests.faults --kills=200 --damaged=2000 --inputs=100000
  python -m tests.faults --only=damaged --seed=3 --case=17

Each number is of cases of a kind; `--case` tries one again. The exit code is 1 if
anything fell short.
"""

import argparse
import concurrent.futures as futures
import contextlib
import multiprocessing
import os
import pathlib
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from faults import disks, kinds, table
from faults.kinds import KINDS, Batch
from faults.outcomes import Case, Outcome, Trial

# How many by default: some minutes.
_COUNTS = {
    "kills": 6,
    "signals": 4,
    "several": 2,
    "damaged": 60,
    "disks": 3,
    "together": 2,
    "switches": 100,
    "inputs": 1000,
}


def main(argv: Sequence[str]) -> int:
    """Tries what the flags ask for; returns the exit code."""
    args = _parsed(argv)
    began = time.monotonic()
    chosen = args.only or list(KINDS)
    os.environ["GIT_DIR"] = os.devnull  # studies note the commit, which may change
    os.environ.pop("XLA_FLAGS", None)  # and the devices, which tests force
    with contextlib.ExitStack() as stack:
        memory = "/dev/shm" if pathlib.Path("/dev/shm").is_dir() else None
        temporary = tempfile.TemporaryDirectory(prefix="faults-", dir=memory)
        folder = pathlib.Path(args.folder or stack.enter_context(temporary))
        folder.mkdir(parents=True, exist_ok=True)
        if "full-disk" in chosen and (why := disks.why_not_mount(folder)):
            print(f"full-disk: skipped, since {why}", file=sys.stderr)
            chosen.remove("full-disk")
        if not (folder / "cut").exists():
            with _pool(1) as pool:  # in a process of its own: none that lasts starts JAX
                pool.submit(kinds.make_bench, str(folder)).result()
        rows = _attempts(str(folder), chosen, args)
    show = table.as_markdown if args.markdown else table.as_text
    print(show(rows))
    minutes = (time.monotonic() - began) / 60
    print(f"\nSeed {args.seed}; {minutes:.0f} minutes, {args.workers} processes.")
    return 1 if any(batch.short for batch in rows.values()) else 0


def _parsed(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for option, count in _COUNTS.items():
        parser.add_argument(f"--{option}", type=int, default=count)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", choices=list(KINDS))
    parser.add_argument("--case", type=int, help="the number of the only case to try")
    parser.add_argument("--folder", help="where studies are made, or lie; kept")
    parser.add_argument("--workers", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--markdown", action="store_true", help="prints a table for docs")
    return parser.parse_args(argv)


def _attempts(
    folder: str, chosen: Sequence[str], args: argparse.Namespace
) -> dict[str, Batch]:
    """All cases of some kinds, by as many processes as there are workers."""
    parts = [(kind, part) for kind in chosen for part in _parts(kind, args)]
    rows = {kind: Batch(Counter(), []) for kind, _ in parts}
    left = Counter(kind for kind, _ in parts)
    told = table.Reproductions()
    for kind, found in _results(folder, parts, args):
        for outcome, number in found.outcomes.items():
            rows[kind].outcomes[outcome] += number * KINDS[kind].each
        rows[kind].short.extend(found.short)
        for line in filter(None, (told.of(*one) for one in found.short)):
            print(line, file=sys.stderr, flush=True)
        left[kind] -= 1
        if not left[kind]:
            print(table.line(kind, rows[kind]), file=sys.stderr, flush=True)
    return rows


def _parts(name: str, args: argparse.Namespace) -> list[range]:
    """The numbers of a kind's cases, in batches."""
    kind = KINDS[name]
    total = -(-getattr(args, kind.option) // kind.each)
    numbers = range(total if kind.most is None else min(total, kind.most))
    if args.case is not None:
        numbers = range(args.case, args.case + 1)
    return [numbers[i : i + kind.batch] for i in range(0, len(numbers), kind.batch)]


def _results(
    folder: str, parts: Sequence[tuple[str, range]], args: argparse.Namespace
) -> Iterator[tuple[str, Batch]]:
    """What comes of each batch, as it comes."""
    died = []
    with _pool(args.workers) as pool:
        asked = {
            pool.submit(kinds.attempt, folder, kind, args.seed, numbers): (kind, numbers)
            for kind, numbers in parts
        }
        for done in futures.as_completed(asked):
            kind, numbers = asked[done]
            try:
                yield kind, done.result()
            except futures.BrokenExecutor:  # this batch's process, or another's
                died.append((kind, numbers))
    for kind, numbers in died:
        with _pool(1) as pool:
            try:
                yield (
                    kind,
                    pool.submit(kinds.attempt, folder, kind, args.seed, numbers).result(),
                )
            except futures.BrokenExecutor as error:
                case = Case(kind, args.seed, numbers.start)
                trial = Trial(Outcome.FELL_SHORT, f"one of {numbers}", f"died: {error}")
                yield kind, Batch(Counter([trial.outcome]), [(case, trial)])


def _pool(workers: int) -> futures.ProcessPoolExecutor:
    # Not forked: a process that has run JAX cannot be.
    return futures.ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
