"""Environment: what JAX is told of its devices from outside, and what it makes of it."""

import logging
import os

import jax

from lth_jax.errors import UserError

_log = logging.getLogger(__name__)


def num_cores() -> int:
    """How many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def use_all_cores() -> None:
    """Makes every CPU core a device of its own; call it before anything runs.

    XLA spreads one small net over several cores hardly at all; nets of their own keep
    each core busy. Does nothing where the number of devices is already forced.
    """
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        jax.config.update("jax_num_cpu_devices", num_cores())


def check() -> None:
    """Checks what JAX is told by the environment; warns where it makes all slow.

    Raises:
      UserError: if there are no devices of the kind that JAX is told to use, or if it
        is told to promote no dtypes, which neither this package nor optax bears.
    """
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # the latter where it finds none
        platforms = os.environ.get("JAX_PLATFORMS")
        told = str(error) or "no such device is found"
        raise UserError(f"JAX_PLATFORMS: {platforms!r}; {told}") from None
    if jax.config.values["jax_numpy_dtype_promotion"] == "strict":
        raise UserError("JAX_NUMPY_DTYPE_PROMOTION: 'strict'; must be 'standard'")
    if jax.config.values["jax_disable_jit"]:
        told = "JAX_DISABLE_JIT is set: nothing is compiled, and training takes very long"
        _log.warning(told)
