"""Data: which examples a study trains on."""

import dataclasses

from lth_jax.config.requirements import Checks
from lth_jax.data.augment import AUGMENTATIONS


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which data, and how they are split."""

    # "mnist1d", "mnist", "fashion_mnist", "cifar10", "cifar100", any prepared TFDS
    # image-classification data set, or `package.module:name`.
    name: str = "mnist1d"
    raw_dir: str | None = None  # folder of the raw image files; None: they are downloaded
    num_validation: int = 1000  # training examples held out at random
    augment: str = "none"  # or "flip_and_crop", drawn at every step of every member

    def check(self) -> None:
        """Raises a `ConfigError` on a value that is not allowed."""
        check = Checks(self, "data.")
        check.at_least(1, "num_validation")
        check.one_of("augment", AUGMENTATIONS)
