"""Config: what a study is. `default` returns one to start from; `read` checks one."""

from lth_jax.config.data import DataConfig
from lth_jax.config.dynamic import DynamicConfig
from lth_jax.config.mesh import MeshConfig
from lth_jax.config.model import InitConfig, ModelConfig
from lth_jax.config.optimizer import LossConfig, OptimizerConfig
from lth_jax.config.prune import PruneConfig, prune_step
from lth_jax.config.reading import default, flag_type, parse, read, variants
from lth_jax.config.requirements import ConfigError
from lth_jax.config.rewind import RewindConfig, rewind_step
from lth_jax.config.study import LogConfig, StudyConfig
from lth_jax.config.verdict import Claim, VerdictConfig

__all__ = [
    "Claim",
    "ConfigError",
    "DataConfig",
    "DynamicConfig",
    "InitConfig",
    "LogConfig",
    "LossConfig",
    "MeshConfig",
    "ModelConfig",
    "OptimizerConfig",
    "PruneConfig",
    "RewindConfig",
    "StudyConfig",
    "VerdictConfig",
    "default",
    "flag_type",
    "parse",
    "prune_step",
    "read",
    "rewind_step",
    "variants",
]
