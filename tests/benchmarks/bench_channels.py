"""An iteration of GAMP-RIE for labels of each kind, over one for linear labels.

    OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python tests/benchmarks/bench_channels.py

alpha = 1, rho = 0.2, d = L = 40 and 80. All channels get a random start where linear labels have none, so that
iterations are compared and nothing else.
"""

import warnings

import numpy as np
from _timing import interleaved, print_times, span

import bsr
from bsr import channels
from bsr.estimators import gamp_rie

KINDS = {
    "sign": channels.Sign(0.1),
    "relu": channels.ReLU(0.1),
    "abs": channels.Abs(0.1),
    "logistic": channels.Logistic(),
    "poisson": channels.Poisson(),
}
SIZES, MORE = (40, 80), 10


def iterations(data, channel, count):
    options = {} if channel is None else {"channel": channel}
    if getattr(channel, "even", False):
        options["start"] = "random"
    return lambda: gamp_rie(data.X, data.y, data.U.shape[1], iterations=count, tol=0.0, rng=0, **options)


def bench(d, rounds):
    """Seconds of an iteration of each kind."""
    calls = {}
    for name, channel in {"linear": None, **KINDS}.items():
        problem = bsr.Problem(1.0, 1.0, 0.2, 0.1) if channel is None else bsr.Problem(1.0, 1.0, 0.2, channel=channel)
        data = problem.sample(d, rng=0)
        for count in (1, 1 + MORE):
            calls[f"{name} {count}"] = iterations(data, channel, count)
    seconds = interleaved(calls, rounds)
    found = {name: (seconds[f"{name} {1 + MORE}"] - seconds[f"{name} 1"]) / MORE for name in ("linear", *KINDS)}
    print(f"\nan iteration, d = L = {d}")
    print_times(found, "linear")
    return {name: float(np.median(values)) for name, values in found.items()}


def measure():
    warnings.simplefilter("ignore", bsr.ConvergenceWarning)  # runs are cut short on purpose
    found = {d: bench(d, 5 if d < 80 else 2) for d in SIZES}
    numbers = {}
    for name, channel in KINDS.items():
        over = span([times[name] / times["linear"] for times in found.values()])
        what = (
            f"an iteration of GAMP-RIE for {channel} over one for linear labels, alpha = 1, d = L = 40 and 80, medians"
        )
        numbers[name] = over, "", what
    simple = [end for name in ("sign", "relu", "abs") for end in numbers[name][0]]
    numbers["simple"] = span(simple), "", "the same, over signs, positive parts and moduli"
    return numbers


if __name__ == "__main__":
    measure()
