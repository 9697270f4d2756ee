"""Every public name is documented in the numpydoc style: completely, with its errors and with its source."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest
from numpydoc.docscrape import get_doc_object
from numpydoc.validate import validate

import bsr

CHAPTERS = Path(__file__).parents[1] / "book"

# What numpydoc checks and we do not ask for.
NOT_ASKED = {
    "ES01", "SA01", "EX01",  # an extended summary, See Also, examples: the chapters are the examples
    "PR07", "RT03", "RT04",  # a description where type and shape say it all, or one that starts with a symbol
    "SS05",  # it takes "edges" and "evolution" at the start of a summary for verbs
}  # fmt: skip
WITH_SOURCE = ("bsr.theory.", "bsr.estimators.", "bsr.spectrum", "bsr.denoising")


def public():
    """Functions and classes of the public modules, as module:name."""
    for found in pkgutil.walk_packages(bsr.__path__, "bsr."):
        if not any(part.startswith("_") for part in found.name.split(".")):
            module = importlib.import_module(found.name)
            for name in getattr(module, "__all__", ()):
                home = getattr(getattr(module, name), "__module__", None) or ""
                if home == found.name or home.startswith(f"{found.name}._"):
                    yield f"{found.name}:{name}"


def load(name):
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


NAMES = sorted(public())
FUNCTIONS = [name for name in NAMES if inspect.isroutine(load(name))]
# Made by the user, with parameters.
INPUTS = (bsr.Problem, bsr.estimators.TeacherError, bsr.sweep.Config, bsr.sweep.Estimator, bsr.sweep.Task)
INPUTS += tuple(
    getattr(module, name)
    for module in (bsr.channels, bsr.ensembles, bsr.regression, bsr.tokens)
    for name in module.__all__
)
RESULTS = [name for name in NAMES if inspect.isclass(load(name)) and load(name) not in INPUTS]


@pytest.mark.parametrize("name", NAMES)
def test_the_docstring_is_in_style(name):
    wrong = validate(get_doc_object(load(name)))["errors"]
    exempt = NOT_ASKED | ({"PR01"} if name in RESULTS else set())  # its fields are listed as attributes
    assert [error for error in wrong if error[0] not in exempt] == []


@pytest.mark.parametrize("name", RESULTS)
def test_the_fields_of_a_result_are_its_attributes(name):
    thing = load(name)
    fields = getattr(thing, "_fields", None) or tuple(getattr(thing, "__dataclass_fields__", ()))
    assert [entry.name for entry in get_doc_object(thing)["Attributes"]] == list(fields)


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name.startswith(WITH_SOURCE)])
def test_errors_and_source_are_given(name):
    text = inspect.getdoc(load(name))
    assert "Raises\n------\nValueError" in text
    assert re.search(r"[Bb]ook,\s+chapters? \d", text), "which chapter?"


def test_equations_that_docstrings_cite_are_in_the_chapters():
    labels = set()
    for path in CHAPTERS.glob("*.ipynb"):
        labels |= set(re.findall(r"\$\$ \((eq-[\w-]+)\)", path.read_text(encoding="utf-8")))
    cited = {label: name for name in NAMES for label in re.findall(r":eq:`([^`]+)`", inspect.getdoc(load(name)))}
    assert len(cited) > 10
    assert set(cited) <= labels, {label: cited[label] for label in set(cited) - labels}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_public_signatures_are_annotated(name):
    signature = inspect.signature(load(name))
    bare = [key for key, value in signature.parameters.items() if value.annotation is inspect.Parameter.empty]
    assert bare == []
    assert signature.return_annotation is not inspect.Signature.empty
