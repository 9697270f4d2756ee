"""What GAMP-RIE adds to its passes over X.

    python tests/benchmarks/bench_gamp.py [rounds]

n = 4000, d = L = 100, float32. Goals: a call with one iteration takes at most 1.4 fused passes, an iteration at most
0.75 of two float32 matrix-vector products over the same X, with its singular-value decomposition. At d = L = 25,
n = 250: an iteration, and a call with one iteration, at most 1 ms each.
"""

import sys
import warnings

import numpy as np
from _timing import interleaved, print_times
from numba import get_num_threads

from bsr import ConvergenceWarning
from bsr.estimators import gamp_rie
from bsr.sensing import fused

MORE = 10


def bench(n, d, rounds, burst):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d, d), dtype=np.float32)
    S = rng.standard_normal((d, d // 5)) @ rng.standard_normal((d // 5, d)) / np.sqrt(d // 5)
    A, s32 = X.reshape(n, -1), S.ravel().astype(np.float32)
    y = A @ s32.astype(np.float64) / d + 0.3 * rng.standard_normal(n)
    y32 = y.astype(np.float32)
    R = S + rng.standard_normal((d, d))
    calls = {
        "fused pass": lambda: fused(X, S, y, 1.0),
        "two gemv": lambda: A.T @ (y32 - A @ s32),
        "decomposition": lambda: np.linalg.svd(R),
        "one iteration": lambda: gamp_rie(X, y, d // 5, iterations=1, tol=0.0),
        f"{1 + MORE} iterations": lambda: gamp_rie(X, y, d // 5, iterations=1 + MORE, tol=0.0),
    }
    seconds = interleaved(calls, rounds, burst)
    print(f"\nn = {n}, d = L = {d}, {rounds} x {burst} calls each")
    print_times(seconds, "fused pass")
    for name, choose in (("best", np.min), ("median", np.median)):
        call, more = choose(seconds["one iteration"]), choose(seconds[f"{1 + MORE} iterations"])
        iteration, gemv = (more - call) / MORE, choose(seconds["two gemv"])
        print(
            f"{name:6}: a call with one iteration {1e3 * call:.2f} ms = {call / choose(seconds['fused pass']):.2f} "
            f"fused passes; an iteration {1e3 * iteration:.2f} ms = {iteration / gemv:.2f} of two gemv"
        )


if __name__ == "__main__":
    warnings.simplefilter("ignore", ConvergenceWarning)
    print(f"{get_num_threads()} threads")
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    bench(4000, 100, rounds, 2)
    bench(250, 25, rounds, 20)
