"""XLA: the flags that tests run with, here and in processes of their own."""


def flags(num_devices: int) -> str:
    """So many host devices, and code that is not optimised.

    Tests compile far more than they run. What processes compute is compared with what is
    computed here to the last bit, so all need the same flags. Commands that run as a
    user's do not have them.
    """
    devices = f"--xla_force_host_platform_device_count={num_devices}"
    return f"{devices} --xla_backend_optimization_level=0"
