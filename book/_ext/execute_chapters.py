"""Executes the chapters side by side before Sphinx reads them, and only those whose outputs may have changed.

The execution cache knows a notebook by its code alone, so it would keep the outputs of an older `bsr`. Here a record
of the cache also says what the outputs depend on. What is missing or old is executed on all cores and put into the
cache, where myst-nb then finds it, and Sphinx reads these pages again.

The kernels inherit the environment of the build; what would change their output is taken out of it.
"""

import ast
import asyncio
import hashlib
import math
import os
import platform
import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

os.environ.pop("MPLBACKEND", None)  # before matplotlib reads it: figures belong on the page
os.environ["BSR_COMPILE_NOTICE"] = "0"  # how long a first call takes is no output of a chapter

import matplotlib.font_manager  # builds the font cache here, or the first chapter would report it
import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from myst_nb.sphinx_ import NbMetadataCollector
from nbclient import NotebookClient
from sphinx.errors import ExtensionError
from sphinx.util import logging

os.environ["MATPLOTLIBRC"] = str(Path(matplotlib.get_data_path(), "matplotlibrc"))  # not the reader's own

LOGGER = logging.getLogger(__name__)
RARE = ("sweep", "cli.py", "__main__.py")  # parts of the package that count for those chapters only that name them
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
COLOUR = re.compile(r"\x1b\[[\d;]*m")  # of tracebacks
PACKAGES = ("numpy", "scipy", "numba", "scikit-learn", "matplotlib")  # whose versions are kept with the outputs
QUIET = ["--log-level=ERROR"]  # a kernel warns of other users of the machine each time that it starts


def code_of(notebook):
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")


def used(source, code):
    """The statements of a module that code can reach: imports and such, and definitions of a word that occurs."""
    statements = {ast.get_source_segment(source, node): node for node in ast.parse(source).body}
    words = set(re.findall(r"\w+", code))
    while True:
        reached = []
        for text, node in statements.items():
            targets = {target.id for target in getattr(node, "targets", ()) if isinstance(target, ast.Name)}
            names = targets or {getattr(node, "name", None)}
            if names == {None} or names & words:
                reached.append(text)
        more = words.union(*(re.findall(r"\w+", text) for text in reached))
        if more == words:
            return "\n".join(reached)
        words = more


def digest(root, code):
    """Hash of what the outputs of a chapter depend on, apart from its own code."""
    package = root / "bsr"
    unused = [part for part in RARE if not re.search(rf"\b{part.removesuffix('.py')}\b", code)]
    paths = [path for path in package.rglob("*.py") if path.relative_to(package).parts[0] not in unused]
    parts = {path: path.read_bytes() for path in paths}
    plotting = package / "plotting.py"  # every chapter draws, few use all of it
    parts[plotting] = used(plotting.read_text(encoding="utf-8"), code).encode()
    for mention, folder in (
        ("experiments/results", root / "experiments" / "results"),
        ("data/", root / "book" / "data"),
    ):
        if mention in code:
            parts |= {path: path.read_bytes() for path in folder.glob("*.csv")}
    whole = hashlib.sha256()
    for path in sorted(parts):
        whole.update(f"{path.relative_to(root).as_posix()}\0".encode() + parts[path] + b"\0")
    return whole.hexdigest()


def lacks_figure(cell):
    """Whether a code cell has a caption for a figure, and no figure."""
    shown = {kind.split("/")[0] for output in cell.get("outputs", ()) for kind in output.get("data", ())}
    return "figure" in cell.metadata.get("mystnb", {}) and "image" not in shown


def surroundings():
    """What outputs and times were made with, in numbers that are no one's name."""
    packages = {name: version(name) for name in PACKAGES}
    return {"cores": available_cores(), "python": platform.python_version(), "packages": packages}


def record_of(cache, notebook):
    """The record of the cache with this code, or None."""
    try:
        return cache.match_cache_notebook(notebook)
    except KeyError:
        return None


class Chapters:
    """Chapters to execute, and what became of them.

    Parameters
    ----------
    root : pathlib.Path
        The folder of the book.
    cache : jupyter_cache.base.JupyterCacheAbstract
        Where their outputs are kept.
    names : iterable of str
        Paths of notebooks relative to the root.
    timeout : float
        Seconds that a cell may take.

    Attributes
    ----------
    failed : list of str
        Names of the chapters that raised an error.
    """

    def __init__(self, root, cache, names, timeout):
        self.root, self.cache, self.timeout = root, cache, timeout
        self.notebooks = {name: nbformat.read(root / name, as_version=4) for name in names}
        self.depends = {name: digest(root, code_of(notebook)) for name, notebook in self.notebooks.items()}
        self.failed, self._done = [], 0

    def stale(self):
        """Names of the chapters without current outputs, the longest first as far as that is known."""
        seconds = {record.uri: record.data.get("execution_seconds") for record in self.cache.list_cache_records()}
        records = {name: record_of(self.cache, notebook) for name, notebook in self.notebooks.items()}
        stale = [name for name, old in records.items() if not old or old.data.get("depends") != self.depends[name]]
        # The last chapters are the longer ones.
        return sorted(reversed(stale), key=lambda name: -(seconds.get(str(self.root / name)) or math.inf))

    async def execute(self, names, cores):
        """Execute chapters, one kernel a core, and keep the outputs of each that succeeds."""
        if not names:
            return
        jobs = min(cores, len(names))
        # Kernels that wait for each other's threads take many times as long.
        threads = dict.fromkeys(THREADS, str(cores // jobs)) if jobs > 1 else {}
        LOGGER.info("executing %d of %d chapters, %d at a time", len(names), len(self.notebooks), jobs)
        free = asyncio.Semaphore(jobs)
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(self._execute_one(name, free, os.environ | threads, len(names), jobs))

    async def _execute_one(self, name, free, environment, total, jobs):
        notebook, path = self.notebooks[name], self.root / name
        async with free:
            start = time.monotonic()
            try:
                client = NotebookClient(notebook, timeout=self.timeout, record_timing=False, extra_arguments=QUIET)
                await client.async_execute(cwd=str(path.parent), env=environment)
            except Exception as error:  # of a cell, of the kernel, a timeout; the other chapters are worth finishing
                if asyncio.current_task().cancelling():  # nbclient calls it a kernel that died
                    raise asyncio.CancelledError from error
                LOGGER.error("%s: %s: %s", name, type(error).__name__, COLOUR.sub("", str(error)))
                self.failed.append(name)
                return
            finally:
                self._done += 1
        seconds = time.monotonic() - start
        LOGGER.info("executed %s in %.0f s (%d of %d)", name, seconds, self._done, total)
        lost = [cell.metadata.mystnb.figure.name for cell in notebook.cells if lacks_figure(cell)]
        if lost:
            LOGGER.warning("%s: executed, but without %s; its outputs are not kept", name, ", ".join(lost))
        about = {"executed": f"{datetime.now(UTC):%Y-%m-%d %H:%M}", "surroundings": surroundings() | {"jobs": jobs}}
        data = about | {"execution_seconds": seconds, "depends": None if lost else self.depends[name]}
        bundle = CacheBundleIn(notebook, str(path), data=data)
        self.cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


def run_in_thread(coroutine):
    """Run a coroutine to its end in a thread, and cancel it when something, such as Ctrl-C, interrupts this one.

    In the main thread nbclient would take Ctrl-C for itself, and end one kernel of several.
    """
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner, ThreadPoolExecutor(1) as pool:
        loop = runner.get_loop()
        task = loop.create_task(coroutine)
        finished = pool.submit(runner.run, asyncio.wait([task]))
        try:
            finished.result()
        except BaseException:
            loop.call_soon_threadsafe(task.cancel)
            raise
        task.result()


def available_cores():
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def execute_stale(app, env, added, changed, removed):
    """Bring the cache up to date; return the pages that show older outputs."""
    root, config = Path(app.srcdir), env.mystnb_config
    if config.execution_mode == "off":
        return []
    cache = get_cache(config.execution_cache_path)
    pages = {os.path.relpath(env.doc2path(page), root): page for page in sorted(env.found_docs)}
    pages = {name: page for name, page in pages.items() if name.endswith(".ipynb")}
    chapters = Chapters(root, cache, pages, config.execution_timeout)
    run_in_thread(chapters.execute(chapters.stale(), available_cores()))
    if chapters.failed:
        raise ExtensionError(f"errors in {', '.join(chapters.failed)}")
    outdated = []
    for name, page in pages.items():
        shown = NbMetadataCollector.get_exec_data(env, page)
        if not shown or shown["mtime"] != record_of(cache, chapters.notebooks[name]).created.timestamp():
            outdated.append(page)
    return outdated


def setup(app):
    app.connect("env-get-outdated", execute_stale)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
