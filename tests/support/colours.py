"""Colours: how far apart two are, and how they stand out from a page."""

import matplotlib.colors
import numpy as np

from support import browsing

# Ottosson 2020, "A perceptual color space for image processing": from linear sRGB to the
# responses of cones, and from their cube roots to OKLab.
_CONES = [
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
]
_OKLAB = [
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
]


def contrast(*colours: str) -> float:
    """The contrast of "#rrggbb" and "#rrggbb" as WCAG 2 defines it."""
    return browsing.contrast(*map(_css, colours))


def distance(*colours: str) -> float:
    """How far apart two colours look: about 0.02 can just be told apart."""
    a, b = map(_oklab, colours)
    return float(np.linalg.norm(a - b))


def _css(colour: str) -> str:
    channels = (round(255 * c) for c in matplotlib.colors.to_rgb(colour))
    return f"rgb({', '.join(map(str, channels))})"


def _oklab(colour: str) -> np.ndarray:
    c = np.array(matplotlib.colors.to_rgb(colour))
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    found: np.ndarray = _OKLAB @ np.cbrt(_CONES @ linear)
    return found
