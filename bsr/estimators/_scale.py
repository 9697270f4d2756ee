"""The scale of data: what makes an estimator indifferent to their units."""

import numpy as np

from bsr._checks import in_range

MEASURED = 300_000  # entries of X that tell its scale: to 0.3 % if they are normal
_CACHED = 2**17  # that are held in float64 at once


def root_mean_square(X):
    """Root mean square of the entries of X, from samples at equal distances if X is large; 0 if there is nothing."""
    sample = X.some(MEASURED / X.entries)
    if in_range(sample):
        entries = sample.astype(np.float64).ravel()
        return float(np.sqrt(entries @ entries / entries.size))
    X.check_range()
    return row_norm(X) / np.sqrt(X.entries)


def row_norm(X):
    """Root mean square of the norms of the sequences, sum_ij X_mu,ij^2."""
    step = max(1, _CACHED // X.entries)
    power = sum(
        np.sum(np.square(block[i : i + step], dtype=np.float64))
        for _, block in X.blocks()
        for i in range(0, len(block), step)
    )
    return float(np.sqrt(power / len(X)))
