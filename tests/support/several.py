"""Several: a module of the tests in one of several processes that know each other.

`python -m support.several localhost:5000 2 0 support.meshes dense 4` is the first of two.
"""

import runpy
import sys

from lth_jax.devices.joining import Peers, join

if __name__ == "__main__":
    coordinator, number, process_id, module, *arguments = sys.argv[1:]
    join(Peers(coordinator, int(number), int(process_id)))
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)
