"""Nuclear-norm interpolation against a general conic solver.

    python tests/benchmarks/bench_conic.py     d = L = 50 against CVXPY + SCS (pip install cvxpy scs)

Goal: 40 times faster than SCS at its accuracy.
"""

import cvxpy
import numpy as np
from bench_nuclear_norm import timed

import bsr
from bsr.estimators import nuclear_norm


def measure(d=50, alpha=0.45, rounds=5):
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
    name, rival = "ours, gap 1e-06", "CVXPY + SCS, eps 1e-6"
    median = {key: float(np.median(values)) for key, values in seconds.items()}
    what = f"d = L = {d}, alpha = {alpha}, median"
    return {
        "ours": (median[name], "s", f"a fit by the nuclear norm to a gap of 1e-6, {what}"),
        "scs": (median[rival], "s", f"the same by CVXPY with SCS, eps 1e-6, {what}"),
        "ratio": (median[rival] / median[name], "", "the ratio of these two"),
    }


if __name__ == "__main__":
    measure()
