"""XLA: the flags that tests run with, here and in processes of their own."""

import importlib.metadata

_NOT_OPTIMISED = (
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
    "--xla_cpu_parallel_codegen_split_count=1",
)
# Its older code for fusions compiles in two thirds of the time; newer versions have none.
_OLDER_EMITTERS = "--xla_cpu_use_fusion_emitters=false"


def flags(num_devices: int) -> str:
    """So many host devices, and code that is not optimised.

    Tests compile far more than they run. What processes compute is compared with what is
    computed here to the last bit, so all need the same flags. Commands that run as a
    user's do not have them.
    """
    found = [
        f"--xla_force_host_platform_device_count={num_devices}",
        *_NOT_OPTIMISED,
    ]
    # XLA ends the process where it does not know a flag.
    if importlib.metadata.version("jaxlib").startswith("0.10."):
        found.append(_OLDER_EMITTERS)
    return " ".join(found)
