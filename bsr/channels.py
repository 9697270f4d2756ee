"""Channels: how a label comes from h = <X, S> / sqrt(dL), and all that theory and algorithms ask of it.

Where h is known as N(omega, V), a label has the density Z(y, omega, V) = E P(y|h). Its score d log Z / d omega moves
the estimate of h; the score's mean square, at V = 1 - q and over labels and omega ~ N(0, q), is the information in a
label at overlap q. Book, chapter 15.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, gammaln, log_expit, log_ndtr, ndtr, ndtri_exp

from bsr import _tables
from bsr._checks import as_generator, as_real, check_broadcast, check_number, check_real, warn_convergence
from bsr._typing import Array, Numbers, Random

__all__ = ["Abs", "Channel", "Custom", "Linear", "Logistic", "Poisson", "ReLU", "Sign"]

_SMALLEST_V = 1e-8  # below, differences of a quadrature are rounding
_TOL = 1e-10  # of the information of channels that take a quadrature


class Channel:
    """What all channels share: the checks, and what follows from a channel's few formulas.

    Attributes
    ----------
    even : bool
        Whether labels know h only up to its sign, so that the teacher's sign is lost.
    exact : float
        Share of the labels that tell h (or its modulus) exactly: the limit of (1 - q) information(q) for q -> 1.
    """

    even = False
    exact = 0.0
    delta = 0.0

    def sample(self, h: ArrayLike, rng: Random = 0) -> Array:
        """Draw labels.

        Parameters
        ----------
        h : array_like
            <X, S> / sqrt(dL).
        rng : int or numpy.random.Generator, default 0
            Source of randomness.

        Returns
        -------
        ndarray, shape of h
            float64.

        Raises
        ------
        ValueError
            If h is not finite.
        """
        return self._sample(check_real("h", h, "finite"), as_generator(rng))

    def check_labels(self, y: ArrayLike) -> Array:
        """Return labels as float64, if this channel can have produced them.

        Parameters
        ----------
        y : array_like
            Labels.

        Returns
        -------
        ndarray

        Raises
        ------
        ValueError
            If one is impossible; it is named, with the channel.
        """
        y = as_real("y", y)
        bad = ~(np.isfinite(y) & self._possible(y))
        if bad.any():
            raise ValueError(f"y must be {self._labels} for {self}, got {y[bad].item(0)!r}")
        return y

    def score(self, y: ArrayLike, omega: ArrayLike, V: ArrayLike) -> tuple[Numbers, Numbers]:
        """The score of labels and its derivative: what they add to an estimate of h.

        Parameters
        ----------
        y : array_like
            Labels.
        omega, V : array_like
            Mean and variance of h so far; V zero or positive, positive where labels have no noise.

        Returns
        -------
        g, slope : float or ndarray, broadcast shape
            d log Z / d omega, and d g / d omega.

        Raises
        ------
        ValueError
            If a label is impossible, or V out of range.

        Warns
        -----
        ConvergenceWarning
            If it takes a quadrature over h that did not converge.
        """
        y, omega, V = self._arguments(omega, V, self.check_labels(y))
        g, slope = self._score(y, omega, V)
        return g[()], slope[()]

    def predict(self, omega: ArrayLike, V: ArrayLike) -> Numbers:
        """The best guess of a label: its mean, or for `Sign` and `Logistic` the more likely class.

        Parameters
        ----------
        omega, V : array_like
            As in `score`.

        Returns
        -------
        float or ndarray, broadcast shape

        Raises
        ------
        ValueError
            If omega is not finite or V out of range.
        """
        omega, V = self._arguments(omega, V)
        return self._predict(omega, V)[()]

    def information(self, q: ArrayLike | None = None, *, error: ArrayLike | None = None) -> Numbers:
        """Information in a label at overlap q: E g^2 with V = 1 - q, omega ~ N(0, q).

        Parameters
        ----------
        q : array_like, optional
            Overlap of the estimate with the teacher, from 0 to 1.
        error : array_like, optional
            The same as 1 - q, with all its digits next to q = 1. One of both may be left out.

        Returns
        -------
        float or ndarray
            It rises with q; infinite at q = 1 for `Linear`, `Sign`, `ReLU` and `Abs` without noise.

        Raises
        ------
        ValueError
            If neither is given, or one is not in [0, 1].

        Warns
        -----
        ConvergenceWarning
            If it takes a quadrature over h that did not converge.
        """
        with np.errstate(divide="ignore"):
            return self._information(*_overlap(q, error))[()]

    def log_evidence(self, q: ArrayLike | None = None, *, error: ArrayLike | None = None) -> Numbers:
        """Mean logarithm of the predictive density of a label at overlap q, E log Z: Psi(q), with dPsi/dq = I/2.

        For classes it is minus the log-loss of the optimal prediction.

        Parameters
        ----------
        q, error : array_like, optional
            As in `information`.

        Returns
        -------
        float or ndarray
            In natural logarithms.

        Raises
        ------
        ValueError
            As `information`.

        Warns
        -----
        ConvergenceWarning
            As `information`.
        """
        with np.errstate(divide="ignore"):
            return self._log_evidence(*_overlap(q, error))[()]

    def test_error(self, q: ArrayLike | None = None, *, error: ArrayLike | None = None) -> Numbers:
        """Error of the optimal prediction of a new label, noise included, at overlap q.

        Parameters
        ----------
        q, error : array_like, optional
            As in `information`.

        Returns
        -------
        float or ndarray
            For `Sign` and `Logistic` the probability of the wrong class, for others the mean-square error.

        Raises
        ------
        ValueError
            As `information`.

        Warns
        -----
        ConvergenceWarning
            As `information`.
        """
        return self._test_error(*_overlap(q, error))[()]

    def augment(self, y: ArrayLike, h: ArrayLike, rng: Random = 0) -> Array:
        """Draw what labels were before their nonlinearity, h + sqrt(delta) xi, given the labels and h.

        Parameters
        ----------
        y, h : array_like, one shape
            Labels, and <X, S> / sqrt(dL).
        rng : int or numpy.random.Generator, default 0
            Source of randomness.

        Returns
        -------
        ndarray
            Labels of a linear channel: with them Gibbs sampling is exact.

        Raises
        ------
        ValueError
            If a label is impossible, delta is 0, or the channel is not of this kind.
        """
        if not isinstance(self, _Function):
            raise ValueError(f"channel must be Linear, Sign, ReLU or Abs to be augmented, got {self}")
        if self.delta == 0.0:
            raise ValueError(f"delta must be positive to sample, got {self}")
        y, h = check_broadcast(y=(self.check_labels(y), "finite"), h=(h, "finite"))
        return self._augment(y, h, as_generator(rng))

    def _arguments(self, omega, V, *y):
        *_, V = arrays = check_broadcast(
            **{"y": (y[0], "finite")} if y else {}, omega=(omega, "finite"), V=(V, "non-negative")
        )
        if isinstance(self, _Function) and self.delta == 0.0 and not V.all():
            raise ValueError(f"V must be positive for {self}, got 0.0")
        return arrays


def _overlap(q, error):
    """q and 1 - q, of which one is given or both."""
    if q is None and error is None:
        raise ValueError("q must be given, or error, got None for both")
    if error is None:
        q = check_real("q", q, "overlap")
        return q, 1.0 - q
    if q is None:
        error = check_real("error", error, "overlap")
        return 1.0 - error, error
    return check_broadcast(q=(q, "overlap"), error=(error, "overlap"))


class _Function(Channel):
    """Labels f(h + sqrt(delta) xi)."""

    def __post_init__(self):
        object.__setattr__(self, "delta", check_number("delta", self.delta, "non-negative"))

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
class Linear(_Function):
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
class Sign(_Function):
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
        return _tables.sign()[0](theta) / np.sqrt(variance * (1.0 + self.delta))

    def _log_evidence(self, q, error):
        return _tables.sign()[1](self._angle(q, error)[0]) - np.log(2.0)

    def _test_error(self, q, error):
        return np.arctan2(np.sqrt(self.delta + error), np.sqrt(q)) / np.pi

    def _augment(self, y, h, rng):
        return _truncated(h, self.delta, y, rng)


def _one_sided(s):
    """Score and its slope of the event t > 0 for t ~ N(s, 1): the hazard H, and -H (s + H)."""
    hazard = _tables.hazard(s)
    x = np.maximum(-s, 50.0)  # s + H = 1/x - 2/x^3 + ...: a difference that loses digits
    excess = np.where(s > -50.0, s + hazard, (1.0 - (2.0 - (10.0 - 74.0 / x**2) / x**2) / x**2) / x)
    return hazard, -hazard * excess


def _truncated(h, delta, side, rng):
    """Draw from N(h, delta), on the positive or the negative side."""
    tail = log_ndtr(side * h / np.sqrt(delta)) + np.log1p(-rng.random(h.shape))
    return side * np.maximum(side * h - np.sqrt(delta) * ndtri_exp(tail), 0.0)


@dataclass(frozen=True)
class ReLU(_Function):
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
        return root * (u * ndtr(u) + _tables.density(u))

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
class Abs(_Function):
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
        return root * (u * (ndtr(u) - ndtr(-u)) + 2.0 * _tables.density(u))

    def _information(self, q, error):
        theta, variance = self._angle(q, error)
        return _tables.modulus()[0](theta) * q / (variance * (1.0 + self.delta))

    def _log_evidence(self, q, error):
        theta, variance = self._angle(q, error)
        return np.log(2.0) - 0.5 * np.log(2.0 * np.pi * np.e * variance) + _tables.modulus()[1](theta)

    def _test_error(self, q, error):
        distance, phi = self._correlation(error)
        return (1.0 + self.delta) * (distance + (phi * (1.0 - distance) - np.sin(phi)) * 2.0 / np.pi)

    def _augment(self, y, h, rng):
        return np.where(rng.random(h.shape) < expit(2.0 * y * h / self.delta), y, -y)


class _Smooth(Channel):
    """Labels with a likelihood that is smooth in h, whose averages are quadratures."""

    _reach = 7.5

    @cached_property
    def _table(self):
        *found, converged = _tables.by_quadrature(self._log_likelihood, *self._nodes, _TOL, self._reach)
        if not converged:
            warn_convergence(f"the information of {self} did not converge: its likelihood varies too fast with h")
        return found

    def _score(self, y, omega, V):
        _, g, slope, converged = _tables.posterior_of_h(self._log_likelihood, y, omega, np.maximum(V, _SMALLEST_V))
        if not converged:
            warn_convergence(f"the score of {self} did not converge: its likelihood varies too fast with h")
        return g, slope

    def _information(self, q, error):
        series, vanishes, *_ = self._table
        return series[0](np.sqrt(error)) * (q if vanishes else 1.0)

    def _log_evidence(self, q, error):
        series, _, evidence, _ = self._table
        return evidence + series[1](np.sqrt(error))


@dataclass(frozen=True)
class Logistic(_Smooth):
    """Labels -1 or 1, with probability 1 / (1 + exp(-h / scale)) of 1: two classes.

    Parameters
    ----------
    scale : float, default 1.0
        Unit of h, positive; the smaller, the more certain the labels. Below 0.02, use `Sign`.

    Raises
    ------
    ValueError
        If `scale` is not positive and finite.

    References
    ----------
    Book, chapter 15.
    """

    scale: float = 1.0

    _labels = "-1 or 1"
    _nodes = np.array([-1.0, 1.0]), np.ones(2)

    def __post_init__(self):
        object.__setattr__(self, "scale", check_number("scale", self.scale, "positive"))

    def _log_likelihood(self, y, h):
        return log_expit(y * h / self.scale)

    def _sample(self, h, rng):
        return np.where(rng.random(h.shape) < expit(h / self.scale), 1.0, -1.0)

    def _possible(self, y):
        return abs(y) == 1.0

    def _predict(self, omega, V):
        return np.where(omega >= 0.0, 1.0, -1.0)

    @cached_property
    def _errors(self):
        return _tables.logistic_error(self.scale)

    def _test_error(self, q, error):
        return self._errors(np.arctan2(np.sqrt(q), np.sqrt(error)))


@dataclass(frozen=True)
class Poisson(_Smooth):
    """Labels that count events of mean number rate exp(gain h).

    Parameters
    ----------
    rate : float, default 1.0
        Mean number at h = 0, positive.
    gain : float, default 1.0
        Its logarithm's slope in h, not zero.

    Raises
    ------
    ValueError
        If a parameter is out of range or not finite.

    References
    ----------
    Book, chapter 15.
    """

    rate: float = 1.0
    gain: float = 1.0

    _labels = "a whole number, zero or positive,"

    def __post_init__(self):
        object.__setattr__(self, "rate", check_number("rate", self.rate, "positive"))
        object.__setattr__(self, "gain", check_number("gain", self.gain, "finite"))
        if self.gain == 0.0:
            raise ValueError("gain must not be zero: labels would not depend on h")

    @property
    def _reach(self):
        return 7.5 + abs(self.gain)  # labels weigh large means with exp(gain h)

    @property
    def _nodes(self):
        most = self.rate * np.exp(abs(self.gain) * self._reach)
        if most > 1e5:
            raise ValueError(f"rate and gain must give counts below 1e5 for its averages, got {self}: up to {most:.2g}")
        return _tables.counts(most + 12.0 * np.sqrt(most) + 30.0)

    def _log_likelihood(self, y, h):
        mean = np.log(self.rate) + self.gain * h
        return y * mean - np.exp(mean) - gammaln(y + 1.0)

    def _sample(self, h, rng):
        return rng.poisson(self.rate * np.exp(self.gain * h)).astype(np.float64)

    def _possible(self, y):
        return (y >= 0.0) & (y == np.floor(y))

    def _predict(self, omega, V):
        return self.rate * np.exp(self.gain * omega + 0.5 * self.gain**2 * V)

    def _test_error(self, q, error):
        square = self.gain**2
        return self.rate * np.exp(0.5 * square) - self.rate**2 * np.exp(2.0 * square) * np.expm1(-square * error)


@dataclass(frozen=True, repr=False)
class Custom(_Smooth):
    """Labels of a likelihood of your own, smooth in h.

    Parameters
    ----------
    log_likelihood : callable
        Logarithm of P(y|h), of arrays y and h that broadcast.
    outputs : array_like, shape (k,)
        The possible labels, or the nodes of a quadrature over them.
    weights : array_like, shape (k,), optional
        Weights of the quadrature; none for labels that are counted. With them, any number is a label.

    Raises
    ------
    ValueError
        If the shapes do not match, a value is not finite, or probabilities do not add up to 1, within 1e-6 for h from
        -3 to 3.

    Notes
    -----
    Labels are drawn among the outputs. Averages over h resolve what varies on a scale of 0.01 and more.

    References
    ----------
    Book, chapter 15.
    """

    log_likelihood: Callable
    outputs: ArrayLike
    weights: ArrayLike | None = None

    def __post_init__(self):
        if not callable(self.log_likelihood):
            raise ValueError(f"log_likelihood must be a function of y and h, got {self.log_likelihood!r}")
        for name, condition in (("outputs", "finite"), ("weights", "positive")):
            if (value := getattr(self, name)) is not None:
                value = check_real(name, value, condition)
                if value.ndim != 1 or not value.size:
                    raise ValueError(f"{name} must be a list of numbers, got shape {value.shape}")
                object.__setattr__(self, name, tuple(value.tolist()))  # so that channels compare
        if self.weights is not None and len(self.weights) != len(self.outputs):
            raise ValueError(f"weights must have the length {len(self.outputs)} of outputs, got {len(self.weights)}")
        h = np.linspace(-3.0, 3.0, 25)
        wrong = abs(self._probabilities(h).sum(axis=-1) - 1.0)
        if not (wrong <= 1e-6).all():
            raise ValueError(
                f"log_likelihood must have probabilities that add up to 1, got an excess {wrong.max():.3g}"
            )

    def __repr__(self):
        name = getattr(self.log_likelihood, "__name__", repr(self.log_likelihood))
        weights = ", with weights" if self.weights is not None else ""
        return f"Custom({name}, <{len(self.outputs)} outputs{weights}>)"

    @property
    def _nodes(self):
        return np.array(self.outputs), np.ones(len(self.outputs)) if self.weights is None else np.array(self.weights)

    def _log_likelihood(self, y, h):
        return np.asarray(self.log_likelihood(y, h), dtype=np.float64)

    def _probabilities(self, h):
        outputs, weights = self._nodes
        return weights * np.exp(self._log_likelihood(outputs, h[..., None]))

    @cached_property
    def even(self):
        """Whether the likelihood is the same at -h."""
        y, h = self._nodes[0][:, None], np.linspace(0.01, 5.0, 100)
        return bool(np.allclose(np.exp(self._log_likelihood(y, h)), np.exp(self._log_likelihood(y, -h)), rtol=1e-10))

    @property
    def _labels(self):
        return "one of the outputs" if self.weights is None else "finite"

    def _possible(self, y):
        return np.isin(y, self.outputs) if self.weights is None else np.isfinite(y)

    def _sample(self, h, rng):
        steps = np.cumsum(self._probabilities(h), axis=-1)
        place = np.sum(rng.random(h.shape)[..., None] * steps[..., -1:] > steps, axis=-1)
        return np.array(self.outputs)[place]

    def _predict(self, omega, V):
        outputs, weights = self._nodes
        V = np.maximum(V, _SMALLEST_V)[..., None]
        log_z, *_, _ = _tables.posterior_of_h(self._log_likelihood, outputs, omega[..., None], V)
        return np.exp(log_z) @ (weights * outputs)

    def _test_error(self, q, error):
        series, _, _, mean_square = self._table
        return mean_square - series[2](np.sqrt(error))


def resolve(delta, channel):
    """`delta` and None for linear labels, of which `delta` is the noise; else `delta`, which is 0, and the channel."""
    if channel is None:
        return delta, None
    if not isinstance(channel, Channel):
        raise ValueError(f"channel must be None or one of bsr.channels, got {channel!r}")
    delta = check_real("delta", delta, "non-negative")
    if delta.any():
        raise ValueError(
            f"delta must be 0 where a channel is given: noise is the channel's, {channel!r}, got {delta!r}"
        )
    return (delta + channel.delta, None) if isinstance(channel, Linear) else (delta, channel)
