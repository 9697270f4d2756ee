"""Nuclear-norm learning: the error of the interpolator of minimal norm and of the penalised problem, and the threshold.

The estimator minimises 1/2 sum (y - <X, S>/sqrt(dL))^2 + lambda ||S||_*, with lambda = lam (dL)^(1/4). In the limit it
is a singular-value soft threshold of a noisy teacher (state evolution of the message passing with that denoiser):

    noise = (delta + mse) / alpha,        lam = theta (alpha - divergence),

mse and divergence being those of x -> (x - theta)_+ at that noise. lam -> 0 is the interpolator: divergence = alpha.
"""

import math
from functools import partial

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq, minimize_scalar

from bsr._checks import check_broadcast, warn_convergence
from bsr._compile import kernel
from bsr._law import nodes as _nodes
from bsr._uniformisation import bulk_edges, critical_points
from bsr.spectrum import aspect_ratio

__all__ = ["mse", "optimal_lam", "recovery_threshold", "sample_complexity"]

_TOL = 1e-11


@kernel()
def _soft_threshold(theta, noise, b, rho):
    """mse, divergence, the slope of the mse in theta, and whether the quadrature converged."""
    nodes, converged = _nodes(np.array([math.sqrt(b) * theta * theta]), _TOL, b, rho, noise)
    residual, divergence, slope = 0.0, 0.0, 0.0
    for i in range(nodes.shape[0]):
        y, weight, real, _ = nodes[i]
        x = math.sqrt(y / math.sqrt(b))
        weighted = weight * (b + 1.0 + 2.0 * real) / (b * x)
        if x > theta:
            residual += weight * theta * theta
            divergence += weighted * (x - theta)
            slope += 2.0 * (weight * theta / math.sqrt(b) - noise * weighted)
        else:
            residual += weight * x * x
    return residual / math.sqrt(b) - noise + 2.0 * noise * divergence, divergence, slope, converged


@kernel()
def _condition(theta, top, alpha, lam, best, noise, b, rho):
    """What vanishes at the threshold that belongs to the noise, rising through 0; the mse and the divergence."""
    mse, divergence, slope, converged = _soft_threshold(theta, noise, b, rho)
    if best:
        value = slope if theta < top else 1.0
    elif lam == 0.0:
        value = alpha - divergence
    else:
        value = theta * (alpha - divergence) - lam
    return value, mse, divergence, converged


@kernel()
def _threshold(alpha, lam, best, noise, guess, b, rho):
    """theta at given noise by a bracketed secant method; its mse and divergence."""
    top = math.sqrt(bulk_edges(critical_points(b, rho, noise), b, rho, noise)[-1, 1] / math.sqrt(b))
    lo, hi = 0.0, max(top, lam / alpha) * (1.0 + 1e-9)
    theta = guess if lo < guess < hi else 0.5 * top
    theta_old, f_old, mse, divergence, converged = math.nan, math.nan, math.nan, math.nan, True
    for i in range(100):
        f, mse, divergence, converged = _condition(theta, top, alpha, lam, best, noise, b, rho)
        if f > 0.0:
            hi = theta
        else:
            lo = theta
        slope = (f - f_old) / (theta - theta_old) if i > 0 else 0.0
        new = theta - f / slope if slope > 0.0 else math.nan
        # A short step says something only if the secant is a local one.
        if (abs(theta - theta_old) <= 0.1 * theta and abs(new - theta) <= 1e-12 * hi) or hi - lo <= 1e-14 * hi:
            return theta, mse, divergence, converged
        if not lo < new < hi or i % 5 == 4:
            new = 0.5 * (lo + hi)
        theta_old, f_old, theta = theta, f, new
    return theta, mse, divergence, False


@kernel()
def _fixed_point(alpha, lam, best, delta, log_noise, b, rho):
    """log(noise) where noise = (delta + mse) / alpha, theta chosen for it; theta, mse, divergence, converged."""
    lo = math.log(delta / alpha) if delta > 0.0 else -60.0
    hi = math.log((delta + 1.0) / alpha) + 60.0
    x = log_noise if lo < log_noise < hi else math.log((delta + 1.0) / alpha)
    x_old, f_old, ratio = math.nan, math.nan, 1.0
    theta = math.nan
    for i in range(100):
        noise = math.exp(x)
        theta, mse, divergence, converged = _threshold(alpha, lam, best, noise, ratio * theta, b, rho)
        f = math.log(alpha * noise / (delta + max(mse, 0.0))) if delta + mse > 0.0 else math.inf
        if f > 0.0:
            hi = x
        else:
            lo = x
        slope = (f - f_old) / (x - x_old) if i > 0 else 1.0
        new = x - f / slope if slope > 0.0 else math.nan
        if (abs(x - x_old) <= 0.1 and abs(new - x) <= 1e-11) or hi - lo <= 1e-12:
            return x, theta, mse, divergence, converged
        if i % 5 == 4 or not lo < new < hi:
            new = 0.5 * (max(lo, x - 6.0) + min(hi, x + 6.0))
        ratio = math.exp(0.5 * (new - x))  # the threshold scales as the width of the noise
        x_old, f_old, x = x, f, new
    return x, theta, mse, divergence, False


@kernel()
def _curve(alpha, b, rho, delta, lam, best, threshold):
    """Error and penalty at each point."""
    error, penalty, all_converged = np.empty(alpha.size), np.empty(alpha.size), True
    log_noise = math.nan
    for i in range(alpha.size):
        penalty[i] = lam[i]
        if not best and lam[i] == 0.0 and (alpha[i] >= 1.0 or (delta[i] == 0.0 and alpha[i] >= threshold[i])):
            # Least squares, or exact recovery.
            error[i] = 0.0 if delta[i] == 0.0 else delta[i] / (alpha[i] - 1.0) if alpha[i] > 1.0 else math.inf
            continue
        if best and delta[i] == 0.0 and alpha[i] >= threshold[i]:
            error[i], penalty[i] = 0.0, 0.0
            continue
        same = i > 0 and b[i] == b[i - 1] and rho[i] == rho[i - 1] and delta[i] == delta[i - 1]
        start = log_noise if same else math.nan
        log_noise, theta, error[i], divergence, done = _fixed_point(
            alpha[i], lam[i], best, delta[i], start, b[i], rho[i]
        )
        if best:
            penalty[i] = max(theta * (alpha[i] - divergence), 0.0)  # 0 up to rounding without noise, far from low rank
        all_converged = all_converged and done
    return error, penalty, all_converged


def _evaluate(alpha, beta, rho, delta, lam, best):
    """Validate, broadcast and run the kernel: error, penalty, in the broadcast shape."""
    alpha, beta, rho, delta, lam = check_broadcast(
        alpha=(alpha, "positive"),
        beta=(beta, "positive"),
        rho=(rho, "positive"),
        delta=(delta, "non-negative"),
        lam=(lam, "non-negative"),
    )
    flat = [a.flatten() for a in (alpha, aspect_ratio(beta), rho, delta, lam)]
    error, penalty, converged = _curve(*flat, best, _recovery_threshold(flat[1], flat[2]))
    if not converged:
        warn_convergence("the nuclear-norm error did not converge everywhere")
    return error.reshape(alpha.shape)[()], penalty.reshape(alpha.shape)[()]


def mse(alpha, beta=1.0, rho=1.0, delta=0.0, lam=0.0):
    """Error of nuclear-norm learning.

    Parameters
    ----------
    alpha : array_like
        Sample complexity n / (dL), positive.
    beta, rho : array_like, default 1.0
        Aspect ratio L/d and rank per dimension r/min(d, L), positive.
    delta : array_like, default 0.0
        Variance of the label noise, zero or positive.
    lam : array_like or None, default 0.0
        Penalty, zero or positive: the data are fitted with lambda = lam (dL)^(1/4). Zero is the interpolator of minimal
        nuclear norm (for alpha >= 1 least squares), None the penalty with the least error.

    Returns
    -------
    float or ndarray, broadcast shape
        Exactly 0 for delta = 0, lam in (0, None) and alpha above `recovery_threshold`. May exceed 1: an interpolator
        learns noise. Infinite for alpha = 1, lam = 0, delta > 0.

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
    Book, chapter 11, :eq:`eq-11-curve` (heuristic: state evolution of message passing with a singular-value soft
    threshold).
    """
    error, _ = _evaluate(alpha, beta, rho, delta, 0.0 if lam is None else lam, lam is None)
    return error


def optimal_lam(alpha, beta=1.0, rho=1.0, delta=0.0):
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

    References
    ----------
    Book, chapter 11, :eq:`eq-11-curve`.
    """
    _, penalty = _evaluate(alpha, beta, rho, delta, 0.0, True)
    return penalty


@partial(np.vectorize, otypes=[float])
def _sample_complexity(error, beta, rho, delta, lam):
    def excess(log_alpha):
        return mse(math.exp(log_alpha), beta, rho, delta, lam) - error

    if lam == 0.0 and delta > 0.0:  # falls to a minimum, rises to infinity at alpha = 1, falls again
        grid = np.linspace(min(math.log(0.01 * rho), -6.0), -1e-6, 80)
        k = int(np.argmin(mse(np.exp(grid), beta, rho, delta, lam)))
        bounds = grid[max(k - 1, 0)], grid[min(k + 1, grid.size - 1)]
        lowest = minimize_scalar(excess, bounds=bounds, method="bounded", options={"xatol": 1e-9})
        if lowest.fun > 0.0:
            return 1.0 + delta / error
        high = lowest.x
    else:
        high = math.log1p(delta / error)  # of least squares, at least
        while excess(high) > 0.0:
            high += 1.0
    low = high - 1.0
    while excess(low) < 0.0:
        low -= 1.0
    return math.exp(brentq(excess, low, high, xtol=1e-13, rtol=1e-13))


def sample_complexity(error, beta=1.0, rho=1.0, delta=0.0, lam=None):
    """Smallest sample complexity alpha at which the error of nuclear-norm learning is `error`.

    Parameters
    ----------
    error : array_like
        Target error per entry, strictly between 0 and 1.
    beta, rho, delta : array_like
        As in `mse`.
    lam : {None, 0.0}, default None
        None for the penalty of least error, 0.0 for the interpolator. With noise the interpolator's error rises again
        towards alpha = 1; what it cannot reach below, least squares reaches at 1 + delta / error.

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
        As `mse`.

    References
    ----------
    Book, chapter 11, :eq:`eq-11-curve`.
    """
    error, beta, rho, delta = check_broadcast(
        error=(error, "fraction"), beta=(beta, "positive"), rho=(rho, "positive"), delta=(delta, "non-negative")
    )
    if lam is not None and not (np.ndim(lam) == 0 and lam == 0.0):
        raise ValueError(f"lam must be None (the best) or 0.0 (interpolation), got {lam!r}")
    return _sample_complexity(error, beta, rho, delta, lam)[()]


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


@partial(np.vectorize, otypes=[float])
def _recovery_threshold(b, rho):
    if rho >= 1.0:
        return 1.0
    c = 1.0 / b
    gamma = c * (1.0 - rho) / (1.0 - rho * c)

    def stationarity(level):
        gain = _incomplete(level**2, 0.5, gamma) - level * _incomplete(level**2, 0.0, gamma)
        return gain - level * rho / (1.0 - rho)

    low = 0.5 * (1.0 + math.sqrt(gamma))
    while stationarity(low) < 0.0:
        low *= 0.5
    level = brentq(stationarity, low, 2.0 * low, xtol=1e-15, rtol=1e-14)
    first, half, zero = (_incomplete(level**2, k, gamma) for k in (1.0, 0.5, 0.0))
    excess = rho * level**2 + (1.0 - rho) * (first - 2.0 * level * half + level**2 * zero)
    return rho + c * rho - c * rho**2 + (1.0 - rho * c) * excess


def recovery_threshold(beta=1.0, rho=1.0):
    """Sample complexity alpha above which the minimal nuclear norm recovers the teacher from noiseless labels.

    Parameters
    ----------
    beta, rho : array_like, default 1.0
        Aspect ratio L/d and rank per dimension r/min(d, L), positive.

    Returns
    -------
    float or ndarray, broadcast shape
        At least `limits.strong_recovery`; 1 for rho >= 1.

    Raises
    ------
    ValueError
        If an argument is not positive and finite.

    References
    ----------
    arXiv:1302.2331 (observation), arXiv:1303.6672 (theorem for the statistical dimension), arXiv:2410.18858; book,
    chapter 11, :eq:`eq-11-threshold`.
    """
    beta, rho = check_broadcast(beta=(beta, "positive"), rho=(rho, "positive"))
    return _recovery_threshold(aspect_ratio(beta), rho)[()]
