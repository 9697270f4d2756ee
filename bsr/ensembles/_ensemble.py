"""What all ensembles share."""

import numpy as np
from numpy.typing import DTypeLike

from bsr._checks import as_generator, check_integer, check_token_type
from bsr._typing import Random

__all__ = ["Ensemble"]

_BLOCK = 2**22  # entries that are drawn at once: what they take besides X


class Ensemble:
    """A law of tokens: entries have mean 0, and mean square 1 on average over positions and channels.

    A law of your own is a subclass with a method `sample`, of the arguments of this one.
    """

    def sample(self, shape: tuple[int, int, int], rng: Random = 0, dtype: DTypeLike = np.float32) -> np.ndarray:
        """Draw independent sequences.

        Parameters
        ----------
        shape : tuple of int
            (n, L, d): sequences, positions, channels.
        rng : int or numpy.random.Generator, default 0
            Source of randomness.
        dtype : {numpy.float32, numpy.float64}, default numpy.float32

        Returns
        -------
        ndarray, shape (n, L, d)

        Raises
        ------
        ValueError
            If `shape` is not three positive integers, `dtype` another one, or sequences of this size have no such law.
        ImportError
            If the law needs a package that is not installed.
        """
        if np.shape(shape) != (3,):
            raise ValueError(f"shape must be (n, L, d), got {shape!r}")
        n, L, d = (check_integer(f"{name} of shape", size, 1) for name, size in zip("nLd", shape, strict=True))
        rng, dtype = as_generator(rng), check_token_type(dtype)
        out, step = np.empty((n, L, d), dtype), max(1, _BLOCK // (L * d))
        for i in range(0, n, step):
            out[i : i + step] = self._draw((min(step, n - i), L, d), rng, dtype)
        return out

    def _draw(self, shape, rng, dtype):
        raise NotImplementedError(f"{type(self).__name__} must have a method sample")
