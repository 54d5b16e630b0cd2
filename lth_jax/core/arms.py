"""Arms: how a level starts from the ticket found so far, by name."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Arm:
    """How a level starts from the ticket found so far.

    Attributes:
      weights: "rewound" (as the ticket's; but where that keeps its trained ones, which
        are 0 outside its mask, a shuffled or frozen arm has those of step k), "fresh" (a
        new init), "trained" (no rewinding: those that the masks were pruned from, at the
        end of the level before or, in one shot, of the dense net's training), or
        "initial" (the original init, at step 0 even where the ticket goes back to step
        k). Or rewound but for the prunable leaves: "redrawn" (of a new init),
        "reshuffled" or "constant" (see `lth_jax.core.actions`).
      shuffled: whether the ticket's mask is permuted within each layer.
      same_signs: whether prunable leaves have the signs of the rewound ones.
      frozen: which pruned weights stay, untrained, where they would be rewound to: "all",
        or those that "moved_away" from 0 while the dense net trained. Others are 0.
      dynamics: a name in `lth_jax.training.dynamics.DYNAMICS`, for masks that change
        while it trains, and end with as many weights as the ticket's. Its weights are
        "initial".
    """

    weights: str
    shuffled: bool = False
    same_signs: bool = False
    frozen: str | None = None
    dynamics: str | None = None

    @property
    def draws_connections(self) -> bool:
        """Whether it starts from random connections; "gradual" starts dense."""
        return self.dynamics not in (None, "gradual")


ARMS = {
    "ticket": Arm("rewound"),  # Frankle & Carbin 2019, section 2
    "reinit": Arm("fresh"),  # section 3, figure 3 right
    "shuffle": Arm("rewound", shuffled=True),  # Frankle et al. 2021, section 5
    "random": Arm("fresh", shuffled=True),  # section 2, figure 1
    # The ticket's mask, and the trained weights it was pruned from. Appendix B's
    # strategy 2 starts a level so too, but follows a lineage of its own.
    "continue": Arm("trained"),
    # Zhou et al. 2019, the mask-0 actions that leave pruned weights at their init: all of
    # them, or not those that training took towards 0.
    "freeze": Arm("rewound", frozen="all"),
    "freeze_moved_away": Arm("rewound", frozen="moved_away"),
    # Zhou et al. 2019, mask-1 actions, free and with the signs kept. Their "reinit" is
    # the one above but for biases and normalisation.
    "reshuffle": Arm("reshuffled"),
    "constant": Arm("constant"),
    "reinit_signs": Arm("redrawn", same_signs=True),
    "reshuffle_signs": Arm("reshuffled", same_signs=True),
    "constant_signs": Arm("constant", same_signs=True),
    # Sparse at the end of one training: Zhu & Gupta 2017; sparse throughout: Mocanu et
    # al. 2018, Evci et al. 2020.
    "gradual": Arm("initial", dynamics="gradual"),
    "set": Arm("initial", dynamics="set"),
    "rigl": Arm("initial", dynamics="rigl"),
}


def is_criterion(arm: str) -> bool:
    """Whether an arm is a criterion of pruning, by its name, with masks of its own."""
    return arm not in ARMS


def spec_of(arm: str) -> Arm:
    """How an arm starts; one that is a criterion as the ticket does."""
    return ARMS.get(arm, ARMS["ticket"])
