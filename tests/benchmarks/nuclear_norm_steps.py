"""How the constants of the nuclear norm's two splittings were chosen: iterations against each of them.

    python tests/benchmarks/nuclear_norm_steps.py            steps, acceleration: iterations; some minutes
    python tests/benchmarks/nuclear_norm_steps.py methods    seconds of both methods on white tokens: when factors pay

Douglas-Rachford runs on the problems of nuclear_norm_gate.py at d = L = 20, primal-dual on white tokens at 50.
"""

import sys
import warnings
from time import perf_counter

import numpy as np
from nuclear_norm_gate import ALPHAS, SHARES, TOKENS, draw, largest_penalty

import bsr
from bsr.estimators import _constraints, _splitting, nuclear_norm


def gate_problems(d=20):
    for kind in TOKENS:
        for alpha in ALPHAS:
            X, exact, noisy = draw(kind, alpha, d, d, np.random.default_rng(1))
            for share in SHARES[1:]:
                yield X, noisy if share else exact, share * largest_penalty(X, noisy)


def white_problems(d=50):
    for alpha in (0.1, 0.25, 0.45, 0.65):
        data = bsr.Problem(alpha, 1.0, 0.2).sample(d, rng=0)
        yield data.X, data.y, 0.0
        data = bsr.Problem(alpha, 1.0, 0.2, 0.3).sample(d, rng=0)
        top = largest_penalty(data.X, data.y)
        yield from ((data.X, data.y, share * top) for share in (0.3, 0.03))


def compare(method, problems, module, **choices):
    for name, values in choices.items():
        usual = getattr(module, name)
        for value in values:
            setattr(module, name, value)
            counts = [nuclear_norm(*problem, method=method, iterations=1000).iterations for problem in problems]
            marker = " <" if value == usual else ""
            print(
                f"{method:16} {name:12} {value!s:5} mean {np.mean(counts):6.1f}, largest {max(counts)}{marker}",
                flush=True,
            )
        setattr(module, name, usual)


def methods():
    for d, alphas in ((20, (0.1, 0.45, 0.9)), (50, (0.05, 0.1, 0.2, 0.45, 0.8, 0.95, 1.5)), (80, (0.05, 0.1, 0.3))):
        for alpha in alphas:
            data = bsr.Problem(alpha, 1.0, 0.2, 0.3).sample(d, rng=0)
            top = largest_penalty(data.X, data.y)
            for lam in (0.0, 0.03 * top) if alpha < 1.0 else (0.03 * top,):
                n, D = len(data.y), d * d
                key = n * np.sqrt(max(1.0 - np.sqrt(n / D), 0.0))
                line = f"d={d} alpha={alpha} lam={lam:.2f} n (1 - sqrt(n/dL))^(1/2) = {key:5.0f}"
                for method in _splitting.METHODS:
                    times = []
                    for _ in range(3):
                        start = perf_counter()
                        result = nuclear_norm(data.X, data.y, lam, method=method)
                        times.append(perf_counter() - start)
                    line += f"; {method} {result.iterations} iterations, {min(times):.3f} s"
                print(line, flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore", bsr.ConvergenceWarning)
    if "methods" in sys.argv:
        methods()
    else:
        common = {"_COMBINED": (1, 5, 10, 20), "_RELAXATION": (1.0, 1.5, 1.8), "_KEPT": (1.0, 1.2, 1.5, 2.0)}
        problems = list(white_problems())
        compare("primal-dual", problems, _constraints, _LANCZOS=(3, 4, 6, 12))
        compare("primal-dual", problems, _splitting, _SHARE=(0.2, 0.35, 0.5), **common)
        compare("douglas-rachford", list(gate_problems()), _splitting, _BALANCE=(0.3, 0.5, 1.0, 2.0), **common)
