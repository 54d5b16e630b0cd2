"""Studies that prune units, blocks and N of M, and which settings go together."""

import dataclasses

import numpy as np
import pytest
from support.runs import forget_programs, run
from support.trees import as_dict

from lth_jax import config as lth_config
from lth_jax import data, masks
from lth_jax.config import ConfigError
from lth_jax.lottery.programs import Programs
from lth_jax.store import tickets as ticket_files


@pytest.fixture(scope="module")
def config(tiny_config):
    """A study of two levels after the first, of 40-12-8-10 units."""
    return dataclasses.replace(tiny_config, arms=("ticket",), num_steps=20)


def study(config, root, compact_levels=False, **fields):
    """The study with these fields of `prune`: its kernels' and biases' masks by level."""
    config = dataclasses.replace(
        config,
        prune=lth_config.PruneConfig(**fields),
        compact_levels=compact_levels,
    )
    lth_config.read(as_dict(config))
    files = run(config, root)
    found = []
    for level in range(3):
        params, kept, _ = ticket_files.load(files.ticket(level), 1)
        leaves = {path: np.asarray(leaf) for path, leaf in masks.named_leaves(params)}
        kept = {path: np.asarray(mask) for path, mask in masks.named_leaves(kept)}
        assert not any(leaves[path][~mask].any() for path, mask in kept.items())
        found.append(kept)
    return found


def test_units_go_whole_by_the_fraction_of_their_layer(config, tmp_path):
    found = study(config, tmp_path / "study", structure="units", fraction=0.5)
    # 12 to 6 to 3, and 8 to 4 to 2.
    for kept, first, second in zip(found, (12, 6, 3), (8, 4, 2), strict=True):
        for path, rows, units in (
            ("dense_0", 40, first),
            ("dense_1", first, second),
            ("output", second, 10),
        ):
            assert kept[f"{path}/kernel"].sum() == rows * units
            assert kept[f"{path}/bias"].sum() == units


def test_units_of_the_whole_net_go_together(config, tmp_path):
    fields = {"structure": "units", "scope": "global", "fraction": 0.2}
    for level, kept in enumerate(study(config, tmp_path / "study", **fields)):
        left = kept["dense_0/bias"].sum() + kept["dense_1/bias"].sum()
        assert left == (20, 16, 13)[level]
        assert kept["output/bias"].all()


def test_compact_levels_train_nets_of_the_units_left(config, tmp_path, monkeypatch):
    trained = []
    real = Programs._compact

    def spy(self, module, is_flat, num_members):
        trained.append(module.hidden_sizes)
        return real(self, module, is_flat, num_members)

    forget_programs()
    monkeypatch.setattr(Programs, "_compact", spy)
    fields = {"structure": "units", "fraction": 0.5}
    found = study(config, tmp_path / "study", compact_levels=True, **fields)
    assert trained == [(6, 4), (3, 2)]
    assert found[2]["dense_1/kernel"].sum() == 3 * 2


def test_blocks_go_whole_by_the_fraction_of_their_layer(config, tmp_path):
    fields = {"structure": "blocks", "block_size": 4, "fraction": 0.5}
    found = study(config, tmp_path / "study", output_fraction=0.25, **fields)

    def blocks(mask):
        """How many of a kernel's 4 x 4 blocks keep a weight; all or nothing of each."""
        corners = [
            mask[i : i + 4, j : j + 4]
            for i in range(0, mask.shape[0], 4)
            for j in range(0, mask.shape[1], 4)
        ]
        assert all(block.all() or not block.any() for block in corners)
        return sum(block.any() for block in corners)

    # 30, 6 and 6 blocks; those at the output's edge are of two units.
    for kept, counts in zip(found, ((30, 6, 6), (15, 3, 4), (7, 1, 3)), strict=True):
        assert kept["dense_0/bias"].all()
        for name, count in zip(("dense_0", "dense_1", "output"), counts, strict=True):
            assert blocks(kept[f"{name}/kernel"]) == count


def test_n_of_m_of_each_level(config, tmp_path):
    fields = {"structure": "n_of_m", "n_of_m": ("2:4", "1:4")}
    found = study(config, tmp_path / "study", exclude=("output",), **fields)
    for kept, n in zip(found, (4, 2, 1), strict=True):
        assert kept["output/kernel"].all()
        for name in ("dense_0", "dense_1"):
            groups = kept[f"{name}/kernel"].T.reshape(-1, 4)
            assert set(groups.sum(1).tolist()) == {n}
    assert masks.is_subset(found[2], found[1])


@pytest.mark.slow
def test_filters_go_by_the_convolutions_fraction(tiny_config, monkeypatch, tmp_path):
    config = dataclasses.replace(
        tiny_config,
        model=lth_config.ModelConfig("conv2", (64,), 0.125),
        prune=lth_config.PruneConfig(structure="units", conv_fraction=0.5, fraction=0.25),
        arms=("ticket",),
        num_levels=2,
    )
    images = np.random.default_rng(0).integers(0, 256, (200, 8, 8, 3)).astype(np.uint8)
    split = data.Split(images, np.arange(200, dtype=np.int32) % 10)
    monkeypatch.setattr(data, "load", lambda *_: data.Source(split, split, 10))
    config = dataclasses.replace(
        config, data=lth_config.DataConfig("images", None, 40), num_steps=10
    )
    files = run(config, tmp_path / "study")
    _, kept, _ = ticket_files.load(files.ticket(1), 0)
    left = {path: mask.sum() for path, mask in masks.named_leaves(kept)}
    assert [left[f"{name}/bias"] for name in ("conv_0", "conv_1")] == [4, 4]  # of 8
    assert left["dense_0/bias"] == 6  # of 8
    assert left["conv_1/kernel"] == 9 * 4 * 4


BAD = [
    (
        {"structure": "rows"},
        r"prune\.structure: 'rows' .* weights, units, blocks, n_of_m",
    ),
    ({"structure": "blocks"}, r"prune\.block_size: None .* given for 'blocks'"),
    ({"block_size": 4}, r"prune\.block_size: 4 .* for it alone"),
    ({"structure": "blocks", "block_size": 0}, r"prune\.block_size: 0 .* at least 1"),
    ({"n_of_m": ("2:4", "1:4")}, r"prune\.n_of_m: .* empty without it"),
    ({"structure": "n_of_m"}, r"prune\.n_of_m: \(\) .* each of the 2 levels"),
    ({"structure": "n_of_m", "n_of_m": ("2:4", "4:4")}, r"prune\.n_of_m: '4:4' .* n < m"),
    ({"structure": "n_of_m", "n_of_m": ("2:4", "1")}, r"prune\.n_of_m: '1' .* n:m"),
    ({"structure": "n_of_m", "n_of_m": ("2:4", "x:4")}, r"prune\.n_of_m: 'x:4' .* n:m"),
    ({"structure": "n_of_m", "n_of_m": ("2:4", ":1:4")}, r"prune\.n_of_m: ':1:4'"),
    ({"structure": "n_of_m", "n_of_m": ("1:4", "2:4")}, r"prune\.n_of_m: .* decreasing"),
    (
        {"structure": "n_of_m", "n_of_m": ("2:4", "1:4"), "scope": "global"},
        r"prune\.scope: 'global' .* 'layerwise' with prune\.structure='n_of_m'",
    ),
    (
        {"structure": "units", "densities": (0.5, 0.2)},
        r"prune\.densities: .* empty with prune\.structure='units'",
    ),
    ({"structure": "units", "floor": 2}, r"prune\.floor: 2 .* 1 with prune\.structure"),
    ({"structure": "units", "exclude": ("output",)}, r"prune\.exclude: .* empty with"),
    (
        {"structure": "units", "criterion": "snip"},
        r"prune\.criterion: 'snip' .* looks at the trained net",
    ),
    ({"structure": "units", "scope": "erk"}, r"prune\.scope: 'erk' .* or 'global' with"),
]


@pytest.mark.parametrize(("fields", "message"), BAD)
def test_what_does_not_go_together_is_told(fields, message, tiny_config):
    config = dataclasses.replace(tiny_config, prune=lth_config.PruneConfig(**fields))
    with pytest.raises(ConfigError, match=message):
        lth_config.read(as_dict(config))
