"""The public interface as a whole: how every function takes numbers and arrays, and that it checks them.

Here one bad value for each argument; all kinds of bad values are in test_checks.
"""

import functools
import json
import pickle
import warnings
from dataclasses import fields
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

import bsr
from bsr import channels, denoising, estimators, spectrum
from bsr.theory import bayes, limits, nuclear_norm, ridge


@functools.wraps(nuclear_norm.sample_complexity)
def best_sample_complexity(error, beta, rho, delta):
    return nuclear_norm.sample_complexity(error, beta, rho, delta, lam=None)


@functools.wraps(nuclear_norm.sample_complexity)
def error_of_soft_thresholding(theta, beta, rho, noise):
    return denoising.soft_threshold_error(theta, beta, rho, noise)[0]


def sample_complexity_of_interpolation(error, beta, rho, delta):
    return nuclear_norm.sample_complexity(error, beta, rho, delta, lam=0.0)


def error_for_correlated_tokens(alpha, delta, lam):
    return ridge.correlated_mse(alpha, np.array([0.5, 1.0, 2.0]), 0.75, delta=delta, lam=lam)


def error_for_signs(alpha, beta, rho):
    return bayes.mmse(alpha, beta, rho, channel=channels.Sign(0.5))


def free_entropy_for_moduli(q, alpha, beta, rho):
    return bayes.free_entropy(q, alpha, beta, rho, channel=channels.Abs(0.5))


# Functions that broadcast, with a good value for each argument.
ELEMENTWISE = {
    bayes.mmse: {"alpha": 0.375, "beta": 2.0, "rho": 0.25, "delta": 0.5},
    bayes.algorithmic_mmse: {"alpha": 0.375, "beta": 2.0, "rho": 0.25, "delta": 0.5},
    error_for_signs: {"alpha": 0.375, "beta": 2.0, "rho": 0.25},
    free_entropy_for_moduli: {"q": 0.5, "alpha": 0.375, "beta": 2.0, "rho": 0.25},
    bayes.sample_complexity: {"error": 0.5, "beta": 2.0, "rho": 0.25, "delta": 0.5},
    bayes.free_entropy: {"q": 0.5, "alpha": 0.375, "beta": 2.0, "rho": 0.25, "delta": 0.5},
    ridge.mse: {"alpha": 0.375, "delta": 0.5, "lam": 0.25},
    error_for_correlated_tokens: {"alpha": 0.375, "delta": 0.5, "lam": 0.25},
    ridge.sample_complexity: {"error": 0.5, "delta": 0.5},
    nuclear_norm.mse: {"alpha": 0.375, "beta": 2.0, "rho": 0.25, "delta": 0.5, "lam": 0.25},
    nuclear_norm.optimal_lam: {"alpha": 0.375, "beta": 2.0, "rho": 0.25, "delta": 0.5},
    best_sample_complexity: {"error": 0.5, "beta": 2.0, "rho": 0.25, "delta": 0.5},
    sample_complexity_of_interpolation: {"error": 0.5, "beta": 2.0, "rho": 0.25, "delta": 0.125},
    nuclear_norm.recovery_threshold: {"beta": 2.0, "rho": 0.25},
    limits.strong_recovery: {"beta": 2.0, "rho": 0.25},
    limits.weak_recovery: {"beta": 2.0, "delta": 0.5},
    limits.low_rank_mmse: {"alpha_bar": 0.75, "beta": 2.0, "delta": 0.5},
    limits.long_sequence_mmse: {"alpha": 0.375, "rho": 0.25, "delta": 0.5},
    denoising.mmse: {"noise": 0.5, "beta": 2.0, "rho": 0.25},
    denoising.shrink: {"x": 1.5, "beta": 2.0, "rho": 0.25, "noise": 0.5},
    error_of_soft_thresholding: {"theta": 0.5, "beta": 2.0, "rho": 0.25, "noise": 0.5},
    spectrum.stieltjes: {"x": 1.5, "beta": 2.0, "rho": 0.25, "noise": 0.5},
    spectrum.density: {"x": 1.5, "beta": 2.0, "rho": 0.25, "noise": 0.5},
    spectrum.hilbert: {"x": 1.5, "beta": 2.0, "rho": 0.25, "noise": 0.5},
}


def draw():
    """A sample of the model, by NumPy alone: nothing is compiled when tests are collected."""
    rng = np.random.default_rng(0)
    U, V, X = rng.standard_normal((12, 2)), rng.standard_normal((8, 2)), rng.standard_normal((77, 12, 8))
    S, X = U @ V.T / np.sqrt(2), np.round(X.astype(np.float32), 1)
    y = np.einsum("mij,ij->m", X, S) / np.sqrt(96) + np.sqrt(0.1) * rng.standard_normal(77)
    return SimpleNamespace(X=X, y=y, S=S, U=U, V=V)


# Functions that take single numbers.
DATA = draw()
SAMPLES = {"X": DATA.X, "y": DATA.y}
SINGLE = {
    bayes.state_evolution: {"alpha": 0.4, "beta": 2.0, "rho": 0.25, "delta": 0.5, "q0": 0.0, "iterations": 3},
    bayes.fixed_points: {"alpha": 0.4, "beta": 2.0, "rho": 0.25, "delta": 0.5, "resolution": 10},
    bayes.thresholds: {"beta": 2.0, "rho": 0.25},
    spectrum.edges: {"beta": 2.0, "rho": 0.25, "noise": 0.5},
    spectrum.quadrature: {"beta": 2.0, "rho": 0.25, "noise": 0.5, "tol": 1e-9},
    denoising.rie: {"Y": DATA.S, "rho": 0.25, "noise": 0.5},
    denoising.empirical_rie: {"Y": DATA.S, "noise": 0.5, "bandwidth": 0.5},
    denoising.soft_threshold: {"Y": DATA.S, "theta": 0.5},
    bsr.Problem: {"alpha": 0.4, "beta": 2.0, "rho": 0.25, "delta": 0.5},
    estimators.gamp_rie: SAMPLES | {"rank": 2, "signal": 1.0, "tol": 0.1, "damping": 0.0, "iterations": 50},
    estimators.posterior: SAMPLES
    | {"rank": 2, "delta": 0.5, "sweeps": 20, "burn_in": 5, "thin": 1, "min_effective": 0.0},
    estimators.ridge: SAMPLES | {"lam": 0.1},
    estimators.nuclear_norm: SAMPLES | {"lam": 0.1, "tol": 1e-3, "iterations": 500},
    estimators.gradient_descent: SAMPLES
    | {"rank": 2, "replicas": 1, "steps": 3, "lr": 0.1, "init_scale": 1.0, "weight_decay": 0.0, "record": 3}
    | {"tol": 0.0, "switch": 1e-8, "rng": 0},
}

MASKED = np.ma.masked_array([0.5, 999.0], mask=[False, True])


def arguments(functions, leave_out=()):
    """Each function with each of its arguments."""
    return [
        pytest.param(function, good, name, id=f"{function.__module__}.{function.__qualname__}-{name}")
        for function, good in functions.items()
        for name in good
        if name not in leave_out
    ]


@pytest.fixture(autouse=True)
def no_warnings():
    """Nothing that is tested here should make NumPy or anything else complain."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize(("function", "good", "name"), arguments(ELEMENTWISE))
class TestElementwise:
    def test_a_number_gives_a_number_and_an_array_an_array(self, function, good, name):
        expected, value = function(**good), good[name]
        assert isinstance(expected, float | complex)
        for same in (
            np.array(value),
            np.float32(value),
            np.float16(value),
            Fraction(value),
            np.array(value, dtype=">f8"),
        ):
            result = function(**good | {name: same})
            assert type(result) is type(expected)
            assert result == pytest.approx(expected, rel=1e-10)
        for shape, same in (
            ((2,), [value, value]),
            ((1, 2), ((value, value),)),
            ((2, 3), np.full((3, 2), value).T),
            ((3,), np.full(6, value, dtype=np.float32)[::2]),
            ((0,), []),
            ((3, 0), np.empty((3, 0))),
        ):
            result = function(**good | {name: same})
            assert result.shape == shape
            assert result.dtype in (np.float64, np.complex128)
            np.testing.assert_allclose(result, np.full(shape, expected), rtol=1e-8)

    def test_arrays_broadcast_against_one_another(self, function, good, name):
        columns = {other: np.full(4, value) for other, value in good.items() if other != name}
        assert function(**columns | {name: np.full((3, 1), good[name])}).shape == (3, 4)
        first, *_ = columns
        shapes = rf"{name} \(3,\).*|{first} \(4,\).*" * 2
        with pytest.raises(ValueError, match=shapes):
            function(**columns | {name: np.full(3, good[name])})

    def test_bad_values_are_named(self, function, good, name):
        with pytest.raises(ValueError, match=f"^{name} must be"):
            function(**good | {name: [good[name], np.nan]})


@pytest.mark.parametrize(("function", "good", "name"), arguments(SINGLE, leave_out=("X", "y", "Y", "rng")))
def test_what_is_no_single_number_is_named(function, good, name):
    with pytest.raises(ValueError, match=rf"\b{name}\b"):
        function(**good | {name: [0.5, 0.5, 0.5]})


# Data


ESTIMATORS = {function: good for function, good in SINGLE.items() if function.__module__.startswith("bsr.estimators")}


@pytest.mark.parametrize(("function", "good"), [pytest.param(f, good, id=f.__name__) for f, good in ESTIMATORS.items()])
class TestData:
    def test_any_real_type_gives_the_same(self, function, good):
        X = np.round(DATA.X)  # exact in all of them
        expected = function(**good | {"X": X.astype(np.float64)}).S
        for same in (X, X.astype(int), X.astype(np.float16), X.astype(">f4"), X.astype(np.longdouble), X.tolist()):
            np.testing.assert_allclose(function(**good | {"X": same}).S, expected, rtol=1e-3, atol=1e-3)
        y = np.round(DATA.y)
        expected = function(**good | {"y": y}).S
        for same in (y.tolist(), y.astype(np.float32), y.astype(int), np.repeat(y, 2)[::2]):
            np.testing.assert_array_equal(function(**good | {"y": same}).S, expected)

    def test_the_memory_of_tokens_does_not_matter(self, function, good, tmp_path):
        X = DATA.X
        expected = function(**good).S
        read_only, doubled = X.copy(), np.repeat(np.repeat(X, 2, axis=0), 2, axis=2)
        read_only.flags.writeable = False
        np.save(tmp_path / "X.npy", X)
        for same in (
            read_only,
            np.load(tmp_path / "X.npy", mmap_mode="r"),
            np.asfortranarray(X),
            X.transpose(0, 2, 1).copy().transpose(0, 2, 1),
            doubled[::2, :, ::2],
            np.frombuffer(b"x" + X.tobytes(), X.dtype, offset=1).reshape(X.shape),
        ):
            np.testing.assert_array_equal(function(**good | {"X": same}).S, expected)

    def test_the_result_can_be_stored_compared_and_shown(self, function, good):
        result = function(**good)
        copy = pickle.loads(pickle.dumps(result))
        np.testing.assert_array_equal(copy.S, result.S)
        assert result == result
        assert result != copy
        assert len({result, copy, result}) == 2
        assert "\n" not in repr(result)
        assert len(repr(result)) < 250
        assert repr(result).startswith(f"{type(result).__name__}(S=<")
        values = {field.name: getattr(result, field.name) for field in fields(result)}
        assert type(values["converged"]) is bool
        assert type(values["iterations"]) is int
        numbers = {name: v for name, v in values.items() if not isinstance(v, np.ndarray) and name != "history"}
        assert json.loads(json.dumps(numbers)) == numbers
        if "history" in values:
            assert values["history"] != copy.history
            assert hash(values["history"]) != hash(copy.history)
            assert "\n" not in repr(values["history"])

    @pytest.mark.parametrize("bad", [MASKED, None, 1.0, DATA.X[0], DATA.X[:0], DATA.X[:, :0], DATA.X[:-1], 1j * DATA.X])
    def test_bad_tokens_are_named(self, function, good, bad):
        with pytest.raises(ValueError, match=r"^[Xy] must"):
            function(**good | {"X": bad})

    @pytest.mark.parametrize("name", ["X", "y"])
    def test_masked_samples_are_refused(self, function, good, name):
        masked = np.ma.masked_array(good[name], mask=np.zeros_like(good[name], dtype=bool))
        masked[3] = np.ma.masked
        with pytest.raises(ValueError, match=f"^{name} must be .* masked"):
            function(**good | {name: masked})

    @pytest.mark.parametrize("bad", [1e-31, 1e-100, 1e31])
    def test_extreme_scales_are_refused(self, function, good, bad):
        for name in ("X", "y"):
            with pytest.raises(ValueError, match=f"^{name} must (be finite and at most|have entries of at least)"):
                function(**good | {name: bad * np.sign(good[name]).astype(np.float64)})

    @pytest.mark.parametrize("bad", [np.nan, -np.inf, 1e200])
    def test_tokens_and_labels_must_be_finite_and_no_larger_than_powers_allow(self, function, good, bad):
        for name in ("X", "y"):
            value = good[name].astype(np.float64)
            value.flat[3] = bad
            with pytest.raises(ValueError, match=f"^{name} must be finite"):
                function(**good | {name: value})

    @pytest.mark.parametrize("bad", [MASKED, None, DATA.y[:, None], DATA.y[1:], 1j * DATA.y, DATA.y.astype(str)])
    def test_bad_labels_are_named(self, function, good, bad):
        with pytest.raises(ValueError, match=r"^y must"):
            function(**good | {"y": bad})

    @pytest.mark.parametrize(
        ("n", "L", "d"), [(1, 4, 5), (3, 1, 5), (3, 5, 1), (3, 1, 1), (1, 1, 1), (50, 3, 4)], ids=str
    )
    @pytest.mark.parametrize("rank", [1, 2, 7])
    def test_the_smallest_sizes_work(self, function, good, n, L, d, rank):
        rng = np.random.default_rng(0)
        X, S = rng.standard_normal((n, L, d)), rng.standard_normal((L, d))
        options = good | {"X": X, "y": np.einsum("mij,ij->m", X, S) / np.sqrt(d * L)}
        if "rank" in good:
            options["rank"] = rank
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bsr.ConvergenceWarning)
            result = function(**options)
        assert np.shape(result.S)[-2:] == (L, d)
        assert np.isfinite(result.S).all()


@pytest.mark.parametrize("function", [estimators.posterior, estimators.gradient_descent, bsr.Problem.sample])
@pytest.mark.parametrize("bad", [-1, 1.5, "seed", object()], ids=["negative", "fraction", "text", "object"])
def test_a_bad_seed_is_named(function, bad):
    arguments = {"self": bsr.Problem(0.4), "d": 5} if function is bsr.Problem.sample else SINGLE[function]
    with pytest.raises(ValueError, match=r"^rng must be"):
        function(**arguments | {"rng": bad})


@pytest.mark.parametrize("bad", [MASKED, 1.0, None, 1j * DATA.S, np.nan * DATA.S])
def test_a_bad_teacher_is_named(bad):
    with pytest.raises(ValueError, match=r"^teacher must"):
        estimators.TeacherError(bad)


@pytest.mark.parametrize("function", [estimators.posterior, estimators.gradient_descent])
@pytest.mark.parametrize(
    "bad", ["ab", 5, 1j * DATA.S, (DATA.U,), (DATA.U, 1j * DATA.V), (DATA.V, DATA.U), (None, None)]
)
def test_a_bad_start_is_named(function, bad):
    with pytest.raises(ValueError, match=r"^init must"):
        function(**SINGLE[function] | {"init": bad})


@pytest.mark.parametrize("bad", [MASKED, 1.0, DATA.y, DATA.X, np.zeros((0, 3)), [[np.nan]], 1j * DATA.S])
def test_a_bad_matrix_is_named(bad):
    with pytest.raises(ValueError, match=r"^Y must be"):
        denoising.rie(bad, 0.2, 0.1)
    for noise in (0.0, 0.1):
        with pytest.raises(ValueError, match=r"^rho must be"):
            denoising.rie(DATA.S, -0.2, noise)


@pytest.mark.parametrize("bad", [MASKED, "0.5", np.nan, -1.0, np.inf], ids=lambda bad: repr(bad)[:20])
def test_a_bad_kink_is_named(bad):
    with pytest.raises(ValueError, match=r"^breaks must be"):
        spectrum.quadrature(breaks=bad)
    with pytest.raises(ValueError, match=r"^kinks must be"):
        denoising.spectral_error(np.sqrt, kinks=bad)


@pytest.mark.parametrize("bad", ["float16", "abc", int, ">f4", complex], ids=str)
def test_a_bad_type_of_tokens_is_named(bad):
    with pytest.raises(ValueError, match=r"^dtype must be float32 or float64"):
        bsr.Problem(0.4).sample(5, dtype=bad)


@pytest.mark.parametrize("ratio", ["alpha", "beta", "rho"])
def test_sizes_that_overflow_are_refused(ratio):
    with pytest.raises(ValueError, match=f"d=100 is too large for .*{ratio}=1e\\+308"):
        bsr.Problem(**{"alpha": 0.4, ratio: 1e308}).sizes(100)


@pytest.mark.slow
@pytest.mark.parametrize("value", [1e-300, 1e-100, 1e-16, 1e30, 1e200])
@pytest.mark.parametrize(("function", "good", "name"), arguments(ELEMENTWISE))
def test_out_of_reach_of_the_arithmetic_a_number_or_a_warning(function, good, name, value):
    if name in ("q", "error") and value > 1:
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = function(**good | {name: value})
    assert {warning.category for warning in caught} <= {bsr.ConvergenceWarning}
    assert caught or not np.isnan(result)
