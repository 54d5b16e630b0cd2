"""Weight initializers, by the field's names."""

import jax

# "normal" is the untruncated Gaussian, as in the paper (figure 2); jax's own
# `glorot_normal` and its kin truncate theirs.
INITIALIZERS: dict[str, jax.nn.initializers.Initializer] = {
    f"{name}_{shape}": jax.nn.initializers.variance_scaling(scale, fan, distribution)
    for name, scale, fan in (
        ("glorot", 1.0, "fan_avg"),
        ("he", 2.0, "fan_in"),
        ("lecun", 1.0, "fan_in"),
    )
    for shape, distribution in (
        ("normal", "normal"),
        ("uniform", "uniform"),
        ("truncated_normal", "truncated_normal"),
    )
}
