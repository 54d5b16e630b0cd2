"""Damage: what may happen to a file."""

import pathlib
import random
import shutil
from collections.abc import Callable

Damage = Callable[[pathlib.Path, random.Random, pathlib.Path], None]


def flip_a_byte(path):
    """Flips one bit of the largest data file."""
    victim = max(
        (p for p in path.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size
    )
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    return victim


def _flip(path, rng, other):
    content = bytearray(path.read_bytes())
    if content:
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def _truncate(path, rng, other):
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content))] if content else b"")


def _zero_the_end(path, rng, other):
    content = path.read_bytes()
    kept = rng.randrange(len(content)) if content else 0
    path.write_bytes(content[:kept].ljust(len(content), b"\0"))


def _put_a_folder(path, rng, other):
    path.unlink()
    path.mkdir()


# By name: each gets the file, a source of chance, and another study's file like it.
DAMAGES: dict[str, Damage] = {
    "a bit flipped": _flip,
    "truncated": _truncate,
    "its end zeroed": _zero_the_end,  # as a power cut leaves a file
    "emptied": lambda path, rng, other: path.write_bytes(b""),
    "deleted": lambda path, rng, other: path.unlink(),
    "a folder in its place": _put_a_folder,
    "junk": lambda path, rng, other: path.write_bytes(rng.randbytes(rng.randrange(4096))),
    "another study's": lambda path, rng, other: shutil.copyfile(other, path),
}
