"""Nuclear-norm learning: the error of the interpolator of minimal norm and of the penalised problem, and the threshold.

The estimator minimises 1/2 sum (y - <X, S>/sqrt(dL))^2 + lambda ||S||_*, with lambda = lam (dL)^(1/4). In the limit it
is a singular-value soft threshold of a noisy teacher (state evolution of the message passing with that denoiser):

    noise = (delta + mse) / alpha,        lam = theta (alpha - divergence),

mse and divergence being those of x -> (x - theta)_+ at that noise. lam -> 0 is the interpolator: divergence = alpha.
At given noise alpha is explicit; at given alpha or error the noise is one bracketed root.
"""

import math
from functools import partial

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import quad
from scipy.optimize import brentq, minimize_scalar

from bsr._checks import check_broadcast, warn_convergence
from bsr._compile import in_chunks
from bsr._typing import Numbers
from bsr.spectrum import aspect_ratio
from bsr.theory._nuclear_norm import alpha_at_error, curve
from bsr.theory.limits import strong_recovery

__all__ = ["mse", "optimal_lam", "recovery_threshold", "sample_complexity"]

_ALPHA_TOL = 1e-9  # of where an error is least: the error is then within its square


def _recovered(alpha, b, rho, exact):
    """Where, of the points that are `exact` (no noise, no penalty to be paid), the teacher is recovered."""
    known = exact & (alpha >= 1.0)
    open_ = exact & (alpha > strong_recovery(b, rho)) & ~known
    if open_.any():
        problems, which = np.unique(np.stack([b[open_], rho[open_]]), axis=1, return_inverse=True)
        known[open_] = alpha[open_] >= _recovery_threshold(*problems)[which.ravel()]
    return known


def _evaluate(alpha, beta, rho, delta, lam):
    """Validate, broadcast and run the kernel: error, penalty, in the broadcast shape."""
    best = lam is None
    alpha, beta, rho, delta, lam = check_broadcast(
        alpha=(alpha, "positive"),
        beta=(beta, "positive"),
        rho=(rho, "positive"),
        delta=(delta, "non-negative"),
        lam=(0.0 if best else lam, "non-negative"),
    )
    flat = [a.flatten() for a in (alpha, aspect_ratio(beta), rho, delta, lam)]
    recovered = _recovered(*flat[:3], (flat[3] == 0.0) & (flat[4] == 0.0))
    error, penalty = np.empty(alpha.size), flat[4].copy()
    converged = in_chunks(curve, [*flat, recovered], [error, penalty], best)
    if not converged:
        warn_convergence("the nuclear-norm error did not converge everywhere")
    return error.reshape(alpha.shape)[()], penalty.reshape(alpha.shape)[()]


def mse(
    alpha: ArrayLike, beta: ArrayLike = 1.0, rho: ArrayLike = 1.0, delta: ArrayLike = 0.0, *, lam: ArrayLike | None
) -> Numbers:
    """Error of nuclear-norm learning.

    Parameters
    ----------
    alpha : array_like
        Sample complexity n / (dL), positive.
    beta, rho : array_like, default 1.0
        Aspect ratio L/d and rank per dimension r/min(d, L), positive.
    delta : array_like, default 0.0
        Variance of the label noise, zero or positive.
    lam : array_like or None
        Penalty, zero or positive: the data are fitted with lambda = lam (dL)^(1/4). Zero is the interpolator of minimal
        nuclear norm (for alpha >= 1 least squares), None the penalty with the least error.

    Returns
    -------
    float or ndarray, broadcast shape
        Exactly 0 for delta = 0, lam in (0, None) and alpha above `recovery_threshold`. May exceed 1, that of the
        estimate 0, unless lam is None. Infinite for alpha = 1, lam = 0, delta > 0.

    Raises
    ------
    ValueError
        If an argument is out of range or not finite.

    Warns
    -----
    ConvergenceWarning
        If a root missed its tolerance.

    References
    ----------
    Book, chapter 11, :eq:`eq-11-curve` (heuristic: state evolution of message passing with a singular-value soft
    threshold).
    """
    error, _ = _evaluate(alpha, beta, rho, delta, lam)
    return error


def optimal_lam(alpha: ArrayLike, beta: ArrayLike = 1.0, rho: ArrayLike = 1.0, delta: ArrayLike = 0.0) -> Numbers:
    """Penalty of least error: the one whose threshold minimises the error at the noise that it causes.

    Parameters
    ----------
    alpha, beta, rho, delta : array_like
        As in `mse`. The error at the best penalty is ``mse(..., lam=None)``.

    Returns
    -------
    float or ndarray, broadcast shape
        The penalty lam, to be multiplied by (dL)^(1/4) for `bsr.estimators.nuclear_norm`.

    Raises
    ------
    ValueError
        If an argument is out of range or not finite.

    Warns
    -----
    ConvergenceWarning
        If a root missed its tolerance.

    References
    ----------
    Book, chapter 11, :eq:`eq-11-curve` and :eq:`eq-11-explicit`.
    """
    _, penalty = _evaluate(alpha, beta, rho, delta, None)
    return penalty


@partial(np.vectorize, otypes=[float, float])
def _least_error(b, rho, delta):
    """Below alpha = 1, where the interpolator's error is least under noise, and that error, if it is below 1.

    On its way from 1 at alpha = 0 to infinity at alpha = 1 the error rises, falls and rises. A golden section could get
    lost on the near side of the maximum only if the minimum were less than 1.6 times as far. Where the error falls
    below 1 at all it was 5.8 times as far or more, in all of 700 problems; least where it only just does.
    """
    point = [np.array([value]) for value in (b, rho, delta, 0.0)]

    def error(alpha):
        out = np.empty(1)
        curve(np.array([alpha]), *point, np.array([False]), False, out, np.empty(1))
        return out[0]

    least = minimize_scalar(error, bounds=(0.0, 1.0), method="bounded", options={"xatol": _ALPHA_TOL})
    return least.x, least.fun


def sample_complexity(
    error: ArrayLike, beta: ArrayLike = 1.0, rho: ArrayLike = 1.0, delta: ArrayLike = 0.0, *, lam: float | None
) -> Numbers:
    """Smallest sample complexity alpha at which the error of nuclear-norm learning is `error`.

    Parameters
    ----------
    error : array_like
        Target error per entry, strictly between 0 and 1.
    beta, rho, delta : array_like
        As in `mse`.
    lam : {None, 0.0}
        None for the penalty of least error, 0.0 for the interpolator. With noise the interpolator's error falls and
        rises to infinity at alpha = 1: of two alpha with one error this is the smaller. Beyond 1 the interpolator is
        least squares, and what it does not reach before it reaches there, at 1 + delta / error.

    Returns
    -------
    float or ndarray, broadcast shape

    Raises
    ------
    ValueError
        If an argument is out of range or not finite.

    Warns
    -----
    ConvergenceWarning
        If a root missed its tolerance.

    References
    ----------
    Book, chapter 11, :eq:`eq-11-explicit`.
    """
    error, beta, rho, delta = check_broadcast(
        error=(error, "fraction"), beta=(beta, "positive"), rho=(rho, "positive"), delta=(delta, "non-negative")
    )
    if lam is not None and not (np.ndim(lam) == 0 and lam == 0.0):
        raise ValueError(f"lam must be None (the best) or 0.0 (interpolation), got {lam!r}")
    flat = [a.flatten() for a in (error, aspect_ratio(beta), rho, delta)]
    out = 1.0 + flat[3] / flat[0]  # of least squares
    alpha_max, below = np.ones(error.size), np.full(error.size, True)
    noisy = (flat[3] > 0.0) & (lam is not None)
    if noisy.any():
        problems, which = np.unique(np.stack(flat[1:])[:, noisy], axis=1, return_inverse=True)
        alpha_least, least = _least_error(*problems)
        alpha_max[noisy], below[noisy] = alpha_least[which.ravel()], least[which.ravel()] < flat[0][noisy]
    alpha = np.empty(np.count_nonzero(below))
    inputs = [a[below] for a in (*flat, alpha_max)]
    if not in_chunks(alpha_at_error, inputs, [alpha], lam is None):
        warn_convergence("the nuclear-norm sample complexity did not converge everywhere")
    out[below] = alpha
    return out.reshape(error.shape)[()]


def _incomplete(x, k, gamma):
    """int_x^(gamma_+) t^(k-1) sqrt((gamma_+ - t)(t - gamma_-)) dt / (2 pi gamma), from max(x, gamma_-)."""
    # t = |1 + sqrt(gamma) exp(i phi)|^2 turns both square roots into sines.
    root = math.sqrt(gamma)
    cosine = (x - 1.0 - gamma) / (2.0 * root)
    end = math.acos(min(1.0, max(-1.0, cosine)))

    def integrand(phi):
        t = (1.0 - root) ** 2 + 4.0 * root * math.cos(0.5 * phi) ** 2
        return t ** (k - 1.0) * 2.0 * math.sin(phi) ** 2 / math.pi if t > 0.0 else 0.0

    return quad(integrand, 0.0, end, epsabs=1e-13, epsrel=1e-12, limit=200)[0]


def _block_ratio(b, rho):
    """Aspect ratio of the block of the matrix that is orthogonal to the teacher, at most 1."""
    c = 1.0 / b
    return c * (1.0 - rho) / (1.0 - rho * c)


@partial(np.vectorize, otypes=[float])
def _recovery_threshold(b, rho):
    if rho >= 1.0:
        return 1.0
    gamma = _block_ratio(b, rho)

    def stationarity(level):
        gain = _incomplete(level**2, 0.5, gamma) - level * _incomplete(level**2, 0.0, gamma)
        return gain - level * rho / (1.0 - rho)

    low = 0.5 * (1.0 + math.sqrt(gamma))
    while stationarity(low) < 0.0:
        low *= 0.5
    level = brentq(stationarity, low, 2.0 * low, xtol=1e-15, rtol=1e-14)
    return _dimension(b, rho, level, level**2)


def _dimension(b, rho, level, cut):
    """Statistical dimension per entry, of a cone that allows the squared singular values above cut, at one level."""
    gamma = _block_ratio(b, rho)
    first, half, zero = (_incomplete(cut, k, gamma) for k in (1.0, 0.5, 0.0))
    excess = rho * level**2 + (1.0 - rho) * (first - 2.0 * level * half + level**2 * zero)
    return strong_recovery(b, rho) + (1.0 - rho / b) * excess


@partial(np.vectorize, otypes=[float])
def _restricted_threshold(b, rho, width):
    threshold = _recovery_threshold(b, rho)
    if rho >= 1.0 or width >= 1.0:
        return threshold
    gamma = _block_ratio(b, rho)
    root, free = math.sqrt(gamma), (width - rho) / (1.0 - rho)
    cut = brentq(lambda x: _incomplete(x, 0.0, gamma) - free, (1.0 - root) ** 2, (1.0 + root) ** 2, xtol=1e-15)
    level = (1.0 - rho) * _incomplete(cut, 0.5, gamma) / width
    if level**2 < cut:  # else the singular values that the student leaves out would not count anyway
        threshold = _dimension(b, rho, level, cut)
    return min(threshold, strong_recovery(b, width))


def recovery_threshold(beta: ArrayLike = 1.0, rho: ArrayLike = 1.0, *, width: ArrayLike | None = None) -> Numbers:
    """Sample complexity alpha above which the minimal nuclear norm recovers the teacher from noiseless labels.

    Parameters
    ----------
    beta, rho : array_like, default 1.0
        Aspect ratio L/d and rank per dimension r/min(d, L), positive.
    width : array_like, optional
        Largest rank of the estimate per dimension, at least `rho`: the norm is minimised over matrices of this rank
        only, as weight decay does on the factors of a student. Default: all matrices.

    Returns
    -------
    float or ndarray, broadcast shape
        At least `limits.strong_recovery`; 1 for rho >= 1. With `width`, a number above which the teacher is a strict
        local minimum: the smaller of the statistical dimension of its tangent cone and of the student's number of
        parameters, ``limits.strong_recovery(beta, width)``.

    Raises
    ------
    ValueError
        If an argument is not positive and finite, or width is below rho.

    References
    ----------
    arXiv:1302.2331 (observation), arXiv:1303.6672 (theorem for the statistical dimension), arXiv:2410.18858; book,
    chapter 11, :eq:`eq-11-threshold`. With `width`: book, chapter 14, :eq:`eq-14-cone`, after arXiv:2601.10483.
    """
    if width is None:
        beta, rho = check_broadcast(beta=(beta, "positive"), rho=(rho, "positive"))
        return _recovery_threshold(aspect_ratio(beta), rho)[()]
    beta, rho, width = check_broadcast(beta=(beta, "positive"), rho=(rho, "positive"), width=(width, "positive"))
    if np.any(short := width < rho):
        raise ValueError(f"width must be at least rho = {rho[short][0]}, got {width[short][0]}")
    return _restricted_threshold(aspect_ratio(beta), rho, width)[()]
