"""What is read from the files of the built book, without a browser."""

import os
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
BOOK = Path(os.environ.get("BSR_BOOK") or ROOT / "_build" / "html").resolve()
"""Folder of the built pages; `BSR_BOOK` names another one."""

REQUIRED = os.environ.get("BSR_REQUIRE_BROWSER", "0") not in ("", "0")
"""Whether a missing book, browser or package is a failure; otherwise the tests that need it are skipped."""


def missing(what):
    """Skip the test because of what is missing, or fail where nothing may be missing."""
    if REQUIRED:
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


def chapters():
    """Paths of the pages in the table of contents, relative to the book, in order."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    files = [toc["root"]] + [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    return [f"{name}.html" for name in files]


def all_pages():
    """Paths of every page of the built book, or of the table of contents where there is none."""
    built = {path.relative_to(BOOK).as_posix() for path in BOOK.rglob("*.html") if "_static" not in path.parts}
    return sorted(built) or chapters()


def pages_with_sliders():
    """Paths of the pages whose source calls `slider_figure`."""
    return [page for page in chapters() if "slider_figure(" in _source(page)]


def _source(page):
    notebook = (ROOT / page).with_suffix(".ipynb")
    return notebook.read_text() if notebook.exists() else ""
