"""The directive `gallery`: a card for each section of its page that has a figure, with that figure in small.

The picture is the file that the page shows below anyway: a card weighs nothing, and is sharp at any size.
"""

from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.transforms import SphinxTransform
from sphinx.util.docutils import SphinxDirective


class gallery(nodes.General, nodes.Element):
    """Where the cards go, until the page is read to its end."""


class Gallery(SphinxDirective):
    def run(self):
        return [gallery()]


class FillGalleries(SphinxTransform):
    default_priority = 850  # when sections have their names, and before Sphinx collects the images

    def apply(self):
        for place in list(self.document.findall(gallery)):
            sections = [section for section in self.document.findall(nodes.section) if figure_of(section)]
            if not sections and self.env.mystnb_config.execution_mode == "off":  # a look at the text alone
                place.parent.remove(place)
                continue
            if not sections:
                raise ExtensionError(f"{self.env.docname}: a gallery without figures")
            place.replace_self(nodes.bullet_list("", *map(card, sections), classes=["gallery"]))


def figure_of(section):
    """The first figure of a section that has no sections of its own, or None."""
    if any(isinstance(child, nodes.section) for child in section):
        return None
    return next(section.findall(nodes.figure), None)


def card(section):
    """A list item: a link to a section, with its figure and its title."""
    image = next(figure_of(section).findall(nodes.image))
    picture = nodes.image("", uri=image["uri"], alt=image["alt"], classes=["no-scaled-link"])
    title = nodes.inline("", section.next_node(nodes.title).astext())
    link = nodes.reference("", "", picture, title, internal=True, refid=section["ids"][0])
    return nodes.list_item("", nodes.paragraph("", "", link))


def setup(app):
    app.add_node(gallery)
    app.add_directive("gallery", Gallery)
    app.add_transform(FillGalleries)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
