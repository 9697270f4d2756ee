"""Link each entry of the API reference to the recipes and the chapters that use it, as read from their code."""

import ast
import inspect
import re
import sys
from pathlib import Path

import nbformat

import bsr

RECIPE = re.compile(r"\((recipe-[\w-]+)\)=\n## (.+)")  # the heading of a recipe, with its label


def dotted(node):
    """`a.b.c` as a list of names, or None where the root is no name."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute) and (head := dotted(node.value)):
        return [*head, node.attr]
    return None


def full_name(thing):
    return f"{thing.__module__}.{thing.__qualname__}"


def results(thing):
    """The classes of its own module that a function returns or a class holds, by the docstring."""
    text = inspect.getdoc(thing) or ""
    names = re.findall(r"^Returns\n-+\n(\w+)$", text, re.MULTILINE) + re.findall(r"^\w+ : (\w+)$", text, re.MULTILINE)
    found = [getattr(sys.modules[thing.__module__], name, None) for name in names]
    return [entry for entry in found if inspect.isclass(entry) and entry.__module__ == thing.__module__]


def names_used(source):
    """What a chapter's code uses of the package: names of functions, their results, classes, methods and constants."""
    tree = ast.parse(source)
    roots = {"bsr": bsr}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "bsr":
            module = __import__(node.module, fromlist=[alias.name for alias in node.names])
            roots |= {alias.asname or alias.name: getattr(module, alias.name) for alias in node.names}
    constants, things = set(), []
    for node in ast.walk(tree):
        path = dotted(node)
        if not path or path[0] not in roots:
            continue
        thing = roots[path[0]]
        for name in path[1:]:
            holder, thing = thing, getattr(thing, name, None)
            if inspect.ismodule(holder) and not (callable(thing) or inspect.ismodule(thing)):
                constants.add(f"{holder.__name__}.{name}")
        if inspect.isroutine(thing) or inspect.isclass(thing):
            things.append(thing)
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    used = set()
    while things:
        thing = things.pop()
        if thing in used:
            continue
        used.add(thing)
        things += results(thing)
        if inspect.isclass(thing):  # of an instance we know the attributes only
            own = {name for base in thing.__mro__ if base.__module__.startswith("bsr") for name in vars(base)}
            methods = [getattr(thing, name) for name in attributes & own if not name.startswith("_")]
            things += [method for method in methods if inspect.isfunction(method) or inspect.ismethod(method)]
    return constants | {full_name(thing) for thing in used}


def recipes(cells):
    """The recipes of a notebook: label, title and code of each, with the imports that all of them share."""
    imports, heading = "", None
    for cell in cells:
        heading = RECIPE.match(cell.source) or heading
        if cell.cell_type == "code" and not heading:
            imports += f"{cell.source}\n"
        elif "figure" in cell.metadata.get("mystnb", {}):
            yield *heading.groups(), imports + cell.source


def read_chapters(app):
    app.env.bsr_used_in, app.env.bsr_recipes = {}, {}
    for path in sorted(Path(app.srcdir, "book").glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        if any(RECIPE.match(cell.source) for cell in cells):
            for label, title, code in recipes(cells):
                for name in names_used(code):
                    app.env.bsr_recipes.setdefault(name, []).append(f":ref:`{title} <{label}>`")
            continue
        code = "\n".join(
            line
            for cell in cells
            if cell.cell_type == "code"
            for line in cell.source.splitlines()
            if line[:1] not in "%!"
        )
        link = f":doc:`{path.stem.split('_')[0].lstrip('0')} </book/{path.stem}>`"
        for name in names_used(code):
            app.env.bsr_used_in.setdefault(name, []).append(link)


def add_links(app, what, name, obj, options, lines):
    name = full_name(obj) if hasattr(obj, "__qualname__") else name
    tasks, chapters = (links.get(name, []) for links in (app.env.bsr_recipes, app.env.bsr_used_in))
    sentences = []
    if tasks:
        sentences.append(f"Recipe{'s' * (len(tasks) > 1)}: {'; '.join(tasks)}{'' if '? <' in tasks[-1] else '.'}")
    if chapters:
        sentences.append(f"Used in chapter{'s' * (len(chapters) > 1)} {', '.join(chapters)}.")
    if sentences:
        lines += ["", " ".join(sentences), ""]


def skip_fields(app, what, name, obj, skip, options):
    return True if type(obj).__name__ == "_tuplegetter" else None  # a tuple's fields are listed with the class


def setup(app):
    app.connect("builder-inited", read_chapters)
    app.connect("autodoc-process-docstring", add_links, priority=600)  # after napoleon
    app.connect("autodoc-skip-member", skip_fields)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
