"""Whole paths of penalties from one decomposition of the data: ridge and nuclear norm, for numbers and for classes.

The data are a matrix A, n rows of L x d entries, centred; penalties are in the units of the objectives, descending.
"""

import warnings
from functools import cached_property, partial

import numpy as np
from scipy import linalg
from sklearn.exceptions import ConvergenceWarning as SolverWarning
from sklearn.linear_model import LogisticRegression

from bsr._threads import blas_for
from bsr.estimators._logistic import GraphSplitting, best_intercept
from bsr.estimators._splitting import DouglasRachford, iterate

__all__ = ["Classes", "Numbers"]

_ROUNDING = 1e-10  # eigenvalues below this, relative, count as zero


class _Matrix:
    """As `bsr.tokens.ArrayTokens`, for small float64 tokens and many passes: by BLAS in one thread."""

    def __init__(self, A):
        self.flat, self.shape, self.entries = A.reshape(len(A), -1), A.shape, A[0].size

    def __len__(self):
        return len(self.flat)

    def forward(self, S):
        return self.flat @ S.ravel()

    def adjoint(self, g):
        return (g @ self.flat).reshape(self.shape[1:])

    def residual(self, S, y):
        g = y - self.forward(S)
        return g, self.adjoint(g)


class Directions:
    """Eigenvectors V (entries, k) and positive eigenvalues of A^T A, from the smaller Gram matrix."""

    def __init__(self, A):
        n, D = A.shape
        wide = n <= D
        with blas_for(n * min(n, D) * D):
            values, vectors = linalg.eigh(A @ A.T if wide else A.T @ A, driver="evd", check_finite=False)
            kept = values > _ROUNDING * max(values[-1], 0.0)
            self.values = values[kept]
            self.vectors = A.T @ (vectors[:, kept] / np.sqrt(self.values)) if wide else vectors[:, kept]


class _Squares:
    """As `bsr.estimators._constraints.LeastSquares`, but any shift is free: S' is found in the eigenbasis of A^T A."""

    def __init__(self, directions, image, power):
        self._values, self._vectors, self._image, self._power = *vars(directions).values(), image, power

    def set_shift(self, shift):
        self._shift = shift

    def __call__(self, S):
        """The minimiser S' of ||y - A S'||^2 + shift ||S' - S||^2, <y - A S', y> and ||y - A S'||^2."""
        inside = S.ravel() @ self._vectors
        move = (self._image - self._values * inside) / (self._values + self._shift)
        inside += move
        explained = self._image @ inside
        power = self._power - 2.0 * explained + inside @ (self._values * inside)
        return S + (self._vectors @ move).reshape(S.shape), self._power - explained, max(power, 0.0)


class Numbers:
    """Squared errors: sum_mu (y_mu - <A_mu, S>)^2 / 2 and a penalty; y has been centred.

    Parameters
    ----------
    A : ndarray, shape (n, L, d)
    y : ndarray, shape (n,)
    """

    def __init__(self, A, y):
        self._X, self._y, self.shape = _Matrix(A), y, A.shape[1:]
        self._directions = Directions(self._X.flat)
        pull = self._X.adjoint(y)
        self._image = pull.ravel() @ self._directions.vectors
        self.largest = linalg.norm(pull, 2)  # nuclear penalty from which on S = 0

    def ridge(self, penalties):
        """S and intercept for each penalty lam of lam ||S||^2 / 2."""
        values, vectors = self._directions.values, self._directions.vectors
        for lam in penalties:
            yield (vectors @ (self._image / (values + lam))).reshape(self.shape), 0.0

    def nuclear(self, penalties, tol, iterations=2000):
        """S, intercept and the certified gap for each penalty lam of lam ||S||_*."""
        squares, start = _Squares(self._directions, self._image, self._y @ self._y), None
        for lam in penalties:
            if lam >= self.largest:
                yield np.zeros(self.shape), 0.0, 0.0
                continue
            splitting = DouglasRachford(self._X, self._y, 1.0, lam, start, squares)
            S, _, gap, _ = iterate(splitting, tol, iterations, _silent)
            start = splitting.state()
            yield S, 0.0, gap


class Classes:
    """Log-loss: sum_mu w_mu log(1 + exp(-y_mu (<A_mu, S> + b))) and a penalty on S, y being -1 or 1.

    Parameters
    ----------
    A : ndarray, shape (n, L, d)
    y : ndarray, shape (n,)
    weights : ndarray, shape (n,)
    """

    def __init__(self, A, y, weights):
        self._X, self._y, self._weights, self.shape = _Matrix(A), y, weights, A.shape[1:]
        self.intercept = best_intercept(np.zeros(len(y)), y, weights)
        slope = weights * y / (1.0 + np.exp(y * self.intercept))
        self.largest = linalg.norm((slope @ self._X.flat).reshape(self.shape), 2)

    @cached_property
    def _directions(self):
        """Of the data less their mean: S lies in their span, as slopes of the loss sum to zero."""
        return Directions(self._X.flat - self._X.flat.mean(axis=0))

    def ridge(self, penalties):
        """S and intercept for each penalty lam of lam ||S||^2 / 2."""
        basis = self._directions.vectors
        reduced = self._X.flat @ basis
        solver = LogisticRegression(tol=1e-6, max_iter=1000, warm_start=True)
        for lam in penalties:
            solver.set_params(C=1.0 / lam)
            with warnings.catch_warnings():  # what is not quite at its minimum is judged by its errors all the same
                warnings.simplefilter("ignore", SolverWarning)
                solver.fit(reduced, self._y, self._weights)
            yield (basis @ solver.coef_[0]).reshape(self.shape), float(solver.intercept_[0])

    def nuclear(self, penalties, tol, iterations=2000):
        """S, intercept and the certified gap for each penalty lam of lam ||S||_*."""
        make = partial(GraphSplitting, self._X, self._y, 1.0, weights=self._weights, **vars(self._directions))
        S, gamma = np.zeros(self.shape), None
        for lam in penalties:
            if lam >= self.largest:
                yield S, self.intercept, 0.0
                continue
            splitting = make(lam=lam, start=S, gamma=gamma)
            S, _, gap, _ = iterate(splitting, tol, iterations, _silent)
            gamma = splitting.gamma
            yield S, splitting.intercept, gap


def _silent(*_):
    return False
