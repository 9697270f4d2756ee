"""What it costs to know neither rank nor noise, and what the intervals of "bayes" cover, on data from the model.

    python experiments/nothing_known.py run --out rows.csv
    python experiments/nothing_known.py table rows.csv

For each data set: the error of `BilinearRegressor(method="bayes")`, which knows nothing, that of
`bsr.estimators.posterior` with rank and noise known and as many sweeps and chains, and the shares of 1000 new labels
within the central intervals of 50, 80 and 95 % (normal, of the predicted mean and standard deviation). d = L = 20, rank
3, noise 0.1; alpha = 0.3, 0.5 and 1; 40 data sets each. Written down before it was run: the price would be refuted by
an excess of more than 5 % beyond two standard errors, the intervals by a coverage off by more than 0.03. The stored
table is `results/nothing_known.csv`. `run` skips rows that are there.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm

import bsr
from bsr.regression import BilinearRegressor

SIZE, RANK, DELTA, ALPHAS, NEW = 20, 3, 0.1, (0.3, 0.5, 1.0), 1000
LEVELS = (0.5, 0.8, 0.95)


def measure(alpha, seed):
    """One data set."""
    problem = bsr.Problem(alpha, 1.0, RANK / SIZE, DELTA)
    data = problem.sample(SIZE, seed, np.float64)
    start = time.perf_counter()
    model = BilinearRegressor("bayes", main_effects=False, compare=False, random_state=seed).fit(data.X, data.y)
    row = {"alpha": alpha, "seed": seed, "seconds": round(time.perf_counter() - start, 2)}
    row["unknown"] = bsr.mse(SIZE * model.coef_, data.S)
    chains = [bsr.estimators.posterior(data.X, data.y, RANK, DELTA, sweeps=600, burn_in=200, rng=k) for k in (0, 1)]
    row["known"] = bsr.mse(np.mean([chain.S for chain in chains], axis=0), data.S)
    row |= {"rank": model.rank_, "noise": model.noise_, "r_hat": model.r_hat_}
    rng = np.random.default_rng([seed, 1])
    X = rng.standard_normal((NEW, SIZE, SIZE))
    y = bsr.predict(X, data.S) + np.sqrt(DELTA) * rng.standard_normal(NEW)
    mean, deviation = model.predict(X, return_std=True)
    for level in LEVELS:
        row[f"within {level}"] = np.mean(np.abs(y - mean) <= norm.ppf(0.5 + level / 2.0) * deviation)
    return {key: float(f"{value:.6g}") for key, value in row.items()}


def run(out, sets):
    """Add what is missing."""
    done = set()
    if out.exists():
        table = pd.read_csv(out)
        done = set(zip(table["alpha"], table["seed"], strict=True))
    for seed in range(sets):
        for alpha in ALPHAS:
            if (alpha, seed) not in done:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", bsr.ConvergenceWarning)
                    row = pd.DataFrame([measure(alpha, seed)])
                row.to_csv(out, mode="a", header=not out.exists(), index=False)


def show(path):
    """Means with standard errors."""
    for alpha, part in pd.read_csv(path).groupby("alpha"):
        root = np.sqrt(len(part))
        gap = part["unknown"] - part["known"]
        known = part["known"].mean()
        print(f"alpha = {alpha}, {len(part)} data sets, {part['seconds'].mean():.1f} s a fit")
        print(f"  error: known {known:.4f}, unknown {part['unknown'].mean():.4f},", end=" ")
        print(f"excess {100 * gap.mean() / known:.1f} +- {100 * gap.std() / root / known:.1f} %")
        print(f"  rank {part['rank'].mean():.2f} +- {part['rank'].std():.2f}, noise {part['noise'].mean():.4f}")
        for level in LEVELS:
            within = part[f"within {level}"]
            print(f"  within {level}: {within.mean():.4f} +- {within.std() / root:.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("run")
    command.add_argument("--out", type=Path, required=True)
    command.add_argument("--sets", type=int, default=40)
    command.set_defaults(call=lambda args: run(args.out, args.sets))
    command = commands.add_parser("table")
    command.add_argument("file", type=Path)
    command.set_defaults(call=lambda args: show(args.file))
    args = parser.parse_args()
    args.call(args)


if __name__ == "__main__":
    main()
