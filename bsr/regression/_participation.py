"""In how many directions tokens vary: it tells before any fit whether a low rank can save samples."""

import numpy as np

from bsr.regression._frame import Frame

__all__ = ["participation_number"]


def participation_number(X, weights, scale):
    """(tr C)^2 / tr C^2 of the covariance C of the scaled entries, and the number of entries that vary.

    Products of different samples estimate tr C^2 without the bias, (tr C)^2 / n, of their own squares. Of tokens that
    are rarely other than zero, the number may exceed that of entries that have varied so far.
    """
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
