"""What search engines, reference managers and social networks read of a page: description, title, authors, licence.

Names come from `CITATION.cff`, dates from the configuration. With the address of the published book in the environment,
BSR_SITE=https://OWNER.github.io/NAME, pages also state their own address and that of a picture.
"""

import json
import os
import re
from html import escape, unescape
from pathlib import Path

import yaml
from docutils import nodes
from PIL import Image, ImageOps

LENGTH = 160  # characters of a description that search engines show
CARD = (1200, 630)  # pixels of a picture that social networks do not crop
END = re.compile(r"(?<=[.?!])\s+")
GAP = "\N{OBJECT REPLACEMENT CHARACTER}"  # for a formula


def plain(node):
    """The text of a paragraph without its title in bold, and with a mark for each formula."""
    children = [child for child in node.children if child.astext()]
    if children and isinstance(children[0], nodes.strong):
        del children[0]
    text = "".join(GAP if list(child.findall(nodes.math)) else child.astext() for child in children)
    return " ".join(text.split())


def statements(document):
    """Sentences without formulas, in order. An item of a list is one, the first with the words before the list."""
    opening = ""
    for node in document.findall(nodes.paragraph):
        text = plain(node)
        if isinstance(node.parent, nodes.list_item):
            if GAP not in text:
                yield f"{opening} {text}".strip()
                opening = ""
        elif isinstance(node.parent, nodes.section | nodes.document):
            opening = ""
            for sentence in filter(None, END.split(text)):
                if sentence.endswith((".", "?", "!")) and GAP not in sentence:
                    yield sentence
                elif GAP not in sentence:
                    opening = sentence


def description(document):
    """The first sentences of a page, as far as `LENGTH` allows; nothing where there is no text."""
    chosen = ""
    for statement in statements(document):
        longer = f"{chosen} {statement}".strip()
        if len(longer) > LENGTH:
            chosen = chosen or longer[: LENGTH - 1].rsplit(" ", 1)[0] + "…"
            break
        chosen = longer
    chosen = chosen.rstrip(";,")
    return f"{chosen}." if chosen[-1:].isalnum() else chosen


def person(author):
    """An author of a citation file, as schema.org has them."""
    if "name" in author:
        return {"@type": "Organization", "name": author["name"]}
    return {"@type": "Person", "name": f"{author['given-names']} {author['family-names']}"}


def book(app):
    """The book, as schema.org has it, with the paper that it is about."""
    citation = app.bsr_citation
    paper = citation["preferred-citation"]
    return {
        "@type": "Book",
        "name": app.config.html_title,
        "author": [person(author) for author in citation["authors"]],
        "license": f"https://spdx.org/licenses/{citation['license']}",
        "datePublished": app.config.copyright,
        "inLanguage": app.config.language,
        "about": {
            "@type": "ScholarlyArticle",
            "name": paper["title"],
            "author": [person(author) for author in paper["authors"]],
            "datePublished": f"{paper['year']}-{paper['month']:02}",
            "isPartOf": {"@type": "PublicationVolume", "volumeNumber": paper["volume"], "name": paper["journal"]},
            "sameAs": f"https://doi.org/{paper['doi']}",
        },
    }


def tags(app, page, document, title):
    """The tags of a page, as pairs of attributes of `meta`, and the data for search engines."""
    config, whole = app.config, book(app)
    written = [meta["content"] for meta in document.findall(nodes.meta) if meta.get("name") == "description"]
    text = written[0] if written else description(document) or f"{title} of the book {whole['name']}."
    address = f"{config.html_baseurl}{app.builder.get_target_uri(page)}" if config.html_baseurl else None
    front = page == config.root_doc
    thing = whole if front else {"@type": "Chapter", "name": title, "author": whole["author"], "isPartOf": whole}
    thing = {"@context": "https://schema.org", **thing, "description": text} | ({"url": address} if address else {})
    pairs = [
        ("name", "description", None if written else text),
        ("name", "citation_title", title),
        *(("name", "citation_author", author["name"]) for author in whole["author"]),
        ("name", "citation_publication_date", whole["datePublished"]),
        ("name", "citation_language", whole["inLanguage"]),
        ("name", "citation_inbook_title", None if front else whole["name"]),
        ("name", "citation_public_url", address),
        ("property", "og:type", "book" if front else "article"),
        ("property", "og:site_name", whole["name"]),
        ("property", "og:title", title),
        ("property", "og:description", text),
        ("property", "og:url", address),
        ("property", "og:image", address and f"{config.html_baseurl}_static/card.png"),
        ("property", "og:image:alt", address and "Error against the number of samples, for three methods"),
        ("name", "twitter:card", "summary_large_image" if address else "summary"),
    ]
    return [(kind, name, content) for kind, name, content in pairs if content], thing


def add_metadata(app, page, template, context, document):
    """Put the tags into the head of a page that somebody wrote."""
    if document:
        title = re.sub(r"^[\d.]+ ", "", unescape(re.sub(r"<[^>]*>", "", context["title"])))
        pairs, thing = tags(app, page, document, title)
        lines = [f'<meta {kind}="{name}" content="{escape(content)}" />' for kind, name, content in pairs]
        data = json.dumps(thing, ensure_ascii=False).replace("</", r"<\/")
        lines.append(f'<script type="application/ld+json">{data}</script>')
        context["metatags"] = "\n    ".join([context["metatags"], *lines])


def read_citation(app, config):
    """Read who wrote the book and where it is published."""
    app.bsr_citation = yaml.safe_load(Path(app.srcdir, "CITATION.cff").read_text(encoding="utf-8"))
    if site := os.environ.get("BSR_SITE"):
        config.html_baseurl = f"{site.rstrip('/')}/"


def draw_card(app):
    """The front page's figure in the shape of a card, where there is an address to show it at."""
    if app.config.html_baseurl:
        path = Path(app.outdir, "_static", "card.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(Path(app.srcdir, "book", "_static", "overview.png")) as picture:
            sheet = Image.new("RGBA", picture.size, "white")
            sheet.alpha_composite(picture.convert("RGBA"))
        ImageOps.pad(sheet.convert("RGB"), CARD, color="white").save(path)


def setup(app):
    app.connect("config-inited", read_citation)
    app.connect("builder-inited", draw_card)
    app.connect("html-page-context", add_metadata)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
