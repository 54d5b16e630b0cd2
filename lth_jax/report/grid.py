"""Grid: a table as plain text, in blocks that fit the columns of a terminal."""

from collections.abc import Sequence
from typing import NamedTuple

_GAP = "  "


class Grid(NamedTuple):
    """Rows of texts, the heads first: columns that name each row, then groups of them."""

    rows: list[list[str]]
    num_names: int  # columns before the groups, in every block
    num_left: int = 0  # columns that are aligned at the left
    size: int = 1  # columns in each group
    titles: tuple[str, ...] = ()  # of the groups, one each; or none


def folded(grid: Grid, columns: int | None = None) -> list[str]:
    """Its lines: one block, or as few as have lines of at most so many characters.

    Every block has one group at least, however wide.
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
    """Rows as lines, their cells at the right, below one another."""
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
    """A title above each group, as wide as that."""
    parts = [" " * _length(block[: grid.num_names], widths)]
    for at in range(grid.num_names, len(block), grid.size):
        group = block[at : at + grid.size]
        title = grid.titles[(group[0] - grid.num_names) // grid.size]
        parts.append(f" {title} ".center(_length(group, widths), "-"))
    return _GAP.join(parts)
