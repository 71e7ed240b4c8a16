"""The notebooks of docs/: valid, without results, and of code that can be compiled; a production runs them."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

NAMES = ("exposure", "reading")


def test_every_notebook_is_named_in_the_docs(repository: Path) -> None:
    there = sorted(path.stem for path in (repository / "docs/notebooks").glob("*.ipynb"))
    assert there == list(NAMES)
    text = (repository / "docs/cycles.md").read_text()
    assert all(f"(notebooks/{name}.ipynb)" in text for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_valid_and_has_no_results(repository: Path, name: str) -> None:
    notebook = nbformat.read(repository / f"docs/notebooks/{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) > 5
    for cell in cells:
        assert (cell.outputs, cell.execution_count) == ([], None)
        compile(cell.source, name, "exec")
