"""Bilinear sequence regression: theory in the high-dimensional limit, and the same estimators run on data."""

import importlib

from bsr import channels, denoising, ensembles, estimators, sensing, spectrum, theory, tokens
from bsr._checks import ConvergenceWarning
from bsr._version import __version__
from bsr.model import Data, Problem, mse, predict

__all__ = [
    "ConvergenceWarning",
    "Data",
    "Problem",
    "__version__",
    "channels",
    "denoising",
    "ensembles",
    "estimators",
    "mse",
    "predict",
    "sensing",
    "spectrum",
    "sweep",
    "theory",
    "tokens",
]

# Imported when they are asked for. `plotting` and `regression` need extras, so a star import leaves them out.
_OPTIONAL = ("plotting", "regression", "sweep")


def __getattr__(name):
    if name in _OPTIONAL:
        return importlib.import_module(f"bsr.{name}")
    raise AttributeError(f"module 'bsr' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_OPTIONAL])
