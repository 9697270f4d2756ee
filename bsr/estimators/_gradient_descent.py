"""Gradient descent on the two factors, many replicas at a time."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from tqdm import tqdm

from bsr._checks import (
    as_real,
    check_callback,
    check_integer,
    check_number,
    check_real,
    child_generator,
    warn_convergence,
)
from bsr._memory import check_memory
from bsr._typing import Random
from bsr.channels import Channel, resolve
from bsr.estimators import _nuclear_norm, _ridge
from bsr.estimators._losses import loss_of
from bsr.estimators._raw import Raw, raw_estimate, without_intercept
from bsr.estimators._result import Result, Short, State
from bsr.model import mse
from bsr.tokens import Tokens
from bsr.tokens._array import gathered
from bsr.tokens._open import open_samples
from bsr.tokens._views import View

__all__ = ["DescentHistory", "GradientDescent", "gradient_descent"]

_EXPLODED = 1e6  # training error, in units of the first one, above which no descent comes back
_FIRST = {  # estimates to start from: what gives them, and what that needs
    "nuclear_norm": (_nuclear_norm.nuclear_norm, _nuclear_norm.memory),
    "ridge": (partial(_ridge.ridge, lam=0.0), _ridge.memory),
}


@dataclass(frozen=True, eq=False, repr=False)
class DescentHistory(Short):
    """Course of the recorded steps; T of them. A replica that has diverged counts infinite and in no mean.

    Attributes
    ----------
    step : ndarray, shape (T,)
        Steps done: 0, about evenly spaced in the logarithm, and the last one.
    train_error : ndarray, shape (T, replicas)
        mean_mu (<X_mu, S>/sqrt(dL) - y_mu)^2, or the channel's training error.
    overlap : ndarray, shape (T,)
        <S_a, S_b> / (dL), mean over pairs of different replicas; NaN if there is no pair. For even channels, with the
        signs that agree with the first replica's.
    """

    step: np.ndarray
    train_error: np.ndarray
    overlap: np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class GradientDescent(Result):
    """Result of `gradient_descent`, or of `interpolate`.

    Attributes
    ----------
    S : ndarray, shape (replicas, L, d)
        The estimates U V^T / sqrt(rank); NaN for a replica that diverged.
    U : ndarray, shape (replicas, L, rank)
        Their factors, from which a later call may go on.
    V : ndarray, shape (replicas, d, rank)
        Likewise.
    S_mean : ndarray, shape (L, d)
        Mean over the replicas that did not diverge; NaN if all did.
    train_error : ndarray, shape (replicas,)
        mean_mu (<X_mu, S>/sqrt(dL) - y_mu)^2, or the channel's training error; infinite for a replica that diverged.
    diverged : ndarray of bool, shape (replicas,)
        Whether the training error exploded.
    landed : ndarray of bool, shape (replicas,)
        Whether `interpolate` brought it to its end.
    converged : bool
        Whether the training error of every replica is at most `tol` times mean(y^2).
    iterations : int
        Steps done by the replica that took most.
    history : DescentHistory
        The course of the descent.
    channel : bsr.channels.Channel or None
        What the loss was for; None for linear labels.
    raw : Raw or None
        The estimate for tokens as they were given, if X is a view of them; `S` is then the one for the view's.
    """

    S: np.ndarray
    U: np.ndarray
    V: np.ndarray
    S_mean: np.ndarray
    train_error: np.ndarray
    diverged: np.ndarray
    landed: np.ndarray
    converged: bool
    iterations: int
    history: DescentHistory
    channel: Channel | None = None
    raw: Raw | None = None

    @property
    def up_to_sign(self) -> bool:
        """Whether labels do not tell S from -S. Replicas then have the sign that agrees with that of the first."""
        return self.channel is not None and self.channel.even

    def metrics(self, teacher: ArrayLike) -> dict[str, float]:
        """As of every estimator, and what replicas have beyond single estimates.

        `error_averaged` of their mean; `norm` ||S||^2/(dL); `overlap_replicas` <S_a, S_b>/(dL) of different ones;
        `overlap_teacher` of their mean; the fractions that `landed` and `diverged`.
        """
        fine = ~self.diverged
        m = int(fine.sum())
        S = self._estimate
        S_mean = S[fine].mean(axis=0) if m else np.full(S.shape[1:], np.nan)
        norm, mean_norm = np.mean(S[fine] ** 2) if m else np.nan, np.mean(S_mean**2)
        common = super().metrics(teacher)
        overlap = float(np.mean(S_mean * teacher))
        return common | {
            "error_averaged": float(mse(S_mean, teacher, up_to_sign=self.up_to_sign)),
            "norm": float(norm),
            "overlap_replicas": float((m * mean_norm - norm) / (m - 1)) if m > 1 else np.nan,
            "overlap_teacher": abs(overlap) if self.up_to_sign else overlap,
            "landed": float(np.mean(self.landed)),
            "diverged": float(np.mean(self.diverged)),
        }


def gradient_descent(
    X: ArrayLike | Tokens,
    y: ArrayLike,
    rank: int,
    *,
    channel: Channel | None = None,
    replicas: int = 1,
    steps: int = 50_000,
    lr: ArrayLike = 0.1,
    init_scale: ArrayLike = 1.0,
    init: ArrayLike | tuple[ArrayLike, ArrayLike] | str | None = None,
    weight_decay: float = 0.0,
    anchor: tuple[ArrayLike, ArrayLike] | str | None = None,
    record: int | Iterable[int] = 10,
    tol: float = 1e-12,
    switch: float = 1e-8,
    callback: Callable[[State], object] | None = None,
    rng: Random = 0,
    progress: bool = False,
) -> GradientDescent:
    """Descend the squared training error over U and V, from several starting points at once.

    The estimate is S = U V^T / sqrt(rank), the loss sum_mu (<X_mu, S>/sqrt(dL) - y_mu)^2 / 4, and a step changes U and
    V at the same time by -lr times the gradient. Labels of other kinds have losses of their own, see `channel`.

    Parameters
    ----------
    X : array_like or Tokens, shape (n, L, d)
        Token sequences. Or whatever else holds them, see `bsr.tokens`: of a view one array is made, and what is no
        array is read once a step.
    y : array_like, shape (n,) or (replicas, n)
        Labels, those of all replicas or each one's own.
    rank : int
        Columns of U and V, at least 1. It need not be the teacher's.
    channel : bsr.channels.Channel, optional
        What the labels are. With h_mu = <X_mu, S>/sqrt(dL), the training error is mean_mu (f(h_mu) - y_mu)^2 for
        `Linear`, the default, `ReLU` and `Abs`, whose f is the identity, max(0, h) and abs(h), and the loss is n/4
        times that; for `Logistic` it is the log-loss mean_mu log(1 + exp(-y_mu h_mu / scale)), and the loss n times
        that. Their noise does not matter. See Notes.
    replicas : int, default 1
        Number of descents on these data. They share the two matrix products of a step, nothing else.
    steps : int, default 50000
        Largest number of steps.
    lr : float or array_like of shape (replicas,), default 0.1
        Step size, positive; one for all replicas, or one each.
    init_scale : float or array_like of shape (replicas,), default 1.0
        Standard deviation of the normal entries of U and V at the start, zero or positive. 1 is the prior.
    init : tuple (U0, V0), array_like S0, 'nuclear_norm' or 'ridge', optional
        Starting point in place of a random one. 'nuclear_norm' is the S of minimal nuclear norm that meets the labels,
        'ridge' that of least squares; both take labels for linear ones. Shapes (L, rank) and (d, rank), or (L, d), with
        an axis of replicas in front if each has its own. S0 is factorised by its singular values, U0^T U0 = V0^T V0;
        only the largest `rank` are kept. A column that is zero in both factors stays zero.
    weight_decay : float, default 0.0
        Adds weight_decay (||U||^2 + ||V||^2) / 2 to the loss.
    anchor : tuple (U1, V1) or 'init', optional
        Where weight decay pulls the factors, in place of zero: it adds weight_decay (||U - U1||^2 + ||V - V1||^2) / 2.
        Shapes as those of `init`; 'init' is where each replica starts.
    record : int or array_like of int, default 10
        Recorded steps: this many per factor of 10, or a list. The first and the last are always recorded.
    tol : float, default 1e-12
        A replica stops when its training error, mean_mu (<X_mu, S>/sqrt(dL) - y_mu)^2 or the channel's, is at most
        this many times mean(y^2), which is 1 for classes. With 0 there is no such aim: all steps are done.
    switch : float, default 1e-8
        A replica descends in float32 until its training error is at most this many times mean(y^2), then in float64 (on
        a float64 copy of X). 0 stays in float32, infinity descends in float64 from the start.
    callback : callable, optional
        Called with a `State` at the recorded steps; the descent ends if it returns True. ``TeacherError(S)`` is one.
    rng : int or numpy.random.Generator, default 0
        Source of the starting points. Replica k starts at the same point whatever the number of replicas.
    progress : bool, default False
        Show a progress bar.

    Returns
    -------
    GradientDescent

    Raises
    ------
    ValueError
        If shapes do not match, entries are not finite, a parameter is out of range, the channel is not one of those
        above or cannot have produced the labels.
    MemoryError
        If ``gradient_descent.memory(X.shape, rank=rank, ...)`` bytes are not available.

    Warns
    -----
    ConvergenceWarning
        If a replica diverged, or if one did not reach `tol` > 0.

    Notes
    -----
    Units. Labels c y, with starting factors sqrt(c) U and sqrt(c) V, give c times the same estimates if lr is divided
    and weight_decay multiplied by c; so do tokens X / c, with lr c and weight_decay / c.

    Divergence. A replica has diverged when its training error is above a million times the larger of its first value
    and mean(y^2). It is taken out; the others do not notice.

    Interruption. Ctrl-C raises KeyboardInterrupt, and the state is lost. To keep what a long descent has reached, let a
    callback keep `U` and `V`, or call it in legs, with fewer steps and ``init=(result.U, result.V)``.

    Step size. The curvature of the loss grows with n / (dL), and at the prior with the square of the largest singular
    value of U and V. Where it exceeds 2 / lr, descent does not follow the gradient flow: it bounces until it finds a
    flatter place, and may never come to rest. The end point then depends on lr (book, chapter 13).

    The end. Where the loss has a manifold of zeros, `interpolate` goes from the neighbourhood of one, such as a descent
    reaches with tol=1e-4, to the end of slow descent.

    Channels. `ReLU` has a flat loss where h < 0: a start at which no h is positive does not move. For `Abs` the loss is
    the same at -S; estimates and states come with the sign that agrees with the first replica's. Where h = 0 both
    derivatives count as 0. The log-loss falls to zero only if the classes can be separated, and then without end, as S
    grows; what a descent has found depends on when steps, weight decay or a callback with tol=0 stop it. If they cannot
    be separated, it comes to rest at a positive log-loss. A scale c times as large, with sqrt(c) U, sqrt(c) V, lr c and
    weight_decay / c, gives c times the same estimates. The result's `predict` gives h: labels are f of it, classes its
    sign.

    References
    ----------
    arXiv:2410.18858; book, chapters 12, :eq:`eq-12-step`, and 13; of channels, chapters 15 and 16.
    """
    rank = check_integer("rank", rank, 1)
    steps = check_integer("steps", steps, 0)
    check_callback(callback)
    replicas = check_integer("replicas", replicas, 1)
    tokens, y = _check_labels(X, y, replicas)
    _, channel = resolve(0.0, channel)
    loss = loss_of(channel)
    y, mean = without_intercept(tokens, y) if channel is None else (channel.check_labels(y), 0.0)
    replicas = len(y) if y.ndim == 2 else replicas
    n, L, d = tokens.shape
    view = isinstance(tokens, View)
    start = {"init": init, "init_scale": init_scale, "channel": channel}
    more = {"replicas": replicas, "switch": switch, "resident": view or tokens.resident}
    check_memory("gradient_descent", memory, tokens.shape, tokens.dtype, rank, **more, **start)
    X = gathered(tokens) if view else tokens
    if isinstance(init, str):
        stack = np.atleast_2d(y)
        init = np.array([_FIRST[init][0](X, labels).S for labels in stack])
        init = init if len(stack) > 1 else init[0]
    U, V = _start(init, replicas, L, d, rank, init_scale, rng)
    replicas = len(U)
    if y.ndim == 2 and len(y) != replicas:
        raise ValueError(f"y must have one row for each of the {replicas} replicas that init starts, got {len(y)}")
    lr = _per_replica("lr", lr, "positive", replicas)
    weight_decay = check_number("weight_decay", weight_decay, "non-negative")
    tol = check_number("tol", tol, "non-negative")
    switch = np.inf if np.array_equal(switch, np.inf) else check_number("switch", switch, "non-negative")
    towards = _anchor(anchor, weight_decay, U, V)
    if weight_decay * lr.max() >= 1.0:
        raise ValueError(f"weight_decay must be below 1/lr = {1 / lr.max()}, got {weight_decay}")
    recorded = _recorded_steps(record, steps)

    # Labels are in units of their root mean square, so that single precision holds their squares. With U and V in units
    # of (rank dL)^(1/4), the predictions are <X, U V^T> and the step is lr / (2 sqrt(rank dL)).
    label = np.sqrt(np.mean(y**2)) or 1.0
    unit = (rank * d * L) ** 0.25 * np.sqrt(label)
    U, V, y = U / unit, V / unit, y / label
    rate, keep = lr * (label / (2.0 * np.sqrt(rank * d * L))), 1.0 - lr * weight_decay
    pull = [(1.0 - keep)[:, None, None] * factor / unit for factor in towards]
    data = _Data(X)
    level = np.full(replicas, int(switch == np.inf))  # 0 descends in float32, 1 in float64, 2 has stopped
    errors = np.zeros(replicas)
    diverged = np.zeros(replicas, dtype=bool)
    even = channel is not None and channel.even
    history, done, stopped = [], 0, False
    with np.errstate(over="ignore", invalid="ignore"), tqdm(total=steps, disable=not progress) as bar:
        teams = _regroup(n, y, level, U, V, rate, keep, pull)
        _residuals(data, teams, errors, loss)
        roof = _EXPLODED * np.maximum(errors, np.mean(y**2))
        one = 1.0 if y.any() else errors.max()  # what training errors are measured by
        while True:
            _residuals(data, teams, errors, loss)
            diverged |= ~(errors <= roof)
            errors[diverged] = np.inf
            new_level = np.maximum(level, np.where(diverged | (errors <= tol * one), 2, errors <= switch * one))
            if np.any(new_level != level):
                _collect(teams, U, V, done)
                level = new_level
                teams = _regroup(n, y, level, U, V, rate, keep, pull)
                continue
            last = done == steps or np.all(level == 2)
            if last or done in recorded:
                _collect(teams, U, V, done)
                signed = _aligned(U, V, diverged) if even else U
                S = signed @ V.transpose(0, 2, 1) * np.sqrt(L * d)
                history.append((done, errors.copy(), _overlap(S[~diverged])))
                if callback is not None:
                    S[diverged] = np.nan
                    stopped = bool(callback(State(done, label * S, unit * signed, unit * V)))
            if last or stopped:
                break
            done += 1
            _step(data, teams)
            bar.update()

    U, V = unit * signed, unit * V
    U[diverged], V[diverged] = np.nan, np.nan
    S = U @ V.transpose(0, 2, 1) / np.sqrt(rank)
    S_mean = S[~diverged].mean(axis=0) if not diverged.all() else np.full((L, d), np.nan)
    short = int(np.sum(~diverged & (errors > tol * one)))
    if diverged.any():
        warn_convergence(f"{diverged.sum()} of {replicas} replicas diverged: a smaller lr would help")
    elif tol > 0.0 and short and not stopped:
        warn_convergence(
            f"{short} of {replicas} replicas have a training error above tol={tol} times mean(y^2) after {done} steps"
        )
    step, train_error, overlap = map(np.array, zip(*history, strict=True))
    return GradientDescent(
        S=S,
        U=U,
        V=V,
        S_mean=S_mean,
        train_error=label**2 * errors,
        diverged=diverged,
        landed=np.zeros(replicas, dtype=bool),
        converged=tol > 0.0 and bool(np.all(errors <= tol * one)),
        iterations=done,
        history=DescentHistory(step, label**2 * train_error, label**2 * overlap),
        channel=channel,
        raw=raw_estimate(tokens, S, mean),
    )


class _Team(NamedTuple):
    """Replicas that descend together in one precision, and the memory that their steps use."""

    who: np.ndarray  # (m,) their numbers
    y: np.ndarray  # (n,) or (m, n)
    U: np.ndarray  # (m, L, r)
    V: np.ndarray  # (m, d, r)
    rate: np.ndarray  # (m, 1)
    keep: np.ndarray  # (m, 1, 1)
    pull: list  # what a step adds to U and V, or nothing
    W: np.ndarray  # (m, L, d) estimates, then gradients
    W_t: np.ndarray  # (dL, m)
    prediction: np.ndarray  # (n, m)
    residual: np.ndarray  # (m, n), or what takes its place in a loss; times the step
    dU: np.ndarray
    dV: np.ndarray


def _regroup(n, y, level, U, V, rate, keep, pull):
    """Teams of the replicas at level 0 (float32) and 1 (float64)."""
    (L, r), d, teams = U.shape[1:], V.shape[1], []
    for precision, dtype in enumerate((np.float32, np.float64)):
        who = np.flatnonzero(level == precision)
        if m := len(who):
            own = y[who] if y.ndim == 2 else y
            inputs = (own, U[who], V[who], rate[who, None], keep[who, None, None])
            inputs = (*(a.astype(dtype) for a in inputs), [a[who].astype(dtype) for a in pull])
            shapes = (m, L, d), (L * d, m), (n, m), (m, n), (m, L, r), (m, d, r)
            teams.append(_Team(who, *inputs, *(np.empty(s, dtype) for s in shapes)))
    return teams


class _Data:
    """The sequences as rows, in either precision; made once if they are in memory, and read each time if not."""

    def __init__(self, X):
        self._X, self._kept, self.resident = X, {}, X.resident

    def rows(self, dtype):
        if not self.resident:
            return self._X.rows(dtype)
        if dtype not in self._kept:
            self._kept[dtype] = list(self._X.rows(dtype))
        return self._kept[dtype]


def _residuals(data, teams, errors, loss):
    """Write the training errors of the teams into `errors`, and keep their residuals.

    Of data that are read each time it takes the gradients too, before they are gone.
    """
    for t in teams:
        np.matmul(t.U, t.V.transpose(0, 2, 1), out=t.W)
        np.copyto(t.W_t, t.W.reshape(len(t.W), -1).T)  # the product is up to a quarter faster in this orientation
        if data.resident:
            errors[t.who] = _look(data.rows(t.W.dtype)[0], t, t.prediction, t.y, t.residual, loss)
            continue
        error, product = 0.0, t.W.reshape(len(t.W), -1)
        gradients = np.zeros_like(product)
        for rows in data.rows(t.W.dtype):
            part = slice(rows.start, rows.start + len(rows))
            residual = t.residual[:, part]
            share = len(rows) / len(t.prediction)
            error += share * _look(rows, t, t.prediction[part], t.y[..., part], residual, loss)
            rows.back(residual, out=product)
            gradients += product
        errors[t.who] = error
        np.copyto(product, gradients)


def _look(rows, t, prediction, y, residual, loss):
    """Predictions, what they leave, and the training errors, of some sequences."""
    rows.times(t.W_t, out=prediction)
    error = loss(prediction.T, y, residual)
    np.multiply(residual, t.rate, out=residual)
    return error


def _step(data, teams):
    """Change U and V by one step, given the residuals."""
    for t in teams:
        if data.resident:
            data.rows(t.W.dtype)[0].back(t.residual, out=t.W.reshape(len(t.W), -1))
        np.matmul(t.W, t.V, out=t.dU)
        np.matmul(t.W.transpose(0, 2, 1), t.U, out=t.dV)
        for factor, change in ((t.U, t.dU), (t.V, t.dV)):
            np.multiply(factor, t.keep, out=factor)
            np.subtract(factor, change, out=factor)
        for factor, change in zip((t.U, t.V), t.pull, strict=False):
            np.add(factor, change, out=factor)


def _collect(teams, U, V, done):
    """Copy the teams' factors to their places among all replicas, unless they have not moved but only been rounded."""
    for t in teams if done else ():
        U[t.who], V[t.who] = t.U, t.V


def _aligned(U, V, diverged):
    """U with signs at which the products U V^T agree with the first of those that did not diverge."""
    S = U @ V.transpose(0, 2, 1)
    overlap = np.einsum("mld,ld->m", S, S[np.argmin(diverged)])
    return np.where(overlap < 0.0, -1.0, 1.0)[:, None, None] * U


def _overlap(S):
    """<S_a, S_b> / (dL), mean over pairs of different matrices of a stack; NaN if there is no pair."""
    m = len(S)
    return (np.mean(S.sum(axis=0) ** 2) - np.mean(np.sum(S**2, axis=0))) / (m * (m - 1)) if m > 1 else np.nan


def _start(init, replicas, L, d, rank, init_scale, rng):
    """Factors at the start, of shapes (replicas, L, rank) and (replicas, d, rank)."""
    if init is None:
        scale = _per_replica("init_scale", init_scale, "non-negative", replicas)[:, None, None]
        rng = child_generator(rng)
        draws = [(rng.standard_normal((L, rank)), rng.standard_normal((d, rank))) for _ in range(replicas)]
        U, V = map(np.array, zip(*draws, strict=True))
        return scale * U, scale * V
    if isinstance(init, tuple):
        if len(init) != 2:
            raise ValueError(f"init must be a pair (U0, V0) or a matrix, got a tuple of length {len(init)}")
        U, V = (as_real("init", factor) for factor in init)
        expected = f"shapes ({L}, {rank}) and ({d}, {rank})"
        right = U.shape[-2:] == (L, rank) and V.shape[-2:] == (d, rank) and U.shape[:-2] == V.shape[:-2]
    else:
        S = as_real("init", init)
        U, V, expected, right = S, S, f"shape ({L}, {d})", S.shape[-2:] == (L, d)
    if not right or U.ndim > 3 or (U.ndim == 3 and replicas not in (1, len(U))) or U.shape[:-2] == (0,):
        got = U.shape if U is V else (U.shape, V.shape)
        raise ValueError(f"init must have {expected}, with or without an axis of {replicas} replicas, got {got}")
    if not (np.isfinite(U).all() and np.isfinite(V).all()):
        raise ValueError("init must be finite, got NaN or infinity")
    if U is V:
        left, sigma, right_t = np.linalg.svd(U, full_matrices=False)
        kept = min(rank, sigma.shape[-1])
        root = np.sqrt(np.sqrt(rank) * sigma[..., None, :kept])
        U, V = np.zeros((*U.shape[:-1], rank)), np.zeros((*U.shape[:-2], d, rank))
        U[..., :kept] = left[..., :kept] * root
        V[..., :kept] = np.swapaxes(right_t, -1, -2)[..., :kept] * root
    if U.ndim == 2:
        U, V = (np.repeat(factor[None], replicas, axis=0) for factor in (U, V))
    return U, V


def _check_labels(X, y, replicas):
    """X and labels, of which each replica may have its own."""
    y = as_real("y", y)
    if y.ndim < 2:
        return open_samples(X, y)
    if y.ndim != 2 or not len(y) or replicas not in (1, len(y)):
        raise ValueError(f"y must have shape (n,) or ({replicas}, n), one row for each replica, got {y.shape}")
    X, _ = open_samples(X, y[0])
    return X, np.array([open_samples(X, labels, scan=False)[1] for labels in y])


def _anchor(anchor, weight_decay, U, V):
    """The factors that weight decay pulls to, for each replica; nothing where that is zero."""
    if anchor is None:
        return ()
    if weight_decay == 0.0:
        raise ValueError("anchor says where weight decay pulls to, got weight_decay=0")
    if isinstance(anchor, str):
        if anchor != "init":
            raise ValueError(f"anchor must be 'init' or a pair of factors, got {anchor!r}")
        return U, V
    if not isinstance(anchor, tuple) or len(anchor) != 2:
        raise ValueError(f"anchor must be 'init' or a pair (U1, V1), got {anchor!r}")
    points = [check_real("anchor", factor, "finite") for factor in anchor]
    for point, factor in zip(points, (U, V), strict=True):
        if point.shape not in (factor.shape, factor.shape[1:]):
            raise ValueError(f"anchor must have factors of shapes {U.shape[1:]} and {V.shape[1:]}, got {point.shape}")
    return tuple(np.broadcast_to(point, factor.shape) for point, factor in zip(points, (U, V), strict=True))


def _recorded_steps(record, steps):
    """Set of the steps to record, 0 and the last included."""
    if as_real("record", record).ndim == 0:
        record = check_integer("record", record, 1)
        decades = np.log10(max(steps, 1))
        chosen = np.round(10 ** (np.arange(np.floor(record * decades) + 1) / record)).astype(int)
    else:
        chosen = [check_integer("record", step, 0) for step in record]
    return {0, steps, *(int(step) for step in chosen if step <= steps)}


def _per_replica(name, value, condition, replicas):
    """One number for each replica."""
    value = check_real(name, value, condition)
    if value.shape not in ((), (replicas,)):
        raise ValueError(f"{name} must be one number or {replicas}, one for each replica, got shape {value.shape}")
    return np.array(np.broadcast_to(value, replicas))


def memory(
    shape: tuple[int, int, int],
    dtype: DTypeLike = np.float32,
    rank: int = 1,
    *,
    replicas: int = 1,
    init: object = None,
    init_scale: ArrayLike = 1.0,
    channel: Channel | None = None,
    switch: float = 1e-8,
    resident: bool = True,
    **options: object,
) -> int:
    """Bytes that `gradient_descent` needs besides X.

    X in the other precision too, unless `switch` spares it or X is read each time and not `resident`; two teams of all
    replicas at the change of precision, estimates in float64 at the end; for channels, what they make of predictions.
    """
    if isinstance(init, str) and init not in _FIRST:
        names = " or ".join(map(repr, _FIRST))
        raise ValueError(f"init must be {names}, a matrix or a pair of factors, got {init!r}")
    if init is not None and not np.array_equal(init_scale, 1.0):
        raise ValueError(f"init and init_scale exclude each other, got init_scale={init_scale}")
    n, L, d = shape
    if init is not None and not isinstance(init, str):
        first = init[0] if isinstance(init, tuple) and init else init
        replicas = max((replicas, *as_real("init", first).shape[:-2]))  # a stack brings its own
    start = _FIRST[init][1](shape, dtype) if isinstance(init, str) else 0
    teams = 12 * replicas * ((2 if channel is None else 5) * n + 2 * L * d + 2 * rank * (L + d))
    used = {4} if np.array_equal(switch, 0.0) else {8} if np.array_equal(switch, np.inf) else {4, 8}
    copied = sum(used - {np.dtype(dtype).itemsize}) * n * L * d if resident else 0
    return max(start, copied + teams + 40 * replicas * L * d)


gradient_descent.memory = memory
