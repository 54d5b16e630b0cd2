"""Packages: read back as written, or refused."""

import hashlib
import io
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.zoo import NETS, draw_masks, images, logits, variables

from lth_jax import data, deploy, shrinking
from lth_jax.deploy import export, package, weights
from lth_jax.store.files import WriteError

NORMALIZATION = data.Normalization(np.float32([1, 2, 3]), np.float32([2, 3, 4]))
FILES = (
    package.WEIGHTS,
    package.PROGRAM,
    package.ONNX,
    package.MANIFEST,
    package.MANIFEST_DIGEST,
)


def contents(name):
    params, stats = variables(name)
    masks = draw_masks(name, 3, density=0.3, dead=0.2, dead_inputs=0.3)
    net = shrinking.compact(NETS[name], params, masks, stats)
    predict = export.predictor(
        net.module,
        net.params,
        net.batch_stats,
        lambda x: net.inputs(NORMALIZATION.apply(x)),
    )
    example = jax.ShapeDtypeStruct(images(name).shape[1:], jnp.float32)
    masked = jax.tree.map(lambda m, p: np.where(m, p, 0), masks, params)
    expected = logits(NETS[name], masked, stats, NORMALIZATION.apply(images(name)))
    return net, predict, example, expected


@pytest.fixture(scope="module")
def lenet():
    return contents("lenet")


@pytest.fixture
def folder(lenet, tmp_path):
    """A package of LeNet; the model is no real one, which nothing here reads."""
    net, predict, example, _ = lenet
    files = {
        package.WEIGHTS: weights.as_bytes(net, NORMALIZATION, {"level": 3}),
        package.PROGRAM: export.program(predict, example),
        package.ONNX: b"a model",
    }
    package.write(tmp_path / "out", files, {"costs": {"dense": 7}})
    return tmp_path / "out"


def test_what_is_loaded_is_what_was_written(folder, lenet):
    found = deploy.load(str(folder))
    assert found.provenance == {"level": 3}
    assert found.manifest["costs"] == {"dense": 7}
    np.testing.assert_allclose(found(images("lenet")), lenet[3], rtol=1e-4, atol=1e-5)
    assert found(images("lenet", 7)).shape == (7, 10)


def test_sums_are_those_that_other_tools_make(folder):
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    files = json.loads((folder / package.MANIFEST).read_text())["files"]
    assert sorted(files) == sorted(FILES[:3])
    for name, facts in files.items():
        content = (folder / name).read_bytes()
        assert facts["bytes"] == len(content)
        assert facts["sha256"] == hashlib.sha256(content).hexdigest()
    digest, name = (folder / package.MANIFEST_DIGEST).read_text().split("  ")
    assert name == "manifest.json\n"
    assert digest == hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()


SUMS = {"bytes": 0, "sha256": hashlib.sha256(b"").hexdigest()}


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_refused_by_name(folder, name):
    content = (folder / name).read_bytes()
    for damaged in (flipped(content), content + b"\0", content[:-1], b""):
        (folder / name).write_bytes(damaged)
        with pytest.raises(package.PackageError, match=rf"{name}\b") as error:
            deploy.load(folder)
        assert "damaged" in str(error.value)
    (folder / name).unlink()
    with pytest.raises(package.PackageError, match=f"{name}: No such file"):
        deploy.load(folder)
    (folder / name).write_bytes(content)
    deploy.load(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"files": None}, r"manifest\.json: no manifest"),
        ({"files": {"weights.npz": {}}}, r"manifest\.json: no manifest"),
        ({"files": {}}, r"manifest\.json: lists no program\.jax, weights\.npz"),
        ({"files": {"../secret": SUMS}}, r"'\.\./secret'; must be the plain name"),
        ({"files": {"/etc/passwd": SUMS}}, r"'/etc/passwd'; must be the plain name"),
        ({"files": {"..": SUMS}}, r"'\.\.'; must be the plain name"),
        ({"files": {"a\0b": SUMS}}, "null"),
    ],
)
def test_a_manifest_of_other_content_is_refused(folder, changes, message):
    """Though its own SHA-256 agrees."""
    path = folder / package.MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / package.MANIFEST_DIGEST).write_text(f"{digest}  manifest.json\n")
    with pytest.raises(package.PackageError, match=message):
        deploy.load(folder)


@pytest.mark.parametrize("name", [package.WEIGHTS, package.PROGRAM])
def test_a_file_of_other_content_is_refused(folder, tmp_path, name):
    files = {n: (folder / n).read_bytes() for n in (package.WEIGHTS, package.PROGRAM)}
    package.write(tmp_path / "other", {**files, name: b"something else"}, {})
    with pytest.raises(package.PackageError, match=name):
        deploy.load(tmp_path / "other")


def test_inputs_that_do_not_fit_are_refused(folder):
    found, inputs = deploy.load(folder), images("lenet")
    for wrong in (inputs[0], inputs[:, :8], inputs.astype(np.float16), inputs.tolist()):
        with pytest.raises(ValueError, match=r"inputs: .* must be float32\[N, 16, 16, 3"):
            found(wrong)
    with pytest.raises(ValueError, match="inputs: a batch of 0; must be of 1 or more"):
        found(inputs[:0])


def test_a_folder_that_holds_something_is_left_alone(folder, tmp_path):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(package.PackageError, match="is not empty"):
        package.write(folder, {"a": b"b"}, {})
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(folder)
    for name in ("file", "link"):
        with pytest.raises(package.PackageError, match="is a link or no folder"):
            package.write(tmp_path / name, {}, {})
    (tmp_path / "empty").mkdir()
    package.write(tmp_path / "empty", {"a": b"b"}, {})
    assert (tmp_path / "empty" / "a").read_bytes() == b"b"


def test_what_fails_half_way_leaves_nothing(tmp_path):
    with pytest.raises(WriteError, match="out: cannot be written"):
        package.write(tmp_path / "out", {"a": b"b", "no/such": b""}, {})
    assert list(tmp_path.iterdir()) == []


def test_numpy_alone_computes_lenets_logits_from_the_weights(folder, lenet):
    with np.load(folder / package.WEIGHTS) as file:
        arrays = {name: file[name] for name in file.files}
    x = (images("lenet") - arrays["inputs/mean"]) / arrays["inputs/std"]
    x = x.reshape(len(x), -1)[:, arrays["inputs/kept"]]
    for layer in ("dense_0", "dense_1", "output"):
        kernel = arrays[f"weights/{layer}/kernel"]
        bits = arrays[f"mask/{layer}/kernel"]
        mask = np.unpackbits(bits, count=kernel.size).reshape(kernel.shape)
        np.testing.assert_array_equal(kernel[mask == 0], 0)
        x = x @ kernel + arrays[f"weights/{layer}/bias"]
        x = x if layer == "output" else np.maximum(x, 0)
    np.testing.assert_allclose(x, lenet[3], rtol=1e-4, atol=1e-5)


def test_the_weights_hold_all_of_a_net_with_statistics():
    net, *_ = contents("small_vgg")
    file = weights.as_bytes(net, NORMALIZATION, {"level": 0})
    assert weights.provenance_of(file) == {"level": 0}
    with np.load(io.BytesIO(file)) as arrays:
        for kind, tree in (("weights", net.params), ("statistics", net.batch_stats)):
            for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
                name = jax.tree_util.keystr(path, simple=True, separator="/")
                np.testing.assert_array_equal(arrays[f"{kind}/{name}"], leaf)
        np.testing.assert_array_equal(arrays["inputs/mean"], NORMALIZATION.mean)
        np.testing.assert_array_equal(arrays["inputs/std"], NORMALIZATION.std)
