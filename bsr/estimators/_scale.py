"""The scale of data: what makes an estimator indifferent to their units."""

import numpy as np

from bsr._checks import check_range, in_range

MEASURED = 300_000  # entries of X that tell its scale: to 0.3 % if they are normal


def root_mean_square(X):
    """Root mean square of the entries of X, from samples at equal distances if X is large; 0 if there is nothing."""
    sample = some(X, MEASURED / X[0].size)
    if in_range(sample):
        entries = sample.astype(np.float64).ravel()
        return float(np.sqrt(entries @ entries / entries.size))
    check_range("X", X)
    return float(np.sqrt(np.mean([np.mean(np.square(x, dtype=np.float64)) for x in X])))


def some(X, count):
    """A view of that many samples at equal distances, or of all if there are fewer; of one at least."""
    step = max(len(X) // max(int(count), 1), 1)
    return X[::step][: max(int(count), 1)]
