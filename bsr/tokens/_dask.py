"""Tokens in a dask array: passes are graphs, for whatever scheduler or cluster is active."""

import math
import threading
from contextlib import contextmanager
from itertools import accumulate
from typing import TYPE_CHECKING

import numba
import numpy as np

from bsr._checks import as_real
from bsr._threads import blas_for, forked
from bsr.tokens._tokens import Block, Tokens, block_adjoint, block_forward, block_residual, sound

if TYPE_CHECKING:
    import dask.array

__all__ = ["DaskTokens"]

_FAN_IN = 8  # sums that a task adds
_FETCHED = 2**26  # bytes of chunks that are computed together where blocks are asked for


class DaskTokens(Tokens):
    """Tokens in a dask array, of any size: what estimators make of one themselves.

    Parameters
    ----------
    X : dask.array.Array, shape (n, L, d)
        Real, with known chunks, best of tens of megabytes. Chunks are joined along all axes but the first; other types
        than float32 and float64 become float64 on the way.

    Attributes
    ----------
    array : dask.array.Array
        Chunked along the sequences alone.

    Raises
    ------
    ImportError
        If dask is not installed.
    ValueError
        If it is no such array, or an axis is empty; and in a pass, if a chunk is not what the array says.
    RuntimeError
        In a pass, if the cluster that is active, or that holds chunks, is gone.

    Notes
    -----
    A pass is one graph, with a task for each chunk and a tree of sums, computed by the scheduler that is active: the
    threads of this process, or the cluster of a `distributed.Client`, where it survives the loss of workers. S and y
    are part of the graph. A task uses one core, since its scheduler has one for each, unless it runs in the main
    thread. Results do not depend on the scheduler, and on chunks up to rounding. On a cluster a pass takes a tenth of a
    second at least, whatever its size.
    """

    def __init__(self, X: "dask.array.Array") -> None:
        try:
            import dask.array
        except ImportError as error:
            raise ImportError("DaskTokens needs dask: install bilinear-sequence-regression[cluster]") from error
        if not isinstance(X, dask.array.Array):
            raise ValueError(f"X must be a dask array, got {type(X).__name__}")
        if X.ndim != 3 or 0 in X.shape:
            raise ValueError(f"X must have shape (n, L, d) with no empty axis, got {X.shape}")
        if any(math.isnan(size) for axis in X.chunks for size in axis):
            raise ValueError("X must have known chunks, got sizes nan; X.compute_chunk_sizes() finds them")
        if X.dtype.kind not in "fiub":
            raise ValueError(f"X must hold real numbers, got {X.dtype}")
        if X.dtype not in (np.float32, np.float64):
            X = X.astype(np.float64)
        sizes = tuple(size for size in X.chunks[0] if size)
        self.array = X.rechunk({0: sizes, 1: -1, 2: -1})
        self.shape, self.dtype = self.array.shape, self.array.dtype
        self._slices = [slice(stop - size, stop) for size, stop in zip(sizes, accumulate(sizes), strict=True)]

    def blocks(self):
        most = max(1, _FETCHED // (max(self.array.chunks[0]) * self.entries * self.dtype.itemsize))
        chunks = self._chunks()
        for i in range(0, len(chunks), most):
            parts = self._slices[i : i + most]
            fetched = self._compute(*chunks[i : i + most])
            for part, tokens in zip(parts, fetched, strict=True):
                yield _block(part, self.shape, self.dtype, tokens)

    def some(self, count):
        count = max(int(count), 1)
        [found] = self._compute(self.array[:: max(len(self) // count, 1)][:count])
        return np.ascontiguousarray(as_real("X", found, keep=(self.dtype,)))

    def reduce(self, function, combine):
        [result] = self._compute(_tree(combine, self._map(_apply, function)))
        return result

    def forward(self, S):
        S = _node(self._check("S", S, self.shape[1:]))
        return np.concatenate(self._compute(*self._map(_forward, S)), axis=-1)

    def adjoint(self, g):
        g = self._check("g", g, self.shape[:1])
        [G] = self._compute(_tree(np.add, self._map(_adjoint, each=[g[..., part] for part in self._slices])))
        return G

    def residual(self, S, y):
        S, y = self._check_pair(S, y)
        pairs = self._map(_residual, _node(S), each=[y[..., part] for part in self._slices], nout=2)
        *g, G = self._compute(*(pair[0] for pair in pairs), _tree(np.add, [pair[1] for pair in pairs]))
        return np.concatenate(g, axis=-1), G

    def _compute(self, *tasks):
        import dask

        try:
            return dask.compute(*tasks)
        except Exception as error:
            if type(error).__module__ == "distributed.client" or _orphaned(self.array):
                raise RuntimeError(
                    f"X is on a cluster whose Client is closed, or has lost its scheduler: {error}"
                ) from error
            raise

    def _chunks(self):
        return self.array.to_delayed().ravel().tolist()

    def _map(self, function, *args, each=None, nout=None):
        """A task for each chunk: the function of its block, of `args`, and of what is for this chunk alone."""
        from dask import delayed

        task = delayed(_task, pure=False, nout=nout)
        each = [()] * len(self._slices) if each is None else [(part,) for part in each]
        return [
            task(function, part, self.shape, self.dtype, tokens, *args, *more)
            for part, tokens, more in zip(self._slices, self._chunks(), each, strict=True)
        ]


def _node(array):
    """A task that is an array, so that the graph has it once."""
    from dask import delayed

    return delayed(array, pure=False, traverse=False)


def _tree(combine, parts):
    """A task that combines the results of all, in a tree that depends on their number alone."""
    from dask import delayed

    task = delayed(_combine, pure=False)
    while len(parts) > 1:
        parts = [task(combine, *parts[i : i + _FAN_IN]) for i in range(0, len(parts), _FAN_IN)]
    return parts[0]


def _combine(combine, first, *others):
    for other in others:
        first = combine(first, other)
    return first


def _orphaned(array):
    """Whether it needs what a closed Client has had computed."""
    values = dict(array.__dask_graph__()).values()
    return any(type(value).__module__ == "distributed.client" and value.client.status != "running" for value in values)


# Where the data are


def _task(function, part, shape, dtype, tokens, *args):
    with _one_core():
        return function(_block(part, shape, dtype, tokens), *args)


def _block(part, shape, dtype, tokens):
    expected = (part.stop - part.start, *shape[1:])
    if not isinstance(tokens, np.ndarray) or tokens.shape != expected or tokens.dtype != dtype:
        got = f"{tokens.shape} {tokens.dtype}" if isinstance(tokens, np.ndarray) else type(tokens).__name__
        raise ValueError(f"X must have chunks as it says, {expected} {dtype} from row {part.start} on, got {got}")
    return Block(part.start, np.require(as_real("X", tokens, keep=(dtype,)), requirements=["C", "A"]))


@contextmanager
def _one_core():
    if forked() or threading.current_thread() is threading.main_thread():
        yield
        return
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        with blas_for(0):
            yield
    finally:
        numba.set_num_threads(threads)


def _apply(block, function):
    return function(block)


def _forward(block, S):
    return sound(*block, block_forward(block.tokens, S))


def _adjoint(block, g):
    return sound(*block, block_adjoint(block.tokens, g))


def _residual(block, S, y):
    g, G = block_residual(block.tokens, S, y)
    return g, sound(*block, G)
