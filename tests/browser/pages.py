"""What is read from the files of the built book, without a browser."""

import os
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

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


class Page(HTMLParser):
    """The anchors of a page, where its links lead and which files it shows.

    Parameters
    ----------
    path : pathlib.Path
        An HTML file.

    Attributes
    ----------
    anchors : set of str
        The values of every `id`, and of every `name` of an `a`.
    links : list of str
        The values of every `href` of an `a`.
    sources : list of str
        The values of every `src`, and of every `href` of a `link`.
    """

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.sources = set(), [], []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.anchors.update(attrs[key] for key in ("id", "name") if attrs.get(key) and (key == "id" or tag == "a"))
        if tag == "a" and attrs.get("href"):
            self.links.append(attrs["href"])
        if tag == "link" and attrs.get("href"):
            self.sources.append(attrs["href"])
        if attrs.get("src"):
            self.sources.append(attrs["src"])


def target(page, link):
    """The file and the anchor that a link of a page means, or None where it leads out of the book.

    Parameters
    ----------
    page : pathlib.Path
        The file that holds the link.
    link : str
        As written in the page.

    Returns
    -------
    tuple of (pathlib.Path, str) or None
    """
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    return path / "index.html" if path.is_dir() else path, unquote(parts.fragment)
