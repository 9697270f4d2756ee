"""The cards of the recipes, in the built page."""

import re

import pytest
from pages import BOOK, missing

PAGE = BOOK / "book" / "21_recipes.html"
CARD = re.compile(r'<li><p><a [^>]*href="#([^"]+)"><img alt="([^"]+)"[^>]* src="([^"]+)" /><span>([^<]+)</span></a>')


@pytest.fixture(scope="module")
def page():
    if not PAGE.exists():
        missing(f"no built book in {BOOK}")
    return PAGE.read_text(encoding="utf-8")


def test_each_recipe_has_a_card_with_its_own_picture(page):
    (gallery,) = re.findall(r'<ul class="gallery.*?</ul>', page, re.DOTALL)
    cards = CARD.findall(gallery)
    sections = re.findall(
        r'<section id="([^"]+)">(.*?)</section>', page[page.index(gallery) + len(gallery) :], re.DOTALL
    )
    assert len(cards) == gallery.count("<li>") == len(sections) == 10
    for (anchor, alt, source, title), (identifier, section) in zip(cards, sections, strict=True):
        assert anchor == identifier
        assert title in re.sub(r"<.*?>", "", section)
        (figure,) = re.findall(r"<figure.*?</figure>", section, re.DOTALL)
        assert f'src="{source}"' in figure
        assert f'alt="{alt}"' in figure
        assert (PAGE.parent / source).resolve().is_file()
