"""The bounded reader of .npz files, against `numpy.load` and against liars."""

import io
import json
import struct
import tracemalloc
import zipfile
import zlib

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given

from lth_jax import npz
from lth_jax.npz import NpzError

NAMES = st.sampled_from(["x", "mask/dense/kernel", "ü", "provenance"])
DTYPES = st.one_of(
    hnp.integer_dtypes(),
    hnp.floating_dtypes(),
    hnp.boolean_dtypes(),
    hnp.unicode_string_dtypes(),
)
ARRAYS = hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, min_side=0, max_side=4))


def packed(save=np.savez_compressed, **arrays) -> bytes:
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def read(content: bytes) -> dict[str, np.ndarray]:
    with npz.opened(io.BytesIO(content)) as arrays:
        return {name: arrays.read(name) for name in arrays.headers}


@given(st.dictionaries(NAMES, ARRAYS, max_size=3), st.booleans())
def test_what_numpy_saves_is_read_as_numpy_loads_it(arrays, compress):
    content = packed(np.savez_compressed if compress else np.savez, **arrays)
    with np.load(io.BytesIO(content)) as file:
        expected = {name: file[name] for name in file}
    found = read(content)
    assert [*found] == [*expected]
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)


def test_headers_are_known_before_anything_is_read(tmp_path):
    path = tmp_path / "zeros.npz"
    path.write_bytes(packed(x=np.zeros((300, 2**16), np.float32), y=np.array(["ab"])))
    tracemalloc.start()
    with npz.opened(path) as arrays:
        assert arrays.headers["x"] == (np.dtype("<f4"), (300, 2**16))
        assert arrays.headers["x"].num_bytes == 300 * 2**18
        assert arrays.headers["y"].num_bytes == 8
        with pytest.raises(NpzError, match=r"no array 'z'; there are \['x', 'y'\]"):
            arrays.read("z")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_a_path_that_cannot_be_opened_is_the_systems_error(tmp_path):
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(OSError, match=str(path)), npz.opened(path):
            pass


def member(content: bytes, name="x.npy", method=zipfile.ZIP_DEFLATED) -> bytes:
    """A zip file of one member."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as out:
        out.writestr(name, content)
    return file.getvalue()


def npy(header: str, data: bytes = b"", length=None, version=1) -> bytes:
    """An .npy file of a header, as it may be written by anyone."""
    text = header.encode("latin1")
    size = len(text) if length is None else length
    packed = struct.pack("<H" if version == 1 else "<I", size)
    return b"\x93NUMPY" + bytes([version, 0]) + packed + text + data


def said(descr, shape) -> str:
    return f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}}}"


def with_sizes(content: bytes, compressed=None, full=None) -> bytes:
    """The directory of a file of one member, with other sizes, there and before it."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        (info,) = file.infolist()
    sizes = struct.pack(
        "<II",
        info.compress_size if compressed is None else compressed,
        info.file_size if full is None else full,
    )
    old = struct.pack("<II", info.compress_size, info.file_size)
    assert content.count(old) == 2
    return content.replace(old, sizes)


TEN = npy(said("<f4", (10,)), bytes(40))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a whole .npz file"),
        (b"PK\x05\x06", "not a whole .npz file"),
        (TEN, "not a whole .npz file"),
        (
            member(npy(said("<f4", (2**40,)))),
            r"says float32\[1099511627776\], 4398046511104",
        ),
        (
            member(npy(said("<f4", (9,)), bytes(40))),
            r"float32\[9\], 36 bytes, but has 40",
        ),
        (member(npy(said("<f4", (-10,)), bytes(40))), r"says float32\[-10\]"),
        (member(npy(said("<f4", (-5, -2)), bytes(40))), r"says float32\[-5, -2\]"),
        (member(npy(said("<f4", (2**62, 4)))), r"says float32\["),
        (member(npy(said("|O", (1,)), bytes(8))), "holds Python objects"),
        (member(npy(said("<f4", (10,)), bytes(40), version=3)), "'x' is damaged"),
        (member(npy("(" * 5000)), "'x' is damaged"),
        (member(npy(said("<f4", ("a",)))), "'x' is damaged"),
        (member(npy("", bytes(2**22), length=2**32 - 1, version=2)), "'x' is damaged"),
        (member(b"\x93NUMPY"), "'x' is damaged"),
        (member(TEN, method=zipfile.ZIP_LZMA), "neither stored nor deflated"),
        (member(TEN, method=zipfile.ZIP_BZIP2), "neither stored nor deflated"),
        (with_sizes(member(TEN), full=2**32 - 2), "more than can be packed there"),
        (with_sizes(member(TEN), compressed=2**31), "longer than the file"),
    ],
)
def test_liars_are_refused_before_they_are_read(content, message):
    tracemalloc.start()
    with pytest.raises(NpzError, match=message), npz.opened(io.BytesIO(content)):
        pass
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


def test_a_member_that_holds_more_than_the_directory_says_is_read_no_further():
    full = len(TEN)
    bomb = with_sizes(member(TEN + bytes(2**26)), full=full)
    tracemalloc.start()
    with pytest.raises(NpzError, match="'x' is damaged"):  # by its checksum
        read(bomb)
    assert tracemalloc.get_traced_memory()[1] < 2**21
    tracemalloc.stop()


def test_members_that_share_their_bytes_or_their_name_are_refused():
    one = packed(x=np.zeros(2**22))
    start = one.index(b"PK\x01\x02")
    end = one.index(b"PK\x05\x06")
    entry = one[start:end]
    for other, message in ((b"y.npy", "longer than"), (b"x.npy", "two of 'x'|longer")):
        entries = entry + entry.replace(b"x.npy", other) * 3
        tail = bytearray(one[end:])
        struct.pack_into("<HHI", tail, 8, 4, 4, len(entries))
        with pytest.raises(NpzError, match=message):
            read(one[:start] + entries + bytes(tail))
    twice = io.BytesIO()
    with zipfile.ZipFile(twice, "w") as out, pytest.warns(UserWarning, match="Duplicate"):
        out.writestr("x.npy", TEN)
        out.writestr("x.npy", TEN)
    with pytest.raises(NpzError, match="there are two of 'x'"):
        read(twice.getvalue())


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_whatever_bit_flips_gives_the_arrays_or_one_error(save):
    arrays = {"x": np.arange(40, dtype=np.int16), "y": np.array(json.dumps([1]))}
    content = packed(save, **arrays)
    fell = 0
    for i in range(len(content) * 8):
        flipped = bytearray(content)
        flipped[i // 8] ^= 1 << i % 8
        try:
            found = read(bytes(flipped))
        except NpzError:
            fell += 1
            continue
        # A name, a date or a flag may differ; numbers never do.
        assert any(np.array_equal(arrays["x"], array) for array in found.values()) or (
            "x" not in found
        )
    assert fell > 3 * len(content)


SEED = packed(x=np.zeros((3, 5)), y=np.arange(4))


@given(st.binary(max_size=64), st.integers(0, len(SEED)), st.integers(0, 40))
@example(b"\xff" * 8, 20, 8)
@example(zlib.compress(bytes(100)), 40, 0)
def test_any_bytes_give_arrays_or_one_error(patch, at, dropped):
    for content in (patch, SEED[:at] + patch + SEED[at + dropped :]):
        try:
            assert all(x.nbytes <= 1032 * len(content) for x in read(content).values())
        except NpzError as error:
            assert "\n" not in str(error)
