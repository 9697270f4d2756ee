"""Link each entry of the API reference to the chapters that use it, as read from their code."""

import ast
import inspect
from functools import reduce
from pathlib import Path

import nbformat

import bsr


def dotted(node):
    """`a.b.c` as a list of names, or None where the root is no name."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute) and (head := dotted(node.value)):
        return [*head, node.attr]
    return None


def objects_used(source):
    """The functions and classes of the package that a chapter's code refers to, and the modules on the way."""
    tree = ast.parse(source)
    names = {"bsr": bsr}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "bsr":
            module = __import__(node.module, fromlist=[alias.name for alias in node.names])
            names |= {alias.asname or alias.name: getattr(module, alias.name) for alias in node.names}
    used = []
    for node in ast.walk(tree):
        path = dotted(node)
        if path and path[0] in names:
            used.append(reduce(lambda thing, name: getattr(thing, name, None), path[1:], names[path[0]]))
    return [thing for thing in used if inspect.isroutine(thing) or inspect.isclass(thing)]


def read_chapters(app):
    app.env.bsr_used_in = {}
    for path in sorted(Path(app.srcdir, "book").glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        code = "\n".join(
            line
            for cell in cells
            if cell.cell_type == "code"
            for line in cell.source.splitlines()
            if line[:1] not in "%!"
        )
        for thing in objects_used(code):
            chapters = app.env.bsr_used_in.setdefault(f"{thing.__module__}.{thing.__qualname__}", [])
            if path.stem not in chapters:
                chapters.append(path.stem)


def add_chapters(app, what, name, obj, options, lines):
    place = f"{getattr(obj, '__module__', '')}.{getattr(obj, '__qualname__', '')}"
    chapters = app.env.bsr_used_in.get(place, [])
    if chapters:
        links = ", ".join(f":doc:`{stem.split('_')[0].lstrip('0')} </book/{stem}>`" for stem in chapters)
        lines += ["", f"Used in chapter{'s' if len(chapters) > 1 else ''} {links}.", ""]


def skip_fields(app, what, name, obj, skip, options):
    return True if type(obj).__name__ == "_tuplegetter" else None  # a tuple's fields are listed with the class


def setup(app):
    app.connect("builder-inited", read_chapters)
    app.connect("autodoc-process-docstring", add_chapters, priority=600)  # after napoleon
    app.connect("autodoc-skip-member", skip_fields)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
