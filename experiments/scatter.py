"""How much the error of one data set scatters, and the slopes of its learning curve: from tables of experiments.

Each row of a table is the mean of the same problem over data sets. An error is that over the mean square of the data
set's own teacher. Its standard deviation from one data set to the next is set beside the slopes of the theory's curve,
-d log(error) / d log(alpha) and, for numbers with noise, d log(error) / d log(delta), where the error is more than
2 per cent and no phase is hard.

    python experiments/scatter.py

takes some seconds and writes experiments/results/scatter.csv, which chapter 18 draws.
"""

import math
from pathlib import Path

import numpy as np
import pandas as pd

from bsr import channels
from bsr.theory import bayes, nuclear_norm

RESULTS = Path(__file__).parent / "results"
TABLES = (
    "finite_size",
    "finite_size_large",
    "finite_size_noise",
    "fig3",
    "fig5",
    "fig5_beta",
    "fig5_rho",
    "channels",
    "scatter_noise",
)
SMALLEST = 0.02  # of the errors: next to exact recovery a run recovers or does not
STEP = 0.02  # of log(alpha), for the slope


def theory(row, channel, alpha):
    """Error of the row's estimator in the limit, at the ratios of its sizes."""
    problem = row.L / row.d, row.r / min(row.d, row.L), 0.0 if channel else row.delta
    if row.estimator == "gamp_rie":
        return bayes.mmse(alpha, *problem, channel=channel)
    return nuclear_norm.mse(alpha, *problem, lam=0.0)


def scatter(row, channel):
    """Slope, slope in the noise, relative deviation and number of data sets of a row; None where it is left out."""
    alpha = row.n / (row.d * row.L)
    error = theory(row, channel, alpha * np.exp([-STEP, STEP]))
    if not (np.isfinite(error).all() and error.min() > SMALLEST):
        return None
    noise_slope = 0.0
    if channel is None and row.delta > 0.0:
        less, more = (theory(row._replace(delta=row.delta * math.exp(step)), None, alpha) for step in (-STEP, STEP))
        noise_slope = math.log(more / less) / (2 * STEP)
    deviation = row.relative_error_se * math.sqrt(row.relative_error_count) / row.relative_error
    return -math.log(error[1] / error[0]) / (2 * STEP), noise_slope, deviation, row.relative_error_count


def main():
    found = []
    for name in TABLES:
        for row in pd.read_csv(RESULTS / f"{name}.csv", comment="#").itertuples():
            text = getattr(row, "option_channel", None)
            channel = eval(text, vars(channels)) if isinstance(text, str) else None
            if channel is not None and channel.even:
                continue
            measured = scatter(row, channel)
            if measured is not None:
                kept = name, row.estimator, channel or "Linear", row.alpha, row.delta, row.d, row.L, row.r
                found.append((*kept, *measured))
    columns = "table estimator channel alpha delta d L r slope noise_slope deviation data_sets".split()
    table = pd.DataFrame(found, columns=columns)
    table.to_csv(RESULTS / "scatter.csv", index=False, float_format="%.6g")
    print(f"{len(table)} rows")


if __name__ == "__main__":
    main()
