"""Speed of the theory: curves of 200 points, their inverses at 50, one MMSE.

    python tests/benchmarks/bench_theory.py

Goals: a Bayes-optimal curve of 200 alpha in less than 50 ms warm, for other channels in at most 3 times that; one of
the nuclear norm in less than 100 ms and its inverse at 50 errors in less than 200 ms.
"""

from functools import partial
from time import perf_counter

import numpy as np
from _timing import interleaved, print_times, span

from bsr import channels, denoising
from bsr.theory import bayes, limits, nuclear_norm


def measure():
    calls, kinds = {}, {"curve": [], "channel": [], "best": [], "interpolation": [], "penalty": [], "inverse": []}
    for beta, rho, delta in [(1.0, 0.2, 0.0), (1.0, 0.5, 0.1), (5.0, 0.2, 0.0), (1.0, 1.0, 0.0), (2.0, 0.9, 0.01)]:
        top = limits.strong_recovery(beta, rho) if delta == 0.0 else 1.5
        alpha = np.linspace(0.005, top, 200, endpoint=False)
        name = f"200 alpha, beta={beta} rho={rho} delta={delta}"
        kinds["curve"].append(name)
        calls[name] = lambda a=alpha, p=(beta, rho, delta): bayes.mmse(a, *p)
    for channel in (channels.Sign(0.1), channels.ReLU(), channels.Abs(0.1), channels.Abs(), channels.Logistic()):
        kinds["channel"].append(f"200 alpha, {channel}")
        calls[f"200 alpha, {channel}"] = partial(bayes.mmse, np.linspace(0.01, 1.5, 200), 1.0, 0.2, channel=channel)
    grid, error = np.linspace(0.005, 0.995, 200), np.geomspace(0.01, 0.9, 50)
    for problem in [(1.0, 0.2, 0.0), (1.0, 0.2, 0.1), (5.0, 0.5, 0.05)]:
        for lam in (None, 0.0, 0.3):
            name = f"nuclear norm, {{}}, beta={problem[0]} rho={problem[1]} delta={problem[2]} lam={lam}"
            kinds[{None: "best", 0.0: "interpolation", 0.3: "penalty"}[lam]].append(name.format("200 alpha"))
            calls[name.format("200 alpha")] = partial(nuclear_norm.mse, grid, *problem, lam=lam)
            if lam != 0.3:
                kinds["inverse"].append(name.format("50 errors"))
                calls[name.format("50 errors")] = partial(nuclear_norm.sample_complexity, error, *problem, lam=lam)
    calls["one denoising.mmse"] = lambda: denoising.mmse(0.3, 1.0, 0.2)
    seconds = interleaved(calls, 12)
    print_times(seconds, "one denoising.mmse")
    median = {name: float(np.median(values)) for name, values in seconds.items()}
    numbers = {
        key: (span([median[name] for name in kinds[key]]), "s", f"{what}, medians, over problems")
        for key, what in WHAT.items()
    }
    usual = np.median([median[name] for name in kinds["curve"]])
    over = span([median[name] / usual for name in kinds["channel"]])
    numbers["channel_ratio"] = (
        over,
        "",
        "a curve of 200 alpha for another channel over one of linear labels, over channels",
    )
    made = span(
        [
            series(channel)
            for channel in (
                channels.Logistic(0.9),
                channels.Logistic(0.11),
                channels.Poisson(1.1, 0.9),
                channels.Poisson(5.0, 0.3),
            )
        ]
    )
    numbers["series"] = made, "s", "the series of the information of a logistic or Poisson channel, made once"
    return numbers


WHAT = {
    "curve": "a Bayes-optimal curve of 200 alpha",
    "best": "a curve of 200 alpha of the nuclear norm at the best penalty",
    "interpolation": "the same of interpolation",
    "penalty": "the same at a given penalty",
    "inverse": "alpha of the nuclear norm at 50 errors",
}


def series(channel):
    """Seconds of the first call that needs it; equal channels share what it makes."""
    start = perf_counter()
    channel.information(0.5)
    seconds = perf_counter() - start
    print(f"information of {channel}: {seconds:.2f} s at first")
    return seconds


if __name__ == "__main__":
    measure()
