"""The fields of a config, as --help lists them."""

import dataclasses
import operator

import pytest

from lth_jax import config
from lth_jax.config import StudyConfig
from lth_jax.config.fields import _meanings, fields, listing
from lth_jax.config.reading import dotted


@dataclasses.dataclass
class Sample:
    """Comments in all places."""

    # No field's.

    # Above, on two lines, as in Frankle et al. 2021, in 20.5% of cases. And a
    # second sentence.
    above: int = 1
    beside: str = "# no comment"  # beside it; not 1.5
    without: int = 3
    long: tuple[str, ...] = (
        "a",
        "b",
    )  # at its end

    def method(self) -> None:
        """No field."""


def test_a_meaning_is_the_first_sentence_of_a_fields_comment():
    assert _meanings(Sample) == {
        "above": "Above, on two lines, as in Frankle et al. 2021, in 20.5% of cases",
        "beside": "beside it; not 1.5",
        "without": "",
        "long": "at its end",
    }


def test_every_field_of_a_study_is_listed_with_its_default_and_a_meaning():
    study, found = StudyConfig(), fields()
    assert {field.name for field in found} == set(dotted(study))
    for field in found:
        assert field.default == operator.attrgetter(field.name)(study)
        assert len(field.meaning) > 3, field.name
    lines = listing(60).splitlines()
    assert "--config.prune.fraction=0.2" in lines
    assert max(len(line) for line in lines if line.startswith(" ")) <= 60


@pytest.mark.parametrize(
    ("changes", "near"),
    [
        ({"prune": {"fractoin": 0.3}}, "did you mean 'fraction'?"),
        ({"fraction": 0.3}, "did you mean 'prune.fraction'?"),
        ({"prune": {"scope": "globl"}}, "did you mean 'global'?"),
        ({"num_level": 3}, "did you mean 'num_levels'?"),
    ],
)
def test_unknown_names_have_the_nearest_that_there_is(changes, near):
    with pytest.raises(config.ConfigError, match=near.replace("?", r"\?")):
        config.read(changes)


def test_what_is_like_nothing_has_no_hint():
    with pytest.raises(config.ConfigError) as error:
        config.read({"xyzzy": 3})
    assert "did you mean" not in str(error.value)
