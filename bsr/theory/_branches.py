"""The learning curve of a channel, alpha = 1 / (noise I(1 - MMSE(noise))), cut where it turns.

The curve is a function of log(noise). From large noise, where nothing is known, to small it rises along fixed points
that attract message passing and falls along those that repel it. Everything here is at one b and rho.
"""

import math
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.optimize import brentq, minimize_scalar
from scipy.optimize.elementwise import find_root

from bsr._checks import warn_convergence
from bsr.denoising import mmse
from bsr.theory import _bayes
from bsr.theory.limits import strong_recovery

_SPACING = 0.1  # of the grid in log(noise): the law of the noisy teacher varies on a scale of 1,
_WIDE = 0.3  # and far from the teacher's own singular values it follows powers of the noise
_FARTHEST = math.log(1e10)  # log(noise) beyond which overlaps count as 0 where nothing is learnt at first
_NEAREST = math.log(1e-10)  # below which errors count as 0 where recovery is exact
_NEWTONS, _SECANTS, _ROUNDING = 6, 4, 1e-14  # steps in log(noise) by a spline and by the curve; what is lost in it
_FLAT = 1e-9  # a pair of turns with less between them is rounding


class Piece(NamedTuple):
    """The curve between two turns, from large noise to small.

    Attributes
    ----------
    x, log_alpha : ndarray
        Points on it.
    rises : bool
        Whether alpha rises along it, so that its fixed points are stable.
    """

    x: np.ndarray
    log_alpha: np.ndarray
    rises: bool

    @property
    def ends(self):
        """alpha at both ends."""
        return math.exp(self.log_alpha[0]), math.exp(self.log_alpha[-1])


def overlap_and_error(noise, b, rho):
    """q and 1 - q of the optimal denoiser, each with its own digits."""
    error = mmse(noise, b, rho)
    s = 1.0 / np.maximum(noise, 1.0)
    with np.errstate(over="ignore"):
        term = b * s * np.square(s / rho)  # of the expansion for large noise; the next is smaller by some 5 s
    far = 5.0 * term * s < 1e-16
    return np.where(far, s / (1.0 + s) + term, 1.0 - error), error


def log_alpha(x, b, rho, channel):
    """Logarithm of the alpha at which the noise exp(x) is a fixed point."""
    q, error = overlap_and_error(np.exp(x), b, rho)
    if np.isnan(error).any():  # out of reach of the law of the noisy teacher, which has warned
        return np.full(np.shape(x), np.nan)
    return -x - np.log(channel.information(q, error=error))


def weak(channel):
    """alpha at which q = 0 stops to attract: NaN where it is no fixed point, as the first labels tell something."""
    if channel.information(0.0) > 0.0:
        return math.nan
    q = 1e-15  # MMSE = 1 - q_hat to leading order, for every b and rho
    return float(q / channel.information(q))


def strong(b, rho, channel):
    """alpha from which exact recovery attracts: NaN where it never does."""
    return float(strong_recovery(b, rho)) / channel.exact if channel.exact else math.nan


def _least_noise(b, rho):
    """log of a noise below which the curve has no more turns for want of structure in the law of the teacher."""
    return math.log(1e-6 * min(1.0, rho)) - math.log(b)


def span(b, rho, channel, alpha):
    """log(noise) between which the fixed points at all alpha are that differ from recovery by more than 1e-10."""
    # The information rises with q: any fixed point has 1 / alpha between I(0) noise and I(1) noise.
    least, most = channel.information(0.0), channel.information(1.0)
    high = -math.log(alpha.min() * least) + _SPACING if least > 0.0 else _FARTHEST
    if math.isfinite(most):
        return -math.log(alpha.max() * most) - _SPACING, high
    low, lowest, goal = -3.0, -math.inf, math.log(alpha.max()) + _SPACING
    if channel.exact:  # the curve need not reach the alpha of exact recovery
        low, lowest = _least_noise(b, rho), _NEAREST
        goal = math.log(alpha[alpha < strong(b, rho, channel)].max(initial=1e-300))
    while low > lowest and log_alpha(low, b, rho, channel) < goal:
        low -= 3.0
    return max(low, lowest), high


def pieces(b, rho, channel, low, high, size=None):
    """The curve's pieces between two values of log(noise), in order of falling noise; none if it was not found."""
    if size:
        x = np.linspace(high, low, size)
    else:
        knees = np.clip([high, math.log(1e3), _least_noise(b, rho) + math.log(1e3), low], low, high)
        sizes = np.ceil(-np.diff(knees) / (_WIDE, _SPACING, _WIDE)).astype(int)
        x = [np.linspace(*ends, n, endpoint=False) for ends, n in zip(pairwise(knees), sizes, strict=True)]
        x = np.append(np.concatenate(x), low)
    curve = partial(log_alpha, b=b, rho=rho, channel=channel)
    values = curve(x)
    return [] if np.isnan(values).any() else _cut(x, values, curve)


def _cut(x, values, curve):
    spline = CubicSpline(x[::-1], values[::-1])
    roots = np.sort(spline.derivative().roots(extrapolate=False))[::-1]
    roots = roots[(roots > x[-1]) & (roots < x[0])]
    turns = []
    for i, root in enumerate(roots):
        place = np.searchsorted(-x, -root)
        step = x[place - 1] - x[place]
        gaps = [0.5 * abs(other - root) for other in roots[max(0, i - 1) : i + 2] if other != root]
        reach, side = min([step, *gaps]), math.copysign(1.0, spline(root, 2))
        bounds = max(root - reach, x[-1]), min(root + reach, x[0])
        found = minimize_scalar(lambda t: side * curve(t), bounds=bounds, method="bounded", options={"xatol": 1e-8})  # noqa: B023
        turns.append((found.x, side * found.fun))
    knots = [(x[0], values[0]), *turns, (x[-1], values[-1])]
    while len(knots) > 2:  # leave out what rounding makes
        changes = [abs(after[1] - before[1]) for before, after in pairwise(knots)]
        flat = int(np.argmin(changes))
        if changes[flat] > _FLAT:
            break
        if flat == 0:
            del knots[1]
        elif flat == len(changes) - 1:
            del knots[-2]
        else:
            del knots[flat : flat + 2]
    out = []
    for (start, first), (end, last) in pairwise(knots):
        inner = (x < start) & (x > end)
        out.append(Piece(np.r_[start, x[inner], end], np.r_[first, values[inner], last], rises=bool(last > first)))
    return out


def solve(piece, alpha, b, rho, channel):
    """q and 1 - q of the fixed point on a piece at each alpha; NaN where it does not reach."""
    sign = 1.0 if piece.rises else -1.0
    values, target = np.maximum.accumulate(sign * piece.log_alpha), np.log(alpha)
    inside = (sign * target >= values[0]) & (sign * target <= values[-1])
    out = np.full((2, alpha.size), np.nan)
    if inside.any():
        place = np.clip(np.searchsorted(values, sign * target[inside]), 1, len(values) - 1)
        bracket = piece.x[place], piece.x[place - 1]
        spline, x = CubicSpline(piece.x[::-1], piece.log_alpha[::-1]), 0.5 * sum(bracket)
        for _ in range(_NEWTONS):  # in vain next to a turn, where the bracket serves
            slope = spline(x, 1)
            x = np.clip(x - (spline(x) - target[inside]) / np.where(slope == 0.0, 1.0, slope), *bracket)
        out[:, inside] = _polish(x, spline(x, 1), bracket, target[inside], b, rho, channel)
    return out


def _polish(x, slope, bracket, target, b, rho, channel):
    """q and 1 - q where the curve is at the target, by secants from good guesses of it and of the slope there."""

    def excess(x, target):
        q, error = overlap_and_error(np.exp(x), b, rho)
        return -x - np.log(channel.information(q, error=error)) - target, np.array([q, error])

    out, left = np.empty((2, x.size)), np.arange(x.size)
    f, state = excess(x, target)
    for _ in range(_SECANTS):
        new = np.clip(x - f / np.where(slope == 0.0, 1.0, slope), *bracket)
        move = new - x
        f_new, state_new = excess(new, target)
        flat = (move == 0.0) | (f_new == f)
        slope = np.where(flat, slope, (f_new - f) / np.where(flat, 1.0, move))
        rate = np.where(flat, 0.0, (state_new - state) / np.where(flat, 1.0, move))
        # The next secant's error is the product of the last two moves: its end need not be evaluated.
        last = -f_new / slope
        done = abs(last) * (abs(move) + abs(last)) <= _ROUNDING
        out[:, left[done]] = (state_new + rate * last)[:, done]
        x, f, state, slope, target, left = (a[..., ~done] for a in (new, f_new, state_new, slope, target, left))
        bracket = [end[~done] for end in bracket]
        if not left.size:
            return out
    found = find_root(lambda x, target: excess(x, target)[0], bracket, args=(target,))  # next to a turn
    x = np.where(found.success, found.x, x)
    off, out[:, left] = excess(x, target)
    if (abs(off) > 1e-9).any():
        warn_convergence("a fixed point of state evolution was not found everywhere")
    return out


def free_entropy(q, alpha, b, rho, channel, *, error=None):
    """The free entropy at overlap q, or 1 - error, of arguments that broadcast; whether all converged."""
    given = {"q": q} if error is None else {"error": error}
    q_hat, evidence, error = (
        alpha * channel.information(**given),
        channel.log_evidence(**given),
        1.0 - q if error is None else error,
    )
    small = q_hat < 1e-9  # the mutual information is log(1 + q_hat) / 2
    at, b, rho = (np.ravel(a) for a in np.broadcast_arrays(np.where(small, 1.0, q_hat), b, rho))
    minus = np.empty(at.size)
    converged = _bayes.minus_information(at, b.copy(), rho.copy(), minus)
    minus = np.where(small, -0.5 * np.log1p(np.where(small, q_hat, 0.0)), minus.reshape(q_hat.shape))
    return minus + 0.5 * q_hat * error + alpha * evidence, converged


class Branches(NamedTuple):
    """Stable fixed points at each of n alpha, from the least informed on: arrays (branches, n), NaN for none."""

    q: np.ndarray
    error: np.ndarray


def branches(alpha, b, rho, channel, parts):
    """The stable fixed points at each alpha, on the pieces of the curve that rise and where all or nothing is known."""
    rising = [piece for piece in parts if piece.rises]
    onset, recovery = weak(channel), strong(b, rho, channel)
    if parts[0].rises:  # nearer to the onset than noise reaches
        onset = max(onset, parts[0].ends[0])
    if parts[-1].rises:
        recovery = min(recovery, parts[-1].ends[1])
    solved = np.reshape([solve(piece, alpha, b, rho, channel) for piece in rising], (len(rising), 2, alpha.size))
    q, error = solved[:, 0], solved[:, 1]
    if not math.isnan(weak(channel)):
        nothing = np.where(alpha <= onset, 0.0, np.nan)
        q, error = [nothing, *q], [1.0 + nothing, *error]
    if channel.exact:
        everything = np.where(alpha >= recovery, 0.0, np.nan)
        q, error = [*q, 1.0 + everything], [*error, everything]
    return Branches(np.array(q), np.array(error))


def free_entropies(alpha, b, rho, channel, found):
    """Free entropy of each branch at each alpha, minus infinity where there is none; whether all converged."""
    value, there = np.full(found.q.shape, -np.inf), np.isfinite(found.error)
    exact = there & (found.error == 0.0)
    value[exact] = np.inf
    there &= ~exact
    alpha = np.broadcast_to(alpha, value.shape)[there]
    value[there], converged = free_entropy(found.q[there], alpha, b, rho, channel, error=found.error[there])
    return value, converged


def errors(alpha, b, rho, channel, *, algorithmic):
    """Error at each alpha: of message passing, which stays on the least informed branch, or the least one."""
    parts = pieces(b, rho, channel, *span(b, rho, channel, alpha))
    if not parts:
        return np.full(alpha.shape, np.nan)
    found = branches(alpha, b, rho, channel, parts)
    there = np.isfinite(found.error)
    chosen = there.argmax(axis=0)
    several = there.sum(axis=0) > 1
    if several.any() and not algorithmic:
        some = Branches(*(rows[:, several] for rows in found))
        phi, converged = free_entropies(alpha[several], b, rho, channel, some)
        if not converged:
            warn_convergence("the free entropy did not converge everywhere")
        chosen[several] = phi.argmax(axis=0)
    out = np.take_along_axis(found.error, chosen[None], axis=0)[0]
    if np.isnan(out).any():
        warn_convergence("a fixed point of state evolution was not found everywhere")
    return out


def whole(b, rho, channel):
    """All pieces of the curve, up to noises beyond which it has no turns."""
    most = channel.information(1.0)
    low = _least_noise(b, rho)
    if math.isfinite(most):  # where the error is far below what labels leave of h
        low = min(low, math.log(1e-3 / most))
    return pieces(b, rho, channel, low, math.log(1e4) if math.isnan(weak(channel)) else _FARTHEST)


def algorithmic_end(channel, parts):
    """alpha at which message passing jumps to the most informed branch; NaN if it never jumps."""
    ends = [piece.ends[1] for piece in parts[:-1] if piece.rises]
    if parts and not parts[0].rises:  # from nothing known
        ends.append(weak(channel))
    return max(ends, default=math.nan)


def transition(b, rho, channel, parts):
    """alpha at which a better branch overtakes that of message passing, before its last jump; NaN if there is none."""
    end = algorithmic_end(channel, parts)
    if channel.exact:  # the free entropy of exact recovery is infinite
        start = strong(b, rho, channel)
        return start if start < end else math.nan

    def gain(alpha):
        at = np.array([alpha])
        phi, _ = free_entropies(at, b, rho, channel, branches(at, b, rho, channel, parts))
        phi = phi[np.isfinite(phi)]
        return phi[1:].max(initial=-math.inf) - phi[0]

    knots = sorted(alpha for alpha in (weak(channel), *(piece.ends[1] for piece in parts[:-1])) if alpha <= end)
    ends = [(low + 1e-6 * (high - low), high - 1e-6 * (high - low)) for low, high in pairwise(knots)]
    points = [point for pair in ends for point in pair]  # on both sides of each knot, where branches come and go
    gains = [gain(point) for point in points]
    for i in range(len(points) - 1, 0, -1):
        if -math.inf < gains[i - 1] < 0.0 < gains[i]:
            return brentq(gain, points[i - 1], points[i], xtol=1e-13)
    return math.nan


def overlaps(q, alpha, b, rho, channel):
    """Fill an array with the overlaps of state evolution, from the first on."""
    error = 1.0 - q[0]
    for t in range(1, q.size):
        information = channel.information(error=error)
        noise = math.inf if information == 0.0 else 1.0 / (alpha * information)
        q[t], error = overlap_and_error(noise, b, rho) if math.isfinite(noise) else (0.0, 1.0)
    return q


def fixed_points(alpha, b, rho, channel, size):
    """q, free entropy and stability of all fixed points, from the least to the most informed."""
    at = np.array([alpha])
    parts = pieces(b, rho, channel, *span(b, rho, channel, at), size)
    onset, recovery = weak(channel), strong(b, rho, channel)
    found = [(0.0, 1.0, bool(alpha < onset))] if not math.isnan(onset) else []
    found += [(*solve(piece, at, b, rho, channel)[:, 0], piece.rises) for piece in parts]
    q, error, stable = (np.array(row) for row in zip(*found, strict=True))
    q, error, stable = (row[np.isfinite(error)] for row in (q, error, stable))
    phi, converged = free_entropy(q, at, b, rho, channel, error=error)
    if not converged:
        warn_convergence("the free entropy did not converge everywhere")
    if math.isinf(channel.information(1.0)):
        recovers = alpha >= recovery
        q, phi, stable = (
            np.append(q, 1.0),
            np.append(phi, math.inf if recovers else -math.inf),
            np.append(stable, recovers),
        )
    return q, phi, stable
