"""How the cost of each estimator grows with the size.

    OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python tests/benchmarks/bench_growth.py

Seconds on d = L, rho = 0.2: of a pass of GAMP-RIE, of a step of 64 replicas of gradient descent, of a sweep of the
posterior's sampler, and of a whole fit by ridge regression and by the minimal nuclear norm (gap 1e-6). The last line
is the exponent of d between the two largest sizes.
"""

import warnings
from time import perf_counter

import numpy as np

import bsr
from bsr.estimators import gamp_rie, gradient_descent, nuclear_norm, posterior, ridge

SIZES = (25, 50, 100, 200)


def seconds(call, count=1, repeats=3):
    """Shortest time of a call, per item."""
    best = np.inf
    for _ in range(repeats):
        start = perf_counter()
        call()
        best = min(best, perf_counter() - start)
        if best > 5:
            break
    return best / count


def gamp(d):
    data = bsr.Problem(0.5, 1.0, 0.2, 0.1).sample(d, rng=0)
    return seconds(lambda: gamp_rie(data.X, data.y, data.U.shape[1], iterations=10, tol=0), 11)


def descent(d):
    data = bsr.Problem(0.25, 1.0, 0.2).sample(d, rng=0)
    rank, steps = data.U.shape[1], 10 if d < 200 else 3

    def run(steps):
        return lambda: gradient_descent(data.X, data.y, rank, replicas=64, steps=steps, tol=0, record=[])

    return (seconds(run(1 + steps)) - seconds(run(1))) / steps


def sampler(d):
    data = bsr.Problem(0.5, 1.0, 0.2, 0.1).sample(d, rng=0)
    rank = data.U.shape[1]

    def run(sweeps):
        return lambda: posterior(data.X, data.y, rank, 0.1, sweeps=sweeps, burn_in=1, min_effective=0)

    return (seconds(run(22), repeats=2) - seconds(run(12), repeats=2)) / 10


def regression(d):
    data = bsr.Problem(0.5, 1.0, 0.2, 0.1).sample(d, rng=0)
    return seconds(lambda: ridge(data.X, data.y, 0.1), repeats=2)


def interpolation(d):
    data = bsr.Problem(0.45, 1.0, 0.2).sample(d, rng=0)
    return seconds(lambda: nuclear_norm(data.X, data.y, tol=1e-6), repeats=2)


COLUMNS = {  # the largest size of each (beyond, memory or patience ends), its key and what it is
    "GAMP pass": (gamp, 200, "gamp", "an iteration of GAMP-RIE, alpha = 0.5"),
    "descent step": (descent, 100, "descent", "a step of gradient descent with 64 replicas, alpha = 0.25"),
    "sampler sweep": (sampler, 100, "sampler", "a sweep of the sampler, alpha = 0.5"),
    "ridge": (regression, 100, "ridge", "a fit by ridge regression, alpha = 0.5"),
    "nuclear norm": (interpolation, 200, "nuclear_norm", "a fit by the nuclear norm, alpha = 0.45, gap 1e-6"),
}


def measure():
    print("   d" + "".join(f"{name:>16}" for name in COLUMNS) + "   (seconds)")
    times = {name: [] for name in COLUMNS}
    for d in SIZES:
        line = f"{d:4}"
        for name, (function, largest, _, _) in COLUMNS.items():
            if d > largest:
                line += f"{'':16}"
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", bsr.ConvergenceWarning)  # runs are cut short on purpose
                if d == SIZES[0]:
                    function(d)  # compiles
                times[name].append(function(d))
            line += f"{times[name][-1]:16.6f}"
        print(line, flush=True)
    growth = {name: np.log2(t[-1] / t[-2]) for name, t in times.items()}
    print("d^  " + "".join(f"{growth[name]:16.1f}" for name in COLUMNS))
    numbers = {}
    for name, (_, _, key, what) in COLUMNS.items():
        for d, value in zip(SIZES, times[name], strict=False):
            numbers[f"{key}_{d}"] = float(value), "s", f"{what}, d = L = {d}, one thread"
        numbers[f"{key}_exponent"] = float(growth[name]), "", f"{what}: exponent of d between the two largest sizes"
    return numbers


if __name__ == "__main__":
    measure()
