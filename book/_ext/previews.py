"""Writes what references to other pages mean into one script; `_static/previews.js` shows it beside the line."""

import json
import posixpath
import re
from pathlib import Path
from urllib.parse import unquote

REFERENCE = re.compile(r'<a class="reference internal" href="(?P<page>[^"#]+)#(?P<anchor>[^"]+)"')
KINDS = r'<(?P<tag>figure|div)(?= class="(?:align-|math |proof |exercise |citation")[^>]* id="(?P<anchor>[^"]+)")'
SHOWN = re.compile(KINDS)


def element(html, start, tag):
    """The text of the element with this tag that starts here."""
    depth = 0
    for match in re.compile(rf"<(/?){tag}\b[^>]*>").finditer(html, start):
        depth += -1 if match[1] else 1
        if depth == 0:
            return html[start : match.end()]
    raise ValueError(f"an element {tag!r} must have an end, got {html[start : start + 80]!r}")


def excerpts(pages):
    """What pages refer to on other pages.

    Parameters
    ----------
    pages : dict
        The HTML of pages by their addresses relative to the book.

    Returns
    -------
    dict of dict
        By page and anchor the HTML of an equation, a box, a figure or an entry of the bibliography.
    """
    wanted = {}
    for name, html in pages.items():
        for match in REFERENCE.finditer(html):
            page = posixpath.normpath(posixpath.join(posixpath.dirname(name), match["page"]))
            wanted.setdefault(page, set()).add(unquote(match["anchor"]))
    found = {
        page: {
            match["anchor"]: element(pages[page], match.start(), match["tag"])
            for match in SHOWN.finditer(pages[page])
            if match["anchor"] in anchors
        }
        for page, anchors in sorted(wanted.items())
        if page in pages
    }
    return {page: shown for page, shown in found.items() if shown}


def write_excerpts(app, exception):
    if exception or app.builder.format != "html":
        return
    names = [app.builder.get_target_uri(page) for page in sorted(app.env.found_docs)]
    pages = {name: Path(app.outdir, name).read_text(encoding="utf-8") for name in names}
    data = json.dumps(excerpts(pages), ensure_ascii=False, separators=(",", ":"))
    Path(app.outdir, "_static", "previews_data.js").write_text(f"window.bookPreviews={data};\n", encoding="utf-8")


def setup(app):
    app.connect("build-finished", write_excerpts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
