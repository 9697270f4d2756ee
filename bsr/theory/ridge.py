"""Ridge regression on the flattened sequence: it knows neither the rank nor the two sides of the teacher."""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from bsr._checks import check_broadcast, check_real
from bsr._typing import Numbers

__all__ = ["correlated_mse", "mse", "sample_complexity"]


def mse(alpha: ArrayLike, *, delta: ArrayLike = 0.0, lam: ArrayLike | None = None) -> Numbers:
    """Error of ridge regression: minimise sum (y - <X, S>/sqrt(dL))^2 + lam ||S||^2.

    Parameters
    ----------
    alpha : array_like
        Sample complexity n / (dL), positive.
    delta : array_like, default 0.0
        Variance of the label noise, zero or positive.
    lam : array_like or None, default None
        Penalty, zero (least squares of minimal norm) or positive. None means the best one, lam = delta.

    Returns
    -------
    float or ndarray, broadcast shape
        The same for every beta and rho. Infinite at the interpolation threshold (alpha = 1, lam = 0, delta > 0).

    Raises
    ------
    ValueError
        If an argument is out of range or not finite.

    Notes
    -----
    With D = sqrt((lam + alpha - 1)^2 + 4 lam) and T = (D - lam - alpha + 1) / 2, the limit of lam tr (A^T A + lam)^-1
    per dimension, the error is [T (T + lam) + delta (1 - T)] / D. Book, chapter 2,
    :eq:`eq-02-mse` (theorem, Marchenko-Pastur law).
    """
    alpha, delta, lam = check_broadcast(
        alpha=(alpha, "positive"),
        delta=(delta, "non-negative"),
        lam=(delta if lam is None else lam, "non-negative"),
    )
    shift = lam + alpha - 1.0
    D = np.hypot(shift, 2.0 * np.sqrt(lam))
    # The two forms of T are the same number; each is free of cancellation on its side.
    with np.errstate(divide="ignore", invalid="ignore"):
        T = np.where(shift > 0.0, 2.0 * lam / (D + shift), 0.5 * (D - shift))
        out = (T * (T + lam) + delta * (1.0 - T)) / D
    return np.where(D > 0.0, out, np.where(delta > 0.0, np.inf, 0.0))[()]


def sample_complexity(error: ArrayLike, *, delta: ArrayLike = 0.0) -> Numbers:
    """Sample complexity alpha at which the error of ridge regression with the best penalty is `error`.

    Parameters
    ----------
    error : array_like
        Target error per entry, strictly between 0 and 1.
    delta : array_like, default 0.0
        Variance of the label noise, zero or positive.

    Returns
    -------
    float or ndarray, broadcast shape
        (delta + error) (1 - error) / error, the same for every beta and rho.

    Raises
    ------
    ValueError
        If an argument is out of range or not finite.

    References
    ----------
    Book, chapter 2, :eq:`eq-02-linear-denoiser`: the error of linear denoising, noise / (1 + noise), at
    noise = (delta + error) / alpha.
    """
    error, delta = check_broadcast(error=(error, "fraction"), delta=(delta, "non-negative"))
    with np.errstate(over="ignore"):
        return ((delta + error) * (1.0 - error) / error)[()]


def correlated_mse(
    alpha: ArrayLike, left: ArrayLike, right: ArrayLike, *, delta: ArrayLike = 0.0, lam: ArrayLike | None = None
) -> Numbers:
    """Error of ridge regression on the labels of correlated tokens X = A Z B, with Z white.

    Parameters
    ----------
    alpha : array_like
        Sample complexity n / (dL), positive.
    left, right : array_like, shapes (L,) and (d,)
        Eigenvalues of the covariances of positions, A A^T, and of channels, B^T B: zero or positive, not all zero.
        Only their products matter. One number stands for many equal ones.
    delta : array_like, default 0.0
        Variance of the label noise, zero or positive.
    lam : array_like or None, default None
        Penalty, zero or positive. None means the best one, lam = delta, whatever the covariances.

    Returns
    -------
    float or ndarray, broadcast shape of alpha, delta and lam
        E <X, S_hat - S>^2 / (dL) over fresh sequences: the test error without noise. For S_hat = 0 it is the product of
        the mean eigenvalues. `mse` where all eigenvalues are 1. Infinite at lam = 0, delta > 0 where alpha is the
        share of the products that are positive.

    Raises
    ------
    ValueError
        If an argument is out of range or not finite.

    Notes
    -----
    With averages over the products s of eigenvalues, kappa is the root of kappa (alpha - <s/(s + kappa)>) = lam, and
    with m = kappa <s/(s + kappa)^2> the error is [alpha kappa m + delta <s^2/(s + kappa)^2>] / (lam/kappa + m): the
    deterministic equivalent of the resolvent, a theorem for independent entries of Z with enough moments. Of the
    teacher it takes that its entries are uncorrelated and of variance 1.

    References
    ----------
    Dobriban and Wager, arXiv:1507.03003; Hastie, Montanari, Rosset and Tibshirani, arXiv:1903.08560. Book, chapter 17,
    :eq:`eq-17-ridge`; white tokens: chapter 2.
    """
    left, right = (_eigenvalues(name, values) for name, values in (("left", left), ("right", right)))
    alpha, delta, lam = check_broadcast(
        alpha=(alpha, "positive"),
        delta=(delta, "non-negative"),
        lam=(delta if lam is None else lam, "non-negative"),
    )
    products = np.multiply.outer(left, right).ravel()
    values = [_correlated_mse(*point, products) for point in zip(alpha.flat, delta.flat, lam.flat, strict=True)]
    return np.reshape(np.array(values, dtype=np.float64), alpha.shape)[()]


def _eigenvalues(name, values):
    values = np.atleast_1d(check_real(name, values, "non-negative"))
    if values.ndim != 1 or not values.any():
        raise ValueError(f"{name} must be eigenvalues in one row, not all zero, got {values!r}")
    return values


def _correlated_mse(alpha, delta, lam, s):
    present = s[s > 0.0]
    share = present.size / s.size
    if lam == 0.0 and alpha >= share:  # kappa = 0
        return delta * share / (alpha - share) if alpha > share else (math.inf if delta > 0.0 else 0.0)

    def excess(log_kappa):  # alpha - <s/(s + kappa)> - lam/kappa, without cancellation next to alpha = share
        kappa = math.exp(log_kappa)
        if alpha < 0.5 * share:
            return alpha - np.mean(s / (s + kappa)) - lam / kappa
        return alpha - share + np.sum(kappa / (present + kappa)) / s.size - lam / kappa

    low = max(lam / alpha, present.min() * (share / alpha - 1.0))
    high = (lam + s.mean()) / alpha
    kappa = math.exp(brentq(excess, math.log(low) - 1.0, math.log(high) + 1.0, xtol=1e-14, rtol=1e-14))
    kept = s / (s + kappa)
    m = np.mean(kept * (kappa / (s + kappa)))
    return (alpha * kappa * m + delta * np.mean(kept**2)) / (lam / kappa + m)
