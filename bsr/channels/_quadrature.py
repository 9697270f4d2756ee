"""Averages over h where the likelihood is smooth in it.

They are trapezoidal rules: to halve the step about squares the error.
"""

import numpy as np
from numpy.polynomial import Chebyshev
from numpy.polynomial.chebyshev import chebvander

from bsr.channels._angles import density, fit

__all__ = ["by_quadrature", "counts", "posterior_of_h"]

_LEVELS = 7  # of a step that is halved


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
    (value, square), converged = fit(rows, 0.0, 1.0, 0.1 * tol)
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
