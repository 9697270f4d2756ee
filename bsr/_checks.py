"""Argument checks shared by the public functions: each failure names the argument, its value and what is allowed."""

import reprlib
import sys
import warnings

import numpy as np

_CONDITIONS = {
    "finite": (lambda v: True, "finite"),
    "positive": (lambda v: v > 0, "positive and finite"),
    "non-negative": (lambda v: v >= 0, "zero or positive, and finite"),
    "fraction": (lambda v: (v > 0) & (v < 1), "strictly between 0 and 1"),
    "overlap": (lambda v: (v >= 0) & (v <= 1), "in [0, 1]"),
    "weight": (lambda v: (v >= 0) & (v < 1), "in [0, 1)"),
}

LARGEST, _SMALLEST = 1e30, 1e-30  # of data: their eighth powers are still numbers


class ConvergenceWarning(UserWarning):
    """An iteration or a quadrature stopped before it reached its tolerance."""


def warn_convergence(message):
    """Warn that something did not converge, at the line outside this package that called it."""
    warn_outside(message, ConvergenceWarning)


def warn_outside(message, category):
    """Warn at the line outside this package that called it."""
    package, level = __name__.partition(".")[0], 1
    frame = sys._getframe(1)
    skipped = (package, "contextlib", "functools")
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in skipped:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level + 1)


def as_real(name, value, keep=(np.float64,)):
    """Return `value` as an array, of type float64 unless its type is one to `keep`; NaN and infinity are let through.

    Raises ValueError if it holds anything but real numbers: NumPy would drop imaginary parts and masks, read text, and
    make NaN of None.
    """
    try:
        refuse_masked(value)
        array = np.asarray(value)
        if array.dtype.kind not in "fiubO":
            raise TypeError(f"its type is {array.dtype}")
        if array.dtype.kind == "O" and (wrong := {type(v) for v in array.flat} & {str, bytes, type(None)}):
            raise TypeError(f"it holds {', '.join(sorted(kind.__name__ for kind in wrong))}")
        return array if array.dtype in keep else array.astype(np.float64)
    except MemoryError:
        raise
    except Exception as error:  # containers raise what they like: a tensor on a GPU, one with gradients, ...
        cause = " ".join(str(error).split())
        if "with a sequence" in cause:
            cause = f"its parts have different lengths ({cause})"
        raise ValueError(
            f"{name} must be a real number or an array of them, got {reprlib.repr(value)}: {cause}"
        ) from error


def refuse_masked(value):
    """Raise ValueError if entries of an array, or of an array in a sequence of them, are masked."""
    if isinstance(value, np.ma.MaskedArray):
        if masked := np.ma.count_masked(value):
            raise ValueError(f"{masked} entries are masked; fill them or leave their samples out")
    elif isinstance(value, list | tuple):
        for part in value:
            refuse_masked(part)


def check_real(name, value, condition):
    """Return `value` as a float64 array (0-d for a number) after checking each entry.

    Parameters
    ----------
    name : str
        Argument name for the error message.
    value : array_like
        What the caller was given.
    condition : {'finite', 'positive', 'non-negative', 'fraction', 'overlap', 'weight'}
        What is allowed. Infinity and NaN never are.

    Raises
    ------
    ValueError
        If an entry is not a finite real number that meets the condition.
    """
    test, allowed = _CONDITIONS[condition]
    array = as_real(name, value)
    bad = ~(np.isfinite(array) & test(array))
    if bad.any():
        raise ValueError(f"{name} must be {allowed}, got {array[bad].item(0)!r}")
    return array


def check_number(name, value, condition):
    """Return `value` as a float; raise ValueError if it is no number, an array, or fails `check_real`."""
    if value is None:
        raise ValueError(f"{name} must be a single number, got None")
    array = check_real(name, value, condition)
    if array.ndim:
        raise ValueError(f"{name} must be a single number, got an array of shape {array.shape}")
    return float(array)


def check_broadcast(**arguments):
    """Check arguments, given as name=(value, condition), and broadcast them against one another."""
    arrays = {name: check_real(name, *given) for name, given in arguments.items()}
    try:
        return np.broadcast_arrays(*arrays.values())
    except ValueError:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(f"arguments must have shapes that broadcast, got {shapes}") from None


def check_integer(name, value, minimum):
    """Return `value` as an int that is at least `minimum`; raise ValueError otherwise."""
    integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not (integer and minimum <= value <= sys.maxsize):
        raise ValueError(f"{name} must be an integer >= {minimum}, got {reprlib.repr(value)}")
    return int(value)


def check_token_type(dtype):
    """Return `dtype` as a NumPy type; raise ValueError if tokens can have no such type."""
    if dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ValueError(f"dtype must be float32 or float64, got {dtype!r}")
    return np.dtype(dtype)


def check_callback(callback):
    """Return `callback`, a function of a state or None; raise ValueError otherwise."""
    if callback is not None and not callable(callback):
        raise ValueError(f"callback must be a function of one argument or None, got {callback!r}")
    return callback


def as_generator(rng):
    """Return the source of randomness `rng` (anything that NumPy takes for one) as a Generator."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError):
        raise ValueError(f"rng must be an integer >= 0 or a numpy.random.Generator, got {rng!r}") from None


def child_generator(rng, child=0):
    """Like `as_generator`, but an integer gives a stream for each child: the same one may have drawn the teacher."""
    return rng if isinstance(rng, np.random.Generator) else as_generator(rng).spawn(child + 1)[child]


def check_tokens(X):
    """Return token sequences, of shape (n, L, d), as an array fit for a pass over memory; entries are not looked at.

    Float32 and float64 are kept, any other real type becomes float64. What is aligned and C-contiguous is returned as
    it is, read-only or not, in memory or on disk; anything else is copied once.
    """
    X = as_real("X", X, keep=(np.float32, np.float64))
    if X.ndim != 3 or 0 in X.shape:
        raise ValueError(f"X must have shape (n, L, d) with no empty axis, got {X.shape}")
    return np.require(X, requirements=["C", "A"])


def in_range(array):
    """Whether the largest modulus of the entries is neither zero nor too small nor too large, and none is NaN."""
    return bool(_SMALLEST <= max(array.max(), -array.min()) <= LARGEST)


def check_range(name, array):
    """Raise ValueError unless the entries of `array` are finite, and the largest has a modulus in range or is zero."""
    largest = max(array.max(), -array.min())  # NaN if there is one
    if not largest <= LARGEST:
        raise ValueError(f"{name} must be finite and at most {LARGEST} in modulus, got {largest}")
    if 0.0 < largest < _SMALLEST:
        raise ValueError(f"{name} must have entries of at least {_SMALLEST} in modulus, or none, got {largest} at most")
