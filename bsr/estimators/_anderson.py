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
        self._changes, self._residuals = np.empty((2, memory, size))  # between successive z + relaxation f, and f
        self._gram = np.empty((memory, memory))  # of the residuals
        self.restart()

    def restart(self):
        """Forget all points: the map has changed."""
        self._count, self._last, self._extrapolated, self._norm = 0, None, False, np.inf

    def accepts(self, norm):
        """Whether the last point counts, if the norm of its residual is this."""
        return not self._extrapolated or norm <= self._norm

    def step(self, z, f, norm):
        """The point after z, where the residual is f and has this norm."""
        if not self.accepts(norm):
            plain = self._last[0]
            self.restart()
            return plain
        memory, last = len(self._gram), self._last
        plain = z + self.relaxation * f
        self._last, self._norm = (plain, f), norm
        if last is None:
            return plain
        slot = self._count % memory
        self._count += 1
        used = min(self._count, memory)
        changes, residuals, gram = self._changes[:used], self._residuals[:used], self._gram[:used, :used]
        np.subtract(plain, last[0], out=changes[slot])
        np.subtract(f, last[1], out=residuals[slot])
        gram[slot] = gram[:, slot] = residuals @ residuals[slot]
        try:
            weights = np.linalg.solve(gram + _REGULARISATION * np.trace(gram) * np.eye(used), residuals @ f)
        except np.linalg.LinAlgError:  # the residuals did not change at all
            return plain
        self._extrapolated = True
        return plain - weights @ changes
