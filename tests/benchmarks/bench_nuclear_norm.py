"""Speed of nuclear-norm interpolation, and against a general conic solver.

    python tests/benchmarks/bench_nuclear_norm.py           d = L = 20, 50, 100, alpha = .1 to .95
    python tests/benchmarks/bench_nuclear_norm.py conic     d = L = 50 against CVXPY + SCS (pip install cvxpy scs)
    python tests/benchmarks/bench_nuclear_norm.py large     d = L = 200: 2.9 GB of tokens; Linux, for the memory

All noiseless with rho = .2. Goals at alpha = .45: a gap of 1e-6 in 0.05 s (d = 20), 0.6 s (50), 15 s (100); 40 times
faster than SCS at its accuracy; a gap of 1e-4 at d = 200 in 90 s and 8 GB.

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


def conic(d=50, alpha=0.45):
    import cvxpy

    data = bsr.Problem(alpha, 1.0, 0.2).sample(d, rng=0)
    A = data.X.reshape(len(data.y), -1).astype(float) / d
    best = nuclear_norm(data.X, data.y, tol=1e-10)
    least = np.linalg.norm(best.S, "nuc")
    ours = {}
    for tol in (1e-4, 1e-5, 1e-6):
        result, *ours[tol] = report(data, tol=tol, repeats=7)
        value = np.linalg.norm(result.S, "nuc") / least - 1
        print(f"    errors of the norm {value:.1e}, S {np.linalg.norm(result.S - best.S) / np.linalg.norm(best.S):.1e}")
    for eps in (1e-4, 1e-6):
        wall, cpu = perf_counter(), process_time()
        S = cvxpy.Variable((d, d))
        problem = cvxpy.Problem(cvxpy.Minimize(cvxpy.normNuc(S)), [A @ cvxpy.vec(S, order="C") == data.y])
        problem.solve(solver=cvxpy.SCS, eps_abs=eps, eps_rel=eps, max_iters=100_000)
        wall, cpu = perf_counter() - wall, process_time() - cpu
        value = abs(np.linalg.norm(S.value, "nuc") / least - 1)
        labels = np.linalg.norm(A @ S.value.ravel() - data.y) / np.linalg.norm(data.y)
        distance = np.linalg.norm(S.value - best.S) / np.linalg.norm(best.S)
        stats = problem.solver_stats
        print(f"CVXPY + SCS, eps={eps:.0e}: errors of the norm {value:.1e}, labels {labels:.1e}, S {distance:.1e}")
        print(
            f"    wall {wall:.2f} s, CPU {cpu:.2f} s; CVXPY compiles for {problem.compilation_time:.2f} s, SCS sets up"
        )
        print(
            f"    for {stats.setup_time:.2f} s and iterates for {stats.solve_time:.2f} s ({stats.num_iters} iterations)"
        )
        for tol, (our_wall, our_cpu) in ours.items():
            print(
                f"    {wall / our_wall:5.1f} (wall) or {cpu / our_cpu:5.1f} (CPU) times ours at gap {tol:.0e}",
                flush=True,
            )


def large(d=200, alpha=0.45, tol=1e-4):
    import resource

    wall = perf_counter()
    data = bsr.Problem(alpha, 1.0, 0.2).sample(d, rng=0)
    print(f"sampled in {perf_counter() - wall:.0f} s")
    report(data, tol=tol, repeats=1)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB, X {data.X.nbytes / 1e9:.2f}")


if __name__ == "__main__":
    warnings.simplefilter("ignore", bsr.ConvergenceWarning)  # each line states its gap
    {"conic": conic, "large": large}.get(sys.argv[1] if len(sys.argv) > 1 else "", sizes)()
