"""A study that grew has the results of one that was as large from the start."""

import dataclasses

import pytest
from support.runs import Stop, run, texts
from support.tiers import quick


@pytest.fixture(scope="module")
def large(tiny_config):
    """A study with one arm a call, so that no member depends on its company."""
    return dataclasses.replace(
        tiny_config,
        num_steps=20,
        arms=("ticket", "random", "reinit"),
        members_per_call=2,
    )


@pytest.fixture(scope="module")
def expected(large, tmp_path_factory):
    return texts(run(large, tmp_path_factory.mktemp("large") / "study"))


@pytest.mark.parametrize("stop_after", quick(None, 2, of=[None, 1, 2, 3]))
def test_a_study_that_grew_equals_one_that_was_large(
    stop_after, large, expected, tmp_path
):
    small = dataclasses.replace(large, num_levels=2, arms=("ticket", "reinit"))
    ends = []

    def stop():
        ends.append(None)
        if len(ends) == stop_after:
            raise Stop

    try:
        run(small, tmp_path, check_interrupted=stop)
    except Stop:
        assert stop_after is not None
    assert texts(run(large, tmp_path)) == expected
