"""Outlines of figures are shorter and the same to a hundredth of a point."""

import importlib.util
import io
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]
SVG = "{http://www.w3.org/2000/svg}"
NUMBER = re.compile(r"-?\d+\.\d+|-?\d+")


def coordinates(svg):
    paths = re.findall(r' d="([^"]*)"', svg)
    return [re.findall(r"[A-Za-z]", path) for path in paths], [
        np.array(re.findall(r"-?[\d.]+", path), float) for path in paths
    ]


def drawn(svg):
    """Tags, attributes and words of a picture in order, and the numbers in them, outlines apart."""
    words, numbers = [], []
    for element in ElementTree.fromstring(svg).iter():
        if not element.tag.startswith(SVG) or element.tag == f"{SVG}metadata":
            continue
        attributes = {key: value for key, value in element.attrib.items() if key != "d"}
        for text in (element.tag, *attributes, *attributes.values(), (element.text or "").strip()):
            words.append(NUMBER.sub("", text))
            numbers += map(float, NUMBER.findall(text))
    return words, numbers


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
    (elements, kept), (others, placed) = drawn(before), drawn(after)
    assert elements == others
    assert max(abs(a - b) for a, b in zip(kept, placed, strict=True)) <= 0.0051
    assert module.rounded(after) == after
