"""Files of MNIST's kind: read no further than they should go, and only if they are it."""

import contextlib
import gzip
import hashlib
import os
import pathlib
import struct
import tempfile

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given
from support.memory import at_most

from lth_jax.data import DataError, idx

NAMES = [*idx.MNIST.urls]
SHAPES = [(6, 28, 28), (6,), (4, 28, 28), (4,)]


def idx_bytes(array: np.ndarray, kind=8) -> bytes:
    header = struct.pack(f">4B{array.ndim}I", 0, 0, kind, array.ndim, *array.shape)
    return header + array.tobytes()


ARRAYS = [np.random.default_rng(0).integers(0, 10, shape, np.uint8) for shape in SHAPES]
CONTENTS = [idx_bytes(array) for array in ARRAYS]


def files_of(contents) -> idx.IdxFiles:
    """What is published, if these contents are."""
    sums = tuple(hashlib.sha256(content).hexdigest() for content in contents)
    return idx.MNIST._replace(checksums=sums, num_examples=(6, 4))


TINY = files_of(CONTENTS)


@contextlib.contextmanager
def written(packed=(), contents=CONTENTS):
    """A folder of these contents, the first ones as they are packed here."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        own = [*packed, *map(gzip.compress, contents[len(packed) :])]
        for file, content in zip(NAMES, own, strict=True):
            (folder / file).write_bytes(content)
        yield folder


def read(folder, files=TINY):
    return files.read(files.find(folder))


def test_what_was_written_is_read():
    with written() as folder:
        source = read(folder)
    for found, array in zip((*source.train, *source.test), ARRAYS, strict=True):
        np.testing.assert_array_equal(found.reshape(array.shape), array)


def test_no_more_is_unpacked_than_must_be_there():
    bomb = gzip.compress(CONTENTS[0] + bytes(2**26))
    assert len(bomb) < 2**17
    with written([bomb]) as folder, at_most(2**20):
        message = f"{NAMES[0]}: unpacks to more than the {len(CONTENTS[0])} bytes"
        with pytest.raises(DataError, match=message):
            read(folder)


@pytest.mark.parametrize(
    "other",
    [
        idx_bytes(ARRAYS[0], kind=9),
        idx_bytes(ARRAYS[0].reshape(6, 784)),
        idx_bytes(ARRAYS[0][:5]),
        idx_bytes(ARRAYS[0].transpose(1, 0, 2)),
        CONTENTS[0][:10],
        b"",
    ],
    ids=["signed", "two axes", "fewer", "turned", "no shape", "nothing"],
)
def test_what_is_no_such_array_is_told(other):
    contents = [other, *CONTENTS[1:]]
    with written(contents=contents) as folder:
        with pytest.raises(DataError, match=rf"{NAMES[0]}: .*bytes \[6, 28, 28\]"):
            read(folder, files_of(contents))
        with pytest.raises(DataError, match=f"{NAMES[0]}: the SHA-256 of its"):
            read(folder)


@pytest.mark.parametrize("make", [pathlib.Path.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_what_is_no_file_is_told(make):
    with written() as folder:
        (folder / NAMES[2]).unlink()
        make(folder / NAMES[2])
        with pytest.raises(DataError, match=f"{NAMES[2]}: no such file"):
            read(folder)


PACKED = gzip.compress(CONTENTS[1])


@given(st.binary(max_size=40), st.integers(0, len(PACKED)), st.integers(0, 20))
@example(b"\x1f\x8b\x08", 0, len(PACKED))
def test_any_bytes_are_the_data_or_told(patch, at, dropped):
    for raw in (patch, PACKED[:at] + patch + PACKED[at + dropped :]):
        images = gzip.compress(CONTENTS[0])
        with written([images, raw]) as folder, at_most(2**20):
            try:
                np.testing.assert_array_equal(read(folder).train.labels, ARRAYS[1])
            except DataError as error:
                assert NAMES[1] in str(error)


@given(st.binary(max_size=40))
def test_any_unpacked_bytes_are_the_data_or_told(content):
    contents = [CONTENTS[0], content, *CONTENTS[2:]]
    with written(contents=contents) as folder, at_most(2**20):
        try:
            labels = read(folder, files_of(contents)).train.labels
            assert content == idx_bytes(labels.astype(np.uint8))
        except DataError as error:
            assert NAMES[1] in str(error)
