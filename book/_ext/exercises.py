"""Two notebooks for each chapter with exercises: one with statements and room for answers, one with solutions that run.

They are cut from the chapter's own notebook when its page is written, which links to them. The solutions bring along
the cells of the chapter that define what they use. What Jupyter cannot resolve, such as the number of an equation, is
put in words. On any page the role {exercises}`09_gamp_rie` links to both notebooks of a chapter.
"""

import ast
import posixpath
import re
from pathlib import Path

import nbformat
from docutils import nodes
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxRole

FOLDER = "_downloads/exercises"
GATE = re.compile(r"^```\{(exercise|solution)-(start|end)\} ?(.*)\n(?::.*\n)*```\n?", re.MULTILINE)
ROLE = re.compile(r"\{([\w:]+)\}`(?:[^`<]*<)?([^`>]+)>?`")
LABELLED = re.compile(r"\n\$\$ \(([\w-]+)\)")


class Exercise:
    """A statement, a text, and its solution, a list of cells."""

    def __init__(self, title):
        self.title, self.statement, self.solution = title, "", []


def split(notebook):
    """The code of a chapter outside of its exercises, a list of sources, and the exercises."""
    chapter, exercises, place = [], [], None
    for cell in notebook.cells:
        if cell.cell_type == "code":
            if place == "solution":
                exercises[-1].solution.append(cell)
            else:
                chapter.append(cell.source)
            continue
        for text, kind, end, title in pieces(cell.source):
            if text and place == "exercise":
                exercises[-1].statement += text
            elif text and place == "solution":
                exercises[-1].solution.append(new_markdown_cell(text))
            place = kind if end == "start" else None if end else place
            if (kind, end) == ("exercise", "start"):
                exercises.append(Exercise(title))
    return chapter, exercises


def pieces(text):
    """A text up to each gate, with what the gate says; the last piece ends with none."""
    parts = GATE.split(text)
    for k in range(0, len(parts), 4):
        yield parts[k].strip(), *(parts[k + 1 : k + 4] or (None, None, None))


def names(tree, context):
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, context)}


def uses_and_defines(source):
    """Names that a cell needs from the cells before, those that it sets, and those whose contents it changes."""
    needs, sets, changes = set(), set(), set()
    for statement in ast.parse(source).body:
        parts = list(ast.walk(statement))
        local = {part.arg for part in parts if isinstance(part, ast.arg)}
        local |= {name for part in parts if isinstance(part, ast.comprehension) for name in names(part, ast.Store)}
        loads, stores = names(statement, ast.Load) - local, names(statement, ast.Store) - local
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            loads, stores = loads - stores, {statement.name}
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            stores = {(alias.asname or alias.name).split(".")[0] for alias in statement.names}
        elif not isinstance(statement, ast.Assign | ast.AugAssign):
            loads -= stores  # of a loop
        for part in parts:
            if isinstance(part, ast.Subscript | ast.Attribute) and isinstance(part.ctx, ast.Store):
                changes |= names(part, ast.Load)
        needs |= loads - sets
        sets |= stores
    return needs, sets, changes


def needed(chapter, solutions):
    """The cells of a chapter that solutions stand on: the first, which imports, and those that define what they use."""
    wanted, defined = set(), set()
    for source in solutions:
        needs, sets, _ = uses_and_defines(source)
        wanted |= needs - defined
        defined |= sets
    kept = []
    for source in reversed(chapter[1:]):
        needs, sets, changes = uses_and_defines(source)
        if wanted & (sets | changes):
            kept.insert(0, source)
            wanted = (wanted - sets) | needs
    return chapter[:1] + kept


def words(text, say):
    """A text in which every role is replaced by what `say(role, target)` has for it, and labels by numbers."""
    text = LABELLED.sub(lambda found: f"\n\\tag{{{say('eq', found[1]).strip('()')}}}\n$$", text)
    return ROLE.sub(lambda found: say(*found.groups()), text)


def notebooks(name, title, notebook, say):
    """The notebook of exercises and that of solutions, or None where there are no exercises."""
    chapter, exercises = split(notebook)
    if not exercises:
        return None
    number = int(name.split("_")[0])
    where = "Numbers are those of the chapter. The code runs in the folder `book` of the book's repository."
    asked = [new_markdown_cell(f"# Exercises of chapter {number}: {title}\n\n{where}")]
    answered = [new_markdown_cell(f"# Exercises of chapter {number}, with solutions: {title}\n\n{where}")]
    code = [cell.source for exercise in exercises for cell in exercise.solution if cell.cell_type == "code"]
    asked += [new_code_cell(source) for source in chapter[:1]]
    answered += [new_code_cell(source) for source in needed(chapter, code)]
    for k, exercise in enumerate(exercises, start=1):
        statement = f"## Exercise {number}.{k}: {exercise.title}\n\n{words(exercise.statement, say)}"
        asked += [new_markdown_cell(statement), new_code_cell()]
        answered += [new_markdown_cell(statement), new_markdown_cell("### Solution")]
        for cell in exercise.solution:
            is_code = cell.cell_type == "code"
            answered.append(new_code_cell(cell.source) if is_code else new_markdown_cell(words(cell.source, say)))
    made = [new_notebook(cells=cells, metadata=notebook.metadata) for cells in (asked, answered)]
    for whole in made:
        for k, cell in enumerate(whole.cells):
            cell.id = f"cell-{k}"  # not at random
        nbformat.validate(whole)
    return made


class Speaker:
    """What the roles of a chapter say on its page."""

    def __init__(self, app, page, doctree):
        self.env, self.page = app.env, page
        self.texts = {}
        for link in doctree.findall(nodes.reference):
            uri = link.get("refid") or link.get("refuri", "")
            self.texts[uri.rpartition("#")[2].removesuffix(".html")] = link.astext().strip()

    def __call__(self, role, target):
        if role == "eq":
            return f"({self.equation(target)})"
        if role.startswith("cite"):
            return self.citation(target)
        if role == "doc":
            return self.env.titles[posixpath.join(posixpath.dirname(self.page), target)].astext()
        if target not in self.texts:
            raise ExtensionError(f"{self.page}: an exercise refers to {target!r}, which is not on the page")
        return self.texts[target]

    def equation(self, label):
        page, _ = self.env.get_domain("math").equations[label]
        return ".".join(map(str, self.env.toc_fignumbers[page]["displaymath"][nodes.make_id(f"equation-{label}")]))

    def citation(self, key):
        entry = self.env.get_domain("cite").bibdata.data.entries[key]
        authors = [" ".join(person.last_names) for person in entry.persons["author"]]
        who = f"{authors[0]} et al." if len(authors) > 2 else " and ".join(authors)
        return f"{who}, {entry.fields['year']}"


def file_of(name, kind):
    """Where a notebook is, relative to the book."""
    return f"{FOLDER}/{name}-{kind}.ipynb"


def link(name, kind, page, text):
    """A link from a page to the notebook of this kind, exercises or solutions, of a chapter."""
    return nodes.reference(
        "", text, refuri=posixpath.relpath(file_of(name, kind), posixpath.dirname(page)), internal=True
    )


class ExerciseLinks(SphinxRole):
    def run(self):
        path = Path(self.env.srcdir, "book", f"{self.text}.ipynb")
        if not path.is_file() or not split(nbformat.read(path, as_version=4))[1]:
            message = self.inliner.reporter.error(f"no chapter {self.text!r} with exercises", line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]
        asked, answered = (link(self.text, kind, self.env.docname, kind) for kind in ("exercises", "solutions"))
        return [asked, nodes.Text(", "), answered], []


def write_exercises(app, doctree, page):
    """Write the notebooks of a chapter, and link to them below its heading."""
    path, name = Path(app.env.doc2path(page)), posixpath.basename(page)
    if app.builder.format != "html" or path.suffix != ".ipynb":
        return
    title = app.env.titles[page].astext()
    made = notebooks(name, title, nbformat.read(path, as_version=4), Speaker(app, page, doctree))
    if made is None:
        return
    Path(app.outdir, FOLDER).mkdir(parents=True, exist_ok=True)
    links = nodes.paragraph("", "As notebooks: ")
    for notebook, kind, between in zip(made, ("exercises", "solutions"), (", ", "."), strict=True):
        nbformat.write(notebook, Path(app.outdir, file_of(name, kind)))
        text = {"exercises": "the exercises", "solutions": "with solutions"}[kind]
        links += [link(name, kind, page, text), nodes.Text(between)]
    (heading,) = (node for node in doctree.findall(nodes.title) if node.astext() == "Exercises")
    heading.parent.insert(heading.parent.index(heading) + 1, links)


def setup(app):
    app.add_role("exercises", ExerciseLinks())
    app.connect("doctree-resolved", write_exercises)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
