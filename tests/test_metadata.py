"""Pages tell their own address, and show a picture, where the book's address is known."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx")
Image = pytest.importorskip("PIL.Image")

ROOT = Path(__file__).parents[1]
CITATION = """
authors: [{name: A Group}, {family-names: Curie, given-names: Marie}]
license: MIT
preferred-citation:
  {title: Rays, authors: [{family-names: Curie, given-names: Marie}], journal: J,
   volume: 1, year: 1898, month: 7, doi: 10/x}
"""
PAGE = r"""
Rays & more
===========

**Aim.** Some salts "glow" & fade. The rate is :math:`\lambda`. You will know

- what :math:`x` is;
- why they glow.
"""


def built(folder, site):
    (folder / "book" / "_static").mkdir(parents=True, exist_ok=True)
    Image.new("RGBA", (90, 60), (0, 0, 0, 0)).save(folder / "book" / "_static" / "overview.png")
    (folder / "CITATION.cff").write_text(CITATION)
    (folder / "index.rst").write_text(PAGE)
    settings = "extensions = ['metadata']\nproject = 'B'\nhtml_title = 'The book'\ncopyright = '1899'\n"
    (folder / "conf.py").write_text(settings)
    environment = os.environ | {"PYTHONPATH": str(ROOT / "book" / "_ext"), "BSR_SITE": site}
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", folder, folder / "html"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return (folder / "html" / "index.html").read_text()


@pytest.mark.slow
def test_addresses_and_card_where_the_site_is_known(tmp_path):
    page = built(tmp_path / "known", "https://example.org/book/")
    assert '<link rel="canonical" href="https://example.org/book/index.html" />' in page
    assert '<meta property="og:url" content="https://example.org/book/index.html" />' in page
    assert '<meta property="og:image" content="https://example.org/book/_static/card.png" />' in page
    assert '"url": "https://example.org/book/index.html"' in page
    with Image.open(tmp_path / "known" / "html" / "_static" / "card.png") as card:
        assert card.size == (1200, 630)
        assert card.convert("RGB").getpixel((600, 315)) == (255, 255, 255)
    text = "Some salts “glow” &amp; fade. You will know why they glow."
    assert f'<meta name="description" content="{text}" />' in page
    assert '<meta name="citation_author" content="Marie Curie" />' in page
    assert '<meta name="citation_title" content="Rays &amp; more" />' in page
    page = built(tmp_path / "unknown", "")
    assert "canonical" not in page
    assert "og:image" not in page
    assert text in page
    assert not (tmp_path / "unknown" / "html" / "_static" / "card.png").exists()
