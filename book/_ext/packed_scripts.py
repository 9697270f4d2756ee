"""Packs the scripts that pages would ask a CDN for into the book, so that its folder reads without a network.

The configuration names them by their addresses, `https://cdn.jsdelivr.net/npm/PACKAGE@VERSION/PATH`. Where
`npm ci --prefix book` has installed that package, the book gets copies, and the pages ask for these; otherwise they
ask the CDN, and the hashes of the configuration guard what it answers.
"""

import json
import re
import shutil
from pathlib import Path

from sphinx.errors import ExtensionError
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)

ADDRESS = re.compile(r"https://cdn\.jsdelivr\.net/npm/(?P<package>(?:@[^/@]+/)?[^/@]+)@(?P<version>[^/]+)/(?P<path>.+)")
FOLDER = "packages"  # within _static

# What a script loads later, by package. MathJax: fonts; the explorer of formulas, which its menu offers, in English.
COMPANIONS = {
    "@jupyter-widgets/html-manager": ["dist/*.woff2"],
    "mathjax": [
        "es5/output/chtml/fonts/woff-v2/*.woff",
        "es5/a11y/*.js",
        *map("es5/sre/mathmaps/{}.json".format, ("base", "en")),
    ],
}
# Another choice of that menu, which stays with the CDN: 1.3 MB.
LEFT_OUT = {"output/svg": "es5/output/svg.js", "output/svg/fonts/tex": "es5/output/svg/fonts/tex.js"}


def files_of(packages, address):
    """The installed files that stand for the address of a script: the script, then what it loads later.

    Parameters
    ----------
    packages : pathlib.Path
        The folder `node_modules`.
    address : str

    Returns
    -------
    list of pathlib.Path
        Relative to `packages`. Empty where the package is not installed.

    Raises
    ------
    sphinx.errors.ExtensionError
        If the address is of another form, or the package is installed in another version or lacks a file.
    """
    match = ADDRESS.fullmatch(address)
    if match is None:
        raise ExtensionError(f"a script's address must be like {ADDRESS.pattern}, got {address!r}")
    folder = packages / match["package"]
    if not folder.is_dir():
        return []
    version = json.loads((folder / "package.json").read_text(encoding="utf-8"))["version"]
    if version != match["version"]:
        raise ExtensionError(f"{folder} is version {version}, the configuration asks for {address}")
    files = []
    for pattern in (match["path"], *COMPANIONS.get(match["package"], ())):
        found = sorted(folder.glob(pattern))
        if not found:
            raise ExtensionError(f"{folder} has no {pattern}")
        files += [file.relative_to(packages) for file in found]
    return files


def pack(app, config):
    """Let pages ask for what is installed, and remember to copy it."""
    packages = Path(app.srcdir, "book", "node_modules")
    app.packed_scripts = []

    def local(address):
        files = files_of(packages, address)
        app.packed_scripts += [(packages, file) for file in files]
        return f"{FOLDER}/{files[0].as_posix()}" if files else None

    if path := local(config.mathjax_path):
        base = config.mathjax_path.partition("/es5/")[0]
        config.mathjax3_config = (config.mathjax3_config or {}) | {
            "loader": {"source": {name: f"{base}/{file}" for name, file in LEFT_OUT.items()}}
        }
        config.mathjax_path, config.mathjax_options = path, {}  # attributes of scripts from elsewhere
    widgets = {}
    for address, attributes in config.nb_ipywidgets_js.items():
        path = local(address)
        widgets |= {path: {}} if path else {address: attributes}
    config.nb_ipywidgets_js = widgets
    if not app.packed_scripts:
        LOGGER.info("pages will ask a CDN for their scripts; `npm ci --prefix book` packs them into the book")


def copy(app):
    """Copy the scripts before pages are written: Sphinx adds their checksums to the addresses."""
    for packages, file in app.packed_scripts:
        goal = Path(app.outdir, "_static", FOLDER, file)
        goal.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(packages / file, goal)


def setup(app):
    app.connect("config-inited", pack)
    app.connect("builder-inited", copy)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
