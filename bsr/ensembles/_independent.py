"""Ensembles of independent entries."""

from dataclasses import dataclass

import numpy as np

from bsr._checks import check_number
from bsr.ensembles._ensemble import Ensemble

__all__ = ["Gaussian", "Rademacher", "Sparse", "Student", "Uniform"]


@dataclass(frozen=True)
class Gaussian(Ensemble):
    """Independent standard normal entries: the tokens of the model."""

    def _draw(self, shape, rng, dtype):
        return rng.standard_normal(shape, dtype)


@dataclass(frozen=True)
class Rademacher(Ensemble):
    """Independent entries -1 or 1."""

    def _draw(self, shape, rng, dtype):
        return 2 * rng.integers(0, 2, shape, np.int8) - 1


@dataclass(frozen=True)
class Uniform(Ensemble):
    """Independent entries, uniform in [-sqrt(3), sqrt(3)]."""

    def _draw(self, shape, rng, dtype):
        return np.sqrt(12.0) * (rng.random(shape, dtype) - 0.5)


@dataclass(frozen=True)
class Student(Ensemble):
    """Independent entries with heavy tails: Student's law, scaled to variance 1.

    Parameters
    ----------
    df : float
        Degrees of freedom, above 2. Moments below this order exist.

    Raises
    ------
    ValueError
        If `df` is at most 2 or not finite: there is no variance.
    """

    df: float

    def __post_init__(self):
        object.__setattr__(self, "df", check_number("df", self.df, "positive"))
        if self.df <= 2.0:
            raise ValueError(f"df must be above 2, where the variance is finite, got {self.df}")

    def _draw(self, shape, rng, dtype):
        return np.sqrt(1.0 - 2.0 / self.df) * rng.standard_t(self.df, shape)


@dataclass(frozen=True)
class Sparse(Ensemble):
    """Independent entries that are zero but for a share of them, which are normal with variance 1 / density.

    Parameters
    ----------
    density : float
        That share, in (0, 1].

    Raises
    ------
    ValueError
        If `density` is out of range.
    """

    density: float

    def __post_init__(self):
        object.__setattr__(self, "density", check_number("density", self.density, "positive"))
        if self.density > 1.0:
            raise ValueError(f"density must be at most 1, got {self.density}")

    def _draw(self, shape, rng, dtype):
        kept = rng.random(shape, np.float32) < self.density
        return kept * rng.standard_normal(shape, dtype) / dtype.type(np.sqrt(self.density))
