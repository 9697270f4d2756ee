"""Law of the singular values of the noisy teacher Y = (S + sqrt(noise) Z) / (dL)^(1/4), and averages over it."""

import math
from typing import NamedTuple

import numpy as np

from bsr._checks import check_broadcast, check_number, check_real, warn_convergence
from bsr._compile import kernel
from bsr.uniformisation import bulk_edges, critical_points, log_potential, physical_p, within_reach, y_of_kappa, zeros

__all__ = ["Quadrature", "density", "edges", "hilbert", "quadrature", "stieltjes"]

# The nested trapezoidal rules: intervals at the coarsest and the finest level, and the half-width of the
# double-exponential rule's variable, where it is within rounding of the end.
_COSINE_LEVELS = 8, 256
_DOUBLE_EXPONENTIAL_LEVELS = 32, 4096
_DOUBLE_EXPONENTIAL_RANGE = 3.2


@kernel()
def _piece(lo, hi, mass, cosine, tol, critical, bulks, b, rho, noise, out, start):
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
            if error <= tol and abs(cubes - old_cubes) <= cubes * (1e3 * tol if cosine else 10.0 * tol):
                return count, True
        if n >= last:
            return count, False
        n, stride = 2 * n, 2


@kernel()
def _with_room(out, used, more):
    if used + more <= out.shape[0]:
        return out
    larger = np.empty((used + more, 4))
    larger[:used] = out[:used]
    return larger


@kernel()
def _nodes(breaks, tol, b, rho, noise):
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
    count, converged = 0, True
    for i in range(bulks.shape[0]):
        lo, hi = bulks[i]
        mass = 1.0 if bulks.shape[0] == 1 else rho if i == 1 else 1.0 - rho
        cut = False
        for y in breaks:
            cut = cut or lo < y < hi
        if not cut:
            out = _with_room(out, count, _COSINE_LEVELS[1])
            added, done = _piece(lo, hi, mass, True, tol, critical, bulks, b, rho, noise, out, count)
            if done:
                count += added
                continue
        cut = cut or lo < saddle < hi
        start = lo
        while start < hi:
            end = saddle if start < saddle < hi else hi
            for y in breaks:
                if start < y < end:
                    end = y
            out = _with_room(out, count, _DOUBLE_EXPONENTIAL_LEVELS[1])
            known = -1.0 if cut else mass
            added, done = _piece(start, end, known, False, tol, critical, bulks, b, rho, noise, out, count)
            count += added
            converged = converged and done
            start = end
    total = 0.0
    for row in range(count):
        total += out[row, 1]
    return out[:count], converged and abs(total - 1.0) <= 10.0 * tol


@kernel()
def _log_averages(tol, b, rho, noise):
    """Averages of log|y - t| over two independent draws and of log(y), and whether the quadrature converged."""
    nodes, converged = _nodes(np.empty(0), tol, b, rho, noise)
    energy = 0.0
    for i in range(nodes.shape[0]):
        y, weight, real, imag = nodes[i]
        p = complex(real, imag)
        kappa = rho * y / ((1.0 + p) * (b + p))
        energy += weight * log_potential(kappa, b, rho, noise).real
    if b == 1.0:
        return energy, 0.0, converged  # not needed: there are no zero modes
    kappa_0, _ = zeros(1.0, rho, noise)
    return energy, log_potential(complex(kappa_0, 0.0), b, rho, noise).real, converged


# ---------------------------------------------------------------------------------------------------------------------
# Public functions


class Quadrature(NamedTuple):
    """Nodes and weights for averages over the law of the singular values.

    Attributes
    ----------
    x : ndarray, shape (nodes,)
        Positive singular values.
    weight : ndarray, shape (nodes,)
        ``sum(weight * f(x))`` is the average of f over the min(d, L) singular values; the weights sum to 1.
    hilbert : ndarray, shape (nodes,)
        Real part of the Stieltjes transform G of the symmetrised law at x.
    density : ndarray, shape (nodes,)
        Symmetrised density mu at x (mass 1/2 on x > 0).
    """

    x: np.ndarray
    weight: np.ndarray
    hilbert: np.ndarray
    density: np.ndarray


def aspect_ratio(beta):
    """Long side over short side, b = max(beta, 1/beta)."""
    b = np.maximum(beta, 1.0 / np.maximum(beta, 1e-308))
    return np.where(b - 1.0 < 1e-12, 1.0, b)  # so close, rounding hides that the spectrum does not reach 0


def check_law(beta, rho, noise):
    """Validate the three numbers that fix the law; return the aspect ratio b, rho and noise."""
    beta, rho, noise = (
        check_number(name, value, "positive") for name, value in (("beta", beta), ("rho", rho), ("noise", noise))
    )
    return float(aspect_ratio(np.float64(beta))), rho, noise


def edges(beta=1.0, rho=1.0, noise=1.0):
    """Edges of the support on x > 0, in increasing order.

    Parameters
    ----------
    beta, rho : float
        Aspect ratio L/d and rank per dimension r/min(d, L), positive.
    noise : float
        Variance of the noise on the entries of S, positive.

    Returns
    -------
    ndarray, shape (2,) or (4,)
        One bulk, or two with a gap between. The first edge is 0 if beta is 1.

    Raises
    ------
    ValueError
        If an argument is not a positive finite number.

    Warns
    -----
    ConvergenceWarning
        If an edge was not found, as may happen for arguments of extreme size.

    References
    ----------
    Book, chapter 4, :eq:`eq-04-slope`: critical points of the uniformisation.
    """
    b, rho, noise = check_law(beta, rho, noise)
    found = np.sqrt(bulk_edges(critical_points(b, rho, noise), b, rho, noise).ravel() / math.sqrt(b))
    if not np.isfinite(found).all():
        warn_convergence(f"the edges at beta={beta}, rho={rho}, noise={noise} were not found")
    return found


@kernel()
def _stieltjes_kernel(x, b, rho, noise):
    out = np.empty(x.size, dtype=np.complex128)
    for i in range(x.size):
        if i == 0 or b[i] != b[i - 1] or rho[i] != rho[i - 1] or noise[i] != noise[i - 1]:
            critical = critical_points(b[i], rho[i], noise[i])
            bulks = bulk_edges(critical, b[i], rho[i], noise[i])
            # At x = 0 a limit: G is odd and smooth there, or has a jump of its imaginary part.
            tiny = 1e-12 * math.sqrt(bulks[-1, 1] / math.sqrt(b[i]))
        if not within_reach(b[i], rho[i], noise[i]):
            out[i] = complex(math.nan, math.nan)
            continue
        size = max(abs(x[i]), tiny)
        y = math.sqrt(b[i]) * size * size
        p, _ = physical_p(y, critical, bulks, complex(0.0, 0.0), b[i], rho[i], noise[i])
        real = (1.0 + p.real) / size
        out[i] = complex(real if x[i] > 0.0 else -real if x[i] < 0.0 else 0.0, p.imag / size)
    return out


def stieltjes(x, beta=1.0, rho=1.0, noise=1.0):
    """Stieltjes transform G(x - i0) of the symmetrised law: Hilbert transform + i pi density.

    Parameters
    ----------
    x : array_like
        Real points, anywhere on the line.
    beta, rho, noise : array_like
        As in `edges`.

    Returns
    -------
    complex or ndarray of complex, broadcast shape

    Raises
    ------
    ValueError
        If an argument is out of range or not finite.

    Warns
    -----
    ConvergenceWarning
        If it was not found somewhere, as may happen for arguments of extreme size.

    References
    ----------
    arXiv:2410.18858, appendix on the spectrum; book, chapter 4, :eq:`eq-04-y`.
    """
    x, beta, rho, noise = check_broadcast(
        x=(x, "finite"), beta=(beta, "positive"), rho=(rho, "positive"), noise=(noise, "positive")
    )
    out = _stieltjes_kernel(*(a.flatten() for a in (x, aspect_ratio(beta), rho, noise)))
    if not np.isfinite(out).all():
        warn_convergence("the transform was not found everywhere")
    return out.reshape(x.shape)[()]


def density(x, beta=1.0, rho=1.0, noise=1.0):
    """Symmetrised density mu(x) of the singular values of the noisy teacher.

    mu is even with total mass 1. A histogram of the (positive) singular values of Y = (S + sqrt(noise) Z) / (dL)^(1/4)
    follows 2 mu.

    Parameters
    ----------
    x, beta, rho, noise : array_like
        As in `stieltjes`.

    Returns
    -------
    float or ndarray, broadcast shape

    Raises
    ------
    ValueError
        If an argument is out of range or not finite.

    References
    ----------
    Book, chapter 4, :eq:`eq-04-y`.
    """
    return stieltjes(x, beta, rho, noise).imag / np.pi


def hilbert(x, beta=1.0, rho=1.0, noise=1.0):
    """Hilbert transform, the principal value of int mu(t) / (x - t) dt: the real part of G.

    Parameters
    ----------
    x, beta, rho, noise : array_like
        As in `stieltjes`.

    Returns
    -------
    float or ndarray, broadcast shape

    Raises
    ------
    ValueError
        If an argument is out of range or not finite.

    References
    ----------
    Book, chapter 4, :eq:`eq-04-stieltjes`.
    """
    return stieltjes(x, beta, rho, noise).real


def quadrature(beta=1.0, rho=1.0, noise=1.0, *, breaks=(), tol=1e-11):
    """Nodes and weights for averages over the singular values of the noisy teacher.

    Parameters
    ----------
    beta, rho, noise : float
        As in `edges`.
    breaks : sequence of float, default ()
        Points x >= 0 where the functions to be averaged have kinks.
    tol : float, default 1e-11
        Absolute tolerance on the mass of each piece.

    Returns
    -------
    Quadrature

    Raises
    ------
    ValueError
        If an argument is out of range or not finite.

    Warns
    -----
    ConvergenceWarning
        If the finest rule did not reach the tolerance.

    References
    ----------
    Book, chapter 5, section on how the numbers are made.
    """
    b, rho, noise = check_law(beta, rho, noise)
    tol = check_number("tol", tol, "positive")
    y_breaks = math.sqrt(b) * check_real("breaks", breaks, "non-negative").reshape(-1) ** 2
    nodes, converged = _nodes(y_breaks, tol, b, rho, noise)
    if not converged:
        warn_convergence(f"the law at beta={beta}, rho={rho}, noise={noise} was not integrated to {tol}")
    y, weight, real, imag = nodes.T
    x = np.sqrt(y / math.sqrt(b))
    return Quadrature(x=x, weight=weight, hilbert=(1.0 + real) / x, density=imag / (np.pi * x))
