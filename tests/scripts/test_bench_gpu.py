"""The list of GPU measurements, a little of each: does every part of it still run?"""

import pathlib
import subprocess
import sys

import pytest
from support.paths import ROOT


@pytest.mark.slow
def test_every_part_runs_and_the_killed_study_equals_its_twin(user_environment, tmp_path):
    variables = {
        "LTH_GPU_TINY": "1",
        "OUT": str(tmp_path / "out"),
        # Its python3 is this one.
        "PATH": f"{pathlib.Path(sys.executable).parent}:{user_environment['PATH']}",
    }
    done = subprocess.run(
        ["scripts/bench_gpu.sh"],
        cwd=ROOT,
        env={**user_environment, **variables},
        stdout=subprocess.PIPE,
        text=True,
        timeout=540,
    )
    assert done.returncode == 0, done.stdout
    assert "not started" not in done.stdout, done.stdout
    for measured in ('"measurement": "members"', "steps/s", '"dtype": "bfloat16"'):
        assert measured in done.stdout, done.stdout
    assert (tmp_path / "out" / "records.tgz").stat().st_size > 1000
