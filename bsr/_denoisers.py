"""Denoisers of the noisy teacher, in kernels: the least error, the Bayes-optimal map, and any map's divergence."""

import math

import numpy as np

from bsr._compile import kernel
from bsr._law import nodes
from bsr._uniformisation import bulk_edges, critical_points, p_of_kappa, physical_p, within_reach, zeros

_SMALLEST_NOISE = 1e-30  # powers of smaller ones would underflow; the error is linear in the noise there
_NEXT_TO_EDGE = 1e-6  # of the width of a bulk or gap: next to its ends 1/y'(kappa) would bring rounding into the slope


@kernel()
def mmse(noise, b, rho, tol):
    """MMSE at one point and whether it converged.

    Two expressions are summed over the same nodes. 1 - E f^2 is the accurate one for large noise, where
    noise * (1 - ...) would amplify rounding; the latter is the accurate one for small noise, where MMSE is small. They
    agree (Nishimori) if the quadrature is right, which is the last check.
    """
    if noise == 0.0:
        return 0.0, True
    # f would be lost in rounding. Linear denoising's error is larger by b / (rho^2 noise^3), to leading order.
    if b < 1e-16 * (rho * noise) ** 2 * noise:
        return noise / (1.0 + noise), True
    at = max(noise, _SMALLEST_NOISE)
    breaks = np.empty(0)
    value, done, rule = math.nan, False, tol
    for _ in range(2):  # large noise amplifies what the tolerance leaves, which a finer rule mends
        rows, converged = nodes(breaks, rule, b, rho, at)
        if rows.shape[0] == 0:
            break
        cubes, overlap = 0.0, 0.0
        for i in range(rows.shape[0]):
            y, weight, real, imag = rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3]
            cubes += weight * imag * imag / y
            f = y - at * (b + 1.0 + 2.0 * real)  # sqrt(b) x f(x), and sqrt(b) x^2 = y
            overlap += weight * f * f / (b * y)
        # The average of 1/x^2 has a closed form: it is the other zero of the map kappa -> y.
        small = at * (1.0 - (b - 1.0) / b * zeros(1.0, rho, at)[1] - 4.0 * at / (3.0 * b) * cubes)
        large = 1.0 - overlap
        value = small if at <= 1.0 else large
        done = converged and abs(small - large) <= 100.0 * rule + 1e-13 * at
        if done:
            break
        rule *= 0.01
    return value if noise == at else noise * (value / at), done


@kernel()
def mmse_points(noise, b, rho, tol, out):
    """`mmse` at each point, into `out`; whether all converged."""
    all_converged = True
    for i in range(noise.size):
        out[i], converged = mmse(noise[i], b[i], rho[i], tol)
        all_converged = all_converged and converged
    return all_converged


@kernel()
def rie_factor(kappa, noise):
    """f(x) / x of the Bayes-optimal map, where kappa belongs to x inside the support or at one of its edges."""
    square = abs(kappa) ** 2
    return square / (square + noise * abs(kappa - 1.0) ** 2)


@kernel()
def _rie_slope(y, kappa, b, rho, noise):
    """f'(x) of the Bayes-optimal map, where kappa belongs to x, in the support or in a gap, and y = sqrt(b) x^2."""
    p = p_of_kappa(kappa, rho, noise)
    dp = -rho / (kappa - 1.0) ** 2 - rho * noise / kappa**2
    dy = ((1.0 + p) * (b + p) + kappa * dp * (1.0 + b + 2.0 * p)) / rho
    return 1.0 + noise * (b + 1.0 + 2.0 * p.real) / y - 4.0 * noise * (dp / dy).real


@kernel()
def rie_map(x, b, rho, noise, f, slope):
    """The Bayes-optimal map of singular values and its slope, point by point, into `f` and `slope`.

    Inside the support both are exact. Values outside are fluctuations that the limit does not know. In a gap the
    formula goes on, and f(x)/x rises from one edge's value to the other's. Beyond the outer edges it stays the same.
    """
    critical, bulks = np.empty(0), np.empty((0, 2))
    nothing = complex(0.0, 0.0)
    kappa = nothing
    for i in range(x.size):
        if not within_reach(b[i], rho[i], noise[i]):
            f[i], slope[i] = math.nan, math.nan
            continue
        if i == 0 or b[i] != b[i - 1] or rho[i] != rho[i - 1] or noise[i] != noise[i - 1]:
            critical = critical_points(b[i], rho[i], noise[i])
            bulks = bulk_edges(critical, b[i], rho[i], noise[i])
            kappa = nothing
        y = math.sqrt(b[i]) * x[i] * x[i]
        if not bulks[0, 0] < y < bulks[-1, 1]:
            edge = critical[3] if y >= bulks[-1, 1] else critical[0]
            slope[i] = rie_factor(complex(edge, 0.0), noise[i])
            f[i] = slope[i] * x[i]
            continue
        gap = bulks.shape[0] == 2 and bulks[0, 1] <= y <= bulks[1, 0]
        p, kappa = physical_p(y, critical, bulks, kappa, b[i], rho[i], noise[i])
        if gap:
            f[i] = x[i] * (1.0 - noise[i] * (b[i] + 1.0 + 2.0 * p.real) / y)
            lo, hi = bulks[0, 1], bulks[1, 0]
        else:
            f[i] = x[i] * rie_factor(kappa, noise[i])
            upper = bulks.shape[0] - 1 if y >= bulks[-1, 0] else 0
            lo, hi = bulks[upper, 0], bulks[upper, 1]
        margin = _NEXT_TO_EDGE * (hi - lo)
        inside, near = min(max(y, lo + margin), hi - margin), kappa
        if inside != y:
            _, near = physical_p(inside, critical, bulks, nothing, b[i], rho[i], noise[i])
        slope[i] = _rie_slope(inside, near, b[i], rho[i], noise[i])
    return True


@kernel()
def divergence(x, f, slope, longer):
    """Divergence of a spectral denoiser at a matrix: the sum over entries of d(entry) / d(same entry of the matrix)."""
    total = 0.0
    for i in range(x.size):
        total += slope[i] + (longer - x.size) * f[i] / x[i]
        for j in range(i):
            squares = x[i] * x[i] - x[j] * x[j]
            if squares == 0.0:
                total += f[i] / x[i] + slope[i]
            else:
                total += 2.0 * (x[i] * f[i] - x[j] * f[j]) / squares
    return total
