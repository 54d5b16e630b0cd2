"""Streams whose reader is gone, that are closed, or that know ASCII alone."""

import subprocess
import sys

import pytest
from support.paths import ROOT

# Loaded by its path, since all of the package takes seconds.
FILE = ROOT / "lth_jax" / "terminal.py"
CODE = f"""
import importlib.util, pathlib, sys
spec = importlib.util.spec_from_file_location("terminal", {str(FILE)!r})
terminal = importlib.util.module_from_spec(spec)
spec.loader.exec_module(terminal)
terminal.make_streams_last()
for _ in range(5000):
    print("57.8 \\u00b1 0.9, and more of it")
    print("told", file=sys.stderr, flush=True)
pathlib.Path(sys.argv[1]).write_text("done")
"""


@pytest.mark.parametrize(
    "redirect",
    ["| head -c 5", "2>&1 | head -c 5", ">&-", "2>&-", ">&- 2>&-", ">/dev/full"],
)
def test_work_goes_on_whoever_reads(redirect, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(CODE)
    command = f"set -o pipefail; {sys.executable} {program} {tmp_path}/end {redirect}"
    found = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert (tmp_path / "end").read_text() == "done"
    assert "Exception" not in found.stderr


def test_what_ascii_has_not_is_a_question_mark(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(CODE)
    found = subprocess.run(
        [sys.executable, program, tmp_path / "end"],
        capture_output=True,
        text=True,
        env={"PYTHONIOENCODING": "ascii"},
        check=True,
    )
    assert found.stdout.startswith("57.8 ? 0.9")
