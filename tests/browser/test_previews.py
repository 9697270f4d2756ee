"""A reference shows what it means beside its line."""

import pytest
from conftest import Visit

PAGE = "book/05_denoising.html"
REFERENCES = {
    "equation of this page": ("#equation-eq-05-", "div.math mjx-container"),
    "equation of another chapter": ("04_spectrum.html#equation-", "div.math mjx-container"),
    "box of this page": ("#prop-05-", "div.proof mjx-container"),
    "box of another chapter": ("04_spectrum.html#thm-", "div.proof mjx-container"),
    "figure": ("#fig-05-", "figure img"),
    "exercise": ("#ex-05-", "div.exercise"),
    "citation": ("bibliography.html#", "div.citation"),
}


@pytest.fixture(scope="module")
def page(browser, address):
    visit = Visit(browser, address, PAGE)
    yield visit.page
    assert visit.complaints == []
    visit.context.close()


def reference_to(page, address):
    return page.locator(f"article a.reference.internal[href^='{address}']").first


@pytest.mark.parametrize("name", REFERENCES)
def test_preview_shows_what_the_reference_means(page, name):
    address, shown = REFERENCES[name]
    reference, preview = reference_to(page, address), page.get_by_role("tooltip")
    place = page.evaluate("scrollY")
    for by_keyboard in (False, True):
        page.mouse.move(0, 0)
        reference.scroll_into_view_if_needed()
        place = page.evaluate("scrollY")
        if by_keyboard:
            page.keyboard.press("Shift")  # for Chromium, focus is then that of a keyboard
            reference.focus()
        else:
            reference.hover()
        preview.locator(shown).first.wait_for(state="visible")
        page.wait_for_function("document.querySelector('#preview').style.visibility === ''")
        assert page.evaluate("scrollY") == place, "the reader stays on the line"
        box, line = preview.bounding_box(), reference.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= page.viewport_size["width"]
        assert box["y"] >= line["y"] + line["height"] or box["y"] + box["height"] <= line["y"] + 1
        assert reference.get_attribute("aria-describedby") == preview.get_attribute("id")
        assert preview.locator("[id]").count() == 0
        page.keyboard.press("Escape")
        preview.wait_for(state="hidden")
        assert reference.get_attribute("aria-describedby") is None
        page.evaluate("document.activeElement.blur()")


def test_preview_stays_while_the_pointer_is_in_it_and_goes_afterwards(page):
    reference_to(page, "#equation-eq-05-").hover()
    preview = page.get_by_role("tooltip")
    preview.wait_for(state="visible")
    preview.hover()
    page.wait_for_timeout(600)
    assert preview.is_visible()
    page.mouse.move(0, 0)
    preview.wait_for(state="hidden")


def test_a_tap_shows_no_preview(browser, address):
    visit = Visit(browser, address, PAGE, width=390, has_touch=True, is_mobile=True)
    reference = reference_to(visit.page, "#equation-eq-05-")
    visit.page.evaluate(
        "document.addEventListener('click', event => event.preventDefault())"
    )  # or the link loses focus
    reference.tap()
    visit.page.wait_for_timeout(600)
    assert not visit.page.locator("#preview").is_visible()
    visit.context.close()
