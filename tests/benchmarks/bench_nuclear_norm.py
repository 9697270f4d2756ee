"""Speed of nuclear-norm interpolation.

    python tests/benchmarks/bench_nuclear_norm.py           d = L = 20, 50, 100, alpha = .1 to .95

All noiseless with rho = .2. Goals at alpha = .45: a gap of 1e-6 in 0.05 s (d = 20), 0.6 s (50), 15 s (100). The same at
d = L = 200 is in bench_nuclear_norm_large.py, a general conic solver in bench_conic.py.

Where other programs keep the cores busy, threads that wait for each other cost far more than they bring: set
OPENBLAS_NUM_THREADS=1 and NUMBA_NUM_THREADS=1 then. CPU seconds are those of all threads, waiting included.
"""

import warnings
from time import perf_counter, process_time, sleep

import bsr
from bsr.estimators import nuclear_norm


def timed(call, repeats):
    """The result, and the wall and CPU seconds of the fastest of some calls."""
    seconds = []
    for _ in range(repeats):
        sleep(0.12)  # the threads of BLAS stay busy for 0.1 s
        wall, cpu = perf_counter(), process_time()
        result = call()
        seconds.append((perf_counter() - wall, process_time() - cpu))
    return result, *min(seconds)


def report(data, method=None, tol=1e-6, repeats=3):
    result, wall, cpu = timed(lambda: nuclear_norm(data.X, data.y, tol=tol, method=method), repeats)
    n, d = len(data.y), len(data.S)
    print(
        f"d={d} alpha={n / d**2:.3f} {result.method:16} {result.iterations:5} iterations, gap {result.gap:.1e}, "
        f"wall {wall:8.3f} s, CPU {cpu:8.3f} s, mse {bsr.mse(result.S, data.S):.4f}",
        flush=True,
    )
    return result, wall, cpu


def measure():
    warnings.simplefilter("ignore", bsr.ConvergenceWarning)  # each line states its gap
    numbers = {}
    for d in (20, 50, 100):
        for alpha in (0.45, 0.1, 0.25, 0.55, 0.65, 0.95):
            data = bsr.Problem(alpha, 1.0, 0.2).sample(d, rng=0)
            nuclear_norm(data.X, data.y, tol=0.5)
            result, wall, _ = report(data, repeats=5 if d == 20 else 3)
            name = f"{d}" if alpha == 0.45 else f"{d}_alpha_{100 * alpha:.0f}"
            what = f"d = L = {d}, alpha = {alpha}, gap 1e-6, by {result.method}"
            numbers[f"fit_{name}"] = wall, "s", f"a fit by the nuclear norm, {what}"
            numbers[f"iterations_{name}"] = result.iterations, "", f"its iterations, {what}"
            if alpha == 0.45 and d < 100:  # where the choice is a close one
                for method in ("douglas-rachford", "primal-dual"):
                    report(data, method)
    return numbers


if __name__ == "__main__":
    measure()
