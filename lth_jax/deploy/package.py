"""Package: a folder with a net for use elsewhere, written as a whole and checked.

`manifest.json` has the measurements, and the SHA-256 and size of each of the net's files.
`manifest.sha256` has the manifest's SHA-256; `sha256sum -c manifest.sha256` checks it.
"""

import dataclasses
import functools
import hashlib
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.export import Exported

from lth_jax.deploy import export, weights
from lth_jax.errors import UserError
from lth_jax.npz import NpzError
from lth_jax.store.files import whole

WEIGHTS, PROGRAM, ONNX = "weights.npz", "program.jax", "model.onnx"
MANIFEST, MANIFEST_DIGEST = "manifest.json", "manifest.sha256"


class PackageError(UserError):
    """A folder cannot be written to, or its files are not those that were written."""


@dataclasses.dataclass(frozen=True, eq=False)
class Package:
    """A net as it was written, and where it comes from; call it on a batch."""

    provenance: Mapping[str, Any]  # the study, level and replicate that it comes from
    manifest: Mapping[str, Any]  # its files, and what was measured when it was written
    program: Exported  # inputs as stored [N, ...] to logits float32[N, classes]

    def __call__(self, inputs: Any) -> jax.Array:
        """Returns logits float32[N, classes] of inputs as stored, [N, ...].

        Raises:
          ValueError: if inputs have another shape or dtype, or N is 0.
        """
        (expected,) = self.program.in_avals
        shape, dtype = np.shape(inputs), getattr(inputs, "dtype", None)
        if not shape or shape[1:] != expected.shape[1:] or dtype != expected.dtype:
            raise ValueError(
                f"inputs: {dtype}{list(shape)}; must be"
                f" {expected.dtype}[N, {', '.join(map(str, expected.shape[1:]))}]"
            )
        if not shape[0]:
            raise ValueError("inputs: a batch of 0; must be of 1 or more")
        return self._call(inputs)

    @functools.cached_property
    def _call(self) -> Callable[[Any], jax.Array]:
        return jax.jit(self.program.call)


def load(folder: str | pathlib.Path) -> Package:
    """Reads a package, after checking every file in its manifest.

    Raises:
      PackageError: if a file is missing, damaged or of another size; it names the file.
    """
    folder = pathlib.Path(folder)
    content, line = _read(folder / MANIFEST), _read(folder / MANIFEST_DIGEST)
    if line != f"{_digest(content)}  {MANIFEST}\n".encode():
        raise PackageError(
            f"{folder / MANIFEST}: damaged, or {MANIFEST_DIGEST} beside it is"
        )
    try:
        manifest = json.loads(content)
        listed = {n: (x["bytes"], x["sha256"]) for n, x in manifest["files"].items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise PackageError(f"{folder / MANIFEST}: no manifest ({error!r})") from None
    contents = {name: _checked(folder, name, *sums) for name, sums in listed.items()}
    if missing := {WEIGHTS, PROGRAM} - contents.keys():
        raise PackageError(f"{folder / MANIFEST}: lists no {', '.join(sorted(missing))}")
    try:
        provenance = weights.provenance_of(contents[WEIGHTS])
    except (NpzError, ValueError) as error:
        raise PackageError(f"{folder / WEIGHTS}: {error}") from None
    try:
        program = export.read(contents[PROGRAM])
    except Exception as error:  # a damaged flatbuffer raises many types
        raise PackageError(f"{folder / PROGRAM}: no program ({error!r})") from None
    return Package(provenance, manifest, program)


def _checked(folder: pathlib.Path, name: str, written: int, digest: str) -> bytes:
    """The content of a file in the manifest, once its size and SHA-256 are checked."""
    if name in ("", ".", "..") or pathlib.Path(name).name != name:
        raise PackageError(
            f"{folder / MANIFEST}: {name!r}; must be the plain name of a file"
        )
    path = folder / name
    content = _read(path)
    if (size := len(content)) != written:
        raise PackageError(f"{path}: damaged; {size} bytes, {written} were written")
    if _digest(content) != digest:
        raise PackageError(f"{path}: damaged; its SHA-256 is not the manifest's")
    return content


def write(
    folder: pathlib.Path, files: Mapping[str, bytes], facts: Mapping[str, Any]
) -> None:
    """Writes a package, whole or not at all; `files` are contents by name.

    The folder must be new or empty. The manifest has `facts`, and the SHA-256 and size of
    each file.

    Raises:
      PackageError: if the folder is not empty, or is a link or a file.
      WriteError: if it cannot be written.
    """
    listed = {n: {"sha256": _digest(x), "bytes": len(x)} for n, x in files.items()}
    manifest = (json.dumps({"files": listed, **facts}, indent=2) + "\n").encode()
    digest = f"{_digest(manifest)}  {MANIFEST}\n".encode()
    check_free(folder)
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with whole(folder) as unfinished:
        unfinished.mkdir()
        sums = {MANIFEST: manifest, MANIFEST_DIGEST: digest}
        for name, content in {**files, **sums}.items():
            (unfinished / name).write_bytes(content)


def check_free(folder: pathlib.Path) -> None:
    """Checks that a package can be written to a folder.

    Raises:
      PackageError: if the folder is not empty, or is a link or a file.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise PackageError(f"--out: {folder} is a link or no folder; choose another")
    if folder.exists() and any(folder.iterdir()):
        raise PackageError(f"--out: {folder} is not empty; choose another")


def _read(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PackageError(f"{path}: {error.strerror}") from None
    except ValueError as error:  # a null character in the name
        raise PackageError(f"{path}: {error}") from None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
