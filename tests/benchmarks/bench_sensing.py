"""One pass over X against BLAS and against the speed of memory.

    python tests/benchmarks/bench_sensing.py [n] [D]

Goals at n = 5000, D = dL = 10000, as times relative to `fused` on float32: at least 1.5 for two float32 matrix-vector
products, 3.5 for two float64 ones, 0.75 for reading X once (the best reading seen, summed by all threads).
"""

import sys

import numpy as np
from _timing import best_ratio, interleaved, print_times, ratios
from numba import get_num_threads, njit, prange

from bsr.sensing import adjoint, forward, fused


@njit(parallel=True, fastmath=True)
def read(X, tasks):
    """Sum of the entries, eight rows at a time."""
    total = 0.0
    for task in prange(tasks):
        for i in range(task * len(X) // tasks, (task + 1) * len(X) // tasks - 7, 8):
            t = np.float32(0)
            for j in range(X.shape[1]):
                t += X[i, j] + X[i + 1, j] + X[i + 2, j] + X[i + 3, j]
                t += X[i + 4, j] + X[i + 5, j] + X[i + 6, j] + X[i + 7, j]
            total += t
    return total


def bench(n, D, rounds, burst=3):
    rng = np.random.default_rng(0)
    X32 = rng.standard_normal((n, 1, D), dtype=np.float32)
    X64 = X32.astype(np.float64)
    A32, A64 = X32[:, 0], X64[:, 0]
    s64, y64 = rng.standard_normal(D), rng.standard_normal(n)
    s32, y32 = s64.astype(np.float32), y64.astype(np.float32)
    S = s64[None]
    calls = {
        "fused": lambda: fused(X32, S, y64, 1.0),
        "read": lambda: read(A32, get_num_threads()),
        "forward": lambda: forward(X32, S),
        "adjoint": lambda: adjoint(X32, y64),
        "forward, then adjoint": lambda: adjoint(X32, y64 - forward(X32, S)),
        "two gemv, float32": lambda: A32.T @ (y32 - A32 @ s32),
        "two gemv, float64": lambda: A64.T @ (y64 - A64 @ s64),
        "fused, float64": lambda: fused(X64, S, y64, 1.0),
    }
    seconds = interleaved(calls, rounds, burst)
    print(f"\nn = {n}, D = {D}, X of {X32.nbytes / 1e6:.1f} MB in float32, {rounds} x {burst} calls each")
    print_times(seconds, "fused")
    print(f"best reading {X32.nbytes / seconds['read'].min() / 1e9:.1f} GB/s")
    return seconds


def measure():
    print(f"{get_num_threads()} threads")
    n, D = 5000, 10000
    seconds = bench(n, D, 20)
    numbers = {}
    for key, name in (("gemv32", "two gemv, float32"), ("gemv64", "two gemv, float64"), ("read", "read")):
        what = f"{name}, n = {n}, dL = {D}, over a fused pass"
        numbers[key] = ratios(seconds, name, "fused"), "", f"{what}: medians, in four parts of the run"
        numbers[f"{key}_best"] = best_ratio(seconds, name, "fused"), "", f"{what}: best times"
    speed = 4e-9 * n * D / seconds["read"].min()
    numbers["reading"] = speed, "GB/s", "best reading of X"
    return numbers


if __name__ == "__main__":
    if len(sys.argv) > 1:
        bench(int(sys.argv[1]), int(sys.argv[2]), 12)
    else:
        measure()
        bench(2500, 40000, 10)
        bench(500, 2500, 5, burst=50)
        bench(100, 400, 5, burst=200)
