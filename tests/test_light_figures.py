"""Outlines of figures are shorter and the same to a hundredth of a point."""

import importlib.util
import io
import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]


def coordinates(svg):
    paths = re.findall(r' d="([^"]*)"', svg)
    return [re.findall(r"[A-Za-z]", path) for path in paths], [
        np.array(re.findall(r"-?[\d.]+", path), float) for path in paths
    ]


def test_rounded_outlines_are_the_same_and_shorter():
    spec = importlib.util.spec_from_file_location("light_figures", ROOT / "book" / "_ext" / "light_figures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    figure = Figure()
    x = np.linspace(-3, 3, 300)
    figure.subplots().plot(x, np.sin(x**2), label=r"$x_1$")
    file = io.StringIO()
    figure.savefig(file, format="svg")
    before, after = file.getvalue(), module.rounded(file.getvalue())
    assert len(after) < 0.9 * len(before)
    (commands, old), (same, new) = coordinates(before), coordinates(after)
    assert commands == same
    assert max(np.abs(a - b).max() for a, b in zip(old, new, strict=True)) <= 0.0051
    assert re.sub(r' d="[^"]*"', "", before) == re.sub(r' d="[^"]*"', "", after), "nothing but outlines"
    assert module.rounded(after) == after
