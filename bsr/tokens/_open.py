"""Whatever holds tokens, and labels with them, as estimators take them."""

import mmap
from os import PathLike

import numpy as np
from numpy.typing import ArrayLike

from bsr._checks import as_real, check_range
from bsr._memory import available
from bsr._typing import Array
from bsr.tokens._array import ArrayTokens
from bsr.tokens._dask import DaskTokens
from bsr.tokens._file import FileTokens
from bsr.tokens._tokens import Tokens
from bsr.tokens._torch import TorchTokens

__all__ = ["as_tokens", "open_samples"]


def as_tokens(X: ArrayLike | Tokens) -> Tokens:
    """Whatever holds tokens, wrapped.

    Parameters
    ----------
    X : array_like or Tokens, shape (n, L, d)
        `Tokens` are returned as they are, dask arrays become `DaskTokens`, memory maps of whole .npy files that are
        larger than half of the memory available become `FileTokens`, tensors on a GPU, or that no array can be made
        of, `TorchTokens`, and anything else `ArrayTokens`.

    Returns
    -------
    Tokens

    Raises
    ------
    ValueError
        If it is no array of real numbers of three axes, none of them empty.
    """
    if isinstance(X, Tokens):
        return X
    first = X[0] if isinstance(X, list | tuple) and X else X
    if isinstance(first, str | PathLike):
        raise ValueError(f"X must be an array of shape (n, L, d), got {X!r}; FileTokens reads files")
    package = type(X).__module__.partition(".")[0]
    if package == "dask":
        return DaskTokens(X)
    if package == "torch" and (X.device.type != "cpu" or X.requires_grad or "bfloat16" in str(X.dtype)):
        return TorchTokens(X)
    if _is_large_map(X) and (tokens := _file_of(X)) is not None:
        return tokens
    return ArrayTokens(X)


def open_samples(X: ArrayLike | Tokens, y: ArrayLike, *, scan: bool = True) -> tuple[Tokens, Array]:
    """Tokens and labels, checked against each other; labels as float64.

    Parameters
    ----------
    X : array_like or Tokens, shape (n, L, d)
    y : array_like, shape (n,)
    scan : bool, default True
        Whether to read X for entries that are not finite or out of range. False leaves it to the caller, who passes
        over X anyway and calls `check_range` when a sum looks wrong.

    Raises
    ------
    ValueError
        If the shapes do not match, an axis is empty, or entries are not finite, so large that powers overflow or so
        small that they vanish.
    """
    X, y = as_tokens(X), as_real("y", y)
    if y.shape != X.shape[:1]:
        raise ValueError(f"y must have shape ({len(X)},) to match X {X.shape}, got {y.shape}")
    if scan:
        X.check_range()
    check_range("y", y)
    return X, np.require(y, requirements=["C", "A"])


def _file_of(X):
    """The tokens of the file that a map X is of; None if X is another part of it, or it is no longer there."""
    try:
        tokens = FileTokens(X.filename)
    except (ValueError, FileNotFoundError):
        return None
    whole = (tokens.shape, tokens.dtype) == (X.shape, X.dtype) and X.offset + X.nbytes == X.filename.stat().st_size
    return tokens if whole else None


def _is_large_map(X):
    """Whether X is a memory map of an .npy file, read-only, for which memory may be short."""
    return (
        isinstance(X, np.memmap)
        and isinstance(X.base, mmap.mmap)
        and X.mode == "r"
        and X.ndim == 3
        and str(X.filename).endswith(".npy")
        and X.nbytes > available() / 2
    )
