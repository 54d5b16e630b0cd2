import io
import logging
import os
import struct
import tempfile
import zipfile

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example
from hypothesis import given as for_all
from support.memory import at_most

from lth_jax import data
from lth_jax.data import DataError, arrays

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 4, 4, 3), np.uint8), np.ones((2, 4, 4, 3), np.uint8)
CLASSES = np.array([0, 1, 2, 0, 1, 2]), np.array([4, 0])
NAMES = ("x_train", "y_train", "x_test", "y_test")
# Six and two images of five classes.
ARRAYS = dict(zip(NAMES, (IMAGES[0], CLASSES[0], IMAGES[1], CLASSES[1]), strict=True))


def given(**other):
    """The source of these arrays, or others."""
    return data.from_arrays([*(ARRAYS | other).values()])


def test_arrays_are_a_source_of_what_they_hold():
    source = given()
    np.testing.assert_array_equal(source.train.inputs, IMAGES[0])
    np.testing.assert_array_equal(source.test.labels, CLASSES[1])
    assert source.train.inputs.dtype == np.uint8
    assert source.train.labels.dtype == np.int32
    assert source.num_outputs == 5


def test_numbers_are_floats_of_two_axes_and_tokens_are_integers():
    numbers = {"y_train": np.arange(6.0), "y_test": np.zeros(2)}
    source = given(**numbers)
    assert source.test.labels.shape == (2, 1)
    assert (source.train.labels.dtype, source.num_outputs) == (np.float32, 1)
    assert given(y_train=np.zeros((6, 3)), y_test=np.ones((2, 3))).num_outputs == 3
    tokens = np.arange(12).reshape(6, 2), np.arange(4).reshape(2, 2)
    source = data.from_arrays((tokens[0], tokens[0], tokens[1], tokens[1]))
    assert source.train.inputs.dtype == source.train.labels.dtype == np.int32
    assert source.num_outputs == 12
    normal = data.channel_statistics(source.train.inputs)
    assert normal.apply(source.train.inputs) is source.train.inputs
    np.testing.assert_array_equal(normal, [[0, 0], [1, 1]])


def test_the_note_tells_data_from_data():
    assert given().note == given().note
    assert given().note != given(y_test=np.array([4, 1])).note
    assert given().note.startswith("own data (SHA-256 ")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"x_train": IMAGES[0][:5]}, "x_train has 5 examples and y_train 6; must be as"),
        (
            {"x_test": IMAGES[1][:0], "y_test": CLASSES[1][:0]},
            "x_test has 0 examples and y_test 0",
        ),
        ({"x_test": IMAGES[1][..., 0]}, "x_train is uint8.* and x_test uint8"),
        (
            {"x_train": np.full((6, 4, 4, 3), np.nan)},
            "x_train has NaN or infinity in 6 of 6",
        ),
        (
            {"x_train": np.zeros(6)},
            r"x_train is float64\[6\]; must be integers or floats",
        ),
        ({"y_train": np.array([0, 1, 2, 0, 1, -1])}, "y_train has integers from -1 to 2"),
        ({"y_train": np.array(list("abcabc"))}, r"y_train is <U1\[6\]; must be"),
        ({"y_test": np.zeros(2)}, "y_train is int32.* and y_test float32"),
        ({"y_test": np.array([-1, -1])}, r"y_test has .* in 2 of 2 .*\(-1 often marks a"),
        ({"y_test": np.array([2**31, 0])}, "y_test has .* in 1 of 2 examples"),
        ({"y_test": np.array([2**64 - 1, 0], np.uint64)}, "y_test has .* in 1 of 2"),
        ({"y_train": [[0], [1, 2]]}, "y_train is no array"),
        ({"y_train": np.array([None] * 6)}, r"y_train is object\[6\]; must be"),
        ({"y_train": np.arange(6) > 2}, r"y_train is bool\[6\]; must be"),
        ({"y_train": 3}, r"y_train is int64\[\]; must be"),
        ({"x_train": IMAGES[0][0], "y_train": 0}, r"y_train is int64\[\]; must be"),
        ({"x_train": IMAGES[0][0]}, "x_train has 4 examples and y_train 6"),
        ({"x_train": IMAGES[0] * 1j}, "x_train is complex128"),
        ({"x_train": IMAGES[0][..., :0]}, r"x_train is uint8\[6, 4, 4, 0\]; must be"),
        ({"y_train": np.zeros((6, 0), int)}, r"y_train is int64\[6, 0\]; must be"),
        ({"x_train": IMAGES[0] * 1e39}, "x_train has NaN or infinity in 6 of 6 ex"),
        ({"x_train": IMAGES[0].astype(float)}, "x_train is float32 and x_test uint8"),
        (
            {"x_train": np.full((6, 4, 4, 3), -1), "x_test": np.ones((2, 4, 4, 3), int)},
            "x_train has integers from -1 to -1, in 6 of 6",
        ),
    ],
)
def test_arrays_that_cannot_be_used_are_told(other, message):
    with pytest.raises(DataError, match=f"^data: .*{message}"):
        given(**other)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ((*IMAGES, CLASSES[0]), "3"),
        (ARRAYS, "dict"),
        (None, "None"),
        (iter(()), "tuple_i"),
    ],
)
def test_other_things_than_four_arrays_are_told(other, said):
    with pytest.raises(DataError, match=rf"^data: {said}\w* arrays; must be x_train, y_"):
        data.from_arrays(other)


@pytest.mark.parametrize("num_outputs", [0, -1, "3", 2.5])
def test_what_is_no_number_of_outputs_is_told(num_outputs):
    with pytest.raises(DataError, match=f"num_outputs is {num_outputs!r}; must be 1 or"):
        data.from_arrays([*ARRAYS.values()], num_outputs)


def test_classes_lie_below_the_number_of_outputs():
    assert data.from_arrays([*ARRAYS.values()], 7).num_outputs == 7
    with pytest.raises(DataError, match=r"y_test .* in 1 of 2 examples not from 0 to be"):
        data.from_arrays([*ARRAYS.values()], 4)


def test_a_file_of_arrays_is_read_by_its_name(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, **ARRAYS)
    source = data.load(f"npz:{path}")
    assert source.note == given().note
    np.testing.assert_array_equal(source.train.inputs, IMAGES[0])
    with pytest.raises(DataError, match="raw_dir: '/x' is not allowed"):
        data.load(f"npz:{path}", "/x")


@pytest.mark.parametrize("content", ["missing", "text", "other arrays", "one array"])
def test_a_file_that_is_none_is_told(content, tmp_path):
    path = tmp_path / "mine.npz"
    if content == "text":
        path.write_text("x")
    if content == "other arrays":
        np.savez(path, x=np.zeros(3))
    if content == "one array":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    with pytest.raises(DataError, match=f"^data.name: {path} cannot be read"):
        data.load(f"npz:{path}")


def lying(folder, **said):
    """A file of these arrays, which says of some that they have other shapes."""
    path = folder / "mine.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, array in ARRAYS.items():
            content = io.BytesIO()
            np.save(content, array)
            text = content.getvalue()
            if name in said:
                header = {"descr": array.dtype.str, "fortran_order": False}
                header = str(header | {"shape": said[name]}).encode()
                text = b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header
                text += array.tobytes()
            file.writestr(f"{name}.npy", text)
    return path


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"x_train": (2**40, 4, 4, 3)}, "'x_train' says uint8.* but has 288"),
        ({"x_train": (5, 4, 4, 3)}, "'x_train' says uint8.*, 240 bytes, but has 288"),
        ({"y_test": (0, 2**50)}, "'y_test' says int64.*, 0 bytes, but has 16"),
        ({"y_test": (1, 2)}, "x_test has 2 examples and y_test 1"),
    ],
)
def test_a_file_that_lies_is_told(said, message, tmp_path):
    path = lying(tmp_path, **said)
    with at_most(2**20), pytest.raises(DataError, match=message):
        data.load(f"npz:{path}")


def test_what_does_not_fit_together_or_in_memory_is_not_read(tmp_path, monkeypatch):
    path, zeros = tmp_path / "mine.npz", np.zeros((2**24, 2), np.uint8)
    np.savez_compressed(path, **ARRAYS | {"x_train": zeros})
    with at_most(2**20), pytest.raises(DataError, match="x_train has 16777216 examples"):
        data.load(f"npz:{path}")
    np.savez(path, **ARRAYS)
    monkeypatch.setattr(arrays, "_memory", lambda: 447)
    with pytest.raises(DataError, match="448 bytes of arrays, for 447 of memory"):
        data.load(f"npz:{path}")


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_what_is_no_file_is_told(make, tmp_path):
    make(tmp_path / "mine.npz")
    with pytest.raises(DataError, match=r"mine\.npz cannot be read .*is not a regular"):
        data.load(f"npz:{tmp_path / 'mine.npz'}")
    with pytest.raises(DataError, match=r"~nobody/x\.npz cannot be read"):
        data.load("npz:~nobody/x.npz")


def test_objects_are_never_unpickled(tmp_path):
    class Harm:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harm"),)

    objects = np.array([Harm()] * 6, object)
    np.savez(tmp_path / "mine.npz", **ARRAYS | {"y_train": objects})
    with pytest.raises(DataError, match="'y_train' holds Python objects"):
        data.load(f"npz:{tmp_path / 'mine.npz'}")
    assert not (tmp_path / "harm").exists()


def packed() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **ARRAYS)
    return file.getvalue()


NPZ = packed()


@for_all(st.binary(max_size=40), st.integers(0, len(NPZ)), st.integers(0, 20))
@example(b"PK\5\6", 0, 0)
def test_any_bytes_of_a_file_are_data_or_told(patch, at, dropped):
    for content in (patch, NPZ[:at] + patch + NPZ[at + dropped :]):
        with tempfile.NamedTemporaryFile(suffix=".npz") as file, at_most(2**22):
            file.write(content)
            file.flush()
            try:
                assert data.load(f"npz:{file.name}").note == given().note
            except DataError as error:
                assert "\n" not in str(error)


OWN = """
import numpy as np
from lth_jax.data import Source, Split
x, y = np.ones((6, 4), np.float32), np.arange(6) % 2
def load():
    return x, y, x[:3], y[:3]
def source():
    return Source(Split(x, y), Split(x[:3], y[:3]), 7, "odd data")
def of_one():
    return source()._replace(num_outputs=1)
def half():
    return source()._replace(test=None)
def with_an_argument(x):
    return load()
number = 3
"""


def test_a_function_of_ones_own_gives_arrays_or_a_source(tmp_path, monkeypatch):
    (tmp_path / "strangers_data.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    arrays, source = (data.load(f"strangers_data:{name}") for name in ("load", "source"))
    assert (arrays.num_outputs, source.num_outputs, source.note) == (2, 7, "odd data")
    np.testing.assert_array_equal(arrays.test.labels, [0, 1, 0])
    for name in ("number", "nothing", "with_an_argument"):
        with pytest.raises(DataError, match=f"^data.name: 'strangers_data:{name}'"):
            data.load(f"strangers_data:{name}")
    with pytest.raises(DataError, match=r"y_train .* in 3 of 6 examples not from 0 to b"):
        data.load("strangers_data:of_one")
    with pytest.raises(DataError, match="train and test of a Source must be a Split"):
        data.load("strangers_data:half")


@pytest.mark.parametrize(("dtype", "value"), [(np.uint8, 7), (np.float32, 0.1)])
def test_a_constant_channel_becomes_0_and_is_told(dtype, value, caplog):
    images = np.full((5000, 4, 2), value, dtype)
    images[:2000, :, 0] = 3
    with caplog.at_level(logging.WARNING):
        normal = data.channel_statistics(images)
    (record,) = caplog.records
    assert record.getMessage() == (
        "1 of 2 channels are constant in the training inputs (1): not scaled"
    )
    seen = normal.apply(images)
    assert normal.std[1] == 1
    np.testing.assert_array_equal(seen[..., 1], 0)
    np.testing.assert_allclose(seen[..., 0].std(), 1, rtol=1e-5)


def test_channels_that_vary_are_not_told(caplog):
    with caplog.at_level(logging.WARNING):
        data.channel_statistics(IMAGES[0])
        data.channel_statistics(np.zeros((5, 2), np.int32))  # tokens
    assert not caplog.records


def test_many_rows_of_floats_have_their_mean():
    # Added up one after the other in float32, they would come to 0.39.
    inputs = np.tile(np.float32([[0.1, 0.3], [0.5, 0.9]]), (2**21, 1))
    normal = data.channel_statistics(inputs)
    np.testing.assert_allclose(normal.mean, [0.3, 0.6], rtol=1e-5)
    np.testing.assert_allclose(normal.std, [0.2, 0.3], rtol=1e-5)


def test_channels_beyond_float32_are_told():
    with pytest.raises(DataError, match=r"channels \[1\] are too large"):
        data.channel_statistics(np.float32([[0, 3e38], [1, -3e38]]))
