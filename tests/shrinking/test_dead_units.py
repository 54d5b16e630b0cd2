import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.zoo import ZOO, draw_masks, images, variables

from lth_jax import masks, models, shrinking
from lth_jax.layout import INPUTS


def positive(name, found, bias):
    """Params and statistics with which all that paths reach is above 0."""
    params, stats = variables(name)

    def value(path, leaf):
        if leaf.ndim == 1:
            constant = 1.0 if path.endswith(("scale", "var")) else 0.0
            return np.full_like(leaf, bias if path.endswith("bias") else constant)
        # Smaller for a larger fan-in, so that many layers do not overflow.
        return np.full_like(leaf, leaf[..., 0].size ** -0.5)

    leaves = [value(path, leaf) for path, leaf in masks.named_leaves((params, stats))]
    params, stats = jax.tree.unflatten(jax.tree.structure((params, stats)), leaves)
    for layer, leaf in masks.named_leaves(found):
        if layer.endswith("scale"):
            assert leaf.all()  # the oracle knows of kernels alone
    params = jax.tree_util.tree_map_with_path(
        lambda path, p, m: p * m if path[-1].key == "kernel" else p, params, found
    )
    return params, stats


def seen_reached(name, found):
    """Units above 0 where inputs and weights are positive and nothing else is added."""
    params, stats = positive(name, found, bias=0.0)
    _, captured = ZOO[name].apply(
        {"params": params, "batch_stats": stats},
        np.abs(images(name, 1)),
        train=False,
        capture_intermediates=True,
        mutable=["intermediates"],
    )
    outputs = dict(masks.named_leaves(captured["intermediates"]))
    reached = {}
    for place in ZOO[name].layout():
        last = place.layers[0].norm or place.layers[0].name
        path = f"{place.name}/__call__/0"  # of a block, its sum
        value = outputs[
            path if place.skip or len(place.layers) > 1 else f"{last}/__call__/0"
        ]
        reached[place.name] = np.asarray(value > 0).reshape(-1, value.shape[-1]).any(0)
    return reached


def seen_reaching(name, found):
    """Units whose bias or offset the logits' sum has a derivative by."""
    params, stats = positive(name, found, bias=1.0)

    def total(params, inputs):
        variables = {"params": params, "batch_stats": stats}
        return ZOO[name].apply(variables, inputs, train=False).sum()

    of_params, of_inputs = jax.jit(jax.grad(total, (0, 1)))(
        params, np.abs(images(name, 1))
    )
    gradients = dict(masks.named_leaves(of_params))
    reaching = {}
    for place in ZOO[name].layout():
        last = place.layers[0].norm or place.layers[0].name
        reaching[place.name] = np.asarray(gradients[f"{last}/bias"]) != 0
    inputs = np.asarray(of_inputs != 0)
    flat = name == "lenet"
    reaching[INPUTS] = inputs.ravel() if flat else inputs.reshape(-1, 3).any(0)
    return reaching


# Not VGG with fewer weights: some of its paths leave its last 2x2 pixels, on which all
# of three kernels in turn would have to shift to one side.
@pytest.mark.parametrize(
    ("name", "density"),
    [
        *(("lenet", 0.02), ("conv4", 0.02), ("conv4", 0.2), ("resnet20", 0.2)),
        pytest.param("resnet20", 0.02, marks=pytest.mark.slow),
        pytest.param("vgg16", 0.2, marks=pytest.mark.slow),
    ],
)
def test_reach_is_what_values_and_derivatives_show(name, density):
    found = draw_masks(name, 3, density, dead=0.2, dead_inputs=0.3)
    reach = shrinking.dead_units(ZOO[name].layout(), found)
    from_inputs, to_output = seen_reached(name, found), seen_reaching(name, found)
    assert reach.to_output.keys() == to_output.keys()
    for place, units in to_output.items():
        np.testing.assert_array_equal(reach.to_output[place], units, place)
    for place, units in from_inputs.items():
        np.testing.assert_array_equal(reach.from_inputs[place], units, place)
    assert reach.from_inputs[INPUTS].all()
    hidden = [units for place, units in reach.alive.items() if place != "output"]
    assert 0 < sum(map(np.sum, hidden)) < sum(map(np.size, hidden)) or density == 0.02


def search(edges, starts):
    """All nodes that a graph leads to."""
    found, waiting = set(starts), list(starts)
    while waiting:
        for node in edges.get(waiting.pop(), ()):
            if node not in found:
                found.add(node)
                waiting.append(node)
    return found


@pytest.mark.parametrize("density", [0.1, 0.02, 0.005])
@pytest.mark.parametrize("name", ZOO)
def test_reach_is_what_a_search_of_the_graph_finds(name, density):
    found, layout = draw_masks(name, 4, density, dead=0.1, others=0.9), ZOO[name].layout()
    reach = shrinking.dead_units(layout, found)
    leaves = dict(masks.named_leaves(found))
    onward, back = {}, {}

    def connect(a, b):
        onward.setdefault(a, []).append(b)
        back.setdefault(b, []).append(a)

    for place in layout:
        for unit in range(reach.alive[place.name].size if place.skip else 0):
            connect((place.skip, unit), (place.name, unit))
        for layer in place.layers:
            scale = leaves.get(f"{layer.norm}/scale")
            for *_, row, unit in np.argwhere(leaves[f"{layer.name}/kernel"]):
                if scale is None or scale[unit]:
                    read = row % reach.alive[layer.reads].size
                    connect((layer.reads, read), (place.name, unit))
    inputs = [(INPUTS, i) for i in range(reach.alive[INPUTS].size)]
    from_inputs = search(onward, inputs)
    to_output = search(back, [("output", i) for i in range(10)])
    for place, units in reach.from_inputs.items():
        for i in range(units.size):
            assert units[i] == ((place, i) in from_inputs)
            assert reach.to_output[place][i] == ((place, i) in to_output)


def test_what_hangs_on_a_dead_unit_alone_is_dead_too():
    # 0 -> 0 -> 0 is cut at its end; 1 -> 1 at its start; 2 -> 2 -> 2 goes through.
    first = np.array([[1, 0, 0], [0, 0, 0], [0, 0, 1]], bool)
    second = np.eye(3, dtype=bool)
    last = np.array([[0], [1], [1]], bool)
    kernels = {"dense_0": first, "dense_1": second, "output": last}
    found = {
        name: {"kernel": jnp.asarray(k), "bias": jnp.ones(k.shape[1], bool)}
        for name, k in kernels.items()
    }
    reach = shrinking.dead_units(models.LeNet(hidden_sizes=(3, 3)).layout(), found)
    assert {place: units.tolist() for place, units in reach.alive.items()} == {
        "inputs": [False, False, True],
        "dense_0": [False, False, True],
        "dense_1": [False, False, True],
        "output": [True],
    }
    assert reach.from_inputs["dense_1"].tolist() == [True, False, True]
    assert reach.to_output["dense_0"].tolist() == [False, True, True]


def test_a_pruned_scale_cuts_what_goes_through_it():
    module = models.VGG(convolutions=(1,), channels=(2,), num_classes=1)
    found = {
        "conv_0": {"kernel": np.ones((3, 3, 1, 2), bool)},
        "norm_0": {"scale": np.array([True, False]), "bias": np.ones(2, bool)},
        "output": {"kernel": np.ones((2, 1), bool), "bias": np.ones(1, bool)},
    }
    reach = shrinking.dead_units(module.layout(), found)
    assert reach.from_inputs["conv_0"].tolist() == [True, False]
    assert reach.to_output["conv_0"].all()
