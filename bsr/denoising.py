"""Spectral denoisers of Y = (S + sqrt(noise) Z) / (dL)^(1/4): the Bayes-optimal one, its error, and any other's.

A spectral denoiser keeps the singular vectors of Y and maps its singular values x to f(x).
"""

import math

import numpy as np

from bsr._checks import as_real, check_broadcast, check_number, check_real, warn_convergence
from bsr._compile import kernel
from bsr.spectrum import _nodes, aspect_ratio, check_law, edges, hilbert, quadrature
from bsr.uniformisation import zeros

__all__ = ["mmse", "rie", "shrink", "spectral_divergence", "spectral_error"]


@kernel()
def _mmse_positive(noise, b, rho, tol):
    """MMSE at one point and whether it converged, for noise that is neither enormous nor tiny.

    Two expressions are summed over the same nodes. 1 - E f^2 is the accurate one for large noise, where
    noise * (1 - ...) would amplify rounding; the latter is the accurate one for small noise, where MMSE is small. They
    agree (Nishimori) if the quadrature is right, which is the last check.
    """
    nodes, converged = _nodes(np.empty(0), tol, b, rho, noise)
    if nodes.shape[0] == 0:
        return math.nan, False
    cubes, overlap = 0.0, 0.0
    for i in range(nodes.shape[0]):
        y, weight, real, imag = nodes[i]
        cubes += weight * imag * imag / y
        f = y - noise * (b + 1.0 + 2.0 * real)  # sqrt(b) x f(x), and sqrt(b) x^2 = y
        overlap += weight * f * f / (b * y)
    # The average of 1/x^2 has a closed form: it is the other zero of the map kappa -> y.
    _, kappa_1 = zeros(1.0, rho, noise)
    small = noise * (1.0 - (b - 1.0) / b * kappa_1 - 4.0 * noise / (3.0 * b) * cubes)
    large = 1.0 - overlap
    agreed = abs(small - large) <= 100.0 * tol + 1e-13 * noise
    return (small if noise <= 1.0 else large), converged and agreed


@kernel()
def _mmse(noise, b, rho, tol):
    """MMSE at one point and whether it converged, for any noise."""
    if noise == 0.0:
        return 0.0, True
    # f would be lost in rounding. Linear denoising's error is larger by b / (rho^2 noise^3), to leading order.
    if b < 1e-16 * (rho * noise) ** 2 * noise:
        return noise / (1.0 + noise), True
    if noise < 1e-30:  # powers of it would underflow; the error is linear in the noise there
        slope, converged = _mmse_positive(1e-30, b, rho, tol)
        return noise * (1e30 * slope), converged
    mmse, converged = _mmse_positive(noise, b, rho, tol)
    if not converged:  # large noise amplifies what the tolerance leaves, which a finer rule mends
        finer, converged = _mmse_positive(noise, b, rho, 0.01 * tol)
        mmse = finer if converged else mmse
    return mmse, converged


@kernel()
def _mmse_kernel(noise, b, rho, tol):
    out, converged = np.empty(noise.size), True
    for i in range(noise.size):
        out[i], done = _mmse(noise[i], b[i], rho[i], tol)
        converged = converged and done
    return out, converged


def mmse(noise, beta=1.0, rho=1.0, *, tol=1e-11):
    """Minimal mean-square error per entry of the denoising of S + sqrt(noise) Z.

    Parameters
    ----------
    noise : array_like
        Variance of the noise on each entry of S (whose entries have variance 1), zero or positive.
    beta, rho : array_like, default 1.0
        Aspect ratio L/d and rank per dimension r/min(d, L), positive.
    tol : float, default 1e-11
        Tolerance of the quadrature.

    Returns
    -------
    float or ndarray, broadcast shape
        Between 0 and noise / (1 + noise).

    Raises
    ------
    ValueError
        If an argument is out of range or not finite.

    Warns
    -----
    ConvergenceWarning
        If the quadrature missed its tolerance somewhere.

    References
    ----------
    arXiv:2410.18858, arXiv:2203.07752; book, chapter 5, :eq:`eq-05-closed`.
    """
    noise, beta, rho = check_broadcast(noise=(noise, "non-negative"), beta=(beta, "positive"), rho=(rho, "positive"))
    tol = check_number("tol", tol, "positive")
    out, converged = _mmse_kernel(noise.flatten(), aspect_ratio(beta).flatten(), rho.flatten(), tol)
    if not converged:
        warn_convergence(f"the MMSE's quadrature did not reach {tol} everywhere")
    return out.reshape(noise.shape)[()]


def shrink(x, beta=1.0, rho=1.0, noise=1.0):
    """Bayes-optimal map of a singular value of Y: x - (2 noise / sqrt(b)) [(b - 1) / (2x) + Re G(x)].

    Parameters
    ----------
    x : array_like
        Singular values, positive; inside or outside the support.
    beta, rho, noise : array_like
        As in `mmse`, noise positive.

    Returns
    -------
    float or ndarray, broadcast shape

    Raises
    ------
    ValueError
        If an argument is not positive and finite.

    References
    ----------
    arXiv:2203.07752; book, chapter 5, :eq:`eq-05-rie`.
    """
    x, beta, rho, noise = check_broadcast(
        x=(x, "positive"), beta=(beta, "positive"), rho=(rho, "positive"), noise=(noise, "positive")
    )
    b = aspect_ratio(beta)
    return (x - 2.0 * noise / np.sqrt(b) * (0.5 * (b - 1.0) / x + hilbert(x, b, rho, noise)))[()]


def rie(Y, rho, noise):
    """Bayes-optimal rotationally invariant estimator of S / (dL)^(1/4) from Y = (S + sqrt(noise) Z) / (dL)^(1/4).

    Parameters
    ----------
    Y : array_like, shape (L, d)
        Noisy teacher.
    rho : float
        Rank per dimension of the teacher, positive.
    noise : float
        Variance of the noise on each entry of S, zero or positive.

    Returns
    -------
    ndarray, shape (L, d)

    Raises
    ------
    ValueError
        If Y is not a finite matrix or a parameter is out of range.

    Notes
    -----
    A singular value beyond the support's outer edges, a fluctuation that the limit does not know, is multiplied by the
    factor of the edge. `shrink` itself rises there with infinite slope and would take noise for signal.

    References
    ----------
    arXiv:2410.18858, arXiv:2203.07752; book, chapter 5, :eq:`eq-05-rie`.
    """
    Y = as_real("Y", Y)
    if Y.ndim != 2 or 0 in Y.shape or not np.isfinite(Y).all():
        raise ValueError(f"Y must be a finite matrix of shape (L, d), got shape {Y.shape}")
    rho, noise = check_number("rho", rho, "positive"), check_number("noise", noise, "non-negative")
    if noise == 0.0:
        return Y.copy()
    return _rie(Y, rho, noise)[0]


def _rie(Y, rho, noise):
    """The estimate and its divergence: the mean derivative of an entry with respect to the same entry of Y."""
    left, x, right = np.linalg.svd(Y, full_matrices=False)
    x = np.maximum(x, np.finfo(float).tiny ** 0.25)
    beta = Y.shape[0] / Y.shape[1]
    support = edges(beta, rho, noise)
    # Just inside, since at an edge itself rounding decides on which side one is.
    lowest, highest = support.min() * (1.0 + 1e-12), support.max() * (1.0 - 1e-12)

    def f(x):
        inside = np.clip(x, lowest, highest)
        return shrink(inside, beta, rho, noise) * (x / inside)

    step = 1e-4 * x  # the map is known to about 1e-10, its slope then to 1e-6
    slope = (f(x + step) - f(x - step)) / (2.0 * step)
    return (left * f(x)) @ right, spectral_divergence(x, f(x), slope, Y.shape)


def spectral_divergence(x, f, slope, shape):
    """Divergence per entry of a spectral denoiser at a given matrix.

    Parameters
    ----------
    x : array_like, shape (min(L, d),)
        Singular values of the matrix, positive.
    f, slope : array_like, shape of x
        The map of the singular values and its derivative there.
    shape : tuple of int
        Shape (L, d) of the matrix.

    Returns
    -------
    float
        Mean over the entries of the derivative of the denoised entry with respect to the same entry of the matrix.
        `spectral_error` gives its limit for large matrices.

    Raises
    ------
    ValueError
        If a singular value is not positive and finite, or the shapes do not match.

    References
    ----------
    arXiv:1210.4139; book, chapter 5, :eq:`eq-05-divergence`.
    """
    x, f, slope = check_real("x", x, "positive"), as_real("f", f), as_real("slope", slope)
    if not x.shape == f.shape == slope.shape == (min(shape),):
        raise ValueError(f"x, f and slope must have shape ({min(shape)},), got {x.shape}, {f.shape} and {slope.shape}")
    squares, products = np.subtract.outer(x**2, x**2), np.subtract.outer(x * f, x * f)
    equal = squares == 0.0  # the diagonal too
    pairs = np.where(equal, 0.5 * (f / x + slope), products / np.where(equal, 1.0, squares))
    total = pairs.sum() - np.trace(pairs) + slope.sum() + abs(shape[0] - shape[1]) * np.sum(f / x)
    return float(total / (shape[0] * shape[1]))


def spectral_error(f, beta=1.0, rho=1.0, noise=1.0, *, kinks=()):
    """Error and divergence of a spectral denoiser in the high-dimensional limit.

    Parameters
    ----------
    f : callable
        Map of the singular values x of Y, vectorised.
    beta, rho, noise : float
        As in `mmse`, noise positive.
    kinks : sequence of float, default ()
        Points where f is not smooth.

    Returns
    -------
    mse : float
        Mean-square error per entry of S, by Stein's identity from `divergence`.
    divergence : float
        Mean over the entries of the derivative of the estimate of an entry with respect to its observation.

    Raises
    ------
    ValueError
        If a parameter is not positive and finite.

    References
    ----------
    Book, chapter 5, :eq:`eq-05-limit-div` and :eq:`eq-05-limit`.
    """
    b, rho, noise = check_law(beta, rho, noise)
    law = quadrature(b, rho, noise, breaks=kinks)
    f_x = f(law.x)
    divergence = np.sum(law.weight * f_x * ((b - 1.0) / (b * law.x) + 2.0 / b * law.hilbert))
    residual = np.sum(law.weight * (f_x - law.x) ** 2) / math.sqrt(b)
    return float(residual - noise + 2.0 * noise * divergence), float(divergence)
