import numpy as np
import pytest

from lth_jax import data
from lth_jax.data import DataError

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
    assert given().note.startswith("data of one's own (SHA-256 ")


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
    ],
)
def test_arrays_that_cannot_be_used_are_told(other, message):
    with pytest.raises(DataError, match=f"^data: .*{message}"):
        given(**other)


def test_three_arrays_are_told():
    with pytest.raises(DataError, match="3 arrays; must be x_train, y_train"):
        data.from_arrays((*IMAGES, CLASSES[0]))


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


OWN = """
import numpy as np
from lth_jax.data import Source, Split
x, y = np.ones((6, 4), np.float32), np.arange(6) % 2
def load():
    return x, y, x[:3], y[:3]
def source():
    return Source(Split(x, y), Split(x[:3], y[:3]), 7, "odd data")
number = 3
"""


def test_a_function_of_ones_own_gives_arrays_or_a_source(tmp_path, monkeypatch):
    (tmp_path / "strangers_data.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    arrays, source = (data.load(f"strangers_data:{name}") for name in ("load", "source"))
    assert (arrays.num_outputs, source.num_outputs, source.note) == (2, 7, "odd data")
    np.testing.assert_array_equal(arrays.test.labels, [0, 1, 0])
    for name in ("number", "nothing"):
        with pytest.raises(DataError, match=f"^data.name: 'strangers_data:{name}'"):
            data.load(f"strangers_data:{name}")


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_constant_channel_becomes_0(dtype):
    images = np.full((5, 4, 2), 7, dtype)
    images[:2, :, 0] = 3
    normal = data.channel_statistics(images)
    seen = normal.apply(images)
    np.testing.assert_array_equal(seen[..., 1], 0)
    np.testing.assert_allclose(seen[..., 0].std(), 1, rtol=1e-6)
