"""Verdict: how a study is judged, and what papers claim."""

import dataclasses

from lth_jax.config.requirements import one_of, require

MEASURES = (
    "accuracy",
    "final_accuracy",
    "loss",
    "final_loss",
    "early_stop_step",
    "speedup",
)


@dataclasses.dataclass(frozen=True)
class Claim:
    """What a paper states of an arm at a density, to stand beside what is measured.

    Attributes:
      density: P_m, in (0, 1].
      measure: "accuracy" or "loss" (on test data at early stop, by which the study is
        judged), "final_accuracy", "final_loss", "early_stop_step", or "speedup"
        (early-stop step of the reference over the arm's).
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

    def check(self, name: str) -> None:
        """Raises a `ConfigError` on a value that is not allowed, under this name."""
        low, high = self.low, self.high
        require(f"{name}.density", self.density, 0 < self.density <= 1, "in (0, 1]")
        one_of(f"{name}.measure", self.measure, MEASURES)
        ok = self.measure != "speedup" or self.reference != "none"
        require(f"{name}.reference", self.reference, ok, "given for 'speedup'")
        ok = low is not None or high is not None
        ok = ok and (low is None or high is None or low < high)
        require(f"{name}.low, high", (low, high), ok, "one or both, in order")
        ok = self.arm != self.reference
        require(f"{name}.reference", self.reference, ok, "another than the arm")


@dataclasses.dataclass(frozen=True)
class VerdictConfig:
    """How the study is judged; no part of what it runs.

    Attributes:
      accuracy_margin: a ticket at most so far below the dense net matches it, in [0, 1).
      claims: what a paper says that should be found.
      loss_margin: where no accuracy is measured, a ticket whose loss is at most so far
        above the dense net's matches it; in the loss's unit.
    """

    accuracy_margin: float = 0.002
    claims: tuple[Claim, ...] = ()
    loss_margin: float = 0.01

    def check(self) -> None:
        """Raises a `ConfigError` on a value that is not allowed."""
        margin = self.accuracy_margin
        require("verdict.accuracy_margin", margin, 0 <= margin < 1, "inside [0, 1)")
        margin, finite = self.loss_margin, 0 <= self.loss_margin < float("inf")
        require("verdict.loss_margin", margin, finite, "at least 0, and finite")
        for i, claim in enumerate(self.claims):
            claim.check(f"verdict.claims[{i}]")
