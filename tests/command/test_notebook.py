"""The notebook runs from its first cell to its last figure, and shows what it says."""

import json
import tempfile

import nbclient
import nbformat
import numpy as np
import pytest
from support.paths import ROOT

NOTEBOOK = ROOT / "notebooks" / "lottery_tickets.ipynb"
NUM_LEVELS = 6  # of the nine, and of the ten, there
SHORTER = {
    "LEVELS = 5, 9": f"LEVELS = 5, {NUM_LEVELS}",
    "--config.num_levels=10": f"--config.num_levels={NUM_LEVELS}",
    "LAST = 9": f"LAST = {NUM_LEVELS - 1}",
}
# What the cells leave behind, asked in a cell of the test's own.
PROBE = """
import json
print(json.dumps({
    "density": density,
    "step": {arm: s.tolist() for arm, s in step.items()},
    "accuracy": {arm: a.tolist() for arm, a in accuracy.items()},
    "nested": nested, "chance": chance, "between": between, "with_init": with_init,
}))
"""


def read():
    return nbformat.read(NOTEBOOK, as_version=nbformat.NO_CONVERT)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_it_is_stored_with_its_figures_and_nothing_of_a_machine():
    notebook = read()
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        kinds = {kind for output in cell.outputs for kind in output.get("data", {})}
        assert ("image/png" in kinds) == ("plt.show()" in cell.source)
        assert all(output.output_type != "error" for output in cell.outputs)
        told = json.dumps(cell.outputs)
        assert tempfile.gettempdir() not in told
        assert not any(output.get("name") == "stderr" for output in cell.outputs)


# One test: with xdist, a fixture would run it once in each worker.
@pytest.mark.slow
def test_it_runs_anywhere_and_shows_what_it_says(monkeypatch, tmp_path):
    monkeypatch.delenv("XLA_FLAGS")  # a user's kernel has no forced devices
    # This tree, whatever is installed; and a folder that is no clone.
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = read()
    shorten(notebook)
    notebook.cells.append(nbformat.v4.new_code_cell(PROBE))
    where = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=600, resources=where).execute()

    *_, last, probe = code_cells(notebook)
    assert "image/png" in last.outputs[-1].data
    (output,) = probe.outputs
    found = json.loads(output.text)
    check_the_ticket_beats_its_fresh_init(found)
    check_tickets_are_nested_and_each_of_its_own_init(found)


def shorten(notebook):
    """Leaves out the sparsest levels, which take as long as others to train."""
    for whole, short in SHORTER.items():
        (cell,) = (cell for cell in notebook.cells if whole in cell.source)
        cell.source = cell.source.replace(whole, short)


def check_the_ticket_beats_its_fresh_init(found):
    expected = 0.7 ** np.arange(NUM_LEVELS)
    np.testing.assert_allclose(found["density"], expected, atol=1e-3)
    ticket, reinit = (np.array(found["accuracy"][arm]) for arm in ("ticket", "reinit"))
    assert ticket.shape == reinit.shape == (NUM_LEVELS, 5)
    np.testing.assert_array_equal(ticket[0], reinit[0])
    at = 4  # 24%
    assert (ticket[at] - ticket[0]).mean() > 1
    assert (ticket[at:] - reinit[at:]).mean(1).min() > 1
    assert np.mean(found["step"]["ticket"][at]) < 0.8 * np.mean(
        found["step"]["reinit"][at]
    )


def check_tickets_are_nested_and_each_of_its_own_init(found):
    assert found["nested"] is True
    chance, between, with_init = (
        np.array(found[name]) for name in ("chance", "between", "with_init")
    )
    np.testing.assert_allclose(between, chance, rtol=0.15)
    assert (with_init[3:] > 1.5 * chance[3:]).all()
