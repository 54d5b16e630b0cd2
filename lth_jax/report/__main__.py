"""Writes the page of a study again, or one page of several studies or shards.

  python -m lth_jax.report --workdir=runs/mnist1d
  python -m lth_jax.report --workdir=runs/mnist1d --workdir=runs/thirty
  python -m lth_jax.report --merge --workdir=runs/x/0 --workdir=runs/x/1 --out=runs/whole

A study may still be running: its page then shows the part that is finished.
"""

import dataclasses
import logging
import pathlib
import sys
from collections.abc import Sequence

from absl import app, flags

from lth_jax.errors import UserError, fail
from lth_jax.terminal import make_streams_last

_WORKDIRS = flags.DEFINE_multi_string(
    "workdir", [], "A study's folder; several folders make one page that compares them."
)
_MERGE = flags.DEFINE_bool(
    "merge", False, "The folders are shards of one study, which is reported as a whole."
)
_OUT = flags.DEFINE_string(
    "out",
    None,
    "The file of the page that compares several studies, by default comparison.html;"
    " with --merge, the folder of the report, by default merged.",
)
_ACCURACY_MARGIN = flags.DEFINE_float(
    "accuracy_margin",
    None,
    "How far below the dense net's accuracy a ticket still matches it, in [0, 1); by"
    " default the study's own.",
)


def main(argv: Sequence[str]) -> int:
    """Writes what the flags ask for; returns the exit code."""
    # Replaces absl's own handler, whose lines begin with a date and a source line.
    logging.basicConfig(level=logging.WARNING, format="warning: %(message)s", force=True)
    if len(argv) > 1:
        return fail(f"unknown argument {argv[1]!r}; allowed are flags alone")
    if not _WORKDIRS.value:
        return fail("--workdir: missing; such as --workdir=runs/mnist1d")
    try:
        print(_report([pathlib.Path(path) for path in _WORKDIRS.value]))
    except (UserError, OSError) as error:
        return fail(str(error))
    return 0


def _report(roots: Sequence[pathlib.Path]) -> str:
    from lth_jax import report  # imported here so that a wrong flag is reported at once
    from lth_jax.store.workdir import Workdir, read_config

    workdirs = [Workdir(root) for root in roots]
    settings = [read_config(workdir).verdict for workdir in workdirs]
    if (margin := _ACCURACY_MARGIN.value) is not None:
        settings = [dataclasses.replace(x, accuracy_margin=margin) for x in settings]
        settings[0].check()
    if _MERGE.value:
        return report.merge(workdirs, pathlib.Path(_OUT.value or "merged"), settings[0])
    if len(workdirs) == 1:
        return report.write(workdirs[0], settings[0])
    out = pathlib.Path(_OUT.value or "comparison.html")
    return report.compare(workdirs, out, settings)


def _parse_flags(argv: Sequence[str]) -> list[str]:
    try:
        rest: list[str] = flags.FLAGS(list(argv))
    except flags.Error as error:
        sys.exit(fail(" ".join(str(error).split())))
    return rest


if __name__ == "__main__":
    make_streams_last()
    app.run(main, flags_parser=_parse_flags)
