"""The annotations of arrays, checked by beartype while a net trains and is pruned."""

import subprocess
import sys

# The hook must come before the package is imported, so in a process of its own.
PROGRAM = """
import jaxtyping

rooms = ["masks", "removal", "pruning.weights"]
rooms += [f"training.{m}" for m in (
    "evaluation", "losses", "sampling", "segment", "steps"
)]
jaxtyping.install_import_hook([f"lth_jax.{m}" for m in rooms], "beartype.beartype")

import jax
import jax.numpy as jnp
import numpy as np
import optax

import lth_jax
from lth_jax import masks, sampling
from lth_jax.training.losses import cross_entropy, mean_squared_error

def apply_fn(params, batch_stats, inputs, train, key):
    return inputs @ params["dense"]["kernel"], batch_stats

rng = np.random.default_rng(0)
inputs = jnp.asarray(rng.normal(size=(20, 4)), jnp.float32)
examples = lth_jax.Examples(inputs, jnp.arange(20, dtype=jnp.int32) % 3)
params = {"dense": {"kernel": jnp.asarray(rng.normal(size=(4, 3)), jnp.float32)}}
full = masks.full(params)
pruned = lth_jax.prune(jax.tree.map(jnp.abs, params), full, 0.25)
assert masks.total_count(pruned).kept == 9 and masks.is_subset(pruned, full)

tx = optax.sgd(0.1)
state = lth_jax.initial_state(params, tx)
order = sampling.batch_indices(
    jax.random.key(0), 0, 6, batch_size=5, num_examples=20
).reshape(2, 3, 5)
segment = lth_jax.make_segment(apply_fn, tx, chunk_size=8)
state, best, curves = jax.jit(segment)(
    state, lth_jax.Best.before(state), pruned, order, examples, examples, examples
)
members = jax.tree.map(lambda *x: jnp.stack(x), state, state)
steps = lth_jax.make_steps(apply_fn, tx)
_, losses = jax.vmap(steps, (0, None, None, None))(members, pruned, order[0], examples)
assert losses.shape == (2, 3)
found = lth_jax.make_evaluate(apply_fn, chunk_size=8)(state, examples)
np.testing.assert_allclose(found["loss"], curves.test["loss"][-1], rtol=1e-5)

batch = jnp.asarray(order[0])
floats, threes = batch.astype(jnp.float32), jax.tree.map(jnp.float32, pruned)
logits, labels = jnp.zeros((5, 3)), jnp.zeros(5, jnp.int32)
refused = {
    "batch_indices of floats": lambda: steps(state, pruned, floats, examples),
    "batch_indices of one step": lambda: steps(state, pruned, batch[0], examples),
    "masks of floats": lambda: steps(state, threes, batch, examples),
    "masks of floats, pruned": lambda: lth_jax.prune(params, threes, 0.25),
    "scores of integers": lambda: lth_jax.remove_lowest(full, full, 1),
    "count for each leaf": lambda: lth_jax.remove_lowest(params, full, labels),
    "labels of floats": lambda: cross_entropy(logits, logits[:, 0]),
    "labels of fewer": lambda: cross_entropy(logits, labels[1:]),
    "targets of fewer": lambda: mean_squared_error(logits, logits[1:]),
}
for name, call in refused.items():
    try:
        call()
    except jaxtyping.TypeCheckError:
        print(name)
"""

REFUSED = [
    "batch_indices of floats",
    "batch_indices of one step",
    "masks of floats",
    "masks of floats, pruned",
    "scores of integers",
    "count for each leaf",
    "labels of floats",
    "labels of fewer",
    "targets of fewer",
]


def test_training_and_pruning_keep_to_their_annotations_and_refuse_the_rest():
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == REFUSED
