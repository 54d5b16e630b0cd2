"""Verdict: how a study is judged, and what papers claim."""

import dataclasses

from lth_jax.config.requirements import Checks, require

_METRICS = ("accuracy", "final_accuracy", "loss", "final_loss")


@dataclasses.dataclass(frozen=True)
class Claim:
    """What a paper states of an arm at a density, to compare with the measurement."""

    density: float  # P_m, in (0, 1]
    # "accuracy" or "loss" (on test data at early stop), "final_accuracy", "final_loss",
    # "early_stop_step", or "speedup" (early-stop step of the reference over the arm's).
    measure: str
    paper: float  # the paper's value; accuracies in [0, 1]
    low: float | None  # the least measured value that agrees; None: no bound
    high: float | None  # the largest one; None: no bound
    source: str  # where the paper says it, such as "figure 4a"
    arm: str = "ticket"
    # "dense" or an arm, for a difference or a speed-up; "none" for the measure itself.
    reference: str = "dense"

    def check(self, name: str) -> None:
        """Raises a `ConfigError` on a value that is not allowed, under this name."""
        check = Checks(self, f"{name}.")
        check.require("density", 0 < self.density <= 1, "in (0, 1]")
        check.one_of("measure", (*_METRICS, "early_stop_step", "speedup"))
        ok = self.measure != "speedup" or self.reference != "none"
        check.require("reference", ok, "given for 'speedup'")
        bounds = self.low, self.high
        given = [bound for bound in bounds if bound is not None]
        ok = len(given) == 1 or (len(given) == 2 and given[0] < given[1])
        require(f"{name}.low, high", bounds, ok, "one or both, in order")
        another = self.arm != self.reference
        check.require("reference", another, "another than the arm")


@dataclasses.dataclass(frozen=True)
class VerdictConfig:
    """How the study is judged; it changes nothing that is trained."""

    # Largest loss of accuracy at which a ticket matches the dense net, in [0, 1).
    accuracy_margin: float = 0.002
    claims: tuple[Claim, ...] = ()  # claims of a paper to compare with
    # The same for the loss, if no accuracy is measured; a share of the dense nets' loss.
    loss_margin: float = 0.01
    # Largest relative delay of early stop at which a ticket learns no more slowly.
    steps_margin: float = 0.1

    def check(self) -> None:
        """Raises a `ConfigError` on a value that is not allowed."""
        check = Checks(self, "verdict.")
        check.are("inside [0, 1)", "accuracy_margin")
        finite = 0 <= self.loss_margin < float("inf")
        check.require("loss_margin", finite, "at least 0, and finite")
        check.are("above 0", "steps_margin")
        for i, claim in enumerate(self.claims):
            claim.check(f"verdict.claims[{i}]")
