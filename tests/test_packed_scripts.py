"""The book packs the scripts that are installed, and asks a CDN for the others, with a hash of what it may answer."""

import importlib.util
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

pytest.importorskip("sphinx")
from sphinx.errors import ExtensionError

ROOT = Path(__file__).parents[1]
MATHJAX = "https://cdn.jsdelivr.net/npm/mathjax@3.2.2/es5/tex-mml-chtml.js"
WIDGETS = "https://cdn.jsdelivr.net/npm/@jupyter-widgets/html-manager@1.0.15/dist/embed.js"
FILES = {
    "mathjax": [
        "es5/tex-mml-chtml.js",
        "es5/output/chtml/fonts/woff-v2/A.woff",
        "es5/a11y/explorer.js",
        "es5/sre/mathmaps/base.json",
        "es5/sre/mathmaps/en.json",
        "es5/not-asked-for.js",
    ],
    "@jupyter-widgets/html-manager": ["dist/embed.js", "dist/a.woff2", "dist/not-asked-for.js"],
}
VERSIONS = {"mathjax": "3.2.2", "@jupyter-widgets/html-manager": "1.0.15"}


@pytest.fixture(scope="module")
def packing():
    spec = importlib.util.spec_from_file_location("packed_scripts", ROOT / "book/_ext/packed_scripts.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def install(root, versions):
    for name, version in versions.items():
        folder = root / "book" / "node_modules" / name
        for file in FILES[name]:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(f"{name} {file}")
        (folder / "package.json").write_text(json.dumps({"version": version}))


def configured(packing, root):
    """The configuration of the book after the extension has seen it, and the book's scripts."""
    settings = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["sphinx"]["config"]
    config = SimpleNamespace(mathjax3_config=None, **settings)
    app = SimpleNamespace(srcdir=root, outdir=root / "html")
    packing.pack(app, config)
    packing.copy(app)
    scripts = root / "html" / "_static" / "packages"
    return config, {path.relative_to(scripts).as_posix() for path in scripts.rglob("*") if path.is_file()}


def test_without_packages_pages_ask_the_cdn_and_check_what_it_answers(packing, tmp_path):
    config, packed = configured(packing, tmp_path)
    assert packed == set()
    assert config.mathjax_path == MATHJAX
    assert list(config.nb_ipywidgets_js) == [WIDGETS]
    for attributes in (config.mathjax_options, config.nb_ipywidgets_js[WIDGETS]):
        assert re.fullmatch(r"sha384-[\w+/]{64}", attributes["integrity"])
        assert attributes["crossorigin"] == "anonymous"


def test_installed_packages_are_packed_with_what_they_load(packing, tmp_path):
    install(tmp_path, VERSIONS)
    config, packed = configured(packing, tmp_path)
    wanted = {f"{name}/{file}" for name, files in FILES.items() for file in files if file != files[-1]}
    assert packed == wanted
    assert config.mathjax_path == "packages/mathjax/es5/tex-mml-chtml.js"
    assert config.nb_ipywidgets_js == {"packages/@jupyter-widgets/html-manager/dist/embed.js": {}}
    assert config.mathjax_options == {}, "files have no origin to be asked for anonymously"


def test_one_package_may_be_missing(packing, tmp_path):
    install(tmp_path, {"mathjax": "3.2.2"})
    config, _ = configured(packing, tmp_path)
    assert config.mathjax_path == "packages/mathjax/es5/tex-mml-chtml.js"
    assert config.nb_ipywidgets_js[WIDGETS]["integrity"]


def test_another_version_or_an_incomplete_package_is_refused(packing, tmp_path):
    install(tmp_path, VERSIONS | {"mathjax": "3.2.1"})
    with pytest.raises(ExtensionError, match=r"mathjax is version 3\.2\.1, .*mathjax@3\.2\.2"):
        configured(packing, tmp_path)
    install(tmp_path, VERSIONS)
    (tmp_path / "book/node_modules/mathjax/es5/sre/mathmaps/en.json").unlink()
    with pytest.raises(ExtensionError, match=r"mathjax has no es5/sre/mathmaps/en\.json"):
        configured(packing, tmp_path)
    with pytest.raises(ExtensionError, match="address must be"):
        packing.files_of(tmp_path, "https://example.org/mathjax.js")


def test_package_json_pins_what_the_configuration_asks_for(packing):
    wanted = json.loads((ROOT / "book/package.json").read_text(encoding="utf-8"))["dependencies"]
    assert wanted == VERSIONS
    for address in (MATHJAX, WIDGETS):
        match = packing.ADDRESS.fullmatch(address)
        assert wanted[match["package"]] == match["version"]
    lock = json.loads((ROOT / "book/package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert {name: lock[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert all("integrity" in package and "resolved" not in package for name, package in lock.items() if name)
