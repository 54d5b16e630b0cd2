"""The annotations of arrays, checked by beartype while a net trains and is pruned."""

import subprocess
import sys

# The hook must come before the package is imported, so in a process of its own.
PROGRAM = """
import jaxtyping

rooms = ["masks", "removal", "pruning"]
rooms += [f"training.{m}" for m in (
    "connections", "dynamic_training", "dynamics", "evaluation", "keys", "losses",
    "optimizers", "sampling", "segment", "steps"
)]
jaxtyping.install_import_hook([f"lth_jax.{m}" for m in rooms], "beartype.beartype")

import jax
import jax.numpy as jnp
import numpy as np
import optax

import lth_jax
from lth_jax import connections, criteria, dynamics, masks, sampling
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

goal = connections.kept_counts(pruned)
drawn = connections.draw(jax.random.key(1), params, goal)
for name in dynamics.DYNAMICS:
    own = dynamics.make_dynamics(
        name, update_every_steps=2, begin_step=0, end_step=6, drop_fraction=0.3
    )
    segment = lth_jax.make_dynamic_segment(apply_fn, tx, own, chunk_size=8)
    masks_then = drawn if name != "gradual" else full
    (_, kept), _, _ = jax.jit(segment)(
        state, lth_jax.Best.before(state), masks_then, goal, order, examples, examples,
        examples, mask_key=jax.random.key(2)
    )
    assert masks.total_count(kept).kept == masks.total_count(pruned).kept

evidence = criteria.Evidence(
    state.params, params, full, jax.random.key(3), examples=examples,
    apply=jax.tree_util.Partial(apply_fn), counts=goal, batch_indices=order[0],
    apply_to_ones=lambda params, stats: jnp.ones((1, 4)) @ params["dense"]["kernel"],
)
for criterion in criteria.CRITERIA.values():
    scores = criterion.scores(evidence)
    lth_jax.prune_to_density(scores, full, 0.5, scope="global")
lth_jax.prune_blocks(scores, full, 0.5, 2)
lth_jax.keep_n_of_m(scores, full, 2, 4)

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
    "counts of floats": lambda: connections.draw(jax.random.key(1), params, params),
    "a share of each leaf": lambda: connections.shrink(params, full, goal, logits),
    "growth of integers": lambda: connections.reconnect(params, full, full, 0.5),
    "a mask learned on floats": lambda: criteria.supermask(
        apply_fn, params, {}, floats, examples, jax.random.key(0)
    ),
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
    "counts of floats",
    "a share of each leaf",
    "growth of integers",
    "a mask learned on floats",
    "labels of floats",
    "labels of fewer",
    "targets of fewer",
]


def test_training_and_pruning_keep_to_their_annotations_and_refuse_the_rest():
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == REFUSED
