"""Points: the studies that a sweep's flags describe, their folders and their page."""

import pathlib
from collections.abc import Sequence

from absl import flags
from ml_collections import config_flags

from lth_jax import config as lth_config
from lth_jax import main as of_a_study
from lth_jax.config import sweep
from lth_jax.errors import UserError
from lth_jax.lottery.checks import check_arms
from lth_jax.store.workdir import Workdir, read_config

SWEEP = flags.DEFINE_string(
    "sweep", None, "A Python file whose sweep(add) adds points, each a folder in workdir."
)


def config_file() -> pathlib.Path:
    """Returns the path of the config file."""
    name = config_flags.get_config_filename(flags.FLAGS["config"])
    return pathlib.Path(name.partition(":")[0])


def described(
    path: pathlib.Path | None,
) -> tuple[pathlib.Path, list[tuple[sweep.Point, Workdir]]]:
    """Returns the folder of all points, and each point of a file with its own folder.

    If there is no file, the config's study is the only point.

    Raises:
      ConfigError: if a point is wrong; it names the point, the field, its value and what
        is allowed.
    """
    config, root = of_a_study.CONFIG.value, of_a_study.workdir()
    if path is None:
        point = sweep.Point(root.name, {}, lth_config.read(config))
        check_arms(point.study)
        return root, [(point, Workdir(root))]
    if not of_a_study.WORKDIR.value:
        is_own = path.resolve() == config_file().resolve()
        root = root.with_name(f"{root.name}-{'sweep' if is_own else path.stem}")
    points = sweep.read_points(path, config.to_dict())
    for point in points:
        try:
            check_arms(point.study)
        except lth_config.ConfigError as error:
            raise lth_config.ConfigError(
                f"--sweep: {path}: {point.name}: {error}"
            ) from None
    return root, [(point, Workdir(root / point.name)) for point in points]


def result(root: pathlib.Path, workdirs: Sequence[Workdir]) -> str:
    """Writes the page of a study, or that which compares several.

    Returns the text to print.
    """
    from lth_jax import report  # its import takes seconds

    settings = [read_config(workdir).verdict for workdir in workdirs]
    if len(workdirs) == 1:
        return report.show(workdirs[0], settings[0])
    try:
        return report.compare(workdirs, root / "comparison.html", settings)
    except UserError as error:  # such as studies with different metrics
        return f"no page compares the studies: {error}"
