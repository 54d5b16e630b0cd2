"""What is measured of a compact net, beside the net it is of."""

import os

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.zoo import NETS, draw_masks, images, logits, variables

import lth_jax
from lth_jax import shrinking
from lth_jax.deploy import export, measures
from lth_jax.deploy.__main__ import _compacted


def identity(inputs):
    return inputs


@pytest.fixture(scope="module")
def large():
    """A net with batch normalisation of which a third of the units is dead."""
    params, stats = variables("small_vgg")
    masks = draw_masks("small_vgg", 3, density=0.5, dead=0.3, dead_inputs=0.3)
    return measures.Masked(NETS["small_vgg"], params, masks, stats)


@pytest.fixture(scope="module")
def test_set():
    """More than are evaluated at once."""
    inputs = np.tile(images("small_vgg", 5), (201, 1, 1, 1))
    labels = np.random.default_rng(0).integers(0, 10, 1005, np.int32)
    return lth_jax.Examples(jnp.asarray(inputs), jnp.asarray(labels))


def masked_logits(large):
    masked = lth_jax.masks.apply(large.masks, large.params)
    return np.tile(
        logits(large.module, masked, large.batch_stats, images("small_vgg", 5)), (201, 1)
    )


def test_costs_count_what_the_large_net_keeps_and_what_the_small_one_has(large):
    net = shrinking.compact(*large)
    assert net.inputs.kept is not None
    example = jax.ShapeDtypeStruct((16, 16, 3), jnp.float32)
    found = measures.costs(large, net, identity, example)
    # 2 and 1 convolutions of 6 and 8 channels, on 16x16 and 8x8 pixels; output 10.
    kernels = (27 * 6, 54 * 6, 54 * 8, 8 * 10)
    pixels = (256, 256, 64, 1)
    products = sum(size * times for size, times in zip(kernels, pixels, strict=True))
    assert found["dense"] == {
        "num_params": sum(kernels) + 2 * (6 + 6 + 8) + 10,
        "num_bytes": 4 * (sum(kernels) + 4 * (6 + 6 + 8) + 10),
        "multiply_adds": products,
    }
    kept = [np.count_nonzero(mask) for mask in jax.tree.leaves(large.masks)]
    assert found["masked"]["num_params"] == sum(kept)
    assert found["masked"]["num_bytes"] == found["dense"]["num_bytes"]
    assert found["masked"]["multiply_adds"] < products
    leaves = jax.tree.leaves(net.params)
    assert found["compact"]["num_params"] == sum(leaf.size for leaf in leaves)
    assert found["compact"]["multiply_adds"] < 0.7 * products


def test_accuracies_are_those_of_all_test_examples(large, test_set):
    expected = masked_logits(large)
    found = measures.accuracies(
        large, lambda x: jnp.asarray(expected[: len(x)]), identity, test_set
    )
    accuracy = np.mean(expected.argmax(-1) == np.asarray(test_set.labels))
    assert found["masked"] == found["compact"] == pytest.approx(accuracy)
    assert found["num_examples"] == 1005
    assert found["largest_logit"] == pytest.approx(np.abs(expected).max(), rel=1e-4)


@pytest.mark.parametrize("wrong", [0.1, np.nan])
def test_a_program_that_computes_something_else_is_an_error(large, test_set, wrong):
    expected = masked_logits(large)
    expected[3, 2] += wrong * np.abs(expected).max()
    with pytest.raises(RuntimeError, match="the compact net's logits differ by"):
        measures.accuracies(
            large, lambda x: jnp.asarray(expected[: len(x)]), identity, test_set
        )


def test_the_machine_has_the_cores_that_the_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3}, raising=False)
    assert measures.machine()["num_cores"] == 1


def test_latencies_are_taken_in_turn_and_the_first_call_does_not_count(monkeypatch):
    clock, called = [0.0], []

    def call(name, seconds):
        def run():
            called.append(name)
            # Compiling takes long; the rest is as given, but once.
            number = called.count(name)
            clock[0] += 60.0 if number == 1 else seconds + 10.0 * (number == 3)

        return run

    monkeypatch.setattr(measures.time, "perf_counter", lambda: clock[0])
    found = measures.latencies({"a": call("a", 0.25), "b": call("b", 0.125)})
    assert found == {"a": 0.25, "b": 0.125}
    assert called == ["a", "b"] * (1 + measures.LEAST_REPEATS)


class Words(nn.Module):
    """A net of tokens that does not say how its units connect, or take `train`."""

    @nn.compact
    def __call__(self, tokens):
        return nn.Dense(3)(nn.relu(nn.Dense(6)(nn.Embed(9, 5)(tokens))))


@pytest.mark.parametrize("labels", [np.int32, np.float32])
def test_a_net_without_a_layout_is_deployed_with_its_zeros(labels, caplog):
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 9, (12, 4), np.int32)
    params = Words().init(jax.random.key(0), tokens)["params"]
    kept = lth_jax.prune(params, lth_jax.masks.full(params), 0.5)
    large = measures.Masked(Words(), params, kept, {})
    net, units = _compacted(large)
    assert "which Words does not have" in caplog.text and not units
    example = jax.ShapeDtypeStruct((4,), np.int32)
    costs = measures.costs(large, net, identity, example)
    assert costs["compact"] == costs["dense"]
    assert costs["dense"]["multiply_adds"] == 4 * (5 * 6 + 6 * 3)
    assert costs["masked"]["multiply_adds"] == 4 * (5 * 6 + 6 * 3) // 2
    program = export.predictor(net.module, net.params, net.batch_stats, identity)
    program = export.read(export.program(program, example)).call
    classes = labels == np.int32
    wanted = rng.integers(0, 3, (12, 4) if classes else (12, 4, 3)).astype(labels)
    test = lth_jax.Examples(tokens, wanted)
    found = measures.accuracies(large, program, identity, test)
    logits = Words().apply({"params": lth_jax.masks.apply(kept, params)}, tokens)
    if classes:
        expected = float(np.mean(np.argmax(logits, -1) == wanted))
    else:
        expected = float(np.mean((logits - wanted) ** 2))
    assert found["masked"] == pytest.approx(expected, rel=1e-5)
    assert found["compact"] == pytest.approx(expected, rel=1e-5)
    named = "test_accuracy" if classes else "test_squared_error"
    assert measures.metric(test) == named
