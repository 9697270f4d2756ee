"""In how many directions tokens vary: it tells before any fit whether a low rank can save samples."""

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_array

from bsr.regression._frame import SCALES, Frame

__all__ = ["participation", "participation_number"]


def participation_number(X: ArrayLike, scale: str = "channel") -> float:
    """How many directions tokens vary in, (tr C)^2 / tr C^2 for the covariance C of their entries.

    Parameters
    ----------
    X : array_like, shape (n, L, d)
        Sequences, three or more; NaN where an entry is missing.
    scale : {"channel", "overall"}, default "channel"
        What entries are divided by first, as of `BilinearRegressor`.

    Returns
    -------
    float
        The number of entries, if they are uncorrelated and of one variance; much less, if all say the same. Products of
        different samples estimate tr C^2 without the bias, (tr C)^2 / n, of their own squares. Of tokens that are
        rarely other than zero, the number may exceed that of entries that have varied so far.

    Raises
    ------
    ValueError
        If X has another shape, fewer than three sequences or no entry that varies, or the scale is another one.

    References
    ----------
    Book, chapter 19, :eq:`eq-19-participation`.
    """
    X = check_array(X, dtype=np.float64, allow_nd=True, ensure_all_finite="allow-nan", ensure_min_samples=3)
    if X.ndim != 3:
        raise ValueError(f"X must have shape (n, L, d), got {X.shape}")
    if scale not in SCALES:
        raise ValueError(f"scale must be one of {', '.join(map(repr, SCALES))}, got {scale!r}")
    number, entries = participation(X, np.full(len(X), 1.0 / len(X)), scale)
    if entries == 0:
        raise ValueError(f"X must vary, got {len(X)} equal samples")
    return number


def participation(X, weights, scale):
    """The number, and that of the entries that vary."""
    frame = Frame(X, weights, scale, main_effects=False)
    n, Z = len(X), frame.tokens(X).reshape(len(X), -1)
    entries = int(np.count_nonzero(frame.varies))
    if n < 3 or entries == 0:
        return float("nan"), entries
    gram = Z @ Z.T if n <= Z.shape[1] else Z.T @ Z
    own = np.einsum("ij,ij->i", Z, Z)
    trace = own.sum() / (n - 1.0)
    # Centring makes the product of two different samples -trace/n on average; that square is taken off.
    square = (np.sum(gram**2) - own @ own) / (n * (n - 1.0)) - (trace / n) ** 2
    return float(trace**2 / square) if square > 0.0 else float(entries), entries
