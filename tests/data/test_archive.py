"""Archives of CIFAR's kind: bombs, links, strange places, and any bytes."""

import contextlib
import gzip
import io
import os
import pathlib
import tarfile
import tempfile

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given
from support.memory import at_most

from lth_jax.data import DataError, archive, cifar

SIZES = {"a.bin": 700, "b.bin": 40}
CONTENTS = {name: bytes([i]) * n for i, (name, n) in enumerate(SIZES.items(), 1)}
MARGIN = 2**20


def entry(name, content=b"", **fields):
    """A header and its content."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


WHOLE = [entry(f"folder/{name}", content) for name, content in CONTENTS.items()]


def tar(*entries, format=tarfile.GNU_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=format) as out:
        for info, content in entries:
            out.addfile(info, io.BytesIO(content))
    return file.getvalue()


@contextlib.contextmanager
def written(packed: bytes):
    with tempfile.TemporaryDirectory() as name:
        path = pathlib.Path(name) / "archive.tar.gz"
        path.write_bytes(packed)
        yield path


def unpack(content: bytes) -> dict[str, bytes]:
    with written(gzip.compress(content)) as path:
        return archive.unpack(path, SIZES)


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_files_are_found_wherever_they_lie_and_in_their_order(format):
    folder = entry("./folder", type=tarfile.DIRTYPE)
    long = entry("x/" * 200 + "b.bin", CONTENTS["b.bin"])
    readme = entry("folder/readme.html", b"hello")
    found = unpack(tar(folder, readme, long, WHOLE[0], format=format))
    assert [*found.items()] == [*CONTENTS.items()]


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ([entry("/etc/a.bin", CONTENTS["a.bin"])], "'/etc/a.bin' lies outside of the"),
        ([entry("../a.bin", CONTENTS["a.bin"])], "'../a.bin' lies outside of the"),
        ([entry("a.bin", type=tarfile.SYMTYPE, linkname="b")], "'a.bin' is a link or"),
        ([entry("a.bin", type=tarfile.LNKTYPE, linkname="b")], "'a.bin' is a link or"),
        ([entry("c", type=tarfile.SYMTYPE, linkname="/etc")], "'c' is a link or"),
        ([entry("a.bin", type=tarfile.FIFOTYPE)], "'a.bin' is a link or"),
        ([entry("a.bin", bytes(701))], "a.bin: 701 bytes; must be 700"),
        ([entry("a.bin", bytes(2**24))], f"a.bin: {2**24} bytes; must be 700"),
        ([entry("a.bin", type=tarfile.DIRTYPE)], r"damaged archive \(no a.bin\)"),
        ([WHOLE[0], entry("other/a.bin", bytes(700))], "a.bin: there twice"),
        ([WHOLE[0], entry("c", bytes(2**25))], "unpacks to more than 1049316 bytes"),
        ([WHOLE[0], entry("x" * 2**25)], "unpacks to more than 1049316 bytes"),
        ([], r"damaged archive \(no a.bin\)"),
    ],
)
def test_what_does_not_belong_in_an_archive_is_told(others, message):
    content = tar(*others, WHOLE[1])
    packed = gzip.compress(content)
    with written(packed) as path, at_most(3 * MARGIN):
        told = pytest.raises(DataError, match=f"^{path}: .*{message}")
        with told:
            archive.unpack(path, SIZES)


def test_what_follows_the_end_is_no_bomb_and_its_checksum_counts():
    with pytest.raises(DataError, match="unpacks to more than"):
        unpack(tar(*WHOLE) + bytes(2**24))
    packed = bytearray(gzip.compress(tar(*WHOLE)))
    packed[-5] ^= 1  # gzip's checksum, of what was read
    with written(packed) as path, pytest.raises(DataError, match="damaged archive"):
        archive.unpack(path, SIZES)


@pytest.mark.parametrize("make", [pathlib.Path.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_what_is_no_file_is_told(make, tmp_path):
    make(tmp_path / "a.tar.gz")
    with pytest.raises(DataError, match=r"a\.tar\.gz: no file"):
        archive.unpack(tmp_path / "a.tar.gz", SIZES)


TAR = tar(*WHOLE)
PACKED = gzip.compress(TAR)


@given(
    st.binary(max_size=60),
    st.integers(0, 2 * 512 + 700),
    st.integers(0, 60),
    st.integers(0, 512),
)
@example(b"\x1f\x8b\x08", 0, 0, 0)  # three bytes, as of a download that broke off
@example(b"\x80" + b"\xff" * 11, 124, 12, 0)  # a negative size
def test_any_bytes_are_the_files_or_told(patch, at, dropped, cut):
    changed = bytearray(TAR[:at] + patch + TAR[at + dropped :])
    changed[148:156] = b"%06o\0 " % (sum(changed[:148]) + 8 * 32 + sum(changed[156:512]))
    for raw in (
        patch,
        PACKED[: at % len(PACKED)] + patch + PACKED[at % len(PACKED) + dropped :],
        gzip.compress(changed[: len(changed) - cut]),
        gzip.compress(patch),
    ):
        with written(raw) as path, at_most(3 * MARGIN):
            try:
                found = archive.unpack(path, SIZES)
                assert {name: len(content) for name, content in found.items()} == SIZES
            except DataError as error:
                assert str(error).startswith(str(path))


def official(folder: pathlib.Path) -> cifar.CifarFiles:
    """An archive of one record a file, taken for CIFAR-10's."""
    files = [file._replace(num_records=1) for file in cifar.CIFAR10.files]
    contents = [entry(file.name, bytes([i]) * 3073) for i, file in enumerate(files)]
    path = folder / cifar.CIFAR10.archive
    path.write_bytes(gzip.compress(tar(*contents)))
    return cifar.CIFAR10._replace(
        train=(*files[:-1],),
        test=files[-1],
        num_bytes=path.stat().st_size,
        sha256=cifar._sha256(path.read_bytes()),
    )


def test_an_archive_of_the_official_size_is_checked_before_it_is_unpacked(
    tmp_path, monkeypatch
):
    files = official(tmp_path)
    assert files.read(files.find(tmp_path)).note is None
    path = tmp_path / files.archive
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    monkeypatch.setattr(cifar, "unpack", None)
    with pytest.raises(DataError, match=r"as long as the official .* download it again"):
        files.read(files.find(tmp_path))


@given(st.integers(0, 6 * 3073 - 1), st.integers(0, 255))
def test_any_byte_of_a_record_is_read_or_told(at, value):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        files = official(folder)
        for i, file in enumerate(files.files):
            content = bytearray([i]) * 3073
            if at // 3073 == i:
                content[at % 3073] = value
            (folder / file.name).write_bytes(content)
        (folder / files.archive).unlink()
        try:
            source = files.read(files.find(folder))
        except DataError as error:
            assert at % 3073 == 0 and value >= 10
            assert "1 of 1 labels are not below 10" in str(error)
        else:
            labels = [*source.train.labels, *source.test.labels]
            expected = list(range(6))
            if at % 3073 == 0:
                expected[at // 3073] = value
            assert labels == expected
            assert np.all(source.test.inputs.dtype == np.uint8)
