"""The linear map A S = <X_mu, S> * unit of the nuclear norm: its size, least-squares steps, bases, contradictions.

Small problems are solved by a factor of the Gram matrix, or by singular values if rows depend on each other; large ones
by Krylov methods, which take one pass over X a step. All sums are in float64 whatever the type of X.
"""

from functools import partial

import numpy as np
from scipy import linalg
from scipy.linalg import blas, lapack

from bsr.tokens import ArrayTokens

FEASIBLE = 1e-8  # relative error of the labels up to which they count as met
_RCOND_MIN = 1e-7  # below it, solutions by the Gram matrix would have a larger one
BLOCK = 2**22  # entries of X that are held in float64 at once
_GRAINS = 4.0  # norm of what rounding adds to centred tokens, in units of its entries: 0.7 at most as measured
_LANCZOS = 4  # steps: the bound they give may be a tenth low, which the iteration sees and mends


def gram(X, unit):
    """The smaller of A A^T, for which X is made one array, and A^T A; its lower triangle, in Fortran order."""
    if len(X) <= X.entries:
        return _add_products(np.zeros((len(X), len(X)), order="F"), X.dense().reshape(len(X), -1), unit)
    out = np.zeros((X.entries, X.entries), order="F")
    for _, block in X.blocks():
        out = _add_products(out, block.reshape(len(block), -1).T, unit)
    return out


def _add_products(out, A, unit):
    """Adds unit^2 A A^T to the lower triangle of `out`."""
    columns = max(1, BLOCK // len(A))
    for j in range(0, len(A.T), columns):
        part = np.multiply(A[:, j : j + columns], unit, dtype=np.float64, order="F")
        out = blas.dsyrk(1.0, part, beta=1.0, c=out, lower=1, overwrite_c=1)
    return out


def smallest(A, sigma, grain):
    """Singular values of A, descending, below this are rounding: of sums, or of entries to within `grain`."""
    return max(A.shape) * np.finfo(np.float64).eps * sigma[0] + _GRAINS * grain * np.sqrt(A.size)


class LeastSquares:
    """S -> argmin over S' of ||y - A S'||^2 + shift ||S' - S||^2, for A = unit * X and any shift > 0, by a factor.

    One n x n system and two passes over X if n <= dL, one dL x dL system and no pass otherwise.
    """

    def __init__(self, X, y, unit):
        self._X, self._y, self._unit = X, y, unit
        self._wide = len(X) <= X.entries
        self._gram = gram(X, unit)
        self._image = unit * X.adjoint(y)

    def set_shift(self, shift):
        """Factor the system anew."""
        shifted = self._gram.copy(order="F")
        shifted.T.flat[:: len(shifted) + 1] += shift
        factor, failed = lapack.dpotrf(shifted, lower=1, overwrite_a=1)
        if failed:
            # Rounding of a singular Gram matrix: `shift` is below the accuracy of its entries.
            shifted = self._gram.copy(order="F")
            shifted.T.flat[:: len(shifted) + 1] += shift + len(shifted) * np.finfo(float).eps * np.trace(shifted)
            factor = lapack.dpotrf(shifted, lower=1, overwrite_a=1)[0]
        self._shift, self._factor = shift, factor

    def __call__(self, S):
        """The minimiser S', <y - A S', y> and ||y - A S'||^2."""
        if self._wide:
            multiplier = lapack.dpotrs(self._factor, self._y - self._unit * self._X.forward(S), lower=1)[0]
            residual = self._shift * multiplier
            return S + self._unit * self._X.adjoint(multiplier), residual @ self._y, residual @ residual
        moved = lapack.dpotrs(self._factor, (self._image + self._shift * S).ravel(), lower=1)[0].reshape(S.shape)
        overlap = self._y @ self._y - np.vdot(self._image, moved)
        return moved, overlap, overlap - self._shift * np.vdot(moved, moved - S)


def orthonormal(X, y, unit):
    """Constraints B S = target with orthonormal rows; maps of their dual points and of errors in y to the data's."""
    n, *shape = X.shape
    A = np.multiply(X.dense().reshape(n, -1), unit, dtype=np.float64)
    B, solve, to_data = _row_space(A, unit * X.grain)

    def correction(r):
        return (solve(r) @ B).reshape(shape)

    if linalg.norm(y - unit * X.forward(correction(y))) > FEASIBLE * linalg.norm(y):
        raise_inconsistent()
    return ArrayTokens(B.reshape(-1, *shape)), solve(y), to_data, correction


def _row_space(A, grain):
    """An orthonormal basis B = M A of the rows of A, of rounding `grain`; the maps r -> M r and q -> M^T q."""
    n, D = A.shape
    gram = A @ A.T if n <= D else A.T @ A
    norm = linalg.norm(gram, 1)
    factor, failed = lapack.dpotrf(gram.T, lower=1, overwrite_a=1)
    if failed or lapack.dpocon(factor, norm, uplo="L")[0] < _RCOND_MIN:
        left, sigma, right = linalg.svd(A, full_matrices=False, check_finite=False)
        rank = np.count_nonzero(sigma > smallest(A, sigma, grain))
        left, sigma, right = left[:, :rank], sigma[:rank], right[:rank]
        return np.ascontiguousarray(right), lambda r: left.T @ r / sigma, lambda q: left @ (q / sigma)
    if n > D:  # the rows span the whole space
        solve = partial(linalg.cho_solve, (factor, True))
        return np.eye(D), lambda r: solve(A.T @ r), lambda q: A @ solve(q)
    # In the memory of A: its transpose is in Fortran order, as BLAS wants it.
    B = blas.dtrsm(1.0, factor, A.T, side=1, lower=1, trans_a=1, overwrite_b=1).T
    return B, *(partial(linalg.solve_triangular, factor, lower=True, trans=trans) for trans in (0, 1))


def largest_eigenvalue(X, G, unit):
    """Largest eigenvalue of A^T A from below, by the Lanczos method started at G. It may be several per cent low."""
    nothing = np.zeros(len(X))
    diagonal, off_diagonal = [], []
    before, v, beta = 0.0, G / linalg.norm(G), 0.0
    for _ in range(_LANCZOS):
        w = unit * X.residual(-unit * v, nothing)[1] - beta * before
        diagonal.append(np.vdot(w, v))
        w -= diagonal[-1] * v
        beta = linalg.norm(w)
        if beta <= 1e-8 * diagonal[0]:
            break
        off_diagonal.append(beta)
        before, v = v, w / beta
    return linalg.eigvalsh_tridiagonal(diagonal, off_diagonal[: len(diagonal) - 1])[-1]


def least_norm(X, labels, unit, stop, steps=2000):
    """The S of least Frobenius norm with A S = labels to within `stop`, by conjugate gradients on A^T A."""
    nothing = np.zeros(len(X))
    S, residual = np.zeros(X.shape[1:]), labels
    descent = direction = unit * X.adjoint(residual)
    size = 0.0
    for _ in range(steps):
        error, slope = linalg.norm(residual), linalg.norm(descent)
        if error <= stop:
            break
        if slope <= FEASIBLE * size * error:  # no S has a smaller error; or rounding says so, as after many steps
            descent = direction = unit * X.adjoint(residual)
            slope = linalg.norm(descent)
            if slope <= FEASIBLE * size * error:
                raise_inconsistent()
        image, G = X.residual(-unit * direction, nothing)
        size = max(size, linalg.norm(image) / linalg.norm(direction))  # of A
        step = (slope / linalg.norm(image)) ** 2
        S = S + step * direction
        residual = residual - step * image
        descent = descent - step * unit * G
        direction = descent + (linalg.norm(descent) / slope) ** 2 * direction
    return S


def raise_inconsistent():
    raise ValueError(
        "y cannot be met: the constraints <X_mu, S>/sqrt(dL) = y_mu are inconsistent, as with noisy labels and n > dL, "
        "or equal sequences with different labels; lam > 0 allows residuals"
    )
