"""Files are whole, sealed, and written by one writer each."""

import errno
import os
import subprocess
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lth_jax.store import files
from lth_jax.store.files import (
    DamagedFile,
    WriteError,
    is_sealed,
    read_sealed,
    remove_unfinished,
    whole,
    write_sealed,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_fails_leaves_the_old(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), whole(path) as unfinished:
        unfinished.write_text("new")
        1 / 0  # noqa: B018
    assert (path.read_text(), names(tmp_path)) == ("old", ["a.txt"])


def test_writers_at_once_do_not_meet(tmp_path):
    path = tmp_path / "a.txt"
    both = threading.Barrier(2)

    def write(text):
        with whole(path) as unfinished:
            unfinished.write_text(text)
            both.wait(timeout=30)

    writers = [threading.Thread(target=write, args=(x * 1000,)) for x in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert path.read_text() in ("a" * 1000, "b" * 1000)
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_disk_that_takes_no_more_is_told(tmp_path, code):
    with (
        pytest.raises(WriteError, match=f"a.txt: cannot be written .{os.strerror(code)}"),
        whole(tmp_path / "a.txt") as unfinished,
    ):
        unfinished.write_text("half")
        raise OSError(code, os.strerror(code))
    assert names(tmp_path) == []


def test_all_is_on_the_disk_before_it_moves_and_its_folder_after(tmp_path, monkeypatch):
    events = []
    own, move = os.fsync, os.replace

    def sync(descriptor):
        events.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        own(descriptor)

    def replace(source, target):
        events.append("moved")
        move(source, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", replace)
    with whole(tmp_path / "made") as unfinished:
        unfinished.mkdir()
        (unfinished / "a").write_text("x")
        (unfinished / "b").write_text("y")
    moved = events.index("moved")
    assert sorted(events[:moved]) == ["a", "b", "made"]
    assert events[moved + 1 :] == [tmp_path.name]


def test_what_killed_writers_left_goes(tmp_path):
    old, young = tmp_path / ".unfinished-old", tmp_path / ".unfinished-young"
    for folder in (old, young):
        folder.mkdir()
        (folder / "a.txt").write_text("half")
    before = time.time() - 2 * files._LONGEST_WRITE_SECONDS
    os.utime(old, (before, before))
    write_sealed(tmp_path / "b.txt", b"b")
    assert names(tmp_path) == [young.name, "b.txt", "b.txt.sha256"]
    remove_unfinished(tmp_path)
    assert names(tmp_path) == ["b.txt", "b.txt.sha256"]


def test_the_usual_command_checks_a_seal(tmp_path):
    write_sealed(tmp_path / "a b.csv", b"1,2\n")
    command = ["sha256sum", "-c", "a b.csv.sha256"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 0


@given(content=st.binary(min_size=1), data=st.data())
def test_any_other_bytes_are_damage(tmp_path_factory, content, data):
    path = tmp_path_factory.mktemp("files") / "a"
    write_sealed(path, content)
    assert read_sealed(path) == content
    victim = data.draw(st.sampled_from([path, path.with_name("a.sha256")]))
    intact = bytearray(victim.read_bytes())
    kind = data.draw(st.sampled_from(["flip", "cut", "grow"]))
    at = data.draw(st.integers(0, len(intact) - 1))
    if kind == "flip":
        intact[at] ^= 1 << data.draw(st.integers(0, 7))
    elif kind == "cut":
        del intact[at:]
    else:
        intact.insert(at, 0)
    victim.write_bytes(intact)
    assert not is_sealed(path)
    with pytest.raises(DamagedFile, match=r"a: damaged, or a\.sha256 beside it is"):
        read_sealed(path)


def test_a_file_that_is_gone_or_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_sealed(tmp_path / "a")
    write_sealed(tmp_path / "a", b"a")
    (tmp_path / "a.sha256").unlink()
    assert read_sealed(tmp_path / "a") == b"a"  # as copied elsewhere alone
    (tmp_path / "a.sha256").mkdir()
    with pytest.raises(DamagedFile, match=r"a\.sha256: cannot be read"):
        read_sealed(tmp_path / "a")
    (tmp_path / "b").mkdir()
    with pytest.raises(DamagedFile, match=r"b: cannot be read"):
        read_sealed(tmp_path / "b")
    assert not any(is_sealed(tmp_path / name) for name in ("a", "b", "c"))
