"""What the estimators share: results, the states that a callback sees on the way, and one that keeps the errors."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bsr._checks import check_real
from bsr._typing import Array
from bsr.model import mse, predict
from bsr.tokens import Tokens
from bsr.tokens._views import View

__all__ = ["Result", "State", "TeacherError"]

_RECOVERED = 0.01  # error per entry below which a teacher counts as recovered


class Short:
    """A frozen collection of arrays and numbers: equal to itself alone, and shown in one line.

    The repr gives shapes in place of arrays. To be used with ``@dataclass(frozen=True, eq=False, repr=False)``.
    """

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{f.name}={_short(getattr(self, f.name))}' for f in fields(self))})"


class Result(Short):
    """What every estimator returns: an estimate `S`, of shape (..., L, d), `converged`, `iterations`, and more."""

    up_to_sign = False  # whether the labels do not tell S from -S

    def predict(self, X: ArrayLike | Tokens) -> Array:
        """The labels <X_mu, S> / sqrt(dL) of sequences, as by `bsr.predict`. For a channel, h: classes are its sign.

        The best guess of a channel's label is ``channel.predict(result.predict(X), V)`` with V what is not known of h:
        ``result.history.error_estimate[-1]`` of `gamp_rie`, ``result.spread`` of `posterior`.

        Parameters
        ----------
        X : array_like or Tokens, shape (n, L, d)
            Token sequences in the units of those that were learned from. What was learned from a view is said of tokens
            as they were before it.

        Returns
        -------
        ndarray, shape (..., n)

        Raises
        ------
        ValueError
            If shapes do not match, or X is a view and S was learned from one.
        """
        if self.raw is None:
            return predict(X, self.S)
        if isinstance(X, View):
            raise ValueError(f"X must be tokens as they were before the view that S was learned from, got {X!r}")
        return predict(X, self.raw.S) + np.asarray(self.raw.intercept)[..., None]

    @property
    def _estimate(self):
        """For tokens as they were given."""
        return self.S if self.raw is None else self.raw.S

    def metrics(self, teacher: ArrayLike) -> dict[str, float]:
        """Numbers that compare the estimate with the teacher, where that is known.

        Parameters
        ----------
        teacher : array_like, shape (L, d)
            Not zero. For tokens as they were given, also where S was learned from a view of them.

        Returns
        -------
        dict of str to float
            `error` ||S - teacher||^2 / (dL), up to the sign of S if the labels do not tell it, whether that is below
            0.01 (`recovered`), the nuclear norm of S over that of the teacher (`nuclear_ratio`), `iterations` and
            `converged`; means over the replicas that did not diverge, NaN if there is none. Some estimators add their
            own.

        Raises
        ------
        ValueError
            If the shapes do not match, or the teacher is zero or not finite.
        """
        teacher = check_real("teacher", teacher, "finite")
        S = self._estimate
        if teacher.shape != S.shape[-2:]:
            raise ValueError(f"teacher must have the shape {S.shape[-2:]} of the estimate, got {teacher.shape}")
        if not teacher.any():
            raise ValueError("teacher must have entries that are not zero, got none")
        stack = S.reshape(-1, *S.shape[-2:])
        stack = stack[np.isfinite(stack).all(axis=(1, 2))]
        errors = mse(stack, teacher, up_to_sign=self.up_to_sign)
        lengths = np.linalg.norm(stack, "nuc", axis=(1, 2))
        return {
            "error": _mean(errors),
            "recovered": _mean(errors < _RECOVERED),
            "nuclear_ratio": _mean(lengths) / float(np.linalg.norm(teacher, "nuc")),
            "iterations": self.iterations,
            "converged": self.converged,
        }


@dataclass(frozen=True, eq=False, repr=False)
class State(Short):
    """What an estimator shows to its callback on the way.

    Attributes
    ----------
    iteration : int
        Iterations, steps or sweeps done.
    S : ndarray, shape (..., L, d)
        The estimate now; for `posterior`, the last sample. NaN for a replica that diverged.
    U : ndarray or None, shape (..., L, rank)
        Its factor on positions, of estimators that have factors.
    V : ndarray or None, shape (..., d, rank)
        Its factor on channels.
    """

    iteration: int
    S: np.ndarray
    U: np.ndarray | None = None
    V: np.ndarray | None = None


class TeacherError:
    """A callback that keeps the error ||S - teacher||^2 / (dL) at each state of one run.

    Parameters
    ----------
    teacher : array_like, shape (L, d)
        For the tokens that the estimator is given: for a view, in its coordinates.
    up_to_sign : bool, default False
        As in `bsr.mse`, for even channels.

    Attributes
    ----------
    iteration : ndarray, shape (T,)
        When the states were seen.
    error : ndarray, shape (T,) or (T, replicas)
        Errors; infinite for a replica that had diverged.
    mean_error : ndarray, shape (T,)
        The same for the mean of the replicas that had not diverged; infinite if all had.

    Raises
    ------
    ValueError
        If the teacher is not a finite matrix; when it is called, if its shape is not that of the estimates, or if a
        second run has begun.
    """

    def __init__(self, teacher: ArrayLike, *, up_to_sign: bool = False) -> None:
        self._teacher = check_real("teacher", teacher, "finite")
        if self._teacher.ndim != 2:
            raise ValueError(f"teacher must be a matrix of shape (L, d), got shape {self._teacher.shape}")
        self._up_to_sign, self._seen = up_to_sign, []

    def __call__(self, state: State) -> None:
        if self._teacher.shape != state.S.shape[-2:]:
            raise ValueError(
                f"teacher must have the shape {state.S.shape[-2:]} of the estimates, got {self._teacher.shape}"
            )
        if self._seen and state.iteration <= (last := self._seen[-1][0]):
            raise ValueError(
                f"callback must be a new TeacherError for each run, got iteration {state.iteration} after {last}"
            )
        error = np.asarray(mse(state.S, self._teacher, up_to_sign=self._up_to_sign))
        stack = state.S.reshape(-1, *self._teacher.shape)
        fine = stack[np.isfinite(error.reshape(-1))]
        mean_error = mse(fine.mean(axis=0), self._teacher, up_to_sign=self._up_to_sign) if len(fine) else np.inf
        self._seen.append((state.iteration, np.where(np.isfinite(error), error, np.inf), mean_error))

    @property
    def iteration(self) -> NDArray[np.int64]:
        return self._column(0)

    @property
    def error(self) -> Array:
        return self._column(1)

    @property
    def mean_error(self) -> Array:
        return self._column(2)

    def _column(self, k):
        return np.array([entry[k] for entry in self._seen])

    def __repr__(self):
        L, d = self._teacher.shape
        return f"TeacherError(teacher=<{L} x {d}>, states={len(self._seen)})"


def _mean(values):
    return float(np.mean(values)) if len(values) else np.nan


def _short(value):
    if isinstance(value, np.ndarray):
        return f"<{' x '.join(map(str, value.shape))}>"
    if isinstance(value, Short):
        return f"{type(value).__name__}(...)"
    return f"{value:.4g}" if isinstance(value, float) else repr(value)
