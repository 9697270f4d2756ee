"""Two repairs to the way the book is built.

The execution cache knows a notebook by its code alone, so it would keep the output of an older `bsr`. Here it
gets a folder named after the sources of the package; Sphinx sees the new setting and reads every page again.

Sphinx writes an inline script twice when an extension adds it late, and the second `const` is an error in the
browser. Here each script is kept once.
"""

import hashlib
import shutil
from pathlib import Path

import matplotlib.font_manager  # noqa: F401  builds the font cache here, or the first chapter would report it


def renew_execution_cache(app, config):
    sources = sorted(Path(app.srcdir, "bsr").rglob("*.py"))
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    root = Path(app.outdir).parent / ".jupyter_cache"
    for stale in root.glob("*/"):
        if stale.name != digest:
            shutil.rmtree(stale)
    config.nb_execution_cache_path = str(root / digest)


def keep_scripts_once(app, pagename, templatename, context, doctree):
    scripts = {script.attributes.get("body") or script.filename: script for script in context["script_files"]}
    context["script_files"] = list(scripts.values())


def setup(app):
    app.connect("config-inited", renew_execution_cache)
    app.connect("html-page-context", keep_scripts_once)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
