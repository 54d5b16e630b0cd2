"""Processes that talk, and what one alone makes of that."""

import jax
import numpy as np
import pytest
from support.commands import run_several

from lth_jax import devices


@pytest.mark.slow
def test_processes_hear_the_first_and_read_what_lies_on_all():
    for code, err in run_several(2, 2, "support.talk"):
        assert code == 0, err


def test_alone_a_process_is_the_first_and_nothing_is_copied():
    value = object()
    assert devices.is_first()
    assert devices.from_first(lambda: value) is value
    assert devices.by_first(lambda: value)() is value
    assert devices.any_of(True) and not devices.any_of(False)
    array = jax.numpy.arange(3)
    assert devices.readable({"a": array})["a"] is array
    assert isinstance(devices.on_host(array), np.ndarray)
    with pytest.raises(ZeroDivisionError):
        devices.from_first(lambda: 1 / 0)
