"""Closed forms: recovery thresholds, and the limits of low rank, long sequences and full rank."""

import numpy as np
from numba import njit
from scipy.optimize.elementwise import find_root

from bsr._checks import check_real

__all__ = ["long_sequence_mmse", "low_rank_mmse", "strong_recovery", "weak_recovery"]


@njit(cache=True)
def _strong_recovery(b, rho):
    return rho * (1.0 + b - rho) / b if rho < 1.0 else 1.0


def strong_recovery(beta=1.0, rho=1.0):
    """Sample complexity alpha above which noiseless labels determine the teacher: its number of free parameters.

    Parameters
    ----------
    beta, rho : array_like, default 1.0
        Aspect ratio L/d and rank per dimension r/min(d, L), positive.

    Returns
    -------
    float or ndarray, broadcast shape
        rho (1 + b - rho) / b with b = max(beta, 1/beta) for rho < 1, else 1.

    Raises
    ------
    ValueError
        If an argument is not positive and finite.

    References
    ----------
    arXiv:2410.18858; book, chapter 8.
    """
    beta, rho = check_real("beta", beta, "positive"), check_real("rho", rho, "positive")
    b = np.maximum(beta, 1.0 / beta)
    return np.where(rho < 1.0, rho * (1.0 + b - rho) / b, 1.0)[()]


def weak_recovery(beta=1.0, delta=0.0):
    """Sample complexity alpha_bar = n / (r (d + L)) above which low-rank teachers (rho -> 0) can be learned at all.

    Parameters
    ----------
    beta : array_like, default 1.0
        Aspect ratio, positive.
    delta : array_like, default 0.0
        Variance of the label noise, zero or positive.

    Returns
    -------
    float or ndarray, broadcast shape
        (1 + delta) sqrt(b) / (1 + b), symmetric under beta -> 1/beta.

    Raises
    ------
    ValueError
        If an argument is out of range or not finite.

    References
    ----------
    arXiv:2410.18858; book, chapter 8.
    """
    beta, delta = check_real("beta", beta, "positive"), check_real("delta", delta, "non-negative")
    return ((1.0 + delta) * np.sqrt(beta) / (1.0 + beta))[()]


def low_rank_mmse(alpha_bar, beta=1.0, delta=0.0):
    """Bayes-optimal error for rho -> 0 at fixed alpha_bar = n / (r (d + L)): a few directions among many.

    Parameters
    ----------
    alpha_bar : array_like
        Samples per degree of freedom, positive.
    beta, delta : array_like
        As in `weak_recovery`.

    Returns
    -------
    float or ndarray, broadcast shape
        1 up to `weak_recovery`; for delta = 0 exactly 0 from alpha_bar = 1.

    Raises
    ------
    ValueError
        If an argument is out of range or not finite.

    Notes
    -----
    With s = 1 / ((1 + b) h) the fixed point of arXiv:2410.18858 becomes one root on (0, 1/sqrt(b)) of
    delta / s + (1 + b + 3 b s - b^2 s^3) / ((1 + s) (1 + b s)) = (1 + b) alpha_bar. Book, chapter 8.
    """
    alpha_bar = check_real("alpha_bar", alpha_bar, "positive")
    beta, delta = check_real("beta", beta, "positive"), check_real("delta", delta, "non-negative")
    alpha_bar, b, delta = np.broadcast_arrays(alpha_bar, np.maximum(beta, 1.0 / beta), delta)

    def error_over_s(s, b):
        return (1.0 + b + 3.0 * b * s - b**2 * s**3) / ((1.0 + s) * (1.0 + b * s))

    def equation(s, alpha_bar, b, delta):
        noise = np.divide(delta, s, out=np.zeros_like(s), where=delta > 0.0)
        return noise + error_over_s(s, b) - (1.0 + b) * alpha_bar

    out = np.where(alpha_bar > weak_recovery(b, delta), 0.0, 1.0)
    partial = (out == 0.0) & ((delta > 0.0) | (alpha_bar < 1.0))
    if partial.any():
        args = alpha_bar[partial], b[partial], delta[partial]
        s = find_root(equation, (args[2] / ((1.0 + args[1]) * args[0]), 1.0 / np.sqrt(args[1])), args=args).x
        out[partial] = s * error_over_s(s, args[1])
    return out[()]


def long_sequence_mmse(alpha, rho=1.0, delta=0.0):
    """Bayes-optimal error for beta -> infinity (or 0): regression with the short side's covariance known.

    Parameters
    ----------
    alpha : array_like
        Sample complexity n / (dL), positive.
    rho, delta : array_like
        Rank per short dimension, positive, and label noise, zero or positive.

    Returns
    -------
    float or ndarray, broadcast shape
        Without noise (1 - alpha)(1 - alpha/rho) for alpha < min(1, rho), else 0.

    Raises
    ------
    ValueError
        If an argument is out of range or not finite.

    Notes
    -----
    With e = alpha - delta/noise the error is (1 - e)(1 - e/rho), where e is the one root on (0, min(alpha, 1, rho)) of
    (alpha - e)(1 - e)(rho - e) = delta rho e: the limit of arXiv:2410.18858 solved for its root. Book, chapter 8.
    """
    alpha, rho = check_real("alpha", alpha, "positive"), check_real("rho", rho, "positive")
    delta = check_real("delta", delta, "non-negative")
    alpha, rho, delta = np.broadcast_arrays(alpha, rho, delta)
    top = np.asarray(np.minimum(np.minimum(alpha, 1.0), rho))
    e = top.copy()
    noisy = delta > 0.0
    if noisy.any():

        def equation(e, alpha, rho, delta):
            return (alpha - e) * (1.0 - e) * (1.0 - e / rho) - delta * e

        args = alpha[noisy], rho[noisy], delta[noisy]
        e[noisy] = find_root(equation, (np.zeros_like(top[noisy]), top[noisy]), args=args).x
    return ((1.0 - e) * (1.0 - e / rho))[()]
