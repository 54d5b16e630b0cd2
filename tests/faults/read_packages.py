"""The reader of a folder that deploy wrote."""

import hashlib
import json
import pathlib
import random
import shutil
from typing import Any

from faults.mutations import mutate, mutate_json, mutate_npz
from faults.readers import Reader
from faults.study import Bench
from lth_jax import deploy
from lth_jax.deploy.package import MANIFEST, MANIFEST_DIGEST, PROGRAM, WEIGHTS, Package

_CHANGES = {MANIFEST: mutate_json, WEIGHTS: mutate_npz}


def package(bench: Bench, folder: pathlib.Path) -> Reader:
    """One file changed; or the manifest, or the weights, with checksums that fit.

    A program is never given a checksum that fits: who can forge one can run anything.
    """
    root = folder / "package"
    shutil.copytree(bench.package, root)
    contents = {path.name: path.read_bytes() for path in root.iterdir()}
    written = deploy.load(root)
    is_own = False

    def write(rng: random.Random) -> str:
        nonlocal is_own
        for name, content in contents.items():
            (root / name).write_bytes(content)
        name = rng.choice((MANIFEST, MANIFEST, WEIGHTS, MANIFEST_DIGEST, PROGRAM))
        changed = _CHANGES.get(name, mutate)(rng, contents[name])
        (root / name).write_bytes(changed)
        is_own = name in _CHANGES and changed != contents[name] and rng.random() < 0.6
        if is_own:
            _seal(root, name)
        return f"{name}{', sealed anew' if is_own else ''}"

    def is_good(found: Any) -> bool:
        if not isinstance(found, Package) or not isinstance(found.provenance, dict):
            return False
        own = found.manifest == written.manifest, found.provenance == written.provenance
        return is_own or all(own)

    return Reader(write, lambda: deploy.load(root), is_good)


def _seal(root: pathlib.Path, name: str) -> None:
    if name == WEIGHTS:
        manifest = json.loads((root / MANIFEST).read_bytes())
        content = (root / WEIGHTS).read_bytes()
        facts = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        manifest["files"][WEIGHTS] = facts
        (root / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    digest = hashlib.sha256((root / MANIFEST).read_bytes()).hexdigest()
    (root / MANIFEST_DIGEST).write_text(f"{digest}  {MANIFEST}\n")
