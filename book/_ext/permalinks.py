"""A link to itself in the title of each box that has a label: theorems, definitions, observations, exercises.

Headings, equations and figures get theirs from Sphinx. The address is what a reader cites.
"""

from docutils import nodes

KINDS = {"proof", "exercise"}  # classes of boxes: of sphinx-proof, which calls all of them so, and of sphinx-exercise


def add_permalinks(app, document, page):
    if app.builder.format != "html" or not app.config.html_permalinks:
        return
    for box in document.findall(nodes.Admonition):
        label = box.get("label")
        if not KINDS.isdisjoint(box["classes"]) and label in box["ids"]:
            title = box.next_node(nodes.title)
            kind = box["classes"][-1]
            icon = app.config.html_permalinks_icon
            mark = f'<a class="headerlink" href="#{label}" title="Link to this {kind}">{icon}</a>'
            title += nodes.raw("", mark, format="html")


def setup(app):
    app.connect("doctree-resolved", add_permalinks, priority=900)  # after those that read titles
    return {"parallel_read_safe": True, "parallel_write_safe": True}
