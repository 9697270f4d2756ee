"""Speed of nuclear-norm interpolation, and against a general conic solver.

    python tests/benchmarks/bench_nuclear_norm.py           d = L = 20, 50, 100, alpha = .1 to .95
    python tests/benchmarks/bench_nuclear_norm.py conic     d = L = 50 against CVXPY + SCS (pip install cvxpy scs)
    python tests/benchmarks/bench_nuclear_norm.py large     d = L = 200: 2.9 GB of tokens; Linux, for the memory

All noiseless with rho = .2. Goals at alpha = .45: a gap of 1e-6 in 0.05 s (d = 20), 0.6 s (50), 15 s (100); 40 times
faster than SCS at its accuracy; a gap of 1e-6 at d = 200 in 30 s and 8 GB.

Where other programs keep the cores busy, threads that wait for each other cost far more than they bring: set
OPENBLAS_NUM_THREADS=1 and NUMBA_NUM_THREADS=1 then. CPU seconds are those of all threads, waiting included.
"""

import sys
import warnings
from time import perf_counter, process_time, sleep

import numpy as np

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


def sizes():
    for d in (20, 50, 100):
        for alpha in (0.45, 0.1, 0.25, 0.55, 0.65, 0.95):
            data = bsr.Problem(alpha, 1.0, 0.2).sample(d, rng=0)
            nuclear_norm(data.X, data.y, tol=0.5)
            report(data, repeats=5 if d == 20 else 3)
            if alpha == 0.45:
                for method in ("douglas-rachford", "primal-dual"):
                    report(data, method, repeats=3 if d < 100 else 1)


def conic(d=50, alpha=0.45, rounds=5):
    import cvxpy

    data = bsr.Problem(alpha, 1.0, 0.2).sample(d, rng=0)
    A = data.X.reshape(len(data.y), -1).astype(float) / d
    best = nuclear_norm(data.X, data.y, tol=1e-10)

    def scs():  # as a user calls it; compilation and setup count
        S = cvxpy.Variable((d, d))
        problem = cvxpy.Problem(cvxpy.Minimize(cvxpy.normNuc(S)), [A @ cvxpy.vec(S, order="C") == data.y])
        problem.solve(solver=cvxpy.SCS, eps_abs=1e-6, eps_rel=1e-6, max_iters=100_000)
        stats = problem.solver_stats
        print(
            f"    CVXPY compiles for {problem.compilation_time:.2f} s, SCS sets up for {stats.setup_time:.2f} s and "
            f"iterates for {stats.solve_time:.2f} s ({stats.num_iters} iterations)"
        )
        return S.value

    calls = {f"ours, gap {tol:.0e}": lambda tol=tol: nuclear_norm(data.X, data.y, tol=tol).S for tol in (3e-6, 1e-6)}
    calls["CVXPY + SCS, eps 1e-6"] = scs
    seconds, cpu = {name: [] for name in calls}, {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            for _ in range(1 if call is scs else 5):
                S, *times = timed(call, 1)
                seconds[name].append(times[0])
                cpu[name].append(times[1])
            if len(seconds[name]) <= 5:
                value = abs(np.linalg.norm(S, "nuc") / np.linalg.norm(best.S, "nuc") - 1)
                distance = np.linalg.norm(S - best.S) / np.linalg.norm(best.S)
                print(f"{name}: relative errors of the norm {value:.1e}, of S {distance:.1e}", flush=True)
    for name in calls:
        parts = []
        for what, times in (("wall", seconds), ("CPU", cpu)):
            for how in (np.min, np.median):
                ratio = how(times["CVXPY + SCS, eps 1e-6"]) / how(times[name])
                parts.append(f"{what} {how.__name__} {how(times[name]):.3f} s (1/{ratio:.1f})")
        print(f"{name}: {', '.join(parts)}")


def large(d=200, alpha=0.45, tol=1e-6):
    import resource

    wall = perf_counter()
    data = bsr.Problem(alpha, 1.0, 0.2).sample(d, rng=0)
    print(f"sampled in {perf_counter() - wall:.0f} s")
    report(data, tol=tol, repeats=1)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB, X {data.X.nbytes / 1e9:.2f}")


if __name__ == "__main__":
    warnings.simplefilter("ignore", bsr.ConvergenceWarning)  # each line states its gap
    {"conic": conic, "large": large}.get(sys.argv[1] if len(sys.argv) > 1 else "", sizes)()
