"""What all kinds of tokens share: passes over the data, made block by block unless a kind has something better."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from bsr import sensing
from bsr._checks import LARGEST, as_real, check_range
from bsr._memory import available, fits
from bsr._typing import Array

__all__ = ["HELD", "Block", "Rows", "Tokens", "block_adjoint", "block_forward", "block_residual", "sound"]

HELD = 2**18  # entries of a block that a product of a stack takes in float64 at once


class Block(NamedTuple):
    """Successive sequences: the number of the first, and their tokens, of shape (k, L, d) and C-contiguous."""

    start: int
    tokens: np.ndarray


class Rows:
    """Successive sequences as the rows of a matrix in one precision, for products of the caller's own."""

    def __init__(self, start, matrix):
        self.start, self.matrix = start, matrix

    def __len__(self):
        return len(self.matrix)

    def times(self, W, out):
        """The matrix times W."""
        np.matmul(self.matrix, W, out=out)

    def back(self, g, out):
        """g times the matrix."""
        np.matmul(g, self.matrix, out=out)


class Tokens(ABC):
    """Token sequences, of which an estimator may ask what follows. Nothing else is known of them.

    Sums are in float64 whatever the type of the tokens, and not normalised: the model divides by sqrt(dL). S may be one
    matrix or a stack of them, and so may g and y be vectors.

    Attributes
    ----------
    shape : tuple of int
        (n, L, d).
    dtype : numpy.dtype
        Type of the tokens in `blocks`, float32 or float64.
    centred : bool
        Whether estimators give linear labels an intercept, the mean of the labels.
    resident : bool
        Whether `rows` come in one piece, which may be kept.
    grain : float
        Rounding of an entry where it is a difference of larger numbers. Directions that hold no more are none.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype
    centred = False
    resident = False
    grain = 0.0

    def __len__(self):
        return self.shape[0]

    def __repr__(self):
        return f"{type(self).__name__}(n={self.shape[0]}, L={self.shape[1]}, d={self.shape[2]}, {self.dtype})"

    @property
    def entries(self) -> int:
        """Numbers in a sequence, dL."""
        return self.shape[1] * self.shape[2]

    @abstractmethod
    def blocks(self) -> Iterator[Block]:
        """All sequences, in blocks of successive ones. A block is only to be read, and valid until the next one."""

    @abstractmethod
    def some(self, count: int) -> np.ndarray:
        """That many sequences at equal distances, or all if there are fewer; one at least. Shape (k, L, d)."""

    def reduce(self, function: Callable[[Block], Any], combine: Callable[[Any, Any], Any]) -> Any:
        """What `combine` makes, two at a time, of what `function` makes of each block, in whatever blocks.

        Both may be called where the data are, so that they must be pickled; `combine` is associative.
        """
        return reduce(combine, map(function, self.blocks()))

    def forward(self, S: ArrayLike) -> Array:
        """Inner products <X_mu, S>.

        Parameters
        ----------
        S : array_like, shape (..., L, d)

        Returns
        -------
        ndarray, shape (..., n)

        Raises
        ------
        ValueError
            If shapes do not match.
        """
        S = self._check("S", S, self.shape[1:])
        out = np.empty((*S.shape[:-2], len(self)))
        for start, block in self.blocks():
            out[..., start : start + len(block)] = sound(start, block, block_forward(block, S))
        return out

    def adjoint(self, g: ArrayLike) -> Array:
        """Weighted sums of the sequences, sum_mu g_mu X_mu.

        Parameters
        ----------
        g : array_like, shape (..., n)

        Returns
        -------
        ndarray, shape (..., L, d)

        Raises
        ------
        ValueError
            If shapes do not match.
        """
        g = self._check("g", g, self.shape[:1])
        G = np.zeros((*g.shape[:-1], *self.shape[1:]))
        for start, block in self.blocks():
            G += sound(start, block, block_adjoint(block, g[..., start : start + len(block)]))
        return G

    def residual(self, S: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
        """Residuals g = y - forward(S) and adjoint(g), in one pass over the data.

        Parameters
        ----------
        S : array_like, shape (..., L, d)
        y : array_like, shape (n,) or (..., n)

        Returns
        -------
        g : ndarray, shape (..., n)
        G : ndarray, shape (..., L, d)

        Raises
        ------
        ValueError
            If shapes do not match.
        """
        S, y = self._check_pair(S, y)
        g, G = np.empty((*S.shape[:-2], len(self))), np.zeros(S.shape)
        for start, block in self.blocks():
            part = slice(start, start + len(block))
            g[..., part], pulled = block_residual(block, S, y[..., part])
            G += sound(start, block, pulled)
        return g, G

    def rows(self, dtype: DTypeLike) -> Iterator[Rows]:
        """All sequences as rows of matrices in that precision, float32 or float64, as `blocks`."""
        for start, block in self.blocks():
            yield Rows(start, block.reshape(len(block), -1).astype(dtype, copy=False))

    def dense(self) -> np.ndarray:
        """All sequences as one array in memory, shape (n, L, d), C-contiguous.

        Raises
        ------
        MemoryError
            With the estimate, if it does not fit.
        """
        self._check_room()
        out = np.empty(self.shape, self.dtype)
        for start, block in self.blocks():
            out[start : start + len(block)] = block
        return out

    def __array__(self, dtype=None, copy=None):
        """What NumPy makes of them."""
        return np.array(self.dense(), dtype=dtype, copy=bool(copy) or None)

    def raw(self, S: np.ndarray) -> np.ndarray:
        """S for the tokens x that were given, under all views: what labels of a view X are in terms of x,

        <X_mu, S>/sqrt(size of X_mu) = <x_mu, raw(S)>/sqrt(size of x_mu) + shift(S). Without a view S itself.
        """
        return S

    def shift(self, S: np.ndarray) -> Array | float:
        """See `raw`; shape (...) for S of shape (..., L, d)."""
        return 0.0

    def check_range(self) -> None:
        """Look through all tokens.

        Raises
        ------
        ValueError
            If entries are not finite, or out of range; with the rows.
        """
        check_range("X", np.array(self.reduce(_largest, max)))

    def _check(self, name, value, shape):
        value = as_real(name, value)
        if value.shape[-len(shape) :] != shape:
            raise ValueError(f"{name} must have shape {shape} to match X, or be a stack of such, got {value.shape}")
        return np.ascontiguousarray(value)

    def _check_pair(self, S, y):
        """S and y, of which there is one for each S."""
        S, y = self._check("S", S, self.shape[1:]), self._check("y", y, self.shape[:1])
        if y.shape[:-1] not in ((), S.shape[:-2]):
            raise ValueError(f"y must have shape {(*S.shape[:-2], len(self))} to match S {S.shape}, got {y.shape}")
        return S, np.broadcast_to(y, (*S.shape[:-2], len(self)))

    def _check_room(self):
        need = len(self) * self.entries * self.dtype.itemsize
        if not fits(need):
            raise MemoryError(
                f"X takes {need / 1e9:.3g} GB as one array for (n, L, d) = {self.shape}, "
                f"{available() / 1e9:.3g} GB are available"
            )


def sound(start, block, result):
    """The result of a pass over a block, unless tokens in it are not finite."""
    if not np.isfinite(result).all():
        _check_rows(start, _moduli(block))
    return result


def _largest(block):
    moduli = _moduli(block.tokens)
    _check_rows(block.start, moduli)
    return moduli.max()


def _moduli(block):
    """Largest modulus in each sequence; NaN if one entry is."""
    rows = block.reshape(len(block), -1)
    return np.maximum(rows.max(axis=1), -rows.min(axis=1)).astype(np.float64)


def _check_rows(start, moduli):
    """Raise ValueError, with the rows, if tokens are no finite numbers of a size that can be used."""
    bad = np.flatnonzero(~(moduli <= LARGEST))
    if len(bad):
        rows = f"row {start + bad[0]}" if len(bad) == 1 else f"rows {start + bad[0]} to {start + bad[-1]}"
        raise ValueError(f"X must be finite and at most {LARGEST} in modulus, got {moduli[bad[0]]} in {rows}")


def block_forward(block, S):
    """<X_mu, S> of sequences in an array."""
    if S.ndim == 2:
        return sensing.forward(block, S)
    stack = S.reshape(-1, block[0].size)
    out = np.empty((len(stack), len(block)))
    for part, rows in _double(block):
        out[:, part] = stack @ rows.T
    return out.reshape(*S.shape[:-2], len(block))


def block_adjoint(block, g):
    """sum_mu g_mu X_mu."""
    if g.ndim == 1:
        return sensing.adjoint(block, g)
    stack = g.reshape(-1, len(block))
    G = np.zeros((len(stack), block[0].size))
    for part, rows in _double(block):
        G += stack[:, part] @ rows
    return G.reshape(*g.shape[:-1], *block.shape[1:])


def block_residual(block, S, y):
    """y - <X_mu, S> and its adjoint."""
    if S.ndim == 2:
        return sensing.fused(block, S, y, 1.0)
    stack, y = S.reshape(-1, block[0].size), y.reshape(-1, len(block))
    g, G = np.empty((len(stack), len(block))), np.zeros(stack.shape)
    for part, rows in _double(block):
        g[:, part] = y[:, part] - stack @ rows.T
        G += g[:, part] @ rows
    return g.reshape(*S.shape[:-2], len(block)), G.reshape(S.shape)


def _double(block):
    """Successive sequences as rows in float64, few enough for a cache."""
    rows = block.reshape(len(block), -1)
    step = max(1, HELD // rows.shape[1])
    for i in range(0, len(rows), step):
        part = slice(i, min(i + step, len(rows)))
        yield part, rows[part].astype(np.float64, copy=False)
