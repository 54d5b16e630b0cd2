"""Four forced host devices for the whole suite, and small shared things."""

import os

from support import xla

os.environ["XLA_FLAGS"] = xla.flags(4)  # before jax is imported anywhere

import contextlib
import dataclasses
import fcntl
import gc
import json
import pathlib
from typing import NamedTuple

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import browsing, generated
from support.commands import Commands
from support.jobs import TINY
from support.paths import ROOT
from support.runs import forget_programs, programs_of, train

import lth_jax
from lth_jax import config as lth_config
from lth_jax import data
from lth_jax.lottery import solutions, trainer
from lth_jax.lottery.results import is_finished
from lth_jax.lottery.study import build
from lth_jax.store import claim
from lth_jax.store.workdir import Workdir
from lth_jax.training import optimizers, schedules

# What compiles in an example takes long, and machines are shared.
hypothesis.settings.register_profile("shared", deadline=None)
hypothesis.settings.load_profile("shared")

# What takes longest, first, so that at the end no worker waits long for another; and
# apart from each other, two that wait for the same study.
LONG_FILES = (
    "command/test_main.py",
    "lottery/test_executor.py",
    "scripts/test_bench_gpu.py",
    "faults/test_faults.py",
    "lottery/test_cuts.py",
    "lottery/test_image_studies.py",
    "lottery/test_several_studies.py",
    "lottery/test_arms.py",
    "report/test_page.py",
    "scripts/test_slurm.py",
    "command/test_notebook.py",
    "launch/test_launch_main.py",
    "lottery/test_compact_levels.py",
    "analyze/test_analyze_main.py",
    "command/test_strangers.py",
    "test_contract.py",
    "pruning/test_criteria.py",
)


def pytest_collection_modifyitems(items):
    """Marks what opens a browser, and puts long files first."""
    for item in items:
        if "browser" in item.fixturenames:
            item.add_marker(pytest.mark.browser)
    ranks = {ROOT / "tests" / name: rank for rank, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))


def pytest_collection_finish():
    """Spares Python's collector what lives to the end: a sixth of the tests' time."""
    gc.freeze()
    gc.set_threshold(50_000)


@pytest.fixture(scope="session")
def cache_folder(shared_folder) -> pathlib.Path:
    """Where compiled programs are kept: LTH_TEST_CACHE, from one run to the next."""
    return pathlib.Path(os.environ.get("LTH_TEST_CACHE", shared_folder))


@pytest.fixture(scope="session", autouse=True)
def compilation_cache(cache_folder):
    """Every study makes its functions anew; what they compile to is the same."""
    folder = cache_folder / "compiled"
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return folder


@pytest.fixture(scope="session", autouse=True)
def generated_data():
    """What is generated takes longer than many a study."""
    generated.keep()


@pytest.fixture(scope="session")
def user_environment(cache_folder) -> dict[str, str]:
    """One device, as a user has it, and a cache that no user has."""
    env = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    return {**env, "XDG_CACHE_HOME": str(cache_folder / "cache")}


@pytest.fixture(scope="session")
def commands(user_environment):
    """Runs a module of the package as a user does, but sooner."""
    found = Commands(user_environment)
    yield found
    found.close()


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory) -> pathlib.Path:
    """A folder of all workers, for what the first one of them makes."""
    root = tmp_path_factory.getbasetemp()
    return root.parent if "PYTEST_XDIST_WORKER" in os.environ else root


@contextlib.contextmanager
def locked(path: pathlib.Path):
    """Other workers wait meanwhile."""
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="module", autouse=True)
def shared_programs():
    """Studies of a module share what they compile, and it goes with the module.

    A worker would come to hold thousands of programs.
    """
    with pytest.MonkeyPatch.context() as patch:
        for module in (trainer, solutions):
            patch.setattr(module, "Programs", programs_of)
        yield
    forget_programs()
    jax.clear_caches()


def named_folder(variable: str) -> pathlib.Path:
    """The folder that a variable of the environment names; skips where it is not set."""
    if not (name := os.environ.get(variable)):
        pytest.skip(f"{variable} is not set")
    return pathlib.Path(name).resolve(strict=True)


@pytest.fixture(scope="session")
def raw_mnist() -> pathlib.Path:
    """The folder of MNIST's raw files."""
    return named_folder("LTH_RAW_MNIST")


@pytest.fixture(scope="session")
def raw_fashion_mnist() -> pathlib.Path:
    """The folder of Fashion-MNIST's, as in Debian's dataset-fashion-mnist."""
    return named_folder("LTH_FASHION_MNIST")


@pytest.fixture(scope="session")
def raw_cifar10() -> pathlib.Path:
    """The folder of CIFAR-10's cifar-10-batches-bin."""
    return named_folder("LTH_RAW_CIFAR10")


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
    schedule = schedules.make_schedule("constant", 1e-2, num_steps=100)
    return optimizers.make_optimizer("adam", schedule)


@pytest.fixture(scope="session")
def images() -> data.Source:
    """260 images of 8x8 pixels in three classes that differ in colour."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 260).astype(np.int32)
    inputs = rng.integers(0, 100, (260, 8, 8, 3)).astype(np.uint8)
    inputs[np.arange(260), :, :, labels] += 60
    train, test = data.Split(inputs[:200], labels[:200]), data.Split(inputs, labels)
    return data.Source(train, test, num_outputs=3)


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


@pytest.fixture(scope="session")
def tiny_study(tiny_config, shared_folder) -> Workdir:
    """The tiny study, finished, without a report; not to be written to."""
    root = shared_folder / "tiny"
    with locked(root):
        if not is_finished(tiny_config, Workdir(root)):
            built = build(tiny_config)
            with claim.opened(root, tiny_config, built.data_note) as files:
                train(built, files)
    return Workdir(root)


class Finished(NamedTuple):
    """A study that the command line ran; `printed` at its end, `told` meanwhile."""

    files: Workdir
    command: str
    printed: str
    told: str


def run_study(shared_folder, commands, name, *flags) -> Finished:
    """Runs a study as a user does, once for all workers."""
    root = shared_folder / name
    notes = root.with_suffix(".json")
    command = ["lth_jax.main", *flags, f"--workdir={root}"]
    with locked(root):
        if not notes.exists():
            code, *texts = commands.run(*command)
            assert code == 0, texts
            notes.write_text(json.dumps(texts))
    texts = json.loads(notes.read_text())
    return Finished(Workdir(root), " ".join(["python", "-m", *command]), *texts)


@pytest.fixture(scope="session")
def smoke_study(shared_folder, commands) -> Finished:
    """The small variant of configs/mnist1d.py, of three replicates."""
    flags = ("--config=configs/mnist1d.py:smoke", "--config.num_replicates=3")
    return run_study(shared_folder, commands, "smoke", *flags)


@pytest.fixture(scope="session")
def undisturbed_study(shared_folder, commands) -> Finished:
    """The study of `support.jobs`, which no one stopped."""
    return run_study(shared_folder, commands, "undisturbed", *TINY)


@pytest.fixture(scope="session")
def mnist1d_study(shared_folder, commands) -> Finished:
    """The whole of configs/mnist1d.py, without its three sparsest levels."""
    flags = ("--config=configs/mnist1d.py", "--config.num_levels=6")
    return run_study(shared_folder, commands, "mnist1d", *flags)


@pytest.fixture(scope="session")
def lenet_study(shared_folder, commands, raw_mnist) -> Finished:
    """The small variant of configs/lenet.py, with fewer steps still."""
    flags = (
        "--config=configs/lenet.py:smoke",
        f"--config.data.raw_dir={raw_mnist}",
        "--config.num_levels=3",
        "--config.num_replicates=2",
        "--config.num_steps=200",
        "--config.checkpoint_every_steps=600",
        "--config.eval_every_steps=100",
    )
    return run_study(shared_folder, commands, "lenet_smoke", *flags)


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium; skips where there is none.

    While it is open no other event loop can run in this thread, so no study either.
    """
    with browsing.chromium() as found:
        if found is None:
            pytest.skip(f"no browser; any of {', '.join(browsing.NAMES)}")
        yield found


@pytest.fixture
def visit(browser):
    """Opens a file in a context of its own; gives a `browsing.Visit`."""
    contexts = []

    def visit(path: pathlib.Path, **settings) -> browsing.Visit:
        contexts.append(browser.new_context(**settings))
        return browsing.visit(contexts[-1], path)

    yield visit
    for context in contexts:
        context.close()
