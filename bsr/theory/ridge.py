"""Ridge regression on the flattened sequence: it knows neither the rank nor the two sides of the teacher."""

import numpy as np
from numpy.typing import ArrayLike

from bsr._checks import check_broadcast
from bsr._typing import Numbers

__all__ = ["mse", "sample_complexity"]


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
