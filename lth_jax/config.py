"""The config: a ConfigDict is read once into frozen dataclasses, and checked.

The dataclasses here are the one list of fields; `default` makes the ConfigDict that
the files in `configs/` start from, `read` checks one and turns it back.
"""

import dataclasses
import typing
from collections.abc import Collection, Mapping
from typing import Any

import ml_collections
from ml_collections import config_dict

from lth_jax.core.optimizers import OPTIMIZERS, SCHEDULES
from lth_jax.core.tickets import ARMS, Rewind
from lth_jax.criteria import CRITERIA
from lth_jax.errors import UserError
from lth_jax.models import INITIALIZERS, MODELS


class ConfigError(UserError):
    """A field's value that is not allowed."""


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which data, and how they are split.

    Attributes:
      name: "mnist1d", "mnist", "fashion_mnist", or any prepared TFDS
        image-classification data set.
      raw_dir: where the raw files of mnist or fashion_mnist lie; they are
        downloaded if it is None.
      num_validation: training examples held out at random for validation.
    """

    name: str = "mnist1d"
    raw_dir: str | None = None
    num_validation: int = 1000


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Which net.

    Attributes:
      name: a name in `lth_jax.models.MODELS`.
      hidden_sizes: units of each hidden layer.
    """

    name: str = "lenet"
    hidden_sizes: tuple[int, ...] = (300, 100)


@dataclasses.dataclass(frozen=True)
class InitConfig:
    """How weights are drawn: a name in `lth_jax.models.INITIALIZERS`."""

    name: str = "glorot_normal"


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """How weights are trained; see `lth_jax.core.optimizers`.

    Attributes:
      name: "sgd", "momentum", "adam" or "adamw".
      learning_rate: the schedule's peak.
      momentum: for "momentum".
      weight_decay: coupled for "sgd" and "momentum", decoupled for "adamw".
      schedule: "constant", "step_drops" or "cosine".
      warmup_steps: linear warm-up from 0.
      drop_steps: for "step_drops", steps at which the rate drops.
      drop_factor: for "step_drops".
    """

    name: str = "adam"
    learning_rate: float = 1.2e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: str = "constant"
    warmup_steps: int = 0
    drop_steps: tuple[int, ...] = ()
    drop_factor: float = 0.1


@dataclasses.dataclass(frozen=True)
class PruneConfig:
    """What goes at the end of a level.

    Attributes:
      criterion: a name in `lth_jax.criteria.CRITERIA`.
      scope: "layerwise" or "global".
      fraction: of each layer's (or the net's) surviving weights, at each level.
      output_fraction: the output layer's own, for "layerwise".
      densities: one-shot pruning: level i prunes the trained dense net straight to
        densities[i - 1]. Empty: iterative pruning by the fractions.
    """

    criterion: str = "magnitude"
    scope: str = "layerwise"
    fraction: float = 0.2
    output_fraction: float = 0.1
    densities: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True)
class RewindConfig(Rewind):
    """What goes back when a level starts (see `Rewind`), and to which step.

    Attributes:
      step: k, the step of the dense net's training to rewind to; 0 is its init.
    """

    step: int = 0


@dataclasses.dataclass(frozen=True)
class StudyConfig:
    """A whole study.

    Attributes:
      seed: of everything random.
      num_replicates: independent repetitions, each with its own init and data order.
      num_levels: levels, the dense net (level 0) included.
      num_steps: the budget T of each member; levels after the first train k to T.
      batch_size: examples in a batch.
      eval_every_steps: validation and test sets are evaluated so often.
      checkpoint_every_steps: the length of a segment, one compiled call, after which
        the study can be interrupted and resumed; a multiple of eval_every_steps.
      arms: "ticket", and the controls trained beside it at every level but the
        first: "reinit", "shuffle", "random", "continue".
      member_axis: how members share the device: "vmap" (together), "map" (one after
        the other), or "auto" (map on CPU, vmap elsewhere; see scripts/bench_step.py).
      members_per_call: at most so many members train in one compiled call, but never
        fewer than one arm's replicates. None: those of one arm on CPU, 256 elsewhere.
      data, model, init, optimizer, prune, rewind: see their classes.
    """

    seed: int = 0
    num_replicates: int = 5
    num_levels: int = 21
    num_steps: int = 50_000
    batch_size: int = 60
    eval_every_steps: int = 100
    checkpoint_every_steps: int = 5_000
    arms: tuple[str, ...] = ("ticket", "reinit", "shuffle")
    member_axis: str = "auto"
    members_per_call: int | None = None
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    init: InitConfig = InitConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    prune: PruneConfig = PruneConfig()
    rewind: RewindConfig = RewindConfig()


def default() -> ml_collections.ConfigDict:
    """A locked ConfigDict with every field at its default."""
    return ml_collections.ConfigDict(_to_dict(StudyConfig, StudyConfig())).lock()


def check_variant(variant: str, allowed: Collection[str]) -> None:
    """Checks what stands after the colon in `--config=configs/lenet.py:smoke`.

    Raises:
      ConfigError: naming the variants that the config has.
    """
    if variant and variant not in allowed:
        raise ConfigError(
            f"config variant: {variant!r}; must be one of {', '.join(allowed)}"
        )


def _to_dict(cls: type, instance: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, annotation in typing.get_type_hints(cls).items():
        value = getattr(instance, name)
        if dataclasses.is_dataclass(annotation):
            values[name] = _to_dict(annotation, value)
        elif value is None:  # typed, so that a flag can set it
            (present,) = set(typing.get_args(annotation)) - {type(None)}
            values[name] = config_dict.placeholder(present)
        else:
            values[name] = value
    return values


def read(config: Mapping[str, Any]) -> StudyConfig:
    """Reads and checks a config.

    Raises:
      ConfigError: naming the field, its value, and what is allowed.
    """
    study: StudyConfig = _from_dict(StudyConfig, config, prefix="")
    _check(study)
    return study


def check_field(name: str) -> None:
    """Checks that there is a field of a name, such as "prune.fraction".

    Raises:
      ConfigError: naming the fields that there are beside it.
    """
    group: type = StudyConfig
    prefix = ""
    for part in name.split("."):
        hints = typing.get_type_hints(group) if dataclasses.is_dataclass(group) else {}
        if part not in hints:
            there_are = f"; allowed are {', '.join(sorted(hints))}" if hints else ""
            raise ConfigError(f"{prefix}{part}: no such field{there_are}")
        group, prefix = hints[part], f"{prefix}{part}."


def _from_dict(cls: type, values: Mapping[str, Any], prefix: str) -> Any:
    hints = typing.get_type_hints(cls)
    fields = {}
    for name, value in values.items():
        field = f"{prefix}{name}"
        check_field(field)
        if dataclasses.is_dataclass(hints[name]):
            if not isinstance(value, Mapping | ml_collections.ConfigDict):
                raise ConfigError(f"{field}: {value!r}; must be a group of fields")
            fields[name] = _from_dict(hints[name], value, f"{field}.")
        else:
            fields[name] = _typed(field, value, hints[name])
    return cls(**fields)


def _typed(field: str, value: Any, annotation: Any) -> Any:
    """The value as the field's type: int where float is wanted, list as tuple."""
    args = typing.get_args(annotation)
    if type(None) in args:
        if value is None:
            return None
        (annotation,) = set(args) - {type(None)}
    if typing.get_origin(annotation) is tuple:
        if not isinstance(value, tuple | list):
            raise ConfigError(f"{field}: {value!r}; must be a tuple")
        return tuple(_typed(field, item, args[0]) for item in value)
    if annotation is float and type(value) is int:
        return float(value)
    if type(value) is not annotation:
        raise ConfigError(f"{field}: {value!r}; must be of type {annotation.__name__}")
    return value


def _check(study: StudyConfig) -> None:
    def require(field: str, value: Any, ok: bool, allowed: str) -> None:
        if not ok:
            raise ConfigError(f"{field}: {value!r} is not allowed; must be {allowed}")

    def at_least(field: str, value: float, least: float) -> None:
        require(field, value, value >= least, f"at least {least}")

    def one_of(field: str, value: str, allowed: Collection[str]) -> None:
        require(field, value, value in allowed, f"one of {', '.join(allowed)}")

    def inside_unit(field: str, value: float) -> None:
        require(field, value, 0 < value < 1, "inside (0, 1)")

    at_least("seed", study.seed, 0)
    at_least("num_replicates", study.num_replicates, 1)
    at_least("num_levels", study.num_levels, 1)
    at_least("num_steps", study.num_steps, 1)
    at_least("batch_size", study.batch_size, 1)
    every = study.eval_every_steps
    require(
        "eval_every_steps",
        every,
        1 <= every <= study.num_steps,
        f"from 1 to num_steps ({study.num_steps})",
    )
    checkpoint_every = study.checkpoint_every_steps
    require(
        "checkpoint_every_steps",
        checkpoint_every,
        checkpoint_every >= 1 and checkpoint_every % every == 0,
        f"a positive multiple of eval_every_steps ({every})",
    )
    for arm in study.arms:
        one_of("arms", arm, ARMS)
    require("arms", study.arms, "ticket" in study.arms, "a tuple with 'ticket' in it")
    unique = len(set(study.arms)) == len(study.arms)
    require("arms", study.arms, unique, "free of repetitions")
    one_of("member_axis", study.member_axis, ("auto", "vmap", "map"))
    if study.members_per_call is not None:
        at_least("members_per_call", study.members_per_call, 1)

    at_least("data.num_validation", study.data.num_validation, 1)
    one_of("model.name", study.model.name, MODELS)
    for size in study.model.hidden_sizes:
        at_least("model.hidden_sizes", size, 1)
    one_of("init.name", study.init.name, INITIALIZERS)

    optimizer = study.optimizer
    one_of("optimizer.name", optimizer.name, OPTIMIZERS)
    one_of("optimizer.schedule", optimizer.schedule, SCHEDULES)
    rate = optimizer.learning_rate
    require("optimizer.learning_rate", rate, 0 < rate < float("inf"), "above 0")
    momentum = optimizer.momentum
    require("optimizer.momentum", momentum, 0 <= momentum < 1, "inside [0, 1)")
    at_least("optimizer.weight_decay", optimizer.weight_decay, 0)
    at_least("optimizer.warmup_steps", optimizer.warmup_steps, 0)
    for step in optimizer.drop_steps:
        at_least("optimizer.drop_steps", step, 1)
    require(
        "optimizer.weight_decay",
        optimizer.weight_decay,
        not (optimizer.weight_decay and optimizer.name == "adam"),
        "0 for 'adam'; use 'adamw'",
    )

    prune = study.prune
    one_of("prune.criterion", prune.criterion, CRITERIA)
    one_of("prune.scope", prune.scope, ("layerwise", "global"))
    inside_unit("prune.fraction", prune.fraction)
    inside_unit("prune.output_fraction", prune.output_fraction)
    for density in prune.densities:
        inside_unit("prune.densities", density)
    require(
        "prune.densities",
        prune.densities,
        len(prune.densities) in (0, study.num_levels - 1),
        f"empty, or one for each of the {study.num_levels - 1} levels after the first",
    )

    rewind = study.rewind
    one_of("rewind.params", rewind.params, ("rewind", "keep"))
    one_of("rewind.batch_stats", rewind.batch_stats, ("rewind", "keep"))
    one_of("rewind.optimizer", rewind.optimizer, ("fresh", "rewind"))
    one_of("rewind.schedule", rewind.schedule, ("rewind", "restart"))
    require(
        "rewind.step",
        rewind.step,
        0 <= rewind.step < study.num_steps,
        f"from 0 to below num_steps ({study.num_steps})",
    )
