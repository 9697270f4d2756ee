"""GAMP-RIE: approximate message passing with the Bayes-optimal matrix denoiser."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from tqdm import trange

from bsr._checks import check_integer, check_number, check_samples, check_teacher, warn_convergence
from bsr.denoising import _rie
from bsr.denoising import mmse as denoising_mmse
from bsr.estimators._threads import blas_for
from bsr.model import mse
from bsr.sensing import fused

__all__ = ["GampRie", "History", "gamp_rie"]


class History(NamedTuple):
    """What happened at each iteration t = 1 ... T of `gamp_rie`; arrays of shape (T,).

    Attributes
    ----------
    q : ndarray
        Overlap ||S_t||^2 / (dL) of the estimate with itself; on the Nishimori line also that with the teacher.
    noise : ndarray
        Variance of the Gaussian noise that the denoiser was told to remove, measured from the residuals.
    error_estimate : ndarray
        What state evolution says of the error of S_t given that noise: MMSE(noise).
    error : ndarray
        ||S_t - S||^2 / (dL) if a teacher was given, NaN otherwise.
    change : ndarray
        ||S_t - S_{t-1}|| / ||S_t||.
    """

    q: np.ndarray
    noise: np.ndarray
    error_estimate: np.ndarray
    error: np.ndarray
    change: np.ndarray


@dataclass(frozen=True)
class GampRie:
    """Result of `gamp_rie`.

    Attributes
    ----------
    S : ndarray, shape (L, d)
        The estimate of the last iteration.
    converged : bool
        Whether the last change was below the tolerance.
    iterations : int
        Passes over X.
    history : History
        The course of the iterations.
    """

    S: np.ndarray
    converged: bool
    iterations: int
    history: History


@blas_for(0)  # small decompositions between passes over X
def gamp_rie(X, y, rank, delta, *, iterations=200, tol=1e-8, damping=0.0, rng=0, teacher=None, progress=False):
    """Learn the teacher from sequences and labels by approximate message passing.

    Parameters
    ----------
    X : array_like, shape (n, L, d)
        Token sequences with standard normal entries; float32 halves the time, sums are in float64 all the same.
    y : array_like, shape (n,)
        Labels.
    rank : int
        Rank r of the teacher, at least 1.
    delta : float
        Variance of the label noise, zero or positive. Not used, so a wrong value does no harm: the residuals tell the
        sum of noise and error, and no more is needed. Part of the signature that the estimators share.
    iterations : int, default 200
        Largest number of passes over X.
    tol : float, default 1e-8
        Stop when the relative change of the estimate, before damping, falls below this.
    damping : float, default 0.0
        Weight in [0, 1) of the previous state in the next. Never needed for stability. 0.3 settles many of the cycles
        that remain at small sizes close to a transition; state evolution then no longer describes the way there.
    rng : int or numpy.random.Generator, default 0
        Not used: the iteration starts from S = 0. Part of the signature that the estimators share.
    teacher : array_like, shape (L, d), optional
        If given, `history.error` is recorded. It does not influence the estimate.
    progress : bool, default False
        Show a progress bar.

    Returns
    -------
    GampRie

    Raises
    ------
    ValueError
        If shapes do not match, entries are not finite, or a parameter is out of range.

    Warns
    -----
    ConvergenceWarning
        If the tolerance was not reached. The estimate is finite all the same.

    Notes
    -----
    Starting from S = 0 and residuals z = 0, one iteration is ::

        z <- y - <X, S>/sqrt(dL) + (divergence / alpha) z
        noise = mean(z^2) / alpha
        R = S + sum_mu z_mu X_mu / (alpha sqrt(dL))
        S <- RIE(R; noise)
        divergence = mean of dS_ij / dR_ij

    The published form is the same at the fixed point, where mean(z^2) = delta + MMSE(noise). On the way there such
    iterations may explode: once a fluctuation brings a singular value of R outside the support of its law, the RIE's
    formula, continued there, multiplies it by almost 1. `bsr.denoising.rie` multiplies it by the factor of the edge,
    which is below 1 and for large noise of order 1/noise, and larger residuals mean more noise here: the estimate stays
    bounded whatever the data. That the divergence is the one of the map and the matrix at hand, and not its limit
    MMSE(noise)/noise, lets small systems converge; for d >= 100 it hardly matters (book, chapter 9).

    References
    ----------
    arXiv:2410.18858, algorithm 1; book, chapter 9, :eq:`eq-09-cavity` to :eq:`eq-09-onsager`.
    """
    X, y = check_samples(X, y)
    n, L, d = X.shape
    rank = check_integer("rank", rank, 1)
    delta = check_number("delta", delta, "non-negative")
    iterations = check_integer("iterations", iterations, 1)
    tol, damping = check_number("tol", tol, "non-negative"), check_number("damping", damping, "weight")
    teacher = check_teacher(teacher, L, d)

    rho, alpha, scale, unit = rank / min(d, L), n / (d * L), 1.0 / np.sqrt(d * L), (d * L) ** 0.25
    exact = 1e-24 * np.mean(y**2)  # residuals of this size are rounding
    S, z, divergence = np.zeros((L, d)), np.zeros(n), 0.0
    history, converged = [], False
    for t in trange(iterations, disable=not progress, desc="GAMP-RIE"):
        new_z, G = fused(X, scale * S, y + (divergence / alpha) * z, 1.0)
        power = np.mean(new_z**2)
        if power <= exact:
            converged = True
            break
        noise = power / alpha
        new_S, new_divergence = _rie((S + scale / alpha * G) / unit, rho, noise)
        new_S *= unit
        change = np.linalg.norm(new_S - S) / max(np.linalg.norm(new_S), np.finfo(float).tiny)
        keep = damping if t > 0 else 0.0
        S = keep * S + (1.0 - keep) * new_S
        z = keep * z + (1.0 - keep) * new_z
        divergence = keep * divergence + (1.0 - keep) * new_divergence
        error = np.nan if teacher is None else mse(S, teacher)
        history.append((np.mean(S**2), noise, denoising_mmse(noise, L / d, rho), error, change))
        if change <= tol:
            converged = True
            break
    if not converged:
        warn_convergence(
            f"GAMP-RIE changed by {history[-1][-1]:.1e} > tol={tol} at iteration {iterations}; "
            f"{'more iterations' if damping else 'damping=0.3, or more iterations,'} may help"
        )
    columns = np.array(history).reshape(-1, 5).T
    return GampRie(S=S, converged=converged, iterations=t + 1, history=History(*columns))
