import logging
import resource
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.damage import flip_a_byte
from support.trees import assert_trees_equal

import lth_jax
from lth_jax.store import checkpoints as checkpoint
from lth_jax.store.checkpoints import DamagedCheckpoint, Newest
from lth_jax.store.files import WriteError


@pytest.fixture
def tree(params, half_masks, adam):
    return {"state": lth_jax.initial_state(params, adam), "masks": half_masks}


def test_states_and_masks_come_back_bit_for_bit(tree, tmp_path):
    checkpoint.save(tmp_path / "c", tree)
    like = jax.eval_shape(lambda: tree)
    assert_trees_equal(checkpoint.load(tmp_path / "c", like), tree)
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


def test_saving_again_replaces(tree, tmp_path):
    checkpoint.save(tmp_path / "c", {"x": jnp.zeros(3)})
    checkpoint.save(tmp_path / "c", tree)
    assert_trees_equal(checkpoint.load(tmp_path / "c", tree), tree)


def test_what_is_missing_is_no_damage(tree, tmp_path):
    with pytest.raises(FileNotFoundError):
        checkpoint.load(tmp_path / "c", tree)
    assert checkpoint.load_or_none(tmp_path / "c", tree) is None


def test_one_flipped_bit_is_told_with_the_file(tree, tmp_path):
    checkpoint.save(tmp_path / "c", tree)
    victim = flip_a_byte(tmp_path / "c")
    with pytest.raises(DamagedCheckpoint, match=victim.name):
        checkpoint.load(tmp_path / "c", tree)


@pytest.mark.parametrize("pattern", ["sha256.json", "d/*", "_METADATA"])
def test_a_missing_file_is_damage(tree, tmp_path, pattern):
    checkpoint.save(tmp_path / "c", tree)
    for path in (tmp_path / "c").glob(pattern):
        path.unlink()
    with pytest.raises(DamagedCheckpoint):
        checkpoint.load(tmp_path / "c", tree)


def test_the_newest_good_checkpoint_is_found_with_a_warning(tree, tmp_path, caplog):
    newest = Newest(tmp_path / "flights")
    assert newest.newest({"x": jnp.zeros(())}) is None
    for step in (5, 10, 15):
        newest.save(step, {"x": jnp.float32(step)})
    assert newest.newest({"x": jnp.zeros(())})["x"] == 15
    folders = sorted(p.name for p in (tmp_path / "flights").iterdir())
    assert folders == ["step_000000010", "step_000000015"]
    flip_a_byte(tmp_path / "flights" / "step_000000015")
    with caplog.at_level(logging.WARNING):
        assert newest.newest({"x": jnp.zeros(())})["x"] == 10
    assert "step_000000015: damaged in" in caplog.text
    newest.clear()
    assert not (tmp_path / "flights").exists()


def test_a_write_cut_short_leaves_the_previous_checkpoint(tree, tmp_path, monkeypatch):
    checkpoint.save(tmp_path / "c", tree)

    def killed(path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_digests", killed)
        with pytest.raises(KeyboardInterrupt):
            checkpoint.save(tmp_path / "c", {"x": jnp.zeros(3)})
    assert_trees_equal(checkpoint.load(tmp_path / "c", tree), tree)
    checkpoint.save(
        tmp_path / "c", {"x": jnp.zeros(3)}
    )  # what is left over is no hindrance
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


def test_a_disk_with_too_little_room_is_told_before_anything_is_written(
    tree, tmp_path, monkeypatch
):
    checkpoint.save(tmp_path / "c", tree)
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(WriteError, match=r"c: cannot be written \(No space left"):
        checkpoint.save(tmp_path / "c", {"x": jnp.zeros(3)})
    assert_trees_equal(checkpoint.load(tmp_path / "c", tree), tree)
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


def test_a_limit_on_files_is_told_before_anything_is_written(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(WriteError, match=r"c: cannot be written \(File too large"):
            checkpoint.save(tmp_path / "c", {"x": np.zeros(1000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
