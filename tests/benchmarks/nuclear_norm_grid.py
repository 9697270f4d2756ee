r"""Nuclear-norm learning: the predicted error against the solver, over shapes, ranks, noise and penalties.

    OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python tests/benchmarks/nuclear_norm_grid.py \
        [--sizes 40 80] [--seeds 48 16] [--first 0] [--published fig5.csv] [--workers 2]

First a grid of 12 problems at each size. If theory is right, the squares of the deviations over their standard errors
(which 16 data sets know to a fifth) add up to about 12 a size, and the deviations shrink with the size. Then, with a
table of published means (columns beta, rho, D, alpha, mse_mean, mse_std, samples), chi^2 of those against theory and
against our own means and standard deviations at the published sizes: what is left in the second is not the size.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from time import perf_counter

import numpy as np

import bsr
from bsr.theory import nuclear_norm

ALPHA = {1.0: 0.35, 2.0: 0.3, 3.0: 0.25}  # by beta; at d = 80 and beta = 3, X holds 4800 x 19200 numbers
GRID = [(ALPHA[beta], beta, rho, delta) for beta, rho, delta in product(ALPHA, (0.2, 0.5), (0.0, 0.1))]


def one(job):
    """Error of one data set, corrected for the length of its teacher (of mean 1), and what theory predicts."""
    point, lam, d, seed = job
    rng = np.random.default_rng([seed, d, *np.round(1000 * np.array(point)).astype(int)])  # all points independent
    data = bsr.Problem(*point).sample(d, rng=rng)
    p = data.problem
    theory = nuclear_norm.mse(p.alpha, p.beta, p.rho, p.delta, lam=lam)
    result = bsr.estimators.nuclear_norm(data.X, data.y, lam, tol=1e-5)
    if not result.converged:
        raise RuntimeError(f"no convergence for {job}")
    error = bsr.mse(result.S, data.S)
    return error, error - theory * (np.mean(data.S**2) - 1.0), theory


def simulate(pool, point, lam, d, seeds):
    """Errors, corrected errors, theory."""
    errors, corrected, theory = np.array(list(pool.map(one, [(point, lam, d, seed) for seed in seeds]))).T
    return errors, corrected, theory[0]


def grid(pool, sizes, seeds, first):
    scores = {d: [] for d in sizes}
    deviations = {d: [] for d in sizes}
    print("alpha beta  rho delta    lam    d   theory     mean    error  deviation/error")
    for point in GRID:
        lam = nuclear_norm.optimal_lam(*point) if point[-1] > 0.0 else 0.0
        for d, count in zip(sizes, seeds, strict=True):
            start = perf_counter()
            _, errors, theory = simulate(pool, point, lam, d, range(first, first + count))
            mean, error = errors.mean(), errors.std(ddof=1) / np.sqrt(count)
            deviations[d].append(mean - theory)
            scores[d].append((mean - theory) / error)
            row = " ".join(f"{x:4.2f}" for x in point)
            row += f"  {lam:6.4f} {d:4d} {theory:8.5f} {mean:8.5f} {error:8.5f} {scores[d][-1]:8.2f}"
            print(f"{row}   ({count} data sets, {perf_counter() - start:.0f} s)", flush=True)
    for d in sizes:
        worst, rms = np.max(np.abs(scores[d])), np.sqrt(np.mean(np.square(deviations[d])))
        print(f"d = {d}: worst {worst:.2f} standard errors, chi^2 {np.sum(np.square(scores[d])):.1f} / {len(GRID)}")
        print(f"d = {d}: root mean square deviation {rms:.5f}, mean deviation {np.mean(deviations[d]):+.5f}")


def published(pool, path, sizes, seeds):
    table = np.genfromtxt(path, delimiter=",", names=True)
    table = table[table["mse_std"] > 1e-6]
    for d, count in zip(sizes, seeds, strict=True):
        rows = table[table["D"] == d]
        theory = nuclear_norm.mse(rows["alpha"], rows["beta"], rows["rho"], lam=0.0)
        error = rows["mse_std"] / np.sqrt(rows["samples"])
        against_theory = (rows["mse_mean"] - theory) / error
        against_ours = []
        print(f"D = {d}\n alpha   theory published    error     ours    error std/published  z theory  z ours")
        for row, t, e, z in zip(rows, theory, error, against_theory, strict=True):
            ours, corrected, _ = simulate(pool, (row["alpha"], row["beta"], row["rho"], 0.0), 0.0, d, range(count))
            spread = ours.std(ddof=1)
            ours_error = corrected.std(ddof=1) / np.sqrt(count)
            against_ours.append(
                (row["mse_mean"] - corrected.mean()) / np.hypot(spread / np.sqrt(row["samples"]), ours_error)
            )
            line = f"{row['alpha']:6.4f} {t:8.5f}  {row['mse_mean']:8.5f} {e:8.5f}"
            line += f" {corrected.mean():8.5f} {ours_error:8.5f} {spread / row['mse_std']:13.2f}"
            print(f"{line} {z:9.2f} {against_ours[-1]:7.2f}", flush=True)
        for name, z in (("theory, published errors", against_theory), ("our means, our spreads", against_ours)):
            print(f"D = {d}: chi^2 against {name}: {np.sum(np.square(z)):.1f} / {len(rows)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[40, 80])
    parser.add_argument("--seeds", type=int, nargs="*", default=[48, 16])
    parser.add_argument("--first", type=int, default=0, help="first seed of the grid: another one gives fresh data")
    parser.add_argument("--published")
    parser.add_argument("--published-seeds", type=int, nargs=2, default=[200, 32])
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    with ProcessPoolExecutor(arguments.workers) as pool:
        grid(pool, arguments.sizes, arguments.seeds, arguments.first)
        if arguments.published:
            published(pool, arguments.published, (20, 50), arguments.published_seeds)


if __name__ == "__main__":
    main()
