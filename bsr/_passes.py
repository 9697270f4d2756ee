"""Passes over the token sequences, in kernels: eight rows at a time, shared between threads or not."""

import numpy as np
from numba import prange

from bsr._compile import kernel

BLOCK = 8  # rows, as unrolled in _dot and _add_rows

# Sums may be reordered, as vectorisation needs; NaN and infinity keep their meaning.
_REORDER = {"reassoc", "contract", "nsz"}


@kernel()
def _bounds(task, tasks, n):
    """First row of a task and of the next; whole blocks but for the last."""
    blocks = -(-n // BLOCK)
    return BLOCK * (task * blocks // tasks), min(n, BLOCK * ((task + 1) * blocks // tasks))


@kernel(fastmath=_REORDER)
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


@kernel(fastmath=_REORDER)
def _add_rows(X, g, out, start, stop):
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


@kernel()
def _forward_task(X, s, out, task, tasks):
    start, stop = _bounds(task, tasks, len(X))
    _dot(X, s, out, start, stop)


@kernel()
def _adjoint_task(X, g, out, task, tasks):
    start, stop = _bounds(task, tasks, len(X))
    _add_rows(X, g, out[task], start, stop)


@kernel()
def _fused_task(X, s, target, scale, g, out, task, tasks):
    start, stop = _bounds(task, tasks, len(X))
    for i in range(start, stop, BLOCK):
        end = min(i + BLOCK, stop)
        _dot(X, s, g, i, end)
        for k in range(i, end):
            g[k] = scale * (target[k] - g[k])
        _add_rows(X, g, out[task], i, end)


# Each pass twice, for numba's cache does not tell a function with threads from the same one without. Their sums are
# the same to the last bit. `out` has a row for each task, to which the task adds. (The index of a parallel loop is
# unsigned: uncast, it would have everything below compiled once more.)


@kernel(parallel=True)
def forward_threads(X, s, tasks, out):
    for task in prange(tasks):
        _forward_task(X, s, out, np.int64(task), tasks)


@kernel()
def forward_alone(X, s, tasks, out):
    for task in range(tasks):
        _forward_task(X, s, out, task, tasks)


@kernel(parallel=True)
def adjoint_threads(X, g, tasks, out):
    for task in prange(tasks):
        _adjoint_task(X, g, out, np.int64(task), tasks)


@kernel()
def adjoint_alone(X, g, tasks, out):
    for task in range(tasks):
        _adjoint_task(X, g, out, task, tasks)


@kernel(parallel=True)
def fused_threads(X, s, target, scale, tasks, g, out):
    for task in prange(tasks):
        _fused_task(X, s, target, scale, g, out, np.int64(task), tasks)


@kernel()
def fused_alone(X, s, target, scale, tasks, g, out):
    for task in range(tasks):
        _fused_task(X, s, target, scale, g, out, task, tasks)
