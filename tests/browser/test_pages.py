"""Every page of the built book, as a reader sees it in Chromium."""

import re

import pytest
from pages import all_pages, pages_with_sliders

READABLE = 4.5  # contrast of normal text, WCAG 2.2, success criterion 1.4.3
PAGES = [name for name in all_pages() if name != "index.html"]  # that one only leads to the first page

RAW_MATHS = r"""() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (node.parentElement.closest("pre, code, script, style, mjx-container")) continue;
    if (/\\\(|\\\[|\$\$|\\begin\{/.test(node.data)) found.push(node.data.trim().slice(0, 80));
  }
  return found;
}"""

BAD_ALT = r"""() => [...document.images].filter(image => {
  const alt = image.getAttribute("alt")?.trim();
  return !alt || /^\S+\.(svg|png|jpe?g|gif)$/.test(alt);  // Sphinx puts the address where nothing was written
}).map(image => image.outerHTML.slice(0, 200))"""

BROKEN_IMAGES = """() => [...document.images].filter(image => image.complete && !image.naturalWidth)
  .map(image => image.src.slice(0, 200))"""

# What sticks out of the window, unless something around it scrolls or clips.
TOO_WIDE = """() => {
  const root = document.documentElement, width = root.clientWidth;
  if (root.scrollWidth <= width + 1) return [];
  const clipped = element => {
    for (let e = element.parentElement; e && e !== document.body; e = e.parentElement)
      if (getComputedStyle(e).overflowX !== "visible" && e.getBoundingClientRect().right <= width + 1) return true;
    return false;
  };
  const wide = [...document.body.querySelectorAll("*")]
    .filter(e => e.getBoundingClientRect().right > width + 1 && !clipped(e)).map(e => e.outerHTML.slice(0, 120));
  return [`the document is ${root.scrollWidth} wide in a window of ${width}`, ...wide.slice(0, 8)];
}"""

# Formulas in the text that the edge of the text cuts, and that do not scroll.
CUT_FORMULAS = """() => [...document.querySelectorAll("article span.math")].filter(formula => {
  const text = formula.closest("p, li, dd, figcaption");
  return text && formula.checkVisibility() && !formula.closest(".wide-formula")
    && formula.querySelector("mjx-math").getBoundingClientRect().right > text.getBoundingClientRect().right + 3;
}).map(formula => formula.outerHTML.slice(0, 200))"""

# [background of the page, smallest contrast, its text] over the elements of the text that hold words themselves.
CONTRAST = """theme => {
  document.documentElement.dataset.theme = theme;
  const brush = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = colour => {
    brush.clearRect(0, 0, 1, 1);
    brush.fillStyle = colour;
    brush.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = brush.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], under) => [r, g, b].map((c, i) => a * c + (1 - a) * under[i]);
  const background = element => {
    if (!element) return [255, 255, 255];
    const colour = rgba(getComputedStyle(element).backgroundColor);
    return colour[3] === 1 ? colour.slice(0, 3) : over(colour, background(element.parentElement));
  };
  const luminance = colour => colour.map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const contrast = element => {
    const behind = background(element), front = over(rgba(getComputedStyle(element).color), behind);
    const [low, high] = [luminance(front), luminance(behind)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const words = element => [...element.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.data.trim());
  const kinds = "p, li, td, th, h1, h2, h3, figcaption, a, span, label, .widget-readout";
  const texts = [...document.querySelectorAll(`article :is(${kinds})`)]
    .filter(e => words(e) && !e.closest("mjx-container, .headerlink") && e.checkVisibility());
  const all = [document.body, ...texts].map(e => [contrast(e), e.outerHTML.slice(0, 120)]);
  const worst = all.reduce((a, b) => b[0] < a[0] ? b : a);
  return [background(document.body).join(), ...worst];
}"""

every_page = pytest.mark.parametrize("visit", PAGES, indirect=True)


@every_page
def test_maths_is_typeset(visit):
    page = visit.page
    assert page.evaluate(RAW_MATHS) == []
    assert page.locator(".math:not(:has(mjx-container))").all_inner_texts() == []
    assert page.locator("mjx-merror, [data-mml-node=merror]").all_inner_texts() == []


@every_page
def test_images_are_shown_and_described(visit):
    assert visit.page.evaluate(BAD_ALT) == []
    assert visit.page.evaluate(BROKEN_IMAGES) == []


@every_page
def test_text_is_readable_by_day_and_by_night(visit):
    light, dark = (visit.page.evaluate(CONTRAST, theme) for theme in ("light", "dark"))
    assert light[0] != dark[0]
    for theme, (_, contrast, text) in {"light": light, "dark": dark}.items():
        assert contrast >= READABLE, f"{theme}: {text}"


@every_page
@pytest.mark.parametrize("width", [1440, 390])
def test_page_fits_its_window(visit, width):
    visit.page.set_viewport_size({"width": width, "height": 900})
    visit.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert visit.page.evaluate(TOO_WIDE) == []
    assert visit.page.evaluate(CUT_FORMULAS) == []


def shown(widget):
    """Source and description of the image that a widget shows."""
    (image,) = [image for image in widget.locator("img").all() if image.is_visible()]
    return image.get_attribute("src"), image.get_attribute("alt")


@pytest.mark.parametrize("visit", pages_with_sliders(), indirect=True)
def test_sliders_change_the_figure_by_keyboard(visit):
    visit.page.set_viewport_size({"width": 1440, "height": 900})
    widgets = visit.page.locator(".widget-subarea").all()
    assert widgets
    for widget in widgets:
        handles = widget.get_by_role("slider").all()
        assert handles
        for handle in handles:
            before = shown(widget)
            at_end = handle.get_attribute("aria-valuenow") == handle.get_attribute("aria-valuemax")
            handle.focus()
            there, back = ("ArrowLeft", "ArrowRight") if at_end else ("ArrowRight", "ArrowLeft")
            visit.page.keyboard.press(there)
            after = shown(widget)
            assert after[0] != before[0]
            assert after[1] != before[1], "the description must follow the figure"
            assert visit.page.evaluate(BAD_ALT) == []
            visit.page.keyboard.press(back)
            assert shown(widget) == before


@pytest.mark.parametrize("visit", pages_with_sliders(), indirect=True)
def test_sliders_leave_a_figure_without_scripts(visit):
    widgets = visit.page.locator(".widget-subarea").count()
    with visit.context.browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(visit.page.url, wait_until="commit")
        page.locator("footer").first.wait_for()
        figures = page.locator("noscript img").all()
        assert len(figures) == widgets > 0
        assert all(figure.is_visible() for figure in figures)


@every_page
def test_nothing_complains(visit):  # the last test of a page: what the others did counts too
    assert visit.complaints == []


@pytest.mark.parametrize("visit", ["search.html?q=Nishimori"], indirect=True)
def test_search_finds_a_word(visit):
    visit.page.locator("#search-results li a").first.wait_for(timeout=15_000)
    results = visit.page.locator("#search-results li a").all()
    assert any("book/" in link.get_attribute("href") for link in results)
    assert re.search(r"found (one|\d+) page", visit.page.locator("#search-results").inner_text())
    assert visit.complaints == []


@pytest.mark.parametrize("visit", ["index.html"], indirect=True)
def test_root_leads_to_the_book(visit):
    assert visit.page.url.endswith("/book/index.html")
    assert visit.page.locator("h1").first.inner_text().startswith("Bilinear Sequence Regression")
    assert visit.complaints == []
