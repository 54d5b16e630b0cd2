import math

import pytest

from lth_jax import layer_densities

LENET = {
    "dense_0/kernel": (784, 300),
    "dense_1/kernel": (300, 100),
    "output/kernel": (100, 10),
}
CONV = {"conv/kernel": (3, 3, 16, 32), "output/kernel": (512, 10)}


def counts(densities, shapes):
    return {name: round(d * math.prod(shapes[name])) for name, d in densities.items()}


@pytest.mark.parametrize("share", layer_densities.LAYER_DENSITIES.values())
def test_lenet_300_100_at_a_tenth_by_hand(share):
    # Shares in weights go as n_in + n_out: 1084, 400 and 110. Of 26,620 weights the
    # output would get 1,837 of its 1,000: it is dense, and 25,620 are left for the rest,
    # 1084 / 1484 of which are 18,714.3 and 400 / 1484 are 6,905.7.
    found = counts(share(LENET, 0.1), LENET)
    expected = {"dense_0/kernel": 18_714, "dense_1/kernel": 6_906, "output/kernel": 1_000}
    assert found == expected


def test_a_convolution_by_hand():
    # 4,608 + 5,120 weights, of which 973 stay. With the kernel's size, shares in weights
    # go as 3 + 3 + 16 + 32 = 54 and 522; without, as 9 * (16 + 32) = 432 and 522.
    with_size = counts(layer_densities.erdos_renyi_kernel(CONV, 0.1), CONV)
    assert with_size == {"conv/kernel": 91, "output/kernel": 882}
    without = counts(layer_densities.erdos_renyi(CONV, 0.1), CONV)
    assert without == {"conv/kernel": 441, "output/kernel": 532}


@pytest.mark.parametrize("share", layer_densities.LAYER_DENSITIES.values())
@pytest.mark.parametrize("density", [0.001, 0.01, 0.3, 0.77, 0.999])
def test_the_total_is_exact_and_no_layer_is_above_one(share, density):
    shapes = LENET | CONV | {"tiny/kernel": (2, 3), "one/kernel": (1, 1)}
    densities = share(shapes, density)
    total = sum(map(math.prod, shapes.values()))
    assert sum(counts(densities, shapes).values()) == round(density * total)
    assert all(0 <= d <= 1 for d in densities.values())


def test_several_layers_may_be_dense_in_turn():
    # Of 1,111 weights b would get 0.988 of its own; once a is dense, 1.006.
    shapes = {"a": (1, 4), "b": (10, 10), "c": (100, 100)}
    found = layer_densities.erdos_renyi(shapes, 0.11)
    assert (found["a"], found["b"]) == (1, 1)
    assert counts(found, shapes)["c"] == 1_111 - 104


@pytest.mark.parametrize("share", layer_densities.LAYER_DENSITIES.values())
def test_counts_add_up_to_any_total(share):
    size = sum(map(math.prod, CONV.values()))
    for total in (1, 2, 97, 973, 5_001, size - 1, size):
        found = layer_densities.counts(share, CONV, total)
        assert sum(found.values()) == total
        assert all(found[name] <= math.prod(shape) for name, shape in CONV.items())
    assert layer_densities.counts(share, CONV, 973) == counts(share(CONV, 0.1), CONV)


@pytest.mark.parametrize("density", [0.0, 1.0, -0.1, float("nan")])
def test_densities_outside_the_unit_interval_are_refused(density):
    with pytest.raises(ValueError, match=r"must be inside \(0, 1\)"):
        layer_densities.erdos_renyi(LENET, density)
