"""Binary files of CIFAR-10 and CIFAR-100: their addresses, checksums and reader."""

import hashlib
import pathlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from lth_jax.data.archive import unpack
from lth_jax.data.source import DataError, Source, Split

_SIDE = 32


class BinFile(NamedTuple):
    """A file of records: label bytes, then the red, green and blue planes of an image."""

    name: str
    num_records: int
    sha256: str


class CifarFiles(NamedTuple):
    """The files of a CIFAR data set, and the archive that they are published in."""

    name: str  # the name of the data set, for messages
    archive: str
    num_bytes: int  # the archive's
    sha256: str  # the archive's
    folder: str  # the folder that it unpacks to
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
        """The path of the archive if the folder holds it, else of the files, by name."""
        if (folder / self.archive).exists():
            return {self.archive: folder / self.archive}
        if (folder / self.folder).is_dir():
            folder = folder / self.folder
        return {file.name: folder / file.name for file in self.files}

    def read(self, paths: Mapping[str, pathlib.Path]) -> Source:
        """The examples in the archive or the unpacked files, in the order of the files.

        Images are uint8[N, 32, 32, 3]. The source has a note if they are not the official
        ones.

        Raises:
          DataError: naming the file, if one is missing, damaged, of another size, or
            holds a label out of range.
        """
        archive = paths.get(self.archive)
        # The examples are official by the archive, or by the files from any archive.
        is_official = archive is not None and self._is_official(archive)
        found = self._unpacked(archive) if archive else self._loose(paths)
        *train, test = map(self._split, found, found.values())
        whole = Split(*map(np.concatenate, zip(*train, strict=True)))
        is_official |= [*map(_sha256, found.values())] == [f.sha256 for f in self.files]
        if is_official:
            return Source(whole, test, self.num_classes)
        digits = _sha256(b"".join(found.values()))[:16]  # tells other files apart
        note = (
            f"{self.name}: these files are not the official ones (SHA-256 {digits}…);"
            " accuracies may differ from those on the original"
        )
        return Source(whole, test, self.num_classes, note)

    @property
    def _record(self) -> int:
        """The number of bytes in a record."""
        return self.num_label_bytes + 3 * _SIDE**2

    def _is_official(self, archive: pathlib.Path) -> bool:
        """Whether an archive is the official one, by its size and its SHA-256.

        Raises:
          DataError: if it has the official size and another SHA-256.
        """
        if not archive.is_file() or archive.stat().st_size != self.num_bytes:
            return False
        with archive.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != self.sha256:
            raise DataError(
                f"{archive}: damaged: as long as the official archive, and its SHA-256 is"
                f" {digest}; must be {self.sha256}; download it again"
            )
        return True

    def _unpacked(self, archive: pathlib.Path) -> dict[str, bytes]:
        """The contents of an archive's files, in order, by their names in messages."""
        sizes = {file.name: file.num_records * self._record for file in self.files}
        found = unpack(archive, sizes)
        return {f"{archive}: {name}": content for name, content in found.items()}

    def _loose(self, paths: Mapping[str, pathlib.Path]) -> dict[str, bytes]:
        """The contents of the unpacked files, in order, by their paths."""
        found = {}
        for file in self.files:
            path, size = paths[file.name], file.num_records * self._record
            if not path.is_file():
                raise DataError(
                    f"{path}: no such file; data.raw_dir must hold {self.archive}, or"
                    " what it unpacks to"
                )
            if (num_bytes := path.stat().st_size) != size:
                raise DataError(f"{path}: {num_bytes} bytes; must be {size}")
            try:
                found[str(path)] = path.read_bytes()
            except OSError as error:
                raise DataError(f"{path}: cannot be read ({error})") from None
        return found

    def _split(self, place: str, content: bytes) -> Split:
        records = np.frombuffer(content, np.uint8).reshape(-1, self._record)
        labels = records[:, self.num_label_bytes - 1].astype(np.int32)
        if bad := np.count_nonzero(labels >= self.num_classes):
            raise DataError(
                f"{place}: {bad} of {len(labels)} labels are not below"
                f" {self.num_classes}, as label {labels.max()} in record"
                f" {labels.argmax()}; the file is damaged, or of another data set"
            )
        planes = records[:, self.num_label_bytes :].reshape(-1, 3, _SIDE, _SIDE)
        return Split(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# The sizes and checksums of the archives are those in tensorflow_datasets' url_checksums.
# Those of the files are the ones that torchvision for Ruby checks after unpacking.
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
    num_bytes=170_052_171,
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
    num_bytes=168_513_733,
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
