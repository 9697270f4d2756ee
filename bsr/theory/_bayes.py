"""The Bayes-optimal curve, its inverse and the free entropy, in kernels."""

import math

from bsr._compile import kernel
from bsr._denoisers import mmse
from bsr._law import log_averages
from bsr._roots import safeguarded, secant_step

_TOL = 1e-11
_ROUNDING = 1e-14  # of logarithms of order 1
_STEPS = 200
_REACH = 10.0  # of a bisection in log(noise)
_LOG_NOISE_MIN, _LOG_NOISE_MAX = -200.0, 200.0  # ends of an endless bracket


@kernel()
def mmse_curve(alpha, b, rho, delta, strong, out):
    """MMSE(noise) at the noise that solves alpha noise = delta + MMSE(noise), into `out`; whether all converged.

    The unknown is log(noise), in which the logarithm of the equation is nearly linear. `strong` is where exact recovery
    begins.
    """
    all_converged = True
    log_noise, slope = math.nan, math.nan  # along the curve d log(noise) / d log(alpha), to guess the next point
    for i in range(alpha.size):
        if delta[i] == 0.0 and alpha[i] >= strong[i]:
            out[i] = 0.0
            continue
        # Linear regression is no better than the Bayes-optimal error, the noise of the labels no larger.
        half = 0.5 * (delta[i] + 1.0 - alpha[i])
        root = math.sqrt(half * half + alpha[i] * delta[i])
        hi = math.log((half + root) / alpha[i]) if half > 0.0 else math.log(delta[i] / (root - half))
        lo = math.log(delta[i] / alpha[i]) if delta[i] > 0.0 else _LOG_NOISE_MIN
        x, move = hi, 0.0
        if i > 0 and b[i] == b[i - 1] and rho[i] == rho[i - 1] and delta[i] == delta[i - 1]:
            move = math.log(alpha[i] / alpha[i - 1])
            guess = log_noise + (slope * move if math.isfinite(slope) else 0.0)
            if lo < guess < hi:
                x = guess
        x_old, f_old, done = math.nan, math.nan, False
        for step in range(_STEPS):
            error, converged = mmse(math.exp(x), b[i], rho[i], _TOL)
            f = math.log(alpha[i]) + x - math.log(delta[i] + error)
            if step == 0:
                x_old, f_old = x - 1.0, f - 1.0  # the likely slope, 1
            lo, hi, new = secant_step(x, f, x_old, f_old, lo, hi)
            # The error of a secant step is the product of the last two if they shrink: it need not be evaluated once
            # that is rounding, the equation itself gives the MMSE at its end.
            short = step > 0 and abs(new - x) <= min(abs(x - x_old), _ROUNDING / abs(x - x_old))
            if short or abs(f) <= _ROUNDING or hi - lo <= _ROUNDING:
                new = new if lo <= new <= hi else x  # next to strong recovery the slope is lost in rounding
                error += (delta[i] + error) * math.expm1(f + new - x)
                x, done = new, True
                break
            x_old, f_old, x = x, f, safeguarded(new, x, lo, hi, _REACH, step % 4 == 3)
        out[i] = error
        slope = (x - log_noise) / move if move != 0.0 else math.nan
        log_noise = x
        all_converged = all_converged and converged and done
    return all_converged


@kernel()
def noise_at_error(error, b, rho, noise):
    """The noise at which MMSE(noise) is the given error, into `noise`; whether all converged."""
    all_converged = True
    for i in range(error.size):
        lo = math.log(error[i]) - math.log1p(-error[i])  # the error of linear denoising is noise / (1 + noise)
        hi, x, x_old, f_old, done = _LOG_NOISE_MAX, lo, math.nan, math.nan, False
        for step in range(_STEPS):
            value, converged = mmse(math.exp(x), b[i], rho[i], _TOL)
            f = math.log(value / error[i])
            if step == 0:
                x_old, f_old = x - 1.0, f - 1.0
            lo, hi, new = secant_step(x, f, x_old, f_old, lo, hi)
            short = step > 0 and abs(new - x) <= min(abs(x - x_old), _ROUNDING / abs(x - x_old))
            if short or abs(f) <= _ROUNDING or hi - lo <= _ROUNDING:
                x, done = new if lo <= new <= hi else x, True
                break
            x_old, f_old, x = x, f, safeguarded(new, x, lo, hi, _REACH, step % 4 == 3)
        noise[i] = math.exp(x)
        all_converged = all_converged and converged and done
    return all_converged


@kernel()
def _minus_information(q_hat, b, rho):
    """Minus the mutual information, per entry, of the teacher and its observation at precision q_hat; converged."""
    energy, log_y, converged = log_averages(_TOL, b, rho, 1.0 / q_hat)
    # The information is 0 at q_hat = 0: from the energy, less that of pure noise, whose <log y> is known.
    pure = math.log(b) - 1.0
    if b > 1.0:
        pure -= (b - 1.0) * math.log1p(-1.0 / b)
    value = 0.25 * math.log(b) - 0.5 * (math.log(q_hat) + (energy + (b - 1.0) * log_y) / b)
    return value - 0.25 * (1.0 - (b - 1.0) * pure) / b, converged


@kernel()
def minus_information(q_hat, b, rho, out):
    """Minus the mutual information at each point, into `out`; whether all converged."""
    all_converged = True
    for i in range(q_hat.size):
        out[i], converged = _minus_information(q_hat[i], b[i], rho[i])
        all_converged = all_converged and converged
    return all_converged


@kernel()
def free_entropy(q, alpha, b, rho, delta, out):
    """The free entropy at each point, into `out`; whether all converged."""
    all_converged = True
    for i in range(q.size):
        variance = delta[i] + 1.0 - q[i]  # of a new label, given the estimate
        q_hat = alpha[i] / variance
        value, converged = _minus_information(q_hat, b[i], rho[i])
        out[i] = value - 0.5 * (alpha[i] * math.log(2.0 * math.pi * variance) + q_hat * delta[i])
        all_converged = all_converged and converged
    return all_converged
