"""The modules of the package stand on each other in one direction."""

import ast
import graphlib
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import bsr

ROOT = Path(bsr.__file__).parent

# From the ground up. A module may import from its own layer and from those before.
LAYERS = (
    ("_version", "_typing", "_checks", "_compile", "_memory", "_threads"),
    ("_roots", "_passes", "_uniformisation", "_law", "_denoisers", "_soft_threshold"),
    ("sensing", "spectrum", "denoising", "channels", "ensembles"),
    ("tokens",),
    ("model",),
    ("theory", "estimators", "plotting"),
    ("regression",),
    ("sweep",),
    ("cli", "__main__"),
    ("__init__",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def module(path):
    """sweep/_run.py as sweep._run, sweep/__init__.py as sweep."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


MODULES = {module(path): path for path in sorted(ROOT.rglob("*.py"))}


def imports(path):
    """The modules of the package that a file imports, wherever it does: of `from a import b` a.b if that is one."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            pairs = [(f"{node.module}.{alias.name}", node.module) for alias in node.names]
        elif isinstance(node, ast.Import):
            pairs = [(alias.name, alias.name) for alias in node.names]
        else:
            continue
        for pair in pairs:
            names = ["__init__" if name == "bsr" else name.removeprefix("bsr.") for name in pair if name[:3] == "bsr"]
            yield from [name for name in names if name in MODULES][:1]


EDGES = {name: set(imports(path)) for name, path in MODULES.items()}


def test_every_module_has_its_layer():
    assert {name.partition(".")[0] for name in MODULES} == set(LEVEL)


def test_no_module_imports_from_above():
    up = [
        f"{name} imports {other}"
        for name, used in EDGES.items()
        for other in used
        if LEVEL[other.partition(".")[0]] > LEVEL[name.partition(".")[0]]
    ]
    assert up == []


def test_theory_and_estimators_do_not_know_each_other():
    wings = ("theory", "estimators")
    for name, used in EDGES.items():
        wing = name.partition(".")[0]
        assert wing not in wings or {other.partition(".")[0] for other in used}.isdisjoint(set(wings) - {wing}), name


def test_nothing_goes_round_in_a_circle():
    order = list(graphlib.TopologicalSorter(EDGES).static_order())
    assert len(order) == len(MODULES)
    assert order.index("sensing") < order.index("tokens._open")
    assert order.index("sensing") < order.index("model") < order.index("estimators._result") < order.index("cli")


@pytest.mark.slow
def test_what_is_optional_is_imported_when_asked_for():
    """matplotlib, pandas and scikit-learn are not needed to import the package."""
    code = (
        "import sys, bsr; later = {'matplotlib', 'pandas', 'sklearn', 'bsr.sweep', 'bsr.plotting', 'bsr.regression'}; "
        "print(*later & set(sys.modules)); bsr.sweep"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_regression_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.delitem(sys.modules, "bsr.regression", raising=False)
    with pytest.raises(ImportError, match=r"needs sklearn: install bilinear-sequence-regression\[learn\]"):
        importlib.import_module("bsr.regression")


def test_plotting_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "bsr.plotting", raising=False)
    with pytest.raises(ImportError, match=r"install bilinear-sequence-regression\[plot\]"):
        importlib.import_module("bsr.plotting")
    exec("from bsr import *", {})  # does not ask for it
