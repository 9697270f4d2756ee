"""What labels tell of h, as Chebyshev series in the angle theta of a channel: sin(theta)^2 = q / (1 + delta).

A channel y = f(h + sqrt(delta) xi) is characterised by F(u), the Fisher information about u in f(t), t ~ N(u, 1). With
u ~ N(0, tan(theta)^2), E F / (delta + 1 - q) is the information in a label. E F depends on theta alone, is smooth in
it, and so are its integrals, up to factors that the functions below take out.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.polynomial import Chebyshev
from numpy.polynomial.legendre import leggauss
from scipy.fft import dct
from scipy.special import erfcx

RIGHT_ANGLE = 0.5 * np.pi
_REACH = 9.0  # standard deviations that an integral covers: the rest is 1e-18
_SIZES = (16, 32, 64, 128, 256)


def fit(
    function: Callable, low: float, high: float, tol: float = 1e-14, most: int = 256
) -> tuple[list[Chebyshev], bool]:
    """Chebyshev series on [low, high] of each row that a vectorised function returns; and whether all converged.

    They have as many terms as it takes, up to `most`, at least 16.
    """
    for size in _SIZES:
        if size > max(most, _SIZES[0]):
            break
        angles = np.pi * (np.arange(size) + 0.5) / size
        coefficients = dct(function(low + 0.5 * (high - low) * (1.0 + np.cos(angles)))) / size
        coefficients[:, 0] *= 0.5
        tail, largest = abs(coefficients[:, -size // 4 :]).max(axis=1), abs(coefficients).max(axis=1)
        if converged := bool((tail <= tol * largest).all()):
            break
    return [
        Chebyshev(row, (low, high)).trim(1e-17 * top) for row, top in zip(coefficients, largest, strict=True)
    ], converged


def hazard(s):
    """phi(s) / Phi(s), without underflow."""
    return np.sqrt(2.0 / np.pi) / erfcx(-s / np.sqrt(2.0))


def density(x):
    """phi(x), the standard normal one."""
    return np.exp(-0.5 * x * x) / np.sqrt(2.0 * np.pi)


def _half_line():
    """Gauss-Legendre nodes from 0 on and weights for even functions, over the whole line."""
    x, weight = leggauss(80)
    return 0.5 * _REACH * (x + 1.0), _REACH * weight


@cache
def sign():
    """E F / cos(theta) of the sign, and the integral of E F tan(theta) from 0 to theta."""
    v, weight = _half_line()

    def rows(theta):  # u = v sin(theta) is as wide as the smaller of F and the law of u
        u = v * np.sin(theta)[:, None]
        per_cosine = (density(v * np.cos(theta)[:, None]) * hazard(u) * hazard(-u)) @ weight
        return np.array([per_cosine, per_cosine * np.sin(theta)])

    value, slope = fit(rows, 0.0, RIGHT_ANGLE)[0]
    return value, slope.integ(lbnd=0.0)


@cache
def modulus():
    """E F / sin(theta)^2 of the modulus, and the integral of (E F - 1) tan(theta), which has a limit at pi/2."""
    v, weight = _half_line()
    step = 0.1  # of the trapezoidal rule in t

    def fisher(u):  # E (t tanh(t u) - u)^2
        t = step * np.arange(180)
        law = density(t - u[..., None]) + density(t + u[..., None])
        law[..., 0] *= 0.5
        return step * np.sum(law * (t * np.tanh(t * u[..., None]) - u[..., None]) ** 2, axis=-1)

    def hidden(u):  # 1 - F(u) = exp(-u^2/2) E t^2 / cosh(t u) with t ~ N(0, 1): to the last digit where F nears 1
        t = step * np.arange(1, 90)
        decay = np.exp(-t * u[..., None])
        return 4.0 * step * np.exp(-0.5 * u * u) * ((decay / (1.0 + decay**2)) @ (density(t) * t * t))

    def rows(theta):
        sine, cosine = np.sin(theta)[:, None], np.cos(theta)[:, None]
        missing = (density(v * cosine) * hidden(v * sine)) @ weight  # (1 - E F) / cos(theta)
        small = theta < 0.5 * RIGHT_ANGLE
        per_square = np.empty(theta.size)
        per_square[small] = (density(v) * fisher(v * (sine / cosine)[small])) @ weight
        per_square[~small] = (1.0 - cosine[:, 0] * missing)[~small]
        return np.array([per_square / sine[:, 0] ** 2, -missing * sine[:, 0]])

    value, slope = fit(rows, 0.0, RIGHT_ANGLE)[0]
    return value, slope.integ(lbnd=0.0)


def logistic_error(scale):
    """Probability that the sign of an estimate of h differs from a logistic label."""
    t, step = 0.1 * np.arange(400), 0.1

    def rows(theta):  # the slope, an average over w ~ N(0, 1), by t that is as wide as the narrower factor
        k = (np.cos(theta) / scale)[:, None]
        norm = np.hypot(1.0, k)
        decay = np.exp(-t * k / norm)
        even = density(t / norm) * decay / (1.0 + decay) ** 2 * k / norm
        return -np.sqrt(8.0 / np.pi) * step * (even.sum(axis=1) - 0.5 * even[:, 0])[None]

    (slope,), _ = fit(rows, 0.0, RIGHT_ANGLE)
    return slope.integ(lbnd=0.0, k=0.5)
