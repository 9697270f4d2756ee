"""Argument checks shared by the public functions: each failure names the argument, its value and what is allowed."""

import warnings

import numpy as np

_CONDITIONS = {
    "positive": (lambda v: v > 0, "positive and finite"),
    "non-negative": (lambda v: v >= 0, "zero or positive, and finite"),
    "fraction": (lambda v: (v > 0) & (v < 1), "strictly between 0 and 1"),
}


class ConvergenceWarning(UserWarning):
    """An iteration or a quadrature stopped before it reached its tolerance."""


def warn_convergence(message):
    """Warn that something did not converge, on behalf of the public function's caller."""
    warnings.warn(message, ConvergenceWarning, stacklevel=3)


def check_real(name, value, condition):
    """Return `value` as a float64 array (0-d for a number) after checking each entry.

    Parameters
    ----------
    name : str
        Argument name for the error message.
    value : array_like
        What the caller was given.
    condition : {'positive', 'non-negative', 'fraction'}
        What is allowed. Infinity and NaN never are.

    Raises
    ------
    ValueError
        If an entry is not a finite real number that meets the condition.
    """
    test, allowed = _CONDITIONS[condition]
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a real number or an array of them, got {value!r}") from None
    bad = ~(np.isfinite(array) & test(array))
    if bad.any():
        raise ValueError(f"{name} must be {allowed}, got {array[bad].item(0)!r}")
    return array


def check_integer(name, value, minimum):
    """Return `value` as an int that is at least `minimum`; raise ValueError otherwise."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer) or value < minimum:
        raise ValueError(f"{name} must be an integer >= {minimum}, got {value!r}")
    return int(value)


def check_samples(X, y):
    """Check token sequences and labels against each other; return them as arrays, X untouched in memory.

    Parameters
    ----------
    X : array_like, shape (n, L, d)
        Token sequences, real. Kept in float32 or float64; any other real type becomes float64.
    y : array_like, shape (n,)
        Labels, returned as float64.

    Raises
    ------
    ValueError
        If the shapes do not match, an axis is empty, or an entry is not finite.
    """
    X = np.asarray(X)
    if X.dtype not in (np.float32, np.float64):
        if X.dtype.kind not in "fiub":
            raise ValueError(f"X must hold real numbers, got dtype {X.dtype}")
        X = X.astype(np.float64)
    if X.ndim != 3 or 0 in X.shape:
        raise ValueError(f"X must have shape (n, L, d) with no empty axis, got {X.shape}")
    y = np.asarray(y, dtype=np.float64)
    if y.shape != X.shape[:1]:
        raise ValueError(f"y must have shape ({X.shape[0]},) to match X {X.shape}, got {y.shape}")
    # A sum is finite only if its terms are; it overflows in float32 long before float64 would.
    if not np.isfinite(X.sum(dtype=np.float64)):
        raise ValueError("X must be finite, got NaN or infinity")
    if not np.isfinite(y).all():
        raise ValueError("y must be finite, got NaN or infinity")
    return X, y
