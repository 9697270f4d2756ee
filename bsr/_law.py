"""The law of the singular values of the noisy teacher, in kernels: nodes, transform, logarithmic averages."""

import math

import numpy as np

from bsr._compile import kernel
from bsr._uniformisation import bulk_edges, critical_points, log_potential, physical_p, within_reach, y_of_kappa, zeros

# The nested trapezoidal rules: intervals at the coarsest and the finest level, and the half-width of the
# double-exponential rule's variable, where it is within rounding of the end.
_COSINE_LEVELS = 8, 256
_DOUBLE_EXPONENTIAL_LEVELS = 32, 4096
_DOUBLE_EXPONENTIAL_RANGE = 3.2


@kernel()
def piece(lo, hi, mass, cosine, tol, critical, bulks, b, rho, noise, out, start):
    """Nodes on (lo, hi) by a nested trapezoidal rule, in rows `start` and up of `out`: y, weight, Re p, Im p.

    The variable is log y (y itself if lo = 0), mapped so that square-root ends (`cosine`) or ends of any kind (double
    exponential) cost nothing. The rule stops when the mass is right (or stable, for mass < 0: unknown) to `tol` and the
    integral of (Im p)^3 / y^2 stable. The error is about squared from level to level, so the last change may be larger
    than the tolerance, for the cosine rule by far.
    Returns the number of rows and whether it converged.
    """
    first, last = _COSINE_LEVELS if cosine else _DOUBLE_EXPONENTIAL_LEVELS
    logarithmic = lo > 0.0
    span = math.log(hi / lo) if logarithmic else hi
    total, cubes, count = 0.0, 0.0, 0
    n, stride = first, 1
    while True:
        length = math.pi if cosine else 2.0 * _DOUBLE_EXPONENTIAL_RANGE
        step = length / n
        kappa = complex(0.0, 0.0)
        old_total, old_cubes = total, cubes
        total, cubes = 0.5 * total, 0.5 * cubes
        for row in range(start, start + count):
            out[row, 1] *= 0.5
        # At a hard edge (lo = 0) the cosine rule's end point counts too, as a limit; elsewhere the density vanishes.
        hard_edge = cosine and not logarithmic and n == first
        for k in range(0 if hard_edge else 1, n, stride):
            if cosine:
                theta = k * step if k > 0 else 1e-12
                w, dw = math.sin(0.5 * theta) ** 2, 0.5 * math.sin(theta) * (1.0 if k > 0 else 0.5)
            else:
                t = k * step - _DOUBLE_EXPONENTIAL_RANGE
                w = 1.0 / (1.0 + math.exp(-math.pi * math.sinh(t)))
                dw = math.pi * math.cosh(t) * w / (1.0 + math.exp(math.pi * math.sinh(t)))
            if not (cosine or logarithmic):  # x, not y, is the smooth variable at a hard edge
                w, dw = w * w, 2.0 * w * dw
            y = lo * math.exp(span * w) if logarithmic else span * w
            if not lo < y < hi:  # rounded onto an end, where the weight is negligible
                continue
            p, kappa = physical_p(y, critical, bulks, kappa, b, rho, noise)
            weight = step * span * dw * p.imag / math.pi / (1.0 if logarithmic else y)
            row = start + count
            out[row, 0], out[row, 1], out[row, 2], out[row, 3] = y, weight, p.real, p.imag
            count += 1
            total += weight
            cubes += weight * p.imag**2 / y
        if n > first:
            error = abs(total - mass) if mass >= 0.0 else abs(total - old_total)
            # Between a break and an edge next to it there is hardly any mass, and less of (Im p)^3, only rounding.
            negligible = mass < 0.0 and max(total, old_total) <= 1e4 * tol
            stable = abs(cubes - old_cubes) <= cubes * (1e3 * tol if cosine else 10.0 * tol)
            if error <= tol and (stable or negligible):
                return count, True
        if n >= last:
            return count, False
        n, stride = 2 * n, 2


@kernel()
def nodes(breaks, tol, b, rho, noise):
    """Nodes for the whole law: rows y, weight, Re p, Im p, and whether every piece and the total mass converged.

    A bulk whose ends are plain square roots is one piece of a few dozen nodes. Where that does not do (bulks about to
    merge, or just merged; a spectrum that reaches 0) or where the caller's function has kinks (`breaks`, in y and in
    any order), the bulk is cut there and the double-exponential rule takes over.
    """
    if not within_reach(b, rho, noise):
        return np.empty((0, 4)), False
    critical = critical_points(b, rho, noise)
    bulks = bulk_edges(critical, b, rho, noise)
    saddle = y_of_kappa(critical[1], b, rho, noise) if critical[1] > 0.0 else 0.0
    out = np.empty((256, 4))
    count = np.int64(0)  # a literal 0 would compile `piece` for it alone
    converged, total = True, 0.0
    for i in range(bulks.shape[0]):
        lo, hi = bulks[i, 0], bulks[i, 1]
        mass = 1.0 if bulks.shape[0] == 1 else rho if i == 1 else 1.0 - rho
        cuts = 0
        for y in breaks:
            cuts += lo < y < hi
        whole = cuts == 0  # in one piece
        cosine = whole
        start = lo
        while start < hi:
            end = hi
            if not whole:
                for y in breaks:
                    if start < y < end:
                        end = y
                if start < saddle < end:
                    end = saddle
            room = count + (_COSINE_LEVELS if cosine else _DOUBLE_EXPONENTIAL_LEVELS)[1]
            if room > out.shape[0]:
                larger = np.empty((room, 4))
                for row in range(count):  # a slice would compile the formatting of its error message: seconds
                    for column in range(4):
                        larger[row, column] = out[row, column]
                out = larger
            known = mass if whole else -1.0
            added, done = piece(start, end, known, cosine, tol, critical, bulks, b, rho, noise, out, count)
            if cosine and not done:
                cosine, whole = False, not lo < saddle < hi
                continue
            for row in range(count, count + added):
                total += out[row, 1]
            count += added
            converged = converged and done
            start = end
    return out[:count], converged and abs(total - 1.0) <= 10.0 * tol


@kernel()
def nodes_into(breaks, tol, b, rho, noise, out):
    """`nodes` for callers from Python, who bring the memory: `most_nodes` rows. The number of rows, and convergence."""
    rows, converged = nodes(breaks, tol, b, rho, noise)
    for i in range(rows.shape[0]):
        for j in range(4):
            out[i, j] = rows[i, j]
    return rows.shape[0], converged


@kernel()
def most_nodes(breaks):
    """No law has more: two bulks, cut at the saddle and at the breaks."""
    return (breaks.size + 3) * _DOUBLE_EXPONENTIAL_LEVELS[1]


@kernel()
def edges_into(b, rho, noise, out):
    """The edges in y, into `out` of size 4; how many there are."""
    bulks = bulk_edges(critical_points(b, rho, noise), b, rho, noise)
    for i in range(bulks.shape[0]):
        out[2 * i], out[2 * i + 1] = bulks[i, 0], bulks[i, 1]
    return 2 * bulks.shape[0]


@kernel()
def log_averages(tol, b, rho, noise):
    """Averages of log|y - t| over two independent draws and of log(y), and whether the quadrature converged."""
    rows, converged = nodes(np.empty(0), tol, b, rho, noise)
    energy = 0.0
    for i in range(rows.shape[0]):
        p = complex(rows[i, 2], rows[i, 3])
        kappa = rho * rows[i, 0] / ((1.0 + p) * (b + p))
        energy += rows[i, 1] * log_potential(kappa, b, rho, noise).real
    if b == 1.0:
        return energy, 0.0, converged  # not needed: there are no zero modes
    kappa_0, _ = zeros(1.0, rho, noise)
    return energy, log_potential(complex(kappa_0, 0.0), b, rho, noise).real, converged


@kernel()
def stieltjes(x, b, rho, noise, out):
    """The Stieltjes transform of the symmetrised law below the real axis, into `out`."""
    for i in range(x.size):
        if not within_reach(b[i], rho[i], noise[i]):
            out[i] = complex(math.nan, math.nan)
            continue
        if i == 0 or b[i] != b[i - 1] or rho[i] != rho[i - 1] or noise[i] != noise[i - 1]:
            critical = critical_points(b[i], rho[i], noise[i])
            bulks = bulk_edges(critical, b[i], rho[i], noise[i])
            # At x = 0 a limit: G is odd and smooth there, or has a jump of its imaginary part.
            tiny = 1e-12 * math.sqrt(bulks[-1, 1] / math.sqrt(b[i]))
        size = max(abs(x[i]), tiny)
        y = math.sqrt(b[i]) * size * size
        p, _ = physical_p(y, critical, bulks, complex(0.0, 0.0), b[i], rho[i], noise[i])
        real = (1.0 + p.real) / size
        out[i] = complex(real if x[i] > 0.0 else -real if x[i] < 0.0 else 0.0, p.imag / size)
    return True
