"""Nuclear-norm interpolation at d = L = 200: 2.9 GB of tokens. Linux, for the memory.

    python tests/benchmarks/bench_nuclear_norm_large.py

Goal: a gap of 1e-6 in 30 s and 8 GB.
"""

import resource
from time import perf_counter

from bench_nuclear_norm import report

import bsr


def measure(d=200, alpha=0.45):
    start = perf_counter()
    data = bsr.Problem(alpha, 1.0, 0.2).sample(d, rng=0)
    print(f"sampled in {perf_counter() - start:.0f} s")
    result, wall, _ = report(data, repeats=1)
    held, tokens = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, data.X.nbytes / 1e9
    print(f"peak memory {held:.2f} GB, X {tokens:.2f}")
    return {
        "fit_200": (
            wall,
            "s",
            f"a fit by the nuclear norm, d = L = {d}, alpha = {alpha}, gap 1e-6, by {result.method}",
        ),
        "iterations_200": (result.iterations, "", "its iterations"),
        "tokens": (tokens, "GB", "the tokens of that fit"),
        "memory": (held, "GB", "the largest memory of its process, tokens included"),
    }


if __name__ == "__main__":
    measure()
