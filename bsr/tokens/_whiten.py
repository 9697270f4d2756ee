"""Covariances of positions and of channels from the data themselves, and the view that takes them out."""

import operator
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from tqdm import trange

from bsr._checks import check_integer, check_number, warn_convergence, warn_outside
from bsr._typing import Array
from bsr.tokens._misfit import kronecker_misfit
from bsr.tokens._open import as_tokens
from bsr.tokens._tokens import Tokens
from bsr.tokens._views import Centred, Whitened

__all__ = ["MisfitWarning", "Whitening", "whiten"]

_TESTED = 2**23  # entries of the sequences that tell whether the form fits
_ALARM = 4.0  # standard deviations


class MisfitWarning(UserWarning):
    """The covariance of tokens is no product of one of positions and one of channels, see `whiten`."""


class Whitening(Whitened):
    """Tokens P (X - mean) Q with what `whiten` found; made by it.

    Parameters
    ----------
    X : Tokens, shape (n, L, d)
        Centred.
    P : ndarray, shape (L', L)
    Q : ndarray, shape (d, d')
    covariances : tuple of ndarray, shapes (L, L) and (d, d)
    shrinkages : tuple of float
    iterations : int
    converged : bool
    excess : float
    misfit : float

    Attributes
    ----------
    tokens : Tokens
        Those given, less their mean.
    P, Q : ndarray
        Symmetric roots of the inverse covariances; where tokens do not vary in some directions, L' < L or d' < d, in
        orthonormal coordinates of the others.
    covariances : tuple of ndarray, shapes (L, L) and (d, d)
        Of positions, with mean 1 on the diagonal in the directions kept, and of channels, in the square of the unit of
        X: entries X_ij and X_i'j' have covariance left_ii' right_jj'. As shrunk.
    shrinkages : tuple of float
        Weights of the multiple of the identity in each, in [0, 1].
    iterations : int
        Pairs of passes over the data.
    converged : bool
        Whether the last changed less than the tolerance.
    excess : float
        How far the covariance is from a Kronecker product, see `whiten`: zero if it is one.
    misfit : float
        The same in standard deviations.
    """

    def __init__(
        self,
        X: Tokens,
        P: Array,
        Q: Array,
        *,
        covariances: tuple[Array, Array],
        shrinkages: tuple[float, float],
        iterations: int,
        converged: bool,
        excess: float,
        misfit: float,
    ) -> None:
        super().__init__(X, P, Q)
        self.covariances, self.shrinkages = covariances, shrinkages
        self.iterations, self.converged = iterations, converged
        self.excess, self.misfit = excess, misfit


class _Side(NamedTuple):
    """One of the two covariances."""

    basis: Array  # orthonormal, of the directions in which tokens vary
    covariance: Array  # in that basis
    root: Array  # inverse, of that
    shrinkage: float


def whiten(
    X: ArrayLike | Tokens,
    *,
    shrinkage: str | None = "ledoit-wolf",
    tol: float = 1e-8,
    iterations: int = 50,
    progress: bool = False,
) -> Whitening:
    """Take out of tokens their mean and the covariances of positions and of channels, as estimated from them.

    Parameters
    ----------
    X : array_like or Tokens, shape (n, L, d)
        Tokens, in any unit. Those that are already a view `Centred`, or a view of one, keep their mean.
    shrinkage : {"ledoit-wolf", "oas", None}, default "ledoit-wolf"
        How far each covariance is moved towards a multiple of the identity: by the formula of Ledoit and Wolf, for
        entries of any law, or the oracle approximation of Chen and others, for normal ones. None gives the maximum of
        the likelihood, which is equivariant: of A X B the same comes out up to rotations. It needs more than
        1 + L/d + d/L sequences.
    tol : float, default 1e-8
        Stop when both covariances, in units of those before, change by less than this on average over directions.
    iterations : int, default 50
        Largest number of pairs of passes over the data.
    progress : bool, default False
        Show a progress bar.

    Returns
    -------
    Whitening
        A view, of X less its mean, that estimators take. Their `predict` takes tokens as they were.

    Raises
    ------
    ValueError
        If X is no such array, its entries are not finite or all the same, or there are too few sequences to do without
        shrinkage.

    Warns
    -----
    ConvergenceWarning
        If the tolerance was not reached.
    MisfitWarning
        If `misfit` exceeds 4: the covariance is not a Kronecker product. Whitened tokens are then white in positions
        and in channels each on average over the other, and no more than that.

    Notes
    -----
    For normal tokens of covariance A x B the likelihood is largest where each covariance is the mean over sequences of
    X B^-1 X^T / d and X^T A^-1 X / L; the two are solved in turn, a pass over the data each, that holds a block. A
    direction in which no sequence varies is left out, in which case P or Q has fewer rows or columns.

    The test. For C = A x B, tr C^2 (tr C)^2 is the product of the squared norms of the two partial traces of C. An
    unbiased estimate of each, from pairs of the whitened sequences (of 2^23 entries at most, at equal distances), gives
    `excess`, and in units of its scatter for independent entries `misfit`, about n/2 times that for normal ones.
    Measured for X = A Z B in 300 to 1000 draws each of n sequences of size L x d (10 of 5x5, 40 of 5x8, 300 of 3x4, 20
    and 200 of 10x10, 50 of 20x20, 20 of 2x40, 1000 of 4x4), Z normal, of signs or of Student's t5: mean -0.2 to 0.1,
    standard deviation 0.9 to 1.1, above 4 in at most 0.1 %; for Student's t3 in at most 1.3 %, and for entries of which
    5 % are not zero in at most 0.5 %, but in 1.4 % at 20 of 10x10 and 11 % at 10 of 5x5. What does not fit is found
    once the excess is about 10/n: a stationary sequence of correlation 0.8^k cut into rows has `misfit` 28(2) at 300 of
    3x4, 11(1) at 200 of 10x10, and 1.4(9) at 50 of 20x20, where it passes. One channel or one position always fits;
    fewer than four sequences tell nothing, and give NaN.

    References
    ----------
    P. Dutilleul, J. Stat. Comput. Simul. 64, 105 (1999); O. Ledoit and M. Wolf, J. Multivar. Anal. 88, 365 (2004);
    Y. Chen and others, IEEE Trans. Signal Process. 58, 5016 (2010); for the test S. X. Chen, L.-X. Zhang and P.-S.
    Zhong, J. Am. Stat. Assoc. 105, 810 (2010).
    """
    X = as_tokens(X)
    (n, L, d), dtype = X.shape, X.dtype
    if shrinkage is not None and (not isinstance(shrinkage, str) or shrinkage not in _INTENSITIES):
        raise ValueError(f"shrinkage must be one of {', '.join(map(repr, _INTENSITIES))} or None, got {shrinkage!r}")
    tol, iterations = check_number("tol", tol, "non-negative"), check_integer("iterations", iterations, 1)
    if shrinkage is None and not n - 1 > L / d + d / L:
        raise ValueError(
            f"X must have more than {1 + L / d + d / L:.3g} sequences of size {L} x {d} for shrinkage=None, got {n}"
        )
    if not X.centred:
        X = Centred(X)
    sides, maps, change, done = [None, None], [np.eye(L), np.eye(d)], np.inf, 0
    for done in trange(1, iterations + 1, desc="whiten", disable=not progress):  # noqa: B007  told below
        change = 0.0
        for axis in (0, 1):
            moments = _moments(X, axis, maps[1 - axis])
            side = _side(*moments, sides[axis], n, shrinkage, dtype)
            if axis == 0:  # the units are those of channels
                unit = np.trace(side.covariance) / len(side.covariance)
                side = side._replace(covariance=side.covariance / unit, root=side.root * np.sqrt(unit))
            change = max(change, np.inf if sides[axis] is None else _change(sides[axis], side))
            sides[axis] = side
            maps[axis] = side.root @ side.basis.T if axis == 0 else side.basis @ side.root
        if change <= tol:
            break
    if not (converged := bool(change <= tol)):
        warn_convergence(f"whiten did not converge: after {done} iterations covariances change by {change:.2g}")
    P, Q = maps
    excess, misfit = kronecker_misfit(P @ X.some(_TESTED // X.entries).astype(np.float64) @ Q)
    if misfit > _ALARM:
        warn_outside(
            f"the covariance of X is not one of positions times one of channels: tr C^2 is {1 + excess:.3g} times what "
            f"it would be then, {misfit:.3g} standard deviations too large; tokens are whitened on average only: "
            "prefer ridge, nuclear_norm or posterior to message passing",
            MisfitWarning,
        )
    return Whitening(
        X,
        P,
        Q,
        covariances=tuple(side.basis @ side.covariance @ side.basis.T for side in sides),
        shrinkages=tuple(side.shrinkage for side in sides),
        iterations=done,
        converged=converged,
        excess=excess,
        misfit=misfit,
    )


def _moments(X, axis, other):
    """Of the vectors along an axis, whitened by the map of the other: mean products, mean fourth power of lengths,
    and their number."""
    products, fourth, count = X.reduce(partial(_sums, axis, other), _add)
    return products / count, fourth / count, count


def _sums(axis, other, block):
    tokens = block.tokens.astype(np.float64, copy=False)
    half = np.moveaxis(tokens @ other if axis == 0 else other @ tokens, 1 + axis, 0)
    vectors = half.reshape(len(half), -1)
    return vectors @ vectors.T, np.sum(np.einsum("ij,ij->j", vectors, vectors) ** 2), vectors.shape[1]


def _add(left, right):
    return tuple(map(operator.add, left, right))


def _side(products, fourth, count, before, n, shrinkage, dtype):
    """A covariance from its moments; the first time, with the directions that are kept."""
    basis = _basis(products, count * (n - 1) // n, dtype) if before is None else before.basis
    covariance, weight = basis.T @ products @ basis, 0.0
    if shrinkage is not None:
        mean = np.trace(covariance) / len(covariance)
        weight = _INTENSITIES[shrinkage](covariance, mean, fourth, count)
        covariance = (1 - weight) * covariance + weight * mean * np.eye(len(covariance))
    values, vectors = np.linalg.eigh(covariance)
    values = np.maximum(values, _smallest(values, dtype))  # on the way to a likelihood without a maximum
    return _Side(basis, covariance, (vectors / np.sqrt(values)) @ vectors.T, weight)


def _basis(products, independent, dtype):
    values, vectors = np.linalg.eigh(products)
    if not values[-1] > 0:
        raise ValueError("X must have sequences that differ, got only one, or copies of one")
    if independent < len(products):  # too few vectors to tell what varies
        return np.eye(len(products))
    kept = values > _smallest(values, dtype)
    return np.eye(len(products)) if kept.all() else vectors[:, kept]


def _smallest(values, dtype):
    """Variances below this are rounding, of tokens or of sums."""
    return values[-1] * len(values) * max(np.finfo(np.float64).eps, np.finfo(dtype).eps ** 2)


def _change(before, after):
    scaled = before.root @ after.covariance @ before.root
    return np.linalg.norm(scaled - np.eye(len(scaled))) / np.sqrt(len(scaled))


# The formulas of scikit-learn, whose functions want all vectors in memory, in terms of the moments that they need. That
# vectors are whitened makes them independent samples, as the formulas assume.


def _ledoit_wolf(covariance, mean, fourth, count):
    squares, p = np.sum(covariance**2), len(covariance)
    spread = squares - p * mean**2
    noise = min((fourth - squares) / count, spread)
    return float(noise / spread) if noise > 0 else 0.0


def _oas(covariance, mean, fourth, count):
    squares, p = np.mean(covariance**2), len(covariance)
    spread = (count + 1) * (squares - mean**2 / p)
    return float(min((squares + mean**2) / spread, 1.0)) if spread > 0 else 1.0


_INTENSITIES = {"ledoit-wolf": _ledoit_wolf, "oas": _oas}
