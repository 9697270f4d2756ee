"""The posterior itself: block Gibbs sampling of the teacher's factors, and the posterior mean."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from scipy import linalg
from tqdm import trange

from bsr._checks import (
    as_real,
    check_callback,
    check_integer,
    check_number,
    child_generator,
    warn_convergence,
)
from bsr._memory import check_memory
from bsr._threads import blas_for
from bsr._typing import Random
from bsr.channels import Channel, resolve
from bsr.estimators._raw import Raw, raw_estimate, without_intercept
from bsr.estimators._result import Result, State
from bsr.model import mse
from bsr.tokens import Tokens
from bsr.tokens._open import open_samples

__all__ = ["Posterior", "draw", "posterior"]

_BATCHES = 10
# Standard deviations by which the training error may exceed delta. In 500 chains on model data (d from 4 to 12, delta
# from 0.01 to 2) it was above 2.3 in four: stuck, with estimates 1.5 to 5 times worse than none, and only this told.
_EXCESS = 5.0


@dataclass(frozen=True, eq=False, repr=False)
class Posterior(Result):
    """Result of `posterior`.

    Attributes
    ----------
    S : ndarray, shape (L, d)
        Posterior mean of the teacher: the mean of `samples`.
    samples : ndarray, shape (k, L, d)
        The samples that were kept, in the order of the chain.
    spread : float
        Posterior variance of an entry of S, averaged over entries. On average over data from the model it is the least
        error possible; the error of one sample is twice that, the error of `S` is 1 + 1/effective_sample_size times.
    effective_sample_size : float
        Number of independent samples whose mean would be as precise as `S`.
    train_error : ndarray, shape (k,)
        Mean of (y - <X, S>/sqrt(dL))^2 over the data for each kept sample; for a channel, its expectation given the
        label, with y as it was before the nonlinearity. On data from the model its expectation is delta; another value
        tells of a wrong `delta` or `rank`, of data in other units, or of a chain that is stuck.
    U : ndarray, shape (L, r)
        The last state: `init=(result.U, result.V)` continues the chain.
    V : ndarray, shape (d, r)
        Likewise.
    converged : bool
        Whether the effective sample size reached the one asked for, and the mean of `train_error` does not exceed delta
        by more than chance allows.
    iterations : int
        Sweeps.
    up_to_sign : bool
        Whether labels do not tell S from -S. Samples then have the sign that agrees with the mean of those before.
    raw : Raw or None
        The estimate for tokens as they were given, if X is a view of them; `S` is then the one for the view's.
    """

    S: np.ndarray
    samples: np.ndarray
    spread: float
    effective_sample_size: float
    train_error: np.ndarray
    U: np.ndarray
    V: np.ndarray
    converged: bool
    iterations: int
    up_to_sign: bool = False
    raw: Raw | None = None

    def metrics(self, teacher: ArrayLike) -> dict[str, float]:
        """As of every estimator, `error_sample` (mean error of the samples), `spread`, `effective_sample_size`.

        The samples are those for the view, if X is one; `error_sample` is then NaN.
        """
        compared = self.raw is None
        return super().metrics(teacher) | {
            "error_sample": float(np.mean(mse(self.samples, teacher, up_to_sign=self.up_to_sign)))
            if compared
            else np.nan,
            "spread": self.spread,
            "effective_sample_size": self.effective_sample_size,
        }


def draw(H, y, delta, rng):
    """One exact sample of u given y = H u + sqrt(delta) xi, with u and xi standard normal.

    An error drawn from the prior is moved by the regression on the labels that it gets wrong. Of the two Gram matrices
    the smaller is also the well conditioned one, however small delta is.
    """
    n, m = H.shape
    u = rng.standard_normal(m)
    gap = y - H @ u - np.sqrt(delta) * rng.standard_normal(n)
    gram = H.T @ H if m <= n else H @ H.T
    gram.flat[:: len(gram) + 1] += delta
    try:
        factor = linalg.cho_factor(gram.T, overwrite_a=True, check_finite=False)  # symmetric; .T is LAPACK's order
    except linalg.LinAlgError:
        raise ValueError(f"delta must not be lost in rounding when samples are dependent, got {delta}") from None
    if m <= n:
        return u + linalg.cho_solve(factor, H.T @ gap, check_finite=False)
    return u + H.T @ linalg.cho_solve(factor, gap, check_finite=False)


def _precision(samples):
    """Variance of the samples per entry, and the effective sample size, both from the means of successive batches."""
    batches = np.array([batch.mean(axis=0) for batch in np.array_split(samples, _BATCHES)])
    variance_of_mean = np.var(batches, axis=0, ddof=1).mean() / _BATCHES
    spread = np.mean((samples - samples.mean(axis=0)) ** 2) + variance_of_mean
    if variance_of_mean == 0.0:
        return float(spread), float(len(samples))
    return float(spread), float(min(spread / variance_of_mean, len(samples)))


def posterior(
    X: ArrayLike | Tokens,
    y: ArrayLike,
    rank: int,
    delta: float | None = None,
    *,
    channel: Channel | None = None,
    sweeps: int = 400,
    burn_in: int = 100,
    thin: int = 1,
    init: tuple[ArrayLike, ArrayLike] | None = None,
    min_effective: float = 30.0,
    callback: Callable[[State], object] | None = None,
    rng: Random = 0,
    progress: bool = False,
) -> Posterior:
    """Sample the teacher given sequences and labels; the mean of the samples is the best estimate there is.

    Parameters
    ----------
    X : array_like or Tokens, shape (n, L, d)
        Token sequences. What is not C-contiguous float64, or no array, is copied once: the linear algebra is in
        float64, and on all of them at once.
    y : array_like, shape (n,)
        Labels, in units in which the teacher's entries have variance 1.
    rank : int
        Rank r of the teacher, at least 1.
    delta : float, optional
        Variance of the label noise, positive. Without noise the conditional laws have no width and the chain cannot
        move; with little noise it moves slowly.
    channel : bsr.channels.Channel, optional
        How labels come from <X, S>/sqrt(dL), in place of delta: `Linear`, `Sign`, `ReLU` or `Abs`, with noise.
    sweeps : int, default 400
        Number of sweeps. One sweep draws U given V, then V given U.
    burn_in : int, default 100
        First sweeps to forget.
    thin : int, default 1
        Keep every `thin`-th sweep after that; at least 10 must be kept.
    init : tuple of ndarray (U, V), optional
        Where to start, shapes (L, r) and (d, r). Drawn from the prior by default. Only V matters, unless there is a
        channel: U is drawn first. The `U` and `V` of a result continue its chain.
    min_effective : float, default 30.0
        Effective sample size that counts as converged; at 30 the finite chain adds 3 % to the error of the mean. A
        chain that hardly moves scores about 10.
    callback : callable, optional
        Called with a `State` after each sweep; the chain ends when it returns True and 10 samples have been kept.
        ``TeacherError(S)`` is one.
    rng : int or numpy.random.Generator, default 0
        Source of randomness. The same integer gives the same chain; another one, another start and another chain.
    progress : bool, default False
        Show a progress bar.

    Returns
    -------
    Posterior

    Raises
    ------
    ValueError
        If shapes do not match, entries are not finite, a parameter is out of range, a label impossible, or not exactly
        one of delta and channel is given.
    MemoryError
        If ``posterior.memory(X.shape, rank=rank, ...)`` bytes are not available; `thin` saves some.

    Warns
    -----
    ConvergenceWarning
        If the effective sample size is below `min_effective`, or the training error exceeds delta by more than five
        standard deviations, delta sqrt(2/n) each: the chain is stuck, or `delta`, `rank` or the units are wrong.

    Notes
    -----
    Given V, the labels are linear in U: y = H u + sqrt(delta) xi with u = vec(U) and H_mu = X_mu V / sqrt(r d L). The
    prior of u is standard normal, hence its conditional law is normal with precision I + H^T H / delta. It is sampled
    exactly through the Cholesky factor of H^T H + delta I (or of H H^T + delta I if there are fewer labels than entries
    of U), and likewise V given U. Book, chapter 10, :eq:`eq-10-draw`.

    A channel's labels f(h + sqrt(delta) xi) hide the linear ones, h + sqrt(delta) xi. These are drawn too, given the
    labels and h, before U and again before V: with them, both draws are the linear ones. Linear labels that are hidden
    hold on to h, so the chain mixes more slowly than for linear labels, the more so the smaller delta: h moves by about
    sqrt(delta) at a time. For `Abs` it also has to choose a sign for each label, and rarely changes many at once.

    The effective sample size compares the variance between the means of ten successive batches with that within. It
    sees slow mixing and drift, not a region that the chain never visited: a second chain from another start, rng=1 say,
    looks for it.

    Ctrl-C raises KeyboardInterrupt, and the samples are lost. To keep what a long chain has reached, run it in legs,
    each with ``init=(result.U, result.V)`` and another `rng`.

    A sweep takes of order n (r L)^2 + n (r d)^2 operations: 3 ms at d = L = 30, r = 6, n = 720 on one core.
    """
    tokens, y = open_samples(X, y)
    y, mean = without_intercept(tokens, y) if channel is None else (y, 0.0)
    n, L, d = tokens.shape
    rank = check_integer("rank", rank, 1)
    if (delta is None) == (channel is None):
        raise ValueError(f"delta or channel must be given, and not both, got delta={delta!r} and channel={channel!r}")
    if channel is not None:
        delta, channel = resolve(0.0, channel)
    if channel is not None:
        channel.augment(y, np.zeros(n))  # refuses what it cannot do
        delta = channel.delta
    delta, even = check_number("delta", delta, "positive"), channel is not None and channel.even
    min_effective = check_number("min_effective", min_effective, "non-negative")
    check_callback(callback)
    kept = _kept(sweeps, burn_in, thin)
    check_memory("posterior", memory, tokens.shape, tokens.dtype, rank, sweeps=sweeps, burn_in=burn_in, thin=thin)
    rng = child_generator(rng)
    if init is None:
        V = rng.standard_normal((d, rank))
        U = None if channel is None else rng.standard_normal((L, rank))
    else:
        if not isinstance(init, tuple | list) or len(init) != 2:
            raise ValueError(f"init must be a pair (U, V), got {init!r}")
        U, V = (as_real("init", factor) for factor in init)
        if U.shape != (L, rank) or V.shape != (d, rank) or not (np.isfinite(V).all() and np.isfinite(U).all()):
            raise ValueError(
                f"init must be finite factors of shapes ({L}, {rank}) and ({d}, {rank}), got {U.shape} and {V.shape}"
            )

    X = tokens.dense().astype(np.float64, copy=False)
    X_t = X.transpose(0, 2, 1)
    scale = 1.0 / np.sqrt(rank * d * L)
    samples, train_error = np.empty((kept, L, d)), np.empty(kept)

    def linear(H, u):
        return y if channel is None else channel.augment(y, H @ u.ravel(), rng)

    def misfit_of(h):
        if channel is None:
            return np.mean((y - h) ** 2)
        g, slope = channel.score(y, h, 0.0)
        return delta + delta**2 * np.mean(g**2 + slope)  # E (linear label - h)^2 given the label

    stopped, total = False, np.zeros((L, d))
    with blas_for(n * (max(d, L) * rank) ** 2):
        for t in trange(sweeps, disable=not progress, desc="Gibbs"):
            H = (X @ (scale * V)).reshape(n, -1)
            U = draw(H, linear(H, U), delta, rng).reshape(L, rank)
            H = (X_t @ (scale * U)).reshape(n, -1)
            V = draw(H, linear(H, V), delta, rng).reshape(d, rank)
            k, skipped = divmod(t + 1 - burn_in, thin)
            if k > 0 and not skipped:
                samples[k - 1] = U @ V.T / np.sqrt(rank)
                if even:
                    samples[k - 1] *= 1.0 if np.vdot(samples[k - 1], total) >= 0.0 else -1.0
                    total += samples[k - 1]
                train_error[k - 1] = misfit_of(H @ V.ravel())
            if callback is not None:
                state = State(t + 1, U @ V.T / np.sqrt(rank), U.copy(), V.copy())
                stopped = bool(callback(state)) and k >= _BATCHES
            if stopped:
                samples, train_error = samples[:k], train_error[:k]
                break
    spread, effective = _precision(samples)
    misfit, short = train_error.mean() / delta, effective < min_effective
    stuck = bool(misfit > 1.0 + _EXCESS * np.sqrt(2.0 / n))
    if (short and not stopped) or stuck:
        said = [f"{t + 1} sweeps gave {effective:.1f} effective samples < min_effective={min_effective}"] * short
        said += [
            f"the training error is {misfit:.3g} times delta={delta}: the chain is stuck (start another, rng=1 say), "
            "or delta or rank is too small, or the labels are not in units in which entries of S have variance 1"
        ] * stuck
        warn_convergence("; ".join(said))
    S = samples.mean(axis=0)
    return Posterior(
        S=S,
        samples=samples,
        spread=spread,
        effective_sample_size=effective,
        train_error=train_error,
        U=U,
        V=V,
        converged=not (short or stuck),
        iterations=t + 1,
        up_to_sign=even,
        raw=raw_estimate(tokens, S, mean),
    )


def _kept(sweeps, burn_in, thin):
    """Number of samples that are kept."""
    sweeps, burn_in = check_integer("sweeps", sweeps, 1), check_integer("burn_in", burn_in, 0)
    kept = (sweeps - burn_in) // check_integer("thin", thin, 1)
    if kept < _BATCHES:
        raise ValueError(
            f"sweeps must leave {_BATCHES} samples or more to keep, got {sweeps} with burn_in={burn_in} and thin={thin}"
        )
    return kept


def memory(
    shape: tuple[int, int, int],
    dtype: DTypeLike = np.float32,
    rank: int = 1,
    *,
    delta: float | None = 1.0,
    channel: Channel | None = None,
    sweeps: int = 400,
    burn_in: int = 100,
    thin: int = 1,
    **options: object,
) -> int:
    """Bytes that `posterior` needs besides X.

    X in float64 if it is not, the linear maps of both factors, a Gram matrix, the samples and their deviations.
    """
    check_number("delta", delta if channel is None else channel.delta, "positive")
    n, L, d = shape
    m, copied = max(d, L) * rank, n * L * d if np.dtype(dtype) != np.float64 else 0
    return 8 * (copied + 2 * n * m + min(n, m) ** 2 + 2 * _kept(sweeps, burn_in, thin) * L * d)


posterior.memory = memory
