"""Bayes-optimal learning: the error curve, its inverse, state evolution, and the free entropy behind them.

The curve is explicit in the noise = 1/q_hat of the equivalent denoising problem: alpha = (delta + MMSE(noise)) / noise,
error = MMSE(noise). No fixed point is iterated: at given alpha, noise is one bracketed root. For other channels than
linear labels, alpha = 1 / (noise I(1 - MMSE(noise))), which may turn: then several fixed points are compared.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from bsr._checks import check_broadcast, check_integer, check_number, warn_convergence
from bsr._compile import in_chunks
from bsr._typing import Array, Numbers
from bsr.channels import Channel, Linear, resolve
from bsr.denoising import mmse as denoising_mmse
from bsr.spectrum import aspect_ratio
from bsr.theory import _bayes, _branches
from bsr.theory.limits import strong_recovery

__all__ = [
    "FixedPoints",
    "Thresholds",
    "algorithmic_mmse",
    "fixed_points",
    "free_entropy",
    "mmse",
    "sample_complexity",
    "state_evolution",
    "thresholds",
]


def _arguments(beta, rho, delta, **others):
    """Validate and broadcast: the other arguments, given as name=(value, condition), then b, rho and delta."""
    *values, beta, rho, delta = check_broadcast(
        **others, beta=(beta, "positive"), rho=(rho, "positive"), delta=(delta, "non-negative")
    )
    return *values, aspect_ratio(beta), rho, delta


def _numbers(alpha, beta, rho, delta):
    """Validate single numbers: alpha, b, rho and delta."""
    arrays = _arguments(beta, rho, delta, alpha=(alpha, "positive"))
    if arrays[0].ndim:
        raise ValueError(f"alpha, beta, rho and delta must be single numbers, got broadcast shape {arrays[0].shape}")
    return map(float, arrays)


def _curves(alpha, b, rho, channel, algorithmic):
    """The error for a channel at each alpha, curve by curve."""
    out = np.empty(alpha.shape)
    laws, which = np.unique(np.stack([b.ravel(), rho.ravel()]), axis=1, return_inverse=True)
    for i, (b, rho) in enumerate(laws.T):
        here = (which == i).reshape(alpha.shape)
        out[here] = _branches.errors(alpha[here], float(b), float(rho), channel, algorithmic=algorithmic)
    return out[()]


def mmse(
    alpha: ArrayLike,
    beta: ArrayLike = 1.0,
    rho: ArrayLike = 1.0,
    delta: ArrayLike = 0.0,
    *,
    channel: Channel | None = None,
) -> Numbers:
    """Bayes-optimal error: the least E ||S_hat - S||^2 / (dL) that n = alpha d L samples allow.

    Parameters
    ----------
    alpha : array_like
        Sample complexity n / (dL), positive.
    beta, rho : array_like, default 1.0
        Aspect ratio L/d and rank per dimension r/min(d, L), positive.
    delta : array_like, default 0.0
        Variance of the label noise, zero or positive.
    channel : bsr.channels.Channel, optional
        How labels come from <X, S> / sqrt(dL); linear labels with noise delta if left out. A channel has its own noise,
        so delta must then be 0.

    Returns
    -------
    float or ndarray, broadcast shape
        Between 0 and 1; exactly 0 without noise and above strong recovery. Where labels know the teacher only up to its
        sign, so does the error.

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
    arXiv:2410.18858, result 1: a replica prediction, proved for delta > 0 by Xu et al., arXiv:2503.14121; delta = 0 is
    its limit. Book, chapter 6, :eq:`eq-06-explicit`; for channels, chapters 15 and 16.
    """
    delta, channel = resolve(delta, channel)
    alpha, b, rho, delta = _arguments(beta, rho, delta, alpha=(alpha, "positive"))
    if channel is not None:
        return _curves(alpha, b, rho, channel, algorithmic=False)
    flat = [a.flatten() for a in (alpha, b, rho, delta, strong_recovery(b, rho))]
    out = np.empty(alpha.size)
    converged = in_chunks(_bayes.mmse_curve, flat, [out])
    if not converged:
        warn_convergence("the Bayes-optimal error did not converge everywhere")
    return out.reshape(alpha.shape)[()]


def algorithmic_mmse(
    alpha: ArrayLike,
    beta: ArrayLike = 1.0,
    rho: ArrayLike = 1.0,
    delta: ArrayLike = 0.0,
    *,
    channel: Channel | None = None,
) -> Numbers:
    """Error that message passing reaches from no information, the overlap q -> 0+: `mmse` outside hard phases.

    Parameters
    ----------
    alpha, beta, rho, delta, channel : array_like
        As in `mmse`.

    Returns
    -------
    float or ndarray, broadcast shape
        That of the least informed fixed point that is stable.

    Raises
    ------
    ValueError
        If an argument is out of range or not finite.

    Warns
    -----
    ConvergenceWarning
        As `mmse`.

    References
    ----------
    Book, chapter 16.
    """
    remaining = resolve(delta, channel)
    if remaining[1] is None:
        return mmse(alpha, beta, rho, remaining[0])
    alpha, b, rho, _ = _arguments(beta, rho, remaining[0], alpha=(alpha, "positive"))
    return _curves(alpha, b, rho, remaining[1], algorithmic=True)


def sample_complexity(
    error: ArrayLike,
    beta: ArrayLike = 1.0,
    rho: ArrayLike = 1.0,
    delta: ArrayLike = 0.0,
    *,
    channel: Channel | None = None,
) -> Numbers:
    """Sample complexity alpha at which the Bayes-optimal error is `error`: the curve's explicit inverse.

    Parameters
    ----------
    error : array_like
        Target error per entry, strictly between 0 and 1.
    beta, rho, delta, channel : array_like
        As in `mmse`.

    Returns
    -------
    float or ndarray, broadcast shape
        In a hard phase, where several errors are fixed points at one alpha, the alpha at which this one is.

    Raises
    ------
    ValueError
        If an argument is out of range or not finite.

    References
    ----------
    Book, chapter 6, :eq:`eq-06-explicit`: alpha = (delta + error) / noise with MMSE(noise) = error; chapter 15.
    """
    delta, channel = resolve(delta, channel)
    error, b, rho, delta = _arguments(beta, rho, delta, error=(error, "fraction"))
    noise = np.empty(error.size)
    converged = in_chunks(_bayes.noise_at_error, [a.flatten() for a in (error, b, rho)], [noise])
    if not converged:
        warn_convergence("the sample complexity did not converge everywhere")
    with np.errstate(over="ignore"):
        if channel is not None:
            return (1.0 / (noise.reshape(error.shape) * channel.information(error=error)))[()]
        return ((delta + error) / noise.reshape(error.shape))[()]


def state_evolution(
    alpha: float,
    beta: float = 1.0,
    rho: float = 1.0,
    delta: float = 0.0,
    q0: float = 0.0,
    iterations: int = 50,
    *,
    channel: Channel | None = None,
) -> Array:
    """Overlaps q_0 ... q_T of Bayes-optimal message passing: q_{t+1} = 1 - MMSE((delta + 1 - q_t) / alpha).

    For a channel the noise is 1 / (alpha I(q_t)).

    Parameters
    ----------
    alpha, beta, rho, delta : float
        As in `mmse`.
    q0 : float, default 0.0
        Overlap at the start, in [0, 1]; 0 is an uninformed start, from which even channels do not move.
    iterations : int, default 50
        Number T of iterations.
    channel : bsr.channels.Channel, optional
        As in `mmse`.

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
    arXiv:2410.18858; book, chapters 6, :eq:`eq-06-state-evolution`, 9 and 15.
    """
    delta, channel = resolve(delta, channel)
    alpha, b, rho, delta = _numbers(alpha, beta, rho, delta)
    q = np.empty(check_integer("iterations", iterations, 0) + 1)
    q[0] = check_number("q0", q0, "overlap")
    if channel is not None:
        return _branches.overlaps(q, alpha, b, rho, channel)
    for t in range(iterations):
        q[t + 1] = 1.0 - denoising_mmse((delta + 1.0 - q[t]) / alpha, b, rho)
    return q


def free_entropy(
    q: ArrayLike,
    alpha: ArrayLike,
    beta: ArrayLike = 1.0,
    rho: ArrayLike = 1.0,
    delta: ArrayLike = 0.0,
    *,
    channel: Channel | None = None,
) -> Numbers:
    """Free entropy per entry of S at overlap q; it is largest at the Bayes-optimal overlap.

    Its maximum is the limit of E[log Z] / (dL), with Z the density of the labels given the sequences. So the derivative
    of the maximum with respect to alpha is that of a label's log density, -log(2 pi e (delta + mmse)) / 2 for linear
    labels and the channel's `log_evidence` in general.

    Parameters
    ----------
    q : array_like
        Overlap of the estimate with the teacher, from 0 to 1; below 1 where labels have no noise.
    alpha, beta, rho, delta, channel : array_like
        As in `mmse`.

    Returns
    -------
    float or ndarray, broadcast shape
        Natural logarithms. arXiv:2410.18858 leaves out a constant: for beta = 1 its values are larger by
        alpha log(2 pi alpha) / 2 + 1/4.

    Raises
    ------
    ValueError
        If an argument is out of range or not finite.

    Warns
    -----
    ConvergenceWarning
        If a quadrature missed its tolerance.

    Notes
    -----
    The double integral of log|x^2 - t^2| over the law is one average of its logarithmic potential, which is elementary
    in the uniformising parameter.

    References
    ----------
    arXiv:2410.18858; proved for delta > 0 by Xu et al., arXiv:2503.14121. Book, chapters 3, :eq:`eq-03-result`, and 7,
    :eq:`eq-07-final`; for channels, chapters 15 and 16.
    """
    delta, channel = resolve(delta, channel)
    arrays = _arguments(beta, rho, delta, q=(q, "non-negative"), alpha=(alpha, "positive"))
    q, delta = arrays[0], arrays[-1]
    if channel is not None:
        if (bad := (q > 1.0) | ((q == 1.0) & np.isinf(channel.information(1.0)))).any():
            raise ValueError(f"q must be in [0, 1], and below 1 for {channel}, got {q[bad].flat[0]!r}")
        value, converged = _branches.free_entropy(*arrays[:-1], channel)
        if not converged:
            warn_convergence("the free entropy did not converge everywhere")
        return value[()]
    if (bad := (q > 1.0) | (q == 1.0 + delta)).any():
        raise ValueError(f"q must be in [0, 1], and below 1 for delta = 0, got {q[bad].flat[0]!r}")
    out = np.empty(q.size)
    converged = in_chunks(_bayes.free_entropy, [a.flatten() for a in arrays], [out])
    if not converged:
        warn_convergence("the free entropy did not converge everywhere")
    return out.reshape(q.shape)[()]


class FixedPoints(NamedTuple):
    """Fixed points of state evolution, from the least to the most informed; arrays of one length.

    Attributes
    ----------
    q : ndarray
        Overlaps.
    free_entropy : ndarray
        Their free entropies; infinite for exact recovery (q = 1 without noise), or minus infinity where a channel's
        labels never determine the teacher or are too few.
    stable : ndarray of bool
        Whether state evolution is attracted: local maxima of the free entropy.
    """

    q: np.ndarray
    free_entropy: np.ndarray
    stable: np.ndarray


def fixed_points(
    alpha: float,
    beta: float = 1.0,
    rho: float = 1.0,
    delta: float = 0.0,
    *,
    resolution: int = 400,
    channel: Channel | None = None,
) -> FixedPoints:
    """All fixed points of state evolution, by the sign changes of the explicit curve rather than by iteration.

    Two stable fixed points would be a hard phase: the informed one is optimal, message passing finds the other.

    Parameters
    ----------
    alpha, beta, rho, delta : float
        As in `mmse`.
    resolution : int, default 400
        Number of points, even in log(noise), between which sign changes, or turns of a channel's curve, are looked for.
    channel : bsr.channels.Channel, optional
        As in `mmse`.

    Returns
    -------
    FixedPoints

    Raises
    ------
    ValueError
        If an argument is out of range or not a single number.

    References
    ----------
    Book, chapter 7, :eq:`eq-07-slope`; chapter 16.
    """
    delta, channel = resolve(delta, channel)
    alpha, b, rho, delta = _numbers(alpha, beta, rho, delta)
    resolution = check_integer("resolution", resolution, 2)
    if channel is not None:
        return FixedPoints(*_branches.fixed_points(alpha, b, rho, channel, resolution))

    def excess(log_noise):
        """log of the alpha at which this noise is a fixed point, over the given alpha."""
        noise = np.exp(log_noise)
        return np.log((delta + denoising_mmse(noise, b, rho)) / (alpha * noise))

    # Any fixed point has delta <= alpha noise <= delta + 1. Errors below 1e-12 count as exact recovery.
    lowest = delta / alpha if delta > 0.0 else 1e-12 / alpha
    grid = np.linspace(math.log(lowest) - 1e-9, math.log((delta + 1.0) / alpha) + 1e-9, resolution)
    positive = excess(grid) > 0.0
    places = np.flatnonzero(positive[:-1] != positive[1:])[::-1]
    noise = np.exp([brentq(excess, grid[i], grid[i + 1], xtol=1e-14, rtol=1e-14) for i in places])
    q = 1.0 + delta - alpha * noise
    phi = free_entropy(q, alpha, b, rho, delta) if q.size else np.empty(0)
    stable = positive[places]
    if delta == 0.0:  # exact recovery is always a fixed point; it attracts if nothing that differs from it does
        recovers = alpha >= strong_recovery(b, rho)
        q, phi, stable = np.append(q, 1.0), np.append(phi, np.inf), np.append(stable, recovers or not q.size)
    return FixedPoints(q=q, free_entropy=phi, stable=stable)


@dataclass(frozen=True)
class Thresholds:
    """Sample complexities alpha at which learning from a channel's labels changes, NaN where it does not.

    Attributes
    ----------
    weak : float
        From here on the overlap 0 repels message passing; NaN where the very first labels tell something.
    spinodals : tuple of float
        Where fixed points appear or disappear in pairs, from small to large.
    algorithmic : float
        Where message passing jumps to the most informed fixed point; NaN where it does so without a jump.
    information : float
        Where the optimal error jumps, as the free entropies of two fixed points change order; NaN if it does not.
    strong : float
        From here on the teacher is recovered exactly, given enough computation; NaN if it never is.
    """

    weak: float
    spinodals: tuple
    algorithmic: float
    information: float
    strong: float


def thresholds(beta: float = 1.0, rho: float = 1.0, channel: Channel | None = None) -> Thresholds:
    """Thresholds of learning from a channel's labels: between `information` and `algorithmic` lies a hard phase.

    Parameters
    ----------
    beta, rho : float, default 1.0
        Aspect ratio L/d and rank per dimension r/min(d, L), positive.
    channel : bsr.channels.Channel, optional
        How labels come from <X, S> / sqrt(dL); linear labels without noise if left out.

    Returns
    -------
    Thresholds

    Raises
    ------
    ValueError
        If an argument is out of range or not a single number.

    Warns
    -----
    ConvergenceWarning
        If a quadrature or a root missed its tolerance.

    References
    ----------
    Book, chapters 15 and 16.
    """
    delta, channel = resolve(0.0, channel)
    _, b, rho, delta = _numbers(1.0, beta, rho, delta)
    channel = channel or Linear(delta)
    parts = _branches.whole(b, rho, channel)
    return Thresholds(
        weak=_branches.weak(channel),
        spinodals=tuple(sorted(piece.ends[1] for piece in parts[:-1])),
        algorithmic=_branches.algorithmic_end(channel, parts),
        information=_branches.transition(b, rho, channel, parts),
        strong=_branches.strong(b, rho, channel),
    )
