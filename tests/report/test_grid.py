"""Tables as text, in blocks."""

import hypothesis
import hypothesis.strategies as st
import pytest
from hypothesis import given

from lth_jax.report.grid import Grid, aligned, folded

CELLS = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1)


@st.composite
def grids(draw):
    names, size = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    groups = draw(st.integers(1, 6))
    width = names + size * groups
    rows = draw(st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1))
    titles = tuple(f"t{i}" for i in range(groups)) if draw(st.booleans()) else ()
    return Grid(rows, names, draw(st.integers(0, names)), size, titles)


@given(grids(), st.integers(10, 120))
@hypothesis.settings(max_examples=50, deadline=None)
def test_all_is_told_once_within_the_columns(grid, columns):
    lines = folded(grid, columns)
    height = len(grid.rows) + bool(grid.titles)
    blocks = [
        lines[at + bool(grid.titles) : at + height]
        for at in range(0, len(lines), height + 1)
    ]
    for i, row in enumerate(grid.rows):
        told = [block[i].split() for block in blocks]
        names = row[: grid.num_names]
        assert all(words[: grid.num_names] == names for words in told)
        assert [x for words in told for x in words[grid.num_names :]] == row[
            grid.num_names :
        ]
    for block in blocks:  # at least a group, and no more than fit
        groups = (len(block[0].split()) - grid.num_names) // grid.size
        assert groups == 1 or max(map(len, block)) <= columns


def test_a_wide_terminal_has_one_block():
    grid = Grid([["level", "a", "b"], ["0", "1.5", "22"]], 1, titles=("x", "y"))
    assert folded(grid) == folded(grid, 200)
    assert folded(grid)[1:] == ["level    a   b", "    0  1.5  22"]
    assert len(folded(grid, 10)) == 2 * 3 + 1


@pytest.mark.parametrize("rows", [[["a"]], [["a", "b"], ["cc", "d"]]])
def test_aligned_is_one_block_at_the_right(rows):
    lines = aligned(rows)
    assert [line.split() for line in lines] == rows
    assert len({len(line) for line in lines}) == 1
