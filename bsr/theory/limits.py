"""Closed forms: recovery thresholds, and the limits of low rank, long sequences and full rank."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize.elementwise import find_root

from bsr._checks import check_broadcast
from bsr._typing import Numbers
from bsr.spectrum import aspect_ratio

SMALLEST = 1e-300  # of the variables that are solved for by their logarithm

__all__ = ["long_sequence_mmse", "low_rank_mmse", "strong_recovery", "weak_recovery"]


def _short_over_long(ratio):
    """min(ratio, 1/ratio), without overflow."""
    return np.minimum(ratio, 1.0 / np.maximum(ratio, 1.0))


def strong_recovery(beta: ArrayLike = 1.0, rho: ArrayLike = 1.0) -> Numbers:
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
    arXiv:2410.18858; book, chapter 8, :eq:`eq-08-strong`.
    """
    beta, rho = check_broadcast(beta=(beta, "positive"), rho=(rho, "positive"))
    rho = np.minimum(rho, 1.0)
    return (rho * (1.0 + (1.0 - rho) / aspect_ratio(beta)))[()]


def weak_recovery(*, beta: ArrayLike = 1.0, delta: ArrayLike = 0.0) -> Numbers:
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
    arXiv:2410.18858; book, chapter 8, :eq:`eq-08-weak`.
    """
    beta, delta = check_broadcast(beta=(beta, "positive"), delta=(delta, "non-negative"))
    k = np.sqrt(_short_over_long(beta))
    return ((1.0 + delta) / (k + 1.0 / k))[()]


def low_rank_mmse(alpha_bar: ArrayLike, *, beta: ArrayLike = 1.0, delta: ArrayLike = 0.0) -> Numbers:
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
    With t = sqrt(b) / ((1 + b) h), k = 1 / sqrt(b) and w = k + 1/k the fixed point of arXiv:2410.18858 becomes one
    root on (0, 1) of delta / (w t) + e(t) = alpha_bar, where w t e(t) is the error and
    e(t) = (1 + k t (3 - t^2) / (1 + k^2)) / ((1 + k t) (1 + t/k)). Book, chapter 8,
    :eq:`eq-08-low`.

    At finite rank the error is smaller by O(rho), and by O(rho^(2/3)) within a relative distance of order rho^(1/3) of
    weak recovery (observed, book, chapter 8).
    """
    alpha_bar, beta, delta = check_broadcast(
        alpha_bar=(alpha_bar, "positive"), beta=(beta, "positive"), delta=(delta, "non-negative")
    )
    k, onset = np.sqrt(_short_over_long(beta)), weak_recovery(beta=beta, delta=delta)
    w = k + 1.0 / k

    def per_unit(t, k):  # the error over w t, which is 1 at t = 0
        return (1.0 + k * t * (3.0 - t**2) / (1.0 + k**2)) / ((1.0 + k * t) * (1.0 + t / k))

    def excess(log_t, alpha_bar, k, w, delta):
        t = np.exp(log_t)
        return delta / w / t + per_unit(t, k) - alpha_bar

    learnt = np.where(alpha_bar > 1.0, delta / np.where(alpha_bar > 1.0, alpha_bar - 1.0, 1.0), np.inf)
    out = np.where(alpha_bar <= onset, 1.0, np.where((delta == 0.0) & (alpha_bar >= 1.0), 0.0, learnt))
    partial = (alpha_bar > onset) & (out > SMALLEST * w)  # below, the error is delta / (alpha_bar - 1) to rounding
    if partial.any():
        args = alpha_bar[partial], k[partial], w[partial], delta[partial]
        low = np.log(np.maximum(0.99 * (args[3] / args[2] / args[0]), SMALLEST))  # 1 % for rounding
        t = np.exp(find_root(excess, (low, np.zeros_like(low)), args=args).x)
        out[partial] = args[2] * t * per_unit(t, args[1])
    return out[()]


def long_sequence_mmse(alpha: ArrayLike, *, rho: ArrayLike = 1.0, delta: ArrayLike = 0.0) -> Numbers:
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
    The error is noise * e(noise), where e is the smaller root of (1 - e)(1 - e/rho) = noise * e and the noise of the
    equivalent observation the one root of delta/noise + e(noise) = alpha: the limit of arXiv:2410.18858 with its
    square root written without cancellations. Book, chapter 8, :eq:`eq-08-long`.

    At finite b = max(beta, 1/beta) the error is larger: MMSE(noise)/noise by at most (1 - e)/b, the error at given
    alpha by O(1/b), and without a gap to the transition by O(b^(-1/2)) (observed, book, chapter 8).
    """
    alpha, rho, delta = check_broadcast(alpha=(alpha, "positive"), rho=(rho, "positive"), delta=(delta, "non-negative"))
    short, ratio = np.minimum(rho, 1.0), _short_over_long(rho)

    def per_noise(noise, short, ratio):  # e
        w = noise * short
        root = np.hypot(1.0 - ratio, np.sqrt(w) * np.sqrt(w + 2.0 * (1.0 + ratio)))
        return 2.0 * short / (1.0 + ratio + w + root)

    def excess(log_noise, alpha, short, ratio, delta):
        noise = np.exp(log_noise)
        return delta / noise + per_noise(noise, short, ratio) - alpha

    e = np.minimum(alpha, short)
    out = np.asarray((1.0 - e) * (1.0 - e / rho))  # without noise
    noisy = delta > 0.0
    if noisy.any():
        args = alpha[noisy], short[noisy], ratio[noisy], delta[noisy]
        low, high = np.log(0.99 * args[3]) - np.log(args[0]), np.log1p(args[3]) - np.log(0.99 * args[0])
        low, high = np.clip((low, high), *np.log((SMALLEST, 1.0 / SMALLEST)))
        found = find_root(excess, (low, high), args=args)
        noise = np.exp(found.x)
        error = np.minimum(noise * per_noise(noise, args[1], args[2]), 1.0)
        out[noisy] = np.where(
            found.success, error, excess(high, *args) > 0.0
        )  # no sign change: nothing or all is learnt
    return out[()]
