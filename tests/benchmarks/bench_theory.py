"""Speed of the theory: curves of 200 points, their inverses at 50, one MMSE, and what a new process waits for.

    python tests/benchmarks/bench_theory.py

Goals: a Bayes-optimal curve of 200 alpha in less than 50 ms warm, for other channels in at most 3 times that; one of
the nuclear norm in less than 100 ms and its inverse at 50 errors in less than 200 ms; `import bsr` in less than 1 s;
the first call of `bayes.mmse` in less than 8 s with a cold numba cache and 0.3 s with a warm one.
"""

import os
import subprocess
import sys
import tempfile
from functools import partial

import numpy as np
from _timing import interleaved, print_times

from bsr import channels, denoising
from bsr.theory import bayes, limits, nuclear_norm

FIRST_CALL = """
from time import perf_counter
start = perf_counter()
import bsr
loaded = perf_counter()
bsr.theory.bayes.mmse(0.3)
bayes = perf_counter()
bsr.theory.nuclear_norm.mse(0.3, lam=0.0)
print(f"import bsr {loaded - start:.2f} s, first bayes.mmse {bayes - loaded:.2f} s", end=", ")
print(f"then nuclear_norm.mse {perf_counter() - bayes:.2f} s")
"""


def main():
    calls = {}
    for beta, rho, delta in [(1.0, 0.2, 0.0), (1.0, 0.5, 0.1), (5.0, 0.2, 0.0), (1.0, 1.0, 0.0), (2.0, 0.9, 0.01)]:
        top = limits.strong_recovery(beta, rho) if delta == 0.0 else 1.5
        alpha = np.linspace(0.005, top, 200, endpoint=False)
        name = f"200 alpha, beta={beta} rho={rho} delta={delta}"
        calls[name] = lambda a=alpha, p=(beta, rho, delta): bayes.mmse(a, *p)
    for channel in (channels.Sign(0.1), channels.ReLU(), channels.Abs(0.1), channels.Abs(), channels.Logistic()):
        calls[f"200 alpha, {channel}"] = partial(bayes.mmse, np.linspace(0.01, 1.5, 200), 1.0, 0.2, channel=channel)
    grid, error = np.linspace(0.005, 0.995, 200), np.geomspace(0.01, 0.9, 50)
    for problem in [(1.0, 0.2, 0.0), (1.0, 0.2, 0.1), (5.0, 0.5, 0.05)]:
        for lam in (None, 0.0, 0.3):
            name = f"nuclear norm, {{}}, beta={problem[0]} rho={problem[1]} delta={problem[2]} lam={lam}"
            calls[name.format("200 alpha")] = partial(nuclear_norm.mse, grid, *problem, lam=lam)
            if lam != 0.3:
                calls[name.format("50 errors")] = partial(nuclear_norm.sample_complexity, error, *problem, lam=lam)
    calls["one denoising.mmse"] = lambda: denoising.mmse(0.3, 1.0, 0.2)
    print_times(interleaved(calls, 20), "one denoising.mmse")
    with tempfile.TemporaryDirectory() as cache:
        for state in ("cold", "warm"):
            environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
            result = subprocess.run([sys.executable, "-c", FIRST_CALL], env=environment, capture_output=True, text=True)
            print(f"{state} numba cache: {result.stdout.strip() or result.stderr}")


if __name__ == "__main__":
    main()
