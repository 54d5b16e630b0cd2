"""A ticket in PyTorch, by the recipe of docs/deploying.md."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.pages import block

import lth_jax as lth

torch = pytest.importorskip("torch")

PAGE = "docs/deploying.md"


def test_the_recipe_computes_the_ticket_and_keeps_its_zeros(tmp_path, monkeypatch):
    module = lth.LeNet(hidden_sizes=(100, 100))
    inputs = np.random.default_rng(0).normal(size=(7, 40, 1)).astype(np.float32)
    params = module.init(jax.random.key(0), inputs)["params"]
    masks = lth.prune(jax.tree.map(jnp.abs, params), lth.masks.full(params), 0.7)
    ticket = lth.masks.apply(masks, params)
    folder = tmp_path / "runs/mnist1d/tickets"
    folder.mkdir(parents=True)
    one = jax.tree.map(lambda leaf: leaf[None], (ticket, masks))
    lth.tickets.save(folder / "level_03.npz", *one, {})
    monkeypatch.chdir(tmp_path)

    names = {}
    exec(block(PAGE, "torch"), names)
    net, x = names["net"], torch.from_numpy(inputs)
    expected = module.apply({"params": ticket}, inputs)
    np.testing.assert_allclose(net(x).detach().numpy(), expected, atol=1e-5)

    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        net(x).square().mean().backward()
        optimizer.step()
    exec(block(PAGE, "torch saved"), names)
    saved = torch.load(tmp_path / "ticket.pt")
    for name, key in (("dense_0", "1"), ("dense_1", "3"), ("output", "5")):
        weight, mask = saved[f"{key}.weight"].numpy().T, np.asarray(masks[name]["kernel"])
        np.testing.assert_array_equal(weight != 0, mask)
        assert not np.allclose(weight[mask], np.asarray(ticket[name]["kernel"])[mask])


def test_the_recipe_turns_the_axes_of_convolutions(tmp_path, monkeypatch):
    code = block(PAGE, "torch")
    names = {"torch": torch}
    exec(code[code.index("def to_torch") : code.index("\nnet = ")], names)
    kernel = np.random.default_rng(0).normal(size=(3, 3, 2, 4)).astype(np.float32)
    inputs = np.random.default_rng(1).normal(size=(1, 5, 5, 2)).astype(np.float32)
    expected = jax.lax.conv_general_dilated(
        inputs, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    x = torch.from_numpy(inputs.transpose(0, 3, 1, 2).copy())
    found = torch.nn.functional.conv2d(x, names["to_torch"](kernel), padding="same")
    np.testing.assert_allclose(found.numpy().transpose(0, 2, 3, 1), expected, atol=1e-5)
