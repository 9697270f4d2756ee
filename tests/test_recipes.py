"""The recipes: every task is there, each in a short cell that needs nothing but the imports, and each is checked."""

import ast
import builtins
import importlib
import re
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
TASKS = {
    "error": "Predict an error",
    "samples": "How many samples?",
    "fit": "Fit my matrices",
    "classes": "Classes",
    "rank": "Choose the rank",
    "correlated": "Tokens that are correlated",
    "larger": "X larger than memory",
    "sweep": "A sweep on a cluster",
    "certificate": "A certificate",
    "figure": "Reproduce Figure k",
}
LONGEST = 15  # lines of a recipe


@pytest.fixture(scope="module")
def cells():
    return {cell.id: cell for cell in nbformat.read(ROOT / "book" / "21_recipes.ipynb", as_version=4).cells}


def test_there_is_a_recipe_for_each_task(cells):
    text = "\n".join(cell.source for cell in cells.values() if cell.cell_type == "markdown")
    found = dict(re.findall(r"^\(recipe-(\w+)\)=\n## (.+)$", text, re.MULTILINE))
    assert found == TASKS
    assert len(re.findall(r"^## ", text, re.MULTILINE)) == len(TASKS)


@pytest.mark.parametrize("name", TASKS)
def test_recipe_is_short_and_draws(cells, name):
    recipe, check, more = (cells[f"{name}{part}"] for part in ("", "-check", "-more"))
    assert len(recipe.source.splitlines()) <= LONGEST
    assert recipe.metadata.mystnb.figure.name == f"fig-21-{name}"
    assert recipe.metadata.mystnb.figure.caption
    assert recipe.metadata.mystnb.image.alt
    assert not recipe.metadata.get("tags")
    assert re.search(r"^ *assert ", check.source, re.MULTILINE)
    assert re.search(r"\{doc\}`\d\d_|\{doc\}`numerics", more.source)
    order = list(cells)
    assert order[order.index(name) - 1 :][:4] == [f"{name}-text", name, f"{name}-check", f"{name}-more"]


@pytest.mark.parametrize("name", TASKS)
def test_recipe_needs_nothing_but_the_imports(cells, name):
    tree = ast.parse(cells[name].source)
    names = {type(node.ctx): set() for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            names[type(node.ctx)].add(node.id)
    imports = [*ast.walk(ast.parse(cells["imports"].source)), *ast.walk(tree)]
    imported = {alias.asname or alias.name for node in imports for alias in getattr(node, "names", ())}
    assert names[ast.Load] - names[ast.Store] - imported - set(vars(builtins)) == set()


def test_every_import_is_used(cells):
    tree = ast.parse(cells["imports"].source)
    imported = {alias.asname or alias.name for node in ast.walk(tree) for alias in getattr(node, "names", ())}
    words = set(re.findall(r"\w+", "\n".join(cells[name].source for name in TASKS)))
    assert imported - words == {"plotting"} - words


def test_reference_links_to_recipes(cells, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "book" / "_ext"))
    used_in = importlib.import_module("used_in")
    monkeypatch.delitem(sys.modules, "used_in")
    used = {label: (title, used_in.names_used(code)) for label, title, code in used_in.recipes(list(cells.values()))}
    assert {label.removeprefix("recipe-"): title for label, (title, _) in used.items()} == TASKS
    assert "bsr.tokens._whiten.whiten" in used["recipe-correlated"][1]
    assert "bsr.tokens._whiten.whiten" not in used["recipe-error"][1]
    assert "bsr.sweep._run.run" in used["recipe-sweep"][1]
    assert "bsr.model.mse" not in used["recipe-rank"][1], "which only its check uses"
