"""Ridge regression on the flattened sequence."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from scipy import linalg
from scipy.linalg import lapack
from tqdm import tqdm

from bsr._checks import check_integer, check_number, warn_convergence
from bsr._memory import check_memory, fits
from bsr.estimators._constraints import BLOCK, gram, smallest
from bsr.estimators._raw import Raw, raw_estimate, without_intercept
from bsr.estimators._result import Result
from bsr.tokens import ArrayTokens, Tokens
from bsr.tokens._open import open_samples

__all__ = ["Ridge", "ridge"]

_METHODS = ("direct", "conjugate-gradients")
_RCOND_MIN = 1e-10  # the Gram system has the square of the data's condition number
_GRADIENT, _ROUNDING = 1e-6, 1e-12  # of the gradient at the solution
_LOST = 1e16  # growth of the gradient's square from which there is no return


@dataclass(frozen=True, eq=False, repr=False)
class Ridge(Result):
    """Result of `ridge`.

    Attributes
    ----------
    S : ndarray, shape (L, d)
        The estimate.
    converged : bool
        Whether the gradient of the objective vanishes at S to 1e-6 of its value at 0.
    iterations : int
        Those of the conjugate gradients; 1 of the direct solution.
    method : str
        The method used.
    raw : Raw or None
        The estimate for tokens as they were given, if X is a view of them; `S` is then the one for the view's.
    """

    S: np.ndarray
    converged: bool
    iterations: int = 1
    method: str = "direct"
    raw: Raw | None = None


def ridge(
    X: ArrayLike | Tokens,
    y: ArrayLike,
    lam: float,
    *,
    method: str | None = None,
    tol: float = 1e-12,
    iterations: int = 1000,
    progress: bool = False,
) -> Ridge:
    """Minimise sum (y - <X, S>/sqrt(dL))^2 + lam ||S||^2 over S.

    Parameters
    ----------
    X : array_like or Tokens, shape (n, L, d)
        Token sequences. Or whatever else holds them, see `bsr.tokens`.
    y : array_like, shape (n,)
        Labels.
    lam : float
        Penalty, zero or positive. Zero gives the least-squares solution of minimal norm.
    method : {None, 'direct', 'conjugate-gradients'}
        The direct solution takes a Gram matrix of min(n, dL)^2 numbers, and, unless n > dL, tokens that are one array.
        Conjugate gradients take one pass over X an iteration, and nothing else. None is direct where that fits in the
        memory available.
    tol : float, default 1e-12
        Gradient, relative to that at S = 0, at which the conjugate gradients stop.
    iterations : int, default 1000
        Largest number of their iterations.
    progress : bool, default False
        Show a progress bar of the conjugate gradients.

    Returns
    -------
    Ridge

    Raises
    ------
    ValueError
        If shapes do not match, entries are not finite, or a parameter is out of range.
    MemoryError
        If ``ridge.memory(X.shape, method=method)`` bytes are not available.

    Warns
    -----
    ConvergenceWarning
        If rounding spoiled the solution, or the iterations did not suffice.

    Notes
    -----
    The direct method solves the smaller of the two Gram systems, n x n or dL x dL, in float64. Where its condition
    number would cost more than ten of the sixteen digits (dependent samples and little or no penalty) it takes the
    singular values of the data instead; those below max(n, dL) float64 roundings of the largest, or of the rounding of
    a mean that was subtracted, count as zero. Book, chapter 2, :eq:`eq-02-solution`.

    Conjugate gradients reduce the error by (sqrt(k) - 1)/(sqrt(k) + 1) an iteration, with k the condition number of
    A^T A + lam. For white tokens A^T A has eigenvalues up to (1 + sqrt(alpha))^2, so lam = 0.1 takes some 60 to 90.
    """
    X, y = open_samples(X, y)
    lam, tol = check_number("lam", lam, "non-negative"), check_number("tol", tol, "non-negative")
    iterations = check_integer("iterations", iterations, 1)
    if method is not None and method not in _METHODS:
        raise ValueError(f"method must be None or one of {', '.join(map(repr, _METHODS))}, got {method!r}")
    y, mean = without_intercept(X, y)
    n, L, d = X.shape
    held = 0 if isinstance(X, ArrayTokens) or n > L * d else n * L * d * X.dtype.itemsize
    if method is None:
        method = _METHODS[0] if fits(held + memory(X.shape, X.dtype)) else _METHODS[1]
    check_memory("ridge", memory, X.shape, X.dtype, method=method)
    unit, done = 1.0 / np.sqrt(L * d), 1
    pull = unit * X.adjoint(y)
    if method == "direct":
        S, size = _solve(X, y, lam, unit, pull)
    else:
        S, size, done = _iterate(X, lam, unit, pull, tol, iterations, progress)
    gradient = linalg.norm(unit * X.residual(unit * S, y)[1] - lam * S)
    converged = bool(gradient <= _GRADIENT * linalg.norm(pull) + _ROUNDING * size * linalg.norm(y))
    if not converged:
        said = "ill-conditioned" if method == "direct" else f"{done} iterations were too few, or it is ill-conditioned"
        warn_convergence(f"the gradient is {gradient:.1e} at the solution, {linalg.norm(pull):.1e} at 0: {said}")
    return Ridge(S=S, converged=converged, iterations=done, method=method, raw=raw_estimate(X, S, mean))


def _solve(X, y, lam, unit, pull):
    """The solution by a factor of a Gram matrix, or by singular values; and the norm of the map A = unit X."""
    wide = len(X) <= X.entries
    system = gram(X, unit)
    size = np.sqrt(np.trace(system))
    system.T.flat[:: len(system) + 1] += lam
    norm = _norm(system)
    factor, failed = lapack.dpotrf(system, lower=1, overwrite_a=1)
    if not failed and lapack.dpocon(factor, norm, uplo="L")[0] > _RCOND_MIN:
        if wide:
            return unit * X.adjoint(lapack.dpotrs(factor, y, lower=1)[0]), size
        return lapack.dpotrs(factor, pull.ravel(), lower=1)[0].reshape(pull.shape), size
    check_memory("the singular-value decomposition of ridge", _decomposition, X.shape, X.dtype)
    A = np.multiply(X.dense().reshape(len(X), -1), unit, dtype=np.float64)
    left, sigma, right = linalg.svd(A, full_matrices=False, check_finite=False)
    kept = sigma > smallest(A, sigma, unit * X.grain)
    sigma = sigma[kept]
    return (right[kept].T @ (sigma / (sigma**2 + lam) * (left[:, kept].T @ y))).reshape(pull.shape), size


def _norm(system):
    """The largest absolute sum of a column of a symmetric matrix, of which only the lower triangle is there."""
    absolute = np.abs(system)
    return np.max(absolute.sum(axis=0) + absolute.sum(axis=1) - absolute.diagonal())


def _iterate(X, lam, unit, pull, tol, iterations, progress):
    """The same by conjugate gradients, and their number; for the norm only a lower bound.

    The smallest gradient counts: below, where it is rounding, directions that tokens do not have grow without end.
    """
    nothing, size, done = np.zeros(len(X)), 0.0, 0
    S = best = np.zeros(pull.shape)
    gradient = direction = pull
    power = least = first = np.vdot(pull, pull)
    with tqdm(total=iterations, disable=not progress, desc="ridge") as bar:
        while done < iterations and tol**2 * first < power <= _LOST * least:
            image, G = X.residual(-unit * direction, nothing)
            length = np.vdot(direction, direction)
            size = max(size, linalg.norm(image) / np.sqrt(length))
            if not (curvature := image @ image + lam * length) > 0.0:
                break
            S = S + (power / curvature) * direction
            gradient = gradient - (power / curvature) * (unit * G + lam * direction)
            before, power = power, np.vdot(gradient, gradient)
            direction = gradient + (power / before) * direction
            if power < least:
                best, least = S, power
            done += 1
            bar.update()
    return best, size, done


def _decomposition(shape, dtype):
    n, L, d = shape
    return 24 * n * L * d


def memory(
    shape: tuple[int, int, int], dtype: DTypeLike = np.float32, *, method: str | None = None, **options: object
) -> int:
    """Bytes that `ridge` needs besides X: a Gram matrix and its moduli, or for conjugate gradients a few vectors."""
    n, L, d = shape
    vectors, system = 80 * (n + L * d), 8 * min(n, L * d) ** 2
    return vectors + (0 if method == "conjugate-gradients" else system + max(system, 8 * min(BLOCK, n * L * d)))


ridge.memory = memory
