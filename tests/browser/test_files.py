"""The files of the built book are whole: links lead somewhere, images exist, pages are light."""

import links
import pytest
from pages import BOOK, chapters, missing

HEAVIEST = 1e6  # bytes of a page and its own images


@pytest.fixture(scope="module")
def parsed():
    """Every page of the book, and every style sheet, by its resolved path."""
    if not (BOOK / "index.html").exists():
        missing(f"no built book in {BOOK}")
    return links.read_book(BOOK)


def test_every_chapter_is_built(parsed):
    assert [name for name in chapters() if BOOK / name not in parsed] == []


def test_links_lead_to_pages_anchors_and_files_of_the_book(parsed):
    assert links.dead(parsed, BOOK) == []


def test_pages_are_light(parsed, weights):
    for path, page in parsed.items():
        if path.suffix != ".html":
            continue
        files = {links.target(path, source) for source in page.sources}
        images = {file for file, _ in filter(None, files) if file.parent == BOOK / "_images"}
        weights[path.relative_to(BOOK).as_posix()] = sum(file.stat().st_size for file in {path, *images})
    assert {name: weight for name, weight in weights.items() if weight > HEAVIEST} == {}
