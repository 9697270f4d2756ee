"""The sensing operator A S = (<X_mu, S>)_mu of n token sequences, its adjoint, and both in one pass over memory.

X is by far the largest array of the package, so its reading sets the time of every iteration that uses it.
The loops below read it in blocks of eight rows: eight streams keep the memory busy, and in `fused` a block is still in
cache when it is read for the second time.
"""

import numpy as np
from numba import get_num_threads, njit, prange

__all__ = ["adjoint", "forward", "fused"]

_BLOCK = 8  # rows, as unrolled in _dot and _axpy

# Sums may be reordered, as vectorisation needs; NaN and infinity keep their meaning.
_REORDER = {"reassoc", "contract", "nsz"}


def forward(X, S):
    """Inner products <X_mu, S> = sum_ij X_mu,ij S_ij.

    Parameters
    ----------
    X : ndarray, shape (n, L, d)
        Token sequences, float32 or float64, C-contiguous.
    S : array_like, shape (L, d)

    Returns
    -------
    ndarray, shape (n,)
        Summed in float64 whatever the type of X; not normalised (the model divides by sqrt(dL)).

    Raises
    ------
    ValueError
        If X has another type or memory order, or the shapes do not match. NaN and infinity are not looked for: they
        propagate to the result.

    Notes
    -----
    The rows are shared between `numba.get_num_threads()` threads. For a given number of threads the result of each
    function of this module is the same to the last bit at each call.
    """
    X = _check_tokens(X)
    S = _check("S", S, X.shape[1:])
    return _forward_kernel(X.reshape(len(X), -1), S.ravel(), _tasks(X))


def adjoint(X, g):
    """Weighted sum of the sequences, sum_mu g_mu X_mu.

    Parameters
    ----------
    X : ndarray, shape (n, L, d)
        Token sequences, float32 or float64, C-contiguous.
    g : array_like, shape (n,)

    Returns
    -------
    ndarray, shape (L, d)
        Summed in float64 whatever the type of X.

    Raises
    ------
    ValueError
        As `forward`.
    """
    X = _check_tokens(X)
    g = _check("g", g, X.shape[:1])
    return _adjoint_kernel(X.reshape(len(X), -1), g, _tasks(X)).sum(axis=0).reshape(X.shape[1:])


def fused(X, S, target, scale):
    """Scaled residuals and their adjoint, in one pass over the memory of X.

    Same as ``g = scale * (target - forward(X, S))`` followed by ``G = adjoint(X, g)``, up to twice as fast once X is
    larger than the caches. This is what an iteration of approximate message passing or of a first-order method asks
    of the data.

    Parameters
    ----------
    X : ndarray, shape (n, L, d)
        Token sequences, float32 or float64, C-contiguous.
    S : array_like, shape (L, d)
    target : array_like, shape (n,)
    scale : float

    Returns
    -------
    g : ndarray, shape (n,)
        scale * (target_mu - <X_mu, S>), float64.
    G : ndarray, shape (L, d)
        sum_mu g_mu X_mu, float64.

    Raises
    ------
    ValueError
        As `forward`.
    """
    X = _check_tokens(X)
    S = _check("S", S, X.shape[1:])
    target = _check("target", target, X.shape[:1])
    scale = float(_check("scale", scale, ()))
    g, G = _fused_kernel(X.reshape(len(X), -1), S.ravel(), target, scale, _tasks(X))
    return g, G.sum(axis=0).reshape(X.shape[1:])


def _check_tokens(X):
    X = np.asarray(X)
    if X.dtype not in (np.float32, np.float64):
        raise ValueError(f"X must be of type float32 or float64, got {X.dtype}")
    if X.ndim != 3 or 0 in X.shape:
        raise ValueError(f"X must have shape (n, L, d) with no empty axis, got {X.shape}")
    if not X.flags.c_contiguous:
        # A copy made here would double the memory and be thrown away after each call.
        raise ValueError(
            f"X must be C-contiguous, got strides {X.strides} for shape {X.shape}; "
            "np.ascontiguousarray(X), done once, makes such a copy"
        )
    return X


def _check(name, value, shape):
    value = np.asarray(value)
    if value.dtype.kind not in "fiub" or value.shape != shape:
        wanted = f"an array of shape {shape} to match X" if shape else "a single number"
        raise ValueError(f"{name} must be real and {wanted}, got type {value.dtype} and shape {value.shape}")
    return np.ascontiguousarray(value, dtype=np.float64).reshape(shape)


def _tasks(X):
    """Number of parallel tasks: one a thread, of at least one block of rows."""
    return min(get_num_threads(), -(-len(X) // _BLOCK))


@njit(cache=True)
def _bounds(task, tasks, n):
    """First row of a task and of the next; whole blocks but for the last."""
    blocks = -(-n // _BLOCK)
    return _BLOCK * (task * blocks // tasks), min(n, _BLOCK * ((task + 1) * blocks // tasks))


@njit(cache=True, fastmath=_REORDER)
def _dot(X, s, out, start, stop):
    """out[start:stop] = X[start:stop] @ s"""
    D = s.size
    i = start
    while i + 8 <= stop:
        t0 = t1 = t2 = t3 = t4 = t5 = t6 = t7 = 0.0
        for j in range(D):
            v = s[j]
            t0 += X[i, j] * v
            t1 += X[i + 1, j] * v
            t2 += X[i + 2, j] * v
            t3 += X[i + 3, j] * v
            t4 += X[i + 4, j] * v
            t5 += X[i + 5, j] * v
            t6 += X[i + 6, j] * v
            t7 += X[i + 7, j] * v
        out[i], out[i + 1], out[i + 2], out[i + 3] = t0, t1, t2, t3
        out[i + 4], out[i + 5], out[i + 6], out[i + 7] = t4, t5, t6, t7
        i += 8
    for k in range(i, stop):
        t0 = 0.0
        for j in range(D):
            t0 += X[k, j] * s[j]
        out[k] = t0


@njit(cache=True, fastmath=_REORDER)
def _axpy(X, g, out, start, stop):
    """out += g[start:stop] @ X[start:stop]"""
    D = out.size
    i = start
    while i + 8 <= stop:
        g0, g1, g2, g3 = g[i], g[i + 1], g[i + 2], g[i + 3]
        g4, g5, g6, g7 = g[i + 4], g[i + 5], g[i + 6], g[i + 7]
        for j in range(D):
            low = g0 * X[i, j] + g1 * X[i + 1, j] + g2 * X[i + 2, j] + g3 * X[i + 3, j]
            high = g4 * X[i + 4, j] + g5 * X[i + 5, j] + g6 * X[i + 6, j] + g7 * X[i + 7, j]
            out[j] += low + high
        i += 8
    for k in range(i, stop):
        g0 = g[k]
        for j in range(D):
            out[j] += g0 * X[k, j]


@njit(cache=True, parallel=True)
def _forward_kernel(X, s, tasks):
    out = np.empty(len(X))
    for task in prange(tasks):
        start, stop = _bounds(task, tasks, len(X))
        _dot(X, s, out, start, stop)
    return out


@njit(cache=True, parallel=True)
def _adjoint_kernel(X, g, tasks):
    out = np.zeros((tasks, X.shape[1]))
    for task in prange(tasks):
        start, stop = _bounds(task, tasks, len(X))
        _axpy(X, g, out[task], start, stop)
    return out


@njit(cache=True, parallel=True)
def _fused_kernel(X, s, target, scale, tasks):
    g = np.empty(len(X))
    out = np.zeros((tasks, X.shape[1]))
    for task in prange(tasks):
        start, stop = _bounds(task, tasks, len(X))
        for i in range(start, stop, _BLOCK):
            end = min(i + _BLOCK, stop)
            _dot(X, s, g, i, end)
            for k in range(i, end):
                g[k] = scale * (target[k] - g[k])
            _axpy(X, g, out[task], i, end)
    return g, out
