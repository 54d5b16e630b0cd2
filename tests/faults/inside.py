"""Inside: the commands in this process, which spares imports and compilations.

They are what `python -m` runs, with two differences: PNG and PDF figures hold nothing,
and inline SVGs list what they would draw. Drawing takes most of a report's time.
"""

import contextlib
import io
import logging
import pathlib
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from unittest import mock

import matplotlib.figure
from absl import flags
from support.paths import ROOT

from faults.outcomes import Said
from faults.study import Bench
from lth_jax import config as lth_config
from lth_jax import devices, main, report, run
from lth_jax.deploy import __main__ as deploy
from lth_jax.deploy import measures
from lth_jax.errors import UserError, fail
from lth_jax.lottery.interruption import Interrupted, Interruption
from lth_jax.lottery.spacing import Spacing
from lth_jax.store.workdir import Workdir

_MOST_SECONDS = 120


class TooLong(BaseException):
    """No answer within the time that a case has."""


class Inside:
    """The commands of one bench's study; only one is made in a process."""

    def __init__(self, bench: Bench):
        self._bench = bench
        matplotlib.figure.Figure.savefig = _sketch
        matplotlib.figure.Figure.draw_without_rendering = lambda figure: None
        measures.median_seconds = lambda *_: {}
        devices.use_all_cores()  # as main does, before anything starts JAX

    def main(self, root: pathlib.Path) -> Said:
        """`python -m lth_jax.main`: trains what is left of the study."""
        return said(lambda: main.main(parsed(self._bench.flags(root))))

    def report(self, root: pathlib.Path) -> Said:
        """`python -m lth_jax.report`, whose flags cannot be defined beside main's."""

        def command() -> int:
            told = "warning: %(message)s"
            logging.basicConfig(level=logging.WARNING, format=told, force=True)
            try:
                print(report.write(Workdir(root)))
            except (UserError, OSError) as error:
                return fail(str(error))
            return 0

        return said(command)

    def deploy(self, root: pathlib.Path, level: int, out: pathlib.Path) -> Said:
        """`python -m lth_jax.deploy`, without times."""
        arguments = [f"--workdir={root}", f"--level={level}", f"--out={out}"]
        return said(lambda: deploy.main(arguments))

    def cut(self, root: pathlib.Path) -> None:
        """Trains the study until its second level has two checkpoints, and stops."""

        class Cut(Interruption):
            def is_told(self) -> bool:
                saved = root.glob("checkpoints/in_training_01-ticket/step_*")
                return len(list(saved)) == 2

        parsed(self._bench.flags(root))
        config = lth_config.read(flags.FLAGS.config)
        always = mock.patch.object(Spacing, "is_due", lambda self: True)
        with contextlib.suppress(Interrupted), always:
            run.run(config, root, Cut())
            raise AssertionError(f"{root} was never cut")


def parsed(arguments: Sequence[str]) -> list[str]:
    """What main makes of flags; those that an earlier command defined are forgotten."""
    for name in list(flags.FLAGS):
        if name.startswith("config."):
            delattr(flags.FLAGS, name)
    flags.FLAGS.unparse_flags()
    flags.FLAGS["config"].unparse()
    # As typed: config_flags looks there for the fields that are set.
    sys.argv = [str(ROOT / "lth_jax" / "main.py"), *arguments]
    return main.parse_flags(sys.argv)


def said(command: Callable[[], int]) -> Said:
    """How a command ends that is run here; an exception is a traceback and code 1."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            with at_most(_MOST_SECONDS):
                code = command()
        except SystemExit as stop:
            code = int(stop.code or 0)
        except (Exception, TooLong):
            traceback.print_exc()
            code = 1
    logging.getLogger().handlers.clear()
    return Said(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raises `TooLong` in what takes longer."""

    def stop(*_: object) -> None:
        raise TooLong(f"no answer within {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _sketch(figure: matplotlib.figure.Figure, file, **_: object) -> None:
    """What a figure shows, as text: the data of its lines and shapes, and its words."""
    if isinstance(file, str | pathlib.Path):
        pathlib.Path(file).write_bytes(b"")
        return
    parts = []
    for axes in figure.axes:
        parts += [repr(line.get_xydata().tolist()) for line in axes.lines]
        parts += [repr(x.get_path().vertices.tolist()) for x in axes.patches]
        for drawn in axes.collections:
            parts += [repr(path.vertices.tolist()) for path in drawn.get_paths()]
            parts.append(repr(drawn.get_offsets().tolist()))
        parts += [repr(image.get_array().tolist()) for image in axes.images]
        parts += [text.get_text() for text in (*axes.texts, axes.title)]
    file.write(f"<svg>{parts}</svg>")
