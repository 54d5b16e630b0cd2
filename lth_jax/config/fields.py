"""Fields: all that a study can be told, as frozen dataclasses with their defaults."""

import dataclasses
from typing import Any

from lth_jax.training.rewinding import REWINDS, Rewind


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which data, and how they are split.

    Attributes:
      name: "mnist1d", "mnist", "fashion_mnist", "cifar10", "cifar100", or any prepared
        TFDS image-classification data set.
      raw_dir: where the raw files of mnist, fashion_mnist, cifar10 or cifar100 lie; they
        are downloaded if it is None.
      num_validation: training examples held out at random for validation.
      augment: "none" or "flip_and_crop", drawn anew at every step of every member.
    """

    name: str = "mnist1d"
    raw_dir: str | None = None
    num_validation: int = 1000
    augment: str = "none"


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Which net.

    Attributes:
      name: a name in `lth_jax.models.MODELS`.
      hidden_sizes: units of each hidden dense layer of lenet, conv2, conv4 and conv6;
        empty for the paper's.
      width: factor of all channels and hidden units.
      dropout_rate: of conv2, conv4 and conv6, after each hidden dense layer.
    """

    name: str = "lenet"
    hidden_sizes: tuple[int, ...] = ()
    width: float = 1.0
    dropout_rate: float = 0.0


@dataclasses.dataclass(frozen=True)
class InitConfig:
    """How weights are drawn: a name in `lth_jax.models.INITIALIZERS`."""

    name: str = "glorot_normal"


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """How weights are trained; see `lth_jax.training.optimizers`.

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
      criterion: a name in `lth_jax.pruning.criteria.CRITERIA`. SNIP, GraSP, SynFlow and
        the learned masks need densities.
      invert: whether the highest scores go instead of the lowest, to see whether the
        criterion matters (Frankle et al. 2021, section 5).
      examples_per_class: training examples that saliency, snip, grasp and
        grasp_magnitude look at, as many of each class.
      mask_steps: for how many steps the scores of supermask, supermask_rescaled and
        edge_popup train, at the frozen init; at the learning rates of the papers.
      scope: "layerwise", "global", or with densities "er" or "erk" (layer-wise, the
        Erdős-Rényi share of each; see `lth_jax.pruning.densities`). The criteria
        random_uniform, random_er and random_erk have their own.
      floor: for "global", weights that every layer keeps at least; a warning tells when
        that changes what goes. With 0 a level that would empty a layer is an error.
      fraction: of each layer's (or the net's) surviving weights, at each level.
      conv_fraction: the convolutions' own, for "layerwise".
      output_fraction: the output layer's own, for "layerwise".
      exclude: layers that are never pruned, by name, such as "output" or "shortcut".
        Their weights count in densities all the same, as in the paper.
      densities: one-shot pruning: level i prunes the dense net, trained or at init as
        the criterion has it, straight to densities[i - 1]. Empty: iterative pruning by
        the fractions. Not with exclude.
      structure: what goes as a whole: "weights" (one by one), "units" (neurons and
        filters, off residual streams; their fraction is that of their layer), "blocks"
        (block_size x block_size weights of a layer's matrix), or "n_of_m" (of every m
        weights in a row that a unit reads with, all but n; without fractions). See
        `lth_jax.pruning.structured`. All but "weights" go iteratively, by one that
        looks at the trained net; the arms that draw masks draw them weight by weight.
      block_size: of the sides, for "blocks".
      n_of_m: for "n_of_m", one for each level after the first, such as "2:4", "1:4"; on
        the command line with quotes of their own, "'2:4','1:4'".
    """

    criterion: str = "magnitude"
    invert: bool = False
    examples_per_class: int = 10
    mask_steps: int = 1000
    scope: str = "layerwise"
    floor: int = 1
    fraction: float = 0.2
    conv_fraction: float = 0.1
    output_fraction: float = 0.1
    exclude: tuple[str, ...] = ()
    densities: tuple[float, ...] = ()
    structure: str = "weights"
    block_size: int | None = None
    n_of_m: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class RewindConfig:
    """What goes back when a level starts, and to where.

    Attributes:
      preset: "rewind" (to the init, as the paper), "late_rewind" (to step k > 0),
        "lr_rewind" (the schedule alone), "fine_tune" or "continue"; see
        `lth_jax.training.rewinding.REWINDS`.
      step: k, a step of the dense net's training, or an epoch such as "2ep"; levels
        after the first train from there to the end of the budget. A multiple of
        eval_every_steps saves compilations.
      params, batch_stats, optimizer, schedule: other than the preset's; see
        `lth_jax.training.rewinding.Rewind`.
    """

    preset: str = "rewind"
    step: str = "0"
    params: str | None = None
    batch_stats: str | None = None
    optimizer: str | None = None
    schedule: str | None = None

    @property
    def what(self) -> Rewind:
        """The preset with the other fields in place of its own."""
        own = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(Rewind)
            if getattr(self, field.name) is not None
        }
        return dataclasses.replace(REWINDS[self.preset], **own)

    def num_steps(self, steps_per_epoch: float) -> int:
        """The step in steps; an epoch's is rounded.

        Raises:
          ValueError: if it is neither a number of steps nor of epochs.
        """
        number = self.step.removesuffix("ep")
        try:
            return (
                int(self.step)
                if number == self.step
                else round(float(number) * steps_per_epoch)
            )
        except (ValueError, OverflowError):
            raise ValueError(
                f"step: {self.step!r}; must be a step such as '500', or an epoch such as"
                " '2ep'"
            ) from None


@dataclasses.dataclass(frozen=True)
class DynamicConfig:
    """How masks change while the arms "gradual", "set" and "rigl" train.

    Attributes:
      update_every_steps: steps between updates.
      drop_fraction: of each layer's weights that "set" drops in an update, and "rigl" in
        its first.
      begin_fraction: of the budget, when "gradual" begins.
      end_fraction: of the budget, after which no masks change.
      densities: how many weights each layer of "set" and "rigl" has: "ticket" (as many
        as the ticket's), or as many in all, shared out by "er" or "erk" as in their
        papers; see `lth_jax.pruning.densities`.
    """

    update_every_steps: int = 100
    drop_fraction: float = 0.3
    begin_fraction: float = 0.0
    end_fraction: float = 0.75
    densities: str = "ticket"

    def arguments(self, num_steps: int) -> dict[str, Any]:
        """What `lth_jax.training.dynamics.make_dynamics` takes, for a budget."""
        return {
            "update_every_steps": self.update_every_steps,
            "drop_fraction": self.drop_fraction,
            "begin_step": round(self.begin_fraction * num_steps),
            # No mask changes after the last step.
            "end_step": min(round(self.end_fraction * num_steps), num_steps - 1),
        }


@dataclasses.dataclass(frozen=True)
class Claim:
    """What a paper states of an arm at a density, to stand beside what is measured.

    Attributes:
      density: P_m, in (0, 1].
      measure: "accuracy" (on test data at early stop), "final_accuracy",
        "early_stop_step", or "speedup" (early-stop step of the reference over the
        arm's).
      paper: the value that the paper gives; accuracies in [0, 1].
      low, high: measured values between these agree with the claim; None: no bound.
      source: where it stands, such as "figure 4a".
      arm: whose.
      reference: "dense" or an arm, for a difference or a speed-up; "none" for the
        measure itself.
    """

    density: float
    measure: str
    paper: float
    low: float | None
    high: float | None
    source: str
    arm: str = "ticket"
    reference: str = "dense"


@dataclasses.dataclass(frozen=True)
class VerdictConfig:
    """How the study is judged; no part of what it runs.

    Attributes:
      accuracy_margin: a ticket at most so far below the dense net matches it, in [0, 1].
      claims: what a paper says that should be found.
    """

    accuracy_margin: float = 0.002
    claims: tuple[Claim, ...] = ()


@dataclasses.dataclass(frozen=True)
class LogConfig:
    """What can be watched while a study trains.

    Attributes:
      tensorboard: writes every evaluation, the mean over the replicates, to tensorboard/
        in the workdir at the end of each segment.
    """

    tensorboard: bool = False


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
        first: "reinit", "shuffle", "random", "continue"; Zhou et al.'s actions "freeze",
        "freeze_moved_away", "reshuffle", "constant", "reinit_signs", "reshuffle_signs",
        "constant_signs"; and "gradual", "set", "rigl", which train the whole budget from
        the original init. See `lth_jax.core.arms.ARMS`. With prune.densities also names
        of criteria: each has its own masks of these densities, and starts as the ticket.
      compute_dtype: of the forward and backward pass, "float32" or "bfloat16"; params,
        moments, batch statistics and losses are float32 all the same.
      member_axis: how members share the device: "vmap" (together), "map" (one after
        the other), or "auto": map on CPU, where it is the faster for LeNet
        (scripts/bench_step.py; convolutions were not compared), vmap elsewhere (not
        measured).
        Both add in another order, so results agree up to rounding, which grows as a net
        trains.
      members_per_call: at most so many members train in one compiled call. None: on
        CPU as few as keep every core busy, elsewhere as many as fit the device's memory;
        half as many, with a warning, when they turn out not to. With vmap results depend
        on it in the last bits: set it where a resumed study must not differ at all.
      compact_levels: levels after the first train smaller nets, without the units and
        inputs that masks cut off, and what comes of them is put back into the large ones:
        the same up to rounding, which grows as a net trains, and depends on which members
        share a call. Its nets have the sizes of the member that needs the most, and are
        compiled anew; where that leaves less than a tenth of the params out, or an arm of
        the call has masks that change or pruned weights that are not 0, it trains the
        large ones. With dropout other units are dropped, equally likely. What is left out
        keeps its value while the level trains, whatever weight decay or kept moments
        would make of it: that changes no logit, but may change what of it is pruned next.
      data, model, init, optimizer, prune, rewind, dynamic, verdict, log: see their
        classes.
    """

    seed: int = 0
    num_replicates: int = 5
    num_levels: int = 21
    num_steps: int = 50_000
    batch_size: int = 60
    eval_every_steps: int = 100
    checkpoint_every_steps: int = 5_000
    arms: tuple[str, ...] = ("ticket", "reinit", "shuffle")
    compute_dtype: str = "float32"
    member_axis: str = "auto"
    members_per_call: int | None = None
    compact_levels: bool = False
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    init: InitConfig = InitConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    prune: PruneConfig = PruneConfig()
    rewind: RewindConfig = RewindConfig()
    dynamic: DynamicConfig = DynamicConfig()
    verdict: VerdictConfig = VerdictConfig()
    log: LogConfig = LogConfig()
