"""The linear constraints A S = y of interpolation, A S = <X_mu, S>/sqrt(dL): bases, projections, contradictions.

Small problems are solved by a factor of the Gram matrix, or by singular values if rows depend on each other; large ones
by Krylov methods, which take one pass over X a step.
"""

from functools import partial

import numpy as np
from scipy import linalg
from scipy.linalg import blas, lapack

from bsr.sensing import adjoint, forward, fused

FEASIBLE = 1e-8  # relative error of the labels up to which they count as met
_RCOND_MIN = 1e-7  # below it, solutions by the Gram matrix would have a larger one


def orthonormal(X, y):
    """Constraints B S = target with orthonormal rows; maps of their dual points and of errors in y to the data's."""
    (n, *shape), D = X.shape, X[0].size
    A = np.divide(X.reshape(n, D), np.sqrt(D), dtype=np.float64)
    B, solve, to_data = _row_space(A)

    def correction(r):
        return (solve(r) @ B).reshape(shape)

    if linalg.norm(y - forward(X, correction(y)) / np.sqrt(D)) > FEASIBLE * linalg.norm(y):
        raise_inconsistent()
    return B.reshape(-1, *shape), solve(y), to_data, correction


def _row_space(A):
    """An orthonormal basis B = M A of the rows of A; the maps r -> M r and q -> M^T q."""
    n, D = A.shape
    gram = A @ A.T if n <= D else A.T @ A
    norm = linalg.norm(gram, 1)
    factor, failed = lapack.dpotrf(gram.T, lower=1, overwrite_a=1)
    if failed or lapack.dpocon(factor, norm, uplo="L")[0] < _RCOND_MIN:
        left, sigma, right = linalg.svd(A, full_matrices=False, check_finite=False)
        rank = np.count_nonzero(sigma > max(n, D) * np.finfo(np.float64).eps * sigma[0])
        left, sigma, right = left[:, :rank], sigma[:rank], right[:rank]
        return np.ascontiguousarray(right), lambda r: left.T @ r / sigma, lambda q: left @ (q / sigma)
    if n > D:  # the rows span the whole space
        solve = partial(linalg.cho_solve, (factor, True))
        return np.eye(D), lambda r: solve(A.T @ r), lambda q: A @ solve(q)
    # In the memory of A: its transpose is in Fortran order, as BLAS wants it.
    B = blas.dtrsm(1.0, factor, A.T, side=1, lower=1, trans_a=1, overwrite_b=1).T
    return B, *(partial(linalg.solve_triangular, factor, lower=True, trans=trans) for trans in (0, 1))


def largest_eigenvalue(X, G, steps=12):
    """Largest eigenvalue of A^T A, to about a per cent from below, by the Lanczos method started at G."""
    scale, nothing = 1.0 / np.sqrt(G.size), np.zeros(len(X))
    diagonal, off_diagonal = [], []
    before, v, beta = 0.0, G / linalg.norm(G), 0.0
    for _ in range(steps):
        w = fused(X, -scale * v, nothing, scale)[1] - beta * before
        diagonal.append(np.vdot(w, v))
        w -= diagonal[-1] * v
        beta = linalg.norm(w)
        if beta <= 1e-8 * diagonal[0]:
            break
        off_diagonal.append(beta)
        before, v = v, w / beta
    return linalg.eigvalsh_tridiagonal(diagonal, off_diagonal[: len(diagonal) - 1])[-1]


def least_norm(X, labels, stop, steps=2000):
    """The S of least Frobenius norm with A S = labels to within `stop`, by conjugate gradients on A^T A."""
    scale, nothing = 1.0 / np.sqrt(X[0].size), np.zeros(len(X))
    S, residual = np.zeros(X.shape[1:]), labels
    descent = direction = scale * adjoint(X, residual)
    size = 0.0
    for _ in range(steps):
        error, slope = linalg.norm(residual), linalg.norm(descent)
        if error <= stop:
            break
        if (
            slope <= FEASIBLE * size * error
        ):  # no S has a smaller error; or rounding says so, as it may after many steps
            descent = direction = scale * adjoint(X, residual)
            slope = linalg.norm(descent)
            if slope <= FEASIBLE * size * error:
                raise_inconsistent()
        image, G = fused(X, -scale * direction, nothing, 1.0)
        size = max(size, linalg.norm(image) / linalg.norm(direction))  # of A
        step = (slope / linalg.norm(image)) ** 2
        S = S + step * direction
        residual = residual - step * image
        descent = descent - step * scale * G
        direction = descent + (linalg.norm(descent) / slope) ** 2 * direction
    return S


def raise_inconsistent():
    raise ValueError(
        "y cannot be met: the constraints <X_mu, S>/sqrt(dL) = y_mu are inconsistent, as with noisy labels and n > dL, "
        "or equal sequences with different labels; lam > 0 allows residuals"
    )
