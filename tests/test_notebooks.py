"""The sources of the book are whole: clean notebooks, a complete table of contents, names that exist."""

import ast
import re
from pathlib import Path
from pkgutil import resolve_name

import nbformat
import pytest
import yaml

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
PAGES = sorted((ROOT / "book").glob("*.md"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_is_clean(path):
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor >= 5) == (4, True), "cells need ids: nbformat 4.5"
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert notebook.metadata.kernelspec.name == "python3"
    assert "widgets" not in notebook.metadata
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
            assert "execution" not in cell.metadata


def test_table_of_contents_lists_every_page_once():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    listed = [toc["root"]] + [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    assert sorted(listed) == sorted(f"book/{path.stem}" for path in NOTEBOOKS + PAGES)


def exists(name):
    """Whether a dotted name such as bsr.theory.bayes.mmse can be reached."""
    try:
        resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


@pytest.mark.parametrize("path", [ROOT / "README.md", *PAGES, *NOTEBOOKS], ids=lambda path: path.name)
def test_names_in_the_text_exist(path):
    if path.suffix == ".ipynb":
        cells = nbformat.read(path, as_version=4).cells
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    else:
        text = path.read_text()
    names = set(re.findall(r"\bbsr(?:\.[a-zA-Z_]\w*)+", text))
    assert [name for name in sorted(names) if not exists(name)] == []


def test_readme_holds_two_commands():
    (block,) = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    book, tests = block.splitlines()
    assert "jupyter-book build . -W -n --keep-going" in book
    assert tests.endswith("pytest")


def test_readme_links_lead_to_files():
    links = re.findall(r"\]\((?!https?:)([^)]+)\)", (ROOT / "README.md").read_text())
    assert set(links) >= {f"book/{path.name}" for path in NOTEBOOKS}
    assert [link for link in links if not (ROOT / link).is_file()] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_sliders_end_their_cells(path):
    """A cell shows the value of its last line only."""
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code" and "slider_figure(" in cell.source:
            last = ast.parse(cell.source).body[-1]
            assert isinstance(last, ast.Expr)
            assert ast.unparse(last).startswith("plotting.slider_figure(")
