from lth_jax import config as lth_config


def get_config(variant=""):
    config = lth_config.default()
    config.num_levels = 17
    config.num_steps = 2000
    config.batch_size = 50
    config.eval_every_steps = 50
    config.checkpoint_every_steps = 2000
    config.model.hidden_sizes = (100, 100)
    config.optimizer.learning_rate = 2e-3
    return config
