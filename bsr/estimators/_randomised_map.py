"""Many most probable teachers, each for labels with more noise and anchored at its own draw of the prior."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from bsr._checks import (
    check_callback,
    check_integer,
    check_number,
    check_real,
    child_generator,
    warn_convergence,
)
from bsr._memory import check_memory
from bsr._typing import Random
from bsr.estimators import _gradient_descent
from bsr.estimators._gradient_descent import GradientDescent, gradient_descent
from bsr.estimators._result import State
from bsr.estimators._scale import root_mean_square
from bsr.tokens import Tokens
from bsr.tokens._open import open_samples
from bsr.tokens._tokens import HELD
from bsr.tokens._views import View

__all__ = ["randomised_map"]


def randomised_map(
    X: ArrayLike | Tokens,
    y: ArrayLike,
    rank: int,
    delta: float,
    *,
    replicas: int = 16,
    steps: int = 20_000,
    lr: ArrayLike = 0.1,
    tol: float = 0.05,
    callback: Callable[[State], object] | None = None,
    rng: Random = 0,
    progress: bool = False,
) -> GradientDescent:
    """Perturb the labels and the prior, maximise the posterior, many times: the mean approximates the posterior mean.

    Each replica draws factors (U1, V1) from the prior and noise xi of the law of the label noise, and descends from
    (U1, V1) on sum_mu (<X_mu, S>/sqrt(dL) - y_mu - xi_mu)^2 / (2 delta) + (||U - U1||^2 + ||V - V1||^2) / 2. If the
    estimate were linear in the factors, the end points would be samples of the posterior. It is bilinear, and they are
    not quite.

    Parameters
    ----------
    X : array_like or Tokens, shape (n, L, d)
        Token sequences.
    y : array_like, shape (n,)
        Labels, in units in which the teacher's entries have variance 1.
    rank : int
        Rank r of the teacher, at least 1.
    delta : float
        Variance of the label noise, positive.
    replicas : int, default 16
        Number of draws.
    steps : int, default 20000
        Largest number of steps.
    lr : float or array_like of shape (replicas,), default 0.1
        Step size of `gradient_descent` for tokens whose entries have mean square 1; it is divided by that mean square.
    tol : float, default 0.05
        A descent has come to rest where the pull of the labels on its factors and that of the anchor cancel, but for
        this fraction of them.
    callback : callable, optional
        Called with a `State` at the recorded steps of `gradient_descent`; the descent ends if it returns True.
        ``TeacherError(S)`` is one.
    rng : int or numpy.random.Generator, default 0
        Source of the perturbations.
    progress : bool, default False
        Show a progress bar.

    Returns
    -------
    GradientDescent
        `S` has the estimates, `S_mean` their mean. `converged` tells whether all have come to rest.

    Raises
    ------
    ValueError
        If shapes do not match, entries are not finite, or a parameter is out of range.
    MemoryError
        If ``randomised_map.memory(X.shape, rank=rank, ...)`` bytes are not available.

    Warns
    -----
    ConvergenceWarning
        If a replica diverged, or has not come to rest.

    References
    ----------
    Papandreou and Yuille, "Gaussian sampling by local perturbations", NIPS 2010, for the linear case.
    """
    X, y = open_samples(X, y)
    n, L, d = X.shape
    rank, replicas = check_integer("rank", rank, 1), check_integer("replicas", replicas, 1)
    delta, tol = check_number("delta", delta, "positive"), check_number("tol", tol, "positive")
    check_callback(callback)
    more = {"replicas": replicas, "resident": X.resident or isinstance(X, View)}
    check_memory("randomised_map", memory, X.shape, X.dtype, rank, **more)
    rng = child_generator(rng)
    U, V = rng.standard_normal((replicas, L, rank)), rng.standard_normal((replicas, d, rank))
    labels = y + np.sqrt(delta) * rng.standard_normal((replicas, n))
    rested, stopped, unit = False, False, 1.0 / np.sqrt(d * L)

    def rest(state):
        nonlocal rested, stopped
        G = -0.5 * unit * X.residual(unit * state.S, labels)[1]
        labels_pull = G @ state.V / np.sqrt(rank), G.transpose(0, 2, 1) @ state.U / np.sqrt(rank)
        anchor_pull = delta / 2.0 * (state.U - U), delta / 2.0 * (state.V - V)
        left, whole = (
            sum(np.sum(a**2, axis=(1, 2)) for a in forces)
            for forces in (map(np.add, labels_pull, anchor_pull), anchor_pull)
        )
        rested = bool(np.all((left <= tol**2 * whole) | ~np.isfinite(left)))
        stopped = callback is not None and bool(callback(state))
        return rested or stopped

    result = gradient_descent(
        X,
        labels,
        rank,
        init=(U, V),
        anchor="init",
        weight_decay=delta / 2.0,  # the loss is that of the posterior times delta / 2
        steps=steps,
        lr=check_real("lr", lr, "positive") / (root_mean_square(X) or 1.0) ** 2,
        tol=0.0,
        switch=0.0,
        callback=rest,
        progress=progress,
    )
    if not rested and not stopped:
        warn_convergence(f"replicas have not come to rest within tol={tol} after {result.iterations} steps")
    return replace(result, converged=rested and not result.diverged.any())


def memory(
    shape: tuple[int, int, int],
    dtype: DTypeLike = np.float32,
    rank: int = 1,
    *,
    replicas: int = 16,
    resident: bool = True,
    **options: object,
) -> int:
    """Bytes that `randomised_map` needs besides X: those of the descent, labels for each replica, and what it keeps."""
    n, L, d = shape
    descent = _gradient_descent.memory(shape, dtype, rank, replicas=replicas, switch=0.0, resident=resident)
    held = 8 * max(min(HELD, n * L * d), L * d)
    return descent + held + 8 * replicas * (6 * n + 4 * L * d + 4 * rank * (L + d))


randomised_map.memory = memory
