"""Log: what can be watched while a study trains."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class LogConfig:
    """Where every evaluation, the mean over the replicates, is also written.

    Attributes:
      tensorboard: to tensorboard/ in the workdir.
      wandb: to Weights & Biases.
      trackio: to Trackio.
    """

    tensorboard: bool = False
    wandb: bool = False
    trackio: bool = False
