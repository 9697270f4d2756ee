"""From the user's tokens to centred ones of one scale, bordered by their sums if asked, and coefficients back."""

import numpy as np

__all__ = ["SCALES", "Frame"]

SCALES = ("channel", "overall")
_CONSTANT = 1e-12  # of the largest mean of its channel: a scatter below it is rounding


class Frame:
    """What the training data say of units: means, scales, and those of the sums over rows and columns.

    Tokens become Z = (X - mean) / scale, with missing entries at their mean; in the mean over the training data
    sum of Z^2 is 1. Main effects border Z by one more column, its row sums, and one more row, its column sums, each
    scaled until its squares sum to 1 as well; the corner is zero. A matrix S of the bordered tokens is then one of
    entries, a vector of positions and a vector of channels.

    Parameters
    ----------
    X : ndarray, shape (n, L, d)
        Training tokens; NaN where missing.
    weights : ndarray, shape (n,)
        Of the samples, summing to 1.
    scale : {"channel", "overall"}
        Whether each channel has a scale, or all share one.
    main_effects : bool
    """

    def __init__(self, X, weights, scale, main_effects):
        present = np.isfinite(X)
        share = np.tensordot(weights, present, 1)
        known = share > 0.0
        total = np.tensordot(weights, np.where(present, X, 0.0), 1)
        self.mean = np.divide(total, share, out=np.zeros_like(total), where=known)
        self._unknown = None if known.all() else ~known
        Z = np.where(present, X - self.mean, 0.0)
        self.variance = power = np.tensordot(weights, Z**2, 1)
        floor = (_CONSTANT * np.abs(self.mean).max(axis=0)) ** 2
        self.varies = power > floor
        channels = power.sum(axis=0) if scale == "channel" else np.full(X.shape[2], power.sum())
        used = self.varies.any(axis=0) & (channels > 0.0)
        self._unit = np.divide(1.0, np.sqrt(channels), out=np.zeros(X.shape[2]), where=used)
        size = np.sum(power * self._unit**2)
        self._unit /= np.sqrt(size) if size > 0.0 else 1.0
        self.main_effects = main_effects
        if main_effects:
            Z *= self._unit
            sums = (weights @ Z.sum(axis=axis) ** 2 for axis in (2, 1))
            self._sides = [1.0 / np.sqrt(s) if (s := part.sum()) > 1e-20 else 0.0 for part in sums]

    @property
    def shape(self):
        """Of S."""
        L, d = self.mean.shape
        return (L + 1, d + 1) if self.main_effects else (L, d)

    def tokens(self, X):
        """Z, bordered if there are main effects."""
        Z = (X - self.mean) * self._unit
        np.nan_to_num(Z, copy=False, nan=0.0)
        if self._unknown is not None:  # there is no mean to subtract
            Z[:, self._unknown] = 0.0
        if not self.main_effects:
            return Z
        n, L, d = Z.shape
        B = np.zeros((n, L + 1, d + 1))
        B[:, :L, :d] = Z
        B[:, :L, d] = self._sides[0] * Z.sum(axis=2)
        B[:, L, :d] = self._sides[1] * Z.sum(axis=1)
        return B

    def entries(self, S):
        """Coefficients of the user's entries in S (..., L, d) or bordered: those of products, and of main effects."""
        if not self.main_effects:
            return S * self._unit, np.zeros_like(S)
        rows, columns = self._sides[0] * S[..., :-1, -1:], self._sides[1] * S[..., -1:, :-1]
        return S[..., :-1, :-1] * self._unit, (rows + columns) * self._unit
