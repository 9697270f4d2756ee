"""Bayes-optimal learning: the error curve, its inverse, and state evolution.

The curve is explicit in the noise = 1/q_hat of the equivalent denoising problem: alpha = (delta + MMSE(noise)) / noise,
error = MMSE(noise). No fixed point is iterated: at given alpha, noise is one bracketed root.
"""

import math

import numpy as np
from numba import njit

from bsr._checks import check_integer, check_real, warn_convergence
from bsr.denoising import _mmse
from bsr.denoising import mmse as denoising_mmse
from bsr.theory.limits import _strong_recovery

__all__ = ["mmse", "sample_complexity", "state_evolution"]

_TOL = 1e-11
_LOG_NOISE_MIN, _LOG_NOISE_MAX = -200.0, 200.0


@njit(cache=True)
def _solve(target, delta, exponent, lo, hi, guess, b, rho):
    """Noise where log(delta + MMSE(noise)) - exponent log(noise) = log(target), bracketed in log(noise) by (lo, hi).

    A secant method in doubly logarithmic coordinates, where the function is nearly linear, kept inside the bracket.
    Returns log(noise), the MMSE there and whether both converged.
    """
    sign = 1.0 if exponent == 0.0 else -1.0  # the function rises for exponent 0 and falls for exponent 1
    x, slope, x_old, f_old = guess, 1.0, math.nan, math.nan
    for i in range(200):
        mmse, converged = _mmse(math.exp(x), b, rho, _TOL)
        f = sign * (math.log(delta + mmse) - exponent * x - math.log(target))
        if f > 0.0:
            hi = x
        else:
            lo = x
        if i > 0 and x != x_old:
            slope = (f - f_old) / (x - x_old)
        new = x - f / slope if slope > 0.0 else math.nan
        # The error of a secant step is the product of the last two: it need not be evaluated once that is rounding, the
        # equation itself gives the MMSE at its end.
        if (i > 0 and abs(new - x) * abs(x - x_old) <= 1e-14) or abs(f) <= 1e-14 or hi - lo <= 1e-14:
            return new, mmse + (delta + mmse) * math.expm1(-sign * f + exponent * (new - x)), converged
        # A bisection every fourth time guarantees the end; from an endless bracket one walks.
        if i % 4 == 3 or not lo < new < hi:
            new = 0.5 * (max(lo, x - 10.0) + min(hi, x + 10.0))
        x_old, f_old, x = x, f, new
    return x, mmse, False


@njit(cache=True)
def _mmse_curve(alpha, b, rho, delta):
    out, all_converged = np.empty(alpha.size), True
    log_noise, slope = math.nan, math.nan  # along the curve d log(noise) / d log(alpha), to guess the next point
    for i in range(alpha.size):
        if delta[i] == 0.0 and alpha[i] >= _strong_recovery(b[i], rho[i]):
            out[i] = 0.0
            continue
        # Linear regression is no better than the Bayes-optimal error, the noise of the labels no larger.
        half = 0.5 * (delta[i] + 1.0 - alpha[i])
        root = math.sqrt(half * half + alpha[i] * delta[i])
        hi = math.log((half + root) / alpha[i]) if half > 0.0 else math.log(delta[i] / (root - half))
        lo = math.log(delta[i] / alpha[i]) if delta[i] > 0.0 else _LOG_NOISE_MIN
        guess, move = hi, 0.0
        if i > 0 and b[i] == b[i - 1] and rho[i] == rho[i - 1] and delta[i] == delta[i - 1]:
            move = math.log(alpha[i] / alpha[i - 1])
            guess = log_noise + (slope * move if math.isfinite(slope) else 0.0)
        if not lo < guess < hi:
            guess = hi
        old = log_noise
        log_noise, out[i], converged = _solve(alpha[i], delta[i], 1.0, lo, hi, guess, b[i], rho[i])
        slope = (log_noise - old) / move if move != 0.0 else math.nan
        all_converged = all_converged and converged
    return out, all_converged


@njit(cache=True)
def _noise_at_error(error, b, rho):
    noise, all_converged = np.empty(error.size), True
    for i in range(error.size):
        lo = math.log(error[i]) - math.log1p(-error[i])  # the error of linear denoising is noise / (1 + noise)
        log_noise, _, converged = _solve(error[i], 0.0, 0.0, lo, _LOG_NOISE_MAX, lo, b[i], rho[i])
        noise[i] = math.exp(log_noise)
        all_converged = all_converged and converged
    return noise, all_converged


def _arguments(beta, rho, delta, **first):
    (name, value), *_ = first.items()
    value = check_real(name, value, "positive")
    beta = check_real("beta", beta, "positive")
    rho, delta = check_real("rho", rho, "positive"), check_real("delta", delta, "non-negative")
    arrays = np.broadcast_arrays(value, np.maximum(beta, 1.0 / beta), rho, delta)
    return arrays[0].shape, [a.ravel() for a in arrays]


def mmse(alpha, beta=1.0, rho=1.0, delta=0.0):
    """Bayes-optimal error: the least E ||S_hat - S||^2 / (dL) that n = alpha d L samples allow.

    Parameters
    ----------
    alpha : array_like
        Sample complexity n / (dL), positive.
    beta, rho : array_like, default 1.0
        Aspect ratio L/d and rank per dimension r/min(d, L), positive.
    delta : array_like, default 0.0
        Variance of the label noise, zero or positive.

    Returns
    -------
    float or ndarray, broadcast shape
        Between 0 and 1; exactly 0 for delta = 0 and alpha above strong recovery.

    Raises
    ------
    ValueError
        If an argument is out of range or not finite.

    Warns
    -----
    ConvergenceWarning
        If a quadrature or a root missed its tolerance.

    References
    ----------
    arXiv:2410.18858, result 1 (replica prediction); book, chapter 6.
    """
    shape, (alpha, b, rho, delta) = _arguments(beta, rho, delta, alpha=alpha)
    out, converged = _mmse_curve(alpha, b, rho, delta)
    if not converged:
        warn_convergence("the Bayes-optimal error did not converge everywhere")
    return out.reshape(shape)[()]


def sample_complexity(error, beta=1.0, rho=1.0, delta=0.0):
    """Sample complexity alpha at which the Bayes-optimal error is `error`: the curve's explicit inverse.

    Parameters
    ----------
    error : array_like
        Target error per entry, strictly between 0 and 1.
    beta, rho, delta : array_like
        As in `mmse`.

    Returns
    -------
    float or ndarray, broadcast shape

    Raises
    ------
    ValueError
        If an argument is out of range or not finite.

    References
    ----------
    Book, chapter 6: alpha = (delta + error) / noise with MMSE(noise) = error.
    """
    shape, (error, b, rho, delta) = _arguments(beta, rho, delta, error=error)
    if (error >= 1.0).any():
        raise ValueError(f"error must be below 1, the error of no samples at all, got {error.max()}")
    noise, converged = _noise_at_error(error, b, rho)
    if not converged:
        warn_convergence("the sample complexity did not converge everywhere")
    return ((delta + error) / noise).reshape(shape)[()]


def state_evolution(alpha, beta=1.0, rho=1.0, delta=0.0, q0=0.0, iterations=50):
    """Overlaps q_0 ... q_T of Bayes-optimal message passing: q_{t+1} = 1 - MMSE((delta + 1 - q_t) / alpha).

    Parameters
    ----------
    alpha, beta, rho, delta : float
        As in `mmse`.
    q0 : float, default 0.0
        Overlap at the start, in [0, 1]; 0 is an uninformed start.
    iterations : int, default 50
        Number T of iterations.

    Returns
    -------
    ndarray, shape (iterations + 1,)
        The error after t iterations is 1 - q_t.

    Raises
    ------
    ValueError
        If an argument is out of range or not a single number.

    References
    ----------
    arXiv:2410.18858; book, chapters 6 and 9.
    """
    shape, (alpha, b, rho, delta) = _arguments(beta, rho, delta, alpha=alpha)
    if shape:
        raise ValueError(f"state_evolution takes single numbers, got arrays of broadcast shape {shape}")
    if not 0.0 <= q0 <= 1.0:
        raise ValueError(f"q0 must be in [0, 1], got {q0!r}")
    q = np.empty(check_integer("iterations", iterations, 0) + 1)
    q[0] = q0
    for t in range(iterations):
        q[t + 1] = 1.0 - denoising_mmse((delta[0] + 1.0 - q[t]) / alpha[0], b[0], rho[0])
    return q
