"""Ridge regression on the flattened sequence."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from scipy import linalg
from scipy.linalg import lapack

from bsr._checks import check_number, check_samples, warn_convergence
from bsr._memory import check_memory
from bsr.estimators._result import Result

__all__ = ["Ridge", "ridge"]

_RCOND_MIN = 1e-10  # the Gram system has the square of the data's condition number
_GRADIENT, _ROUNDING = 1e-6, 1e-12  # of the gradient at the solution


@dataclass(frozen=True, eq=False, repr=False)
class Ridge(Result):
    """Result of `ridge`.

    Attributes
    ----------
    S : ndarray, shape (L, d)
        The estimate.
    converged : bool
        Whether the gradient of the objective vanishes at S to 1e-6 of its value at 0: the solution is direct, so only
        rounding could prevent it.
    iterations : int
        Always 1.
    """

    S: np.ndarray
    converged: bool
    iterations: int = 1


def ridge(X: ArrayLike, y: ArrayLike, lam: float) -> Ridge:
    """Minimise sum (y - <X, S>/sqrt(dL))^2 + lam ||S||^2 over S.

    Parameters
    ----------
    X : array_like, shape (n, L, d)
        Token sequences. Copied once, to rows in float64.
    y : array_like, shape (n,)
        Labels.
    lam : float
        Penalty, zero or positive. Zero gives the least-squares solution of minimal norm.

    Returns
    -------
    Ridge

    Raises
    ------
    ValueError
        If shapes do not match, entries are not finite, or `lam` is negative.
    MemoryError
        If ``ridge.memory(X.shape)`` bytes are not available.

    Warns
    -----
    ConvergenceWarning
        If rounding spoiled the solution.

    Notes
    -----
    Solves the smaller of the two Gram systems, n x n or dL x dL, in float64. Where its condition number would cost more
    than ten of the sixteen digits (dependent samples and little or no penalty) it takes the singular values of the data
    instead; those below max(n, dL) float64 roundings of the largest count as zero. Book, chapter 2,
    :eq:`eq-02-solution`.
    """
    X, y = check_samples(X, y)
    lam = check_number("lam", lam, "non-negative")
    n, L, d = X.shape
    check_memory("ridge", memory, X.shape, X.dtype)
    A = np.divide(X.reshape(n, L * d), np.sqrt(d * L), dtype=np.float64)
    wide = n <= L * d
    gram = A @ A.T if wide else A.T @ A
    gram.flat[:: len(gram) + 1] += lam
    factor, failed = lapack.dpotrf(gram)
    if not failed and lapack.dpocon(factor, linalg.norm(gram, 1))[0] > _RCOND_MIN:
        S = A.T @ linalg.cho_solve((factor, False), y) if wide else linalg.cho_solve((factor, False), A.T @ y)
    else:
        left, sigma, right = linalg.svd(A, full_matrices=False, check_finite=False)
        kept = sigma > max(A.shape) * np.finfo(np.float64).eps * sigma[0]
        sigma = sigma[kept]
        S = right[kept].T @ (sigma / (sigma**2 + lam) * (left[:, kept].T @ y))
    pull = A.T @ y
    gradient = linalg.norm(A.T @ (y - A @ S) - lam * S)
    converged = bool(gradient <= _GRADIENT * linalg.norm(pull) + _ROUNDING * linalg.norm(A) * linalg.norm(y))
    if not converged:
        warn_convergence(
            f"the gradient is {gradient:.1e} at the solution, {linalg.norm(pull):.1e} at 0: ill-conditioned"
        )
    return Ridge(S=S.reshape(L, d), converged=converged)


def memory(shape: tuple[int, int, int], dtype: DTypeLike = np.float32, **options: object) -> int:
    """Bytes that `ridge` needs besides X: the data in float64 and the scratch of a decomposition, two Gram matrices."""
    n, L, d = shape
    return 16 * n * L * d + 16 * min(n, L * d) ** 2


ridge.memory = memory
