"""Which field studies stand along, and what they are called there."""

import dataclasses

import pytest

from lth_jax.config import (
    InitConfig,
    OptimizerConfig,
    PruneConfig,
    RewindConfig,
    StudyConfig,
)
from lth_jax.report.axes_of_studies import (
    differing,
    in_order,
    named_fields,
    numeric_axis,
    short_names,
)


def configs(*changes):
    return [dataclasses.replace(StudyConfig(), **own) for own in changes]


def rates(*values):
    return [{"optimizer": OptimizerConfig(learning_rate=value)} for value in values]


def test_what_differs_leaves_out_where_things_lie_and_how_they_are_judged():
    first, second = configs({}, {"seed": 3, "num_levels": 4})
    verdict = dataclasses.replace(second.verdict, accuracy_margin=0.1)
    second = dataclasses.replace(second, verdict=verdict)
    assert differing([first, second]) == {"seed": [0, 3], "num_levels": [21, 4]}


def test_numbers_make_an_axis_in_their_order():
    axis = numeric_axis(configs(*rates(0.3, 0.1, 0.2)))
    assert axis.field == "optimizer.learning_rate"
    assert axis.lines == {"": [(0.1, 1), (0.2, 2), (0.3, 0)]}
    late = [{"rewind": RewindConfig("late_rewind", step)} for step in ("9", "20", "100")]
    assert numeric_axis(configs(*late)).lines == {"": [(9, 0), (20, 1), (100, 2)]}


def test_studies_are_in_the_order_of_their_axis_or_as_given():
    assert in_order(configs(*rates(0.3, 0.1, 0.2))) == [1, 2, 0]
    assert in_order(configs(*rates(0.3, 0.1))) == [1, 0]
    shares = [{"prune": PruneConfig(at=x)} for x in ("end", "100%", "early_stop", "20%")]
    assert in_order(configs(*shares)) == [3, 1, 0, 2]
    words = [{"init": InitConfig(x)} for x in ("lecun_normal", "he_normal")]
    assert in_order(configs(*words)) == [0, 1]
    pairs = [{"seed": a, "num_levels": b} for a, b in ((2, 4), (1, 5))]
    assert in_order(configs(*pairs)) == [0, 1]
    names = [{"init": InitConfig(name)} for name in ("he_normal", "glorot_normal")]
    assert in_order(configs(*({**x, **y} for y in names for x in rates(3, 1, 2)))) == [
        *(1, 2, 0),
        *(4, 5, 3),
    ]


def test_the_size_of_all_layers_is_an_axis_that_decides_the_number_of_levels():
    studies = [
        {
            "model": dataclasses.replace(StudyConfig().model, hidden_sizes=(n, n)),
            "num_levels": rounds,
        }
        for n, rounds in ((12, 4), (25, 5), (50, 6))
    ]
    axis = numeric_axis(configs(*studies))
    assert axis.field == "model.hidden_sizes"
    assert axis.lines == {"": [(12, 0), (25, 1), (50, 2)]}


def test_other_fields_make_lines_as_long_as_there_are_few():
    def grid(*names):
        return configs(
            *(own | {"init": InitConfig(n)} for n in names for own in rates(1, 2, 3))
        )

    axis = numeric_axis(grid("a", "b"))
    assert axis.lines == {
        "name a": [(1, 0), (2, 1), (3, 2)],
        "name b": [(1, 3), (2, 4), (3, 5)],
    }
    assert numeric_axis(grid(*"abcde")) is None


@pytest.mark.parametrize(
    "changes",
    [
        [{"seed": seed} for seed in range(4)],  # more of it means nothing
        rates(0.1, 0.2),
        [{"init": InitConfig(name)} for name in "abc"],
        [
            {"model": dataclasses.replace(StudyConfig().model, hidden_sizes=(n, 1))}
            for n in (2, 3, 4)
        ],
        [{"compact_levels": x} for x in (True, False)],
        [{}],
    ],
)
def test_other_fields_make_none(changes):
    assert numeric_axis(configs(*changes)) is None


def test_names_of_points_lose_the_fields_that_all_have():
    assert short_names(["init.name=a", "init.name=b,init.scale=0.3"]) == [
        "a",
        "b, scale 0.3",
    ]
    assert short_names(["seed=1", "thirty"]) == ["seed=1", "thirty"]
    assert short_names(["x=1", "y=2"]) == ["x 1", "y 2"]
    for names in (["x=1", "y=2"], ["x=1", "x=1,y=2"], ["seed=1", "thirty"]):
        assert named_fields(names) == []
    assert named_fields(["prune.at=1", "prune.at=2"]) == ["at"]


def test_a_field_that_the_axis_decides_makes_no_lines_and_no_part_of_names():
    studies = [
        {
            "num_levels": 1 + rounds,
            "prune": PruneConfig(fraction=1 - 0.05 ** (1 / rounds), scope=scope),
        }
        for scope in ("layerwise", "global")
        for rounds in (1, 2, 3)
    ]
    axis = numeric_axis(configs(*studies))
    assert axis.field == "num_levels"
    assert axis.lines == {
        "scope layerwise": [(2, 0), (3, 1), (4, 2)],
        "scope global": [(2, 3), (3, 4), (4, 5)],
    }
    names = [
        f"scope={x['prune'].scope},num_levels={x['num_levels']},fraction={x['prune'].fraction}"
        for x in studies
    ]
    assert short_names(names)[::3] == ["layerwise, 2", "global, 2"]
    assert named_fields(names) == ["scope", "num levels"]
