"""Anderson acceleration of a fixed-point iteration, with a safeguard."""

import numpy as np

__all__ = ["Anderson"]

_REGULARISATION = 1e-10  # of the least-squares problem, relative: keeps its solution bounded where steps are parallel


class Anderson:
    """Next points of z -> z + relaxation * f(z), extrapolated from the last steps (type II, arXiv:1808.03971).

    An extrapolated point counts only if its residual norm is at most that of the point before; otherwise the plain step
    is made after all. Where z + f(z) is non-expansive in that norm, and relaxation <= 2, residuals never grow, so the
    iteration cannot diverge.

    Parameters
    ----------
    size : int
        Entries of z.
    memory : int
        Steps that are combined.
    relaxation : float
    """

    def __init__(self, size, memory, relaxation):
        self.relaxation = relaxation
        self._points, self._residuals = np.empty((2, memory, size))
        self.restart()

    def restart(self):
        """Forget all points: the map has changed."""
        self._count, self._last, self._plain, self._norm = 0, None, None, np.inf

    def accepts(self, norm):
        """Whether the last point counts, if the norm of its residual is this."""
        return self._plain is None or norm <= self._norm

    def step(self, z, f, norm):
        """The point after z, where the residual is f and has this norm."""
        if not self.accepts(norm):
            plain = self._plain
            self.restart()
            return plain
        memory = len(self._points)
        if self._last is not None:
            slot = self._count % memory
            np.subtract(z, self._last[0], out=self._points[slot])
            np.subtract(f, self._last[1], out=self._residuals[slot])
            self._count += 1
        self._last, self._norm = (z, f), norm
        plain = z + self.relaxation * f
        used = min(self._count, memory)
        if not used:
            return plain
        points, residuals = self._points[:used], self._residuals[:used]
        gram = residuals @ residuals.T
        gram.flat[:: used + 1] += _REGULARISATION * np.trace(gram)
        try:
            weights = np.linalg.solve(gram, residuals @ f)
        except np.linalg.LinAlgError:  # the steps are all zero
            return plain
        self._plain = plain
        return plain - weights @ points - self.relaxation * (weights @ residuals)
