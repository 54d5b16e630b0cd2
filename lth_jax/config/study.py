"""Study: all settings of a study, and which of them may be combined."""
# ruff: noqa: RUF009  # the groups' defaults are frozen

import dataclasses

from lth_jax.config.data import DataConfig
from lth_jax.config.dynamic import DynamicConfig
from lth_jax.config.mesh import MeshConfig
from lth_jax.config.model import InitConfig, ModelConfig
from lth_jax.config.optimizer import LossConfig, OptimizerConfig
from lth_jax.config.prune import PruneConfig, prune_step
from lth_jax.config.requirements import Checks, require
from lth_jax.config.rewind import RewindConfig
from lth_jax.config.verdict import VerdictConfig
from lth_jax.models import model_fields


@dataclasses.dataclass(frozen=True)
class LogConfig:
    """Where each evaluation's means over the replicates are also logged."""

    tensorboard: bool = False  # to tensorboard/ in the workdir
    wandb: bool = False  # to Weights & Biases
    trackio: bool = False  # to Trackio


@dataclasses.dataclass(frozen=True)
class StudyConfig:
    """A whole study; each group of fields has its own class."""

    seed: int = 0  # the seed of everything random
    num_replicates: int = 5  # independent, each with its own init and data order
    # The number of the first replicate, for a shard of a larger study. Its results equal
    # the study's to the last bit if members take turns (`member_axis`) and levels are not
    # compact.
    first_replicate: int = 0
    num_levels: int = 21  # including the dense net (level 0)
    num_steps: int = 50_000  # the budget T of each member; later levels train k to T
    batch_size: int = 60  # examples in each training step
    eval_every_steps: int = 100  # steps between evaluations of the validation set
    # Steps between evaluations of the test set, a multiple of eval_every_steps. None
    # means eval_every_steps. Accuracy at early stop is exact in any case.
    eval_test_every_steps: int | None = None
    # The most steps in one compiled call, a multiple of eval_every_steps. A call of over
    # two seconds is cut into several, with the same results. After each call the study
    # can be stopped and saved. A checkpoint is written then, unless writing would take
    # more than a twentieth of the time.
    checkpoint_every_steps: int = 5_000
    # "ticket", and controls beside it: "reinit", "shuffle", "random", "continue",
    # "freeze", "freeze_moved_away", "reshuffle", "constant", "reinit_signs",
    # "reshuffle_signs", "constant_signs", "noise_half", "noise_1", "noise_2", "noise_3",
    # "gradual", "set", "rigl", or `package.module:name`. They train at each level after
    # the first. Zhou et al.'s actions are "freeze" to "constant_signs". The arms
    # "gradual", "set" and "rigl" train the whole budget from the original init. With
    # prune.densities an arm may be a criterion: it prunes its own masks to these
    # densities, and starts as the ticket.
    arms: tuple[str, ...] = ("ticket", "reinit", "shuffle")
    # "float32" or "bfloat16", for the forward and backward pass. Params, moments, batch
    # statistics and losses are always float32.
    compute_dtype: str = "float32"
    # How members share the device: "vmap" (together), "map" (in turn), or "auto", the
    # faster. "auto" is map on CPU, and on a GPU for nets with convolutions
    # (`devices.members.fastest`). Results agree up to rounding, which grows as a net
    # trains.
    member_axis: str = "auto"
    # The most members that train in one compiled call. None means on CPU as few as keep
    # all cores busy, elsewhere as many as fit the device's memory. If they do not fit
    # after all, a warning says so and half as many train. With vmap, results depend on it
    # in the last bits: set it if a resumed study must not differ at all.
    members_per_call: int | None = None
    # Whether levels after the first train smaller nets, without units that masks cut off.
    # The trained params are put back into the large nets. Results are equal up to
    # rounding, which grows as a net trains. Params left out keep their value: that
    # changes no output, and may change what is pruned next. Dropout draws other units,
    # with the same probability. A job's nets have the sizes of the member that needs the
    # most. A job trains the large nets if less than a tenth of the params would be left
    # out. It also does so if its masks change, or pruned weights are not 0.
    compact_levels: bool = False
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    init: InitConfig = InitConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    prune: PruneConfig = PruneConfig()
    rewind: RewindConfig = RewindConfig()
    dynamic: DynamicConfig = DynamicConfig()
    verdict: VerdictConfig = VerdictConfig()
    mesh: MeshConfig = MeshConfig()
    log: LogConfig = LogConfig()

    @property
    def replicates(self) -> range:
        """Returns the numbers of its replicates, from which their keys derive."""
        return range(self.first_replicate, self.first_replicate + self.num_replicates)

    def check(self) -> None:
        """Checks every field, except what arms require; raises as `read` does."""
        check = Checks(self)
        check.at_least(1, "num_replicates", "num_levels", "num_steps", "batch_size")
        every, budget = self.eval_every_steps, self.num_steps
        allowed = f"from 1 to num_steps ({budget})"
        check.require("eval_every_steps", 1 <= every <= budget, allowed)
        allowed = f"a positive multiple of eval_every_steps ({every})"
        for name in ("checkpoint_every_steps", "eval_test_every_steps"):
            steps = getattr(self, name)
            ok = steps is None or (steps >= 1 and steps % every == 0)
            check.require(name, ok, allowed)
        check.require("seed", 0 <= self.seed < 2**32, "from 0 to below 2**32")
        ok = self.first_replicate >= 0 and self.replicates.stop <= 2**32
        allowed = f"0 or more, with all {self.num_replicates} replicates below 2**32"
        check.require("first_replicate", ok, allowed)
        check.one_of("member_axis", ("auto", "vmap", "map"))
        check.one_of("compute_dtype", ("float32", "bfloat16"))
        check.at_least(1, "members_per_call")
        self.data.check()
        self.model.check()
        self.init.check()
        self.loss.check()
        self.optimizer.check(self.num_steps)
        self.prune.check(self.num_levels)
        prune_step(self.prune, 0, self.num_steps)  # the data may decide the rewind step
        self.rewind.check(self.num_steps)
        ok = self.prune.at == "end" or not self.rewind.what.needs_trained
        allowed = "'end' where levels go on with what the level before ended with"
        require("prune.at", self.prune.at, ok, allowed)
        ok = not (self.compact_levels and self.prune.at == "early_bird")
        require("compact_levels", True, ok, "False with prune.at='early_bird'")
        self.dynamic.check()
        self.verdict.check()
        self.mesh.check(self.batch_size)
        schedule = self.optimizer.schedule
        ok = not (self.rewind.what.schedule == "constant" and schedule == "cosine")
        allowed = "another where levels go on at its last rate, which is almost 0"
        require("optimizer.schedule", schedule, ok, allowed)
        # A field for which your own model takes no argument stays at its default.
        default, takes = StudyConfig(), model_fields(self.model.name)
        for field, value, untold, argument in (
            ("init.name", self.init.name, default.init.name, "kernel_init"),
            ("init.scale", self.init.scale, default.init.scale, "kernel_init"),
            ("compute_dtype", self.compute_dtype, default.compute_dtype, "dtype"),
        ):
            allowed = f"{untold!r}, since {self.model.name!r} takes no {argument}"
            require(field, value, value == untold or argument in takes, allowed)
