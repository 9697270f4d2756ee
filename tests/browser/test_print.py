"""A chapter on paper: everything that is folded for the text is there, and nothing to click."""

import io

import pytest
from conftest import Visit
from pages import missing
from test_pages import TOO_WIDE

CHAPTERS = ["book/05_denoising.html", "book/11_nuclear_norm.html"]  # with a slider; the longest
PAPER = 672  # pixels between the margins of A4

# The first words of each text within a solution that has enough of them.
SOLUTIONS = """() => [...document.querySelectorAll("div.solution p")]
  .map(p => p.firstChild.data?.trim().split(/\\s+/).slice(0, 5) ?? []).filter(words => words.length === 5)
  .map(words => words.join(" "))"""

CUT = """() => [...document.querySelectorAll("div.math > mjx-container, pre")]
  .filter(e => e.checkVisibility() && e.scrollWidth > e.clientWidth + 2).map(e => e.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module", params=CHAPTERS)
def dark(browser, address, request):
    """A chapter by night."""
    visit = Visit(browser, address, request.param, color_scheme="dark")
    yield visit
    assert visit.complaints == []
    visit.context.close()


@pytest.fixture(scope="module")
def paper(dark):
    """The texts of the pages, and the colours while they were printed."""
    try:
        from pypdf import PdfReader
    except ImportError:
        missing("no pypdf: pip install -e '.[browser]'")
    dark.page.evaluate("""() => window.addEventListener("beforeprint", () => {
      const {color, backgroundColor} = getComputedStyle(document.body);
      window.printed = [color, backgroundColor, document.documentElement.dataset.theme];
    })""")
    pages = PdfReader(io.BytesIO(dark.page.pdf(format="A4", prefer_css_page_size=True))).pages
    return [" ".join(page.extract_text().split()) for page in pages], dark.page.evaluate("window.printed")


def test_solutions_are_open_and_code_that_draws_is_not_there(dark, paper):
    text = " ".join(paper[0])
    words = dark.page.evaluate(SOLUTIONS)
    assert words
    assert [start for start in words if start not in text] == []
    for left_out in ("Show code cell", "Click to", "From a pilot to a plan", "Previous", "Next"):
        assert left_out not in text


def test_pages_are_few_and_none_is_empty(paper):
    assert 10 <= len(paper[0]) <= 40
    assert min(map(len, paper[0])) > 150


def test_paper_is_white_by_night_and_the_screen_dark_again(dark, paper):
    colour, background, theme = paper[1]
    assert theme == "light"
    assert sum(map(int, colour[4:-1].split(","))) < 200, colour
    assert background == "rgb(255, 255, 255)"
    assert dark.page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_formulas_and_code_fit_the_paper(dark):
    dark.page.set_viewport_size({"width": PAPER, "height": 900})
    dark.page.emulate_media(media="print")
    assert dark.page.evaluate(TOO_WIDE) == []
    assert dark.page.evaluate(CUT) == []
    sides = dark.page.locator(".bd-sidebar-primary, .bd-sidebar-secondary, .bd-header-article, .copybtn").all()
    assert not any(side.is_visible() for side in sides)
    dark.page.emulate_media(media="screen")
