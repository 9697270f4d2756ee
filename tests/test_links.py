"""Dead links are found: within a book, from text files to files of the repository, and to elsewhere."""

import functools
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import links
import pytest

ROOT = Path(__file__).parents[1]

WHOLE = """<link href="style.css"><img src="a.png" srcset="a.png 1x, sub/b.png 2x"><a id="here"></a>
<object data="a.png"></object><style>p {background: url("a.png")}</style><svg><use xlink:href="#here" /></svg>
<a href="#here">1</a><a href="sub/">2</a><a href="sub/index.html#there">3</a><a href="https://x.org/#y">4</a>"""


STYLE = """/* url(gone.png) */ @font-face {src: url(a.png?v=1#iefix), url('sub/b.png')}
p {background: url(data:image/png;base64,AAAA); filter: url(#blur); mask: url( "a.png" )}"""


@pytest.fixture
def book(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "empty").mkdir()
    for name in ("a.png", "sub/b.png"):
        (tmp_path / name).touch()
    (tmp_path / "style.css").write_text(STYLE)
    (tmp_path / "sub/index.html").write_text('<p id="there"></p><a href="../index.html#here">')
    (tmp_path / "index.html").write_text(WHOLE)
    return tmp_path


def test_a_whole_book_has_no_dead_links(book, capsys):
    assert links.main(book) == 0
    assert "2 pages, 0 dead links" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("tag", "link"),
    [
        ('<a href="gone.html">', "gone.html"),
        ('<a href="#gone">', "#gone"),
        ('<a href="sub/index.html#gone">', "sub/index.html#gone"),
        ('<a href="empty/">', "empty/"),
        ('<a href="../outside.html">', "../outside.html"),
        ('<img src="gone.png">', "gone.png"),
        ('<img src="a.png" srcset="a.png 1x, gone.png 2x">', "gone.png"),
        ('<link href="gone.css">', "gone.css"),
        ('<object data="gone.svg"></object>', "gone.svg"),
        ('<svg><use xlink:href="#gone" /></svg>', "#gone"),
        ('<p style="background: url(gone.png)">', "gone.png"),
        ("<style>p {background: url( 'gone.png' )}</style>", "gone.png"),
    ],
)
def test_a_dead_link_is_reported_with_its_page(book, capsys, tag, link):
    (book.parent / "outside.html").touch()
    (book / "index.html").write_text(WHOLE + tag)
    assert links.main(book) == 1
    assert f"dead: index.html: {link}\n" in capsys.readouterr().err


def test_what_a_style_sheet_fetches_is_looked_for(book, capsys):
    (book / "style.css").write_text(STYLE + "@font-face {src: url(fonts/gone.woff2)}")
    assert links.main(book) == 1
    assert "dead: style.css: fonts/gone.woff2\n" in capsys.readouterr().err


def test_no_book_is_no_success(tmp_path):
    with pytest.raises(SystemExit, match="no pages in"):
        links.main(tmp_path)


def rendered(path):
    """A Markdown file as a page, with the anchors that GitHub gives headings."""
    markdown_it = pytest.importorskip("markdown_it")
    anchors = pytest.importorskip("mdit_py_plugins.anchors")
    parser = markdown_it.MarkdownIt("gfm-like", {"linkify": False}).use(anchors.anchors_plugin, max_level=6)
    return links.Page(parser.render(path.read_text(encoding="utf-8")))


TEXTS = [path for pattern in ("*.md", ".github/**/*.md", "paper/*.md", "book/data/*.md") for path in ROOT.glob(pattern)]


@pytest.mark.parametrize("path", sorted(TEXTS), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_to_files_of_the_repository(path):
    assert links.dead({path: rendered(path)}, ROOT, folders=True) == []


def test_a_dead_link_of_a_text_is_found(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("# A title\n[1](gone.py) [2](#a-title) [3](#gone) [4](.) <https://x.org>")
    assert links.dead({path: rendered(path)}, tmp_path, folders=True) == ["README.md: gone.py", "README.md: #gone"]


class Half(BaseHTTPRequestHandler):
    """Answers only for /alive."""

    def do_GET(self):
        self.send_response(200 if self.path == "/alive" else 404)
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
def test_dead_addresses_elsewhere_are_reported_and_fail_nothing(tmp_path):
    pytest.importorskip("jupyter_book")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Half)
    threading.Thread(target=functools.partial(server.serve_forever, 0.05), daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    (tmp_path / "_config.yml").write_text("title: a book\nsphinx:\n  config:\n    linkcheck_retries: 1\n")
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    (tmp_path / "index.md").write_text(f"# A book\n\n[1]({address}/alive)\n\n[2]({address}/dead)\n")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    try:
        done = subprocess.run(
            ["bash", str(ROOT / ".ci/links"), str(tmp_path)],
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
        )
    finally:
        server.shutdown()
        server.server_close()
    assert done.returncode == 0, done.stderr
    warning, summary = done.stdout.splitlines()
    assert warning.startswith(f"::warning file=index.md,line=5::{address}/dead: 404")
    assert summary == "2 addresses elsewhere, 1 of them dead"
    assert not (tmp_path / "conf.py").exists()
