"""The model: a problem (alpha, beta, rho, delta) and its samples."""

from dataclasses import dataclass

import numpy as np

from bsr._checks import as_generator, as_real, check_integer, check_number
from bsr.sensing import forward

__all__ = ["Data", "Problem", "mse"]


@dataclass(frozen=True)
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

    def __post_init__(self):
        for name in ("alpha", "beta", "rho", "delta"):
            value = check_number(name, getattr(self, name), "non-negative" if name == "delta" else "positive")
            object.__setattr__(self, name, value)

    def sizes(self, d):
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

    def sample(self, d, rng=0, dtype=np.float32):
        """Draw a teacher, n sequences of tokens and their labels.

        Parameters
        ----------
        d : int
            Token dimension. L, r and n follow from the ratios, rounded to integers.
        rng : int or numpy.random.Generator, default 0
            Source of randomness.
        dtype : {numpy.float32, numpy.float64}, default numpy.float32
            Type of the tokens X. The labels are computed and stored in float64.

        Returns
        -------
        Data
            Its `problem` holds the ratios of the integers used: compare theory at these.

        Raises
        ------
        ValueError
            If `d` is too small for the ratios or `dtype` is neither float32 nor float64.
        """
        if dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
            raise ValueError(f"dtype must be float32 or float64, got {dtype!r}")
        n, L, r = self.sizes(d)
        rng = as_generator(rng)
        U = rng.standard_normal((L, r))
        V = rng.standard_normal((d, r))
        S = U @ V.T / np.sqrt(r)
        X = rng.standard_normal((n, L, d), dtype=np.dtype(dtype))
        y = forward(X, S) / np.sqrt(d * L) + np.sqrt(self.delta) * rng.standard_normal(n)
        rounded = Problem(alpha=n / (d * L), beta=L / d, rho=r / min(d, L), delta=self.delta)
        return Data(X=X, y=y, S=S, U=U, V=V, problem=rounded)


@dataclass(frozen=True, eq=False, repr=False)
class Data:
    """One sample of a problem. Equal to itself alone, and shown in one line.

    Attributes
    ----------
    X : ndarray, shape (n, L, d)
        Token sequences, standard normal entries.
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


def mse(S_hat, S):
    """Error ||S_hat - S||^2 / (dL) per entry; 1 for S_hat = 0 on average over teachers.

    The test error of the predictor <X, S_hat> / sqrt(dL) is this plus delta.

    Parameters
    ----------
    S_hat : array_like, shape (..., L, d)
        One estimate or a stack of them.
    S : array_like, shape (L, d)
        The teacher.

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
    return np.mean((S_hat - S) ** 2, axis=(-2, -1))[()]
