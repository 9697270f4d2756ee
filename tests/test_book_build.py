"""The build executes a chapter again when what it depends on changes, several at a time, and tells what went wrong."""

import asyncio
import importlib.util
import json
import os
import platform
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from textwrap import dedent

import nbformat
import pytest

pytest.importorskip("myst_nb")
from jupyter_cache import get_cache

ROOT = Path(__file__).parents[1]
EXTENSIONS = ROOT / "book" / "_ext"


@pytest.fixture(scope="module")
def building():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "environ", os.environ.copy())  # the module clears it for the kernels
        spec = importlib.util.spec_from_file_location("execute_chapters", EXTENSIONS / "execute_chapters.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


@pytest.fixture
def told(building, monkeypatch):
    """What the build says, as pairs of level and text."""
    lines = []
    for level in ("info", "warning", "error"):
        monkeypatch.setattr(
            building.LOGGER, level, lambda text, *values, level=level: lines.append((level, text % values))
        )
    return lines


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def notebook(*cells, **metadata):
    """The text of a notebook with these code cells."""
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [nbformat.v4.new_code_cell(dedent(cell), id=f"cell-{i}", metadata=metadata) for i, cell in enumerate(cells)]
    return nbformat.writes(nbformat.v4.new_notebook(cells=cells, metadata=kernel))


PLOTTING = """
import numpy as np
COLORS = ("red", "blue")
def experiment(ax): ax.plot(color=COLORS[0])
def slider_figure(draw): return _image(draw)
def _image(draw): return np.ones(1)
"""


@pytest.mark.slow
def test_outputs_depend_on_the_parts_that_a_chapter_uses(building, tmp_path):
    tables, curves = "pd.read_csv('../experiments/results/fig3.csv')", "plotting.experiment(ax)"
    both = "for table in [pd.read_csv('../experiments/results/fig3.csv')]: plotting.slider_figure(table)"
    codes = {"tables": tables, "curves": curves, "both": both, "data": "pd.read_csv('data/gb1.csv')"}
    codes["tasks"] = "from bsr import sweep"
    sources = {
        "bsr/model.py": "1",
        "bsr/theory/bayes.py": "1",
        "bsr/plotting.py": PLOTTING,
        "experiments/results/fig3.csv": "1",
        "book/data/gb1.csv": "1",
        "bsr/cli.py": "1",
        "bsr/sweep/_run.py": "1",
        "bsr/sweep/more/_x.py": "1",
        "experiments/fig3.toml": "1",
        "tests/test_x.py": "1",
    }
    write(tmp_path, sources)

    def touched(name, old="1", new="2"):
        """The chapters that have other outputs after an edit."""
        before = {chapter: building.digest(tmp_path, code) for chapter, code in codes.items()}
        text = (tmp_path / name).read_text()
        assert old in text
        (tmp_path / name).write_text(text.replace(old, new))
        after = {chapter: building.digest(tmp_path, code) for chapter, code in codes.items()}
        (tmp_path / name).write_text(text)
        return {chapter for chapter in codes if before[chapter] != after[chapter]}

    assert touched("bsr/model.py") == touched("bsr/theory/bayes.py") == set(codes)
    assert touched("experiments/results/fig3.csv") == {"tables", "both"}
    assert touched("book/data/gb1.csv") == {"data"}
    assert touched("bsr/sweep/_run.py") == touched("bsr/sweep/more/_x.py") == {"tasks"}
    for name in ("bsr/cli.py", "experiments/fig3.toml", "tests/test_x.py"):
        assert touched(name) == set(), name
    assert touched("bsr/plotting.py", "import numpy as np", "import numpy") == set(codes)
    assert touched("bsr/plotting.py", "red", "green") == {"curves"}, "a constant, through the function that uses it"
    assert touched("bsr/plotting.py", "np.ones", "np.zeros") == {"both"}, "a helper"
    before = building.digest(tmp_path, tables)
    (tmp_path / "bsr/model.py").rename(tmp_path / "bsr/renamed.py")
    assert building.digest(tmp_path, tables) != before


@pytest.mark.parametrize("path", sorted((ROOT / "book").glob("*.ipynb")), ids=lambda path: path.name)
def test_chapters_use_names_that_the_build_can_see(building, path):
    code = building.code_of(nbformat.read(path, as_version=4))
    assert not re.search(r"from bsr(\.plotting|\.sweep)? import \*|getattr\(\s*(plotting|bsr)", code)


def executed(building, root, *, cores=2, timeout=30):
    """Execute what is stale among the notebooks of a folder; return the chapters and the names of the stale ones."""
    names = sorted(path.name for path in root.glob("*.ipynb"))
    chapters = building.Chapters(root, get_cache(root / "cache"), names, timeout)
    stale = chapters.stale()
    building.run_in_thread(chapters.execute(stale, cores))
    return chapters, stale


MEET = """
    import os, pathlib, time
    pathlib.Path("{}").touch()
    while not pathlib.Path("{}").exists(): time.sleep(0.01)
    print(os.environ["OPENBLAS_NUM_THREADS"], os.environ["NUMBA_NUM_THREADS"])
"""


@pytest.mark.slow
def test_chapters_run_side_by_side_with_a_core_each_and_only_when_stale(building, told, tmp_path):
    sources = {"bsr/plotting.py": "", "bsr/model.py": "", "experiments/results/x.csv": "1"}
    write(tmp_path, sources | {"a.ipynb": notebook(MEET.format("a", "b")), "b.ipynb": notebook(MEET.format("b", "a"))})
    chapters, stale = executed(building, tmp_path)
    assert sorted(stale) == ["a.ipynb", "b.ipynb"]
    assert chapters.failed == []
    for name in stale:
        _, merged = chapters.cache.merge_match_into_notebook(nbformat.read(tmp_path / name, as_version=4))
        assert merged.cells[0].outputs[0].text == "1 1\n"
    assert [level for level, _ in told] == ["info"] * 3
    assert re.fullmatch(r"executed [ab]\.ipynb in \d+ s \(2 of 2\)", told[-1][1])
    assert executed(building, tmp_path)[1] == []
    write(tmp_path, {"c.ipynb": notebook("'experiments/results'")})
    assert executed(building, tmp_path)[1] == ["c.ipynb"]
    write(tmp_path, {"experiments/results/x.csv": "2"})
    assert executed(building, tmp_path)[1] == ["c.ipynb"]
    write(tmp_path, {"bsr/model.py": "2"})
    chapters = building.Chapters(tmp_path, chapters.cache, ["a.ipynb", "b.ipynb", "c.ipynb"], 30)
    seconds = {Path(old.uri).name: old.data["execution_seconds"] for old in chapters.cache.list_cache_records()}
    assert chapters.stale() == sorted(seconds, key=seconds.get, reverse=True)


@pytest.mark.slow
def test_an_error_is_told_and_the_other_chapters_are_kept(building, told, tmp_path):
    write(tmp_path, {"bsr/plotting.py": "", "a.ipynb": notebook("1", "raise ValueError('too hot')")})
    write(tmp_path, {"b.ipynb": notebook("1"), "c.ipynb": notebook("import time\ntime.sleep(30)")})
    chapters, _ = executed(building, tmp_path, timeout=3)
    assert sorted(chapters.failed) == ["a.ipynb", "c.ipynb"]
    errors = sorted(text for level, text in told if level == "error")
    assert errors[0].startswith("a.ipynb: CellExecutionError")
    assert "ValueError: too hot" in errors[0]
    assert errors[1].startswith("c.ipynb: CellTimeoutError")
    assert sorted(executed(building, tmp_path, timeout=3)[1]) == ["a.ipynb", "c.ipynb"]


@pytest.mark.slow
def test_outputs_without_their_figure_are_not_kept(building, told, tmp_path):
    drawn, lost = "from IPython.display import SVG\nSVG('<svg/>')", "print('no figure')"
    figure = {"mystnb": {"figure": {"name": "fig-1"}}}
    write(
        tmp_path,
        {"bsr/plotting.py": "", "whole.ipynb": notebook(drawn, **figure), "lost.ipynb": notebook(lost, **figure)},
    )
    executed(building, tmp_path)
    warnings = [text for level, text in told if level == "warning"]
    assert warnings == ["lost.ipynb: executed, but without fig-1; its outputs are not kept"]
    assert executed(building, tmp_path)[1] == ["lost.ipynb"]


def interrupt_once(exists):
    """Press Ctrl-C when a file exists."""

    def press():
        while not exists.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_ends_the_kernels(building, told, tmp_path):
    cell = "import os, pathlib, time\npathlib.Path('started').write_text(str(os.getpid()))\ntime.sleep(60)"
    write(tmp_path, {"bsr/plotting.py": "", "a.ipynb": notebook(cell)})
    interrupt_once(tmp_path / "started")
    with pytest.raises(KeyboardInterrupt):
        executed(building, tmp_path, timeout=60)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "started").read_text()), 0)
    assert [text for level, text in told if level == "error"] == []


def test_a_failure_of_the_build_itself_is_not_lost(building):
    async def fail():
        await asyncio.sleep(0)
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        building.run_in_thread(fail())


CONFIGURATION = """
extensions = ["myst_nb", "sphinx_design", "execute_chapters", "measured", "status"]
myst_enable_extensions = ["colon_fence"]
measured_file = "measured.json"
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_output_stderr = "warn"
html_theme = "basic"
exclude_patterns = ["_build"]
"""
STATUS = "# Status\n" + "".join(f"```{{status}} {part}\n```\n" for part in ("build", "chapters", "measurements"))
RUN = {
    "date": "2026-01-02",
    "machine": "8 cores",
    "threads": 1,
    "seconds": 3,
    "commit": "abc",
    "others": 2.0,
    "busy": True,
}
RECORD = {
    "runs": {"a": RUN | {"versions": {"numpy": "2.0"}}},
    "values": {"a.pass": {"value": 0.0123, "unit": "s", "what": "a pass over `X`"}},
}


@pytest.mark.slow
def test_a_built_page_follows_what_it_depends_on(tmp_path):
    """A whole build: of a new book, with nothing to do, with another package, after a warning and after an error."""
    cell = "import pathlib\nprint('model', pathlib.Path('bsr/model.py').read_text())"
    write(
        tmp_path,
        {"conf.py": CONFIGURATION, "index.md": "# Book\n```{toctree}\na\nbook/status\n```", "bsr/plotting.py": ""},
    )
    write(tmp_path, {"bsr/model.py": "one", "a.ipynb": notebook(cell)})
    write(tmp_path, {"book/status.md": STATUS, "measured.json": json.dumps(RECORD)})
    whole = nbformat.read(tmp_path / "a.ipynb", as_version=4)
    whole.cells.insert(0, nbformat.v4.new_markdown_cell("# A chapter", id="title"))
    nbformat.write(whole, tmp_path / "a.ipynb")

    def build():
        command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", ".", "_build/html", "-d", "_build/doctrees"]
        path = os.pathsep.join([str(EXTENSIONS), os.environ.get("PYTHONPATH", "")])
        return subprocess.run(
            command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True
        )

    def page(name="a"):
        return re.sub("<[^>]*>", "", (tmp_path / f"_build/html/{name}.html").read_text())

    first = build()
    assert first.returncode == 0, first.stderr
    assert "executed a.ipynb in" in first.stdout
    assert "model one" in page()
    status = page("book/status")
    assert re.search(r"A chapter\s+20\d\d-\d\d-\d\d \d\d:\d\d\s+\d+\s", status)
    assert "cores, one chapter after the other, Python 3" in status
    assert "a copy without its history" in status
    assert re.search(r"a, 2026-01-02, on a busy machine\s+8 cores, 1 thread, 3 s, at commit abc; numpy 2.0", status)
    assert re.search(r"a pass over X\s+12\xa0ms", status)
    for private in (str(tmp_path), platform.node()):
        assert private not in status
    (cached,) = get_cache(tmp_path / "_build/.jupyter_cache").list_cache_records()
    assert "executed a.ipynb in" not in build().stdout
    assert cached.data["executed"] in page("book/status"), "the time of what is shown"
    write(tmp_path, {"bsr/model.py": "two"})
    assert "executed a.ipynb in" in build().stdout
    assert "model two" in page()
    text = (tmp_path / "a.ipynb").read_text()
    write(tmp_path, {"a.ipynb": text.replace("import pathlib", "import pathlib, sys; print(1, file=sys.stderr)")})
    loud = build()
    assert loud.returncode != 0
    assert "stderr was found in the cell outputs" in loud.stderr
    write(tmp_path, {"a.ipynb": text.replace("import pathlib", "1 / 0")})
    broken = build()
    assert broken.returncode != 0
    assert "a.ipynb: CellExecutionError" in broken.stderr
    assert "ZeroDivisionError: division by zero" in broken.stderr


@pytest.mark.slow
def test_kernels_of_the_build_inherit_nothing_that_changes_their_output():
    """In a process of its own, because the module changes the environment when it is imported."""
    code = "import execute_chapters, matplotlib as mpl, os; mpl.rc_file_defaults(); "
    code += "print(os.environ.get('MPLBACKEND'), os.environ['BSR_COMPILE_NOTICE'], os.environ['MATPLOTLIBRC'])"
    surroundings = os.environ | {"MPLBACKEND": "agg", "PYTHONPATH": str(EXTENSIONS)}
    done = subprocess.run([sys.executable, "-c", code], env=surroundings, capture_output=True, text=True, check=True)
    backend, notice, settings = done.stdout.split()
    assert (backend, notice) == ("None", "0")
    assert Path(settings).is_file()
    assert Path(settings).parent.name == "mpl-data"
