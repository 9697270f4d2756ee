"""Links that lead nowhere, within a built book and from text files to files of the repository.

    python tests/links.py [FOLDER]     the book in _build/html, or another one; exit status 1 if something is dead

Links that leave the book are not followed: `.ci/links` does that.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

BOOK = Path(__file__).parents[1] / "_build" / "html"


class Page(HTMLParser):
    """The anchors of a page, where its links lead and which files it shows.

    Parameters
    ----------
    text : str
        HTML.

    Attributes
    ----------
    anchors : set of str
        The values of every `id`, and of every `name` of an `a`.
    links : list of str
        The values of every `href`, of an `a` or of something else, `xlink:href` of SVG included.
    sources : list of str
        The files that the page itself needs: of every `src`, `srcset` and `poster`, of every `href` of a `link`, of
        every `data` of an `object`, and what styles within the page fetch.
    """

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links, self.sources, self.styled = set(), [], [], False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = {key: value for key, value in attrs if value}
        self.anchors.update(attrs[key] for key in ("id", "name") if key in attrs and (key == "id" or tag == "a"))
        for key in ("href", "xlink:href"):
            if key in attrs:
                (self.sources if tag == "link" else self.links).append(attrs[key])
        self.sources += [attrs[key] for key in ("src", "poster") if key in attrs]
        self.sources += [attrs["data"]] if tag == "object" and "data" in attrs else []
        self.sources += fetched(attrs.get("style", ""))
        # A comma belongs to an address, a comma and a space part two of them.
        self.sources += [part.split()[0] for part in attrs.get("srcset", "").split(", ") if part.strip()]
        self.styled = tag == "style"

    def handle_endtag(self, tag):
        self.styled = False

    def handle_data(self, data):
        self.sources += fetched(data) if self.styled else []


class Style:
    """What a style sheet fetches, in the form of a `Page`."""

    def __init__(self, text):
        self.anchors, self.links, self.sources = set(), [], fetched(text)


def fetched(css):
    """The addresses of every url(...) outside of comments, but for parts of the same document."""
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)
    found = re.findall(r"""url\(\s*(?:"([^"]*)"|'([^']*)'|([^"')\s]*))\s*\)""", css)
    return [address for address in map("".join, found) if address and not address.startswith("#")]


def target(page, link):
    """The file and the anchor that a link of a page means, or None where it leads elsewhere.

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
    return path, unquote(parts.fragment)


def dead(pages, root, *, folders=False):
    """What leads nowhere, as "page: link".

    Parameters
    ----------
    pages : dict
        From the resolved path of each file to its `Page`.
    root : pathlib.Path
        Nothing may lead out of it.
    folders : bool
        Whether a folder is somewhere; otherwise only its index.html is.
    """
    found = []
    for path, page in pages.items():
        for link in dict.fromkeys([*page.links, *page.sources]):
            file, anchor = target(path, link) or (None, "")
            if file is None:
                continue
            if file.is_dir() and not folders:
                file /= "index.html"
            if not (file.is_relative_to(root) and file.exists()) or (
                anchor and file in pages and anchor not in pages[file].anchors
            ):
                found.append(f"{path.relative_to(root).as_posix()}: {link}")
    return found


def read_book(folder):
    """The pages of a built book, and the style sheets that they use."""
    files = [path for path in sorted(folder.resolve().rglob("*.html")) if "_static" not in path.parts]
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in files}
    used = {target(path, source) for path, page in pages.items() for source in page.sources}
    sheets = {file for file, _ in filter(None, used) if file.suffix == ".css" and file.exists()}
    return pages | {path: Style(path.read_text(encoding="utf-8")) for path in sorted(sheets)}


def main(folder=BOOK):
    folder = Path(folder).resolve()
    pages = read_book(folder)
    if not pages:
        sys.exit(f"no pages in {folder}")
    found = dead(pages, folder)
    for line in found:
        print(f"dead: {line}", file=sys.stderr)
    count = sum(isinstance(page, Page) for page in pages.values())
    print(f"{count} pages, {len(found)} dead links", file=sys.stderr)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
