"""The API reference documents every public name, and links it to the chapters that use it."""

import importlib
import pkgutil
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import bsr

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "book" / "api.md").read_text(encoding="utf-8")
INTERNAL = {"bsr._uniformisation", "bsr.cli"}  # the algebra behind the spectrum; the command has a section of its own


def modules():
    for found in pkgutil.walk_packages(bsr.__path__, "bsr."):
        if not any(part.startswith("_") for part in found.name.split(".")) and found.name not in INTERNAL:
            yield found.name


@pytest.mark.parametrize("name", list(modules()))
def test_the_page_has_every_public_name_of(name):
    module = importlib.import_module(name)
    if re.search(rf"^\.\. automodule:: {re.escape(name)}\n +:members:", PAGE, re.MULTILINE):
        return  # autodoc lists __all__
    for public in module.__all__:
        thing = getattr(module, public)
        home = getattr(thing, "__module__", None) or ""
        if home == name or home.startswith(f"{name}._"):  # not a module, nor something from elsewhere
            entry = rf"^\.\. auto\w+:: ({re.escape(name)}|{re.escape(name.rpartition('.')[0])})::{public}$"
            assert re.search(entry, PAGE, re.MULTILINE), f"{name}.{public} is not on the page"


def test_names_of_the_page_exist():
    for directive, module, name in re.findall(r"^\.\. (auto\w+):: ([\w.]+)(?:::(\w+))?$", PAGE, re.MULTILINE):
        found = importlib.import_module(module)
        assert directive == "automodule" or hasattr(found, name)


@pytest.mark.parametrize("page", ["notation.md", "api.md", "numerics.md", "index.md"])
def test_names_of_the_package_in_the_text_exist(page):
    names = set(re.findall(r"`~?(bsr(?:\.\w+)+)", (ROOT / "book" / page).read_text(encoding="utf-8")))
    assert names
    for name in names:
        found = bsr
        for part in name.split(".")[1:]:
            found = getattr(found, part, None)
            assert found is not None, f"{page}: {name}"


def test_chapters_are_read_for_the_names_they_use(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "book" / "_ext"))
    used_in = importlib.import_module("used_in")
    monkeypatch.delitem(sys.modules, "used_in")
    source = """
import bsr
from bsr.theory import bayes as b, ridge
from bsr.estimators import gamp_rie
from bsr import plotting

b.mmse(0.3) + unknown.mmse(0.3)
result = gamp_rie(*bsr.Problem(0.5).sample(10))
curve = [ridge.mse]
color = plotting.COLORS[0]
"""
    used = used_in.names_used(source)
    assert {
        "bsr.theory.bayes.mmse",
        "bsr.theory.ridge.mse",
        "bsr.estimators._gamp_rie.gamp_rie",
        "bsr.estimators._gamp_rie.GampRie",  # what it returns
        "bsr.estimators._gamp_rie.GampHistory",  # and what that holds
        "bsr.model.Problem",
        "bsr.model.Problem.sample",
        "bsr.model.Data",
        "bsr.plotting.COLORS",
    } <= used
    assert used.isdisjoint({"bsr.denoising.mmse", "bsr.model.Problem.sizes", "bsr.plotting.STYLE"})


@pytest.mark.slow
def test_entries_end_with_links_to_recipes_and_chapters(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "book" / "_ext"))
    used_in = importlib.import_module("used_in")
    monkeypatch.delitem(sys.modules, "used_in")
    app = SimpleNamespace(srcdir=str(ROOT), env=SimpleNamespace())
    used_in.read_chapters(app)
    lines = ["What it does."]
    used_in.add_links(
        app, "function", "bsr.theory.bayes.sample_complexity", bsr.theory.bayes.sample_complexity, {}, lines
    )
    assert lines[0] == "What it does."
    recipes, chapters = lines[2].split(" Used in chapters ")
    assert recipes == "Recipe: :ref:`How many samples? <recipe-samples>`"
    assert ":doc:`6 </book/06_bayes_optimal>`" in chapters
    assert "21_recipes" not in chapters
