"""Config: what a study is; `default` to start from, `read` to check one."""

from lth_jax.config.checks import ConfigError, rewind_step
from lth_jax.config.fields import (
    DataConfig,
    InitConfig,
    ModelConfig,
    OptimizerConfig,
    PruneConfig,
    RewindConfig,
    StudyConfig,
)
from lth_jax.config.reading import check_flag, default, read, variants

__all__ = [
    "ConfigError",
    "DataConfig",
    "InitConfig",
    "ModelConfig",
    "OptimizerConfig",
    "PruneConfig",
    "RewindConfig",
    "StudyConfig",
    "check_flag",
    "default",
    "read",
    "rewind_step",
    "variants",
]
