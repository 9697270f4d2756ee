"""A server for the built book and a browser that opens its pages.

Everything lives within one module of tests: Playwright keeps an event loop running, and the notebooks,
which are tests too, start their own.
"""

import functools
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pages import BOOK, missing

BROWSERS = ("chromium", "google-chrome", "chromium-browser")
PATIENCE = 60_000  # milliseconds that a page may take on a slow machine

_WEIGHTS = pytest.StashKey[dict]()


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker("slow")


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Visit:
    """One page of the book, open in the browser.

    Attributes
    ----------
    name : str
        Its path within the book.
    page : playwright.sync_api.Page
    complaints : list of str
        What went wrong since it was opened: errors on the console, exceptions, requests without an answer or to
        elsewhere. The tests are without a network.
    """

    def __init__(self, browser, address, name, *, width=1440, **options):
        self.name, self.complaints = name, []
        self.context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        self.context.route(lambda url: not url.startswith((address, "data:", "blob:")), self._refuse)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        self.page.on("requestfailed", lambda request: self.complaints.append(f"failed: {request.url}"))
        self.page.on("response", self._check)
        self.page.goto(f"{address}/{name}", wait_until="commit")
        if name == "index.html":  # sends the reader on to the first page
            self.page.wait_for_url("**/book/index.html")
        self.page.wait_for_load_state("load")
        self.page.evaluate("window.MathJax?.startup?.promise")
        widgets = self.page.locator('script[type="application/vnd.jupyter.widget-view+json"]').count()
        self.page.wait_for_function("n => document.querySelectorAll('.widget-subarea').length >= n", arg=widgets)
        self.page.wait_for_load_state("networkidle")

    def _refuse(self, route):
        self.complaints.append(f"leaves the book: {route.request.url}")
        route.abort()

    def _hear(self, message):
        if message.type == "error":
            self.complaints.append(f"console: {message.text}")

    def _check(self, response):
        if response.status >= 400:
            self.complaints.append(f"{response.status}: {response.url}")


@pytest.fixture(scope="module")
def address():
    """Where the book is served."""
    if not (BOOK / "index.html").exists():
        missing(f"no built book in {BOOK}")
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietHandler, directory=BOOK))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser(address):
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        missing("no browser: install Chromium")
    if not (BOOK / "_static" / "packages").is_dir():
        missing("the book asks a CDN for its scripts: npm ci --prefix book, and build it again")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("no Playwright: pip install -e '.[browser]'")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def visit(browser, address, request):
    """The page named by the parameter, open in a wide window."""
    visit = Visit(browser, address, request.param)
    yield visit
    visit.context.close()


@pytest.fixture(scope="session")
def weights(request):
    """Bytes of each page, told at the end of the run."""
    return request.config.stash.setdefault(_WEIGHTS, {})


def pytest_terminal_summary(terminalreporter, config):
    weights = config.stash.get(_WEIGHTS, {})
    if weights:
        heaviest = max(weights, key=weights.get)
        terminalreporter.write_line(
            f"{len(weights)} pages of {sum(weights.values()) / 1e6:.1f} MB with their images; "
            f"the heaviest is {heaviest}, {weights[heaviest] / 1e6:.2f} MB"
        )
