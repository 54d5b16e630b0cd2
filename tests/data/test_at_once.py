"""Processes that prepare one data set at once, and one that is killed meanwhile."""

import contextlib
import gzip
import hashlib
import os
import pathlib
import signal
import struct
import subprocess
import sys

import numpy as np
import pytest
from support.paths import ROOT

from lth_jax.data import idx

# It prepares slowly, so that others come while it does; then it prints what it read.
PROGRAM = """
import hashlib, sys, time
from lth_jax.data import builders, idx
from lth_jax.data.published import published

folder, checksums, seconds = sys.argv[1:]
generate = builders._FromRaw._generate_examples

def slowly(self, split):
    for number, example in enumerate(generate(self, split)):
        if number == 2:
            print("preparing", flush=True)
            time.sleep(float(seconds))
        yield example

builders._FromRaw._generate_examples = slowly
files = idx.MNIST._replace(checksums=tuple(checksums.split(",")), num_examples=(6, 4))
print("ready", flush=True)
sys.stdin.readline()
source = published("mnist", files)(folder)
digest = hashlib.sha256(b"".join(x.tobytes() for x in (*source.train, *source.test)))
print(digest.hexdigest(), len(source.train.labels), len(source.test.labels), flush=True)
"""


@pytest.fixture
def raw(tmp_path) -> tuple[pathlib.Path, str]:
    """The folder of a tiny MNIST, and its checksums."""
    rng, folder = np.random.default_rng(0), tmp_path / "raw"
    folder.mkdir()
    checksums = []
    shapes = [(6, 28, 28), (6,), (4, 28, 28), (4,)]
    for name, shape in zip(idx.MNIST.urls, shapes, strict=True):
        array = rng.integers(0, 10, shape, np.uint8)
        header = struct.pack(f">I{len(shape)}I", 0x0800 + len(shape), *shape)
        checksums.append(hashlib.sha256(header + array.tobytes()).hexdigest())
        (folder / name).write_bytes(gzip.compress(header + array.tobytes()))
    return folder, ",".join(checksums)


@pytest.fixture
def loading(raw, tmp_path):
    """Starts a process that waits for a line, then loads the set and prints it."""
    env = {**os.environ, "TFDS_DATA_DIR": str(tmp_path / "tfds")}
    with contextlib.ExitStack() as stack:

        def start(seconds):
            command = [sys.executable, "-c", PROGRAM, str(raw[0]), raw[1], str(seconds)]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            process = subprocess.Popen(
                command, cwd=ROOT, env=env, stderr=subprocess.PIPE, **pipes
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start


def wait_for(process, text):
    line = ""
    while text not in line:
        line = process.stdout.readline()
        assert line, process.stderr.read()


def go(process):
    process.stdin.write("\n")
    process.stdin.flush()


def last_line(process) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out.splitlines()[-1]


def prepared(folder: pathlib.Path) -> list[str]:
    """What lies in the data set's folder."""
    return sorted(path.name for path in (folder / "tfds" / "lth_mnist").iterdir())


@pytest.mark.slow
def test_processes_that_prepare_one_set_at_once_all_have_it(loading, tmp_path):
    processes = [loading(0.5) for _ in range(3)]
    for process in processes:
        wait_for(process, "ready")
    for process in processes:
        go(process)
    found = [last_line(process) for process in processes]
    assert len({*found}) == 1
    assert found[0].endswith(" 6 4")
    assert prepared(tmp_path) == [".lock", "1.0.0"]


@pytest.mark.slow
def test_a_killed_process_stops_no_other_and_leaves_nothing(loading, tmp_path):
    killed, waiting = loading(60), loading(0)
    for process in (killed, waiting):
        wait_for(process, "ready")
    go(killed)
    wait_for(killed, "preparing")
    go(waiting)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert last_line(waiting).endswith(" 6 4")
    assert prepared(tmp_path) == [".lock", "1.0.0"]
