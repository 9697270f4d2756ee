"""What users give: labelled matrices of any type, or their entries in rows; labels, weights."""

import numpy as np
from sklearn.utils.validation import _check_sample_weight, check_array, validate_data

from bsr._checks import check_range, refuse_masked

__all__ = ["check_equal", "check_shape", "check_weights", "read_samples", "read_tokens"]


def check_shape(shape):
    """(L, d), or None."""
    if shape is None:
        return None
    try:
        L, d = (int(size) for size in shape)
        fine = L > 0 and d > 0 and (L, d) == tuple(shape)
    except (TypeError, ValueError):
        fine = False
    if not fine:
        raise ValueError(f"shape must be a pair (L, d) of integers >= 1, or None, got {shape!r}")
    return L, d


def read_tokens(estimator, X):
    """X for predictions, as float64 of shape (n, L, d) with NaN where missing."""
    return _read(estimator, X, {}, False)[0]


def read_samples(estimator, X, y, numeric):
    """X and its labels, to learn from."""
    _check("y", refuse_masked, y)
    if numeric and _is_text(np.asarray(y)):
        raise ValueError(f"y must be real numbers, got text, {np.asarray(y).flat[0]!s}; BilinearClassifier takes it")
    tokens, y = _read(estimator, X, {"y": y, "y_numeric": numeric}, True)
    check_range("X", tokens[np.isfinite(tokens)])
    if numeric:
        check_range("y", np.asarray(y, dtype=np.float64))
    return tokens, y


def _read(estimator, X, labels, fitting):
    shape = check_shape(estimator.shape)
    _check("X", refuse_masked, X)
    dimensions = _dimensions(X)
    if dimensions > 3:
        raise ValueError(f"X must have shape (n, L, d) or (n, L d), got {dimensions} axes")
    three = dimensions == 3
    if three:
        X = check_array(
            X, dtype=np.float64, allow_nd=True, ensure_all_finite="allow-nan", estimator=estimator, input_name="X"
        )
        if shape is not None and X.shape[1:] != shape:
            raise ValueError(f"X must have shape (n, {shape[0]}, {shape[1]}) as shape says, got {X.shape}")
        if 0 in X.shape:
            raise ValueError(f"X must have no empty axis, got shape {X.shape}")
        L, d = X.shape[1:]
        _check_learned(estimator, (L, d), fitting)
        X = X.reshape(len(X), -1)
    options = {"reset": fitting, "dtype": np.float64, "ensure_all_finite": "allow-nan"}
    out = validate_data(estimator, X, **labels, **options)
    flat, *rest = out if labels else (out,)
    if not three:
        L, d = shape or ((1, flat.shape[1]) if fitting else estimator.tokens_shape_)
        if L * d != flat.shape[1]:
            raise ValueError(f"X must have L d = {L * d} columns for shape=({L}, {d}), got {flat.shape[1]}")
        _check_learned(estimator, (L, d), fitting)
    return flat.reshape(len(flat), L, d), *rest


def _check_learned(estimator, shape, fitting):
    if not fitting and shape != estimator.tokens_shape_:
        raise ValueError(f"X must have sequences of shape {estimator.tokens_shape_}, as in fit, got {shape}")


def _check(name, test, value):
    """A test that does not know the argument's name."""
    try:
        test(value)
    except ValueError as error:
        raise ValueError(f"{name} must be real numbers: {error}") from None


def _is_text(array):
    return getattr(getattr(array, "dtype", None), "kind", None) in ("U", "S")


def _dimensions(X):
    """Of whatever holds numbers; text and unequal lengths are told by name."""
    array = X
    try:
        if not hasattr(X, "shape"):
            array = np.asarray(X)
        elif len(X.shape) == 1 and X.dtype == object:  # of sequences
            array = np.asarray(list(X))
    except ValueError:
        lengths = sorted({len(part) for part in X if hasattr(part, "__len__")})
        said = f": they have from {lengths[0]} to {lengths[-1]} tokens" if len(lengths) > 1 else ""
        raise ValueError(
            f"X must have sequences of one length and tokens of one dimension{said}. Pad with NaN, which stands for "
            "missing entries, cut, or resample them"
        ) from None
    if _is_text(array):
        raise ValueError("X must be real numbers, got text: let tokens have a channel for each letter, zero or one")
    return len(array.shape)


def check_weights(sample_weight, X):
    """Non-negative weights, one a sample; by default ones."""
    _check("sample_weight", refuse_masked, sample_weight)
    weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if not weights.any():
        raise ValueError("sample_weight must be positive for some sample, got zeros only")
    return weights


def check_equal(what, weights):
    """Refuse weights that are neither zero nor all the same."""
    used = weights[weights > 0.0]
    if np.ptp(used) > 0.0:
        raise ValueError(f"sample_weight must be zeros and equal weights for {what}, got {used.min()} and {used.max()}")
