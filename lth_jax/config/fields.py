"""Fields: all that a study can be told, as frozen dataclasses with their defaults."""

import dataclasses

from lth_jax.core.tickets import Rewind


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which data, and how they are split.

    Attributes:
      name: "mnist1d", "mnist", "fashion_mnist", "cifar10", "cifar100", or any prepared
        TFDS image-classification data set.
      raw_dir: where the raw files of mnist, fashion_mnist, cifar10 or cifar100 lie; they
        are downloaded if it is None.
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
        Both add in another order, so results agree up to rounding, which grows as a net
        trains.
      members_per_call: at most so many members train in one compiled call, but never
        fewer than one arm's replicates. None: as few as keep every core busy on CPU,
        256 elsewhere.
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
