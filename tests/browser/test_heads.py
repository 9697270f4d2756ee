"""What search engines and reference managers find in the pages."""

import json
import re
from html import unescape

import pytest
import yaml
from pages import BOOK, ROOT, chapters, missing

META = re.compile(r"<meta ([^>]*)>")
ATTRIBUTE = re.compile(r'(\w+)="([^"]*)"')
PAPER = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["preferred-citation"]


@pytest.fixture(scope="module")
def heads():
    """The head of each page of the table of contents."""
    if not (BOOK / "index.html").exists():
        missing(f"no built book in {BOOK}")
    pages = {name: (BOOK / name).read_text(encoding="utf-8") for name in chapters()}
    return {name: html[: html.index("</head>")] for name, html in pages.items()}


def tags(head):
    found = {}
    for match in META.finditer(head):
        about = dict(ATTRIBUTE.findall(match[1]))
        found.setdefault(about.get("name", about.get("property")), []).append(unescape(about.get("content", "")))
    return found


@pytest.mark.parametrize("name", chapters())
def test_page_says_what_it_is(heads, name):
    found, title = tags(heads[name]), re.search("<title>(.*?)</title>", heads[name], re.DOTALL)[1]
    (text,) = found["description"]
    assert 30 <= len(text) <= 160
    assert not re.search(r"[\\$<>\N{OBJECT REPLACEMENT CHARACTER}]|\*\*|What you will know\.", text)
    assert text == found["og:description"][0]
    for key in ("citation_title", "citation_author", "citation_publication_date", "og:title", "og:type"):
        assert len(found[key]) == 1, key
    assert found["citation_title"][0] in unescape(title)
    assert not found["citation_title"][0][0].isdigit()


def test_descriptions_differ(heads):
    texts = {name: tags(head)["description"][0] for name, head in heads.items()}
    assert len(set(texts.values())) == len(texts)


@pytest.mark.parametrize("name", chapters())
def test_page_is_a_part_of_a_book_about_the_paper(heads, name):
    (data,) = re.findall(r'<script type="application/ld\+json">(.*?)</script>', heads[name], re.DOTALL)
    thing = json.loads(data)
    front = name == chapters()[0]
    book = thing if front else thing["isPartOf"]
    assert (thing["@type"], book["@type"]) == ("Book" if front else "Chapter", "Book")
    assert book["about"]["name"] == PAPER["title"]
    assert [author["name"] for author in book["about"]["author"]] == [
        f"{author['given-names']} {author['family-names']}" for author in PAPER["authors"]
    ]
    assert thing["author"] == book["author"] == [{"@type": "Organization", "name": "The bsr maintainers"}]
    assert book["license"].endswith("BSD-3-Clause")
