"""Tokens in an array, in memory or mapped into it: passes by the kernels of `bsr.sensing`."""

from numpy.typing import ArrayLike

from bsr._checks import check_tokens
from bsr.tokens._tokens import Block, Tokens, block_adjoint, block_forward, block_residual

__all__ = ["ArrayTokens", "gathered"]


class ArrayTokens(Tokens):
    """Tokens in an array. What estimators make of an array themselves.

    Parameters
    ----------
    X : array_like, shape (n, L, d)
        Real, in any type and memory order. Float32 and float64 in C order are taken as they are; anything else is
        copied once, other types to float64.

    Attributes
    ----------
    array : ndarray, shape (n, L, d)
        C-contiguous, float32 or float64.

    Raises
    ------
    ValueError
        If X is not such an array, or an axis is empty.
    """

    resident = True

    def __init__(self, X: ArrayLike) -> None:
        self.array = check_tokens(X)
        self.shape, self.dtype = self.array.shape, self.array.dtype

    def blocks(self):
        yield Block(0, self.array)

    def some(self, count):
        count = max(int(count), 1)
        return self.array[:: max(len(self) // count, 1)][:count]

    def dense(self):
        return self.array

    # One block is everything, so that no sums over blocks are needed.

    def forward(self, S):
        return block_forward(self.array, self._check("S", S, self.shape[1:]))

    def adjoint(self, g):
        return block_adjoint(self.array, self._check("g", g, self.shape[:1]))

    def residual(self, S, y):
        return block_residual(self.array, *self._check_pair(S, y))


def gathered(X: Tokens) -> ArrayTokens:
    """Tokens of any kind in one array in memory, which remembers their rounding."""
    tokens = ArrayTokens(X.dense())
    tokens.grain = X.grain
    return tokens
