"""GAMP-RIE: approximate message passing with the Bayes-optimal matrix denoiser."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from scipy.special import erf, erfcx
from tqdm import trange

from bsr._checks import check_callback, check_integer, check_number, check_range, check_samples, warn_convergence
from bsr._memory import check_memory
from bsr._threads import blas_for
from bsr.denoising import mmse as denoising_mmse
from bsr.denoising import rie_and_divergence
from bsr.estimators._result import Result, Short, State
from bsr.estimators._scale import MEASURED, root_mean_square, some
from bsr.sensing import adjoint, fused

__all__ = ["GampHistory", "GampRie", "gamp_rie"]

_SUSPICIOUS = 1e15  # a sum over samples, in units where tokens and labels are of order 1
_ROUNDING = 1e-24  # residuals of this power, relative to the labels, are rounding
# How far, in standard deviations, residuals and the matrix to denoise may exceed at the end what the labels allow. In
# 6000 runs on white tokens with d >= 8 (tests/benchmarks/gamp_white.py) residuals came to 2.7; there was no alarm.
_EXCESS_RESIDUALS, _EXCESS_MATRIX = 5.0, 8.0
_SAMPLES = 64  # that tell whether tokens are white, once something is wrong


@dataclass(frozen=True, eq=False, repr=False)
class GampHistory(Short):
    """What happened at each iteration t = 1 ... T of `gamp_rie`; arrays of shape (T,), in the units of S squared.

    Attributes
    ----------
    q : ndarray
        Overlap ||S_t||^2 / (dL) of the estimate with itself; on the Nishimori line also that with the teacher.
    noise : ndarray
        Variance of the Gaussian noise that the denoiser was told to remove, measured from the residuals: the mean of
        z^2 over alpha and over the mean square of the tokens.
    signal : ndarray
        Variance of the teacher's entries that the denoiser was told.
    error_estimate : ndarray
        What state evolution says of the error of S_t given both: signal * MMSE(noise / signal).
    change : ndarray
        ||S_t - S_{t-1}|| / ||S_t||, a number without unit.
    """

    q: np.ndarray
    noise: np.ndarray
    signal: np.ndarray
    error_estimate: np.ndarray
    change: np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class GampRie(Result):
    """Result of `gamp_rie`.

    Attributes
    ----------
    S : ndarray, shape (L, d)
        The estimate of the last iteration.
    converged : bool
        Whether the last change was below the tolerance, and nothing at the end contradicts state evolution.
    iterations : int
        Passes over X.
    noise : float
        Variance of the Gaussian noise in the matrix that was denoised last: the last entry of `history.noise`. Times
        alpha and the mean square of the tokens it is the squared error on a label that was left out.
    delta : float
        Variance of the label noise as measured: what that squared error has beyond the last `history.error_estimate`,
        zero or positive. It means something where the iteration has converged.
    history : GampHistory
        The course of the iterations.
    """

    S: np.ndarray
    converged: bool
    iterations: int
    noise: float
    delta: float
    history: GampHistory


@blas_for(0)  # small decompositions between passes over X
def gamp_rie(
    X: ArrayLike,
    y: ArrayLike,
    rank: int,
    *,
    signal: float | None = None,
    iterations: int = 200,
    tol: float = 1e-8,
    damping: float = 0.0,
    callback: Callable[[State], object] | None = None,
    progress: bool = False,
) -> GampRie:
    """Learn the teacher from sequences and labels by approximate message passing.

    Parameters
    ----------
    X : array_like, shape (n, L, d)
        Token sequences with independent, centred entries of one variance, in any unit. float32 halves the time, sums
        are in float64 all the same. Copied once unless C-contiguous.
    y : array_like, shape (n,)
        Labels, in any unit.
    rank : int
        Rank r of the teacher, at least 1.
    signal : float, optional
        Variance of the teacher's entries, positive: 1 for data from the model. Measured by default, see Notes.
    iterations : int, default 200
        Largest number of passes over X.
    tol : float, default 1e-8
        Stop when the relative change of the estimate, before damping, falls below this.
    damping : float, default 0.0
        Weight in [0, 1) of the previous state in the next. 0.3 settles some of the cycles that remain at small sizes
        close to a transition, and most runs on tokens of which 5 % are not zero. On tokens that are not white the
        iteration does not settle without it; 0.5 to 0.9 and more iterations settle some such runs. State evolution then
        no longer describes the way there.
    callback : callable, optional
        Called with a `State` after each iteration; the iteration ends if it returns True. ``TeacherError(S)`` is one.
    progress : bool, default False
        Show a progress bar.

    Returns
    -------
    GampRie

    Raises
    ------
    ValueError
        If shapes do not match, entries are not finite, or a parameter is out of range.
    MemoryError
        If ``gamp_rie.memory(X.shape)`` bytes are not available.

    Warns
    -----
    ConvergenceWarning
        If the tolerance was not reached, or if residuals or ||R||^2 are larger at the end than the labels allow. The
        estimate may then be worse than none, though finite. The warning says so if the tokens are not white.

    Notes
    -----
    The variance of the label noise is not asked for: the residuals tell the sum of noise and error, and no more is
    needed. In units in which the entries of X have mean square 1, starting from S = 0 and residuals z = 0, an iteration
    is ::

        z <- y - <X, S>/sqrt(dL) + (divergence / alpha) z
        noise = mean(z^2) / alpha
        R = S + sum_mu z_mu X_mu / (alpha sqrt(dL))
        S <- sqrt(signal) RIE(R / sqrt(signal); noise / signal)
        divergence = mean of dS_ij / dR_ij

    The published form is the same at the fixed point, where mean(z^2) = delta + MMSE(noise). On the way there such
    iterations may explode: once a fluctuation brings a singular value of R outside the support of its law, the RIE's
    formula, continued there, multiplies it by almost 1. `bsr.denoising.rie` multiplies it by the factor of the edge,
    which is below 1 and for large noise of order 1/noise, and larger residuals mean more noise here. That the
    divergence is the one of the map and the matrix at hand, and not its limit MMSE(noise)/noise, lets small systems
    converge; for d >= 100 it hardly matters (book, chapter 9).

    By state evolution R = S + sqrt(noise) Z, so ||R||^2/(dL) - noise is the variance of the teacher's entries up to a
    normal error of variance (2 noise^2 + 4 noise signal)/(dL); and it lies between 0 and mean(y^2). `signal` is the
    mean of what both leave. This costs accuracy where noise is large. At alpha = 0.05 the error exceeds that at a known
    signal by 0.004(2) for d = 50 and 100 (rho = 0.2, beta = 1, delta = 0), by 0.012(3) in the worst case seen (d = 35,
    beta = 2, rho = 0.5); from alpha = 0.3 on by less than 0.01, from 0.5 on by nothing beyond the scatter.

    References
    ----------
    arXiv:2410.18858, algorithm 1; book, chapter 9, :eq:`eq-09-cavity` to :eq:`eq-09-onsager`.
    """
    X, y = check_samples(X, y, scan=False)
    n, L, d = X.shape
    rank = check_integer("rank", rank, 1)
    signal = None if signal is None else check_number("signal", signal, "positive")
    iterations = check_integer("iterations", iterations, 1)
    tol, damping = check_number("tol", tol, "non-negative"), check_number("damping", damping, "weight")
    check_callback(callback)
    check_memory("gamp_rie", memory, X.shape, X.dtype)

    # In units in which tokens and labels have mean square 1; S is then in units of `unit`.
    size, label = root_mean_square(X) or 1.0, np.sqrt(np.mean(y**2)) or 1.0
    y, unit = y / label, label / size
    rho, alpha, scale, root = rank / min(d, L), n / (d * L), 1.0 / (size * np.sqrt(d * L)), (d * L) ** 0.25
    S, z, divergence = np.zeros((L, d)), np.zeros(n), 0.0
    history, scanned, converged, stopped, excess = [], False, False, False, False
    for t in trange(iterations, disable=not progress, desc="GAMP-RIE"):
        if t == 0:
            new_z, G = y, adjoint(X, y)
        else:
            new_z, G = fused(X, scale * S, y + (divergence / alpha) * z, 1.0)
        if not (scanned or scale * np.abs(G).max() <= _SUSPICIOUS):
            check_range("X", X)
            scanned = True
        power = np.mean(new_z**2)
        if power <= _ROUNDING:
            converged, excess = True, False
            break
        noise = power / alpha
        R = S + (scale / alpha) * G
        seen = np.mean(R**2) - noise
        spread = np.sqrt((2.0 * noise**2 + 4.0 * noise * max(seen, 0.0)) / (d * L))
        variance = _mean_within(seen, spread) if signal is None else signal / unit**2
        excess = power > 1.0 + _EXCESS_RESIDUALS * np.sqrt(2.0 / n) or seen > 1.0 + _EXCESS_MATRIX * np.hypot(
            spread, np.sqrt(2.0 / n)
        )
        new_S, new_divergence = rie_and_divergence(R / (root * np.sqrt(variance)), rho, noise / variance)
        new_S *= root * np.sqrt(variance)
        change = np.linalg.norm(new_S - S) / max(np.linalg.norm(new_S), np.finfo(float).tiny)
        keep = damping if t > 0 else 0.0
        S = keep * S + (1.0 - keep) * new_S
        z = keep * z + (1.0 - keep) * new_z
        divergence = keep * divergence + (1.0 - keep) * new_divergence
        history.append((np.mean(S**2), noise, variance, change))
        converged = bool(change <= tol)
        stopped = callback is not None and bool(callback(State(t + 1, unit * S)))
        if converged or stopped:
            break
    if (not converged and not stopped) or excess:
        warn_convergence(_advice(X, size, t + 1, history[-1][-1], tol, damping, excess, converged))
    q, noise, variance, change = np.array(history).reshape(-1, 4).T
    trusted = variance * denoising_mmse(noise / variance, L / d, rho)
    left_out, expected = (alpha * noise[-1], trusted[-1]) if history else (0.0, 0.0)
    return GampRie(
        S=unit * S,
        converged=converged and not excess,
        iterations=t + 1,
        noise=float(unit**2 * left_out / alpha),
        delta=float(label**2 * max(left_out - expected, 0.0)),
        history=GampHistory(*(unit**2 * column for column in (q, noise, variance, trusted)), change),
    )


def _mean_within(mean, deviation):
    """Mean of a normal variable of that mean and standard deviation, given that it lies between 0 and 1."""
    if mean > 0.5:
        return 1.0 - _mean_within(1.0 - mean, deviation)
    if deviation > 1e4:
        return 0.5
    a, b = -mean / deviation / np.sqrt(2.0), (1.0 - mean) / deviation / np.sqrt(2.0)
    if a > 1e4:
        return -(deviation**2) / mean
    if a > 0.0:  # the tail of a normal law: both integrals in units of exp(-a^2)
        mass, moment = erfcx(a) - np.exp(a**2 - b**2) * erfcx(b), -np.expm1(a**2 - b**2)
    else:
        mass, moment = erf(b) - erf(a), np.exp(-(a**2)) - np.exp(-(b**2))
    return mean + deviation * np.sqrt(2.0 / np.pi) * moment / mass


def _advice(X, size, iterations, change, tol, damping, excess, converged):
    """What to say of a run that did not end well."""
    D = X[0].size
    if converged:
        text = f"GAMP-RIE came to rest after {iterations} iterations where state evolution does not hold; "
    else:
        text = f"GAMP-RIE changed by {change:.1e} > tol={tol} at iteration {iterations}; "
    directions, white = _directions(some(X.reshape(len(X), D), _SAMPLES), size)
    if not white:
        return text + (
            f"tokens are not white (they vary in about {directions:.0f} of {D} directions): "
            "whiten them, or use nuclear_norm or posterior"
        )
    if excess:
        text += "residuals are larger than the labels allow, so the estimate is worse than none: "
    return text + (
        "more damping or more iterations may help" if damping else "damping=0.3, or more iterations, may help"
    )


def _directions(A, size):
    """Number (tr C)^2 / tr C^2 of directions in which the rows of A vary, and whether these may be all.

    It is the inverse of the mean squared cosine of the angle between two rows. `size` is that of the entries.
    """
    if not 1e-6 < size < 1e6:  # squares might overflow in single precision
        A = A / A.dtype.type(size)
    squares = (A @ A.T).astype(np.float64) ** 2
    sizes = np.sqrt(np.diag(squares))
    some_entry = sizes > 0.0
    sizes, squares = sizes[some_entry], squares[np.ix_(some_entry, some_entry)]
    if len(sizes) < 2:
        return A.shape[1], True
    squares /= np.outer(sizes, sizes)
    cosines = (squares.sum(axis=1) - 1.0) / (len(sizes) - 1)  # of a row with the others, squared, on average
    mean, error = cosines.mean(), 2.0 * cosines.std() / np.sqrt(len(sizes))
    return 1.0 / max(mean, 1.0 / A.shape[1]), mean - 3.0 * error <= 1.1 / A.shape[1]


def memory(shape: tuple[int, int, int], dtype: DTypeLike = np.float32, rank: int = 1, **options: object) -> int:
    """Bytes that `gamp_rie` needs besides X: entries that tell its scale, a dozen matrices, a dozen vectors of n."""
    n, L, d = shape
    return 8 * min(MEASURED, n * L * d) + 96 * (n + L * d)


gamp_rie.memory = memory
