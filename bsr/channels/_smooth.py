"""Channels whose likelihood is smooth in h, so that averages are quadratures."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, gammaln, log_expit

from bsr._checks import check_number, check_real, warn_convergence
from bsr.channels._angles import fit, logistic_error
from bsr.channels._channel import Channel
from bsr.channels._quadrature import by_quadrature, counts, posterior_of_h

__all__ = ["Custom", "Logistic", "Poisson"]

_SMALLEST_V = 1e-8  # below, differences of a quadrature are rounding
_TOL = 1e-10  # of the information
_ACCURACY = 1e-10  # of scores, relative to the largest
_FEW = 200  # labels of one value, up to which each has its own quadrature
_AT_ONCE = 1000  # of these quadratures, for the memory that their nodes take


@lru_cache(maxsize=64)
def _averages(channel):
    """What equal channels share, made once: it takes up to some seconds."""
    return by_quadrature(channel._log_likelihood, *channel._nodes, _TOL, channel._reach)


class Smooth(Channel):
    """Labels with a likelihood that is smooth in h, whose averages are quadratures."""

    _reach = 7.5

    @property
    def _table(self):
        *found, converged = _averages(self)
        if not converged:
            warn_convergence(f"the information of {self} did not converge: its likelihood varies too fast with h")
        return found

    def _score(self, y, omega, V):
        V = np.maximum(V, _SMALLEST_V)
        g, slope = np.empty(omega.shape), np.empty(omega.shape)
        rest, converged = np.ones(omega.shape, dtype=bool), True
        if V.size > _FEW and V.min() == V.max():  # many labels of few values: a function of omega for each value
            values, which, frequency = np.unique(y, return_inverse=True, return_counts=True)
            for k in np.flatnonzero(frequency > _FEW):
                same = which.reshape(y.shape) == k
                found = self._score_of(values[k], omega[same], V.flat[0])
                if found is not None:
                    g[same], slope[same] = found
                    rest &= ~same
        rest = np.flatnonzero(rest)
        for some in np.split(rest, range(_AT_ONCE, rest.size, _AT_ONCE)) if rest.size else ():
            given = (a.ravel()[some] for a in (y, omega, V))
            _, g.flat[some], slope.flat[some], done = posterior_of_h(self._log_likelihood, *given)
            converged &= done
        if not converged:
            warn_convergence(f"the score of {self} did not converge: its likelihood varies too fast with h")
        return g, slope

    def _score_of(self, y, omega, V):
        """The score of one label as a series in omega, and its slope; None where that takes too many terms."""
        converged = []

        def rows(nodes):
            _, *found, done = posterior_of_h(self._log_likelihood, y, nodes, V)
            converged.append(done)
            return np.array(found)

        low, high = omega.min(), omega.max()
        series, done = fit(rows, low, high, _ACCURACY, len(omega) // 4) if high > low else (None, False)
        return [f(omega) for f in series] if done and all(converged) else None

    def _information(self, q, error):
        series, vanishes, *_ = self._table
        return series[0](np.sqrt(error)) * (q if vanishes else 1.0)

    def _log_evidence(self, q, error):
        series, _, evidence, _ = self._table
        return evidence + series[1](np.sqrt(error))


@dataclass(frozen=True)
class Logistic(Smooth):
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
        return logistic_error(self.scale)

    def _test_error(self, q, error):
        return self._errors(np.arctan2(np.sqrt(q), np.sqrt(error)))


@dataclass(frozen=True)
class Poisson(Smooth):
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
        If a parameter is out of range or not finite. Of the averages, `information` and those that theory needs: if
        counts above 1e5 matter. They take seconds where counts are large, once.

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
        return counts(most + 12.0 * np.sqrt(most) + 30.0)

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
class Custom(Smooth):
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
        -3 to 3. Later, where the likelihood is NaN.

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
        value = np.asarray(self.log_likelihood(y, h), dtype=np.float64)
        if (bad := np.isnan(value)).any():
            y, h = (a[bad].flat[0] for a in np.broadcast_arrays(y, h, value)[:2])
            raise ValueError(f"log_likelihood must not be NaN for any h, got it at y = {y:g}, h = {h:g}")
        return value

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
        log_z, *_, _ = posterior_of_h(self._log_likelihood, outputs, omega[..., None], V)
        return np.exp(log_z) @ (weights * outputs)

    def _test_error(self, q, error):
        series, _, _, mean_square = self._table
        return mean_square - series[2](np.sqrt(error))
