"""Bilinear sequence regression: theory in the high-dimensional limit, and the same estimators run on data."""

from bsr import denoising, estimators, sensing, spectrum, sweep, theory
from bsr._checks import ConvergenceWarning
from bsr.model import Data, Problem, mse

__version__ = "0.1.0"
__all__ = [
    "ConvergenceWarning",
    "Data",
    "Problem",
    "denoising",
    "estimators",
    "mse",
    "sensing",
    "spectrum",
    "sweep",
    "theory",
]
