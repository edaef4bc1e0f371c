"""The notebook runs from the first cell to the last, on phantoms."""

import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "docs" / "comparison.ipynb"


@pytest.fixture(scope="module")
def notebook() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.mark.filterwarnings("ignore")
def test_every_cell_runs_on_phantoms(
    notebook: nbformat.NotebookNode, tiny_models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("METSEG_DATA", raising=False)
    monkeypatch.setenv("METSEG_MODELS", os.pathsep.join(map(str, tiny_models.values())))
    NotebookClient(notebook, timeout=200, resources={"metadata": {"path": str(ROOT)}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    text = "\n".join(str(output.get("data", output.get("text"))) for output in shown)
    assert text.count("<img") >= 8
    assert text.count("<svg") >= 4  # the curve of the loss among them
    assert "resamples above 0" in text
    assert "phantoms and the models" in text


def test_what_is_committed_shows_phantoms_only(notebook: nbformat.NotebookNode) -> None:
    shown = [str(output) for cell in notebook.cells for output in cell.get("outputs", ())]
    assert not any(re.search(r"TCGA_\w\w_\w{4}, slice|real scans and", output) for output in shown)
