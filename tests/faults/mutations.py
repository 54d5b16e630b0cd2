"""Mutations: bytes made of good ones, which readers have not seen."""

import functools
import gzip
import io
import json
import random
import zipfile
from collections.abc import Callable

import numpy as np

BOMB_BYTES = 768 * 2**20  # of zeros, more than a reader may take
_TOKENS = (
    *(b"nan", b"inf", b"-1", b"1e999", b"9" * 400, b"0x10", b"true", b"null", b"None"),
    *(b'"', b"'", b",", b"\n", b"\r", b"\0", b"[", b"{", b"}", b"/", b"../../x", b"\xff"),
    *(b"\xff\xff\xff\xff", b"\x80\0\0\0", b"\x7f\xff\xff\xff", "±é".encode(), b"PK\3\4"),
)


def mutate(rng: random.Random, content: bytes) -> bytes:
    """Between one and four changes of bytes, anywhere."""
    found = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        rng.choice(_CHANGES)(rng, found)
    return bytes(found)


def _flip(rng, content):
    if content:
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def _set(rng, content):
    if content:
        content[rng.randrange(len(content))] = rng.randrange(256)


def _insert(rng, content):
    at = rng.randint(0, len(content))
    content[at:at] = rng.choice((rng.choice(_TOKENS), rng.randbytes(rng.randint(1, 40))))


def _overwrite(rng, content):
    at, token = rng.randint(0, len(content)), rng.choice(_TOKENS)
    content[at : at + len(token)] = token


def _delete(rng, content):
    first, last = sorted(rng.randint(0, len(content)) for _ in range(2))
    del content[first : rng.choice((last, min(first + rng.randint(1, 8), last)))]


def _repeat(rng, content):
    first = rng.randint(0, len(content))
    content[first:first] = content[first : first + rng.randint(1, 200)]


def _truncate(rng, content):
    del content[rng.randint(0, len(content)) :]


def _replace(rng, content):
    content[:] = rng.choice((b"", rng.randbytes(rng.randint(0, 400))))


_CHANGES: tuple[Callable[[random.Random, bytearray], None], ...] = (
    *(_flip, _flip, _set, _insert, _overwrite, _overwrite),
    *(_delete, _repeat, _truncate, _replace),
)


def mutate_gzip(rng: random.Random, content: bytes) -> bytes:
    """As `mutate`, or what is packed in there mutated, or a bomb."""
    chance = rng.random()
    if chance < 1 / 2000:
        return gzip_bomb()
    if chance < 0.5:
        return gzip.compress(mutate(rng, gzip.decompress(content)), 1, mtime=0)
    return mutate(rng, content)


def mutate_npz(rng: random.Random, content: bytes) -> bytes:
    """As `mutate`, or a good .npz file of other arrays, or a bomb."""
    chance = rng.random()
    if chance < 1 / 2000:
        return npz_bomb(_arrays(content))
    if chance < 0.3:
        return mutate(rng, content)
    members = dict(_arrays(content))
    name = rng.choice(sorted(members))
    if chance < 0.5:  # what zipfile takes for good, and NumPy may not
        members[name] = mutate(rng, members[name])
    else:
        rng.choice(_ARRAY_CHANGES)(rng, members, name)
    return _zipped(members)


def _drop(rng, members, name):
    del members[name]


def _rename(rng, members, name):
    other = rng.choice(("x", "", "../y", "weights/", name + "/z", rng.choice([*members])))
    members[other + rng.choice((".npy", ""))] = members.pop(name)


def _retype(rng, members, name):
    types = ("f2", "f4", "f8", "i8", "u1", "?", "c8", "U5", "S3", "M8[s]", "O")
    array = _loaded(members[name])
    try:
        members[name] = _dumped(array.astype(rng.choice(types)))
    except (ValueError, TypeError):
        members[name] = _dumped(np.zeros(array.shape, "f4"))


def _reshape(rng, members, name):
    array = _loaded(members[name])
    shapes = (array[None], array.reshape(-1), array.reshape(-1)[:-1], array[..., None])
    members[name] = _dumped(rng.choice((*shapes, array.reshape(-1)[:0], np.float32(3))))


def _value(rng, members, name):
    array = _loaded(members[name]).copy()
    if array.dtype.kind in "fiu" and array.size:
        values = (np.nan, np.inf, -1, 2**31, 10**30)
        with np.errstate(all="ignore"):
            array.reshape(-1)[rng.randrange(array.size)] = np.float64(
                rng.choice(values)
            ).astype(array.dtype)
    members[name] = _dumped(array)


def _text(rng, members, name, change=mutate):
    """Changes what a text holds, such as the provenance's JSON."""
    texts = [n for n in sorted(members) if _loaded(members[n]).dtype.kind == "U"]
    if texts:
        chosen = rng.choice(texts)
        changed = change(rng, str(_loaded(members[chosen])).encode())
        members[chosen] = _dumped(np.array(changed.decode(errors="replace")))


def _json(rng, members, name):
    """Changes one value of the provenance, which stays JSON."""
    _text(rng, members, name, mutate_json)


def _huge(rng, members, name):
    shape = rng.choice(((10**12,), (2**40, 2**40), (10**6, 10**6), (-1, 3)))
    header = io.BytesIO()
    described = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, described)
    members[name] = header.getvalue() + bytes(64)


_ARRAY_CHANGES = (_drop, _rename, _retype, _reshape, _value, _text, _json, _json, _huge)
_JSON_VALUES = (
    *(None, True, 0, -1, 3, 2**40, 10**400, 1e300, "", "x", "../x", [], {}, [0], [2**40]),
    *([-1], ["x"], {"x": 1}, [[1]], "\ud800"),
)


def mutate_json(rng: random.Random, content: bytes) -> bytes:
    """As `mutate`, or JSON with a value or a key that is other, or gone."""
    if rng.random() < 0.4:
        return mutate(rng, content)
    found = json.loads(content)
    where = found
    while isinstance(where, dict | list) and where:
        keys = sorted(where) if isinstance(where, dict) else range(len(where))
        key = rng.choice(keys)
        if not isinstance(where[key], dict | list) or rng.random() < 0.3:
            break
        where = where[key]
    if not (isinstance(where, dict | list) and where):
        return json.dumps(rng.choice(_JSON_VALUES)).encode()
    if rng.random() < 0.2:
        del where[key]
    elif rng.random() < 0.1 and isinstance(where, dict):
        where[rng.choice(("x", "", key + "x"))] = where.pop(key)
    else:
        where[key] = rng.choice(_JSON_VALUES)
    return json.dumps(found).encode()


def _arrays(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def _zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for name, content in members.items():
            packed.writestr(zipfile.ZipInfo(name), content)
    return file.getvalue()


def _loaded(content: bytes) -> np.ndarray:
    try:
        return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except ValueError:
        return np.zeros(1)


def _dumped(array) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array), allow_pickle=True)
    return file.getvalue()


@functools.cache
def gzip_bomb() -> bytes:
    """Some 3 MB that unpack to `BOMB_BYTES`."""
    file = io.BytesIO()
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1, mtime=0) as packed:
        _write_zeros(packed)
    return file.getvalue()


def npz_bomb(members: dict[str, bytes]) -> bytes:
    """The arrays of a file, the largest of them `BOMB_BYTES` of zeros."""
    victim = max(members, key=lambda name: len(members[name]))
    return _bomb_of(tuple(sorted(members.items())), victim)


@functools.lru_cache(maxsize=2)
def _bomb_of(members: tuple[tuple[str, bytes], ...], victim: str) -> bytes:
    file, header = io.BytesIO(), io.BytesIO()
    shape = (BOMB_BYTES // 4,)
    described = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, described)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for name, content in members:
            if name != victim:
                packed.writestr(zipfile.ZipInfo(name), content)
        with packed.open(victim, "w", force_zip64=True) as member:
            member.write(header.getvalue())
            _write_zeros(member)
    return file.getvalue()


def _write_zeros(file) -> None:
    zeros = bytes(2**20)
    for _ in range(BOMB_BYTES // len(zeros)):
        file.write(zeros)
