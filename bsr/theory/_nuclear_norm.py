"""Nuclear-norm learning in kernels: error and penalty at given alpha, and the noise at a given error."""

import math

from bsr._compile import kernel
from bsr._roots import safeguarded, secant_step
from bsr._soft_threshold import soft_threshold
from bsr._uniformisation import bulk_edges, critical_points, within_reach

BEST, INTERPOLATE, PENALISE = 0, 1, 2  # what is asked of the threshold

_STEPS = 200
_ROUNDING = 1e-14  # of log(noise)
_EQUAL = 4e-16  # of two numbers
_NEWTON = 1e-8  # a step of Newton's method, relative to all lengths, whose square is rounding
_REACH = 10.0  # of a bisection in log(noise)
_LOG_NOISE_MIN = math.log(1e-32)  # the error vanishes as the square of the distance in alpha, which is 1e-16 at least


@kernel()
def _threshold(kind, alpha, lam, noise, guess, b, rho):
    """theta at given noise, the error and the divergence there, and whether it converged.

    theta is where the error is least (BEST), where divergence = alpha (INTERPOLATE) or where
    theta (alpha - divergence) = lam (PENALISE).
    """
    if not within_reach(b, rho, noise):
        return math.nan, math.nan, math.nan, False
    critical = critical_points(b, rho, noise)
    bulks = bulk_edges(critical, b, rho, noise)
    top = math.sqrt(bulks[-1, 1] / math.sqrt(b))
    if kind == PENALISE and lam >= alpha * top:  # the estimate is 0
        return lam / alpha, 1.0, 0.0, True
    lo, hi = 0.0, top
    theta = guess if lo < guess < hi else 0.5 * top
    kappa = complex(0.0, 0.0)
    for step in range(_STEPS):
        kappa, mse, mse_1, mse_2, divergence, divergence_1, divergence_2 = soft_threshold(
            theta, critical, bulks, kappa, b, rho, noise
        )
        if kind == BEST:  # mse_1 itself would vanish at the top too
            f = -mse_1 / (2.0 * noise * divergence_1)
            slope = (mse_1 * divergence_2 - mse_2 * divergence_1) / (2.0 * noise * divergence_1**2)
        elif kind == INTERPOLATE:
            f, slope = alpha - divergence, -divergence_1
        else:
            f, slope = theta * (alpha - divergence) - lam, alpha - divergence - theta * divergence_1
        lo, hi, new = secant_step(theta, f, theta - 1.0, f - slope, lo, hi)
        if abs(new - theta) <= _NEWTON * min(theta, top - theta) or hi - lo <= 1e-15 * hi:
            move = new - theta if lo <= new <= hi else 0.0
            return theta + move, mse + move * mse_1, divergence + move * divergence_1, True
        theta = safeguarded(new, theta, lo, hi, math.inf, step % 4 == 3)
    return theta, mse, divergence, False


@kernel()
def _noise(kind, alpha, lam, error, delta, lo, hi, x, b, rho):
    """log(noise), theta and the error where alpha noise = delta + mse(noise), or, if alpha is NaN, where mse = error.

    In the second case alpha = (delta + error) / noise is the sample complexity.
    """
    theta, bend, x_old, f_old, theta_old = math.nan, 0.5, math.nan, math.nan, math.nan
    given, mse = not math.isnan(alpha), math.nan
    for step in range(_STEPS):
        noise = math.exp(x)
        at = alpha if given else (delta + error) / noise
        theta, mse, _, converged = _threshold(kind, at, lam, noise, theta, b, rho)
        f = math.log(alpha * noise / (delta + mse) if given else mse / error)
        if step == 0:
            x_old, f_old = x - 1.0, f - 1.0
        else:
            bend = math.log(theta / theta_old) / (x - x_old)
        lo, hi, new = secant_step(x, f, x_old, f_old, lo, hi)
        # The error of a secant step is the product of the last two, if they shrink: then it need not be evaluated. Not
        # so where the error is given and small: the curvature is 1 / (1 - alpha) there.
        enough = min(abs(x - x_old), _ROUNDING / abs(x - x_old)) if given else _ROUNDING
        short = step > 0 and abs(new - x) <= enough
        if short or abs(f) <= _EQUAL or hi - lo <= _ROUNDING:
            new = new if lo <= new <= hi else x
            mse = mse + (delta + mse) * math.expm1(f + new - x) if given else error
            return new, theta * math.exp(bend * (new - x)), mse, converged
        new = safeguarded(new, x, lo, hi, _REACH, step % 4 == 3)
        theta_old, theta = theta, theta * math.exp(bend * (new - x))
        x_old, f_old, x = x, f, new
    return x, theta, mse, False


@kernel()
def curve(alpha, b, rho, delta, lam, recovered, best, error, penalty):
    """Error at the given or the best penalty, and in the latter case the penalty; whether all converged."""
    all_converged = True
    log_noise, slope = math.nan, math.nan  # along the curve d log(noise) / d log(alpha), to guess the next point
    for i in range(alpha.size):
        kind = BEST if best else INTERPOLATE if lam[i] == 0.0 else PENALISE
        if recovered[i]:
            error[i], penalty[i] = 0.0, 0.0
            continue
        if kind == INTERPOLATE and alpha[i] >= 1.0:  # least squares
            error[i] = delta[i] / (alpha[i] - 1.0)
            continue
        # The labels are noisy and the error positive; the best penalty's is no larger than that of the estimate 0.
        lo = math.log(delta[i] / alpha[i]) if delta[i] > 0.0 else _LOG_NOISE_MIN
        hi = math.log((delta[i] + 1.0) / alpha[i])
        x, move = hi, 0.0
        if kind != BEST:
            hi = math.inf
        if i > 0 and b[i] == b[i - 1] and rho[i] == rho[i - 1] and delta[i] == delta[i - 1]:
            move = math.log(alpha[i] / alpha[i - 1])
            guess = log_noise + (slope * move if math.isfinite(slope) else 0.0)
            if lo < guess < hi:
                x = guess
        new, theta, error[i], converged = _noise(kind, alpha[i], lam[i], math.nan, delta[i], lo, hi, x, b[i], rho[i])
        if best:
            theta, _, divergence, done = _threshold(kind, alpha[i], 0.0, math.exp(new), theta, b[i], rho[i])
            penalty[i] = max(theta * (alpha[i] - divergence), 0.0)  # rounding may say less without noise, at full rank
            converged = converged and done
        slope = (new - log_noise) / move if move != 0.0 else math.nan
        log_noise = new
        all_converged = all_converged and converged
    return all_converged


@kernel()
def alpha_at_error(error, b, rho, delta, alpha_max, best, alpha):
    """Sample complexity at each error, into `alpha`; whether all converged.

    For the interpolator the smallest, as it is below `alpha_max`, where the error is smaller or (1, without noise) 0.
    """
    all_converged = True
    kind = BEST if best else INTERPOLATE
    for i in range(error.size):
        # Soft thresholding at 0 does nothing: the best error is at most the noise.
        lo = math.log(error[i]) if best else math.log((delta[i] + error[i]) / alpha_max[i])
        x = lo - math.log1p(-error[i])
        log_noise, _, _, converged = _noise(kind, math.nan, 0.0, error[i], delta[i], lo, math.inf, x, b[i], rho[i])
        alpha[i] = (delta[i] + error[i]) * math.exp(-log_noise)
        all_converged = all_converged and converged
    return all_converged
