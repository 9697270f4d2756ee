"""The build executes a chapter again when what it depends on changes, and keeps no outputs that lack a figure."""

import importlib.util
import os
import re
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

pytest.importorskip("jupyter_cache")
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def book_build():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "environ", os.environ.copy())  # the module clears it for the kernels
        spec = importlib.util.spec_from_file_location("book_build", ROOT / "book" / "_ext" / "book_build.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def test_the_cache_follows_what_chapters_depend_on_and_nothing_else(book_build, tmp_path):
    files = ("bsr/model.py", "bsr/theory/bayes.py", "experiments/results/fig3.csv")
    others = ("bsr/cli.py", "bsr/sweep/_run.py", "bsr/sweep/more/_x.py", "experiments/fig3.toml", "tests/test_x.py")
    for name in (*files, *others):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1")
    before = book_build.digest(tmp_path)
    for name in others:
        (tmp_path / name).write_text("2")
        assert book_build.digest(tmp_path) == before, name
    seen = {before}
    for name in files:
        (tmp_path / name).write_text("2")
        seen.add(book_build.digest(tmp_path))
    (tmp_path / "bsr/model.py").rename(tmp_path / "bsr/renamed.py")
    seen.add(book_build.digest(tmp_path))
    assert len(seen) == 5


@pytest.mark.parametrize("path", sorted((ROOT / "book").glob("*.ipynb")), ids=lambda path: path.name)
def test_chapters_do_not_use_what_the_cache_ignores(book_build, path):
    cells = nbformat.read(path, as_version=4).cells
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    for name in book_build.UNUSED:
        stem = name.removesuffix(".py")
        assert not re.search(rf"\bbsr\.{stem}\b|from bsr import .*\b{stem}\b", code)


def cell(name, kind):
    data = {"text/plain": "a figure"} | ({kind: "..."} if kind else {})
    output = nbformat.v4.new_output("display_data", data)
    return nbformat.v4.new_code_cell(name, metadata={"mystnb": {"figure": {"name": name}}}, outputs=[output])


def test_outputs_without_their_figure_are_not_kept(book_build, tmp_path, monkeypatch):
    cache = get_cache(tmp_path / "cache")
    words = nbformat.v4.new_code_cell("print(1)", outputs=[nbformat.v4.new_output("stream", text="1")])
    chapters = {
        "whole.ipynb": [words, cell("fig-1", "image/svg+xml"), cell("fig-2", "image/png")],
        "lost.ipynb": [cell("fig-3", "image/svg+xml"), cell("fig-4", None)],
    }
    for name, cells in chapters.items():
        cache.cache_notebook_bundle(CacheBundleIn(nbformat.v4.new_notebook(cells=cells), name), check_validity=False)
    environment = tmp_path / "environment.pickle"
    environment.touch()
    told = []
    monkeypatch.setattr(book_build.LOGGER, "warning", lambda text, *values: told.append(text % values))
    config = SimpleNamespace(nb_execution_cache_path=str(tmp_path / "cache"))
    book_build.forget_lost_figures(SimpleNamespace(config=config, doctreedir=tmp_path), None)
    assert [record.uri for record in cache.list_cache_records()] == ["whole.ipynb"]
    assert told == ["lost.ipynb: executed, but without fig-4; its outputs are not kept"]
    assert not environment.exists()


def test_kernels_of_the_build_inherit_nothing_that_changes_their_output():
    """In a process of its own, because the module changes the environment when it is imported."""
    import subprocess
    import sys

    code = "import book_build, matplotlib as mpl, os; mpl.rc_file_defaults(); "
    code += "print(os.environ.get('MPLBACKEND'), os.environ['BSR_COMPILE_NOTICE'], os.environ['MATPLOTLIBRC'])"
    surroundings = os.environ | {"MPLBACKEND": "agg", "PYTHONPATH": str(ROOT / "book" / "_ext")}
    done = subprocess.run([sys.executable, "-c", code], env=surroundings, capture_output=True, text=True, check=True)
    backend, notice, settings = done.stdout.split()
    assert (backend, notice) == ("None", "0")
    assert Path(settings).is_file()
    assert Path(settings).parent.name == "mpl-data"
