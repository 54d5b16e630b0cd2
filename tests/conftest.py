"""Four forced host devices for the whole suite, and small shared things."""

import os

# Before jax is imported anywhere.
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"

import dataclasses
import fcntl
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lth_jax
from lth_jax import config as lth_config
from lth_jax.core import optimizers

SHARED = pathlib.Path(__file__).parents[2] / "shared"
SHARED_MNIST = SHARED / "data" / "mnist"
UNPACK_CIFAR10 = SHARED / "tools" / "unpack_cifar10.py"
FASHION_MNIST = pathlib.Path("/usr/share/datasets/fashion-mnist")


@pytest.fixture(scope="session", autouse=True)
def compilation_cache(tmp_path_factory):
    """Every study makes its functions anew; what they compile to is the same."""
    folder = tmp_path_factory.getbasetemp() / "compiled"
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return folder


@pytest.fixture(scope="session")
def raw_mnist() -> pathlib.Path:
    """The folder of MNIST's raw files; skips where there is none."""
    folder = pathlib.Path(os.environ.get("LTH_RAW_MNIST", SHARED_MNIST))
    if not folder.exists():
        pytest.skip(f"no raw MNIST in {folder}; set LTH_RAW_MNIST")
    return folder


@pytest.fixture(scope="session")
def raw_cifar10(tmp_path_factory) -> pathlib.Path:
    """The folder of CIFAR-10's cifar-10-batches-bin; skips where there is none."""
    if named := os.environ.get("LTH_RAW_CIFAR10"):
        folder = pathlib.Path(named)
        if not folder.exists():
            pytest.skip(f"no raw CIFAR-10 in {folder}")
        return folder
    if not UNPACK_CIFAR10.exists():
        pytest.skip(f"no {UNPACK_CIFAR10}; set LTH_RAW_CIFAR10")
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # of all workers; the first one unpacks
    with (root / "cifar10.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [sys.executable, str(UNPACK_CIFAR10), str(root / "cifar10")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return root / "cifar10"


@pytest.fixture(scope="session")
def network() -> lth_jax.models.Network:
    """A small LeNet: 12 inputs, 16 and 8 hidden units, 10 classes."""
    module = lth_jax.LeNet(hidden_sizes=(16, 8))
    return lth_jax.from_linen(module, jax.ShapeDtypeStruct((1, 12), jnp.float32))


@pytest.fixture(scope="session")
def params(network):
    return network.init(jax.random.key(0))[0]


@pytest.fixture(scope="session")
def half_masks(params):
    """About half of each kernel kept, everything else kept."""

    def halve(path, leaf):
        if not lth_jax.masks.default_prunable(path, leaf):
            return jnp.ones(leaf.shape, bool)
        return jax.random.bernoulli(jax.random.key(len(path)), 0.5, leaf.shape)

    leaves = [halve(path, leaf) for path, leaf in lth_jax.masks.named_leaves(params)]
    return jax.tree.unflatten(jax.tree.structure(params), leaves)


@pytest.fixture(scope="session")
def examples() -> lth_jax.Examples:
    """210 examples of a task that can be learnt."""
    inputs = jax.random.normal(jax.random.key(1), (210, 12))
    return lth_jax.Examples(inputs, jnp.argmax(inputs[:, :10], axis=-1).astype(jnp.int32))


@pytest.fixture(scope="session")
def adam():
    schedule = optimizers.make_schedule("constant", 1e-2, num_steps=100)
    return optimizers.make_optimizer("adam", schedule)


@pytest.fixture(scope="session")
def tiny_config() -> lth_config.StudyConfig:
    """A study of a second or two: 3 levels, 2 replicates, two segments a level."""
    return dataclasses.replace(
        lth_config.StudyConfig(),
        num_replicates=2,
        num_levels=3,
        num_steps=40,
        batch_size=30,
        eval_every_steps=10,
        checkpoint_every_steps=20,
        model=lth_config.ModelConfig(hidden_sizes=(12, 8)),
        optimizer=lth_config.OptimizerConfig(learning_rate=1e-2),
    )


def as_dict(config) -> dict:
    """A config as the nested dict that `lth_config.read` takes."""
    return dataclasses.asdict(config)


def assert_trees_equal(a, b) -> None:
    """Bit for bit, structure and dtype included."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        x, y = np.asarray(x), np.asarray(y)
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)
