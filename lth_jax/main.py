"""Runs a whole lottery-ticket study.

  lth-jax --list
  lth-jax --config=mnist1d
  lth-jax --config=lenet:smoke --config.num_replicates=10
  python -m lth_jax.main --config=my_configs/mine.py

Repeat the command to resume a study that stopped, or to add levels and arms.
"""

import functools
import logging
import os
import pathlib
import shutil
import sys
from collections.abc import Callable, Sequence

from absl import app, flags
from absl import logging as absl_logging
from ml_collections import config_flags
from tqdm import tqdm

from lth_jax import config as lth_config
from lth_jax import devices, supervisor
from lth_jax.config import command_line, fields
from lth_jax.devices.joining import peers_of
from lth_jax.errors import Exit, UserError, fail
from lth_jax.lottery.checks import check_arms
from lth_jax.lottery.interruption import Interrupted, Interruption, Signals
from lth_jax.terminal import make_streams_last
from lth_jax.version import VERSION

_KEPT = "What was done before is kept, and the same command goes on"
# The configs of all studies that a command trains, and the function that trains them and
# returns the exit code.
Prepared = tuple[Sequence[lth_config.StudyConfig], Callable[[], int]]
_OF_VALUES = AttributeError, TypeError, ValueError, SyntaxError
CONFIG = config_flags.DEFINE_config_file(
    "config", None, "The study: a file or a name from --list, then maybe :variant."
)
_LIST = flags.DEFINE_bool("list", False, "Lists the package's configs.")
_VERSION = flags.DEFINE_bool("version", False, "Prints the version.")
WORKDIR = flags.DEFINE_string(
    "workdir", None, "The folder for all results; by default runs/<config name>."
)
_COORDINATOR = flags.DEFINE_string(
    "coordinator",
    None,
    "host:port of the first of several processes that train one study together. Under a"
    " multi-task srun or on a TPU, omit this, --num_processes and --process_id.",
)
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "How many processes train.")
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "This process's number, from 0.")


def workdir() -> pathlib.Path:
    """Returns the study's folder: --workdir, or the default for the config's name."""
    if WORKDIR.value:
        return pathlib.Path(WORKDIR.value)
    filename = config_flags.get_config_filename(flags.FLAGS["config"])
    path, _, variant = filename.partition(":")
    name = pathlib.Path(path).stem
    return pathlib.Path("runs", f"{name}_{variant}" if variant else name)


def main(argv: Sequence[str], interruption: Interruption | None = None) -> int:
    """Runs the study that the flags describe; returns the exit code."""

    def prepared() -> Prepared:
        config = lth_config.read(CONFIG.value)
        check_arms(config)
        return [config], functools.partial(_run, config, workdir(), interruption)

    return carry_out("lth_jax.main", argv, prepared, interruption)


def carry_out(
    module: str,
    argv: Sequence[str],
    prepare: Callable[[], Prepared],
    interruption: Interruption | None,
) -> int:
    """Runs what a command prepares, alone or as one of several processes.

    `python -m module` is the command. Returns the exit code; prints errors in one line.
    """
    # Replaces absl's own handler. Orbax logs every step at INFO.
    logging.basicConfig(handlers=[_Handler()], level=logging.WARNING, force=True)
    absl_logging.set_verbosity(absl_logging.WARNING)
    if len(argv) > 1:
        return fail(f"unknown argument {argv[1]!r}; allowed are flags alone")
    try:
        configs, command = prepare()
        given = _COORDINATOR.value, _NUM_PROCESSES.value, _PROCESS_ID.value
        peers = peers_of(*given, os.environ)
        if peers is None:
            return command()
        if supervisor.is_child():
            from lth_jax import together

            return together.run(peers, configs, command, _failed)
        if isinstance(interruption, Signals):
            interruption.close()
        code, lost = supervisor.run_child(module, sys.argv[1:])
        return fail(f"{lost}. {_KEPT}", code) if lost else code
    except (UserError, OSError, RuntimeError) as error:
        return _failed(error)


def _failed(error: Exception) -> int:
    """Prints an error that the user can fix; raises any other. Returns the exit code."""
    if isinstance(error, UserError):
        return error.exit_code if error.is_told else fail(str(error), error.exit_code)
    if isinstance(error, OSError):
        return fail(str(error))
    if "RESOURCE_EXHAUSTED" not in str(error):  # JAX's word for a full memory
        raise error
    return fail(
        "the device's memory is full; a smaller members_per_call may help. " + _KEPT
    )


def _run(
    config: lth_config.StudyConfig,
    root: pathlib.Path,
    interruption: Interruption | None,
) -> int:
    # Imported here so that a wrong flag is reported at once.
    from lth_jax import report, run
    from lth_jax.lottery import results
    from lth_jax.store import claim
    from lth_jax.store.workdir import Workdir

    devices.use_all_cores()
    devices.check()
    files = Workdir(root)
    devices.from_first(lambda: claim.check(files, config))
    if devices.from_first(lambda: results.is_finished(config, files)):
        say(f"{root}: this study is finished; nothing is left to run")
    else:
        use_compilation_cache()
        try:
            run.run(config, root, interruption)
        except Interrupted:
            say(f"saved in {root}; go on with the same command")
            return Exit.SAVED
    text = devices.from_first(lambda: report.show(files, config.verdict))
    if devices.is_first():
        print(text)
    return 0


def use_compilation_cache() -> None:
    """Keeps compiled programs in the user's cache folder between runs."""
    import jax

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
        jax.config.update(
            "jax_compilation_cache_dir", str(pathlib.Path(cache, "lth_jax"))
        )
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def say(text: str) -> None:
    """Prints a line above the progress bar, if any; only in the first process."""
    if devices.is_first():
        _announce(text)


def _announce(text: str) -> None:
    """Prints as `say` does, but in every process; any thread may call it."""
    tqdm.write(text, file=sys.stderr)


class _Handler(logging.Handler):
    """Prints warnings as plain lines above the progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        """Prints a warning, except orbax's: orbax also raises what it logs."""
        if "orbax" in record.pathname:
            return
        say(f"{record.levelname.lower()}: {record.getMessage()}")


def parse_flags(argv: Sequence[str]) -> list[str]:
    """Parses flags for `app.run`; if one is wrong, prints why in one line and exits."""
    try:
        rest: list[str] = flags.FLAGS(command_line.prepare(argv))
        asked = _LIST.value or _VERSION.value
        if CONFIG.value is None and not asked:
            raise UserError("--config: missing; such as --config=mnist1d; see --list")
    # ml_collections raises many types, some of them from Python's parser of values.
    except (flags.Error, UserError, OSError, *_OF_VALUES) as error:
        sys.exit(fail(" ".join(str(error).split())))
    if asked:
        print(command_line.listing() if _LIST.value else f"lth_jax {VERSION}")
        sys.exit()
    return rest


def run() -> None:
    """Runs the command `lth-jax`."""
    start(main, __doc__)


def start(command: Callable[..., int], doc: str | None) -> None:
    """Runs a command that takes `argv` and an `interruption`; `doc` is for --help."""
    make_streams_last()
    signals = Signals(_announce)
    # Never closed: signals are handled until the process ends. Before this line, while
    # Python starts and JAX is imported, they have their default effect. Nothing is lost.
    signals.listen()
    # --help describes the command that was started: `lth-jax` or `python -m lth_jax`.
    sys.modules["__main__"].__doc__ = _with_fields(doc or "")
    for flag in flags.FLAGS.get_key_flags_for_module(__name__):
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    app.run(functools.partial(command, interruption=signals), flags_parser=parse_flags)


def _with_fields(doc: str) -> str:
    """A command's doc, with the config's fields added if --help is among the flags."""
    if not any(argument.startswith(("--help", "-help", "-?")) for argument in sys.argv):
        return doc
    listed = fields.listing(shutil.get_terminal_size().columns)
    return f"{doc}\nThe fields of a config, with their defaults:\n\n{listed}\n"


if __name__ == "__main__":
    run()
