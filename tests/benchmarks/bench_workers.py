"""What a second worker brings to a sweep.

    python tests/benchmarks/bench_workers.py

The same tasks with one worker and with two, each with one thread, one after the other, twice.
"""

import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
from _timing import span

from bsr.sweep import run

CONFIG = """
[sweep]
seed = 1
seeds = 12
d = [40, 60]

[problem]
alpha = [0.3, 0.5]
rho = 0.2
delta = 0.1

[[estimator]]
name = "gamp_rie"

[[estimator]]
name = "nuclear_norm"
lam = 0.3
"""


def seconds(workers):
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "sweep.toml"
        config.write_text(CONFIG)
        start = perf_counter()
        counts = run(config, Path(folder) / "out.db", workers=workers, progress=False)
        took = perf_counter() - start
    print(f"{workers} workers: {counts.done} tasks in {took:.1f} s", flush=True)
    return took, counts.done


def measure():
    seconds(1)  # compiles
    pairs = [[seconds(workers) for workers in (1, 2)] for _ in range(2)]
    (one, tasks), (two, _) = np.median(pairs, axis=0)
    gain = span([first[0] / second[0] for first, second in pairs])
    return {
        "tasks": (int(tasks), "", "tasks of a sweep, d = L = 40 and 60, GAMP-RIE and the nuclear norm"),
        "one": (float(one), "s", "these by one worker"),
        "two": (float(two), "s", "these by two workers"),
        "gain": (gain, "", "one worker's time over that of two, right after each other, twice"),
    }


if __name__ == "__main__":
    measure()
