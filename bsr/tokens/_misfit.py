"""Whether a covariance of token sequences is one of positions times one of channels, from few sequences."""

import numpy as np

__all__ = ["kronecker_misfit"]

_PAIRED = 1000  # sequences whose pairs tell the scatter


def kronecker_misfit(Z):
    """How far the covariance C of sequences is from a Kronecker product, and in how many standard deviations.

    Parameters
    ----------
    Z : ndarray, shape (m, L, d)
        Independent sequences of any mean, almost white; float64.

    Returns
    -------
    excess : float
        An estimate of tr C^2 (tr C)^2 / (||tr_d C||^2 ||tr_L C||^2) - 1 with the partial traces of C over channels and
        over positions: zero for C = A x B, whatever A and B are. NaN for less than four sequences.
    misfit : float
        The same in units of its standard deviation for white sequences, of normal entries or longer tails.

    Notes
    -----
    The four terms are means over pairs of sequences of <Z, Z'>^2, |Z|^2 |Z'|^2, ||Z^T Z'||^2 and ||Z Z'^T||^2, without
    the pairs of a sequence with itself, which alone know of the fourth moments of entries. The mean of white sequences
    that is subtracted makes pairs dependent: what this adds to each term is a combination of the others, as the fourth
    moments of normal variables tell, and a system of four equations takes it back. The first term scatters most, by 2/m
    of itself for normal entries, and as pairs show for those with longer tails. A fit of A and B takes the same out of
    it and of the others.
    """
    m, L, d = Z.shape
    D = L * d
    free = D * (D + 1) // 2 - L * (L + 1) // 2 - d * (d + 1) // 2 + 1  # what C has beyond A and B
    if free == 0:  # one position or one channel: everything fits
        return 0.0, 0.0
    if m < 4:
        return np.nan, np.nan
    Z = Z - Z.mean(axis=0)
    rows = Z.reshape(m, D)
    sizes = np.einsum("ij,ij->i", rows, rows)
    turned = Z.swapaxes(1, 2)
    small = Z @ turned if L < d else turned @ Z  # of either product the norm is the same
    itself, squares = np.sum(small**2), np.sum(sizes**2)
    columns = Z.transpose(1, 0, 2).reshape(L, -1), Z.transpose(2, 0, 1).reshape(d, -1)
    sums = np.array(
        [
            np.sum((rows @ rows.T if m < D else rows.T @ rows) ** 2) - squares,
            np.sum(sizes) ** 2 - squares,
            *(np.sum((A @ A.T) ** 2) - itself for A in columns),
        ]
    )
    # Covariances over sequences are 1 - 1/m for one with itself and -1/m for two.
    others = np.array([[1, 1, 0, 0], [2, 0, 0, 0], [1, 0, 0, 1], [1, 0, 1, 0]])
    full, size, left, right = np.linalg.solve((1 - 1 / m) ** 2 * np.eye(4) + others / m**2, sums / (m * (m - 1)))
    if not (left > 0 and right > 0):
        return np.nan, np.nan
    excess = float(full * size / (left * right)) - 1.0
    return excess, float(m / 2 * excess * D / np.sqrt(2 * free * max(1.0, _spread(rows[:: -(-m // _PAIRED)]))))


def _spread(rows):
    """Variance of <Z, Z'>^2 - |Z|^2 |Z'|^2 / D over pairs, relative to that of normal variables."""
    m, D = rows.shape
    products = rows @ rows.T
    sizes = np.diag(products)
    kernel = products**2 - np.outer(sizes, sizes) / D
    np.fill_diagonal(kernel, 0.0)
    return np.sum(kernel**2) / (m * (m - 1)) / (np.mean(sizes) / D) ** 4 / (2 * (D + 2) * (D - 1))
