"""The public interface: what exists, with which arguments and defaults, is what `data/api.txt` says and the book lists.

``python tests/test_api.py`` writes that file anew: on purpose, with a line in the changelog. Names and arguments may be
added; CONTRIBUTING.md says how one may go.
"""

import difflib
import inspect
import re
import sys
from pathlib import Path

import pytest

import bsr

STORED = Path(__file__).parent / "data" / "api.txt"
PAGE = Path(__file__).parents[1] / "book" / "api.md"


def public(module):
    """Names and things that can be reached from a module by names that are meant to be used."""
    for name in [*module.__all__, *["plotting", "regression"] * (module is bsr)]:
        thing = getattr(module, name)
        if inspect.ismodule(thing):
            yield from public(thing)
        elif not name.startswith("__"):
            yield f"{module.__name__}.{name}", thing


def arguments(function):
    """Without annotations, whose spelling depends on the version of Python."""
    signature = inspect.signature(function)
    plain = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
    return str(signature.replace(parameters=plain, return_annotation=inspect.Signature.empty))


def described(name, thing):
    """One line for a function, one for a class and each of its public attributes."""
    if inspect.isclass(thing):
        builtin = issubclass(thing, Warning)
        yield f"{name}({', '.join(base.__name__ for base in thing.__bases__)})" if builtin else name + arguments(thing)
        for attribute, value in inspect.getmembers_static(thing):
            inherited = any(hasattr(base, attribute) for base in thing.__mro__[1:] if base.__module__[:4] != "bsr.")
            if attribute.startswith("_") or inherited:
                continue
            if isinstance(value, classmethod | staticmethod) or inspect.isfunction(value):
                yield f"    .{attribute}{arguments(getattr(thing, attribute))}"
            elif isinstance(value, property):
                yield f"    .{attribute}"
    elif inspect.isroutine(thing):
        yield name + arguments(thing)
        yield from (f"    .{extra}{arguments(getattr(thing, extra))}" for extra in ("memory",) if hasattr(thing, extra))
    else:
        yield f"{name}: {type(thing).__name__}"


def interface():
    for name, thing in sorted(public(bsr)):
        yield from described(name, thing)


def test_names_arguments_and_defaults_are_those_that_were_agreed():
    pytest.importorskip("matplotlib")
    pytest.importorskip("pandas")
    stored = STORED.read_text("utf-8").splitlines()
    changes = list(difflib.unified_diff(stored, list(interface()), "tests/data/api.txt", "bsr", n=0, lineterm=""))
    assert not changes, "\n".join(["the interface has changed; if that is meant: python tests/test_api.py", *changes])


def test_the_page_of_the_book_lists_exactly_these():
    text = PAGE.read_text("utf-8")
    listed = {
        f"{module}.{name}" for module, name in re.findall(r"^\.\. auto\w+:: ([\w.]+)::(\w+)$", text, re.MULTILINE)
    }
    for module in re.findall(r"^\.\. automodule:: ([\w.]+)\n +:members:", text, re.MULTILINE):
        listed |= {f"{module}.{name}" for name in sys.modules[module].__all__}
    assert listed == {name for name, _ in public(bsr)}


if __name__ == "__main__":
    STORED.write_text("\n".join(interface()) + "\n", encoding="utf-8")
