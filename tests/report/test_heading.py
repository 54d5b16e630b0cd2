"""What a study's page says above all else."""

import dataclasses

import pytest

from lth_jax.config import ModelConfig, OptimizerConfig, RewindConfig, StudyConfig
from lth_jax.data import DATA_SETS
from lth_jax.models import MODELS
from lth_jax.report.heading import NAMES, heading, settings


def having(model=None, data=None, **fields):
    study = dataclasses.replace(StudyConfig(), **fields)
    if data is not None:
        study = dataclasses.replace(
            study, data=dataclasses.replace(study.data, name=data)
        )
    return study if model is None else dataclasses.replace(study, model=model)


def test_every_net_and_data_set_of_the_package_has_a_name():
    assert set(NAMES) == {*MODELS, *DATA_SETS}
    assert len(set(NAMES.values())) == len(NAMES)


@pytest.mark.parametrize(
    ("model", "data", "told"),
    [
        (None, "mnist", "LeNet-300-100 on MNIST"),
        (ModelConfig(hidden_sizes=(100, 100)), None, "LeNet-100-100 on MNIST-1D"),
        (ModelConfig(width=0.5), "mnist", "LeNet-150-50 on MNIST"),
        (ModelConfig("resnet20", width=0.5), "cifar10", "ResNet-20 on CIFAR-10"),
        (ModelConfig("nets:Mine"), "svhn_cropped", "Mine on svhn_cropped"),
        (ModelConfig("given:Mine(x='a:b')"), "given:arrays", "Mine on arrays"),
    ],
)
def test_the_heading_is_the_net_and_the_data(model, data, told):
    assert heading(having(model, data)) == told


def test_what_is_at_its_default_or_said_elsewhere_is_left_out():
    assert settings(StudyConfig()) == ""
    model = ModelConfig(hidden_sizes=(5,))
    assert settings(having(model, "mnist", num_levels=3, member_axis="map")) == ""
    assert "hidden_sizes" in settings(having(ModelConfig("conv2", hidden_sizes=(5,))))


def test_settings_are_fields_of_groups_first_and_few():
    study = having(
        seed=3,
        arms=("ticket", "reinit", "shuffle", "random", "continue", "freeze"),
        optimizer=OptimizerConfig(learning_rate=0.1),
        rewind=RewindConfig("late_rewind", "9"),
    )
    rewind, *others = settings(study).replace("\N{NO-BREAK SPACE}", " ").split(" · ")
    assert rewind == "Not the defaults: rewind.preset late_rewind"
    assert others == [
        "rewind.step 9",
        "optimizer.learning_rate 0.1",
        "seed 3",
        "arms ticket, reinit, shuffle, random and 2 more",
    ]
    more = dataclasses.replace(
        study,
        batch_size=1,
        eval_every_steps=1,
        compute_dtype="bfloat16",
        compact_levels=True,
    )
    *_, last = settings(more).split(" · ")
    assert last.endswith(" and 1 more")
    assert settings(more).count(" · ") == 7
