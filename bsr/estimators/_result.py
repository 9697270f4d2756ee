"""What the results of all estimators have in common."""

from dataclasses import fields

import numpy as np


class Result:
    """A frozen collection of arrays and numbers: equal to itself alone, and shown in one line.

    The repr gives shapes in place of arrays. To be used with ``@dataclass(frozen=True, eq=False, repr=False)``.
    """

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{f.name}={_short(getattr(self, f.name))}' for f in fields(self))})"


def _short(value):
    if isinstance(value, np.ndarray):
        return f"<{' x '.join(map(str, value.shape))}>"
    if isinstance(value, Result):
        return f"{type(value).__name__}(...)"
    return f"{value:.4g}" if isinstance(value, float) else repr(value)
