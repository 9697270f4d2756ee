"""Views: tokens that are others' after a change, which is made to S and to sums and never to the tokens."""

from functools import partial, reduce

import numpy as np
from numpy.typing import ArrayLike

from bsr._checks import check_real
from bsr.tokens._open import as_tokens
from bsr.tokens._tokens import Block, Tokens

__all__ = ["Centred", "View", "Whitened"]

_HELD = 2**22  # entries of a block that are changed at once


class View(Tokens):
    """Tokens that are made from others, sequence by sequence."""

    def __init__(self, X):
        self.tokens = as_tokens(X)
        self.shape, self.dtype = self.tokens.shape, np.dtype(np.float64)

    @property
    def centred(self):
        return self.tokens.centred

    @property
    def _change(self):
        """What makes a block's tokens from those of another: a function that knows no data."""
        raise NotImplementedError

    def blocks(self):
        for block in self.tokens.blocks():
            yield from _changed(self._change, block)

    def some(self, count):
        return self._change(self.tokens.some(count))

    def reduce(self, function, combine):
        return self.tokens.reduce(partial(_reduced, self._change, function, combine), combine)


def _changed(change, block):
    """Of an array a block is everything."""
    step = max(1, _HELD // block.tokens[0].size)
    for i in range(0, len(block.tokens), step):
        yield Block(block.start + i, change(block.tokens[i : i + step]))


def _reduced(change, function, combine, block):
    return reduce(combine, map(function, _changed(change, block)))


class Centred(View):
    """Tokens less their mean over all sequences, and labels with an intercept.

    Parameters
    ----------
    X : array_like or Tokens, shape (n, L, d)
    mean : array_like, shape (L, d), optional
        What to subtract from each sequence. By default the mean of the sequences, which takes a pass over the data.

    Attributes
    ----------
    tokens : Tokens
        Those it was made from.
    mean : ndarray, shape (L, d)

    Raises
    ------
    ValueError
        If X is no such array, or `mean` has another shape or is not finite.

    Notes
    -----
    Estimators subtract the mean of linear labels, which is the best intercept for tokens of mean zero; their result's
    `predict` adds it. Labels of a channel are left as they are, and have no intercept.
    """

    centred = True

    def __init__(self, X, mean: ArrayLike | None = None) -> None:
        super().__init__(X)
        if mean is None:
            mean = self.tokens.adjoint(np.ones(len(self))) / len(self)
            if not np.isfinite(mean).all():
                self.tokens.check_range()
        self.mean = check_real("mean", mean, "finite")
        if self.mean.shape != self.shape[1:]:
            raise ValueError(f"mean must have the shape {self.shape[1:]} of a sequence, got {self.mean.shape}")

    @property
    def _change(self):
        return partial(_subtract, self.mean.astype(self.dtype))

    @property
    def grain(self):
        return self.tokens.grain + float(np.finfo(np.float64).eps * np.abs(self.mean).max())

    def _at_mean(self, S):
        return np.einsum("...ij,ij->...", S, self.mean)

    def forward(self, S):
        S = self._check("S", S, self.shape[1:])
        return self.tokens.forward(S) - self._at_mean(S)[..., None]

    def adjoint(self, g):
        g = self._check("g", g, self.shape[:1])
        return self.tokens.adjoint(g) - g.sum(axis=-1)[..., None, None] * self.mean

    def residual(self, S, y):
        S, y = self._check_pair(S, y)
        g, G = self.tokens.residual(S, y + self._at_mean(S)[..., None])
        return g, G - g.sum(axis=-1)[..., None, None] * self.mean

    def raw(self, S):
        return self.tokens.raw(S)

    def shift(self, S):
        return self.tokens.shift(S) - self._at_mean(S) / np.sqrt(self.entries)


class Whitened(View):
    """Tokens P X Q: after a linear map of positions and one of channels.

    For tokens X = A Z B with Z white and square A, B, P = A^-1 and Q = B^-1 make them white, and A^T S B^T is the
    teacher that is learned from them (book, chapter 17, :eq:`eq-17-correlated`).

    Parameters
    ----------
    X : array_like or Tokens, shape (n, L, d)
    P : array_like, shape (L', L), optional
        Map of positions; none by default.
    Q : array_like, shape (d, d'), optional
        Map of channels; none by default.

    Attributes
    ----------
    tokens : Tokens
        Those it was made from.
    P, Q : ndarray

    Raises
    ------
    ValueError
        If X is no such array, or P or Q have another shape or are not finite.
    """

    def __init__(self, X, P: ArrayLike | None = None, Q: ArrayLike | None = None) -> None:
        super().__init__(X)
        n, L, d = self.shape
        self.P = check_real("P", np.eye(L) if P is None else P, "finite")
        self.Q = check_real("Q", np.eye(d) if Q is None else Q, "finite")
        if self.P.ndim != 2 or self.P.shape[1] != L or not len(self.P):
            raise ValueError(f"P must have {L} columns to match X {self.shape}, got shape {self.P.shape}")
        if self.Q.ndim != 2 or self.Q.shape[0] != d or not self.Q.size:
            raise ValueError(f"Q must have {d} rows to match X {self.shape}, got shape {self.Q.shape}")
        self.shape = (n, len(self.P), self.Q.shape[1])

    @property
    def _change(self):
        return partial(_multiply, self.P.astype(self.dtype), self.Q.astype(self.dtype))

    @property
    def grain(self):
        return float(self.tokens.grain * np.linalg.norm(self.P, 2) * np.linalg.norm(self.Q, 2))

    def _back(self, S):
        return self.P.T @ S @ self.Q.T

    def forward(self, S):
        return self.tokens.forward(self._back(self._check("S", S, self.shape[1:])))

    def adjoint(self, g):
        return self.P @ self.tokens.adjoint(g) @ self.Q

    def residual(self, S, y):
        S, y = self._check_pair(S, y)
        g, G = self.tokens.residual(self._back(S), y)
        return g, self.P @ G @ self.Q

    def raw(self, S):
        return self.tokens.raw(self._inner(S))

    def shift(self, S):
        return self.tokens.shift(self._inner(S))

    def _inner(self, S):
        """In the normalisation of the tokens it was made from."""
        return self._back(S) * np.sqrt(self.tokens.entries / self.entries)


def _subtract(mean, tokens):
    return tokens - mean


def _multiply(P, Q, tokens):
    with np.errstate(invalid="ignore", over="ignore"):  # whoever needs numbers names the rows that have none
        return P @ tokens @ Q
