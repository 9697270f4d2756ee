"""Speed and error of `bsr.regression` against tensorly's CP regression, in one run.

    python tests/benchmarks/bench_regression.py [--sizes 20 30 60] [--sets 3]

Model data: d = L, rank 3, noise 0.1, alpha = 0.5; the error of S per entry, which is 1 for S = 0. CP gets the right
rank and the best of five starts by training error, with its default penalty and with 10; ours get nothing. GB1
(`book/data`): R^2 on 1500 other variants, CP of rank 2 with penalty 30. Seconds are those of a fit with all its
choices; of CP those of five starts, nothing chosen. It needs tensorly (`pip install tensorly`). Use
OPENBLAS_NUM_THREADS=1.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from tensorly.regression import CPRegressor

import bsr
from bsr.regression import BilinearClassifier, BilinearRegressor

RANK, DELTA, ALPHA = 3, 0.1, 0.5
LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def cp(rank, penalty):
    """The best of five starts."""

    def fit(X, y):
        runs = []
        for seed in range(5):
            model = CPRegressor(weight_rank=rank, reg_W=penalty, verbose=0, random_state=seed).fit(X, y)
            runs.append((np.mean((model.predict(X) - y) ** 2), model.weight_tensor_))
        return min(runs, key=lambda run: run[0])[1]

    return fit


def ours(method, **options):
    return lambda X, y: BilinearRegressor(method, compare=False, **options).fit(X, y).coef_


def gamp(X, y):
    return bsr.estimators.gamp_rie(X, y, RANK).S / np.sqrt(X[0].size)


def timed(fit, X, y):
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        S = fit(X, y)
    return time.perf_counter() - start, np.asarray(S)


def model_data(sizes, sets):
    methods = {
        "cp": cp(RANK, 1.0),
        "cp, penalty 10": cp(RANK, 10.0),
        "gamp_rie, rank known": gamp,
        "auto": ours("auto", main_effects=False),
        "bayes": ours("bayes", main_effects=False),
    }
    numbers = {}
    for d in sizes:
        problem = bsr.Problem(ALPHA, 1.0, RANK / d, DELTA)
        theory = bsr.theory.bayes.mmse(ALPHA, 1.0, RANK / d, DELTA)
        rows = {name: [] for name in methods}
        for seed in range(sets):
            data = problem.sample(d, seed, np.float64)
            for name, fit in methods.items():
                seconds, S = timed(fit, data.X, data.y)
                rows[name].append((seconds, bsr.mse(d * S, data.S)))
        print(f"d = L = {d}, n = {len(data.y)}: optimum in theory {theory:.4f}")
        what = f"d = L = {d}, n = {len(data.y)}, rank {RANK}, noise {DELTA}"
        numbers |= named(show(rows, "error"), f"{d}", what, "error of S")
        numbers[f"optimum_{d}"] = float(theory), "", f"the least error in theory, {what}"
    return numbers


def classes(sizes, sets):
    methods = {
        name: lambda X, y, name=name: BilinearClassifier(name, compare=False, main_effects=False).fit(X, y).coef_
        for name in ("auto", "bayes")
    }
    numbers = {}
    for d in sizes:
        problem = bsr.Problem(2 * ALPHA, 1.0, RANK / d, channel=bsr.channels.Logistic(0.2))
        rows = {name: [] for name in methods}
        for seed in range(sets):
            data = problem.sample(d, seed, np.float64)
            for name, fit in methods.items():
                seconds, S = timed(fit, data.X, data.y)
                rows[name].append((seconds, np.vdot(S, data.S) / np.linalg.norm(S) / np.linalg.norm(data.S)))
        print(f"classes, d = L = {d}, n = {len(data.y)}")
        what = f"two classes, d = L = {d}, n = {len(data.y)}, rank {RANK}"
        numbers |= named(show(rows, "cosine"), f"classes_{d}", what, "cosine with the teacher")
    return numbers


def proteins(sets):
    table = pd.read_csv(Path(__file__).parents[2] / "book/data/gb1.csv")
    X, every = np.zeros((len(table), 55, 20)), np.arange(len(table))
    for mutation in (table["first"], table["second"]):
        X[every, mutation.str[1:-1].astype(int) - 2, mutation.str[-1].map(LETTERS.index)] = 1
    y = table["score"].to_numpy()
    methods = {
        "cp, rank 2, penalty 30": cp(2, 30.0),
        "auto": ours("auto", scale="overall"),
        "bayes": ours("bayes", scale="overall"),
    }
    numbers = {}
    for n in (400, 1600):
        rows = {name: [] for name in methods}
        for seed in range(sets):
            order = np.random.default_rng(seed).permutation(len(y))
            train, test = order[:n], order[-1500:]
            mean, shift = X[train].mean(axis=0), y[train].mean()
            unit = np.sqrt(np.mean((X[train] - mean) ** 2))
            Z = (X - mean) / unit
            for name, fit in methods.items():
                seconds, S = timed(fit, Z[train], (y[train] - shift) / y[train].std())
                guess = shift + y[train].std() * np.tensordot(Z[test], S, 2)
                rows[name].append((seconds, 1 - np.mean((guess - y[test]) ** 2) / np.var(y[test])))
        print(f"GB1, n = {n}")
        numbers |= named(show(rows, "R^2"), f"gb1_{n}", f"GB1, n = {n}", "R^2")
    return numbers


def show(rows, score):
    """Prints, and returns the median seconds and the mean score of each method."""
    found = {}
    for name, values in rows.items():
        seconds, scores = np.transpose(values)
        error = scores.std(ddof=1) / np.sqrt(len(scores)) if len(scores) > 1 else np.nan
        print(f"  {name:22} {np.median(seconds):8.2f} s   {score} {scores.mean():.4f} +- {error:.4f}", flush=True)
        found[name] = float(np.median(seconds)), float(scores.mean())
    return found


def named(found, suffix, what, score):
    """The numbers of a comparison; each time of ours also as a share of that of the rival with a penalty, if any."""
    numbers, rival = {}, next((times for name, times in found.items() if name.startswith("cp,")), None)
    for name, (seconds, mean) in found.items():
        key = f"{name.replace(',', '').replace(' ', '_')}_{suffix}"
        numbers[key] = seconds, "s", f"{name}: a fit, {what}, median"
        numbers[f"{key}_score"] = mean, "", f"{name}: {score}, {what}, mean"
        if rival and not name.startswith("cp"):
            numbers[f"{key}_ratio"] = rival[0] / seconds, "", f"time of five starts of CP over that of {name}, {what}"
    return numbers


def measure(sizes=(20, 30), sets=3):
    warm = bsr.Problem(0.5, 1.0, 0.3, 0.1).sample(10, 0, np.float64)
    gamp(warm.X, warm.y)
    return model_data(sizes, sets) | classes(sizes[:1], sets) | proteins(sets)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[20, 30, 60])
    parser.add_argument("--sets", type=int, default=3)
    args = parser.parse_args()
    measure(args.sizes, args.sets)


if __name__ == "__main__":
    main()
