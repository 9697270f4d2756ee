"""Bayes-optimal error: the replica prediction against the posterior itself, over sizes.

    OPENBLAS_NUM_THREADS=1 python tests/benchmarks/posterior_sizes.py [--scale 1.0] [--seed 0]

At rho = 0.2, delta = 0.1. Three numbers have the same mean, which is the Bayes-optimal error at that size: the error of
the posterior mean (corrected for the finite chain), half the error of a sample, and the spread of the posterior. The
spread fluctuates least; a fit of it in 1/d^2 gives the limit. `--scale` multiplies the number of data sets.
"""

import argparse
from time import perf_counter

import numpy as np

import bsr

SIZES = {10: 400, 15: 300, 20: 400, 30: 250, 40: 100}  # d: number of data sets
POINTS = [(0.5, 1.0, SIZES), (0.8, 1.0, SIZES), (0.5, 2.0, {10: 300, 15: 200, 20: 100})]


def measure(problem, d, sets, entropy):
    """The problem at this size; for each data set error of the mean, half of a sample's, spread, sample size."""
    rows = []
    for k in range(sets):
        rng = np.random.default_rng([entropy, d, k])
        data = problem.sample(d, rng)
        result = bsr.estimators.posterior(data.X, data.y, data.U.shape[1], problem.delta, min_effective=0, rng=rng)
        effective = result.effective_sample_size
        error, of_samples = bsr.mse(result.S, data.S), bsr.mse(result.samples, data.S).mean()
        rows.append((error / (1 + 1 / effective), of_samples / 2, result.spread, effective))
    return data.problem, np.array(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print("alpha beta  d  sets  theory   error of mean      half of a sample   spread              samples  seconds")
    for alpha, beta, sizes in POINTS:
        fit = []
        for d, sets in sizes.items():
            start = perf_counter()
            problem = bsr.Problem(alpha, beta, rho=0.2, delta=0.1)
            p, rows = measure(problem, d, max(2, round(arguments.scale * sets)), arguments.seed)
            theory = bsr.theory.bayes.mmse(p.alpha, p.beta, p.rho, p.delta)
            mean, error = rows.mean(axis=0), rows.std(axis=0, ddof=1) / np.sqrt(len(rows))
            columns = "  ".join(f"{m:.5f} ± {e:.5f}" for m, e in zip(mean[:3], error[:3], strict=True))
            line = f"{alpha:5} {beta:4} {d:2} {len(rows):5}  {theory:.5f}  {columns} {mean[3]:8.0f}"
            print(f"{line} {perf_counter() - start:8.0f}", flush=True)
            fit.append((1 / d**2, mean[2] / theory, theory / error[2]))
        x, ratio, weight = np.array(fit).T
        (slope, limit), covariance = np.polyfit(x, ratio, 1, w=weight, cov="unscaled")
        print(f"      spread / theory -> {limit:.4f} ± {np.sqrt(covariance[1, 1]):.4f}, {slope:+.2f} / d^2", flush=True)


if __name__ == "__main__":
    main()
