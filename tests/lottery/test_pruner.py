"""What a study prunes, level by level, and small studies by criteria of each kind."""

import dataclasses
import shutil

import flax.linen as nn
import jax
import numpy as np
import pytest
from support.runs import job, train
from support.tiers import quick
from support.trees import assert_trees_equal

import lth_jax
from lth_jax import layer_densities, masks, pruning
from lth_jax.config import ConfigError
from lth_jax.errors import UserError
from lth_jax.lottery.evidence import gather
from lth_jax.lottery.pruner import prune_one
from lth_jax.lottery.study import build
from lth_jax.lottery.tickets import Tickets, Trained
from lth_jax.pruning import criteria
from lth_jax.store import claim, records
from lth_jax.store import tickets as ticket_files

DENSITIES = (0.5, 0.1)


def with_prune(config, **fields):
    fields = {"densities": DENSITIES} | fields
    prune = dataclasses.replace(config.prune, **fields)
    return dataclasses.replace(config, prune=prune, arms=("ticket",))


def run(config, root, built):
    """Runs a study; returns its workdir."""
    with claim.opened(root, config) as files:
        train(dataclasses.replace(built, config=config), files)
    return files


@pytest.fixture(scope="module")
def built(tiny_config):
    return build(tiny_config)


@pytest.fixture(scope="module")
def inits(built):
    """Two inits, and two nets as if trained, with full masks."""

    def states(seed):
        keys = jax.random.split(jax.random.key(seed), 2)
        params, _ = jax.jit(jax.vmap(built.network.init))(keys)
        return jax.vmap(lambda p: lth_jax.initial_state(p, built.tx))(params)

    init = states(0)
    return init, Trained(states(1), masks.full(init.params))


def pruned(built, inits, level=1, replicate=1, **fields):
    """The masks of a level by the study with these fields of `prune`."""
    init, parent = inits
    config = with_prune(built.config, **fields)
    own = job(dataclasses.replace(built, config=config), "ticket", level)
    return prune_one(own, replicate, parent, init)


def second(tree):
    return jax.tree.map(lambda x: x[1], tree)


def test_snip_is_of_the_init_on_as_many_examples_of_each_class(built, inits):
    found = pruned(built, inits, criterion="snip", scope="global", examples_per_class=7)
    init, parent = inits
    inputs, labels = built.splits.train
    key = lth_jax.keys.member_key(0, 1, "ticket", 0, "examples")
    chosen = lth_jax.sampling.balanced_indices(key, np.asarray(labels), 7)
    assert np.bincount(labels[chosen]).tolist() == [7] * 10
    evidence = criteria.Evidence(
        second(parent.state.params),
        second(init.params),
        second(parent.masks),
        key,
        examples=lth_jax.Examples(inputs[chosen], labels[chosen]),
        apply=jax.tree_util.Partial(built.network.apply),
    )
    scores = jax.jit(criteria.snip)(evidence)
    expected = pruning.prune_to_density(scores, evidence.masks, 0.5, scope="global")
    assert_trees_equal(found, expected)


def test_one_shot_saliency_has_one_sample_for_all_levels(built, inits):
    fields = {"criterion": "saliency", "scope": "global"}
    dense, sparse = (pruned(built, inits, level, **fields) for level in (1, 2))
    assert masks.is_subset(sparse, dense)


def test_inverted_scores_prune_what_was_kept(built, inits):
    plain, inverted, opposite = (
        pruned(built, inits, criterion=name, scope="layerwise", invert=invert)
        for name, invert in (
            ("large_init", False),
            ("large_init", True),
            ("small_init", False),
        )
    )
    assert_trees_equal(inverted, opposite)
    assert masks.total_count(masks.intersection(plain, inverted)).kept == 0


def test_synflows_rounds_avoid_the_collapse_of_one_shot(built, inits):
    fields = {"criterion": "synflow", "scope": "global", "floor": 0}
    found = pruned(built, inits, level=2, **fields)
    assert all(layer.kept for layer in masks.layer_counts(found).values())
    assert masks.total_count(found).kept == 66  # of 656
    evidence = criteria.Evidence(
        None,
        second(inits[0].params),
        second(inits[1].masks),
        jax.random.key(0),
        apply_to_ones=jax.tree_util.Partial(built.network.apply_to_ones),
    )
    with pytest.raises(UserError, match="dense_0/kernel would be left without"):
        pruning.prune_to_density(
            criteria.synflow(evidence), evidence.masks, 0.1, scope="global", floor=0
        )


@pytest.mark.parametrize("scope", ["er", "erk"])
def test_shared_densities_are_those_of_the_scope(scope, built, inits):
    found = pruned(built, inits, criterion="large_final", scope=scope)
    shapes = {n: m.shape[1:] for n, m in masks.prunable_leaves(inits[1].masks)}
    expected = layer_densities.LAYER_DENSITIES[scope](shapes, 0.5)
    for name, layer in masks.layer_counts(found).items():
        assert layer.kept == round(expected[name] * layer.total)
    assert masks.total_count(found).kept == 328  # of 656


@pytest.mark.parametrize("own", ["er", "erk", "layerwise"])
def test_random_criteria_have_a_scope_of_their_own(own, built, inits):
    name = "random_uniform" if own == "layerwise" else f"random_{own}"
    found = pruned(built, inits, criterion=name, scope="global")
    expected = masks.layer_counts(
        pruned(built, inits, criterion="large_final", scope=own)
    )
    assert masks.layer_counts(found) == expected


def test_an_arm_that_is_a_criterion_prunes_as_a_study_of_it(built, inits):
    init, parent = inits
    config = with_prune(built.config, scope="global", invert=True)
    config = dataclasses.replace(config, arms=("ticket", "snip", "large_init"))
    study = dataclasses.replace(built, config=config)
    for name in ("snip", "large_init"):  # deterministic, or of the same examples
        found = prune_one(job(study, name, 1), 1, parent, init)
        expected = pruned(built, inits, criterion=name, scope="global")
        assert_trees_equal(found, expected)  # not inverted, as the ticket is
    ticket = prune_one(job(study, "ticket", 1), 1, parent, init)
    small = pruned(built, inits, criterion="small_final", scope="global")
    assert_trees_equal(ticket, small)


@pytest.mark.slow
def test_criteria_train_beside_the_ticket(tiny_config, built, tmp_path):
    # The first two share a call: pruned weights of the one are 0, of the other not.
    arms = ("ticket", "freeze", "snip", "large_init", "random_erk")
    config = dataclasses.replace(
        with_prune(tiny_config, criterion="large_final", scope="global"), arms=arms
    )
    files = run(config, tmp_path, built)
    found = {(r.level, r.arm, r.replicate): r for r in records.read(files.records)}
    for run_ in found.values():
        if run_.level:
            assert run_.density == round(DENSITIES[run_.level - 1] * 656) / 656
    init = Tickets(built, files).initial
    dense = Trained(init, masks.full(init.params))
    for name in ("snip", "large_init"):
        kept = pruned(built, (init, dense), level=2, criterion=name, scope="global")
        worth = criteria.evaluate_untrained(
            built.network.apply, second(init.params), kept, {}, built.splits.test
        )
        own, ticket = (
            found[2, arm, 1].curves["test", "start_accuracy"].values
            for arm in (name, "ticket")
        )
        np.testing.assert_allclose(own, [worth["accuracy"]], atol=2e-3)
        assert abs(own - ticket) > 5e-3


@pytest.mark.parametrize(("floor", "message"), [(0, "without a weight"), (1, "protects")])
def test_a_floor_that_does_not_fit_is_the_users_to_mend(floor, message, built, inits):
    fields = {"scope": "global", "densities": (0.002, 0.001), "floor": floor}
    with pytest.raises(UserError, match=message):
        pruned(built, inits, **fields)


@pytest.mark.parametrize("arms", [("ticket",), ("ticket", "snip")])
def test_a_sample_larger_than_a_class_is_refused(arms, tiny_config):
    criterion = "magnitude" if "snip" in arms else "snip"
    config = with_prune(tiny_config, criterion=criterion, examples_per_class=4_000)
    config = dataclasses.replace(config, arms=arms)
    with pytest.raises(ConfigError, match=r"examples_per_class: 4000 .* must be at most"):
        build(config)


@pytest.mark.parametrize(
    ("criterion", "scope"),
    [
        ("snip", "global"),
        pytest.param("grasp", "global", marks=pytest.mark.slow),
        pytest.param("synflow", "global", marks=pytest.mark.slow),
        ("random_erk", "global"),
        ("large_init", "er"),
        pytest.param("large_init", "layerwise", marks=pytest.mark.slow),
        pytest.param("supermask", "global", marks=pytest.mark.slow),
    ],
)
def test_a_study_ends_at_its_densities(criterion, scope, tiny_config, built, tmp_path):
    config = with_prune(tiny_config, criterion=criterion, scope=scope, mask_steps=20)
    files = run(config, tmp_path / "study", built)
    for level, density in enumerate(DENSITIES, start=1):
        for replicate in range(2):
            _, kept, _ = ticket_files.load(files.ticket(level), replicate)
            counts = masks.layer_counts(kept)
            assert all(layer.kept for layer in counts.values())
            if scope == "layerwise":
                for layer in counts.values():
                    assert layer.kept == round(density * layer.total)
            else:
                assert masks.total_count(kept).kept == round(density * 656)


def test_iterative_saliency_sees_the_trained_net_and_other_examples(built, inits):
    init, trained = inits
    fields = {"criterion": "saliency", "densities": ()}
    found = pruned(built, inits, **fields)
    other = pruned(built, (init, trained._replace(state=init)), **fields)
    assert masks.overlap(found, other) < 0.9
    study = dataclasses.replace(built, config=with_prune(built.config, **fields))
    first, next_ = (
        gather(job(study, "ticket", level), 0, trained, init).examples.inputs
        for level in (1, 2)
    )
    assert (first != next_).any()


# Learned masks.

LEARNED = {
    "supermask": lambda counts, *a: criteria.supermask(*a),
    "supermask_rescaled": lambda counts, *a: criteria.supermask(*a, rescale=True),
    "edge_popup": lambda counts, *a: criteria.edge_popup(*a, counts=counts),
}


class NormNet(nn.Module):
    """A net with batch normalisation."""

    @nn.compact
    def __call__(self, x, train):
        x = nn.Dense(12, name="dense_0")(x.reshape(len(x), -1))
        x = nn.BatchNorm(use_running_average=not train, name="norm")(x)
        return nn.Dense(10, name="output")(nn.relu(x))


@pytest.fixture(scope="module")
def with_norm(built):
    """The experiment with a net that has batch normalisation, and two inits."""
    network = lth_jax.from_linen(NormNet(), built.splits.train.inputs[:1])
    built = dataclasses.replace(built, network=network)
    params, stats = jax.vmap(network.init)(jax.random.split(jax.random.key(4), 2))
    init = jax.vmap(lambda p, s: lth_jax.initial_state(p, built.tx, s))(params, stats)
    return built, (init, Trained(init, masks.full(params)))


@pytest.mark.parametrize("name", quick("edge_popup", of=LEARNED))
@pytest.mark.parametrize("net", quick("norm", of=["lenet", "norm"]))
def test_a_learned_mask_is_the_functions_own(name, net, built, inits, with_norm):
    """At both levels, which share a compilation though their counts differ."""
    built, inits = (built, inits) if net == "lenet" else with_norm
    own = name == "edge_popup"  # it has a scope of its own
    scope = "erk" if net == "lenet" and not own else "layerwise"
    config = with_prune(built.config, criterion=name, scope=scope, mask_steps=20)
    study = dataclasses.replace(built, config=config)
    init, apply = second(inits[0]), built.network.apply
    learn = jax.jit(lambda counts, *args: LEARNED[name](counts, apply, *args))
    shapes = {n: m.shape for n, m in masks.prunable_leaves(init.params)}
    sizes = {n: m.size for n, m in masks.prunable_leaves(init.params)}
    compiled = set()
    for level, density in enumerate(DENSITIES, start=1):
        found = prune_one(job(study, "ticket", level), 1, inits[1], inits[0])
        counts = {n: round(density * size) for n, size in sizes.items()}
        if scope == "erk":
            share = layer_densities.erdos_renyi_kernel(shapes, density)
            counts = {n: round(share[n] * size) for n, size in sizes.items()}
        order, key = (
            lth_jax.keys.member_key(0, 1, "ticket", level, purpose)
            for purpose in ("mask order", "criterion")
        )
        batches = lth_jax.sampling.batch_indices(
            order, 0, 20, batch_size=30, num_examples=3000
        )
        leaves = [counts.get(n, p.size) for n, p in masks.named_leaves(init.params)]
        per_leaf = jax.tree.unflatten(jax.tree.structure(init.params), leaves)
        scores, _ = learn(
            per_leaf, init.params, init.batch_stats, batches, built.splits.train, key
        )
        for path, mask in masks.prunable_leaves(found):
            flat = np.asarray(dict(masks.named_leaves(scores))[path]).ravel()
            order_of = np.argsort(-flat, kind="stable")[: counts[path]]
            expected = np.zeros(mask.size, bool)
            expected[order_of] = True
            np.testing.assert_array_equal(np.asarray(mask).ravel(), expected)
        compiled.add(study.score._cache_size())
    assert len(compiled) == 1  # the second level added nothing


def test_a_learned_mask_is_the_same_again_and_its_worth_untrained_is_recorded(
    tiny_config, built, tmp_path
):
    config = with_prune(tiny_config, criterion="edge_popup", mask_steps=20)
    files = run(config, tmp_path / "study", built)
    found = {(r.level, r.replicate): r for r in records.read(files.records)}
    for (level, replicate), own in found.items():
        params, kept, _ = ticket_files.load(files.ticket(level), replicate)
        worth = criteria.evaluate_untrained(
            built.network.apply, params, kept, {}, built.splits.test
        )
        curve = own.curves["test", "start_accuracy"]
        assert curve.steps.tolist() == [0]
        np.testing.assert_allclose(curve.values, [worth["accuracy"]], atol=2e-3)
    before = files.ticket(2).read_bytes()
    shutil.rmtree(files.level(2))
    files.ticket(2).unlink()
    files.records.joinpath("level_02-ticket.csv").unlink()
    run(config, files.root, built)
    assert files.ticket(2).read_bytes() == before
