"""Certified gaps of the nuclear norm on tokens that are not white: tokens x n x penalty.

    python tests/benchmarks/nuclear_norm_gate.py              d = L = 8, 20, 50 and L x d = 12 x 30; some minutes
    python tests/benchmarks/nuclear_norm_gate.py 20 20        one size

Each cell: iterations, certified relative gap, seconds. Penalties are shares of the one above which S = 0; a share of 0
interpolates labels without noise. Exits 1 if a gap is above 1e-6.
"""

import sys
import warnings
from time import perf_counter

import numpy as np

import bsr
from bsr.estimators import nuclear_norm

SHARES = (1.0, 0.3, 0.1, 1e-2, 1e-3, 0.0)
ALPHAS = (0.3, 0.6, 1.0, 1.5, 3.0)


def autoregressive(size, correlation=0.9):
    index = np.arange(size)
    return np.linalg.cholesky(correlation ** np.abs(index[:, None] - index))


def channels(d):
    return np.where(np.arange(d) < 2, 100.0, 1.0)


TOKENS = {
    "white": lambda rng, n, L, d: rng.standard_normal((n, L, d)),
    "AR(.9) both sides": lambda rng, n, L, d: autoregressive(L) @ rng.standard_normal((n, L, d)) @ autoregressive(d).T,
    "mean 3": lambda rng, n, L, d: rng.standard_normal((n, L, d)) + 3.0,
    "two channels x 100": lambda rng, n, L, d: rng.standard_normal((n, L, d)) * channels(d),
    "Student t_3": lambda rng, n, L, d: rng.standard_t(3.0, (n, L, d)),
    "Student t_1.5": lambda rng, n, L, d: rng.standard_t(1.5, (n, L, d)),
}


def draw(kind, alpha, L, d, rng, noise=0.5):
    """Tokens, labels without noise, labels with noise of that variance in units of theirs."""
    n, rank = round(alpha * L * d), max(1, round(0.2 * min(L, d)))
    X = TOKENS[kind](rng, n, L, d)
    S = rng.standard_normal((L, rank)) @ rng.standard_normal((rank, d)) / np.sqrt(rank)
    y = X.reshape(n, -1) @ S.ravel() / np.sqrt(S.size)
    return X, y, y + np.sqrt(noise) * np.std(y) * rng.standard_normal(n)


def largest_penalty(X, y):
    """In the units of the estimator's lam."""
    return np.linalg.norm(np.tensordot(y, X, 1), 2) / X[0].size ** 0.75


def table(L, d, method=None):
    print(f"\nL x d = {L} x {d}: iterations, gap, seconds, for penalties of these shares of the largest one")
    print(f"{'tokens':18} alpha " + "".join(f"{share:>19}" for share in SHARES))
    failed = 0
    for kind in TOKENS:
        for alpha in ALPHAS:
            X, exact, noisy = draw(kind, alpha, L, d, np.random.default_rng(0))
            cells = []
            for share in SHARES:
                y = noisy if share else exact
                lam = (1.0 - 1e-6 if share == 1.0 else share) * largest_penalty(X, y)
                start = perf_counter()
                result = nuclear_norm(X, y, lam, method=method)
                seconds = perf_counter() - start
                failed += not result.converged
                cells.append(f"{result.iterations:5}  {result.gap:.0e} {seconds:6.2f}")
            print(f"{kind:18} {alpha:5} " + "".join(f"{cell:>19}" for cell in cells), flush=True)
    return failed


if __name__ == "__main__":
    warnings.simplefilter("ignore", bsr.ConvergenceWarning)  # each cell states its gap
    sizes = [tuple(map(int, sys.argv[1:3]))] if len(sys.argv) > 2 else [(8, 8), (20, 20), (12, 30), (50, 50)]
    failures = sum(table(*size, *sys.argv[3:]) for size in sizes)
    print(f"\n{failures} gaps above 1e-6")
    sys.exit(failures > 0)
