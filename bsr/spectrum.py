"""Law of the singular values of the noisy teacher Y = (S + sqrt(noise) Z) / (dL)^(1/4), and averages over it."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from bsr import _law
from bsr._checks import check_broadcast, check_number, check_real, warn_convergence
from bsr._compile import in_chunks
from bsr._typing import Array, Numbers

__all__ = ["Quadrature", "density", "edges", "hilbert", "merging_noise", "quadrature", "stieltjes"]


class Quadrature(NamedTuple):
    """Nodes and weights for averages over the law of the singular values.

    Attributes
    ----------
    x : ndarray, shape (nodes,)
        Positive singular values.
    weight : ndarray, shape (nodes,)
        ``sum(weight * f(x))`` is the average of f over the min(d, L) singular values, for f smooth between the breaks;
        the weights sum to 1.
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


def edges(beta: float = 1.0, rho: float = 1.0, noise: float = 1.0) -> Array:
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
    y = np.empty(4)
    found = np.sqrt(y[: _law.edges_into(b, rho, noise, y)] / math.sqrt(b))
    if not np.isfinite(found).all():
        warn_convergence(f"the edges at beta={beta}, rho={rho}, noise={noise} were not found")
    return found


def stieltjes(
    x: ArrayLike, beta: ArrayLike = 1.0, rho: ArrayLike = 1.0, noise: ArrayLike = 1.0
) -> complex | NDArray[np.complex128]:
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
    out = np.empty(x.size, dtype=np.complex128)
    in_chunks(_law.stieltjes, [a.flatten() for a in (x, aspect_ratio(beta), rho, noise)], [out])
    if not np.isfinite(out).all():
        warn_convergence("the transform was not found everywhere")
    return out.reshape(x.shape)[()]


def merging_noise(beta: float = 1.0, rho: float = 0.5) -> float:
    """Noise at which the two bulks of the spectrum merge; below it there is a gap, above it there is none.

    Parameters
    ----------
    beta, rho : float
        Aspect ratio L/d and rank per dimension r/min(d, L), positive.

    Returns
    -------
    float
        Variance of the noise; 0 for rho >= 1, where no noise leaves a gap.

    Raises
    ------
    ValueError
        If an argument is not positive and finite.

    References
    ----------
    Book, chapter 4, :eq:`eq-04-merging`.
    """
    b, rho, _ = check_law(beta, rho, 1.0)
    if rho >= 1.0:
        return 0.0

    tall, missing, end = b - 1.0, 1.0 - rho, (rho / math.sqrt(b)) ** (2.0 / 3.0)

    # rho noise and its square at the merger, by e = 1 - kappa; near rho = 1 by kappa, without cancellations
    def in_e(e):
        return (b * e**3 / rho + 3.0 * rho / e - 1.0 - b - 2.0 * rho) / 2.0, (1.0 - e) ** 3 * (b - (rho / e) ** 2 / e)

    def in_kappa(kappa):
        line = missing * (tall + missing) - kappa * (3.0 * tall + missing * (6.0 + tall - 2.0 * missing))
        first = (line + b * kappa**2 * (6.0 - 4.0 * kappa + kappa**2)) / (2.0 * rho * (1.0 - kappa))
        second = tall + missing * (1.0 + rho) - b * kappa * (3.0 - 3.0 * kappa + kappa**2)
        return first, (kappa / (1.0 - kappa)) ** 3 * second

    both, low, high = (in_e, end, 1.0) if rho < 0.5 else (in_kappa, 0.0, 1.0 - end)

    def excess(t):  # the first keeps its sign: the other solution would have a negative noise
        first, second = both(t)
        return first * abs(first) - second

    return math.sqrt(both(brentq(excess, low, high, xtol=1e-300, rtol=1e-15, maxiter=1000))[1]) / rho


def density(x: ArrayLike, beta: ArrayLike = 1.0, rho: ArrayLike = 1.0, noise: ArrayLike = 1.0) -> Numbers:
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


def hilbert(x: ArrayLike, beta: ArrayLike = 1.0, rho: ArrayLike = 1.0, noise: ArrayLike = 1.0) -> Numbers:
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


def quadrature(
    beta: float = 1.0, rho: float = 1.0, noise: float = 1.0, *, breaks: ArrayLike = (), tol: float = 1e-11
) -> Quadrature:
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
    if b == 1.0:
        # The spectrum reaches 0, where the rule without breaks is exact for even functions of x alone.
        y = np.empty(4)
        _law.edges_into(b, rho, noise, y)
        y_breaks = np.append(y_breaks, 0.5 * y[1])
    nodes = np.empty((_law.most_nodes(y_breaks), 4))
    count, converged = _law.nodes_into(y_breaks, tol, b, rho, noise, nodes)
    if not converged:
        warn_convergence(f"the law at beta={beta}, rho={rho}, noise={noise} was not integrated to {tol}")
    y, weight, real, imag = nodes[:count].T
    x = np.sqrt(y / math.sqrt(b))
    return Quadrature(x=x, weight=weight, hilbert=(1.0 + real) / x, density=imag / (np.pi * x))
