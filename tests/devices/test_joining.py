"""Which processes are told to join others, by flags, by Slurm, or by a TPU."""

import pytest

from lth_jax.devices import joining
from lth_jax.devices.joining import Peers, peers_of
from lth_jax.errors import UserError

NODE = {"SLURM_STEP_NUM_TASKS": "5", "SLURM_STEP_TASKS_PER_NODE": "2(x2),1"}


def test_one_process_joins_nobody():
    assert peers_of(None, None, None, {}) is None
    assert peers_of("a:1", 1, 0, {}) is None
    assert peers_of(None, None, None, {"SLURM_STEP_NUM_TASKS": "1"}) is None
    assert (
        peers_of(None, None, None, {"SLURM_JOB_ID": "7"}) is None
    )  # sbatch without srun


def test_flags_name_the_job():
    assert peers_of("a:1", 3, 2, NODE) == Peers("a:1", 3, 2)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("a:1", 2, None), "--process_id: missing; the three flags belong together"),
        ((None, None, 1), "--coordinator: missing; the three"),
        (("a:1", 2, 2), "--process_id: 2; must be from 0 to 1, one less than"),
        (("a:1", 2, -1), "--process_id: -1; must be from 0 to 1"),
        (("a", 2, 0), "--coordinator: 'a'; must be host:port"),
        (("a:1", 0, 0), "--num_processes: 0; must be at least 1"),
    ],
)
def test_flags_that_cannot_be_are_refused(flags, told):
    with pytest.raises(UserError, match=told):
        peers_of(*flags, {})


@pytest.mark.parametrize(
    ("local", "node", "visible", "expected"),
    [
        (0, 0, None, None),  # no GPU, or jax's own rule: one each
        (0, 0, "0,1,2,3", (0, 2)),  # two tasks share four
        (1, 1, "0,1,2,3", (1, 3)),
        (1, 0, "2,3", (1,)),
        (1, 0, "1", (0,)),  # Slurm shows each its own
        (0, 2, "0,1,2", (0, 1, 2)),  # alone on its node
    ],
)
def test_tasks_of_slurm_share_the_gpus_of_their_node(local, node, visible, expected):
    variables = NODE | {"SLURM_LOCALID": str(local), "SLURM_NODEID": str(node)}
    variables |= {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert peers_of(None, None, None, variables) == Peers(local_device_ids=expected)


@pytest.mark.parametrize(
    ("files", "package", "platforms", "joins"),
    [
        (["/dev/accel0"], True, None, True),
        (["/dev/vfio/0"], True, "tpu,cpu", True),
        (["/dev/vfio/0"], False, None, False),
        ([], True, None, False),
        (["/dev/accel0"], True, "cpu", False),
    ],
)
def test_a_tpu_finds_its_own_job(files, package, platforms, joins, monkeypatch):
    found = lambda pattern: [f for f in files if f[:6] == pattern[:6]]  # noqa: E731
    monkeypatch.setattr(joining.glob, "glob", found)
    monkeypatch.setattr(joining.importlib.util, "find_spec", lambda name: package or None)
    variables = {} if platforms is None else {"JAX_PLATFORMS": platforms}
    expected = Peers(may_be_alone=True) if joins else None
    assert peers_of(None, None, None, variables) == expected


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, Peers()),
        ({"TPU_WORKER_HOSTNAMES": "a"}, None),
        ({"TPU_PROCESS_ADDRESSES": "local"}, None),
        ({"TPU_WORKER_HOSTNAMES": "a", "MEGASCALE_NUM_SLICES": "2"}, Peers()),
    ],
)
def test_a_tpu_of_one_host_trains_alone(variables, expected, monkeypatch):
    monkeypatch.setattr(joining, "_is_tpu", lambda variables: True)
    assert peers_of(None, None, None, variables) == expected


def test_gpus_that_slurm_gave_each_task_are_all_its_own():
    variables = NODE | {"SLURM_LOCALID": "1", "SLURM_NODEID": "0"}
    variables |= {"CUDA_VISIBLE_DEVICES": "0,1,2,3"}
    for on_node, expected in (("8", (0, 1, 2, 3)), ("4", (1, 3))):
        job = peers_of(None, None, None, variables | {"SLURM_GPUS_ON_NODE": on_node})
        assert job == Peers(local_device_ids=expected)
