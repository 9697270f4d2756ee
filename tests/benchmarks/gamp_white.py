"""How far GAMP-RIE on white tokens goes beyond what its labels allow: the margins of its alarm.

    python tests/benchmarks/gamp_white.py [runs] [seed]

Random sizes with d >= 8, alpha from 0.02 to 3, noise from 0 to 10, Gaussian and Rademacher tokens. Prints the largest
excess of the residuals and of ||R||^2/(dL) - noise at the end, in the standard deviations that `gamp_rie` uses, the
share of runs with an alarm, and the worst R^2 of runs that converged.
"""

import sys
import warnings

import numba
import numpy as np
from threadpoolctl import threadpool_limits

import bsr
from bsr.estimators import gamp_rie


def draw(rng):
    """Tokens, teacher, labels, rank and noise."""
    d = int(rng.choice([8, 8, 10, 12, 16, 24]))
    L = int(rng.choice([8, d, 2 * d]))
    rank = int(rng.integers(1, min(d, L) + 1))
    n = max(2, round(10 ** rng.uniform(-1.7, 0.5) * d * L))
    delta = float(rng.choice([0.0, 0.0, 0.1, 1.0, 10.0]))
    X = rng.standard_normal((n, L, d))
    if rng.random() < 0.3:
        X = np.sign(X)
    S = rng.standard_normal((L, rank)) @ rng.standard_normal((rank, d)) / np.sqrt(rank)
    y = X.reshape(n, -1) @ S.ravel() / np.sqrt(d * L) + np.sqrt(delta) * rng.standard_normal(n)
    return X, S, y, rank, delta


def main(runs=2000, seed=0):
    rng, rows, alarms, accused = np.random.default_rng(seed), [], 0, 0
    for _ in range(runs):
        X, S, y, rank, delta = draw(rng)
        n, L, d = X.shape
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = gamp_rie(X, y, rank, damping=float(rng.choice([0.0, 0.0, 0.3])))
        said = "".join(str(warning.message) for warning in caught)
        alarms += "does not hold" in said or "worse than none" in said
        accused += "not white" in said
        history = result.history
        if not len(history.q):
            continue
        power, alpha = np.mean(y**2), n / (d * L)
        noise = history.noise[-1]
        residuals = (alpha * noise * np.mean(X**2) / power - 1.0) / np.sqrt(2.0 / n)
        rows.append((residuals, result.converged, 1.0 - (bsr.mse(result.S, S) + delta) / (np.mean(S**2) + delta)))
    residuals, converged, r_squared = np.array(rows).T
    print(f"{runs} runs: {converged.mean():.3f} converged, {alarms} alarms, {accused} called not white")
    print(f"largest excess of the residuals {residuals.max():.2f} standard deviations")
    print(f"least R^2 of runs that converged {r_squared[converged > 0].min():.2f}")


if __name__ == "__main__":
    numba.set_num_threads(1)
    threadpool_limits(1)
    main(*map(int, sys.argv[1:]))
