"""Times of alternatives, interleaved so that a slow moment of the machine falls on all of them."""

from time import perf_counter, sleep

import numpy as np


def interleaved(calls, rounds, burst=3, pause=0.12):
    """Seconds that each call takes: `calls` maps names to functions of no argument.

    A turn is a pause, a warm-up and `burst` timed calls; a round gives each name a turn. The pause matters: the threads
    of OpenBLAS keep a core busy for 0.1 s after their work, and would slow whatever comes next by a factor of 2 to 4.
    """
    for call in calls.values():
        call()
    seconds = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            sleep(pause)
            call()
            for _ in range(burst):
                start = perf_counter()
                call()
                seconds[name].append(perf_counter() - start)
    return {name: np.array(values) for name, values in seconds.items()}


def print_times(seconds, reference):
    """Table of best and median times, and how many times the time of `reference` each call takes."""
    best = {name: values.min() for name, values in seconds.items()}
    median = {name: np.median(values) for name, values in seconds.items()}
    width = max(map(len, seconds))
    print(f"{'':{width}}  {'best ms':>9} {'median ms':>9}   {'/ ' + reference:>8}: best, median")
    for name in seconds:
        ratios = f"{best[name] / best[reference]:8.2f} {median[name] / median[reference]:8.2f}"
        print(f"{name:{width}}  {1e3 * best[name]:9.3f} {1e3 * median[name]:9.3f}   {ratios}")


def span(values):
    """The least and the largest of some numbers."""
    return [min(values), max(values)]


def ratios(seconds, name, reference, parts=4):
    """Least and largest ratio of two medians, of which each part of the run gives one."""
    pairs = zip(*(np.array_split(seconds[key], parts) for key in (name, reference)), strict=True)
    return span([float(np.median(a) / np.median(b)) for a, b in pairs])


def best_ratio(seconds, name, reference):
    return float(seconds[name].min() / seconds[reference].min())
