"""The folder of the book reads without a server and without a network."""

import pytest
from conftest import Visit
from pages import BOOK


@pytest.fixture(scope="module")
def files(browser):
    """Opens a page of the book as a file."""
    visits = []

    def visit(name):
        visits.append(Visit(browser, BOOK.as_uri(), name, offline=True))
        return visits[-1]

    yield visit
    for visit in visits:
        visit.context.close()


def test_formulas_sliders_and_previews_work_from_files(files):
    visit = files("book/09_gamp_rie.html")
    page = visit.page
    assert page.locator(".math:not(:has(mjx-container))").count() == 0 < page.locator("mjx-container").count()
    assert page.evaluate("document.fonts.check('16px MJXTEX-I')")
    slider = page.get_by_role("slider").first
    before = slider.get_attribute("aria-valuenow")
    slider.press("ArrowRight")
    assert slider.get_attribute("aria-valuenow") != before
    reference = page.locator("article a[href^='06_bayes_optimal.html#equation']").first
    reference.hover()
    page.locator("#preview mjx-container").first.wait_for(state="visible")
    assert visit.complaints == []


def test_search_works_from_files(files):
    visit = files("search.html?q=Nishimori")
    visit.page.locator("#search-results li a").first.wait_for()
    assert visit.complaints == []


def test_root_leads_to_the_book_from_files(files):
    visit = files("index.html")
    assert visit.page.locator("h1").first.inner_text().startswith("Bilinear Sequence Regression")
    assert visit.complaints == []
