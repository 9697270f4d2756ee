"""Ensembles whose entries depend on each other, by a known law."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import toeplitz

from bsr._checks import check_integer, check_number
from bsr._typing import Array
from bsr.ensembles._ensemble import Ensemble

__all__ = ["Codebook", "Correlated"]


@dataclass(frozen=True)
class Codebook(Ensemble):
    """Words: each token is one of a vocabulary, through a codebook of random normal vectors that stays the same.

    Word k = 1, 2, ... has a probability proportional to k^-exponent. Tokens are independent, the channels of one are
    not. The mean vector is taken off, and one scale makes the mean square 1, both from the known law.

    Parameters
    ----------
    words : int
        Size of the vocabulary, at least 2.
    exponent : float, default 1.0
        Zero or positive: 0 makes words equally likely, 1 is Zipf's law.
    seed : int, default 0
        Of the codebook.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """

    words: int
    exponent: float = 1.0
    seed: int = 0

    def __post_init__(self):
        object.__setattr__(self, "words", check_integer("words", self.words, 2))
        object.__setattr__(self, "exponent", check_number("exponent", self.exponent, "non-negative"))
        object.__setattr__(self, "seed", check_integer("seed", self.seed, 0))

    def _law(self, d):
        """Probabilities, and vectors of the words in `d` dimensions."""
        weight = np.arange(1.0, self.words + 1.0) ** -self.exponent
        weight /= weight.sum()
        if weight[0] == 1.0:
            raise ValueError(f"exponent must leave other words than the first some probability, got {self.exponent}")
        vectors = np.random.default_rng(self.seed).standard_normal((self.words, d))
        vectors -= weight @ vectors
        return weight, vectors / np.sqrt(np.mean(weight @ vectors**2))

    def _draw(self, shape, rng, dtype):
        weight, vectors = self._law(shape[2])
        return vectors.astype(dtype)[rng.choice(self.words, shape[:2], p=weight)]

    def factors(self, L: int, d: int) -> tuple[Array, Array]:
        """A and B such that X has the covariances of A Z B with Z white.

        Parameters
        ----------
        L, d : int
            Positions and channels.

        Returns
        -------
        A, B : ndarray, shapes (L, L) and (d, d)
            A is the identity. B is singular for `words` <= d.
        """
        weight, vectors = self._law(d)
        return np.eye(L), _root(vectors.T @ (weight[:, None] * vectors))


@dataclass(frozen=True)
class Correlated(Ensemble):
    """X = A Z B with Z standard normal: positions i and k are correlated as left^|i-k|, channels as right^|j-l|.

    Parameters
    ----------
    left, right : float
        Correlation of neighbours, in [0, 1).

    Raises
    ------
    ValueError
        If one is out of range.
    """

    left: float
    right: float

    def __post_init__(self):
        for name in ("left", "right"):
            object.__setattr__(self, name, check_number(name, getattr(self, name), "weight"))

    def _draw(self, shape, rng, dtype):
        A, B = (factor.astype(dtype) for factor in self.factors(*shape[1:]))
        return A @ rng.standard_normal(shape, dtype) @ B

    def factors(self, L: int, d: int) -> tuple[Array, Array]:
        """The factors A and B.

        Parameters
        ----------
        L, d : int
            Positions and channels.

        Returns
        -------
        A, B : ndarray, shapes (L, L) and (d, d)
            The symmetric square roots of the correlations of positions and of channels.
        """
        return tuple(_root(toeplitz(c ** np.arange(size))) for c, size in ((self.left, L), (self.right, d)))


def _root(covariance):
    """The symmetric square root."""
    values, vectors = np.linalg.eigh(covariance)
    values[values < len(values) * np.finfo(np.float64).eps * values[-1]] = 0.0  # rounding, whose root would count
    return vectors * np.sqrt(values) @ vectors.T
