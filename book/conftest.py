"""Chapters are tests, slow ones: with nbmake `pytest` executes each of them."""

import warnings
from pathlib import Path

import pytest

CHAPTERS = Path(__file__).parent


def pytest_configure(config):
    if config.pluginmanager.hasplugin("nbmake"):
        config.option.nbmake = True
    else:
        message = "nbmake is not installed, so no chapter is executed"
        warnings.warn(message, pytest.PytestConfigWarning, stacklevel=1)


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(CHAPTERS):
            item.add_marker("slow")
