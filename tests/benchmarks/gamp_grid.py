"""GAMP-RIE over random instances, against theory at d = 100, and at the largest size.

    python tests/benchmarks/gamp_grid.py grid [instances]
    python tests/benchmarks/gamp_grid.py theory [seeds]
    python tests/benchmarks/gamp_grid.py large

`grid` counts what must not happen, an estimate that is not finite or further from the teacher than 1.5 times 0 is, at
any iteration, and lists the runs that did not converge. `theory` compares mean errors with the Bayes-optimal ones.
`large` runs d = L = 200, alpha = 0.5 and prints the peak memory and the time of a pass.
"""

import resource
import sys
import warnings
from time import perf_counter

import numpy as np

import bsr
from bsr.estimators import TeacherError, gamp_rie
from bsr.theory.limits import strong_recovery

warnings.simplefilter("ignore", bsr.ConvergenceWarning)  # counted here

# (alpha, beta, rho, delta), away from strong recovery
POINTS = [
    (0.05, 1, 0.2, 0),
    (0.15, 1, 0.2, 0),
    (0.25, 1, 0.2, 0),
    (0.6, 1, 0.2, 0),
    (0.6, 1, 1, 0),
    (0.3, 2, 0.5, 0.1),
    (0.45, 0.5, 0.2, 0.5),
    (0.2, 3, 0.1, 0.02),
    (1.2, 1, 0.5, 0.3),
    (0.4, 0.7, 2, 1),
]


def run(problem, d, rng, **options):
    data = problem.sample(d, rng)
    watch = TeacherError(data.S)
    result = gamp_rie(data.X, data.y, data.U.shape[1], callback=watch, **options)
    return data, result, watch.error / np.mean(data.S**2)


def random_problem(rng):
    """A problem and its d, with sqrt(dL) between 30 and 60; half of the problems are without noise."""
    alpha, beta, rho = (np.exp(rng.uniform(*np.log(ends))) for ends in ((0.02, 1.5), (1 / 3, 3), (0.05, 2)))
    delta = 0.0 if rng.random() < 0.5 else 10.0 ** rng.uniform(-4, 0)
    return bsr.Problem(alpha, beta, rho, delta), round(rng.uniform(30, 60) / np.sqrt(beta))


def grid(instances=240):
    rng = np.random.default_rng(2026)
    exploded, worst, offsets, unconverged = 0, 0.0, [], []
    for _ in range(instances):
        problem, d = random_problem(rng)
        data, result, error = run(problem, d, rng)
        p = data.problem
        if not (np.isfinite(result.S).all() and np.isfinite(error).all() and error.max() < 1.5):
            exploded += 1
        worst = max(worst, error.max())
        theory = bsr.theory.bayes.mmse(p.alpha, p.beta, p.rho, p.delta)
        offsets.append(error[-1] - theory)
        if not result.converged:
            rank = data.U.shape[1]
            damped = gamp_rie(data.X, data.y, rank, damping=0.3).converged
            unconverged.append((p, rank, result.history.change[-1], error[-1], theory, damped))
    print(f"{instances} instances: {exploded} exploded; largest error at any iteration {worst:.3f} of that of 0")
    print(f"final error less theory: mean {np.mean(offsets):.4f}, mean absolute {np.mean(np.abs(offsets)):.4f}")
    print(f"{len(unconverged)} did not converge in 200 iterations (tol 1e-8):")
    for p, rank, change, error, theory, damped in unconverged:
        print(
            f"  alpha {p.alpha:.3f} (strong recovery {strong_recovery(p.beta, p.rho):.3f}) beta {p.beta:.2f} "
            f"rho {p.rho:.2f} (rank {rank}) delta {p.delta:.4f}: change {change:.0e}, error {error:.4f}, "
            f"theory {theory:.4f}; with damping 0.3 it {'converges' if damped else 'does not'}"
        )


def theory(seeds=8):
    print("alpha, beta, rho, delta: mean of error / (|S|^2/dL), its standard error, theory; iterations; verdict")
    for alpha, beta, rho, delta in POINTS:
        errors, iterations = [], []
        for seed in range(seeds):
            data, result, error = run(bsr.Problem(alpha, beta, rho, delta), 100, seed, tol=1e-6)
            errors.append(error[-1])
            iterations.append(result.iterations if result.converged else np.inf)
        p = data.problem
        expected = bsr.theory.bayes.mmse(p.alpha, p.beta, p.rho, p.delta)
        mean, spread = np.mean(errors), np.std(errors, ddof=1) / np.sqrt(seeds)
        good = abs(mean - expected) <= 3 * spread + 0.02 * expected + 1e-9  # exact recovery is not waited for
        print(
            f"{p.alpha:.4g}, {p.beta:.4g}, {p.rho:.4g}, {p.delta:.4g}: {mean:.6f} +- {spread:.6f}, {expected:.6f} "
            f"({mean - expected:+.1e}); {np.median(iterations):.0f}; {'good' if good else 'BAD'}"
        )


def large():
    data = bsr.Problem(0.5, 1, 0.2, 0.0).sample(200)
    start = perf_counter()
    result = gamp_rie(data.X, data.y, data.U.shape[1], iterations=30, tol=1e-4)
    seconds = (perf_counter() - start) / result.iterations
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"X of {data.X.nbytes / 2**30:.2f} GiB; peak memory {peak:.2f} GiB; {seconds:.2f} s an iteration")
    print(f"error {bsr.mse(result.S, data.S):.2e} after {result.iterations} iterations")


if __name__ == "__main__":
    command, *numbers = sys.argv[1:] or ["grid"]
    {"grid": grid, "theory": theory, "large": large}[command](*map(int, numbers))
