"""One pass over float32 tokens of each kind, relative to the kernels on an array.

    python tests/benchmarks/bench_tokens.py [n] [D]

Kinds whose package is missing are left out. Tensors are on the CPU, and on a GPU if there is one.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from _timing import interleaved, print_times
from numba import get_num_threads

from bsr.tokens import ArrayTokens, DaskTokens, FileTokens, TorchTokens


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


if __name__ == "__main__":
    print(f"{get_num_threads()} threads")
    bench(*map(int, sys.argv[1:]) if len(sys.argv) > 1 else (5000, 10000))
