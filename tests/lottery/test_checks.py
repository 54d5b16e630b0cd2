"""What a study's arms ask of its config."""

import dataclasses

import pytest

from lth_jax import config as lth_config
from lth_jax.config import Claim, ConfigError
from lth_jax.lottery.checks import check_arms

STUDY = lth_config.StudyConfig()
CLAIM = Claim(0.211, "speedup", 1.61, 1.11, None, "figure 4a")


def having(**fields):
    return dataclasses.replace(STUDY, **fields)


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        (("ticket", "nope"), r"^arms: 'nope' .*one of ticket, reinit"),
        (("tickt", "reinit"), "^arms: 'tickt' .*did you mean 'ticket'"),
        (("ticket", "nope", "nope"), "^arms: 'nope' .*one of ticket, reinit"),
        (("reinit",), "^arms: .* a tuple with 'ticket' in it"),
        (("ticket", "reinit", "reinit"), "^arms: .* free of repetitions"),
        (("ticket", "magnitude"), r"^arms: .* repetitions, and of prune\.criterion"),
        (("ticket", "snip"), r"^arms: .* without criteria where prune\.densities is emp"),
    ],
)
def test_arms_that_are_not_allowed_are_told(arms, message):
    with pytest.raises(ConfigError, match=message):
        check_arms(lth_config.read(dataclasses.asdict(having(arms=arms))))


def test_no_arm_repeats_the_ticket():
    rewind = lth_config.RewindConfig("lr_rewind")
    with pytest.raises(ConfigError, match=r"arms: .* without 'continue'"):
        check_arms(having(arms=("ticket", "continue"), rewind=rewind))


@pytest.mark.parametrize(
    ("arm", "changes", "allowed"),
    [
        ("rigl", {"update_every_steps": 30}, r"divisor of eval_every_steps \(100\)"),
        ("gradual", {"update_every_steps": 40_000}, "no later than step 37500"),
        ("gradual", {"begin_fraction": 0.7499}, "no later than step 37500"),
    ],
)
def test_updates_fit_the_budget_and_the_evaluations(arm, changes, allowed):
    study = having(dynamic=lth_config.DynamicConfig(**changes))
    check_arms(study)  # no arm has anything to do with it
    with pytest.raises(ConfigError, match=rf"dynamic\.update_every_steps: .*{allowed}"):
        check_arms(dataclasses.replace(study, arms=("ticket", arm)))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("arm", "dense", r"\.arm: 'dense' .*one of ticket, reinit"),
        ("reference", "paper", r"\.reference: 'paper' .*one of ticket, reinit"),
    ],
)
def test_claims_are_of_arms(field, value, message):
    claims = CLAIM, dataclasses.replace(CLAIM, **{field: value})
    with pytest.raises(ConfigError, match=rf"^verdict\.claims\[1\]{message}"):
        check_arms(having(verdict=lth_config.VerdictConfig(claims=claims)))
    check_arms(having(verdict=lth_config.VerdictConfig(claims=claims[:1])))
