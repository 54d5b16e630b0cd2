"""Log: what can be watched while a study trains."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class LogConfig:
    """Where every evaluation, the mean over the replicates, is also written."""

    tensorboard: bool = False  # to tensorboard/ in the workdir
    wandb: bool = False  # to Weights & Biases
    trackio: bool = False
