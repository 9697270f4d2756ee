"""The notebooks of exercises in the built book."""

import re

import nbformat
import pytest
from links import Page, target
from pages import BOOK, ROOT, missing

CHAPTERS = sorted(path.stem for path in (ROOT / "book").glob("*.ipynb") if "{exercise-start}" in path.read_text())


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_links_to_its_exercises_and_solutions(name):
    page = BOOK / "book" / f"{name}.html"
    if not page.exists():
        missing(f"no built book in {BOOK}")
    ends = (f"{name}-exercises.ipynb", f"{name}-solutions.ipynb")
    links = [link for link in Page(page.read_text(encoding="utf-8")).links if link.endswith(ends)]
    assert len(links) == 2
    for link in links:
        notebook = nbformat.read(target(page, link)[0], as_version=4)
        nbformat.validate(notebook)
        text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
        assert re.search(r"^## Exercise \d+\.1: ", text, re.MULTILINE)
        assert not re.search(r"\{[\w:]+\}`", text)
