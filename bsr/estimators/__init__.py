"""The estimators, run on data.

Each is a function of arrays that returns a frozen result with `S`, `converged`, `iterations` and more. Each tells the
bytes that it needs besides X, by ``nuclear_norm.memory(shape, dtype, ...)`` with its own options, and refuses with a
MemoryError to begin where they are not available.
"""

from bsr.estimators._gamp_rie import GampHistory, GampRie, gamp_rie
from bsr.estimators._gradient_descent import DescentHistory, GradientDescent, gradient_descent
from bsr.estimators._interpolate import interpolate
from bsr.estimators._nuclear_norm import NuclearNorm, nuclear_norm
from bsr.estimators._posterior import Posterior, posterior
from bsr.estimators._randomised_map import randomised_map
from bsr.estimators._result import Result, State, TeacherError
from bsr.estimators._ridge import Ridge, ridge

__all__ = [
    "DescentHistory",
    "GampHistory",
    "GampRie",
    "GradientDescent",
    "NuclearNorm",
    "Posterior",
    "Result",
    "Ridge",
    "State",
    "TeacherError",
    "gamp_rie",
    "gradient_descent",
    "interpolate",
    "nuclear_norm",
    "posterior",
    "randomised_map",
    "ridge",
]
