"""GAMP-RIE: approximate message passing with the Bayes-optimal matrix denoiser."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from scipy.special import erf, erfcx
from tqdm import trange

from bsr._checks import (
    check_callback,
    check_integer,
    check_number,
    check_real,
    child_generator,
    warn_convergence,
)
from bsr._memory import check_memory
from bsr._threads import blas_for
from bsr._typing import Random
from bsr.channels import Channel, resolve
from bsr.denoising import empirical_rie_and_divergence, rie_and_divergence
from bsr.denoising import mmse as denoising_mmse
from bsr.estimators._innovations import FIRST_STEPS, SMALLEST, STEPS, VECTORS, innovations, spectral
from bsr.estimators._raw import Raw, raw_estimate, without_intercept
from bsr.estimators._result import Result, Short, State
from bsr.estimators._scale import MEASURED, root_mean_square
from bsr.tokens import Tokens, Whitened
from bsr.tokens._open import open_samples

__all__ = ["GampHistory", "GampRie", "gamp_rie"]

_SUSPICIOUS = 1e15  # a sum over samples, in units where tokens and labels are of order 1
_ROUNDING = 1e-24  # residuals of this power, relative to the labels, are rounding
# How far, in standard deviations, residuals and the matrix to denoise may exceed at the end what the labels allow. In
# 6000 runs on white tokens with d >= 8 (tests/benchmarks/gamp_white.py) residuals came to 2.7; there was no alarm.
_EXCESS_RESIDUALS, _EXCESS_MATRIX = 5.0, 8.0
_NOTHING = 0.01  # overlap, times dL, below which an estimate is of no direction: a random one has 1
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
        z^2 over alpha and over the mean square of the tokens. Its inverse is alpha times the information in a label.
    signal : ndarray
        Variance of the teacher's entries that the denoiser was told.
    error_estimate : ndarray
        What state evolution says of the error of S_t given both: signal * MMSE(noise / signal). Without a rank, Stein's
        unbiased estimate of the error of the last denoising, within [0, signal].
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
        Whether the last change was below the tolerance, and nothing at the end contradicts state evolution. Not where
        the estimate vanishes.
    iterations : int
        Passes over X.
    noise : float
        Variance of the Gaussian noise in the matrix that was denoised last: the last entry of `history.noise`. Times
        alpha and the mean square of the tokens it is the squared error on a label that was left out.
    delta : float
        Variance of the label noise as measured: what that squared error has beyond the last `history.error_estimate`,
        zero or positive. It means something where the iteration has converged. If there is a channel, its `delta`.
    history : GampHistory
        The course of the iterations.
    up_to_sign : bool
        Whether labels do not tell S from -S.
    raw : Raw or None
        The estimate for tokens as they were given, if X is a view of them; `S` is then the one for the view's.
    """

    S: np.ndarray
    converged: bool
    iterations: int
    noise: float
    delta: float
    history: GampHistory
    up_to_sign: bool = False
    raw: Raw | None = None


@blas_for(0)  # small decompositions between passes over X
def gamp_rie(
    X: ArrayLike | Tokens,
    y: ArrayLike,
    rank: int | None,
    *,
    channel: Channel | None = None,
    start: str | ArrayLike | None = None,
    signal: float | None = None,
    iterations: int = 200,
    tol: float = 1e-8,
    damping: float = 0.0,
    callback: Callable[[State], object] | None = None,
    rng: Random = 0,
    progress: bool = False,
) -> GampRie:
    """Learn the teacher from sequences and labels by approximate message passing.

    Parameters
    ----------
    X : array_like or Tokens, shape (n, L, d)
        Token sequences with independent, centred entries of one variance, in any unit. float32 halves the time, sums
        are in float64 all the same. Copied once unless C-contiguous. Or whatever else holds tokens, see `bsr.tokens`.
    y : array_like, shape (n,)
        Labels, in any unit; if there is a channel, in its own.
    rank : int or None
        Rank r of the teacher, at least 1. None for a teacher of unknown rank or of any other spectrum: the denoiser is
        then `bsr.denoising.empirical_rie`, which finds it in the data. A channel needs the rank.
    channel : bsr.channels.Channel, optional
        How labels come from h = <X, S>/sqrt(dL). Linear labels by default; of `Linear` the noise is not used.
    start : {"zero", "random", "spectral"} or array_like, shape (L, d), optional
        Where to start. Zero by default; for channels that are even in h, which tell S up to its sign, and of which zero
        is a fixed point, "spectral" by default, or "random". A matrix is taken as known from elsewhere, that is not
        from these labels. See Notes.
    signal : float, optional
        Variance of the teacher's entries, positive: 1 for data from the model. Measured by default, see Notes; if there
        is a channel, by default that which makes the variance of h 1.
    iterations : int, default 200
        Largest number of passes over X.
    tol : float, default 1e-8
        Stop when the relative change of the estimate, before damping, falls below this.
    damping : float, default 0.0
        Weight in [0, 1) of the previous state in the next. 0.3 settles some of the cycles that remain at small sizes
        close to a transition, and most runs on tokens of which 5 % of the entries are not zero; 0.9, with four times as
        many iterations, most runs on white tokens with fewer of them, or with heavy tails. On tokens that are not white
        the iteration does not settle without it; 0.5 to 0.9 and more iterations settle some such runs. State evolution
        then no longer describes the way there.
    callback : callable, optional
        Called with a `State` after each iteration; the iteration ends if it returns True. ``TeacherError(S)`` is one.
    rng : int or numpy.random.Generator, default 0
        Source of randomness of the random start, and of the spectral one's search.
    progress : bool, default False
        Show a progress bar.

    Returns
    -------
    GampRie

    Raises
    ------
    ValueError
        If shapes do not match, entries are not finite, a parameter is out of range, or a label impossible.
    MemoryError
        If ``gamp_rie.memory(X.shape)`` bytes are not available.

    Warns
    -----
    ConvergenceWarning
        If the tolerance was not reached, or if residuals or ||R||^2 are larger at the end than the labels allow. The
        estimate may then be worse than none, though finite. The warning says so if the tokens are not white. For even
        channels, if the estimate vanishes, or the spectral start finds nothing: there are too few labels.

    Notes
    -----
    Without a rank, RIE is the map that follows from the singular values of R, with its own divergence, and ||S||^2 is
    kept to what the labels' power allows. For beta = 1, rho = 0.2, delta = 0.1 the error, in units of the signal,
    exceeds that with the right rank by 0.017(5) at alpha = 0.25 and 0.010(2) at 0.5 for d = 40, by 0.005(2) and
    0.001(1) for d = 100; a rank that is wrong by a factor 2 costs more there, 0.02 to 0.05. Up to a quarter of the runs
    keep cycling, at the same error, where the map's pools change; damping=0.3 settles some. At alpha = 0.05 the
    estimate may be worse than none at d = 40, and then it does not settle.

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

    For a channel, the score g = d log Z/d omega of the label at h ~ N(omega, V) takes the place of the residual, in the
    same unit::

        omega = <X, S>/sqrt(dL) - (divergence / alpha) z
        z <- g / mean(g^2)
        V = noise * divergence, within [0, 1], for the next iteration

    and the rest is unchanged; `signal` is not measured but part of the channel. Before z, two EM steps move V to where
    it is most likely given the labels, mean(g^2) = -mean(dg/domega). For linear labels without noise one step arrives,
    and the iteration is the one above. It is what keeps it from exploding: with V from the matrix alone labels that
    contradict the estimate have larger scores, and 1 / mean(g^2) takes these for *less* noise.

    A start that is independent of the data has no Onsager term, but the channel takes it for the overlap
    ||S||^2/(dL), while that of a random direction is ||S||/sqrt(dL) abs(xi) / sqrt(dL) with xi normal. They agree for
    ||S||^2 = 1: this is the random start. In the spectral start, the leading eigenvector of sum_mu T(y_mu) vec(X_mu)
    vec(X_mu)^T with T = 1 - 1/E[h^2|y], the RIE takes part, with the overlap that theory predicts for the eigenvector,
    and the Onsager term is the one of linearised message passing, of which it is the fixed point. It costs some sixty
    times two passes over X. Both starts find nothing below weak recovery, alpha = (1 + delta)^2/2 for `Abs`. In small
    systems next to a threshold, damping=0.3 succeeds more often.

    References
    ----------
    arXiv:2410.18858, algorithm 1; book, chapter 9, :eq:`eq-09-cavity` to :eq:`eq-09-onsager`; chapters 15 and 16; of
    tokens that are not normal, chapter 17.
    """
    _, channel = resolve(0.0, channel)
    X, y = open_samples(X, y, scan=False)
    n, L, d = X.shape
    start = _check_start(start, channel, (L, d))
    if not np.array_equal(start, "zero"):
        X.check_range()
    if rank is not None:
        rank = check_integer("rank", rank, 1)
    elif channel is not None:
        raise ValueError(f"rank must be an integer >= 1 for {channel}, got None")
    signal = None if signal is None else check_number("signal", signal, "positive")
    iterations = check_integer("iterations", iterations, 1)
    tol, damping = check_number("tol", tol, "non-negative"), check_number("damping", damping, "weight")
    check_callback(callback)
    check_memory("gamp_rie", memory, X.shape, X.dtype, channel=channel)

    mean = 0.0
    if channel is None:
        y, mean = without_intercept(X, y)
    # In units in which tokens have mean square 1, and linear labels too; S is then in units of `unit`.
    size, label = root_mean_square(X) or 1.0, np.sqrt(np.mean(y**2)) or 1.0
    if channel is not None:
        y, label = channel.check_labels(y), 1.0
    y, unit = y / label, label / size
    alpha, scale, root = n / (d * L), 1.0 / (size * np.sqrt(d * L)), (d * L) ** 0.25
    most, doubt = 1.0, np.sqrt(2.0 / n)  # variance of the labels, and its relative deviation
    if channel is not None:  # of h
        signal = unit**2 if signal is None else signal
        most, doubt = signal / unit**2, np.sqrt(2.0 / rank * (1.0 / L + 1.0 / d))

    def denoise(R, noise, variance):
        Y, relative = R / (root * np.sqrt(variance)), noise / variance
        if rank is not None:
            S, divergence = rie_and_divergence(Y, rank / min(d, L), relative)
            factor = 1.0
        else:  # this map may keep what leaves the bulk: on tokens that are not white, the labels' power limits it
            S, divergence = empirical_rie_and_divergence(Y, relative)
            largest = most * (1.0 + _EXCESS_MATRIX * doubt)
            factor = np.sqrt(largest / max(variance * root**2 * np.mean(S**2), largest))
        S *= factor * root * np.sqrt(variance)
        return S, factor * divergence

    S, z, divergence, V, first = np.zeros((L, d)), np.zeros(n), 0.0, most, STEPS
    recovers = True
    if isinstance(start, np.ndarray):
        S = start / unit
        V = max(most - np.mean(S**2), SMALLEST * most)
        first = FIRST_STEPS
    elif start == "random":
        S = child_generator(rng).standard_normal((L, d))
        S *= np.sqrt(most) / np.linalg.norm(S)
    elif start == "spectral":
        R, noise, z, recovers = spectral(channel, X, y, scale, most, child_generator(rng))
        S, divergence = denoise(R, noise, most)
        V = np.clip(noise * divergence, SMALLEST * most, most)
    history, scanned, converged, stopped, excess, vanished = [], False, False, False, False, False
    for t in trange(iterations, disable=not progress, desc="GAMP-RIE"):
        if channel is not None:
            h = X.forward(scale * S) if S.any() else 0.0
            omega, steps = h - (divergence / alpha) * z, STEPS if t > 0 else first
            if vanished := channel.even and not omega.any():
                break
            new_z, V, contradiction = innovations(channel, y, omega, V, most, steps)
            G = X.adjoint(new_z)
        elif t > 0 or S.any():
            new_z, G = X.residual(scale * S, y + (divergence / alpha) * z)
        else:
            new_z, G = y, X.adjoint(y)
        if not (scanned or scale * np.abs(G).max() <= _SUSPICIOUS):
            X.check_range()
            scanned = True
        power = np.mean(new_z**2)
        if power <= _ROUNDING * most:
            converged, excess = True, False
            break
        noise = power / alpha
        R = S + (scale / alpha) * G
        seen = np.mean(R**2) - noise
        spread = np.sqrt((2.0 * noise**2 + 4.0 * noise * max(seen, 0.0)) / (d * L))
        variance = _mean_within(seen, spread) if signal is None else signal / unit**2
        if channel is None:
            contradiction = (power - 1.0) / np.sqrt(2.0 / n)
        excess = contradiction > _EXCESS_RESIDUALS or seen > most + _EXCESS_MATRIX * np.hypot(spread, most * doubt)
        new_S, new_divergence = denoise(R, noise, variance)
        change = np.linalg.norm(new_S - S) / max(np.linalg.norm(new_S), np.finfo(float).tiny)
        keep = damping if t > 0 else 0.0
        S = keep * S + (1.0 - keep) * new_S
        z = keep * z + (1.0 - keep) * new_z
        divergence = keep * divergence + (1.0 - keep) * new_divergence
        V = np.clip(noise * divergence, SMALLEST * most, most)
        stein = np.mean((new_S - R) ** 2) - noise + 2.0 * noise * new_divergence
        history.append((np.mean(S**2), noise, variance, min(max(stein, 0.0), variance), change))
        vanished = channel is not None and channel.even and history[-1][0] * S.size < _NOTHING * most
        converged = bool(change <= tol) and not vanished
        stopped = callback is not None and bool(callback(State(t + 1, unit * S)))
        if converged or stopped or vanished:
            break
    said = [] if recovers else [f"the spectral start found nothing: {n} labels are below weak recovery for {channel}"]
    if vanished:
        said.append(f"the estimate vanished after {t + 1} iterations: {n} labels are too few, or the start was unlucky")
    elif (not converged and not stopped) or excess:
        said.append(_advice(X, size, t + 1, history[-1][-1], tol, damping, excess, converged))
    if said:
        warn_convergence("; ".join(said))
    q, noise, variance, trusted, change = np.array(history).reshape(-1, 5).T
    if rank is not None:
        trusted = variance * denoising_mmse(noise / variance, L / d, rank / min(d, L))
    left_out, expected = (alpha * noise[-1], trusted[-1]) if history else (0.0, 0.0)
    return GampRie(
        S=unit * S,
        converged=converged and not excess,
        iterations=t + 1,
        noise=float(unit**2 * left_out / alpha),
        delta=float(label**2 * max(left_out - expected, 0.0)) if channel is None else channel.delta,
        history=GampHistory(*(unit**2 * column for column in (q, noise, variance, trusted)), change),
        up_to_sign=channel is not None and channel.even,
        raw=raw_estimate(X, unit * S, mean),
    )


def _check_start(start, channel, shape):
    """The name of a start, or a matrix to start from."""
    even = channel is not None and channel.even
    if start is None:
        return "spectral" if even else "zero"
    if isinstance(start, str):
        allowed = ("spectral", "random") if even else ("zero", "random")
        if start not in allowed:
            raise ValueError(f"start must be a matrix, {allowed[0]!r} or {allowed[1]!r} for {channel}, got {start!r}")
        return start
    start = check_real("start", start, "finite")
    if start.shape != shape:
        raise ValueError(f"start must have the shape {shape} of a sequence of X, got {start.shape}")
    if even and not start.any():
        raise ValueError(f"start must not be zero for {channel}, which does not tell S from -S")
    return start


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
    if converged:
        text = f"GAMP-RIE came to rest after {iterations} iterations where state evolution does not hold; "
    else:
        text = f"GAMP-RIE changed by {change:.1e} > tol={tol} at iteration {iterations}; "
    directions, white = _directions(X.some(_SAMPLES), size)
    if not white:
        remedy = "whiten them" if not isinstance(X, Whitened) else "damping=0.7 and more iterations may help"
        return text + (
            f"tokens are not white (they vary in about {directions:.0f} of {X.entries} directions): "
            f"{remedy}, or use nuclear_norm or posterior"
        )
    if excess:
        text += "residuals are larger than the labels allow, so the estimate is worse than none: "
    return text + (
        "more damping or more iterations may help" if damping else "damping=0.3, or more iterations, may help"
    )


def _directions(A, size):
    """Number (tr C)^2 / tr C^2 of directions in which some sequences vary, and whether these may be all.

    It is the inverse of the mean squared cosine of the angle between two of them. `size` is that of the entries.
    """
    A = A.reshape(len(A), -1)
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


def memory(
    shape: tuple[int, int, int],
    dtype: DTypeLike = np.float32,
    rank: int | None = None,
    *,
    channel: Channel | None = None,
    **options: object,
) -> int:
    """Bytes that `gamp_rie` needs besides X: entries that tell its scale, a dozen matrices, a dozen vectors of n.

    For a channel a dozen vectors more, and the matrices of the spectral start.
    """
    n, L, d = shape
    more = 0 if channel is None else 8 * (VECTORS * L * d + 12 * n)
    return 8 * min(MEASURED, n * L * d) + 96 * (n + L * d) + more


gamp_rie.memory = memory
