"""Links that lead nowhere, within a built book and from text files to files of the repository.

    python tests/links.py [FOLDER]     the book in _build/html, or another one; exit status 1 if something is dead

Links that leave the book are not followed: `.ci/links` does that.
"""

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
        The values of every `href`, of an `a` or of something else.
    sources : list of str
        The files that the page itself needs: of every `src`, `srcset` and `poster`, and of every `href` of a `link`.
    """

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links, self.sources = set(), [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = {key: value for key, value in attrs if value}
        self.anchors.update(attrs[key] for key in ("id", "name") if key in attrs and (key == "id" or tag == "a"))
        if "href" in attrs:
            (self.sources if tag == "link" else self.links).append(attrs["href"])
        self.sources += [attrs[key] for key in ("src", "poster") if key in attrs]
        # A comma belongs to an address, a comma and a space part two of them.
        self.sources += [part.split()[0] for part in attrs.get("srcset", "").split(", ") if part.strip()]


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
    """The pages of a built book."""
    files = [path for path in sorted(folder.resolve().rglob("*.html")) if "_static" not in path.parts]
    return {path: Page(path.read_text(encoding="utf-8")) for path in files}


def main(folder=BOOK):
    folder = Path(folder).resolve()
    pages = read_book(folder)
    if not pages:
        sys.exit(f"no pages in {folder}")
    found = dead(pages, folder)
    for line in found:
        print(f"dead: {line}", file=sys.stderr)
    print(f"{len(pages)} pages, {len(found)} dead links", file=sys.stderr)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
