"""The files of the built book are whole: links lead somewhere, images exist, pages are light."""

import pytest
from pages import BOOK, Page, all_pages, chapters, missing, target

HEAVIEST = 3e6  # bytes of a page and its own images


@pytest.fixture(scope="module")
def parsed():
    """Every page of the book by its resolved path."""
    if not (BOOK / "index.html").exists():
        missing(f"no built book in {BOOK}")
    return {path: Page(path) for path in (BOOK / name for name in all_pages())}


def test_every_chapter_is_built(parsed):
    assert [name for name in chapters() if BOOK / name not in parsed] == []


@pytest.mark.parametrize("name", all_pages())
def test_links_lead_to_pages_and_anchors_of_the_book(parsed, name):
    broken = []
    for link in parsed[BOOK / name].links:
        path, anchor = target(BOOK / name, link) or (None, "")
        if path is None:
            continue
        found = not anchor or (path in parsed and anchor in parsed[path].anchors)
        if not path.is_relative_to(BOOK) or not path.exists() or not found:
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("name", all_pages())
def test_files_that_a_page_shows_exist(parsed, name):
    targets = [target(BOOK / name, source) for source in parsed[BOOK / name].sources]
    assert [str(path) for path, _ in filter(None, targets) if not path.is_file()] == []


def test_pages_are_light(parsed, weights):
    for path, page in parsed.items():
        files = {target(path, source) for source in page.sources}
        images = {file for file, _ in filter(None, files) if file.parent == BOOK / "_images"}
        weights[path.relative_to(BOOK).as_posix()] = sum(file.stat().st_size for file in {path, *images})
    assert {name: weight for name, weight in weights.items() if weight > HEAVIEST} == {}
