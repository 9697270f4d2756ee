"""The checks of arguments: every kind of bad value, once; that every function uses them is shown in test_contract."""

import sys
import warnings
from fractions import Fraction

import numpy as np
import pytest

import bsr
from bsr import _checks
from bsr.tokens._open import open_samples

NOT_REAL = {
    "text": "0.5",
    "bytes": b"1",
    "complex": 0.5j,
    "complex list": [0.5j],
    "complex array": np.array(0.5j),
    "dict": {},
    "object": object(),
    "ragged": [[1.0], [1.0, 2.0]],
    "ragged arrays": [np.ones(2), np.ones(3)],
    "none": None,
    "none in a list": [0.5, None],
    "text among objects": np.array([0.5, "0.5"], dtype=object),
    "dates": np.array(["2020-01-01"], dtype="datetime64[D]"),
    "too large an integer": 10**400,
    "masked": np.ma.masked_array([0.5, 999.0], mask=[False, True]),
    "masked constant": np.ma.masked,
    "list of masked": [np.ma.masked_array([0.5, 999.0], mask=[False, True])],
    "tuple of masked": (np.ma.masked_array([0.5, 999.0], mask=[False, True]),),
    "deep list of masked": [([np.ma.masked, 0.5],)],
}
NOT_IN = {
    "finite": [np.nan, np.inf, -np.inf],
    "positive": [np.nan, np.inf, -np.inf, -1.5, 0.0],
    "non-negative": [np.nan, np.inf, -1.5, -1e-300],
    "fraction": [np.nan, np.inf, -1.5, 0.0, 1.0, 1.5],
    "overlap": [np.nan, -1e-300, 1.0 + 1e-15],
    "weight": [np.nan, -1e-300, 1.0],
}


@pytest.mark.parametrize("bad", NOT_REAL.values(), ids=NOT_REAL)
def test_what_is_not_real_is_refused_by_name(bad):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for check in (_checks.as_real, lambda name, value: _checks.check_real(name, value, "finite")):
            with pytest.raises(ValueError, match=r"^thing must be a real number or an array of them, got"):
                check("thing", bad)


@pytest.mark.parametrize(("condition", "bad"), [(name, value) for name, values in NOT_IN.items() for value in values])
def test_what_is_out_of_range_is_refused_by_name(condition, bad):
    with pytest.raises(ValueError, match=r"^thing must be"):
        _checks.check_real("thing", bad, condition)
    with pytest.raises(ValueError, match=r"^thing must be"):
        _checks.check_real("thing", [0.5, bad], condition)
    with pytest.raises(ValueError, match=r"^thing must be"):
        _checks.check_number("thing", bad, condition)


@pytest.mark.parametrize("bad", [0, 1.0, 1.5, np.nan, "1", None, True, 10**400, [1], np.array([1, 2])], ids=str)
def test_what_is_no_integer_is_refused_by_name(bad):
    with pytest.raises(ValueError, match=r"^thing must be an integer >= 1, got"):
        _checks.check_integer("thing", bad, 1)


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), np.float16(0.5), Fraction(1, 2), np.array(0.5, dtype=">f8")])
def test_real_numbers_of_any_type_are_taken(value):
    number = _checks.check_number("thing", value, "positive")
    assert type(number) is float
    assert number == 0.5
    np.testing.assert_array_equal(_checks.as_real("thing", [value, value]), [0.5, 0.5])


def test_a_masked_array_without_masked_entries_is_an_array():
    np.testing.assert_array_equal(_checks.as_real("thing", np.ma.masked_array([1.0, 2.0], mask=False)), [1, 2])


def test_the_mask_is_named():
    with pytest.raises(ValueError, match="1 entries are masked"):
        _checks.as_real("thing", NOT_REAL["masked"])


def test_missing_values_of_pandas_do_not_become_numbers():
    pandas = pytest.importorskip("pandas")
    for kind in ("Int64", "Float64", "boolean"):
        with pytest.raises(ValueError, match=r"^thing must be"):
            _checks.check_real("thing", pandas.Series([1, None], dtype=kind), "finite")
        assert _checks.as_real("thing", pandas.Series([1, 0], dtype=kind)).dtype == np.float64
    with pytest.raises(ValueError, match=r"^thing must be"):
        _checks.as_real("thing", pandas.Series(["0.5", "1"]))


def test_ragged_parts_are_called_so():
    for ragged in (NOT_REAL["ragged"], NOT_REAL["ragged arrays"], np.array([np.ones(2), np.ones(3)], dtype=object)):
        with pytest.raises(ValueError, match="its parts have different lengths"):
            _checks.as_real("thing", ragged)


@pytest.mark.parametrize("error", [TypeError, RuntimeError, NotImplementedError])
def test_the_cause_that_a_container_gives_is_passed_on(error):
    class Tensor:
        def __array__(self, dtype=None, copy=None):
            raise error("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")

    with pytest.raises(ValueError, match=r"^X must be .*Use Tensor\.cpu\(\) first") as refusal:
        _checks.check_tokens(Tensor())
    assert isinstance(refusal.value.__cause__, error)


def layouts(X, folder):
    """The same tokens in other places and orders of memory; whether they need a copy."""
    sliced = np.repeat(np.repeat(X, 2, axis=0), 2, axis=2)[::2, :, ::2]
    read_only = X.copy()
    read_only.flags.writeable = False
    unaligned = np.frombuffer(b"x" + X.tobytes(), X.dtype, offset=1).reshape(X.shape)
    np.save(folder / "X.npy", X)
    return {
        "Fortran": (np.asfortranarray(X), True),
        "transposed": (X.transpose(0, 2, 1).copy().transpose(0, 2, 1), True),
        "sliced": (sliced, True),
        "unaligned": (unaligned, True),
        "read-only": (read_only, False),
        "memory-mapped": (np.load(folder / "X.npy", mmap_mode="r"), False),
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tokens_are_copied_only_where_a_pass_needs_it(tmp_path, dtype):
    X = np.random.default_rng(0).standard_normal((6, 3, 4)).astype(dtype)
    for name, (other, copied) in layouts(X, tmp_path).items():
        taken = _checks.check_tokens(other)
        np.testing.assert_array_equal(taken, X)
        assert taken.flags.c_contiguous, name
        assert taken.flags.aligned
        assert taken.dtype == dtype
        assert np.shares_memory(taken, other) is not copied, name


@pytest.mark.parametrize("name", ["X", "y"])
@pytest.mark.parametrize("scale", [1e-31, 1e-100, 1e-300, 5e-324, 1.1e30, 1e31, 1e300, np.inf, np.nan])
def test_scales_whose_powers_are_no_numbers_are_refused(name, scale):
    good = {"X": np.ones((4, 2, 3)), "y": np.ones(4)}
    with pytest.raises(ValueError, match=rf"^{name} must (be finite|have entries)"):
        open_samples(**good | {name: scale * good[name]})


def test_zeros_and_the_limits_of_scale_are_taken():
    for scale in (0.0, 1e-30, 1e30):
        open_samples(np.full((4, 2, 3), scale), np.full(4, -scale))
    open_samples(np.r_[1e-200, 1.0].reshape(2, 1, 1), [1e-200, 1.0])  # one entry of ordinary size is enough


def test_without_a_scan_tokens_are_not_read():
    X = np.full((4, 2, 3), np.nan)
    assert np.isnan(open_samples(X, np.ones(4), scan=False)[0].array).all()
    with pytest.raises(ValueError, match=r"^y must be finite"):
        open_samples(X, np.full(4, np.nan), scan=False)


def test_a_warning_points_at_the_line_of_the_caller():
    line = sys._getframe().f_lineno + 2
    with pytest.warns(bsr.ConvergenceWarning) as caught:
        bsr.estimators.gamp_rie(np.eye(9).reshape(9, 3, 3) + 0.1, np.arange(9.0), 1, iterations=1)
    assert (caught[0].filename, caught[0].lineno) == (__file__, line)
