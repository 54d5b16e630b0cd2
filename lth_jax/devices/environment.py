"""Environment: the settings of JAX's devices from outside, and checks of them."""

import logging
import os

import jax

from lth_jax.errors import UserError

_log = logging.getLogger(__name__)


def num_cores() -> int:
    """How many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # only Linux has it
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def use_all_cores() -> None:
    """Makes every CPU core a device of its own; call it before JAX runs anything.

    XLA hardly spreads one small net over several cores. A net of its own keeps each core
    busy. The call does nothing if XLA_FLAGS already sets the number of devices.
    """
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        jax.config.update("jax_num_cpu_devices", num_cores())


def check() -> None:
    """Checks JAX's settings in the environment; warns if `jit` is disabled.

    Raises:
      UserError: if there are no devices of the kind that is set, or if dtype promotion is
        "strict", with which neither this package nor optax works.
    """
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # the latter if there is no device
        platforms = os.environ.get("JAX_PLATFORMS")
        told = str(error) or "no such device is found"
        raise UserError(f"JAX_PLATFORMS: {platforms!r}; {told}") from None
    if jax.config.values["jax_numpy_dtype_promotion"] == "strict":
        raise UserError("JAX_NUMPY_DTYPE_PROMOTION: 'strict'; must be 'standard'")
    if jax.config.values["jax_disable_jit"]:
        told = "JAX_DISABLE_JIT is set: nothing is compiled, and training takes very long"
        _log.warning(told)
