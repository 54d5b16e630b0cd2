"""Readers of data: IDX files, CIFAR archives and files, arrays of one's own."""

import gzip
import hashlib
import io
import pathlib
import random
import struct
import tarfile
from typing import Any

import numpy as np

from faults.mutations import gzip_bomb, mutate, mutate_gzip, mutate_npz
from faults.read_workdirs import are_equal
from faults.readers import Reader
from faults.study import Bench
from lth_jax.data import Source
from lth_jax.data.arrays import read_npz
from lth_jax.data.cifar import BinFile, CifarFiles
from lth_jax.data.idx import IdxFiles

_NUM, _CLASSES, _IMAGE_BYTES = 3, 10, 3 * 32 * 32


def idx(bench: Bench, folder: pathlib.Path) -> Reader:
    """Small files in MNIST's format, with their checksums: nothing else is believed."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (_NUM, 28, 28)).astype(np.uint8).tobytes()
    labels = bytes(range(_NUM))
    plain = [
        struct.pack(">4B3I", 0, 0, 8, 3, _NUM, 28, 28) + images,
        struct.pack(">4BI", 0, 0, 8, 1, _NUM) + labels,
    ] * 2
    checksums = tuple(hashlib.sha256(x).hexdigest() for x in plain)
    files = IdxFiles("", checksums, num_examples=(_NUM, _NUM))
    packed = dict(
        zip(files.urls, (gzip.compress(x, mtime=0) for x in plain), strict=True)
    )
    for name, content in packed.items():
        (folder / name).write_bytes(content)
    written = files.read(files.find(folder))

    def write(rng: random.Random) -> str:
        victim = rng.choice(sorted(packed))
        for name, content in packed.items():
            changed = mutate_gzip(rng, content) if name == victim else content
            (folder / name).write_bytes(changed)
        return victim

    return Reader(
        write,
        lambda: files.read(files.find(folder)),
        lambda found: are_equal(found, written),
    )


def cifar(bench: Bench, folder: pathlib.Path) -> Reader:
    """Small files in CIFAR-10's format, packed or not; others than official are noted."""
    rng = np.random.default_rng(0)
    contents = {
        name: b"".join(
            bytes([label]) + rng.integers(0, 256, _IMAGE_BYTES).astype(np.uint8).tobytes()
            for label in range(_NUM)
        )
        for name in ("data_batch_1.bin", "test_batch.bin")
    }
    archive = _tar(contents)
    train, test = (
        BinFile(name, _NUM, hashlib.sha256(content).hexdigest())
        for name, content in contents.items()
    )
    files = CifarFiles(
        name="small",
        archive="small.tar.gz",
        num_bytes=len(archive),
        sha256=hashlib.sha256(archive).hexdigest(),
        folder="small",
        train=(train,),
        test=test,
        num_label_bytes=1,
        num_classes=_CLASSES,
    )

    def write(rng: random.Random) -> str:
        packed = folder / files.archive
        packed.unlink(missing_ok=True)
        chance = rng.random()
        if chance < 0.4:
            for name, content in contents.items():
                changed = mutate(rng, content) if rng.random() < 0.7 else content
                (folder / name).write_bytes(changed)
            return "unpacked files"
        if chance < 0.4 + 1 / 2000:
            packed.write_bytes(gzip_bomb())
        elif chance < 0.7:
            packed.write_bytes(mutate(rng, archive))
        else:
            changed = mutate(rng, gzip.decompress(archive))
            packed.write_bytes(gzip.compress(changed, 1, mtime=0))
        return "archive"

    return Reader(write, lambda: files.read(files.find(folder)), _is_cifar)


def _is_cifar(found: Any) -> bool:
    return isinstance(found, Source) and all(
        split.inputs.shape == (_NUM, 32, 32, 3)
        and split.inputs.dtype == np.uint8
        and split.labels.shape == (_NUM,)
        and 0 <= split.labels.min() <= split.labels.max() < _CLASSES
        for split in (found.train, found.test)
    )


def _tar(contents: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as packed:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"small/{name}")
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    return file.getvalue()


def npz(bench: Bench, folder: pathlib.Path) -> Reader:
    """Arrays of one's own, of which nobody knows what they should be."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(6, 4)).astype(np.float32)
    labels = np.arange(6) % 3
    file = io.BytesIO()
    np.savez(file, x_train=inputs, y_train=labels, x_test=inputs, y_test=labels)
    path = folder / "mine.npz"

    def write(rng: random.Random) -> str:
        path.write_bytes(mutate_npz(rng, file.getvalue()))
        return path.name

    return Reader(write, lambda: read_npz(str(path)), _is_source)


def _is_source(found: Any) -> bool:
    return (
        isinstance(found, Source)
        and found.num_outputs >= 1
        and all(
            0 < len(split.inputs) == len(split.labels)
            and split.inputs.dtype in (np.uint8, np.int32, np.float32)
            and np.isfinite(split.inputs).all()
            and np.isfinite(split.labels).all()
            for split in (found.train, found.test)
        )
    )
