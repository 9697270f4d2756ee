"""What public signatures are annotated with, besides NumPy's own."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Numbers", "Random"]

Array = NDArray[np.float64]
Numbers = float | Array  # a number where all arguments are numbers
Random = int | np.random.Generator
