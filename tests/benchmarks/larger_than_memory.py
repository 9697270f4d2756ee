"""GAMP-RIE on tokens in a file that is larger than memory: what it holds, and a pass against the disk.

    python tests/benchmarks/larger_than_memory.py [--d 360] [--alpha 0.5] [--iterations 60] [--folder DIRECTORY]

draws a problem into DIRECTORY (34 GB with these numbers), reads the file as fast as the disk gives it, fits, and
removes the file. Pages that were read are given back at once, so that nothing comes from the system's memory.
"""

import argparse
import os
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

import bsr
from bsr.tokens import FileTokens


def resident():
    """Anonymous and total resident memory of this process, in GB."""
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return [int(lines[key].split()[0]) / 1e6 for key in ("RssAnon", "VmRSS")]


class Watch(threading.Thread):
    """Keeps the largest values of `resident`, ten times a second."""

    def __init__(self):
        super().__init__(daemon=True)
        self.most, self.over = [0.0, 0.0], threading.Event()

    def run(self):
        while not self.over.wait(0.1):
            self.most = list(map(max, self.most, resident()))


def read(path, block=2**26):
    """Seconds to read a file without keeping it."""
    buffer, start = bytearray(block), time.perf_counter()
    with path.open("rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        position = 0
        while got := file.readinto(buffer):
            os.posix_fadvise(file.fileno(), position, got, os.POSIX_FADV_DONTNEED)
            position += got
    return time.perf_counter() - start


def fit(d, alpha, iterations, folder, rho=0.2, delta=0.1):
    watch = Watch()
    watch.start()
    bsr.estimators.gamp_rie(*(getattr(bsr.Problem(1.0).sample(8), key) for key in "Xy"), 2, iterations=2, tol=1e9)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        path, start = Path(name) / "X.npy", time.perf_counter()
        data = bsr.Problem(alpha=alpha, rho=rho, delta=delta).sample_to(path, d, rng=0)
        os.sync()
        size = path.stat().st_size / 1e9
        print(f"drawn: (n, L, d) = {data.X.shape}, {size:.1f} GB, {time.perf_counter() - start:.0f} s", flush=True)
        alone = read(path)
        print(f"read alone: {alone:.1f} s, {size / alone:.2f} GB/s", flush=True)
        tokens = FileTokens(path, keep=False)
        start = time.perf_counter()
        tokens.residual(data.S, data.y)
        seconds = time.perf_counter() - start
        print(f"one pass: {seconds:.1f} s, {size / seconds:.2f} GB/s", flush=True)
        watch.most, times, start = [0.0, 0.0], [], time.perf_counter()

        def report(state):
            times.append(time.perf_counter())
            error = bsr.mse(state.S, data.S)
            print(f"  {state.iteration}: {times[-1] - start:.0f} s, error {error:.5f}", flush=True)

        found = bsr.estimators.gamp_rie(
            data.X, data.y, round(rho * d), iterations=iterations, tol=1e-6, callback=report
        )
        seconds = np.diff(times)
    anonymous, total = watch.most
    theory = bsr.theory.bayes.mmse(data.problem.alpha, 1.0, rho, delta)
    print(
        f"GAMP-RIE: {found.iterations} passes, converged {found.converged}, a pass {np.median(seconds):.1f} s (median)"
    )
    print(
        f"error {bsr.mse(found.S, data.S):.5f}, theory {theory:.5f}; "
        f"resident {anonymous:.2f} GB anonymous, {total:.2f} GB"
    )
    watch.over.set()
    return {
        "tokens": (size, "GB", f"tokens in a file, d = L = {d}, alpha = {alpha}"),
        "memory": (anonymous, "GB", "what a process that fits GAMP-RIE to them holds"),
        "pass": (float(np.median(seconds)), "s", "one of its passes, median"),
        "reading": (alone, "s", "reading the file and nothing else"),
    }


def measure():
    return fit(360, 0.5, 8, None)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--d", type=int, default=360)
    parser.add_argument("--alpha", type=float, default=0.5)
    parser.add_argument("--iterations", type=int, default=60)
    parser.add_argument("--folder", default=None)
    arguments = parser.parse_args()
    fit(arguments.d, arguments.alpha, arguments.iterations, arguments.folder)
