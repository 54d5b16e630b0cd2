"""The command that makes files of a ticket, as a user types it."""

import csv
import json
import shutil
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest

from lth_jax import deploy
from lth_jax.deploy import measures
from lth_jax.deploy.__main__ import main
from lth_jax.store import records
from lth_jax.store.files import write_sealed


@pytest.fixture(scope="module")
def package(tiny_study, commands, tmp_path_factory):
    """The files of a ticket, and what the command printed."""
    out = tmp_path_factory.mktemp("deploy") / "ticket"
    flags = [f"--workdir={tiny_study.root}", "--level=2", "--replicate=1", "--onnx"]
    code, printed, err = commands.run("lth_jax.deploy", *flags, f"--out={out}")
    assert (code, err) == (0, "")
    return out, printed


def test_it_writes_files_that_agree(package, tiny_config):
    out, _ = package
    names = {"weights.npz", "program.jax", "model.onnx", "manifest.json"}
    assert {path.name for path in out.iterdir()} == names | {"manifest.sha256"}
    found = deploy.load(out)
    provenance = found.provenance
    assert (provenance["level"], provenance["replicate"]) == (2, 1)
    assert provenance["config"]["num_steps"] == tiny_config.num_steps
    assert provenance["module"] == "LeNet" and provenance["units"]["output"] == 10
    assert set(provenance["software"]) == {"versions", "python", "commit"}
    session = onnxruntime.InferenceSession(str(out / "model.onnx"))
    inputs = np.random.default_rng(0).normal(size=(5, 40, 1)).astype(np.float32)
    (logits,) = session.run(None, {"inputs": inputs})
    np.testing.assert_allclose(logits, found(inputs), rtol=1e-4, atol=1e-5)


def test_its_accuracy_is_the_one_that_the_study_recorded(package, tiny_study):
    path = records.path_of(tiny_study.records, "ticket", 2)
    with path.open() as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if (row["replicate"], row["split"], row["metric"])
            == ("1", "test", "accuracy")
        ]
    recorded = float(max(rows, key=lambda row: int(row["step"]))["value"])
    accuracy = deploy.load(package[0]).manifest["test_accuracy"]
    assert accuracy["masked"] == pytest.approx(recorded, abs=1e-6)
    assert accuracy["compact"] == accuracy["masked"]
    assert accuracy["num_examples"] == 1000
    assert accuracy["largest_difference_of_logits"] < 1e-4 * accuracy["largest_logit"]


def test_it_counts_and_prints_what_the_manifest_has(package, tiny_study):
    out, printed = package
    manifest = deploy.load(out).manifest
    costs = manifest["costs"]
    assert costs["dense"] == {
        "num_params": 40 * 12 + 12 * 8 + 8 * 10 + 12 + 8 + 10,
        "num_bytes": 4 * (40 * 12 + 12 * 8 + 8 * 10 + 12 + 8 + 10),
        "multiply_adds": 40 * 12 + 12 * 8 + 8 * 10,
    }
    with np.load(tiny_study.ticket(2)) as arrays:
        shapes = json.loads(str(arrays["provenance"]))["shapes"]
        kept = {
            name: int(
                np.unpackbits(arrays[f"mask/{name}"][1], count=np.prod(shape)).sum()
            )
            for name, shape in shapes.items()
        }
    assert costs["masked"]["num_params"] == sum(kept.values())
    kernels = [number for name, number in kept.items() if name.endswith("kernel")]
    assert costs["masked"]["multiply_adds"] == sum(kernels)
    with np.load(out / "weights.npz") as arrays:
        stored = [arrays[n].size for n in arrays.files if n.startswith("weights/")]
    assert costs["compact"]["num_params"] == sum(stored)
    for numbers in (manifest["median_seconds"][f"batch_{n}"] for n in (1, 256)):
        assert set(numbers) == {"dense", "compact"} and min(numbers.values()) > 0
    assert set(manifest["median_seconds"]) == {"batch_1", "batch_256"}
    assert set(manifest["measured_on"]) == {"device", "backend", "machine", "num_cores"}
    assert "us, batch of 256" in printed
    assert f"{costs['masked']['num_params']:,}" in printed
    assert f"{manifest['test_accuracy']['compact']:.4f}" in printed
    assert printed.endswith(f"written to {out}\n")


def refused(capsys, *flags):
    """What the command says; it must be one line."""
    try:
        code = main([str(flag) for flag in flags])
    except SystemExit as stopped:
        code = stopped.code
    out, err = capsys.readouterr()
    assert (code, out, err.count("\n")) == (2, "", 1)
    return err


def test_what_is_wrong_is_told_in_one_line(tiny_study, tmp_path, capsys):
    workdir, out = f"--workdir={tiny_study.root}", f"--out={tmp_path / 'out'}"
    for flags, words in (
        (["--level=3"], "level: 3 is not allowed; must be from 0 to 2"),
        (["--level=-1"], "level: -1 is not allowed; must be from 0 to 2"),
        (["--level=one"], "argument --level: invalid int value: 'one'"),
        (["--level=1", "--replicate=2"], "replicate: 2 is not allowed"),
        (["--level=1", "--replicas=1"], "unrecognized arguments: --replicas=1"),
        (["--level=1", "--rep=1"], "unrecognized arguments: --rep=1"),
        ([], "the following arguments are required: --level"),
    ):
        assert words in refused(capsys, workdir, out, *flags)
    nowhere = refused(capsys, f"--workdir={tmp_path}", "--level=1", out)
    assert f"{tmp_path} holds no study" in nowhere
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("")
    full = refused(capsys, workdir, "--level=1", f"--out={tmp_path / 'full'}")
    assert "is not empty" in full
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def with_config(study, root, **changes):
    """A copy of a study that says it had another config."""
    shutil.copytree(study.root, root)
    path = root / "config.json"
    changed = {**json.loads(path.read_text()), **changes}
    write_sealed(path, json.dumps(changed).encode())
    return f"--workdir={root}"


def test_a_program_that_computes_something_else_is_never_written(
    tiny_study, tmp_path, monkeypatch
):
    def differ(*_):
        raise RuntimeError("logits differ")

    monkeypatch.setattr(measures, "accuracies", differ)
    with pytest.raises(RuntimeError, match="logits differ"):
        main([f"--workdir={tiny_study.root}", "--level=2", f"--out={tmp_path / 'out'}"])
    assert not list(tmp_path.iterdir())


def test_of_a_study_in_bfloat16_it_computes_in_float32(
    package, tiny_study, tmp_path, monkeypatch
):
    monkeypatch.setattr(measures, "median_seconds", lambda *_: {})
    workdir = with_config(tiny_study, tmp_path / "study", compute_dtype="bfloat16")
    out = tmp_path / "out"
    assert main([workdir, "--level=2", "--replicate=1", f"--out={out}"]) == 0
    inputs = np.random.default_rng(0).normal(size=(5, 40, 1)).astype(np.float32)
    found, expected = (deploy.load(folder)(inputs) for folder in (out, package[0]))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_shards_replicates_have_their_own_numbers(
    package, tiny_study, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(measures, "median_seconds", lambda *_: {})
    workdir = with_config(tiny_study, tmp_path / "study", first_replicate=4)
    flags = workdir, "--level=2", f"--out={tmp_path / 'out'}"
    told = refused(capsys, *flags, "--replicate=1")
    assert "replicate: 1 is not allowed; must be from 4 to 5" in told
    assert main([*flags, "--replicate=5"]) == 0
    found, second = deploy.load(tmp_path / "out"), deploy.load(package[0])
    assert found.provenance["replicate"] == 5
    inputs = np.random.default_rng(0).normal(size=(5, 40, 1)).astype(np.float32)
    np.testing.assert_array_equal(found(inputs), second(inputs))


def test_data_are_read_where_they_lie_now(tiny_study, tmp_path, capsys):
    raw = {"name": "mnist", "raw_dir": "/gone", "num_validation": 40, "augment": "none"}
    workdir = with_config(tiny_study, tmp_path / "study", data=raw)
    flags = workdir, "--level=1", f"--out={tmp_path / 'out'}"
    assert "data.raw_dir: '/gone'; no such folder" in refused(capsys, *flags)
    (tmp_path / "here").mkdir()
    moved = refused(capsys, *flags, f"--raw_dir={tmp_path / 'here'}")
    assert f"{tmp_path / 'here'}/" in moved and "no such file" in moved


def test_a_level_that_is_not_finished_or_damaged_is_named(tiny_study, tmp_path, capsys):
    shutil.copytree(tiny_study.root, tmp_path / "study")
    checkpoints = tmp_path / "study" / "checkpoints"
    shutil.rmtree(checkpoints / "level_02")
    file = max((checkpoints / "level_01").rglob("*"), key=lambda p: p.stat().st_size)
    file.write_bytes(file.read_bytes()[:-1])
    flags = f"--workdir={tmp_path / 'study'}", f"--out={tmp_path / 'out'}"
    assert "level: 2 is not finished in" in refused(capsys, *flags, "--level=2")
    assert "level: 1 cannot be read" in refused(capsys, *flags, "--level=1")
    assert not (tmp_path / "out").exists()


def test_a_study_of_other_data_is_refused(tiny_study, tmp_path, capsys):
    shutil.copytree(tiny_study.root, tmp_path / "study")
    path = tmp_path / "study" / "environment.json"
    changed = {**json.loads(path.read_text()), "data_note": "altered"}
    write_sealed(path, json.dumps(changed).encode())
    flags = f"--workdir={tmp_path / 'study'}", f"--out={tmp_path / 'out'}"
    assert "was made with other data" in refused(capsys, *flags, "--level=1")


def test_a_wrong_flag_is_told_before_anything_heavy_is_imported():
    code = (
        "import sys; from lth_jax.deploy.__main__ import main\n"
        "try: main(['--levle=1'])\n"
        "except SystemExit: print({'orbax', 'tensorflow_datasets'} & {*sys.modules})"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout == "set()\n"
    assert run.stderr.startswith("error: ") and run.stderr.count("\n") == 1
