"""Bare: programs that use small modules of the package, and start at once."""

import sys

from support.paths import ROOT

_ALONE = """
import sys, types
package = types.ModuleType("lth_jax")
package.__path__ = [{path!r}]
sys.modules["lth_jax"] = package
"""


def command(program: str, *arguments: object) -> list[str]:
    """Runs it without what the package's own `__init__` imports."""
    alone = _ALONE.format(path=str(ROOT / "lth_jax"))
    return [sys.executable, "-c", alone + program, *map(str, arguments)]
