"""Learning by the smallest nuclear norm: interpolation or penalised least squares, with a certified duality gap.

One primal-dual iteration serves both methods. It decomposes one L x d matrix and passes once over the constraints.
`primal-dual` uses the data as they are. `douglas-rachford` first makes their rows orthonormal: this is worth its
O(n^2 dL) operations where the data are few or n is close to dL, for the iterations are fewer then.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy import linalg
from tqdm import trange

from bsr._checks import check_integer, check_real, check_samples, warn_convergence
from bsr._compile import kernel
from bsr._threads import blas_for
from bsr.estimators._constraints import FEASIBLE, largest_eigenvalue, least_norm, orthonormal, raise_inconsistent
from bsr.sensing import adjoint, forward, fused

__all__ = ["NuclearNorm", "nuclear_norm"]

_DIRECT = 400  # largest n (1 - sqrt(n/(dL)))^(1/2) at which an orthonormal basis pays: its cost over passes saved
_MEMORY = 4e9  # bytes, for the basis and the Gram matrix
_RELAXATION = 1.8
_ADAPT = (5, 10, 20, 40, 80, 160, 320)  # iterations that change the step: finitely many, so convergence is not at stake
_CHECK = 5
_FORCED = 200  # an iteration that tries the certificate whatever its chances: it tells if the labels are contradictory


class _Method(NamedTuple):
    share: float  # step for alpha > 1/4, in units of the threshold at which soft-thresholding has n degrees of freedom
    least: float  # step in units of ||S|| / ||W||, W the dual matrix: that threshold may be 0, as at exact recovery,
    most: float  # or infinite
    slack: float  # what the residuals add to the gap, in units of the nuclear norm of a matrix of that Frobenius norm


_METHODS = {"douglas-rachford": _Method(0.8, 0.15, 5.0, 0.0), "primal-dual": _Method(0.35, 0.08, 2.0, 0.6)}


@dataclass(frozen=True)
class NuclearNorm:
    """Result of `nuclear_norm`.

    Attributes
    ----------
    S : ndarray, shape (L, d)
        The estimate. With lam=0 it meets the labels to 1e-8 relative, converged or not.
    converged : bool
        Whether `gap` is at most the tolerance.
    iterations : int
        Singular-value decompositions done.
    gap : float
        (value of S - value of the dual point) / value of S: S is within this fraction of the minimum. Computed in
        float64 from S, `dual` and the data alone, at least 0.
    dual : ndarray, shape (n,)
        A dual point: ||sum_mu dual_mu X_mu / sqrt(dL)||_op <= 1. Its value is <dual, y> for lam=0, and
        lam <dual, y> - lam^2 ||dual||^2 / 2 for lam>0; no S has less.
    method : str
        The method used.
    """

    S: np.ndarray
    converged: bool
    iterations: int
    gap: float
    dual: np.ndarray
    method: str


def nuclear_norm(X, y, lam=0.0, *, tol=1e-6, method=None, iterations=5000, progress=False):
    """Minimise ||S||_* subject to <X_mu, S>/sqrt(dL) = y_mu, or 1/2 sum (y - <X, S>/sqrt(dL))^2 + lam ||S||_*.

    Parameters
    ----------
    X : array_like, shape (n, L, d)
        Token sequences. float32 halves the memory; sums are in float64 all the same.
    y : array_like, shape (n,)
        Labels.
    lam : float, default 0.0
        Penalty, zero or positive. Zero asks for interpolation.
    tol : float, default 1e-6
        Stop when the relative duality gap is certified to be below this.
    method : {None, 'douglas-rachford', 'primal-dual'}
        None takes Douglas-Rachford if lam=0 and an orthonormal basis of the data, kept in float64 besides X, fits in
        4 GB and is likely to save more time than it takes. The primal-dual method needs no memory besides X and is the
        only one for lam>0. With lam=0 it is slow where X is ill-conditioned, as for n close to dL or above.
    iterations : int, default 5000
        Largest number of iterations.
    progress : bool, default False
        Show a progress bar.

    Returns
    -------
    NuclearNorm

    Raises
    ------
    ValueError
        If shapes do not match, entries are not finite, a parameter is out of range, or lam=0 and no S meets the labels.

    Warns
    -----
    ConvergenceWarning
        If the gap is still above the tolerance. `S` and `gap` are valid all the same.

    Notes
    -----
    With A S = <X, S>/sqrt(dL), a step gamma and eta >= ||A||^2, one iteration is ::

        S' = soft-threshold of S + A^T q at gamma
        q' = (q + (y - A(2S' - S)) / eta) / (1 + lam / (eta gamma))

    followed by over-relaxation of both. q / gamma tends to the dual solution. With orthonormal rows eta = 1 and this is
    the Douglas-Rachford method. Convergence is fast when gamma is close to the threshold theta of approximate message
    passing, where divergence(theta) = n - lam dL / theta at S + theta A^T dual; gamma is set to a fraction of it a few
    times. The divergence of soft-thresholding is that of arXiv:1210.4139, section 3.2. Book, chapter 11,
    :eq:`eq-11-problem` and :eq:`eq-11-dual`.
    """
    X, y = check_samples(X, y)
    X = np.ascontiguousarray(X)
    lam = check_real("lam", lam, "non-negative")
    tol = check_real("tol", tol, "positive")
    if lam.ndim or tol.ndim:
        raise ValueError(f"lam and tol must be single numbers, got shapes {lam.shape} and {tol.shape}")
    lam, tol = float(lam), float(tol)
    iterations = check_integer("iterations", iterations, 1)
    n, D = len(y), X[0].size
    if method is None:
        pays = n >= D or n * np.sqrt(1.0 - np.sqrt(n / D)) <= _DIRECT
        direct = lam == 0.0 and pays and 8 * n * D + 8 * min(n, D) ** 2 <= _MEMORY
        method = "douglas-rachford" if direct else "primal-dual"
    if method not in _METHODS:
        raise ValueError(f"method must be None or one of {', '.join(map(repr, _METHODS))}, got {method!r}")
    if lam > 0.0 and method == "douglas-rachford":
        raise ValueError(f"method='douglas-rachford' interpolates: it needs lam=0, got lam={lam!r}")

    with blas_for(n * min(n, D) * D):
        basis = orthonormal(X, y) if method == "douglas-rachford" and y.any() else None
    S, dual, gap, done = _solve(X, y, lam, tol, basis, _METHODS[method], iterations, progress)
    if gap > tol:
        warn_convergence(f"the duality gap {gap:.1e} is above tol={tol} after {done} iterations")
    return NuclearNorm(S=S, converged=gap <= tol, iterations=done, gap=gap, dual=dual, method=method)


@blas_for(0)  # small decompositions between passes over X
def _solve(X, y, lam, tol, basis, method, iterations, progress):
    """S, the dual point, the gap they certify, iterations done."""
    scale = 1.0 / np.sqrt(X[0].size)
    G = scale * adjoint(X, y)
    top = linalg.norm(G, 2)
    if not y.any() or (lam > 0.0 and top <= lam):
        return np.zeros(X.shape[1:]), y / lam if lam else np.zeros(len(y)), 0.0, 0
    if top == 0.0:
        raise_inconsistent()
    if basis is not None:
        B, target, to_data, correction = basis
        rms, unit, eta = 1.0, 1.0, 1.0
    else:
        B, target, to_data, correction = X, y, None, partial(least_norm, X, stop=0.1 * FEASIBLE * linalg.norm(y))
        # The iteration wants rows of norm 1.
        rms = np.sqrt(np.einsum("mij,mij->m", X, X).mean(dtype=np.float64) / X[0].size)
        unit, eta = scale / rms, 1.03 * largest_eigenvalue(X, G) / rms**2

    def certificate(S, q):
        if lam > 0.0:
            return _penalised_certificate(X, y, lam, S / rms)
        return _interpolation_certificate(X, y, S / rms, q if to_data is None else to_data(q), correction)

    return _iterate(B, target, unit, eta, lam / rms, tol, method, certificate, iterations, progress)


def _iterate(B, target, unit, eta, lam, tol, method, certificate, iterations, progress):
    """The primal-dual iteration for the rows `unit` * B: S, the dual point, the gap they certify, iterations done."""
    n, shape, D = len(B), B.shape[1:], B[0].size
    longer, penalty = max(shape), lam * D
    share = method.share * min(1.0, 2.0 * np.sqrt(n / D))
    S, q = np.zeros(shape), target * (D / n)
    W = unit * adjoint(B, q)  # A^T q throughout
    sigma = linalg.svdvals(W)
    theta = _threshold(sigma, np.zeros_like(sigma), 1e-3 * sigma[0], sigma[0], n, longer, penalty)
    gamma, gate = share * theta, tol
    with trange(iterations, disable=not progress) as bar:
        for t in bar:
            if t in _ADAPT:
                sigma = linalg.svdvals(S + W)
                kept, cut = np.maximum(sigma - gamma, 0.0), np.minimum(sigma, gamma) / gamma
                theta = _threshold(kept, cut, 0.1 * theta, 10.0 * theta, n, longer, penalty)
                balance = linalg.norm(kept) / linalg.norm(cut)
                goal = (
                    np.clip(share * theta, method.least * balance, method.most * balance) if balance else share * theta
                )
                gamma, W, q = goal, goal / gamma * W, goal / gamma * q
            S_new = _soft_threshold(S + W, gamma)
            residual, G = fused(B, unit * (2.0 * S_new - S), target, 1.0)
            damping = 1.0 / (1.0 + lam / (eta * gamma))
            W_new, q_new = damping * (W + (unit / eta) * G), damping * (q + residual / eta)
            forced = t + 1 in (_FORCED, iterations)
            if (t + 1) % _CHECK == 0 or forced:
                candidate = S_new if lam > 0.0 else 2.0 * S_new - S + W_new - W  # feasible if the rows are orthonormal
                guess = _expected_gap(candidate, W_new, q_new, residual, target, lam, gamma, method.slack)
                if progress:
                    bar.set_postfix(gap=f"about {guess:.0e}")
                if guess <= gate or forced:
                    S_end, dual, gap = certificate(candidate, q_new)
                    if gap <= tol or t + 1 == iterations:
                        return S_end, dual, gap, t + 1
                    gate = max(0.9 * tol / gap * guess, 0.1 * gate)  # what would have been small enough, in proportion
            S += _RELAXATION * (S_new - S)
            W += _RELAXATION * (W_new - W)
            q += _RELAXATION * (q_new - q)


def _soft_threshold(R, gamma):
    """Singular values lowered by gamma, to no less than 0, from the eigenvalues of the smaller Gram matrix."""
    if len(R) > len(R.T):
        return _soft_threshold(R.T, gamma).T
    squares, left = np.linalg.eigh(R @ R.T)
    kept = np.searchsorted(squares, gamma**2, side="right")
    left = left[:, kept:]
    return (left * (1.0 - gamma / np.sqrt(squares[kept:]))) @ (left.T @ R)


@kernel()
def _divergence(sigma, theta, longer):
    """Divergence of soft-thresholding at a matrix with these singular values, shorter side long."""
    total = 0.0
    for i in range(len(sigma)):
        if sigma[i] > theta:
            total += 1.0 + (longer - len(sigma)) * (1.0 - theta / sigma[i])
            for j in range(len(sigma)):
                if sigma[j] <= theta:
                    total += 2.0 * sigma[i] * (sigma[i] - theta) / (sigma[i] ** 2 - sigma[j] ** 2)
                elif j != i:
                    total += 1.0 - theta / (sigma[i] + sigma[j])
    return total


@kernel()
def _threshold(offset, slope, low, high, n, longer, penalty):
    """The theta in [low, high] where divergence = n - penalty / theta at the singular values offset + theta * slope."""
    for _ in range(25):
        theta = np.sqrt(low * high)
        if _divergence(offset + theta * slope, theta, longer) > n - penalty / theta:
            low = theta
        else:
            high = theta
    return np.sqrt(low * high)


def _expected_gap(S, W, q, residual, target, lam, gamma, slack):
    """What the certificate will say of S and q, roughly and without a pass over the data."""
    nuclear, top, error = linalg.norm(S, "nuc"), linalg.norm(W, 2), linalg.norm(residual)
    if lam == 0.0:
        return abs(1.0 - q @ target / (top * nuclear)) + slack * np.sqrt(min(S.shape)) * error / nuclear
    value = 0.5 * error**2 + lam * nuclear
    dual = lam / max(top, gamma) * q
    return abs(1.0 - (dual @ target - 0.5 * dual @ dual) / value)


def _interpolation_certificate(X, y, S, dual, correction):
    """S made feasible, the dual point made feasible, and the gap between their values."""
    scale = 1.0 / np.sqrt(S.size)
    top = scale * linalg.norm(adjoint(X, dual), 2)
    dual = dual / top if top > 0.0 else dual
    S = S + correction(y - scale * forward(X, S))
    error = linalg.norm(y - scale * forward(X, S))
    if error > FEASIBLE * linalg.norm(y):
        return S, dual, np.inf
    return S, dual, max(1.0 - dual @ y / linalg.norm(S, "nuc"), 0.0)


def _penalised_certificate(X, y, lam, S):
    """S, its residual scaled to the best feasible dual point, and the gap between their values."""
    scale = 1.0 / np.sqrt(S.size)
    residual, G = fused(X, scale * S, y, 1.0)
    power = residual @ residual
    value = 0.5 * power + lam * linalg.norm(S, "nuc")
    dual = np.clip(residual @ y / power, 0.0, lam / (scale * linalg.norm(G, 2))) * residual
    gap = 1.0 - (dual @ y - 0.5 * dual @ dual) / value
    return S, dual / lam, max(gap, 0.0)
