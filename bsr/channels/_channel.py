"""What all channels share."""

import numpy as np
from numpy.typing import ArrayLike

from bsr._checks import as_generator, as_real, check_broadcast, check_real
from bsr._typing import Array, Numbers, Random

__all__ = ["Channel"]


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
    _sharp = False  # whether the likelihood of h has jumps or no width, so that V = 0 is not allowed
    _augment = None

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
        if self._augment is None:
            raise ValueError(f"channel must be Linear, Sign, ReLU or Abs to be augmented, got {self}")
        if self.delta == 0.0:
            raise ValueError(f"delta must be positive to sample, got {self}")
        y, h = check_broadcast(y=(self.check_labels(y), "finite"), h=(h, "finite"))
        return self._augment(y, h, as_generator(rng))

    def _arguments(self, omega, V, *y):
        *_, V = arrays = check_broadcast(
            **{"y": (y[0], "finite")} if y else {}, omega=(omega, "finite"), V=(V, "non-negative")
        )
        if self._sharp and not V.all():
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
    q, error = check_broadcast(q=(q, "overlap"), error=(error, "overlap"))
    if (bad := abs(q + error - 1.0) > 1e-6).any():
        raise ValueError(f"error must be 1 - q where both are given, got {error[bad].item(0)!r} and {q[bad].item(0)!r}")
    return q, error
