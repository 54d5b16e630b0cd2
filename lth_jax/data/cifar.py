"""Binary files of CIFAR-10 and CIFAR-100: where from, what they must hold, reading."""

import hashlib
import pathlib
import tarfile
import zlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from lth_jax.data.source import DataError, Source, Split

_SIDE = 32


class BinFile(NamedTuple):
    """A file of records: label bytes, then the red, green and blue planes of an image."""

    name: str
    num_records: int
    sha256: str


class CifarFiles(NamedTuple):
    """The files of a CIFAR data set, and the archive that they are published in."""

    name: str  # of the data set, for messages
    archive: str
    sha256: str  # the archive's
    folder: str  # what it unpacks to
    train: tuple[BinFile, ...]
    test: BinFile
    num_label_bytes: int  # before each image; the last of them is the label
    num_classes: int
    url: str = "https://www.cs.toronto.edu/~kriz/"  # the folder with the archive
    image_shape: tuple[int, int, int] = (_SIDE, _SIDE, 3)

    @property
    def files(self) -> tuple[BinFile, ...]:
        """The training files, then the test file."""
        return *self.train, self.test

    @property
    def urls(self) -> dict[str, str]:
        """The archive's address by its name."""
        return {self.archive: self.url + self.archive}

    def find(self, folder: pathlib.Path) -> dict[str, pathlib.Path]:
        """The archive by its name if the folder holds it, else the unpacked files."""
        if (folder / self.archive).exists():
            return {self.archive: folder / self.archive}
        if (folder / self.folder).is_dir():
            folder = folder / self.folder
        return {file.name: folder / file.name for file in self.files}

    def read(self, paths: Mapping[str, pathlib.Path]) -> Source:
        """The examples in the archive or the unpacked files, in the order of the files.

        Images are uint8[N, 32, 32, 3]. A note tells that they are not the official ones.

        Raises:
          DataError: naming the file, if one is missing, damaged, of another size, or
            holds a label out of range.
        """
        archive = paths.get(self.archive)
        found = _unpacked(archive, self.files) if archive else self._loose(paths)
        *train, test = map(self._split, found, found.values(), self.files)
        whole = Split(*map(np.concatenate, zip(*train, strict=True)))
        # Official are these files, whatever archive they came in, or the whole archive.
        is_official = [*map(_sha256, found.values())] == [f.sha256 for f in self.files]
        if archive:
            is_official |= _sha256(archive.read_bytes()) == self.sha256
        if is_official:
            return Source(whole, test, self.num_classes)
        digits = _sha256(b"".join(found.values()))[:16]  # to tell others apart
        note = (
            f"{self.name}: these files are not the official ones (SHA-256 {digits}…);"
            " accuracies may differ from those on the original"
        )
        return Source(whole, test, self.num_classes, note)

    def _loose(self, paths: Mapping[str, pathlib.Path]) -> dict[str, bytes]:
        """The contents of unpacked files, in their order, by their paths."""
        try:
            return {str(paths[x.name]): paths[x.name].read_bytes() for x in self.files}
        except FileNotFoundError as error:
            raise DataError(
                f"{error.filename}: no such file; data.raw_dir must hold {self.archive},"
                " or what it unpacks to"
            ) from None

    def _split(self, place: str, content: bytes, file: BinFile) -> Split:
        record = self.num_label_bytes + 3 * _SIDE**2
        if len(content) != file.num_records * record:
            raise DataError(
                f"{place}: {len(content)} bytes; must be {file.num_records * record},"
                f" {file.num_records} records of {record}"
            )
        records = np.frombuffer(content, np.uint8).reshape(-1, record)
        labels = records[:, self.num_label_bytes - 1].astype(np.int32)
        if labels.max() >= self.num_classes:
            raise DataError(
                f"{place}: label {labels.max()}, in record {labels.argmax()}; must be"
                f" below {self.num_classes}"
            )
        planes = records[:, self.num_label_bytes :].reshape(-1, 3, _SIDE, _SIDE)
        return Split(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels)


def _unpacked(archive: pathlib.Path, files: tuple[BinFile, ...]) -> dict[str, bytes]:
    """The contents of files in an archive, in their order, by how to name them."""
    names, found = [file.name for file in files], {}
    try:
        with tarfile.open(archive, "r|gz") as tar:
            for member in tar:
                name = pathlib.PurePosixPath(member.name).name
                content = tar.extractfile(member) if member.isfile() else None
                if content is not None and name in names:
                    found[name] = content.read()
    except (EOFError, OSError, tarfile.TarError, zlib.error) as error:
        raise DataError(f"{archive}: truncated or damaged archive ({error})") from None
    if missing := sorted({*names} - found.keys()):
        raise DataError(f"{archive}: truncated or damaged archive (no {missing[0]})")
    return {f"{archive}: {name}": found[name] for name in names}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# The archives' checksums are those of tensorflow_datasets' url_checksums. The files'
# are those that torchvision for Ruby checks after it has unpacked the same archives.
_BATCHES = (  # of CIFAR-10, for training
    "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
)
CIFAR10 = CifarFiles(
    name="cifar10",
    archive="cifar-10-binary.tar.gz",
    sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    folder="cifar-10-batches-bin",
    train=tuple(
        BinFile(f"data_batch_{i}.bin", 10_000, own) for i, own in enumerate(_BATCHES, 1)
    ),
    test=BinFile(
        "test_batch.bin",
        10_000,
        "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
    ),
    num_label_bytes=1,
    num_classes=10,
)
CIFAR100 = CifarFiles(
    name="cifar100",
    archive="cifar-100-binary.tar.gz",
    sha256="58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    folder="cifar-100-binary",
    train=(
        BinFile(
            "train.bin",
            50_000,
            "f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29",
        ),
    ),
    test=BinFile(
        "test.bin",
        10_000,
        "d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a",
    ),
    num_label_bytes=2,  # coarse, fine
    num_classes=100,
)
