"""Writes one figure of a page as an SVG file, in the page's light colours.

  python scripts/figure.py PAGE NAME OUT
  python scripts/figure.py runs/stop-sweep/comparison.html overview_over_dense stop.svg

The figure shows what the page shows, on white, and needs no style sheet. A wrong name
prints the names of all figures of the page.
"""

import pathlib
import re
import sys

from lth_jax.errors import fail


def figures(page: str) -> dict[str, str]:
    """Returns the SVG elements of a page, by name."""
    found = re.findall(r"<svg\b.*?</svg>", page, re.DOTALL)
    named = ((re.search(r'\bid="([^"]+)-figure_1"', svg), svg) for svg in found)
    return {match[1]: svg for match, svg in named if match}


def light(page: str) -> dict[str, str]:
    """Returns the variables of a page's style sheet in light mode, by name."""
    css = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    found = re.findall(r"(--\w+): ([^;]+);", css[1] if css else "")
    return dict(reversed(found))  # light mode comes first


def standalone(svg: str, variables: dict[str, str]) -> str:
    """Returns an SVG file: the element on paper, with values in place of variables."""
    opening, rest = re.split(r"(?<=>)", svg, maxsplit=1)
    svg = f'{opening}\n<rect width="100%" height="100%" fill="var(--paper)"/>{rest}\n'
    values = {name: value.replace('"', "'") for name, value in variables.items()}
    return re.sub(r"var\((--\w+)\)", lambda match: values[match[1]], svg)


def main(args: list[str]) -> int:
    """Writes the figure; returns the exit code."""
    if len(args) != 3:
        sys.exit(__doc__)
    name = args[1]
    try:
        page = pathlib.Path(args[0]).read_text(encoding="utf-8")
    except OSError as error:
        return fail(f"PAGE: {error}")
    known = figures(page)
    if name not in known:
        return fail(
            f"NAME: {name!r} is not on {args[0]}; must be one of {', '.join(known)}"
        )
    text = standalone(known[name], light(page))
    pathlib.Path(args[2]).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
