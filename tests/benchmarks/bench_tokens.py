"""One pass over float32 tokens of each kind, relative to the kernels on an array.

    python tests/benchmarks/bench_tokens.py [n] [D]

Kinds whose package is missing are left out. Tensors are on the CPU, and on a GPU if there is one.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from _timing import interleaved, print_times, ratios
from numba import get_num_threads

from bsr.tokens import ArrayTokens, DaskTokens, FileTokens, TorchTokens, whiten


def kinds(X, folder):
    yield "array", ArrayTokens(X)
    np.save(folder / "X.npy", X)
    yield "file", FileTokens(folder / "X.npy")
    try:
        import dask.array as da
    except ImportError:
        pass
    else:
        yield "dask, 8 chunks", DaskTokens(da.from_array(X, chunks=(-(-len(X) // 8), -1, -1), name=False))
    try:
        import torch
    except ImportError:
        return
    yield f"torch, {torch.get_num_threads()} threads", TorchTokens(torch.from_numpy(X))
    if torch.cuda.is_available():
        yield torch.cuda.get_device_name(), TorchTokens(torch.from_numpy(X).cuda())


def bench(n, D, rounds=8):
    rng = np.random.default_rng(0)
    X, S, y = rng.standard_normal((n, 1, D), dtype=np.float32), rng.standard_normal((1, D)), rng.standard_normal(n)
    with tempfile.TemporaryDirectory() as folder:
        calls = {name: lambda tokens=tokens: tokens.residual(S, y) for name, tokens in kinds(X, Path(folder))}
        seconds = interleaved(calls, rounds)
    print(f"\nresidual, n = {n}, D = {D}, X of {X.nbytes / 1e6:.1f} MB in float32")
    print_times(seconds, "array")
    return seconds


def bench_whitening(n=2000, d=40, rounds=4):
    """Finding the covariances, and a pass over the view, against a pass over the tokens."""
    rng = np.random.default_rng(0)
    root = np.linalg.cholesky(0.5 ** abs(np.subtract.outer(np.arange(d), np.arange(d))))
    X = (root @ rng.standard_normal((n, d, d)) @ root.T).astype(np.float32)
    S, y, tokens, view = rng.standard_normal((d, d)), rng.standard_normal(n), ArrayTokens(X), whiten(X)
    calls = {
        "array": lambda: tokens.residual(S, y),
        "whitened": lambda: view.residual(S, y),
        "whiten": lambda: whiten(X),
    }
    seconds = interleaved(calls, rounds)
    print(f"\nwhitening, n = {n}, d = L = {d}: {view.iterations} pairs of passes")
    print_times(seconds, "array")
    return seconds, view.iterations


def measure():
    print(f"{get_num_threads()} threads")
    n, D = 5000, 10000
    seconds, numbers = bench(n, D), {}
    for key, name in (("file", "file"), ("dask", "dask, 8 chunks")):
        if name in seconds:
            what = f"a pass over a {name}, n = {n}, dL = {D}, in the system's memory, over one over an array"
            numbers[key] = ratios(seconds, name, "array"), "", f"{what}: medians, in four parts of the run"
    seconds, iterations = bench_whitening()
    what = "n = 2000, d = L = 40"
    numbers["whitened"] = (
        ratios(seconds, "whitened", "array"),
        "",
        f"a pass over a whitened view over one without, {what}",
    )
    numbers["whiten"] = ratios(seconds, "whiten", "array"), "", f"`bsr.tokens.whiten` in passes over an array, {what}"
    numbers["whiten_seconds"] = float(np.median(seconds["whiten"])), "s", f"`bsr.tokens.whiten`, {what}"
    numbers["whiten_iterations"] = iterations, "", "its pairs of passes"
    return numbers


if __name__ == "__main__":
    if len(sys.argv) > 1:
        bench(*map(int, sys.argv[1:]))
    else:
        measure()
