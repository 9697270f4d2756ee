"""What labels tell of h, as Chebyshev series in the angle theta of a channel: sin(theta)^2 = q / (1 + delta).

A channel y = f(h + sqrt(delta) xi) is characterised by F(u), the Fisher information about u in f(t), t ~ N(u, 1). With
u ~ N(0, tan(theta)^2), E F / (delta + 1 - q) is the information in a label. E F depends on theta alone, is smooth in
it, and so are its integrals, up to factors that the functions below take out.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.polynomial import Chebyshev
from numpy.polynomial.chebyshev import chebvander
from numpy.polynomial.legendre import leggauss
from scipy.fft import dct
from scipy.special import erfcx

RIGHT_ANGLE = 0.5 * np.pi
_REACH = 9.0  # standard deviations that an integral covers: the rest is 1e-18
_SIZES = (16, 32, 64, 128, 256)
_LEVELS = 7  # of a quadrature whose step is halved


def fit(function: Callable, end: float, tol: float = 1e-14) -> tuple[list[Chebyshev], bool]:
    """Chebyshev series on [0, end] of each row that a vectorised function returns; and whether all converged."""
    for size in _SIZES:
        angles = np.pi * (np.arange(size) + 0.5) / size
        coefficients = dct(function(0.5 * end * (1.0 + np.cos(angles)))) / size
        coefficients[:, 0] *= 0.5
        tail, largest = abs(coefficients[:, -size // 4 :]).max(axis=1), abs(coefficients).max(axis=1)
        if converged := bool((tail <= tol * largest).all()):
            break
    return [
        Chebyshev(row, (0.0, end)).trim(1e-17 * top) for row, top in zip(coefficients, largest, strict=True)
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

    value, slope = fit(rows, RIGHT_ANGLE)[0]
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

    value, slope = fit(rows, RIGHT_ANGLE)[0]
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

    (slope,), _ = fit(rows, RIGHT_ANGLE)
    return slope.integ(lbnd=0.0, k=0.5)


def by_quadrature(log_likelihood, outputs, weights, tol, reach):
    """What takes a quadrature over h for each label: of channels whose likelihood is smooth in h, with delta = 0.

    Returns
    -------
    series : list of Chebyshev
        In s = sqrt(1 - q): the information, over q if it vanishes at q = 0; half its integral from 0 to q; the mean
        square of the prediction.
    vanishes : bool
    evidence : float
        E log Z at q = 0.
    mean_square : float
        Of the label.
    converged : bool
    """
    likelihoods = {}

    def likelihood(level):
        if level not in likelihoods:
            h = np.arange(-1.5 * reach, 1.5 * reach, 0.05 * 0.5**level)
            likelihoods[level] = h, np.exp(log_likelihood(outputs[:, None], h))
        return likelihoods[level]

    def evidence_and_slope(omega, V, level):
        if V < 0.01:  # from a grid around each omega
            z = np.linspace(-reach, reach, 20 * 2**level + 1)
            law = density(z) * (z[1] - z[0])
            P = [np.exp(log_likelihood(outputs[:, None], center + np.sqrt(V) * z)) for center in omega]
            return np.transpose([p @ law for p in P]), np.transpose([p @ (law * z) for p in P]) / np.sqrt(V)
        h, P = likelihood(level)
        z = (h[:, None] - omega) / np.sqrt(V)
        law = density(z) * (h[1] - h[0]) / np.sqrt(V)
        return P @ law, P @ (law * z) / np.sqrt(V)

    def averages(s, level):
        """Information and mean square of the prediction, with steps that are halved from level to level."""
        x = np.linspace(-reach, reach, 20 * 2**level + 1)
        law = density(x) * (x[1] - x[0])
        Z, slope = evidence_and_slope(np.sqrt(1.0 - s * s) * x, s * s, level)
        ratio = np.divide(slope, Z, out=np.zeros_like(Z), where=Z > 1e-290)
        return np.array([weights @ (slope * ratio) @ law, ((weights * outputs) @ Z) ** 2 @ law])

    def converged_averages(s):
        old = averages(s, 0)
        for level in range(1, _LEVELS):  # the error of a level is about the square of that before
            new = averages(s, level)
            if done := bool((abs(new - old) <= np.sqrt(tol) * abs(new)).all()):
                break
            old = new
        return *new, done

    Z, slope = (a[:, 0] for a in evidence_and_slope(np.zeros(1), 1.0, 3))
    seen = Z > 0.0
    vanishes = bool(weights[seen] @ (slope[seen] ** 2 / Z[seen]) < 1e-20)
    all_done = []

    def rows(s):
        information, square, done = np.transpose([converged_averages(value) for value in s])
        all_done.extend(done)
        return np.array([information / (1.0 - s * s) if vanishes else information, square])

    if not all(converged_averages(s)[-1] for s in (0.05, 0.7)):
        return [Chebyshev((np.nan,))] * 3, vanishes, np.nan, np.nan, False
    (value, square), converged = fit(rows, 1.0, 0.1 * tol)
    s = Chebyshev((0.5, 0.5), (0.0, 1.0))
    slope = -s * value * (1.0 - s * s if vanishes else 1.0)
    evidence, mean_square = weights[seen] @ (Z[seen] * np.log(Z[seen])), (weights * outputs**2) @ Z
    series = [value, slope.integ(lbnd=1.0), square]
    return series, vanishes, float(evidence), float(mean_square), converged and all(all_done)


def counts(most, start=128):
    """Nodes and weights for the sum over counts up to `most`: all to begin with, then fewer, for smooth terms."""
    nodes, weights = [np.arange(start)], [np.ones(start)]
    while start <= most:  # from a to 2a: what varies over sqrt(a), by interpolation at Chebyshev points
        size = min(start, int(6.0 * np.sqrt(start)) + 24)
        points, every = np.cos(np.pi * (np.arange(size) + 0.5) / size), (2.0 * np.arange(start) + 1.0) / start - 1.0
        moments = chebvander(every, size - 1).sum(axis=0)
        nodes.append(1.5 * start - 0.5 + 0.5 * start * points)
        weights.append(np.linalg.solve(chebvander(points, size - 1).T, moments))
        start *= 2
    return np.concatenate(nodes), np.concatenate(weights)


def posterior_of_h(log_likelihood, y, omega, V, tol=1e-6):
    """log Z, g and dg/domega for a label each, by a quadrature over what the label and N(omega, V) leave of h."""
    y, omega, V = (a[..., None] for a in np.broadcast_arrays(y, omega, V))
    root, middle, half = np.sqrt(V), np.zeros_like(omega), 40.0

    def logarithm(z):
        return log_likelihood(y, omega + root * z) - 0.5 * z * z

    for _ in range(3):  # close in on where the integrand is
        z = middle + half * np.linspace(-1.0, 1.0, 65)
        kept = logarithm(z)
        kept = kept > kept.max(axis=-1, keepdims=True) - 40.0
        first, last = kept.argmax(axis=-1)[..., None], 64 - kept[..., ::-1].argmax(axis=-1)[..., None]
        low = np.take_along_axis(z, np.maximum(first - 1, 0), axis=-1)
        high = np.take_along_axis(z, np.minimum(last + 1, 64), axis=-1)
        middle, half = 0.5 * (low + high), 0.5 * (high - low)
    old, converged = np.inf, False
    for level in range(_LEVELS):
        z = middle + half * np.linspace(-1.0, 1.0, 32 * 2**level + 1)
        weight = logarithm(z)
        top = weight.max(axis=-1, keepdims=True)
        weight = np.exp(weight - top)
        total = weight.sum(axis=-1, keepdims=True)
        weight /= total
        mean = np.sum(weight * z, axis=-1, keepdims=True)
        variance = np.sum(weight * (z - mean) ** 2, axis=-1, keepdims=True)
        if converged := bool((abs(mean - old) <= tol * np.sqrt(variance)).all()):
            break
        old = mean
    log_z = top + np.log(total * (z[..., 1:2] - z[..., :1])) - 0.5 * np.log(2.0 * np.pi)
    return (*(a[..., 0] for a in (log_z, mean / root, (variance - 1.0) / V)), converged)
