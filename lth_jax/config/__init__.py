"""Config: what a study is; `default` to start from, `read` to check one."""

from lth_jax.config.checks import rewind_step
from lth_jax.config.fields import (
    Claim,
    DataConfig,
    DynamicConfig,
    InitConfig,
    LogConfig,
    ModelConfig,
    OptimizerConfig,
    PruneConfig,
    RewindConfig,
    StudyConfig,
    VerdictConfig,
)
from lth_jax.config.reading import check_flag, default, read, variants
from lth_jax.config.requirements import ConfigError

__all__ = [
    "Claim",
    "ConfigError",
    "DataConfig",
    "DynamicConfig",
    "InitConfig",
    "LogConfig",
    "ModelConfig",
    "OptimizerConfig",
    "PruneConfig",
    "RewindConfig",
    "StudyConfig",
    "VerdictConfig",
    "check_flag",
    "default",
    "read",
    "rewind_step",
    "variants",
]
