import contextlib
import gzip
import io
import pathlib
import random
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import FASHION_MNIST
from PIL import Image

from lth_jax import data
from lth_jax.data import DataError, Split, idx, mnist1d

NAMES = [*idx.MNIST.urls]


@pytest.fixture
def data_dir(tmp_path, monkeypatch) -> pathlib.Path:
    """An empty TFDS data folder; TFDS reads TFDS_DATA_DIR once, at import."""
    from tensorflow_datasets.core import constants

    monkeypatch.setattr(constants, "DATA_DIR", str(tmp_path / "tfds"))
    return tmp_path / "tfds"


def test_mnist1d_is_always_the_same_and_leaves_the_global_seeds_alone():
    random.seed(5)
    np.random.seed(5)
    expected = random.random(), np.random.random()
    random.seed(5)
    np.random.seed(5)
    source = mnist1d.make()  # it checks its own digest
    assert (random.random(), np.random.random()) == expected
    assert source.train.inputs.shape == (4000, 40, 1)
    assert source.test.inputs.shape == (1000, 40, 1)
    assert source.train.inputs.dtype == np.float32
    assert set(source.train.labels) == set(range(10))


def test_another_mnist1d_is_refused(monkeypatch):
    monkeypatch.setattr(mnist1d, "_SHA256", "0" * 64)
    with pytest.raises(DataError, match=r"other data .* install mnist1d=="):
        mnist1d.make()


def test_holding_out_splits_the_training_set():
    train = Split(np.arange(10.0), np.arange(10))
    rest, validation = data.hold_out(train, np.array([3, 1, 4, 0, 5, 9, 2, 6, 8, 7]), 4)
    assert validation.labels.tolist() == [3, 1, 4, 0]
    assert sorted([*rest.labels, *validation.labels]) == list(range(10))
    with pytest.raises(DataError, match="num_validation: 10; must be from 1 to 9"):
        data.hold_out(train, np.arange(10), 10)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_channel_statistics_agree_with_numpy(dtype):
    images = np.random.default_rng(0).integers(0, 256, (50, 4, 5, 3)).astype(dtype)
    mean, std = data.channel_statistics(images)
    np.testing.assert_allclose(mean, images.astype(np.float64).mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(std, images.astype(np.float64).std((0, 1, 2)), rtol=1e-5)


def read_idx(path: pathlib.Path) -> np.ndarray:
    """An independent reading of an IDX file: sizes known, header skipped."""
    content = gzip.decompress(path.read_bytes())
    if "images" in path.name:
        return np.frombuffer(content[16:], np.uint8).reshape(-1, 28, 28, 1)
    return np.frombuffer(content[8:], np.uint8)


def assert_same_examples(split: Split, images: np.ndarray, labels: np.ndarray) -> None:
    """The same examples in some order."""

    def rows(x, y):
        flat = np.concatenate(
            [x.reshape(len(x), -1), y.astype(np.uint8)[:, None]], axis=1
        )
        return np.sort(np.ascontiguousarray(flat).view(f"V{flat.shape[1]}").ravel())

    assert np.array_equal(rows(*split), rows(images, labels))


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_raw_files_are_prepared_once_and_read_back(name, data_dir, request):
    if name == "mnist":
        folder = request.getfixturevalue("raw_mnist")
    else:
        folder = FASHION_MNIST
        if not folder.exists():
            pytest.skip(f"no {folder}; Debian has it in dataset-fashion-mnist")
    source = data.load(name, str(folder))
    files = {n: read_idx(folder / n) for n in NAMES}
    assert_same_examples(source.train, files[NAMES[0]], files[NAMES[1]])
    assert_same_examples(source.test, files[NAMES[2]], files[NAMES[3]])
    assert source.train.inputs.dtype == np.uint8
    assert source.num_classes == 10
    again = data.load(name)  # prepared: it needs neither raw files nor network
    np.testing.assert_array_equal(again.train.labels, source.train.labels)
    with pytest.raises(DataError, match="no such folder"):  # but what is given is checked
        data.load(name, str(data_dir / "nowhere"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: p.unlink(), "no such file; expected train-labels"),
        (lambda p: p.write_bytes(p.read_bytes()[:-100]), "truncated or damaged gzip"),
        (lambda p: p.write_bytes(b"not gzip at all"), "truncated or damaged gzip"),
        (
            lambda p: p.write_bytes(gzip.compress(gzip.decompress(p.read_bytes())[:-1])),
            "SHA-256 of its uncompressed content is",
        ),
    ],
    ids=["missing", "truncated", "no gzip", "other content"],
)
def test_a_bad_raw_file_is_told_and_nothing_is_prepared(
    damage, message, raw_mnist, data_dir, tmp_path
):
    folder = tmp_path / "raw"
    shutil.copytree(raw_mnist, folder)
    folder.chmod(0o755)
    for path in folder.iterdir():
        path.chmod(0o644)
    damage(folder / "train-labels-idx1-ubyte.gz")
    with pytest.raises(DataError, match=message) as caught:
        data.load("mnist", str(folder))
    assert str(folder / "train-labels-idx1-ubyte.gz") in str(caught.value)
    assert not list(data_dir.rglob("*.array_record*"))


def test_offline_and_not_prepared_fails_at_once_and_names_the_remedies(
    data_dir, monkeypatch
):
    nowhere = "http://127.0.0.1:9/"  # the discard port: nothing listens
    monkeypatch.setattr(
        "lth_jax.data.builders.LthMnist.RAW", idx.MNIST._replace(url=nowhere)
    )
    began = time.monotonic()
    with pytest.raises(DataError, match=r"--config\.data\.raw_dir.*TFDS_DATA_DIR"):
        data.load("mnist")
    assert time.monotonic() - began < 5


@contextlib.contextmanager
def serving(folder):
    """A web server of a folder's files on this machine; gives its address."""
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        port = server.stdout.readline().split("port ")[1].split()[0]
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.communicate()


def test_a_bad_download_is_not_kept(raw_mnist, data_dir, monkeypatch, tmp_path):
    bad = tmp_path / "server"
    shutil.copytree(raw_mnist, bad)
    bad.chmod(0o755)
    labels = bad / "train-labels-idx1-ubyte.gz"
    labels.chmod(0o644)
    good = labels.read_bytes()
    with serving(bad) as url:
        monkeypatch.setattr(
            "lth_jax.data.builders.LthMnist.RAW", idx.MNIST._replace(url=url)
        )
        labels.write_bytes(b"<html>a login page</html>")
        with pytest.raises(DataError, match="truncated or damaged gzip"):
            data.load("mnist")
        labels.unlink()
        with pytest.raises(DataError, match="cannot download"):
            data.load("mnist")
        labels.write_bytes(good)
        source = data.load("mnist")
    assert source.train.inputs.shape == (60_000, 28, 28, 1)


def test_any_prepared_tfds_set_works_by_its_name(data_dir):
    import tensorflow_datasets as tfds

    with tfds.core.registered.skip_registration():

        class TinyImages(tfds.core.GeneratorBasedBuilder):
            """Ten coloured images, as PNG, in three classes."""

            VERSION = tfds.core.Version("1.0.0")

            def _info(self):
                features = {
                    "image": tfds.features.Image(shape=(4, 4, 3)),
                    "label": tfds.features.ClassLabel(num_classes=3),
                }
                return tfds.core.DatasetInfo(
                    builder=self,
                    features=tfds.features.FeaturesDict(features),
                    supervised_keys=("image", "label"),
                )

            def _split_generators(self, dl_manager):
                return {
                    "train": self._generate_examples(10),
                    "test": self._generate_examples(4),
                }

            def _generate_examples(self, n):
                for i in range(n):
                    png = io.BytesIO()
                    Image.fromarray(np.full((4, 4, 3), i, np.uint8)).save(png, "PNG")
                    yield i, {"image": png.getvalue(), "label": i % 3}

    info = TinyImages(file_format="array_record")
    info.download_and_prepare()
    source = data.load("tiny_images")
    assert source.train.inputs.shape == (10, 4, 4, 3)
    assert source.num_classes == 3
    for image, label in zip(*source.train, strict=True):
        assert (image == image[0, 0, 0]).all()
        assert label == image[0, 0, 0] % 3

    # TFDS's usual format, which only TensorFlow reads.
    path = pathlib.Path(info.data_dir) / "dataset_info.json"
    path.write_text(path.read_text().replace("array_record", "tfrecord"))
    with pytest.raises(DataError, match="prepared as tfrecord, which needs TensorFlow"):
        data.load("tiny_images")


@pytest.mark.parametrize(
    ("name", "raw_dir", "message"),
    [
        ("nope", None, "'nope'; must be one of mnist1d, mnist, fashion_mnist, or"),
        ("cifar10", None, "'cifar10' is not prepared in"),
        ("mnist1d", "/x", r"data.raw_dir: '/x'; only for"),
        ("mnist", "/x", r"data.raw_dir: '/x'; no such folder"),
    ],
)
def test_unknown_or_unprepared_data_are_refused(name, raw_dir, message, data_dir):
    with pytest.raises(DataError, match=message):
        data.load(name, raw_dir)
