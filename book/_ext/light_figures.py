"""Rounds figures to hundredths of a point and drops what is not drawn: less to load, nothing that an eye can see."""

import re
from pathlib import Path

OUTLINE = re.compile(r' d="([^"]*)"')
PLACE = re.compile(r' (x|y|width|height|transform)="([^"]*)"')
LONG = re.compile(r"-?\d+\.\d{3,}")
NOT_DRAWN = re.compile(r"<!--.*?-->|<metadata>.*?</metadata>|(?<=>)\s+(?=<)", re.DOTALL)


def rounded(svg):
    """The text of an SVG with two decimals in its outlines and their places, and no more space than they need."""

    def short(text):
        return LONG.sub(lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), text)

    def outline(match):
        text = short(match[1])
        text = re.sub(r"\s*([A-Za-z])\s*", r"\1", text.strip())
        return f' d="{" ".join(text.split())}"'

    svg = NOT_DRAWN.sub("", OUTLINE.sub(outline, svg))
    return PLACE.sub(lambda match: match[0] if "scale" in match[2] else f' {match[1]}="{short(match[2])}"', svg)


def lighten(app, exception):
    if exception or app.builder.format != "html":
        return
    for path in sorted(Path(app.outdir, app.builder.imagedir).glob("*.svg")):
        path.write_text(rounded(path.read_text(encoding="utf-8")), encoding="utf-8")


def setup(app):
    app.connect("build-finished", lighten)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
