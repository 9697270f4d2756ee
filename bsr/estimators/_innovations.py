"""What message passing makes of labels that are not linear: their innovations, and where to start from."""

from contextlib import suppress

import numpy as np
from scipy.optimize import brentq
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

__all__ = ["FIRST_STEPS", "SMALLEST", "STEPS", "VECTORS", "innovations", "spectral"]

SMALLEST = 1e-24  # a variance, relative to that of the teacher's entries, that is rounding
VECTORS = 20  # of dL entries, that the spectral start keeps
STEPS, FIRST_STEPS = 2, 50  # towards the likeliest variance; the latter for a matrix of which nothing is known
_LOWEST = -0.8  # of G: keeps T above -4, so that few passes resolve the top of a spectrum that has no lower end


def innovations(channel, y, omega, V, most, steps):
    """Innovations z of labels, the variance of h that they agree with, and by how much they contradict it.

    z is the score in units of h: for a linear channel the residual y - omega. The expected h given its label has the
    variance V + V^2 dg/domega and lies V g from omega; so a variance is replaced by the mean of both, an EM step to the
    variance of largest likelihood, where mean g^2 = -mean dg/domega. Residuals that are larger than V promised thus
    raise V and the noise, by as much as labels know of h. For linear labels without noise one step arrives, at
    V = mean z^2: the residuals measure the noise.

    Returns
    -------
    z : ndarray, shape (n,)
        g / mean g^2, of mean square 1 / mean g^2.
    V : float
        At most `most`, the prior variance of h.
    contradiction : float
        Mean of g^2 + dg/domega, zero if labels are as expected, in standard deviations.
    """
    for step in range(steps + 1):
        g, slope = channel.score(y, omega, V)
        excess = g**2 + slope
        if step < steps:
            V = np.clip(V + V**2 * np.mean(excess), SMALLEST * most, most)
    tiny = np.finfo(float).tiny  # scores are zero at exact recovery
    return g / max(np.mean(g**2), tiny), V, np.sum(excess) / max(np.linalg.norm(excess), tiny)


def spectral(channel, X, y, scale, variance, rng):
    """The state of linearised message passing at rest: an observation R of the teacher, its noise, the innovations.

    For labels that are even in h, the leading eigenvector of sum_mu T_mu x_mu x_mu^T / (dL) with T = G / (1 + G),
    1 + G = E[h^2|y] / variance, and x_mu the sequences as vectors. It is a fixed point of message passing with
    omega_mu = (1 - T_mu / s) <x_mu, R>, innovations (alpha/s) T_mu <x_mu, R> and the estimate (1 - eigenvalue/s) R; so
    the Onsager term of the first iteration is known. s solves 1/alpha = mean of T G / (s - T), and the eigenvector's
    squared overlap with the teacher is, up to fluctuations,

        (1/alpha - mean of T^2 / (s - T)^2) / (1/alpha + mean of G T^2 / (s - T)^2)

    and 0 if s is not to the right of this numerator's zero: there is then nothing to recover.

    Returns
    -------
    R : ndarray, shape (L, d)
        Teacher plus noise, up to a common sign.
    noise : float
    z : ndarray, shape (n,)
    recovers : bool
        Whether the overlap is positive in the limit of large sizes.
    """
    n, L, d = X.shape
    D, alpha = L * d, n / (L * d)
    G = variance * channel.score(y, 0.0, variance)[1]
    T = np.maximum(G, _LOWEST) / (1.0 + np.maximum(G, _LOWEST))

    def product(v):
        return (scale**2 * X.adjoint(T * X.forward(v.reshape(L, d)))).ravel()

    v = rng.standard_normal(D)
    operator = LinearOperator((D, D), product, dtype=np.float64)
    with suppress(ArpackError):  # what it did not resolve is as good as random
        v = eigsh(operator, 1, which="LA", v0=v, tol=0.01, ncv=min(VECTORS, D))[1] if D > 1 else v
    v = v.reshape(L, d) / np.linalg.norm(v)

    def slope(s):
        return 1.0 / alpha - np.mean((T / (s - T)) ** 2)

    def signal(s):
        return np.mean(T * G / (s - T)) - 1.0 / alpha

    span = 1.0 + np.sqrt(alpha * np.mean(T**2)) + alpha * np.mean(np.abs(T * G))
    low, high = T.max() + 1e-9 * span, T.max() + span  # at `high` slope is positive and signal negative
    s = brentq(slope, low, high) if slope(low) < 0.0 else low
    recovers, overlap = bool(signal(s) > 0.0), 0.0
    if recovers:
        s = brentq(signal, s, high)
        weight = (T / (s - T)) ** 2
        overlap = (1.0 / alpha - np.mean(weight)) / (1.0 / alpha + np.mean(G * weight))
    overlap, s = max(overlap, 1.0 / D), s if recovers else 1.0  # as of a random direction, and at the threshold
    R = v * np.sqrt(D * variance / overlap)
    return R, variance * (1.0 / overlap - 1.0), (alpha / s) * T * X.forward(scale * R), recovers
