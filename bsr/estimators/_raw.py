"""What is learned from a view of tokens, said of the tokens themselves."""

from dataclasses import dataclass

import numpy as np

from bsr.estimators._result import Short
from bsr.tokens._views import View

__all__ = ["Raw", "raw_estimate", "without_intercept"]


@dataclass(frozen=True, eq=False, repr=False)
class Raw(Short):
    """An estimate for tokens as they were given, before views: labels are <X, S>/sqrt(dL) + intercept.

    Attributes
    ----------
    S : ndarray, shape (..., L, d)
        The matrix for them.
    intercept : ndarray, shape (...), or float
        Labels where <X, S> vanishes.
    """

    S: np.ndarray
    intercept: np.ndarray | float


def without_intercept(X, y):
    """Labels less their mean, and the mean, if the tokens are centred; labels and zero if not."""
    if not X.centred:
        return y, 0.0
    mean = y.mean(axis=-1)
    rest = (y - mean[..., None]).mean(axis=-1)  # rounding of the mean, which no centred tokens can meet
    return y - mean[..., None] - rest[..., None], mean + rest


def raw_estimate(X, S, mean=0.0):
    """What S says of the tokens under the view X; None if there is no view."""
    if not isinstance(X, View):
        return None
    return Raw(X.raw(S), mean + X.shift(S))
