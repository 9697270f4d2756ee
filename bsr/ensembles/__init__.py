"""Ensembles: laws of tokens other than the standard normal one.

Labels know tokens through <X, S> / sqrt(dL) alone. Where that is a sum of many small independent terms it is normal,
and tokens of any law teach as much as normal ones: for classes of sensing matrices that are not Gaussian the optimal
error is proved to be the same, arXiv:2503.14121, which states the conditions. That an estimator's error is the same
is an observation. Where few entries dominate, or entries depend on each other, neither need hold.
"""

from bsr.ensembles._dependent import Codebook, Correlated
from bsr.ensembles._ensemble import Ensemble
from bsr.ensembles._images import Digits, Photograph
from bsr.ensembles._independent import Gaussian, Rademacher, Sparse, Student, Uniform

__all__ = [
    "Codebook",
    "Correlated",
    "Digits",
    "Ensemble",
    "Gaussian",
    "Photograph",
    "Rademacher",
    "Sparse",
    "Student",
    "Uniform",
]

_KINDS = (Gaussian, Rademacher, Uniform, Student, Sparse, Codebook, Correlated, Digits, Photograph)
NAMED = {kind.__name__: kind for kind in _KINDS}  # those that a text describes
