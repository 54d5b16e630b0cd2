import contextlib
import gzip
import hashlib
import io
import logging
import pathlib
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from PIL import Image

from lth_jax import data
from lth_jax.data import DataError, Split, cifar, idx, mnist1d
from lth_jax.data.published import published

NAMES = [*idx.MNIST.urls]


@pytest.fixture
def data_dir(tmp_path, monkeypatch) -> pathlib.Path:
    """An empty TFDS data folder; TFDS reads TFDS_DATA_DIR once, at import."""
    from tensorflow_datasets.core import constants

    monkeypatch.setattr(constants, "DATA_DIR", str(tmp_path / "tfds"))
    return tmp_path / "tfds"


def publish(monkeypatch, name, files):
    """Takes these files for those that a data set is published as."""
    monkeypatch.setitem(data.DATA_SETS._own, name, published(name, files))


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


@pytest.mark.slow
def test_raw_files_are_prepared_once_and_read_back(raw_mnist, data_dir):
    source = data.load("mnist", str(raw_mnist))
    files = {n: read_idx(raw_mnist / n) for n in NAMES}
    assert_same_examples(source.train, files[NAMES[0]], files[NAMES[1]])
    assert_same_examples(source.test, files[NAMES[2]], files[NAMES[3]])
    assert source.train.inputs.dtype == np.uint8
    assert source.num_outputs == 10
    again = data.load("mnist")  # prepared: it needs neither raw files nor network
    np.testing.assert_array_equal(again.train.labels, source.train.labels)
    with pytest.raises(DataError, match="no such folder"):  # but what is given is checked
        data.load("mnist", str(data_dir / "nowhere"))


@pytest.mark.slow
def test_fashion_mnist_is_known_by_its_files(raw_fashion_mnist):
    """The rest is as for MNIST."""
    names = idx.FASHION_MNIST.find(raw_fashion_mnist)
    source = idx.FASHION_MNIST.read(names)
    for split, (images, labels) in (
        (source.train, NAMES[:2]),
        (source.test, NAMES[2:]),
    ):
        np.testing.assert_array_equal(split.inputs, read_idx(names[images]))
        np.testing.assert_array_equal(split.labels, read_idx(names[labels]))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: p.unlink(), "no such file, of images or labels"),
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
    publish(monkeypatch, "mnist", idx.MNIST._replace(url=nowhere))
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


@pytest.mark.slow
def test_a_bad_download_is_not_kept(raw_mnist, data_dir, monkeypatch, tmp_path):
    bad = tmp_path / "server"
    shutil.copytree(raw_mnist, bad)
    bad.chmod(0o755)
    labels = bad / "train-labels-idx1-ubyte.gz"
    labels.chmod(0o644)
    good = labels.read_bytes()
    with serving(bad) as url:
        publish(monkeypatch, "mnist", idx.MNIST._replace(url=url))
        labels.write_bytes(b"<html>a login page</html>")
        with pytest.raises(DataError, match="truncated or damaged gzip"):
            data.load("mnist")
        labels.unlink()
        with pytest.raises(DataError, match="cannot download"):
            data.load("mnist")
        labels.write_bytes(good)
        source = data.load("mnist")
    assert source.train.inputs.shape == (60_000, 28, 28, 1)


def read_bin(*paths: pathlib.Path, num_label_bytes=1) -> tuple[np.ndarray, np.ndarray]:
    """An independent reading of CIFAR files: every pixel is looked up by its place."""
    images, labels = [], []
    for path in paths:
        content = np.fromfile(path, np.uint8)
        i, y, x, c = np.ogrid[: len(content) // (num_label_bytes + 3072), :32, :32, :3]
        starts = i * (num_label_bytes + 3072)
        images.append(content[starts + num_label_bytes + 1024 * c + 32 * y + x])
        labels.append(content[starts.ravel() + num_label_bytes - 1])
    return np.concatenate(images), np.concatenate(labels)


def sha256(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pack(folder: pathlib.Path, archive: pathlib.Path, suffix=".bin") -> None:
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, folder.name, recursive=False)
        for path in sorted(folder.glob(f"*{suffix}")):
            tar.add(path, f"{folder.name}/{path.name}")


def tiny_cifar(folder: pathlib.Path, name: str, seed=0) -> cifar.CifarFiles:
    """Ten records a file, unpacked and packed in a folder; what is official there."""
    like = {"cifar10": cifar.CIFAR10, "cifar100": cifar.CIFAR100}[name]
    rng = np.random.default_rng(seed)
    (folder / like.folder).mkdir(parents=True)
    files = []
    for file in like.files:
        records = rng.integers(0, 256, (10, like.num_label_bytes + 3072), np.uint8)
        records[:, 0] = rng.integers(0, 20 if name == "cifar100" else 10, 10)
        if name == "cifar100":
            records[:, 1] = rng.permutation(100)[:10]
        path = folder / like.folder / file.name
        records.tofile(path)
        files.append(file._replace(num_records=10, sha256=sha256(path)))
    archive = folder / like.archive
    pack(folder / like.folder, archive)
    return like._replace(train=(*files[:-1],), test=files[-1], sha256=sha256(archive))


@pytest.fixture(params=["cifar10", "cifar100"])
def tiny(request, tmp_path, monkeypatch):
    """A tiny CIFAR set taken for the official one: its name, folder and files."""
    folder = tmp_path / "official"
    files = tiny_cifar(folder, request.param)
    publish(monkeypatch, request.param, files)
    return request.param, folder, files


def prepared(data_dir: pathlib.Path) -> list[pathlib.Path]:
    return list(data_dir.rglob("*.array_record*"))


@pytest.mark.parametrize("place", ["archive", "parent", "folder"])
def test_official_cifar_files_are_prepared_once_and_read_back(place, tiny, data_dir):
    name, folder, files = tiny
    unpacked = folder / files.folder
    if place == "parent":
        (folder / files.archive).unlink()
    source = data.load(name, str(unpacked if place == "folder" else folder))
    paths = [unpacked / file.name for file in files.files]
    for split, of_split in ((source.train, paths[:-1]), (source.test, paths[-1:])):
        images, labels = read_bin(*of_split, num_label_bytes=files.num_label_bytes)
        assert_same_examples(split, images, labels)
        assert (split.inputs.dtype, split.labels.dtype) == (np.uint8, np.int32)
    assert source.note is None
    assert source.num_outputs == {"cifar10": 10, "cifar100": 100}[name]
    assert prepared(data_dir)
    again = data.load(name)  # prepared: it needs neither raw files nor network
    np.testing.assert_array_equal(again.train.inputs, source.train.inputs)


def test_official_cifar_files_in_an_archive_of_ones_own_are_official(tiny, data_dir):
    name, folder, files = tiny
    with tarfile.open(folder / files.archive, "w:gz") as tar:  # flat, and reversed
        for file in files.files[::-1]:
            tar.add(folder / files.folder / file.name, file.name)
    assert sha256(folder / files.archive) != files.sha256
    assert data.load(name, str(folder)).note is None


def test_other_cifar_files_are_a_warning_and_never_prepared(
    tiny, data_dir, tmp_path, caplog
):
    name, _, files = tiny
    other = tiny_cifar(tmp_path / "other", name, seed=1)
    with caplog.at_level(logging.WARNING):
        source = data.load(name, str(tmp_path / "other"))
    assert source.note.startswith(f"{name}: these files are not the official ones (SHA-")
    assert [record.getMessage() for record in caplog.records] == [source.note]
    unpacked = tmp_path / "other" / files.folder
    images, labels = read_bin(
        *(unpacked / file.name for file in other.train),
        num_label_bytes=files.num_label_bytes,
    )
    np.testing.assert_array_equal(source.train.inputs, images)  # in the files' order
    np.testing.assert_array_equal(source.train.labels, labels)
    # The note tells data from data, wherever they lie.
    assert data.load(name, str(unpacked)).note == source.note
    tiny_cifar(tmp_path / "third", name, seed=2)
    assert data.load(name, str(tmp_path / "third")).note != source.note
    assert not prepared(data_dir)


def test_a_prepared_set_that_is_damaged_is_told(tiny, data_dir):
    name, folder, _ = tiny
    data.load(name, str(folder))
    (path,) = data_dir.rglob("dataset_info.json")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=f"'{name}' is damaged .*; remove lth_{name} "):
        data.load(name, str(folder))
    shutil.rmtree(data_dir / f"lth_{name}")
    assert data.load(name, str(folder)).note is None


def test_a_data_folder_that_cannot_be_written_is_told(tiny, data_dir):
    name, folder, _ = tiny
    data_dir.write_text("no folder")
    with pytest.raises(DataError, match=r"cannot prepare .* TFDS_DATA_DIR can name"):
        data.load(name, str(folder))


def test_a_builder_stores_nothing_under_an_official_name_that_is_not(tiny, data_dir):
    from lth_jax.data.builders import builder_class

    name, folder, files = tiny
    source = files.read(files.find(folder))._replace(note="odd data")
    with pytest.raises(DataError, match="odd data"):
        builder_class(name, files)(source=source).download_and_prepare()
    assert not prepared(data_dir)


@given(st.integers(1, 4), st.integers(1, 2), st.integers(0, 2**32 - 1))
def test_cifar_records_are_read_pixel_by_pixel(num_records, num_label_bytes, seed):
    records = np.random.default_rng(seed).integers(
        0, 256, (2, num_records, num_label_bytes + 3072), np.uint8
    )
    files = cifar.CIFAR100._replace(
        train=(cifar.BinFile("train.bin", num_records, ""),),
        test=cifar.BinFile("test.bin", num_records, ""),
        num_label_bytes=num_label_bytes,
        num_classes=256,
    )
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for of_split, file in zip(records, files.files, strict=True):
            of_split.tofile(folder / file.name)
        source = files.read(files.find(folder))
        for split, file in zip(source[:2], files.files, strict=True):
            expected = read_bin(folder / file.name, num_label_bytes=num_label_bytes)
            for found, wanted in zip(split, expected, strict=True):
                np.testing.assert_array_equal(found, wanted)


def replace_label(path: pathlib.Path, label: int) -> None:
    content = bytearray(path.read_bytes())
    content[3 * 3073] = label
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: p.unlink(), "no such file; data.raw_dir must hold cifar-10-binary"),
        (
            lambda p: p.write_bytes(p.read_bytes()[:-1]),
            "30729 bytes; must be 30730",
        ),
        (lambda p: p.write_bytes(p.read_bytes()[3073:]), "27657 bytes; must be 30730"),
        (
            lambda p: replace_label(p, 10),
            "1 of 10 labels are not below 10, as label 10 in record 3",
        ),
    ],
    ids=["missing", "truncated", "a record less", "label out of range"],
)
@pytest.mark.parametrize("tiny", ["cifar10"], indirect=True)
@pytest.mark.parametrize("packed", [False, True], ids=["unpacked", "archive"])
def test_a_bad_cifar_file_is_told_and_nothing_is_prepared(
    damage, message, packed, tiny, data_dir
):
    name, folder, files = tiny
    damage(folder / files.folder / "data_batch_3.bin")
    (folder / files.archive).unlink()
    if packed:
        pack(folder / files.folder, folder / files.archive)
        if "no such file" in message:
            message = r"truncated or damaged archive \(no data_batch_3.bin\)"
    with pytest.raises(DataError, match=message) as caught:
        data.load(name, str(folder))
    assert str(folder / (files.archive if packed else files.folder)) in str(caught.value)
    assert "data_batch_3.bin" in str(caught.value)
    assert not prepared(data_dir)


@pytest.mark.parametrize("tiny", ["cifar10"], indirect=True)
@pytest.mark.parametrize(
    "damage",
    [lambda c: c[: len(c) // 2], lambda c: b"not gzip at all", lambda c: b""],
    ids=["truncated", "no gzip", "empty"],
)
def test_a_bad_archive_is_told(damage, tiny, data_dir):
    name, folder, files = tiny
    archive = folder / files.archive
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(DataError, match=f"{archive}: truncated or damaged archive"):
        data.load(name, str(folder))
    assert not prepared(data_dir)


def test_a_bad_cifar_download_is_not_kept(tiny, data_dir, monkeypatch, tmp_path):
    name, folder, files = tiny
    tiny_cifar(tmp_path / "other", name, seed=1)
    archive = folder / files.archive
    good = archive.read_bytes()
    with serving(folder) as url:
        publish(monkeypatch, name, files._replace(url=url))
        archive.write_bytes(b"<html>a login page</html>")
        with pytest.raises(DataError, match="truncated or damaged archive"):
            data.load(name)
        archive.write_bytes((tmp_path / "other" / files.archive).read_bytes())
        with pytest.raises(DataError, match=f"downloaded from {url}.* not the official"):
            data.load(name)
        archive.unlink()
        with pytest.raises(DataError, match="cannot download"):
            data.load(name)
        assert not prepared(data_dir)
        archive.write_bytes(good)
        source = data.load(name)
    assert source.note is None
    assert source.test.inputs.shape == (10, 32, 32, 3)


@pytest.mark.slow
def test_cifar10_itself_is_read_whole(raw_cifar10, data_dir):
    source = data.load("cifar10", str(raw_cifar10))
    folder = raw_cifar10 / "cifar-10-batches-bin"
    for split, paths, per_class in (
        (source.train, [folder / f"data_batch_{i}.bin" for i in range(1, 6)], 5000),
        (source.test, [folder / "test_batch.bin"], 1000),
    ):
        assert split.inputs.shape == (10 * per_class, 32, 32, 3)
        assert np.bincount(split.labels).tolist() == [per_class] * 10
        assert_same_examples(split, *read_bin(*paths))
    assert (source.note is None) == bool(prepared(data_dir))  # official or not


@pytest.mark.parametrize("test_split", ["test", "validation"])
def test_any_prepared_tfds_set_works_by_its_name(test_split, data_dir):
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
                    test_split: self._generate_examples(4),
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
    assert source.num_outputs == 3
    assert len(source.test.labels) == 4
    said = "tiny_images: the test split is its validation split; it has no other"
    assert source.note == (None if test_split == "test" else said)
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
        (
            "nope",
            None,
            "'nope'; must be one of mnist1d, mnist, fashion_mnist, cifar10, c",
        ),
        ("svhn_cropped", None, "'svhn_cropped' is not prepared in"),
        ("mnist1d", "/x", "data.raw_dir: '/x' is not allowed; must be left out"),
        ("mnist", "/x", r"data.raw_dir: '/x'; no such folder"),
    ],
)
def test_unknown_or_unprepared_data_are_refused(name, raw_dir, message, data_dir):
    with pytest.raises(DataError, match=message):
        data.load(name, raw_dir)
