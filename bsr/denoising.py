"""Spectral denoisers of Y = (S + sqrt(noise) Z) / (dL)^(1/4): the Bayes-optimal one, its error, and any other's.

A spectral denoiser keeps the singular vectors of Y and maps its singular values x to f(x).
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression
from scipy.special import dawsn

from bsr import _denoisers, _soft_threshold
from bsr._checks import as_real, check_broadcast, check_number, check_real, warn_convergence
from bsr._compile import in_chunks
from bsr._typing import Array, Numbers
from bsr.spectrum import aspect_ratio, check_law, quadrature

__all__ = [
    "empirical_rie",
    "empirical_rie_and_divergence",
    "mmse",
    "rie",
    "rie_and_divergence",
    "shrink",
    "shrink_and_slope",
    "soft_threshold",
    "soft_threshold_error",
    "spectral_divergence",
    "spectral_error",
]


def mmse(noise: ArrayLike, beta: ArrayLike = 1.0, rho: ArrayLike = 1.0, *, tol: float = 1e-11) -> Numbers:
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
    flat = [a.flatten() for a in (noise, aspect_ratio(beta), rho)]
    out = np.empty(noise.size)
    converged = in_chunks(_denoisers.mmse_points, flat, [out], tol)
    if not converged:
        warn_convergence(f"the MMSE's quadrature did not reach {tol} everywhere")
    return out.reshape(noise.shape)[()]


def shrink(x: ArrayLike, beta: ArrayLike = 1.0, rho: ArrayLike = 1.0, noise: ArrayLike = 1.0) -> Numbers:
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
        Between 0 and x.

    Raises
    ------
    ValueError
        If an argument is not positive and finite.

    Warns
    -----
    ConvergenceWarning
        If it was not found somewhere, as may happen for arguments of extreme size.

    Notes
    -----
    In the support f(x)/x = 1 / (1 + noise abs(1 - 1/kappa)^2), so the map never enlarges. The law has no
    values outside its support; a matrix of finite size has some, by fluctuations. In a gap between two bulks the
    formula above goes on: continuously, and f(x)/x rises from one edge's value to the other's. Beyond the outer edges
    f(x)/x keeps the value of the edge: the formula leaves it with infinite slope, and above takes noise for signal.

    References
    ----------
    arXiv:2203.07752; book, chapter 5, :eq:`eq-05-rie` and :eq:`eq-05-factor`.
    """
    return shrink_and_slope(x, beta, rho, noise)[0]


def shrink_and_slope(
    x: ArrayLike, beta: ArrayLike = 1.0, rho: ArrayLike = 1.0, noise: ArrayLike = 1.0
) -> tuple[Numbers, Numbers]:
    """The Bayes-optimal map of a singular value, as `shrink`, and its derivative with respect to x.

    Parameters
    ----------
    x, beta, rho, noise : array_like
        As in `shrink`.

    Returns
    -------
    f : float or ndarray, broadcast shape
        The map.
    slope : float or ndarray, broadcast shape
        Its derivative, exact, from the same evaluation of the law. Where it jumps or diverges (at the edges of the
        support) it is that of a point next to it.

    Raises
    ------
    ValueError
        If an argument is not positive and finite.

    Warns
    -----
    ConvergenceWarning
        If it was not found somewhere, as may happen for arguments of extreme size.

    References
    ----------
    Book, chapter 5, :eq:`eq-05-factor`.
    """
    x, beta, rho, noise = check_broadcast(
        x=(x, "positive"), beta=(beta, "positive"), rho=(rho, "positive"), noise=(noise, "positive")
    )
    f, slope = np.empty(x.size), np.empty(x.size)
    in_chunks(_denoisers.rie_map, [a.flatten() for a in (x, aspect_ratio(beta), rho, noise)], [f, slope])
    if not np.isfinite(f).all():
        warn_convergence("the optimal map was not found everywhere")
    return f.reshape(x.shape)[()], slope.reshape(x.shape)[()]


def rie(Y: ArrayLike, rho: float, noise: float) -> Array:
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

    References
    ----------
    arXiv:2410.18858, arXiv:2203.07752; book, chapter 5, :eq:`eq-05-rie`.
    """
    Y = _check_matrix(Y)
    rho, noise = check_number("rho", rho, "positive"), check_number("noise", noise, "non-negative")
    if noise == 0.0:
        return Y.copy()
    return rie_and_divergence(Y, rho, noise)[0]


def rie_and_divergence(Y: ArrayLike, rho: float, noise: float) -> tuple[Array, float]:
    """The Bayes-optimal estimator `rie` and its divergence at Y: what message passing asks of a denoiser.

    Parameters
    ----------
    Y : array_like, shape (L, d)
        Noisy teacher.
    rho, noise : float
        As in `rie`, noise positive.

    Returns
    -------
    S : ndarray, shape (L, d)
        The estimate.
    divergence : float
        Mean over the entries of the derivative of the estimate of an entry with respect to the same entry of Y.

    Raises
    ------
    ValueError
        If Y is not a finite matrix or a parameter is not positive and finite.

    References
    ----------
    Book, chapter 5, :eq:`eq-05-rie` and :eq:`eq-05-divergence`.
    """
    Y = _check_matrix(Y)
    left, x, right = np.linalg.svd(Y, full_matrices=False)
    x = np.maximum(x, np.finfo(float).tiny ** 0.25)
    f, slope = shrink_and_slope(x, Y.shape[0] / Y.shape[1], rho, noise)
    return (left * f) @ right, spectral_divergence(x, f, slope, Y.shape)


def empirical_rie(Y: ArrayLike, noise: float, *, bandwidth: float | None = None) -> Array:
    """Optimal rotationally invariant estimator for a teacher of any spectrum: like `rie`, but it asks for no rank.

    Parameters
    ----------
    Y : array_like, shape (L, d)
        Noisy teacher, (S + sqrt(noise) Z) / (dL)^(1/4), in any unit.
    noise : float
        Variance of the noise on each entry of S, in the unit of Y squared; zero or positive.
    bandwidth : float, optional
        Standard deviation of the Gaussian that smooths the singular values, positive. Its unit, sqrt(noise) / b^(1/4),
        is half of the largest singular value of noise in m x m entries of Y; m = min(L, d). By default 0.75 m^(-1/3).

    Returns
    -------
    ndarray, shape (L, d)
        Estimate of S / (dL)^(1/4).

    Raises
    ------
    ValueError
        If Y is not a finite matrix or a parameter is out of range.

    Notes
    -----
    The map is that of `shrink`, f(x) = x - (2 noise / sqrt(b)) [(b - 1) / (2x) + Re G(x)], which holds for every law of
    the teacher's singular values if its singular vectors are random, or nothing is known of them. Here Re G is that of
    the singular values at hand, each smoothed by a Gaussian. The optimal map increases, so the values are replaced by
    the nearest increasing sequence (isotonic regression), and negative ones by 0; and the whole is multiplied by the
    factor in [0, 1] that Stein's estimate of the error prefers. It tends to 1, and helps where little is seen.

    That the map increases follows for square matrices from free probability. f is the average of the teacher's singular
    values +-s with weights 1/((u - s)^2 + v^2), where u = x - noise Re G(x) increases with x, and df/du is twice their
    variance with the squares of these weights. f(x) <= x does not follow, and is not imposed: if all s are equal,
    f enlarges the smaller x. But no f is larger than the largest x.

    The width is set by the noise, not by the singular values, since the law of Y cannot vary faster than the noise
    smooths it. Singular values are rigid: smoothed Re G scatters by 1/(m width) only, and its bias is width^2 inside
    the bulks. With the default both vanish as m^(-2/3), and the loss against the exact map tends to 0.
    Against `rie` with the right rank, the error grew by 1.8(1) % at m = 40, 0.6 % at 100 and 0.25 % at 200 (beta = 1,
    rho = 0.2, noise 0.3 to 3), by half of that for beta = 2, rho = 0.5; a rank that is wrong by a factor 2 costs 1 to
    11 %. Where noise hides nearly all of such a teacher (noise 25 at m = 40), linear shrinkage is better, by 2 %.

    References
    ----------
    Ledoit and Peche, arXiv:0911.3010, and Bun, Allez, Bouchaud and Potters, arXiv:1502.06736, for symmetric matrices;
    Troiani et al., arXiv:2203.07752, for rectangular ones; Benaych-Georges, Bouchaud and Potters, arXiv:1901.05543,
    for the map from the data alone; Ledoit and Wolf (2020), Annals of Statistics 48, for smoothing by a kernel. Book,
    chapter 5, :eq:`eq-05-rie`.
    """
    Y, noise = _check_matrix(Y), check_number("noise", noise, "non-negative")
    if noise == 0.0:
        _check_bandwidth(bandwidth, Y)
        return Y.copy()
    return empirical_rie_and_divergence(Y, noise, bandwidth=bandwidth)[0]


def empirical_rie_and_divergence(Y: ArrayLike, noise: float, *, bandwidth: float | None = None) -> tuple[Array, float]:
    """The estimator `empirical_rie` and its divergence at Y: what message passing asks of a denoiser.

    Parameters
    ----------
    Y : array_like, shape (L, d)
        Noisy teacher.
    noise : float
        As in `empirical_rie`, positive.
    bandwidth : float, optional
        As in `empirical_rie`.

    Returns
    -------
    S : ndarray, shape (L, d)
        The estimate.
    divergence : float
        Mean over the entries of the derivative of the estimate of an entry with respect to the same entry of Y. It is
        that of the estimator as it is, with all that it takes from Y; only the last factor is held fixed, which changes
        it by order 1/(dL). So Stein's identity, :eq:`eq-05-stein`, gives the error.

    Raises
    ------
    ValueError
        If Y is not a finite matrix or a parameter is not positive and finite.

    References
    ----------
    Book, chapter 5, :eq:`eq-05-stein` and :eq:`eq-05-divergence`.
    """
    Y, noise = _check_matrix(Y), check_number("noise", noise, "positive")
    bandwidth = _check_bandwidth(bandwidth, Y)
    left, x, right = np.linalg.svd(Y, full_matrices=False)
    size = x[0] or 1.0
    deviation = math.sqrt(noise) / Y.size**0.25 / size  # of an entry's noise, where the largest singular value is 1
    if not 1e-150 < deviation < 1e150:  # squares would be lost
        return (Y.copy(), 1.0) if deviation < 1.0 else (np.zeros_like(Y), 0.0)
    x, f, slope = x / size, np.zeros(x.size), np.zeros(x.size)
    zero = np.finfo(float).eps * max(Y.shape)  # what is smaller is rounding, and has no direction
    k = np.count_nonzero(x > zero)
    f[:k], slope[:k] = _empirical_map(x[:k], deviation, bandwidth, Y.shape)
    divergence = spectral_divergence(np.maximum(x, zero), f, slope, Y.shape)
    factor = 0.0
    if (power := f @ f) > 0.0:
        factor = min(max((f @ x - deviation**2 * Y.size * divergence) / power, 0.0), 1.0)
    return (left * (size * factor * f)) @ right, factor * divergence


def _check_bandwidth(bandwidth, Y):
    if bandwidth is None:
        return 0.75 * min(Y.shape) ** (-1.0 / 3.0)
    return min(max(check_number("bandwidth", bandwidth, "positive"), 1e-9), 1e9)  # beyond, nothing changes


def _empirical_map(x, deviation, bandwidth, shape):
    """Map of the singular values that are not 0, descending, and the derivative of each image by its own value.

    `deviation` is that of the noise on an entry of the matrix.
    """
    width = bandwidth * math.sqrt(min(shape))
    walls = sum(shape) - 2 * x.size  # what repels at 0: the long side, and singular values that vanish
    t = x / (deviation * width)
    apart, images = _smoothed_inverse(t[:, None] - t), _smoothed_inverse(t[:, None] + t)
    for matrix in (*apart, *images):
        np.fill_diagonal(matrix, 0.0)
    drift = (apart[0] + images[0]).sum(axis=1) + walls / t
    pools = isotonic_regression(x - (deviation / width) * drift, increasing=False)
    # Row j, column k: derivative of the value j by x_k. Pools share their mean.
    jacobian = (apart[1] - images[1]) / width**2
    jacobian[np.diag_indices(x.size)] = 1.0 - ((apart[1] + images[1]).sum(axis=1) - walls / t / t) / width**2
    sizes = np.diff(pools.blocks)
    slope = np.add.reduceat(jacobian, pools.blocks[:-1], axis=0) / sizes[:, None]
    slope = slope[np.repeat(np.arange(sizes.size), sizes), np.arange(x.size)]
    return np.maximum(pools.x, 0.0), np.where(pools.x > 0.0, slope, 0.0)


def _smoothed_inverse(t):
    """1/t smoothed by a normal law of variance 1, and its derivative."""
    smooth = math.sqrt(2.0) * dawsn(t / math.sqrt(2.0))
    return smooth, 1.0 - t * smooth


def _check_matrix(Y):
    Y = as_real("Y", Y)
    if Y.ndim != 2 or 0 in Y.shape:
        raise ValueError(f"Y must be a finite matrix of shape (L, d), got shape {Y.shape}")
    if not np.isfinite(Y).all():
        raise ValueError(f"Y must be a finite matrix, got {Y[~np.isfinite(Y)][0]}")
    return Y


def soft_threshold(Y: ArrayLike, theta: float) -> tuple[Array, Array]:
    """Lower the singular values of a matrix by theta, to no less than 0: the denoiser of the nuclear norm.

    Parameters
    ----------
    Y : array_like, shape (L, d)
        Any matrix.
    theta : float
        Threshold in the unit of Y, zero or positive.

    Returns
    -------
    S : ndarray, shape (L, d)
        The minimiser of ``||S - Y||^2 / 2 + theta ||S||_*``.
    sigma : ndarray, shape (min(L, d),)
        The singular values of Y, in ascending order.

    Raises
    ------
    ValueError
        If Y is not a finite matrix, or theta not a number that is zero or positive.

    References
    ----------
    Book, chapter 11, :eq:`eq-11-stein`.
    """
    Y, theta = _check_matrix(Y), check_number("theta", theta, "non-negative")
    if len(Y) > len(Y.T):
        S, sigma = soft_threshold(Y.T, theta)
        return S.T, sigma
    # From the smaller Gram matrix: values below 1e-8 of the largest are rounding, but then theta takes them all.
    squares, left = np.linalg.eigh(Y @ Y.T)
    sigma = np.sqrt(np.maximum(squares, 0.0))
    kept = np.searchsorted(sigma, theta, side="right")
    left = left[:, kept:]
    return (left * (1.0 - theta / sigma[kept:])) @ (left.T @ Y), sigma


def soft_threshold_error(
    theta: ArrayLike, beta: ArrayLike = 1.0, rho: ArrayLike = 1.0, noise: ArrayLike = 1.0
) -> tuple[Numbers, Numbers]:
    """Error and divergence of soft thresholding the singular values of Y, in the high-dimensional limit.

    Parameters
    ----------
    theta : array_like
        Threshold on the singular values of Y, zero or positive.
    beta, rho, noise : array_like
        As in `mmse`, noise positive.

    Returns
    -------
    mse : float or ndarray, broadcast shape
        Mean-square error per entry of S; 1 where nothing is above the threshold.
    divergence : float or ndarray, broadcast shape
        Mean over the entries of the derivative of the estimate of an entry with respect to its observation.

    Raises
    ------
    ValueError
        If an argument is out of range or not finite.

    Warns
    -----
    ConvergenceWarning
        If the law was not found somewhere, as may happen for arguments of extreme size.

    References
    ----------
    Book, chapter 11, :eq:`eq-11-stein` and :eq:`eq-11-contour`.
    """
    theta, beta, rho, noise = check_broadcast(
        theta=(theta, "non-negative"), beta=(beta, "positive"), rho=(rho, "positive"), noise=(noise, "positive")
    )
    error, divergence = np.empty(theta.size), np.empty(theta.size)
    flat = [a.flatten() for a in (theta, aspect_ratio(beta), rho, noise)]
    if not in_chunks(_soft_threshold.errors, flat, [error, divergence]):
        warn_convergence("the error of soft thresholding was not found everywhere")
    return error.reshape(theta.shape)[()], divergence.reshape(theta.shape)[()]


def spectral_divergence(x: ArrayLike, f: ArrayLike, slope: ArrayLike, shape: tuple[int, int]) -> float:
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
    x, f, slope = (a.astype(np.float64) for a in (x, f, slope))
    return float(_denoisers.divergence(x, f, slope, max(shape)) / (shape[0] * shape[1]))


def spectral_error(
    f: Callable[[Array], Array], beta: float = 1.0, rho: float = 1.0, noise: float = 1.0, *, kinks: ArrayLike = ()
) -> tuple[float, float]:
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
    law = quadrature(b, rho, noise, breaks=check_real("kinks", kinks, "non-negative"))
    f_x = f(law.x)
    divergence = np.sum(law.weight * f_x * ((b - 1.0) / (b * law.x) + 2.0 / b * law.hilbert))
    residual = np.sum(law.weight * (f_x - law.x) ** 2) / math.sqrt(b)
    return float(residual - noise + 2.0 * noise * divergence), float(divergence)
