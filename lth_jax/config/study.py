"""Study: all that a study is told, and which settings go together."""
# ruff: noqa: RUF009  # the defaults of the groups are frozen

import dataclasses

from lth_jax.config.data import DataConfig
from lth_jax.config.dynamic import DynamicConfig
from lth_jax.config.log import LogConfig
from lth_jax.config.loss import LossConfig
from lth_jax.config.model import InitConfig, ModelConfig
from lth_jax.config.optimizer import OptimizerConfig
from lth_jax.config.prune import PruneConfig
from lth_jax.config.requirements import at_least, one_of, require
from lth_jax.config.rewind import RewindConfig
from lth_jax.config.verdict import VerdictConfig
from lth_jax.models import model_fields


@dataclasses.dataclass(frozen=True)
class StudyConfig:
    """A whole study.

    Attributes:
      seed: of everything random.
      num_replicates: independent repetitions, each with its own init and data order.
      num_levels: levels, the dense net (level 0) included.
      num_steps: the budget T of each member; levels after the first train k to T.
      batch_size: examples in a batch.
      eval_every_steps: the validation set is evaluated so often.
      eval_test_every_steps: the test set for the learning curves, a multiple of
        eval_every_steps; None: as often. Accuracy at early stop is exact all the same.
      checkpoint_every_steps: the length of a segment, one compiled call, after which
        the study can be interrupted and resumed; a multiple of eval_every_steps.
      arms: "ticket", and the controls trained beside it at every level but the
        first: "reinit", "shuffle", "random", "continue"; Zhou et al.'s actions "freeze",
        "freeze_moved_away", "reshuffle", "constant", "reinit_signs", "reshuffle_signs",
        "constant_signs"; and "gradual", "set", "rigl", which train the whole budget from
        the original init; or `package.module:name`. With prune.densities also names of
        criteria: each has its own masks of these densities, and starts as the ticket.
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
        inputs that masks cut off. What comes of them is put back into the large nets: the
        same up to rounding, which grows as a net trains. A job's nets have the sizes of
        its member that needs the most, and are compiled anew. A job trains the large
        nets where that leaves out less than a tenth of the params, where its masks
        change, or where pruned weights are not 0. With dropout other units are dropped,
        equally likely. What is left out keeps its value while the level trains, whatever
        weight decay or kept moments would make of it. That changes no output, and may
        change which of it is pruned next.
      data, model, init, loss, optimizer, prune, rewind, dynamic, verdict, log: see their
        classes.
    """

    seed: int = 0
    num_replicates: int = 5
    num_levels: int = 21
    num_steps: int = 50_000
    batch_size: int = 60
    eval_every_steps: int = 100
    eval_test_every_steps: int | None = None
    checkpoint_every_steps: int = 5_000
    arms: tuple[str, ...] = ("ticket", "reinit", "shuffle")
    compute_dtype: str = "float32"
    member_axis: str = "auto"
    members_per_call: int | None = None
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
    log: LogConfig = LogConfig()

    def check(self) -> None:
        """Checks every field; what arms ask of theirs, `arm_checks` does.

        Raises:
          ConfigError: naming the field, its value, and what is allowed.
        """
        self._check_budget()
        self._check_members()
        self.data.check()
        self.model.check()
        self.init.check()
        self.loss.check()
        self.optimizer.check(self.num_steps)
        self.prune.check(self.num_levels)
        self.rewind.check(self.num_steps)
        self.dynamic.check()
        self.verdict.check()
        schedule, goes_on = self.optimizer.schedule, self.rewind.what.schedule
        ok = not (goes_on == "constant" and schedule == "cosine")
        allowed = "another where levels go on at its last rate, which is almost 0"
        require("optimizer.schedule", schedule, ok, allowed)
        self._check_own_model()

    def _check_own_model(self) -> None:
        """Checks that a model of one's own takes what is set away from its default."""
        takes, default = model_fields(self.model.name), StudyConfig()
        for field, value, untold, argument in (
            ("init.name", self.init.name, default.init.name, "kernel_init"),
            ("compute_dtype", self.compute_dtype, default.compute_dtype, "dtype"),
        ):
            allowed = f"{untold!r}, since {self.model.name!r} takes no {argument}"
            require(field, value, value == untold or argument in takes, allowed)

    def _check_budget(self) -> None:
        for name in ("num_replicates", "num_levels", "num_steps", "batch_size"):
            at_least(name, getattr(self, name), 1)
        every, budget = self.eval_every_steps, self.num_steps
        allowed = f"from 1 to num_steps ({budget})"
        require("eval_every_steps", every, 1 <= every <= budget, allowed)
        allowed = f"a positive multiple of eval_every_steps ({every})"
        for name in ("checkpoint_every_steps", "eval_test_every_steps"):
            steps = getattr(self, name)
            ok = steps is None or (steps >= 1 and steps % every == 0)
            require(name, steps, ok, allowed)

    def _check_members(self) -> None:
        require("seed", self.seed, 0 <= self.seed < 2**32, "from 0 to below 2**32")
        arms = self.arms
        require("arms", arms, "ticket" in arms, "a tuple with 'ticket' in it")
        distinct = len({self.prune.criterion, *arms}) == len(arms) + 1
        require("arms", arms, distinct, "free of repetitions, and of prune.criterion")
        one_of("member_axis", self.member_axis, ("auto", "vmap", "map"))
        one_of("compute_dtype", self.compute_dtype, ("float32", "bfloat16"))
        if self.members_per_call is not None:
            at_least("members_per_call", self.members_per_call, 1)
