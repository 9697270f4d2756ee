"""Singular-value soft thresholding of the noisy teacher in the limit, in kernels: its error and divergence.

Averages over the singular values above a threshold are contour integrals in kappa, from the kappa of the threshold to
the right of everything (book, chapter 11, eq-11-contour): elementary, but for those with odd powers of x.
"""

import math

import numpy as np

from bsr._compile import kernel
from bsr._uniformisation import bulk_edges, critical_points, p_of_kappa, physical_p, within_reach, zeros

# The Gauss rule for each piece of the path of `_above`. By the lengths of the pieces (the first in distances to the
# next singularity, the others in lengths of all before, the last as height over distance) no singularity is within
# an ellipse of half-axes 1.4 and 0.95 around it, where its error is 2.3^(-2 * 24) = 1e-17.
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(24)
_FIRST, _GROWTH, _SLOPE = 3.0, 6.0, 1.5
_WEAK = 1e-6  # relative distance from which two square-root singularities on either side of a hard edge cancel
_TERMS, _LARGE = 30, 4.0  # of a power series, and from which kappa on: what is left is 4^-30


@kernel()
def _above(kappa, root, b, rho, noise):
    """Integrals of (sqrt(y) - root)^2 / kappa^2 and of (sqrt(y) - root) / kappa^2: their imaginary parts.

    They go from kappa, on or below the real axis, to any point above 1, where the integrands are real. All their
    singularities lie on the real axis, at most at 1: in s = sqrt(kappa - 1) on the imaginary axis. The path goes to the
    right, in pieces that grow with the distance from them, and then straight up to the real axis.
    """
    zero_1, kappa_1 = zeros(1.0, rho, noise)
    zero_b, kappa_b = zeros(b, rho, noise)
    scale = math.sqrt(b / rho)
    s = np.sqrt(kappa - 1.0)
    depth = -s.imag
    end = max(_SLOPE * depth - s.real, 0.0)
    near = math.inf
    if end > 0.0:
        for point in (zero_1, zero_b, 0.0, kappa_1, kappa_b, 1.0):
            distance = abs(kappa - point)
            if point < 0.0:
                distance = max(distance, _WEAK * abs(kappa))
            near = min(near, distance / abs(s - complex(0.0, math.sqrt(1.0 - point))))
    squares, differences = 0.0, 0.0
    start, stop = 0.0, _FIRST * near
    while True:
        up = start >= end
        stop = min(stop, end)
        for j in range(_POINTS.size // 2 if up else _POINTS.size):  # upwards the other half is the mirror image
            if up:
                at = complex(s.real + end, depth * _POINTS[j])
                step = complex(0.0, depth * _WEIGHTS[j])
                t = 1.0 + at * at
            else:
                move = 0.5 * (start + stop) + 0.5 * (stop - start) * _POINTS[j]
                at = s + move
                step = complex(0.5 * (stop - start) * _WEIGHTS[j], 0.0)
                t = kappa + (s + at) * move
            # sqrt(y), analytic below the real axis and positive on (1, inf)
            one = (t - zero_1) * np.sqrt((t - kappa_1) / (t - zero_1))
            other = (t - zero_b) * np.sqrt((t - kappa_b) / (t - zero_b))
            difference = scale * one * other / (np.sqrt(t) * (t - 1.0)) - root
            value = 2.0 * at * step * difference / (t * t)
            differences += value.imag
            squares += (value * difference).imag
        if up:
            return squares, differences
        start, stop = stop, _GROWTH * stop


@kernel()
def soft_threshold(theta, critical, bulks, near, b, rho, noise):
    """kappa of the threshold; error and divergence of x -> (x - theta)_+, each with two derivatives in theta."""
    root_b = math.sqrt(b)
    y = root_b * theta * theta
    if y >= bulks[-1, 1]:
        return near, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0
    # Between bulks the moments do not depend on y, nor do the formulas, as kappa is real there.
    if y <= bulks[0, 0]:
        kappa = complex(critical[0], 0.0)
    elif bulks.shape[0] == 2 and bulks[0, 1] <= y <= bulks[1, 0]:
        kappa = complex(critical[2], 0.0)
    else:
        _, kappa = physical_p(y, critical, bulks, near, b, rho, noise)
    kappa = complex(kappa.real, -abs(kappa.imag))  # -0 where it is real: the lower side of the cut
    p = p_of_kappa(kappa, rho, noise)
    over, over_1 = 1.0 / kappa, 1.0 / (kappa - 1.0)
    # Imaginary parts of log(kappa), log(kappa - 1) and of their difference, the last with the first and with both first
    # terms of its series for large kappa taken off.
    log_0, log_1 = math.atan2(kappa.imag, kappa.real), math.atan2(kappa.imag, kappa.real - 1.0)
    if abs(kappa) > _LARGE:
        power, rest_0 = over * over, 0.0
        for n in range(2, _TERMS):
            rest_0 -= power.imag / n
            power *= over
        rest_1 = rest_0 + (over * over_1).imag
    else:
        rest_0, rest_1 = log_1 - log_0 + over.imag, log_1 - log_0 + over_1.imag
    # Averages over x > theta: of 1
    mass = (1.0 - rho) * log_0 + rho * log_1 - rho * noise * over.imag + 2.0 * p.imag
    if b > 1.0:
        mass -= (b - 1.0) * np.log(1.0 + p / b).imag
    mass /= -math.pi
    # of x^2, over x > theta and over x < theta
    powers = 0.5 * (b + 1.0) * rho * (2.0 * noise * (log_1 - log_0) - (over_1 + noise * noise * over).imag)
    cubes = 3.0 * noise * (noise * rest_0 - rest_1) - 0.5 * (over_1 * over_1 + noise**3 * over * over).imag
    powers += rho * rho / 3.0 * cubes
    product = p * (b + p * (0.5 * (b + 1.0) + p / 3.0))
    common = (kappa * product).imag / rho - y * p.imag - powers
    above = (common - b * (log_1 + noise * log_0)) / (math.pi * root_b)
    below_0, below_1 = math.atan2(-kappa.imag, -kappa.real), math.atan2(-kappa.imag, 1.0 - kappa.real)
    below = (b * (below_1 + noise * below_0) - common) / (math.pi * root_b)

    squares, differences = _above(kappa, math.sqrt(y), b, rho, noise)
    divergence = rho / (math.pi * b) * squares
    field = 2.0 * rho * b**-0.75 / math.pi * differences
    # The same number twice: without cancellation of what is small for small noise, and for large.
    if noise < 1.0:
        mse = (theta * theta * mass + below) / root_b - noise + 2.0 * noise * divergence
    else:
        mse = (theta * theta * mass - above) / root_b + 1.0 + 2.0 * noise * divergence
    mse_1 = 2.0 * (theta * mass / root_b - noise * field)
    density = 2.0 * p.imag / (math.pi * theta)
    field_1 = -density * (b + 1.0 + 2.0 * p.real) / (b * theta)
    mse_2 = 2.0 * ((mass - theta * density) / root_b - noise * field_1)
    return kappa, mse, mse_1, mse_2, divergence, -field, -field_1


@kernel()
def errors(theta, b, rho, noise, mse, divergence):
    """Error and divergence at each point, into `mse` and `divergence`; whether the law was within reach everywhere."""
    reached = True
    for i in range(theta.size):
        if not within_reach(b[i], rho[i], noise[i]):
            mse[i], divergence[i], reached = math.nan, math.nan, False
            continue
        critical = critical_points(b[i], rho[i], noise[i])
        bulks = bulk_edges(critical, b[i], rho[i], noise[i])
        if theta[i] == 0.0:
            mse[i], divergence[i] = noise[i], 1.0
        elif math.sqrt(b[i]) * theta[i] ** 2 >= bulks[-1, 1]:
            mse[i], divergence[i] = 1.0, 0.0
        else:
            _, mse[i], _, _, divergence[i], _, _ = soft_threshold(
                theta[i], critical, bulks, complex(0.0, 0.0), b[i], rho[i], noise[i]
            )
    return reached
