"""Adds an analysis of a study to its page, and writes the numbers to its folder.

  python -m lth_jax.analyze overlap --workdir=runs/mnist1d --levels=1,3

The study may still be running. The analysis then covers what is finished.
"""

import argparse
import logging
import pathlib
import sys
from collections.abc import Sequence
from typing import NoReturn

from tqdm import tqdm

from lth_jax import devices, report
from lth_jax.analyze import ANALYSES
from lth_jax.analyze.analysis import Subject
from lth_jax.errors import Exit, UserError, did_you_mean, fail
from lth_jax.lottery.interruption import Interrupted, Interruption, Signals
from lth_jax.store import analyses
from lth_jax.store.workdir import Workdir
from lth_jax.terminal import make_streams_last


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Prints what is wrong in one line, and exits."""
        sys.exit(fail(message))


def main(argv: Sequence[str], interruption: Interruption | None = None) -> int:
    """Runs the analysis that the flags ask for, and returns the exit code."""
    logging.basicConfig(level=logging.WARNING, format="warning: %(message)s")
    if not {*ANALYSES, "-h", "--help"} & {*argv} and all(x.startswith("-") for x in argv):
        return fail(f"NAME: missing; must be one of {', '.join(ANALYSES)}")
    if argv[0] not in ANALYSES and not argv[0].startswith("-"):
        near = did_you_mean(argv[0], ANALYSES)
        return fail(f"NAME: {argv[0]!r}; must be one of {', '.join(ANALYSES)}{near}")
    args = _parser().parse_args(argv)
    try:
        print(_analyze(args, interruption))
    except (UserError, OSError) as error:
        return fail(str(error))
    except Interrupted:
        _say(f"saved in {args.workdir}; go on with the same command")
        return Exit.SAVED
    return 0


def _say(text: str) -> None:
    """Prints a line above the progress bar, where there is one."""
    tqdm.write(text, file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m lth_jax.analyze", allow_abbrev=False)
    names = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    for name, analysis in ANALYSES.items():
        own = names.add_parser(
            name, help=analysis.help, description=analysis.help, allow_abbrev=False
        )
        own.add_argument("--workdir", required=True, type=pathlib.Path, help="of a study")
        own.add_argument(
            "--raw_dir",
            help="where the raw data are now; by default where the study read them",
        )
        analysis.add_flags(own)
    return parser


def _analyze(args: argparse.Namespace, interruption: Interruption | None) -> str:
    devices.check()
    workdir = Workdir(args.workdir)
    subject = Subject(workdir, args.raw_dir, interruption)
    found, told = ANALYSES[args.name].run(subject, args)
    path = workdir.analysis(args.name)
    analyses.write(path, found)
    report.write(workdir)
    return f"{told}\n\nnumbers  {path}\npage     {workdir.page}"


if __name__ == "__main__":
    make_streams_last()
    signals = Signals(_say)  # never closed, as in `lth_jax.main`
    signals.listen()
    sys.exit(main(sys.argv[1:], signals))
