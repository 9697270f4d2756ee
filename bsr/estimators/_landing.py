"""Landing: the end of a gradient descent without the descent, by Gauss-Newton steps of minimal norm."""

import numpy as np


def land(X, y, U, V, tol, *, reach=0.1, newton_steps=8, cg_tol=1e-3, cg_iterations=300):
    """Move factors that nearly interpolate to the closest ones that do.

    Where the loss vanishes on a manifold, descent comes in at right angles to it and ends close to the nearest point.
    The Gauss-Newton step of minimal norm goes there directly.

    Parameters
    ----------
    X : ndarray, shape (n, L * d)
        Samples as rows, float64.
    y : ndarray, shape (n,)
        Labels.
    U, V : ndarray, shapes (m, L, r) and (m, d, r)
        Factors of m replicas, in units in which the predictions are <X, U V^T>.
    tol : float
        Training error mean((prediction - y)^2) to reach.
    reach : float, default 0.1
        Longest way from start to end, relative to the norm of (U, V): beyond, it need not be the end of the descent.
    newton_steps, cg_iterations : int, defaults 8 and 300
        Gauss-Newton steps, and conjugate gradient iterations for each, before a landing is given up.
    cg_tol : float, default 1e-3
        Relative residual at which the conjugate gradients stop.

    Returns
    -------
    landed : ndarray of bool, shape (m,)
        Which replicas got to `tol` within `reach`.
    U, V : ndarray
        The new factors; the given ones for replicas that did not land.
    """
    start = U, V
    size = _square(U) + _square(V)
    for newton_step in range(newton_steps + 1):
        residual = y - (U @ V.transpose(0, 2, 1)).reshape(len(U), -1) @ X.T
        landed = np.mean(residual**2, axis=1) <= tol
        lost = ~(_square(U - start[0]) + _square(V - start[1]) <= reach**2 * size)
        if np.all(landed | lost) or newton_step == newton_steps:
            break
        residual[landed | lost] = 0.0  # these stay where they are
        dU, dV = _minimal_norm_step(X, U, V, residual, cg_tol, cg_iterations)
        U, V = U + dU, V + dV
    landed &= ~lost
    chosen = landed[:, None, None]
    return landed, np.where(chosen, U, start[0]), np.where(chosen, V, start[1])


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
        active = power > goal
        if not active.any():
            break
        length = np.where(active, power / np.where(active, _square(dU) + _square(dV), 1.0), 0.0)
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
