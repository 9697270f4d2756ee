"""What GAMP-RIE adds to its passes over X.

    python tests/benchmarks/bench_gamp.py [rounds]

n = 4000, d = L = 100, float32. Goals: a call with one iteration takes at most 1.4 fused passes, an iteration at most
0.75 of two float32 matrix-vector products over the same X, with its singular-value decomposition. At d = L = 25,
n = 250: an iteration, and a call with one iteration, at most 1 ms each.
"""

import sys
import warnings

import numpy as np
from _timing import interleaved, print_times, ratios, span
from numba import get_num_threads

import bsr
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
    call, more = seconds["one iteration"], seconds[f"{1 + MORE} iterations"]
    seconds["an iteration"] = (more - call) / MORE  # of the same moment
    print(f"\nn = {n}, d = L = {d}, {rounds} x {burst} calls each")
    print_times(seconds, "fused pass")
    return seconds


def best_iteration(seconds):
    return float((seconds[f"{1 + MORE} iterations"].min() - seconds["one iteration"].min()) / MORE)


def count_iterations(d):
    """Of whole fits, at some numbers of samples."""
    counts = []
    for alpha in (0.2, 0.35, 0.5, 0.8):
        data = bsr.Problem(alpha, 1.0, 0.2, 0.1).sample(d, rng=0)
        counts.append(gamp_rie(data.X, data.y, data.U.shape[1]).iterations)
    print(f"iterations of a fit at d = L = {d}: {counts}")
    return counts


KEYS = {
    "pass": "fused pass",
    "gemv": "two gemv",
    "svd": "decomposition",
    "iteration": "an iteration",
    "call": "one iteration",
}


def measure(rounds=10):
    warnings.simplefilter("ignore", ConvergenceWarning)
    print(f"{get_num_threads()} threads")
    n, d = 4000, 100
    seconds, numbers = bench(n, d, rounds, 2), {}
    for key, name in KEYS.items():
        what = f"{name}, n = {n}, d = L = {d}"
        numbers[key] = float(np.median(seconds[name])), "s", f"{what}: median"
        best = best_iteration(seconds) if key == "iteration" else float(seconds[name].min())
        numbers[f"{key}_best"] = best, "s", f"{what}: best"
    numbers["iteration_over_gemv"] = (
        ratios(seconds, "an iteration", "two gemv"),
        "",
        "an iteration over two float32 matrix-vector products: medians, in four parts of the run",
    )
    numbers["call_over_pass"] = (
        ratios(seconds, "one iteration", "fused pass"),
        "",
        "a call with one iteration over a fused pass, likewise",
    )
    median = {name: float(np.median(values)) for name, values in seconds.items()}
    share = median["decomposition"] / median["fused pass"]
    numbers["svd_over_pass"] = share, "", "a decomposition over a fused pass, medians"
    numbers["pass_per_entry"] = median["fused pass"] / (n * d * d), "s", "a fused float32 pass, per entry of X"
    numbers["svd_constant"] = median["decomposition"] / d**3, "s", "a decomposition at d = L = 100, over m^2 M"
    small = bench(250, 25, rounds, 20)
    numbers["small_iteration"] = (
        float(np.median(small["an iteration"])),
        "s",
        "an iteration, n = 250, d = L = 25: median",
    )
    numbers["small_call"] = float(np.median(small["one iteration"])), "s", "a call with one iteration, the same"
    counts = count_iterations(d)
    what = "iterations of a fit, d = L = 100, rho = 0.2, delta = 0.1, alpha from 0.2 to 0.8"
    numbers["iterations"] = round(np.median(counts)), "", f"{what}: median"
    numbers["iterations_range"] = span(counts), "", what
    return numbers


if __name__ == "__main__":
    measure(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
