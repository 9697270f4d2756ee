"""The end of a gradient descent without the descent, by Gauss-Newton steps of minimal norm."""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from bsr._checks import check_integer, check_number, warn_convergence
from bsr._memory import check_memory
from bsr.estimators._gradient_descent import GradientDescent, gradient_descent
from bsr.estimators._raw import raw_estimate, without_intercept
from bsr.model import predict
from bsr.tokens import Tokens
from bsr.tokens._open import open_samples

__all__ = ["interpolate"]


def interpolate(
    X: ArrayLike | Tokens,
    y: ArrayLike,
    descent: GradientDescent,
    *,
    tol: float = 1e-12,
    reach: float = 0.1,
    newton_steps: int = 8,
    cg_tol: float = 1e-3,
    cg_iterations: int = 300,
) -> GradientDescent:
    """Bring factors that nearly meet the labels to the closest ones that do.

    Where the loss vanishes on a manifold, slow descent comes in at right angles to it and ends close to the nearest
    point of it. Gauss-Newton steps of minimal norm, solved by conjugate gradients in float64, go there directly.

    Parameters
    ----------
    X : array_like or Tokens, shape (n, L, d)
        Token sequences that were descended on. Copied once to an array in float64 if they are not.
    y : array_like, shape (n,)
        Their labels.
    descent : GradientDescent
        Result of `gradient_descent` for linear labels, without weight decay, stopped by tol=1e-4 or less, say.
    tol : float, default 1e-12
        Training error to reach, in units of mean(y^2).
    reach : float, default 0.1
        Longest way from start to end, relative to the norm of (U, V): beyond, it need not be the end of the descent.
    newton_steps : int, default 8
        Gauss-Newton steps before a replica is given up.
    cg_tol : float, default 1e-3
        Relative residual at which the conjugate gradients of a step stop.
    cg_iterations : int, default 300
        Largest number of conjugate-gradient iterations of a step.

    Returns
    -------
    GradientDescent
        `landed` tells the replicas that have moved; the others are as they were. `train_error` and `converged` are
        measured anew on X and y. `history` is that of the descent.

    Raises
    ------
    ValueError
        If shapes do not match, entries are not finite, a parameter is out of range, or `descent` is no such result.
    MemoryError
        If ``interpolate.memory(X.shape)`` bytes are not available.

    Warns
    -----
    ConvergenceWarning
        If a replica is still above `tol`. With at least as many samples as parameters, rank (L + d - rank) of them or
        dL where the rank is full, there is no such manifold, and nothing moves.

    Notes
    -----
    This suits small steps. At a large lr, a descent that still bounces from wall to wall would have ended elsewhere. A
    replica that did not land may land later: descend further, from ``init=(descent.U, descent.V)``, and try again.

    References
    ----------
    Book, chapter 12.
    """
    tokens, y = open_samples(X, y)
    y, mean = without_intercept(tokens, y)
    n, L, d = tokens.shape
    if not isinstance(descent, GradientDescent):
        raise ValueError(f"descent must be a result of gradient_descent, got {descent!r}")
    if descent.channel is not None:
        raise ValueError(f"descent must be for linear labels, got one for {descent.channel}")
    rank = descent.U.shape[-1]
    if descent.S.shape[1:] != (L, d):
        raise ValueError(f"descent must be of shape ({L}, {d}) to match X, got {descent.S.shape[1:]}")
    tol, reach = check_number("tol", tol, "positive"), check_number("reach", reach, "positive")
    newton_steps, cg_iterations = (
        check_integer("newton_steps", newton_steps, 1),
        check_integer("cg_iterations", cg_iterations, 1),
    )
    cg_tol = check_number("cg_tol", cg_tol, "fraction")
    check_memory("interpolate", memory, tokens.shape, tokens.dtype)
    X = tokens.dense()

    # Labels in units of their root mean square, factors in units in which the predictions are <X, U V^T>.
    label = np.sqrt(np.mean(y**2)) or 1.0
    unit = (rank * d * L) ** 0.25 * np.sqrt(label)
    parameters = rank * (L + d - rank) if rank < min(L, d) else L * d
    errors, landed = np.mean((predict(X, descent.S) - y) ** 2, axis=1) / label**2, descent.landed.copy()
    errors[descent.diverged] = np.inf
    U, V = descent.U.copy(), descent.V.copy()
    near = np.flatnonzero(np.isfinite(errors) & (errors > tol))
    if n < parameters and len(near):
        rows = X.reshape(n, L * d).astype(np.float64, copy=False)
        options = {"reach": reach, "newton_steps": newton_steps, "cg_tol": cg_tol, "cg_iterations": cg_iterations}
        reached, new_U, new_V, new_errors = _land(rows, y / label, U[near] / unit, V[near] / unit, tol, **options)
        near, new_U, new_V = near[reached], new_U[reached], new_V[reached]
        U[near], V[near], errors[near], landed[near] = unit * new_U, unit * new_V, new_errors[reached], True
    S = U @ V.transpose(0, 2, 1) / np.sqrt(rank)
    fine = ~descent.diverged
    if short := int(np.sum(fine & (errors > tol))):
        why = "" if n < parameters else f"; {n} samples are not fewer than the {parameters} parameters"
        warn_convergence(f"{short} of {len(U)} replicas are still above tol={tol} times mean(y^2){why}")
    return replace(
        descent,
        S=S,
        U=U,
        V=V,
        S_mean=S[fine].mean(axis=0) if fine.any() else descent.S_mean,
        train_error=label**2 * errors,
        landed=landed,
        raw=raw_estimate(tokens, S, mean),
        converged=bool(np.all(errors <= tol)),
    )


def _land(X, y, U, V, tol, *, reach=0.1, newton_steps=8, cg_tol=1e-3, cg_iterations=300):
    """Which replicas got to `tol` within `reach`, their factors, and training errors.

    X has samples as rows, of shape (n, L * d), in float64; predictions are <X, U V^T>.
    """
    start = U, V
    size = _square(U) + _square(V)
    for newton_step in range(newton_steps + 1):
        residual = y - (U @ V.transpose(0, 2, 1)).reshape(len(U), -1) @ X.T
        errors = np.mean(residual**2, axis=1)
        landed = errors <= tol
        lost = ~(_square(U - start[0]) + _square(V - start[1]) <= reach**2 * size)
        if np.all(landed | lost) or newton_step == newton_steps:
            break
        residual[landed | lost] = 0.0  # these stay where they are
        dU, dV = _minimal_norm_step(X, U, V, residual, cg_tol, cg_iterations)
        U, V = U + dU, V + dV
    return landed & ~lost, U, V, errors


def _minimal_norm_step(X, U, V, residual, tol, iterations):
    """Smallest (dU, dV) with <X, dU V^T + U dV^T> = residual, replica by replica.

    Conjugate gradients on the normal equations of the second kind (Craig's method): J J^T z = residual, step = J^T z.
    """

    def pull_back(z):
        G = (z @ X).reshape(len(U), U.shape[1], V.shape[1])
        return G @ V, G.transpose(0, 2, 1) @ U

    step_U, step_V = np.zeros_like(U), np.zeros_like(V)
    dU, dV = pull_back(residual)
    power = np.sum(residual**2, axis=1)
    goal = tol**2 * power
    for _ in range(iterations):
        slope = _square(dU) + _square(dV)
        active = (power > goal) & (slope > 0.0)  # without a slope, as where both factors are zero, there is no step
        if not active.any():
            break
        length = np.where(active, power / np.where(active, slope, 1.0), 0.0)
        step_U += length[:, None, None] * dU
        step_V += length[:, None, None] * dV
        change = (dU @ V.transpose(0, 2, 1) + U @ dV.transpose(0, 2, 1)).reshape(len(U), -1) @ X.T
        residual = residual - length[:, None] * change
        new_power = np.where(active, np.sum(residual**2, axis=1), power)
        ratio = (new_power / np.where(active, power, 1.0))[:, None, None]
        back_U, back_V = pull_back(residual)
        dU, dV, power = back_U + ratio * dU, back_V + ratio * dV, new_power
    return step_U, step_V


def _square(stack):
    """Squared norm of each matrix of a stack."""
    return np.einsum("mij,mij->m", stack, stack)


def memory(shape: tuple[int, int, int], dtype: DTypeLike = np.float32, **options: object) -> int:
    """Bytes that `interpolate` needs besides X: X in float64 if it is not."""
    n, L, d = shape
    return 8 * n * L * d if np.dtype(dtype) != np.float64 else 0


interpolate.memory = memory
interpolate.follows = gradient_descent
