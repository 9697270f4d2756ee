"""Repairs to the way the book is built, and its links to where it is published.

The execution cache knows a notebook by its code alone, so it would keep the output of an older `bsr`. Here it
gets a folder named after what the chapters depend on, the package and the tables of the experiments; Sphinx sees the
new setting and reads every page again. Outputs that lack a figure are not kept.

The kernels that execute the chapters inherit the environment of the build; what would change their output is taken out
of it.

Sphinx writes an inline script twice when an extension adds it late, and the second `const` is an error in the
browser. Here each script is kept once.

With the address of a public repository in the environment, BSR_REPOSITORY=https://github.com/OWNER/NAME, each page has
buttons that open it there, and each chapter buttons that run it on Binder or Colab.
"""

import hashlib
import os
import shutil
from pathlib import Path

os.environ.pop("MPLBACKEND", None)  # before matplotlib reads it: figures belong on the page
os.environ["BSR_COMPILE_NOTICE"] = "0"  # how long a first call takes is no output of a chapter

import matplotlib.font_manager  # builds the font cache here, or the first chapter would report it
from jupyter_cache import get_cache
from sphinx.util import logging

os.environ["MATPLOTLIBRC"] = str(Path(matplotlib.get_data_path(), "matplotlibrc"))  # not the reader's own

LOGGER = logging.getLogger(__name__)
UNUSED = ("sweep", "cli.py", "__main__.py")  # parts of the package that no chapter uses

# Colab has neither the package nor the tables beside the notebooks; the cell brings both.
LAUNCH = """Each chapter has a launch button. Binder opens it with everything installed. On Colab, put this first:

```
!git clone --quiet --depth 1 {} bsr-book
%pip install --quiet "./bsr-book[book]"
%cd bsr-book/book
```"""


def digest(root):
    """Hash of what the chapters depend on, apart from their own code."""
    package, tables = root / "bsr", root / "experiments" / "results"
    sources = [path for path in package.rglob("*.py") if path.relative_to(package).parts[0] not in UNUSED]
    whole = hashlib.sha256()
    for path in sorted([*sources, *tables.glob("*.csv")]):
        whole.update(f"{path.relative_to(root).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return whole.hexdigest()[:16]


def renew_execution_cache(app, config):
    name = digest(Path(app.srcdir))
    root = Path(app.outdir).parent / ".jupyter_cache"
    for stale in root.glob("*/"):
        if stale.name != name:
            shutil.rmtree(stale)
    config.nb_execution_cache_path = str(root / name)


def lacks_figure(cell):
    """Whether a code cell has a caption for a figure, and no figure."""
    shown = {kind.split("/")[0] for output in cell.get("outputs", ()) for kind in output.get("data", ())}
    return "figure" in cell.metadata.get("mystnb", {}) and "image" not in shown


def forget_lost_figures(app, exception):
    """Let the next build execute again what has lost a figure, and read all pages again."""
    cache = get_cache(app.config.nb_execution_cache_path)
    for record in cache.list_cache_records():
        cells = cache.get_cache_bundle(record.pk).nb.cells
        lost = [cell.metadata.mystnb.figure.name for cell in cells if lacks_figure(cell)]
        if lost:
            LOGGER.warning("%s: executed, but without %s; its outputs are not kept", record.uri, ", ".join(lost))
            cache.remove_cache(record.pk)
            Path(app.doctreedir, "environment.pickle").unlink(missing_ok=True)


def keep_scripts_once(app, pagename, templatename, context, doctree):
    scripts = {script.attributes.get("body") or script.filename: script for script in context["script_files"]}
    context["script_files"] = list(scripts.values())


def link_repository(app, config):
    address = os.environ.get("BSR_REPOSITORY", "").rstrip("/")
    config.myst_substitutions["launch"] = LAUNCH.format(address) if address else "% not published"
    if address:
        config.html_theme_options |= {
            "repository_url": address,
            "repository_branch": os.environ.get("BSR_BRANCH", "main"),
            "path_to_docs": "",
            "use_repository_button": True,
            "use_issues_button": True,
            "launch_buttons": {
                "notebook_interface": "jupyterlab",
                "binderhub_url": "https://mybinder.org",
                "colab_url": "https://colab.research.google.com",
            },
        }


def setup(app):
    app.connect("config-inited", renew_execution_cache)
    app.connect("config-inited", link_repository)
    app.connect("html-page-context", keep_scripts_once)
    app.connect("build-finished", forget_lost_figures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
