"""A step of 64 replicas against torch, one replica at a time, and against the speed of sgemm.

    python tests/benchmarks/bench_gradient_descent.py [d] [alpha]

Needs torch (pip install torch). Goals: at least 18 times (d = 50) and 10 times (d = 100) the loop over replicas, per
replica and step, and at least 70 % of sgemm. Of a step only the operations of its two large products are counted,
4 n dL a replica. The loop is written twice: predictions as the model has them, by einsum, and as one matrix-vector
product, the fastest form. It waits for memory and the batch for arithmetic, so the ratio is largest where X is larger
than the caches. All calls are short: on a busy machine the best times are still those of an idle one.
"""

import sys
import warnings
from os import environ

import numpy as np
import torch
from _timing import interleaved

import bsr
from bsr.estimators import gradient_descent

REPLICAS, MORE = 64, 10
SIDE = 1024  # of the square matrices whose product is the peak


def torch_step(data, rank, lr, by_einsum):
    """One step of one replica, with autograd and the optimiser, all in float32."""
    n, L, d = data.X.shape
    X = torch.from_numpy(data.X)
    rows = X.reshape(n, L * d)
    y = torch.from_numpy(data.y.astype(np.float32))
    U, V = (torch.randn(side, rank, requires_grad=True) for side in (L, d))
    optimiser = torch.optim.SGD([U, V], lr=lr)

    def step():
        optimiser.zero_grad()
        S = U @ V.T / rank**0.5
        prediction = torch.einsum("nld,ld->n", X, S) if by_einsum else rows @ S.reshape(-1)
        loss = torch.sum((prediction / (d * L) ** 0.5 - y) ** 2) / 4
        loss.backward()
        optimiser.step()

    return step


def batch(data, rank, steps):
    """So many steps of all replicas, and what comes before and after."""
    return lambda: gradient_descent(data.X, data.y, rank, replicas=REPLICAS, steps=steps, tol=0, record=[])


def bench(d, alpha, rounds):
    data = bsr.Problem(alpha=alpha, beta=1.0, rho=0.2).sample(d, rng=0)
    rank, n = data.U.shape[1], len(data.y)
    A, B, C = (np.random.default_rng(1).standard_normal((SIDE, SIDE), dtype=np.float32) for _ in range(3))
    calls = {
        "batch 1": batch(data, rank, 1),
        "batch": batch(data, rank, 1 + MORE),
        "einsum": torch_step(data, rank, 0.1, by_einsum=True),
        "product": torch_step(data, rank, 0.1, by_einsum=False),
        "sgemm": lambda: np.matmul(A, B, out=C),
    }
    seconds = interleaved(calls, rounds)
    print(f"\nd = L = {d}, alpha = {alpha}: n = {n}, X of {data.X.nbytes / 1e6:.0f} MB in float32")
    found = {}
    for name, pick in (("best", np.min), ("median", np.median)):
        step = (pick(seconds["batch"]) - pick(seconds["batch 1"])) / MORE
        peak = 2 * SIDE**3 / pick(seconds["sgemm"])
        share = 4 * n * d * d * REPLICAS / step / peak
        ratio = {form: float(REPLICAS * pick(seconds[form]) / step) for form in ("einsum", "product")}
        print(
            f"{name:6} {1e3 * step:7.2f} ms, {share:4.0%} of sgemm at {peak / 1e9:.0f} Gflop/s; torch:",
            "; ".join(f"{form} {1e3 * pick(seconds[form]):6.2f} ms, ratio {ratio[form]:5.1f}" for form in ratio),
        )
        found[name] = ratio | {"share": share}
    return found["best"]


def measure():
    warnings.simplefilter("ignore", bsr.ConvergenceWarning)  # runs are cut short on purpose
    chosen = {name: value for name, value in environ.items() if name.startswith(("OPENBLAS_", "OMP_NUM"))}
    print(f"torch {torch.__version__} on {torch.get_num_threads()} threads, numpy {np.__version__}, {chosen}")
    numbers = {}
    for d, alpha, rounds in ((50, 0.25, 20), (50, 0.45, 20), (100, 0.25, 10)):
        best, key, what = bench(d, alpha, rounds), f"{d}_{100 * alpha:.0f}", f"d = L = {d}, alpha = {alpha}, best times"
        numbers[f"share_{key}"] = float(best["share"]), "", f"speed of 64 replicas over that of sgemm, {what}"
        for form in ("einsum", "product"):
            numbers[f"{form}_{key}"] = best[form], "", f"torch by {form}, one replica at a time, over ours, {what}"
    return numbers


if __name__ == "__main__":
    if len(sys.argv) > 1:
        bench(int(sys.argv[1]), float(sys.argv[2]), 20)
    else:
        measure()
