"""Channels that are a function of a linear label, f(h + sqrt(delta) xi)."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, log_ndtr, ndtr, ndtri_exp

from bsr._checks import check_number
from bsr.channels._angles import density, hazard, modulus, sign
from bsr.channels._channel import Channel

__all__ = ["Abs", "Linear", "ReLU", "Sign"]


class Function(Channel):
    """Labels f(h + sqrt(delta) xi)."""

    def __post_init__(self):
        object.__setattr__(self, "delta", check_number("delta", self.delta, "non-negative"))

    @property
    def _sharp(self):
        return self.delta == 0.0

    def _latent(self, h, rng):
        return h + np.sqrt(self.delta) * rng.standard_normal(h.shape)

    def _angle(self, q, error):
        """theta, delta + 1 - q."""
        variance = self.delta + error
        return np.arctan2(np.sqrt(q), np.sqrt(variance)), variance

    def _correlation(self, error):
        """1 - c and phi for the correlation c = cos(phi) of two labels' arguments that share omega."""
        distance = (self.delta + error) / (1.0 + self.delta)
        return distance, 2.0 * np.arcsin(np.sqrt(0.5 * distance))


@dataclass(frozen=True)
class Linear(Function):
    """Labels y = h + sqrt(delta) xi: what `delta` means where no channel is given.

    Parameters
    ----------
    delta : float, default 0.0
        Variance of the noise, zero or positive.

    Raises
    ------
    ValueError
        If `delta` is negative or not finite.

    References
    ----------
    arXiv:2410.18858; book, chapter 1.
    """

    delta: float = 0.0

    _labels = "finite"

    @property
    def exact(self):
        """1 without noise, else 0."""
        return float(self.delta == 0.0)

    def _sample(self, h, rng):
        return self._latent(h, rng)

    def _possible(self, y):
        return np.isfinite(y)

    def _score(self, y, omega, V):
        variance = self.delta + V
        return (y - omega) / variance, -1.0 / variance

    def _predict(self, omega, V):
        return omega.copy()

    def _information(self, q, error):
        return 1.0 / (self.delta + error)

    def _log_evidence(self, q, error):
        return -0.5 * np.log(2.0 * np.pi * np.e * (self.delta + error))

    def _test_error(self, q, error):
        return self.delta + error

    def _augment(self, y, h, rng):
        return y.copy()


@dataclass(frozen=True)
class Sign(Function):
    """Labels y = sign(h + sqrt(delta) xi), -1 or 1: two classes.

    Parameters
    ----------
    delta : float, default 0.0
        Variance of the noise before the sign, zero or positive.

    Raises
    ------
    ValueError
        If `delta` is negative or not finite.

    References
    ----------
    Book, chapter 15.
    """

    delta: float = 0.0

    _labels = "-1 or 1"

    def _sample(self, h, rng):
        return np.where(self._latent(h, rng) >= 0.0, 1.0, -1.0)

    def _possible(self, y):
        return abs(y) == 1.0

    def _score(self, y, omega, V):
        root = np.sqrt(self.delta + V)
        g, slope = _one_sided(y * omega / root)
        return y * g / root, slope / root**2

    def _predict(self, omega, V):
        return np.where(omega >= 0.0, 1.0, -1.0)

    def _information(self, q, error):
        theta, variance = self._angle(q, error)
        return sign()[0](theta) / np.sqrt(variance * (1.0 + self.delta))

    def _log_evidence(self, q, error):
        return sign()[1](self._angle(q, error)[0]) - np.log(2.0)

    def _test_error(self, q, error):
        return np.arctan2(np.sqrt(self.delta + error), np.sqrt(q)) / np.pi

    def _augment(self, y, h, rng):
        return _truncated(h, self.delta, y, rng)


def _one_sided(s):
    """Score and its slope of the event t > 0 for t ~ N(s, 1): the hazard H, and -H (s + H)."""
    H = hazard(s)
    x = np.maximum(-s, 50.0)  # s + H = 1/x - 2/x^3 + ...: a difference that loses digits
    excess = np.where(s > -50.0, s + H, (1.0 - (2.0 - (10.0 - 74.0 / x**2) / x**2) / x**2) / x)
    return H, -H * excess


def _truncated(h, delta, side, rng):
    """Draw from N(h, delta), on the positive or the negative side."""
    tail = log_ndtr(side * h / np.sqrt(delta)) + np.log1p(-rng.random(h.shape))
    return side * np.maximum(side * h - np.sqrt(delta) * ndtri_exp(tail), 0.0)


@dataclass(frozen=True)
class ReLU(Function):
    """Labels y = max(0, h + sqrt(delta) xi).

    In the mean such a label tells as much as half a linear label and half a sign: the sign is always known, and in one
    case of two the number.

    Parameters
    ----------
    delta : float, default 0.0
        Variance of the noise before the nonlinearity, zero or positive.

    Raises
    ------
    ValueError
        If `delta` is negative or not finite.

    References
    ----------
    Book, chapter 15.
    """

    delta: float = 0.0

    _labels = "zero or positive, and finite"

    @property
    def exact(self):
        """1/2 without noise, else 0."""
        return 0.5 * (self.delta == 0.0)

    @property
    def _halves(self):
        return Linear(self.delta), Sign(self.delta)

    def _sample(self, h, rng):
        return np.maximum(self._latent(h, rng), 0.0)

    def _possible(self, y):
        return y >= 0.0

    def _score(self, y, omega, V):
        root = np.sqrt(self.delta + V)
        g, slope = _one_sided(-omega / root)
        return np.where(y > 0.0, (y - omega) / root**2, -g / root), np.where(y > 0.0, -1.0, slope) / root**2

    def _predict(self, omega, V):
        root = np.sqrt(self.delta + V)
        u = omega / root
        return root * (u * ndtr(u) + density(u))

    def _information(self, q, error):
        return 0.5 * sum(half._information(q, error) for half in self._halves)

    def _log_evidence(self, q, error):
        return 0.5 * sum(half._log_evidence(q, error) for half in self._halves)

    def _test_error(self, q, error):
        distance, phi = self._correlation(error)
        return (1.0 + self.delta) * (0.5 * distance + (phi * (1.0 - distance) - np.sin(phi)) / (2.0 * np.pi))

    def _augment(self, y, h, rng):
        return np.where(y > 0.0, y, _truncated(h, self.delta, -1.0, rng))


@dataclass(frozen=True)
class Abs(Function):
    """Labels that are the modulus of h + sqrt(delta) xi: the sign is lost, as in phase retrieval.

    Parameters
    ----------
    delta : float, default 0.0
        Variance of the noise before the modulus, zero or positive.

    Raises
    ------
    ValueError
        If `delta` is negative or not finite.

    References
    ----------
    Book, chapter 16.
    """

    delta: float = 0.0

    even = True
    _labels = "zero or positive, and finite"
    exact = Linear.exact

    def _sample(self, h, rng):
        return abs(self._latent(h, rng))

    def _possible(self, y):
        return y >= 0.0

    def _score(self, y, omega, V):
        variance = self.delta + V
        s = y * omega / variance
        decay = np.exp(-abs(s))
        sech = 2.0 * decay / (1.0 + decay**2)
        return (y * np.tanh(s) - omega) / variance, ((y * sech) ** 2 / variance - 1.0) / variance

    def _predict(self, omega, V):
        root = np.sqrt(self.delta + V)
        u = omega / root
        return root * (u * (ndtr(u) - ndtr(-u)) + 2.0 * density(u))

    def _information(self, q, error):
        theta, variance = self._angle(q, error)
        return modulus()[0](theta) * q / (variance * (1.0 + self.delta))

    def _log_evidence(self, q, error):
        theta, variance = self._angle(q, error)
        return np.log(2.0) - 0.5 * np.log(2.0 * np.pi * np.e * variance) + modulus()[1](theta)

    def _test_error(self, q, error):
        distance, phi = self._correlation(error)
        return (1.0 + self.delta) * (distance + (phi * (1.0 - distance) - np.sin(phi)) * 2.0 / np.pi)

    def _augment(self, y, h, rng):
        return np.where(rng.random(h.shape) < expit(2.0 * y * h / self.delta), y, -y)
