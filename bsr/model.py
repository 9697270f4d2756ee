"""The model: a problem (alpha, beta, rho, and delta or a channel) and its samples."""

import shutil
from dataclasses import dataclass, fields, replace
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from tqdm import tqdm

from bsr._checks import (
    as_generator,
    as_real,
    check_integer,
    check_number,
    check_token_type,
    child_generator,
)
from bsr._typing import Array, Numbers, Random
from bsr.channels import Channel, Linear, resolve
from bsr.ensembles import Ensemble
from bsr.sensing import forward
from bsr.tokens import Tokens, as_tokens

__all__ = ["Data", "Problem", "mse", "predict"]

_TOKENS, _NOISE = 1, 2  # streams of an integer that draws the teacher by the first, and estimators by child 0
_BLOCK = 2**22  # tokens' entries that are drawn at once


@dataclass(frozen=True, repr=False)
class Problem:
    """Bilinear sequence regression in the limit n, d, L, r -> infinity.

    A teacher S = U V^T / sqrt(r), with U of shape (L, r), V of shape (d, r) and standard normal entries, labels a
    sequence X of L tokens of dimension d by y = <X, S> / sqrt(dL) + sqrt(delta) * xi.

    Parameters
    ----------
    alpha : float
        Sample complexity n / (dL), positive.
    beta : float, default 1.0
        Aspect ratio L / d, positive.
    rho : float, default 1.0
        Rank per dimension r / min(d, L), positive; above 1 the teacher has full rank.
    delta : float, default 0.0
        Variance of the label noise, zero or positive.
    channel : bsr.channels.Channel, optional
        How labels come from <X, S> / sqrt(dL) instead, with noise of its own, so that delta must be 0. `Linear` becomes
        its delta.

    Raises
    ------
    ValueError
        If a parameter is outside its range or not finite.

    References
    ----------
    arXiv:2410.18858, section II.
    """

    alpha: float
    beta: float = 1.0
    rho: float = 1.0
    delta: float = 0.0
    channel: Channel | None = None

    def __post_init__(self):
        for name in ("alpha", "beta", "rho", "delta"):
            value = check_number(name, getattr(self, name), "non-negative" if name == "delta" else "positive")
            object.__setattr__(self, name, value)
        delta, channel = resolve(self.delta, self.channel)
        object.__setattr__(self, "delta", float(delta))
        object.__setattr__(self, "channel", channel)

    def __repr__(self):
        shown = [field.name for field in fields(self) if getattr(self, field.name) is not None]
        return f"Problem({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    def sizes(self, d: int) -> tuple[int, int, int]:
        """Integers (n, L, r) closest to the problem's ratios at token dimension `d`.

        Raises
        ------
        ValueError
            If `d` is not a positive integer or too small: L, r or n would round to 0.
        """
        d = check_integer("d", d, 1)
        try:
            L = round(self.beta * d)
            r = round(self.rho * min(d, L))
            n = round(self.alpha * d * L)
        except OverflowError:
            raise ValueError(f"d={d} is too large for {self}: a size overflows") from None
        for symbol, size, ratio in (("L", L, "beta"), ("r", r, "rho"), ("n", n, "alpha")):
            if size == 0:
                raise ValueError(f"d={d} is too small for {ratio}={getattr(self, ratio)}: {symbol} would be 0")
        return n, L, r

    def sample(
        self, d: int, rng: Random = 0, dtype: DTypeLike = np.float32, *, tokens: Ensemble | None = None
    ) -> "Data":
        """Draw a teacher, n sequences of tokens and their labels: the three next methods, with one generator.

        Parameters
        ----------
        d : int
            Token dimension. L, r and n follow from the ratios, rounded to integers.
        rng : int or numpy.random.Generator, default 0
            Source of randomness.
        dtype : {numpy.float32, numpy.float64}, default numpy.float32
            Type of the tokens X. The labels are computed and stored in float64.
        tokens : bsr.ensembles.Ensemble, optional
            Law of the tokens; None means standard normal entries.

        Returns
        -------
        Data
            Its `problem` holds the ratios of the integers used: compare theory at these.

        Raises
        ------
        ValueError
            If `d` is too small for the ratios, `dtype` is neither float32 nor float64, or `tokens` is no ensemble.
        """
        rng, dtype = as_generator(rng), check_token_type(dtype)
        U, V = self.sample_teacher(d, rng)
        S = U @ V.T / np.sqrt(U.shape[1])
        X = self.sample_tokens(d, rng, dtype, tokens=tokens)
        return self._data(X, self.sample_labels(X, S, rng), S, U, V)

    def _data(self, X, y, S, U, V):
        """A sample, with the ratios of its integers."""
        (n, L, d), r = X.shape, U.shape[1]
        rounded = replace(self, alpha=n / (d * L), beta=L / d, rho=r / min(d, L))
        return Data(X=X, y=y, S=S, U=U, V=V, problem=rounded)

    def sample_to(
        self,
        path: str | PathLike,
        d: int,
        rng: Random = 0,
        dtype: DTypeLike = np.float32,
        *,
        progress: bool = False,
    ) -> "Data":
        """Draw a sample whose tokens go to a file, block by block: for more of them than memory holds.

        Parameters
        ----------
        path : str or pathlib.Path
            The file, which must not exist; in NumPy's format, so that it should end in .npy. Until it is complete its
            name has .part at the end.
        d, rng, dtype
            As in `sample`, which draws the same tokens, and the same labels up to rounding.
        progress : bool, default False
            Show a progress bar.

        Returns
        -------
        Data
            Its `X` is a memory map of the file, read-only: pages that nobody needs are given back. Estimators take it
            as it is.

        Raises
        ------
        ValueError
            As `sample`.
        FileExistsError
            If there is such a file.
        OSError
            If the disk has no room for it, or cannot be written.
        """
        n, L, r = self.sizes(d)
        rng, dtype, path = as_generator(rng), check_token_type(dtype), Path(path)
        if path.exists():
            raise FileExistsError(f"path must be a new file, {path} exists")
        size, room = n * L * d * dtype.itemsize, shutil.disk_usage(path.parent).free
        if size > room:
            raise OSError(f"{path} needs {size / 1e9:.3g} GB for (n, L, d) = {n, L, d}, {room / 1e9:.3g} GB are free")
        U, V = self.sample_teacher(d, rng)
        S, h, step = U @ V.T / np.sqrt(r), np.empty(n), max(1, _BLOCK // (L * d))
        tokens = child_generator(rng, _TOKENS)
        part = path.with_name(path.name + ".part")
        try:
            with part.open("wb") as file, tqdm(total=n, disable=not progress, desc="tokens") as bar:
                header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (n, L, d)}
                np.lib.format.write_array_header_1_0(file, header)
                for i in range(0, n, step):
                    block = tokens.standard_normal((min(step, n - i), L, d), dtype=dtype)
                    h[i : i + step] = forward(block, S) / np.sqrt(L * d)
                    block.tofile(file)
                    bar.update(len(block))
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        y = self._channel.sample(h, child_generator(rng, _NOISE))
        return self._data(np.load(path, mmap_mode="r"), y, S, U, V)

    def sample_teacher(self, d: int, rng: Random = 0) -> tuple[Array, Array]:
        """Draw the factors of a teacher.

        Parameters
        ----------
        d : int
            Token dimension.
        rng : int or numpy.random.Generator, default 0
            Source of randomness.

        Returns
        -------
        U, V : ndarray, shapes (L, r) and (d, r)
            Standard normal; the teacher is U V^T / sqrt(r).

        Raises
        ------
        ValueError
            As `sizes`.
        """
        _, L, r = self.sizes(d)
        rng = as_generator(rng)
        return rng.standard_normal((L, r)), rng.standard_normal((d, r))

    def sample_tokens(
        self, d: int, rng: Random = 0, dtype: DTypeLike = np.float32, *, tokens: Ensemble | None = None
    ) -> np.ndarray:
        """Draw n sequences of L tokens of dimension `d`.

        Parameters
        ----------
        d : int
            Token dimension.
        rng : int or numpy.random.Generator, default 0
            Source of randomness. An integer may be that of the teacher: tokens have a stream of their own.
        dtype : {numpy.float32, numpy.float64}, default numpy.float32
            Type of the tokens.
        tokens : bsr.ensembles.Ensemble, optional
            Their law; None means standard normal entries.

        Returns
        -------
        ndarray, shape (n, L, d)

        Raises
        ------
        ValueError
            As `sample`.
        """
        (n, L, _), dtype, rng = self.sizes(d), check_token_type(dtype), child_generator(rng, _TOKENS)
        if tokens is None:
            return rng.standard_normal((n, L, d), dtype=dtype)
        if not isinstance(tokens, Ensemble):
            raise ValueError(f"tokens must be None or one of bsr.ensembles, got {tokens!r}")
        X = tokens.sample((n, L, d), rng, dtype)
        if np.shape(X) != (n, L, d) or X.dtype != dtype:
            got = f"{type(X).__name__} of shape {np.shape(X)}"
            raise ValueError(f"tokens must draw an array of shape {(n, L, d)} and type {dtype}, {tokens!r} drew {got}")
        return X

    def sample_labels(self, X: ArrayLike | Tokens, S: ArrayLike, rng: Random = 0) -> Array:
        """Label sequences, the model's or your own, by a teacher.

        The label is <X, S> / sqrt(dL) + sqrt(delta) * xi, or what the channel makes of <X, S> / sqrt(dL).

        Parameters
        ----------
        X : array_like or Tokens, shape (n, L, d)
            Token sequences, of any number and size.
        S : array_like, shape (L, d)
            The teacher.
        rng : int or numpy.random.Generator, default 0
            Source of the noise. An integer may be that of the teacher and the tokens: noise has a stream of its own.

        Returns
        -------
        ndarray, shape (n,)
            float64.

        Raises
        ------
        ValueError
            As `predict`, or if S is a stack of matrices.
        """
        if np.ndim(S) != 2:
            raise ValueError(f"S must be one matrix of shape (L, d), got shape {np.shape(S)}")
        return self._channel.sample(predict(X, S), child_generator(rng, _NOISE))

    @property
    def _channel(self):
        return self.channel or Linear(self.delta)


@dataclass(frozen=True, eq=False, repr=False)
class Data:
    """One sample of a problem. Equal to itself alone, and shown in one line.

    Attributes
    ----------
    X : ndarray, shape (n, L, d)
        Token sequences; their entries are standard normal unless another law was asked for.
    y : ndarray, shape (n,)
        Labels, float64.
    S : ndarray, shape (L, d)
        The teacher U V^T / sqrt(r); its entries have variance 1.
    U : ndarray, shape (L, r)
        The teacher's factor on positions.
    V : ndarray, shape (d, r)
        The teacher's factor on channels.
    problem : Problem
        The ratios of the integers n, d, L, r actually used.
    """

    X: np.ndarray
    y: np.ndarray
    S: np.ndarray
    U: np.ndarray
    V: np.ndarray
    problem: Problem

    def __repr__(self):
        n, L, d = self.X.shape
        return f"Data(n={n}, L={L}, d={d}, r={self.U.shape[1]}, X {self.X.dtype}, problem={self.problem})"


def predict(X: ArrayLike | Tokens, S: ArrayLike) -> Array:
    """The labels <X_mu, S> / sqrt(dL) that a matrix gives to sequences, without noise.

    Parameters
    ----------
    X : array_like or Tokens, shape (n, L, d)
        Token sequences, in any real type and memory order; what is not C-contiguous float32 or float64 is copied. Or
        whatever else holds tokens, see `bsr.tokens`.
    S : array_like, shape (..., L, d)
        A teacher, an estimate, or a stack of them.

    Returns
    -------
    ndarray, shape (..., n)
        float64. NaN where S is.

    Raises
    ------
    ValueError
        If the last two axes of X and S do not match, or entries of X are not finite.
    """
    X, S = as_tokens(X), as_real("S", S)
    if S.ndim < 2 or S.shape[-2:] != X.shape[1:]:
        raise ValueError(f"S must end in the shape {X.shape[1:]} of a sequence of X, got shape {S.shape}")
    labels = X.forward(S) / np.sqrt(X.entries)
    if not np.isfinite(labels).all() and np.isfinite(S).all():
        X.check_range()
    return labels


def mse(S_hat: ArrayLike, S: ArrayLike, *, up_to_sign: bool = False) -> Numbers:
    """Error ||S_hat - S||^2 / (dL) per entry; 1 for S_hat = 0 on average over teachers.

    The test error of `predict` with S_hat on fresh sequences of the model is this plus delta.

    Parameters
    ----------
    S_hat : array_like, shape (..., L, d)
        One estimate or a stack of them.
    S : array_like, shape (L, d)
        The teacher.
    up_to_sign : bool, default False
        Whether an estimate may be S or -S, the closer one: what the labels of even channels allow.

    Returns
    -------
    float or ndarray, shape (...)

    Raises
    ------
    ValueError
        If the last two axes do not match.
    """
    S_hat, S = as_real("S_hat", S_hat), as_real("S", S)
    if S.ndim != 2 or S_hat.shape[-2:] != S.shape:
        raise ValueError(f"S_hat must end in the shape (L, d) of S, got {S_hat.shape} and {S.shape}")
    error = np.mean((S_hat - S) ** 2, axis=(-2, -1))
    return (np.minimum(error, np.mean((S_hat + S) ** 2, axis=(-2, -1))) if up_to_sign else error)[()]
