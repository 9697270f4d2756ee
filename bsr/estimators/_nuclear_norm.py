"""Learning by the smallest nuclear norm: interpolation, penalised squares or log-loss, with a certified duality gap.

For linear labels, two splittings share one driver. `douglas-rachford` solves a least-squares problem at each iteration,
by a factor of the Gram matrix: some 10 to 100 iterations, whatever the tokens. `primal-dual` only passes over the data:
little memory besides them, and less time where they are many and white; it stalls on others. For classes, the same
driver has proximal gradient steps.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from scipy import linalg
from tqdm import tqdm

from bsr._checks import check_callback, check_integer, check_number, warn_convergence
from bsr._memory import check_memory, fits
from bsr._threads import blas_for
from bsr.channels import Channel, Logistic, resolve
from bsr.estimators._constraints import raise_inconsistent
from bsr.estimators._logistic import ProximalGradient
from bsr.estimators._raw import Raw, raw_estimate, without_intercept
from bsr.estimators._result import Result, State
from bsr.estimators._scale import row_norm
from bsr.estimators._splitting import FACTOR_LIMIT, METHODS, DouglasRachford, factor_bytes, iterate
from bsr.tokens import ArrayTokens, Tokens
from bsr.tokens._open import open_samples

__all__ = ["NuclearNorm", "nuclear_norm"]

_CLASSES = "proximal-gradient"

# Measured by tests/benchmarks/nuclear_norm_steps.py, on white tokens
_DIRECT = 400  # constraints up to which factors pay at once
_PATIENCE = 0.13  # iterations, over min(n, dL), after which a primal-dual run has cost as much as factors


@dataclass(frozen=True, eq=False, repr=False)
class NuclearNorm(Result):
    """Result of `nuclear_norm`.

    Attributes
    ----------
    S : ndarray, shape (L, d)
        The estimate. With lam=0 it meets the labels to 1e-8 relative, converged or not; with lam>0 its rank is exact.
    converged : bool
        Whether `gap` is at most the tolerance.
    iterations : int
        Iterations done, each with one singular-value decomposition of an L x d matrix.
    gap : float
        (value of S - value of the dual point) / value of S: S is within this fraction of the minimum. Computed in
        float64 from S, `dual` and the data alone, at least 0.
    dual : ndarray, shape (n,)
        A dual point: ||sum_mu dual_mu X_mu / sqrt(dL)||_op <= 1. Its value is <dual, y> for lam=0, and
        lambda <dual, y> - lambda^2 ||dual||^2 / 2 for lambda = lam (dL)^(1/4) > 0; no S has less. For `Logistic` it is
        sum_mu H(lambda scale y_mu dual_mu), with H(a) = -a log a - (1 - a) log(1 - a).
    method : str
        The method used; the last one if there were two. 'proximal-gradient' for `Logistic`.
    raw : Raw or None
        The estimate for tokens as they were given, if X is a view of them; `S` is then the one for the view's.
    """

    S: np.ndarray
    converged: bool
    iterations: int
    gap: float
    dual: np.ndarray
    method: str
    raw: Raw | None = None

    def metrics(self, teacher: ArrayLike) -> dict[str, float]:
        """As of every estimator, and the duality gap."""
        return super().metrics(teacher) | {"gap": self.gap}


def nuclear_norm(
    X: ArrayLike | Tokens,
    y: ArrayLike,
    lam: float = 0.0,
    *,
    channel: Channel | None = None,
    tol: float = 1e-6,
    method: str | None = None,
    iterations: int = 5000,
    callback: Callable[[State], object] | None = None,
    progress: bool = False,
) -> NuclearNorm:
    """Minimise ||S||_* subject to <X_mu, S>/sqrt(dL) = y_mu, or 1/2 sum (y - <X, S>/sqrt(dL))^2 + lambda ||S||_*.

    Parameters
    ----------
    X : array_like or Tokens, shape (n, L, d)
        Token sequences. float32 halves the memory; sums are in float64 all the same. In any memory order but C, it is
        copied once. Or whatever else holds them, see `bsr.tokens`; Douglas-Rachford makes one array of it.
    y : array_like, shape (n,)
        Labels.
    lam : float, default 0.0
        Penalty, zero or positive, in the units of `bsr.theory.nuclear_norm`: lambda = lam (dL)^(1/4). Zero asks for
        interpolation. From lambda = ||sum_mu y_mu X_mu / sqrt(dL)||_op on, S = 0; for `Logistic` from that over 2 scale
        on.
    channel : bsr.channels.Channel, optional
        `Linear`, the default, or `Logistic` for classes -1 and 1, whose log-loss takes the place of the squares:
        sum_mu log(1 + exp(-y_mu h_mu / scale)) + lambda ||S||_* with h_mu = <X_mu, S>/sqrt(dL), for lam > 0. Classes
        are the sign of h, which the result's `predict` gives.
    tol : float, default 1e-6
        Stop when the relative duality gap is certified to be below this.
    method : {None, 'douglas-rachford', 'primal-dual'}
        For linear labels. Douglas-Rachford needs factors: 16 min(n, dL)^2 bytes, and for lam=0 a copy of the data in
        float64 too. It converges in some 10 to 100 iterations on any tokens. Primal-dual needs little memory besides X,
        is faster where white tokens are many, and stalls on tokens that are far from white. None starts with the one
        that is likely to be faster, and changes from primal-dual to Douglas-Rachford once factors would have cost no
        more, if they fit in 4 GB and in the memory that is available. Classes have a method of their own.
    iterations : int, default 5000
        Largest number of iterations.
    callback : callable, optional
        Called with a `State` after every fifth iteration; the iteration ends if it returns True. ``TeacherError(S)`` is
        one. Without penalty, a state meets the labels only roughly.
    progress : bool, default False
        Show a progress bar.

    Returns
    -------
    NuclearNorm

    Raises
    ------
    ValueError
        If shapes do not match, entries are not finite, a parameter is out of range, lam=0 and no S meets the labels, or
        the channel is another one, has other labels, or has lam=0: where classes can be separated no S has the least
        log-loss.
    MemoryError
        If ``nuclear_norm.memory(X.shape, lam=lam, method=method)`` bytes are not available.

    Warns
    -----
    ConvergenceWarning
        If the gap is still above the tolerance. `S` and `gap` are valid all the same.

    Notes
    -----
    With A S = <X, S>/sqrt(dL) and a step gamma, one iteration of Douglas-Rachford at a matrix R is ::

        S = soft-threshold of R at gamma
        S' = argmin ||y - A S'||^2 + (lambda / gamma) ||S' - (2S - R)||^2, for lam=0 the projection on A S' = y
        R' = R + S' - S

    and one of the primal-dual method, with eta >= ||A||^2 ::

        S' = soft-threshold of S + A^T q at gamma
        q' = (q + (y - A(2S' - S)) / eta) / (1 + lambda / (eta gamma))

    Both maps are non-expansive, over-relaxed by 1.8 and sped up by Anderson acceleration of memory 10, whose points
    count only while residuals fall. eta starts at an estimate and is raised whenever a step shows that it was too low.
    gamma is set a few times from the singular values: to ||S|| / ||A^T dual|| by Douglas-Rachford; by primal-dual close
    to the threshold theta of approximate message passing, where divergence(theta) = n - lambda dL / theta at
    S + theta A^T dual for white tokens (arXiv:1210.4139, section 3.2). The estimate is the same in any units of X and
    y. Book, chapter 11, :eq:`eq-11-problem` and :eq:`eq-11-dual`.

    For classes, with p the probabilities of the wrong ones, 1 / (1 + exp(y h / scale)), an iteration is ::

        S' = soft-threshold of S + gamma A^T (y p) / scale at gamma lambda

    in two passes over the data, sped up in the same way with memory 20. gamma is 1.5 over the mean curvature of the
    loss, and falls where a step shows that two of them would part. The dual point is y c p / (scale lambda) with the
    largest c <= 1 that is feasible. There is no intercept: where classes are of unequal numbers, one sequence entry
    that is always 1 stands in for it, but is penalised.
    """
    X, y = open_samples(X, y)
    lam, tol = check_number("lam", lam, "non-negative"), check_number("tol", tol, "positive")
    iterations = check_integer("iterations", iterations, 1)
    check_callback(callback)
    if method is not None and method not in METHODS:
        raise ValueError(f"method must be None or one of {', '.join(map(repr, METHODS))}, got {method!r}")
    _, channel = resolve(0.0, channel)
    if channel is not None:
        y = _check_classes(y, lam, channel, method)
    y, mean = without_intercept(X, y) if channel is None else (y, 0.0)
    need = {"lam": lam, "method": method or "primal-dual", "channel": channel}
    check_memory("nuclear_norm", memory, X.shape, X.dtype, **need)
    n, D = len(X), X.entries
    penalty = lam * D**0.25
    first, patience = method, iterations
    if channel is not None:
        first = _CLASSES
    elif method is None:
        first = "primal-dual"
        factors = factor_bytes(*X.shape, lam)
        if not isinstance(X, ArrayTokens) and (lam == 0.0 or n <= D):  # one array of all
            factors += n * D * X.dtype.itemsize
        if factors <= FACTOR_LIMIT and fits(factors):
            # Interpolation by passes is slow where n is close to dL, and factors are all there is to it above.
            hard = lam == 0.0 and (n >= D or n * np.sqrt(1.0 - np.sqrt(n / D)) <= _DIRECT)
            pays = hard or min(n, D) <= _DIRECT
            first, patience = ("douglas-rachford", iterations) if pays else (first, int(_PATIENCE * min(n, D)))

    image = X.adjoint(y) / np.sqrt(D)
    with blas_for(0):
        top = linalg.norm(image, 2)
    share = 1.0 if channel is None else 0.5 / channel.scale  # of the labels, in minus the gradient at S = 0
    if not y.any() or (lam > 0.0 and share * top <= penalty):
        S, dual = np.zeros(X.shape[1:]), share * y / penalty if lam else np.zeros(n)
        raw = raw_estimate(X, S, mean)
        return NuclearNorm(S=S, converged=True, iterations=0, gap=0.0, dual=dual, method=first, raw=raw)
    if top == 0.0:
        raise_inconsistent()
    options = iterations, callback, progress
    if channel is None:
        S, dual, gap, done, stopped, last = _solve(X, y, penalty, tol, first, patience, *options)
    else:
        S, dual, gap, done, stopped, last = _solve_classes(X, y, penalty, channel.scale, tol, *options)
    if gap > tol and not stopped:
        warn_convergence(
            f"the duality gap {gap:.1e} is above tol={tol} after {done} iterations of method {last!r}; more iterations "
            "help, or a larger lam; with 'primal-dual' also tokens that are centred, and channels of one scale"
        )
    raw = raw_estimate(X, S, mean)
    return NuclearNorm(S=S, converged=gap <= tol, iterations=done, gap=gap, dual=dual, method=last, raw=raw)


def _check_classes(y, lam, channel, method):
    """Labels of a channel that is `Logistic`."""
    if not isinstance(channel, Logistic):
        raise ValueError(f"channel must be Linear or Logistic for the nuclear norm, got {channel}")
    if lam == 0.0:
        raise ValueError(
            f"lam must be positive for {channel}, got 0.0: where classes can be separated no S has the least log-loss"
        )
    if method is not None:
        raise ValueError(f"method must be None for {channel}, got {method!r}")
    return channel.check_labels(y)


def _solve(X, y, penalty, tol, method, patience, iterations, callback, progress):
    """S, the dual point, the gap they certify, iterations, whether the callback ended it, the method that ended."""
    # Where the labels have norm 1 over all, and token sequences norm 1 in root mean square.
    norm, height = row_norm(X), linalg.norm(y)
    size = norm / np.sqrt(X.entries)
    problem = X, y / height, 1.0 / norm, penalty / (height * size)
    with tqdm(total=iterations, disable=not progress) as bar:
        show = bar, callback, height / size
        splitting = METHODS[method](*problem)
        S, dual, gap, done, stopped = _run(splitting, tol, min(patience, iterations), *show)
        if gap > tol and done < iterations and not stopped:
            method = "douglas-rachford"
            splitting = DouglasRachford(*problem, start=splitting.state())
            S, dual, gap, done, stopped = _run(splitting, tol, iterations - done, *show, before=done)
    return height / size * S, dual / size, gap, done, stopped, method


def _solve_classes(X, y, penalty, scale, tol, iterations, callback, progress):
    """The same for the log-loss of classes."""
    # Where token sequences have norm 1 in root mean square, and predictions are in units of the scale.
    norm = row_norm(X)
    size = norm / np.sqrt(X.entries)
    with tqdm(total=iterations, disable=not progress) as bar:
        splitting = ProximalGradient(X, y, 1.0 / norm, penalty * scale / size)
        S, dual, gap, done, stopped = _run(splitting, tol, iterations, bar, callback, scale / size)
    return scale / size * S, dual / size, gap, done, stopped, _CLASSES


def _run(splitting, tol, iterations, bar, callback, unit, before=0):
    """S and its dual point in the splitting's units, the gap, iterations, and whether the callback ended it."""
    stopped = False

    def report(done, gap, splitting):
        nonlocal stopped
        bar.n = before + done
        bar.set_postfix(gap=f"about {gap:.0e}")
        if callback is not None:
            stopped = bool(callback(State(before + done, unit * splitting.candidate())))
        return stopped

    S, dual, gap, done = iterate(splitting, tol, iterations, report)
    return S, dual, gap, before + done, stopped


def memory(
    shape: tuple[int, int, int],
    dtype: DTypeLike = np.float32,
    *,
    lam: float = 0.0,
    method: str | None = None,
    channel: Channel | None = None,
    **options: object,
) -> int:
    """Bytes that `nuclear_norm` needs besides X: factors for Douglas-Rachford, a few dozen vectors for others."""
    n, L, d = shape
    factors = factor_bytes(n, L, d, lam)
    if isinstance(channel, Logistic):
        return 480 * (n + L * d)
    if method == "primal-dual" or (method is None and factors > FACTOR_LIMIT):
        factors = 0
    return factors + 400 * (n + L * d)


nuclear_norm.memory = memory
