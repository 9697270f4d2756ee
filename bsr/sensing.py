"""The sensing operator A S = (<X_mu, S>)_mu of n token sequences, its adjoint, and both in one pass over memory.

X is by far the largest array of the package, so its reading sets the time of every iteration that uses it.
The kernels read it in blocks of eight rows: eight streams keep the memory busy, and in `fused` a block is still in
cache when it is read for the second time.
"""

import numpy as np
from numba import get_num_threads
from numpy.typing import ArrayLike

from bsr import _passes, _threads
from bsr._checks import as_real
from bsr._typing import Array

__all__ = ["adjoint", "forward", "fused"]


def forward(X: np.ndarray, S: ArrayLike) -> Array:
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
    function of this module is the same to the last bit at each call. Python threads take turns. A process forked from
    this one works alone: the threads do not follow it.
    """
    X = _check_tokens(X)
    S = _check("S", S, X.shape[1:])
    out = np.empty(len(X))
    _run(_passes.forward_threads, _passes.forward_alone, X, (S.ravel(),), out)
    return out


def adjoint(X: np.ndarray, g: ArrayLike) -> Array:
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
    G = np.zeros((_tasks(X), X[0].size))
    _run(_passes.adjoint_threads, _passes.adjoint_alone, X, (g,), G)
    return G.sum(axis=0).reshape(X.shape[1:])


def fused(X: np.ndarray, S: ArrayLike, target: ArrayLike, scale: float) -> tuple[Array, Array]:
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
    g, G = np.empty(len(X)), np.zeros((_tasks(X), X[0].size))
    _run(_passes.fused_threads, _passes.fused_alone, X, (S.ravel(), target, scale), g, G)
    return g, G.sum(axis=0).reshape(X.shape[1:])


def _check_tokens(X):
    X = as_real("X", X, keep=(np.asanyarray(X).dtype,))
    if X.dtype not in (np.float32, np.float64):
        raise ValueError(f"X must be of type float32 or float64, got {X.dtype}")
    if X.ndim != 3 or 0 in X.shape:
        raise ValueError(f"X must have shape (n, L, d) with no empty axis, got {X.shape}")
    if not (X.flags.c_contiguous and X.flags.aligned):
        # A copy made here would double the memory and be thrown away after each call.
        raise ValueError(
            f"X must be C-contiguous and aligned, got strides {X.strides} for shape {X.shape}; "
            "np.ascontiguousarray(X), done once, makes such a copy"
        )
    return X


def _check(name, value, shape):
    value = as_real(name, value)
    if value.shape != shape:
        wanted = f"have shape {shape} to match X" if shape else "be a single number"
        raise ValueError(f"{name} must {wanted}, got shape {value.shape}")
    return np.ascontiguousarray(value).reshape(shape)


def _tasks(X):
    """Number of parallel tasks: one a thread, of at least one block of rows."""
    return min(get_num_threads(), -(-len(X) // _passes.BLOCK))


def _run(with_threads, alone, X, args, *out):
    """Let a kernel pass over the rows of X, which fills `out`.

    Only one Python thread at a time may use numba's threads. In a forked process there are none to use.
    """
    rows = X.reshape(len(X), -1)
    rows.flags.writeable = False  # one machine code for arrays that may be written and for memory maps that may not
    tasks = _tasks(X)
    if tasks == 1 or _threads.forked():
        alone(rows, *args, tasks, *out)
        return
    with _threads.layer:
        with_threads(rows, *args, tasks, *out)
