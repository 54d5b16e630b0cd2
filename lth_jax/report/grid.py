"""Grid: prints a table as plain text, in blocks that fit the width of a terminal."""

from collections.abc import Sequence
from typing import NamedTuple

_GAP = "  "


class Grid(NamedTuple):
    """Rows of cells, heads first. Columns that name the row precede groups of columns."""

    rows: list[list[str]]
    num_names: int  # columns before the groups, in every block
    num_left: int = 0  # columns that are left-aligned
    size: int = 1  # columns in each group
    titles: tuple[str, ...] = ()  # one for each group, or none at all


def folded(grid: Grid, columns: int | None = None) -> list[str]:
    """Returns a grid's lines, in as few blocks as fit a width in characters.

    It is one block if `columns` is None. A block has at least one group, however wide.
    """
    widths = [max(map(len, column)) for column in zip(*grid.rows, strict=True)]
    groups = range(grid.num_names, len(widths), grid.size)
    names = list(range(grid.num_names))
    blocks: list[list[int]] = []
    for first in groups:
        group = list(range(first, first + grid.size))
        longer = [*blocks[-1], *group] if blocks else [*names, *group]
        if not blocks or (columns is not None and _length(longer, widths) > columns):
            blocks.append([*names, *group])
        else:
            blocks[-1] = longer
    lines: list[str] = []
    for block in blocks or [names]:
        lines += [""] * bool(lines)
        if grid.titles:
            lines.append(_titles(grid, block, widths))
        lines += [_row(grid, row, block, widths) for row in grid.rows]
    return [line.rstrip() for line in lines]


def aligned(rows: list[list[str]]) -> list[str]:
    """Returns rows as lines with right-aligned cells."""
    return folded(Grid(rows, len(rows[0])))


def _length(block: Sequence[int], widths: Sequence[int]) -> int:
    return sum(widths[i] for i in block) + len(_GAP) * (len(block) - 1)


def _row(
    grid: Grid, row: Sequence[str], block: Sequence[int], widths: Sequence[int]
) -> str:
    return _GAP.join(
        f"{row[i]:{'<' if i < grid.num_left else '>'}{widths[i]}}" for i in block
    )


def _titles(grid: Grid, block: Sequence[int], widths: Sequence[int]) -> str:
    """A line with a title centred above each group."""
    parts = [" " * _length(block[: grid.num_names], widths)]
    for at in range(grid.num_names, len(block), grid.size):
        group = block[at : at + grid.size]
        title = grid.titles[(group[0] - grid.num_names) // grid.size]
        parts.append(f" {title} ".center(_length(group, widths), "-"))
    return _GAP.join(parts)
