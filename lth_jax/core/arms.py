from lth_jax.lottery.arms import find_arm


def is_criterion(name):
    return find_arm(name).is_criterion
