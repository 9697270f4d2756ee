"""The notebooks of exercises and of solutions, as the build cuts them from the chapters."""

import importlib
import re
import sys
from pathlib import Path

import nbformat
import pytest

pytest.importorskip("sphinx")

ROOT = Path(__file__).parents[1]
CHAPTERS = sorted(path for path in (ROOT / "book").glob("*.ipynb") if "{exercise-start}" in path.read_text())


@pytest.fixture(scope="module")
def cutting():
    sys.path.insert(0, str(ROOT / "book" / "_ext"))
    module = importlib.import_module("exercises")
    sys.path.pop(0)
    del sys.modules["exercises"]
    return module


def cut(cutting, path):
    notebook = nbformat.read(path, as_version=4)
    return cutting.notebooks(path.stem, "A title", notebook, lambda role, target: f"<{role} {target}>")


def text_of(notebook, kind):
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == kind)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_exercise_is_in_both_notebooks(cutting, path):
    chapter = nbformat.read(path, as_version=4)
    titles = re.findall(r"\{exercise-start\} (.+)", text_of(chapter, "markdown"))
    asked, answered = cut(cutting, path)
    for notebook in (asked, answered):
        headings = re.findall(r"^## Exercise (\d+)\.(\d+): (.+)$", text_of(notebook, "markdown"), re.MULTILINE)
        expected = [(str(int(path.stem[:2])), str(k), title) for k, title in enumerate(titles, start=1)]
        assert headings == expected
        assert not re.search(r"```\{|\}`|^:label:|\$\$ \(", text_of(notebook, "markdown"), re.MULTILINE)
    assert sum(cell.source == "" for cell in asked.cells) == len(titles)
    assert "Solution" not in text_of(asked, "markdown")
    first = next(cell.source for cell in chapter.cells if cell.cell_type == "code")
    assert text_of(asked, "code").strip() == first.strip()
    assert text_of(answered, "markdown").count("### Solution") == len(titles)


def test_solutions_bring_along_what_they_use_and_no_more(cutting):
    first = "import numpy as np"
    chapter = [
        first,
        "a = 1\nunused = [b for b in range(3)]",
        "def f(x, y=a):\n    local = x\n    return local + y",
        "table = {}",
        "for k in range(3):\n    table[k] = k",
        "c = f(2)",
        "a = 2",
    ]
    needed = cutting.needed
    assert needed(chapter, ["b = np.ones(3); b.sum(); [local for local in b]"]) == [first]
    assert needed(chapter, ["print(table[0])"]) == [first, chapter[3], chapter[4]]
    assert needed(chapter, ["print(unused)"]) == [first, chapter[1]]
    assert needed(chapter, ["c = 3", "print(c)"]) == [first]
    assert needed(chapter, ["print(c)"]) == [first, chapter[1], chapter[2], chapter[5]]


def test_roles_and_labels_are_put_in_words(cutting):
    def say(role, target):
        return f"({target.upper()})" if role == "eq" else target.upper()

    text = "By {eq}`eq-a` and {doc}`the chapter <b>`,\n\n$$\nx = 1\n$$ (eq-c)\n\nas {cite:t}`d` says."
    assert cutting.words(text, say) == "By (EQ-A) and B,\n\n$$\nx = 1\n\\tag{EQ-C}\n$$\n\nas D says."


@pytest.mark.slow
@pytest.mark.parametrize("name", ["03_replica"])
def test_solutions_run(cutting, name):
    client = pytest.importorskip("nbclient").NotebookClient
    _, answered = cut(cutting, ROOT / "book" / f"{name}.ipynb")
    client(answered, timeout=300).execute(cwd=str(ROOT / "book"))
