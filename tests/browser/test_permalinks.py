"""Boxes with a number link to themselves, in the built pages."""

import re

import pytest
from pages import BOOK, ROOT, missing

BOX = re.compile(
    r'<div class="(?:proof|exercise) ?\w* admonition" id="(?P<label>[^"]+)">\s*'
    r'<p class="admonition-title"><span class="caption-number">(?P<rest>.*?)</p>',
    re.DOTALL,
)
LABELS = re.compile(r"\{(?:prf:\w+|exercise-start)\}[^`]*?:label: ([\w-]+)")
CHAPTERS = sorted(path.stem for path in (ROOT / "book").glob("*.ipynb") if LABELS.search(path.read_text()))


@pytest.mark.parametrize("name", CHAPTERS)
def test_each_box_has_the_address_that_a_reader_cites(name):
    page = BOOK / "book" / f"{name}.html"
    if not page.exists():
        missing(f"no built book in {BOOK}")
    boxes = dict(BOX.findall(page.read_text(encoding="utf-8")))
    assert set(boxes) == set(LABELS.findall((ROOT / "book" / f"{name}.ipynb").read_text(encoding="utf-8")))
    for label, rest in boxes.items():
        assert re.search(rf'<a class="headerlink" href="#{label}" title="Link to this \w+">[^<]+</a>$', rest), label
