"""Tokens in files, read in large blocks while the block before is worked on."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bsr._checks import check_integer
from bsr._memory import available
from bsr.tokens._tokens import Block, Tokens

__all__ = ["FileTokens"]


class _File(NamedTuple):
    path: Path
    offset: int  # of the first number
    rows: int
    size: int


class FileTokens(Tokens):
    """Tokens in one or several .npy files, one after the other: of any size, in the memory of two blocks.

    Parameters
    ----------
    paths : str, pathlib.Path, or sequence of them
        Files of shapes (n_i, L, d), in C order, all float32 or all float64, in the byte order of the machine; labels
        are in the order of the paths. Files must stay as they are.
    block_bytes : int, default 2**26
        Size of a block. A pass holds two: one is read while the other is worked on. Below some megabytes the
        handing-over takes longer than the work.
    keep : bool, optional
        Whether the system may keep in memory what has been read. By default if all fits in half of what is available;
        a pass over more never finds what the one before has left, but drives out what others need.

    Attributes
    ----------
    paths : tuple of pathlib.Path

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a file holds something else, or files do not match; and in a pass, if one has become shorter or longer.
    """

    def __init__(
        self,
        paths: str | PathLike | Sequence[str | PathLike],
        *,
        block_bytes: int = 2**26,
        keep: bool | None = None,
    ) -> None:
        if not isinstance(paths, str | PathLike | Sequence):
            raise ValueError(f"paths must be a path or a sequence of them, got {type(paths).__name__}")
        try:
            self.paths = tuple(map(Path, [paths] if isinstance(paths, str | PathLike) else paths))
        except TypeError as error:
            raise ValueError(f"paths must be a path or a sequence of them, got {paths!r}") from error
        if not self.paths:
            raise ValueError("paths must be one file or more, got none")
        maps = [_open(path) for path in self.paths]
        first = maps[0]
        for path, other in zip(self.paths, maps, strict=True):
            if other.shape[1:] != first.shape[1:] or other.dtype != first.dtype:
                raise ValueError(
                    f"paths must be files of one shape (n_i, L, d) and type, got {first.shape} {first.dtype} in "
                    f"{self.paths[0]} and {other.shape} {other.dtype} in {path}"
                )
        self._files = [
            _File(path, X.offset, len(X), path.stat().st_size) for path, X in zip(self.paths, maps, strict=True)
        ]
        self.shape, self.dtype = (sum(map(len, maps)), *first.shape[1:]), first.dtype
        self._row = self.entries * self.dtype.itemsize
        self._step = max(1, check_integer("block_bytes", block_bytes, 1) // self._row)
        self._keep = len(self) * self._row <= available() / 2 if keep is None else bool(keep)

    def blocks(self):
        with ThreadPoolExecutor(1, thread_name_prefix="bsr-read") as reader:
            buffers = [np.empty((min(self._step, len(self)), *self.shape[1:]), self.dtype) for _ in range(2)]
            parts = self._parts()
            waiting = reader.submit(self._read, next(parts), buffers[0])
            for number, part in enumerate([*parts, None], start=1):
                block = waiting.result()
                if part is not None:
                    waiting = reader.submit(self._read, part, buffers[number % 2])
                yield block

    def _parts(self):
        """What to read: the file, how many rows before those wanted, how many of them, and the number of the first."""
        start = 0
        for file in self._files:
            edges = [*range(0, file.rows, self._step), file.rows]
            for low, high in pairwise(edges):
                yield file, low, high - low, start + low
            start += file.rows

    def _read(self, part, buffer):
        file, skipped, count, start = part
        with self._source(file) as source:
            self._fill(buffer[:count], source, file, skipped)
        return Block(start, buffer[:count])

    @contextmanager
    def _source(self, file):
        with file.path.open("rb", buffering=0) as source:
            size = os.fstat(source.fileno()).st_size
            if size > file.size:
                raise ValueError(f"X has become longer: {file.path} has {size} bytes, it had {file.size}")
            yield source

    def _fill(self, rows, source, file, skipped):
        position, view = file.offset + skipped * self._row, memoryview(rows).cast("B")
        source.seek(position)
        done = 0
        while done < len(view):
            got = source.readinto(view[done:])
            if not got:
                row = skipped + done // self._row
                raise ValueError(f"X has become shorter: {file.path} ends in row {row}, it had {file.rows}")
            done += got
        if not self._keep and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(source.fileno(), position, len(view), os.POSIX_FADV_DONTNEED)

    def some(self, count):
        count = max(int(count), 1)
        wanted = np.arange(len(self))[:: max(len(self) // count, 1)][:count]
        out = np.empty((len(wanted), *self.shape[1:]), self.dtype)
        start = 0
        for file in self._files:
            low, high = np.searchsorted(wanted, (start, start + file.rows))
            if low < high:
                with self._source(file) as source:
                    for k in range(low, high):
                        self._fill(out[k : k + 1], source, file, int(wanted[k]) - start)
            start += file.rows
        return out


def _open(path):
    try:
        X = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"paths must be .npy files that are whole, got {path}: {error}") from error
    if not isinstance(X, np.memmap):
        raise ValueError(f"paths must be .npy files, got {path}, which holds {type(X).__name__}")
    if X.ndim != 3 or 0 in X.shape:
        raise ValueError(f"paths must hold arrays of shape (n, L, d) with no empty axis, got {X.shape} in {path}")
    if X.dtype not in (np.float32, np.float64) or not X.flags.c_contiguous:
        order = "C" if X.flags.c_contiguous else "another"
        raise ValueError(f"paths must hold float32 or float64 in C order, got {X.dtype} in {order} order in {path}")
    return X
