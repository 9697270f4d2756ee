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
SIZES, MORE, LABELS = (40, 80), 10, (1000, 100_000)


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


def score_times(name, labels):
    """Seconds of a score of so many labels, where V = 0.3."""
    rng, kind = np.random.default_rng(0), KINDS[name]
    h = rng.standard_normal(labels)
    omega, y = np.sqrt(0.7) * h + np.sqrt(0.3) * rng.standard_normal(labels), kind.sample(h, rng)
    return float(np.median(interleaved({name: lambda: kind.score(y, omega, 0.3)}, 5)[name]))


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
    for name in ("logistic", "poisson"):  # a series in omega, made for each V
        seconds = [score_times(name, labels) for labels in LABELS]
        print(f"a score for {KINDS[name]}: {1e3 * seconds[0]:.1f} and {1e3 * seconds[1]:.1f} ms")
        what = f"a score for {KINDS[name]} of 1000 labels and of 100,000, V = 0.3, medians"
        numbers[f"score_{name}"] = span(seconds), "s", what
    simple = [end for name in ("sign", "relu", "abs") for end in numbers[name][0]]
    numbers["simple"] = span(simple), "", "the same, over signs, positive parts and moduli"
    return numbers


if __name__ == "__main__":
    measure()
