"""Anatomy plots: how much the masks keep of each layer and of each input."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.colorbar import Colorbar
from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import (
    FuncFormatter,
    Locator,
    LogLocator,
    NullFormatter,
    SymmetricalLogLocator,
)

from lth_jax.analysis.anatomy import Anatomy, FirstLayer
from lth_jax.analysis.words import percent
from lth_jax.report import style
from lth_jax.report.palette import TICKET, of_layers
from lth_jax.store.histograms import Histogram

# 1 is the layer's mean; less is blue, more is red. Visible on both pages.
_ABOUT_ONE = LinearSegmentedColormap.from_list(
    "about_one", ("#2166ac", "#b9d0e4", "#e3e1dd", "#ecb8a0", "#b2182b")
)
_KEPT = matplotlib.colormaps["magma_r"]
_MOST_LABELS = 6
_MOST_FILTERS = 256


def layer_densities(levels: Sequence[Anatomy]) -> Figure:
    """Draws the share of each layer that is kept, against the density of the net."""
    figure, axes = style.panel("Weights kept in each layer, % (log scale)")
    names = list(levels[0].layers)
    x = [100 * level.density for level in levels]
    ends: dict[float, list[tuple[str, str]]] = {}
    logs = [
        [(level.density, math.log(level.layers[name] or 1e-9)) for level in levels]
        for name in names
    ]
    dashes = style.told_apart(logs)
    for i, (name, colour) in enumerate(of_layers(names).items()):
        y = [100 * level.layers[name] for level in levels]
        look: dict[str, Any] = {"linewidth": 1.5, "linestyle": dashes[i]}
        look |= {"marker": "o", "markersize": 3}
        axes.plot(x, y, color=colour, **look)
        end = float(f"{y[-1]:.3g}")
        ends.setdefault(end, []).append((layer_name(name), colour))
    # If there are many ends, only some get labels. Lines that end alike share one.
    named = {round(i) for i in np.linspace(0, len(ends) - 1, _MOST_LABELS)}
    ends = {y: same for i, (y, same) in enumerate(ends.items()) if i in named}
    style.density_axis(axes, [level.density for level in levels])
    shares = {100 * share for level in levels for share in level.layers.values()}
    scale = style.log_scale(shares)
    axes.set_yscale(**scale)
    ticks: Locator = LogLocator(subs=(1, 2, 5))
    if 0 in shares:
        ticks = SymmetricalLogLocator(base=10, linthresh=scale["linthresh"])
        axes.set_ylim(bottom=-0.1 * scale["linthresh"])
    axes.yaxis.set_major_locator(ticks)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    labels = [
        style.Label(y, _together([name for name, _ in same]), same[0][1], "layer")
        for y, same in ends.items()
    ]
    style.label_ends(axes, labels)
    return figure


def _together(names: Sequence[str]) -> str:
    """One label for lines that end alike: up to two names, or one and a count."""
    if len(names) <= 2:
        return ", ".join(names)
    return f"{names[0]} and {len(names) - 1} more"


def first_layer(levels: Sequence[Anatomy]) -> dict[int, Figure]:
    """Draws the masks of the first layer, by level; one strip if inputs form a line."""
    firsts = [(level, level.first) for level in levels if level.first]
    last, first = firsts[-1]
    if first.kept.ndim == 1:
        return {last.level: _input_strip(firsts)}
    return {level.level: _first_layer_image(level, found) for level, found in firsts}


def _first_layer_image(level: Anatomy, first: FirstLayer) -> Figure:
    title = f"level {level.level}: {percent(level.density)} of the weights"
    figure, axes = style.panel(title, (style.SMALL[0], style.SMALL[0] + 0.35))
    if first.is_convolution:
        image, most, unit = _filter_tiles(first), int(first.kept.max()), "channels kept"
    else:
        image = first.kept[..., 0] if first.kept.ndim == 3 else first.kept
        image, most, unit = 100 * image, None, "% of an input's weights kept"
    shown = axes.imshow(image, cmap=_KEPT, vmin=0, vmax=most, interpolation="nearest")
    axes.set_axis_off()
    bar = _colour_bar(figure, shown, location="bottom", fraction=0.06, pad=0.03)
    bar.set_label(unit, fontsize=8, color=style.INK)
    bar.locator = matplotlib.ticker.MaxNLocator(4, integer=first.is_convolution)
    return figure


def _colour_bar(figure: Figure, shown: AxesImage, **where: Any) -> Colorbar:
    bar = figure.colorbar(shown, ax=shown.axes, **where)
    bar.ax.tick_params(labelsize=8, colors=style.INK)
    bar.outline.set_visible(False)
    return bar


def _filter_tiles(first: FirstLayer) -> np.ndarray:
    """Filters side by side, with a gap of NaN between them."""
    filters = first.kept[:_MOST_FILTERS].astype(float)
    columns = int(np.ceil(np.sqrt(len(filters))))
    room = (0, -len(filters) % columns), (0, 1), (0, 1)
    padded = np.pad(filters, room, constant_values=np.nan)
    grid = padded.reshape(-1, columns, *padded.shape[1:])
    rows, _, height, width = grid.shape
    tiles: np.ndarray = grid.transpose(0, 2, 1, 3).reshape(rows * height, columns * width)
    return tiles[:-1, :-1]


def _input_strip(levels: Sequence[tuple[Anatomy, FirstLayer]]) -> Figure:
    """The share kept of each input, over the layer's mean, [levels, inputs]."""
    figure, axes = style.panel("Weights kept of each input, relative to the layer's mean")
    image = np.stack([x.kept / (x.kept.mean() or 1) for _, x in levels])
    most = max(2.0, float(image.max()))  # at least as far above the mean as 0 is below
    about_one = TwoSlopeNorm(vmin=0, vcenter=1, vmax=most)
    shown = axes.imshow(
        image, aspect="auto", cmap=_ABOUT_ONE, norm=about_one, interpolation="nearest"
    )
    axes.grid(visible=False)
    axes.set(xlabel="input", ylabel="weights of the net kept")
    axes.set_yticks(range(len(levels)), [percent(level.density) for level, _ in levels])
    _colour_bar(figure, shown, fraction=0.05, pad=0.02)
    return figure


def weight_distributions(
    levels: Mapping[int, tuple[float, Mapping[str, Histogram]]], names: Sequence[str]
) -> dict[tuple[int, str], Figure]:
    """Draws the distributions of surviving weights at the start and end of levels.

    `levels` maps each level to its density and its histograms, which are by leaf. `names`
    are the leaves to draw.
    """
    return {
        (level, name): _distribution(level, density, name, histograms[name])
        for level, (density, histograms) in levels.items()
        for name in names
    }


def _distribution(level: int, density: float, name: str, found: Histogram) -> Figure:
    where = "dense net" if level == 0 else f"{percent(density)} of the weights"
    figure, axes = style.panel(f"{layer_name(name)}, {where}", style.SMALL)
    edges, start, end = found
    heights = [counts / max(1, counts.sum()) / np.diff(edges) for counts in (start, end)]
    axes.stairs(heights[0], edges, fill=True, color=style.GRID)
    axes.stairs(heights[0], edges, color=style.FAINT, linewidth=1)
    axes.stairs(heights[1], edges, color=TICKET, linewidth=1.5)
    axes.spines["left"].set_visible(False)
    reach = _reach(edges, start + end)
    axes.set(xlim=(-reach, reach), ylim=(0, None), xlabel="weight", yticks=[])
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(4))
    return figure


def _reach(edges: np.ndarray, counts: np.ndarray) -> float:
    """The distance from 0 within which all but a thousandth of the weights lie."""
    if edges[-1] < np.finfo(np.float32).tiny:  # all weights are 0, or there are none
        return 1.0
    centers = np.abs(edges[:-1] + edges[1:]) / 2
    order = np.argsort(centers)
    within = np.cumsum(counts[order]) >= 0.999 * counts.sum()
    reach: float = centers[order][within.argmax()] + edges[1] - edges[0]
    return reach


def layer_name(path: str) -> str:
    """Returns a layer's name for a reader, as in configs: "dense_0"."""
    return path.removesuffix("/kernel")
