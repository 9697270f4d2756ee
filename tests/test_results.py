"""What the estimators share: predictions, metrics, callbacks, and the memory that they ask for."""

import inspect
import pickle
import tracemalloc
import warnings

import numpy as np
import pytest

import bsr
from bsr import _memory, estimators
from bsr.estimators import TeacherError

DATA = bsr.Problem(alpha=0.5, beta=1.5, rho=0.25, delta=0.1)
RUNS = {
    "gamp_rie": {"rank": 2, "tol": 1e-4},
    "gradient_descent": {"rank": 2, "replicas": 3, "steps": 50, "tol": 0.0},
    "nuclear_norm": {"lam": 0.1},
    "posterior": {"rank": 2, "delta": 0.1, "sweeps": 40, "burn_in": 10, "min_effective": 0.0},
    "randomised_map": {"rank": 2, "delta": 0.1, "replicas": 3, "steps": 50},
    "ridge": {"lam": 0.1},
}
ITERATIVE = [name for name in RUNS if name != "ridge"]


@pytest.fixture(scope="module")
def data():
    return DATA.sample(12, rng=3)


def run(name, data, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bsr.ConvergenceWarning)
        return getattr(estimators, name)(data.X, data.y, **RUNS[name] | options)


def test_every_estimator_is_here():
    assert {name for name in estimators.__all__ if hasattr(getattr(estimators, name), "memory")} == {
        *RUNS,
        "interpolate",
    }


@pytest.mark.parametrize("name", RUNS)
def test_a_result_predicts_labels(name, data):
    result = run(name, data)
    new = np.random.default_rng(0).standard_normal((5, 18, 12))
    expected = np.einsum("nij,...ij->...n", new, result.S) / np.sqrt(18 * 12)
    np.testing.assert_allclose(result.predict(new), expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(pickle.loads(pickle.dumps(result)).predict(new), expected, rtol=1e-10, atol=1e-12)
    with pytest.raises(ValueError, match=r"S must end in the shape \(12, 18\) of a sequence of X"):
        result.predict(new.transpose(0, 2, 1))


@pytest.mark.parametrize("name", RUNS)
def test_metrics_are_plain_numbers_that_compare_with_the_teacher(name, data):
    result = run(name, data)
    found = result.metrics(data.S)
    assert {type(value) for value in found.values()} <= {float, int, bool}
    assert found["error"] == pytest.approx(np.mean(bsr.mse(result.S, data.S)))
    lengths = np.linalg.norm(result.S.reshape(-1, 18, 12), "nuc", axis=(1, 2))
    assert found["nuclear_ratio"] == pytest.approx(np.mean(lengths) / np.linalg.norm(data.S, "nuc"))
    assert found["recovered"] == 0.0
    assert result.metrics(result.S if result.S.ndim == 2 else result.S[0])["recovered"] > 0.0
    assert (found["iterations"], found["converged"]) == (result.iterations, result.converged)
    for bad, message in (
        (data.S.T, "the shape"),
        (data.S[None], "the shape"),
        (0 * data.S, "zero"),
        (np.nan, "finite"),
    ):
        with pytest.raises(ValueError, match=rf"^teacher must .*{message}"):
            result.metrics(bad)


def test_metrics_leave_out_replicas_that_diverged(data):
    result = run("gradient_descent", data, lr=[0.1, 1e9, 0.1])
    found = result.metrics(data.S)
    assert found["diverged"] == pytest.approx(1 / 3)
    assert found["error"] == pytest.approx(np.mean(bsr.mse(result.S[[0, 2]], data.S)))
    assert found["overlap_replicas"] == pytest.approx(np.mean(result.S[0] * result.S[2]))
    nothing = run("gradient_descent", data, lr=1e9).metrics(data.S)
    assert np.isnan(nothing["error"])
    assert nothing["diverged"] == 1.0


# Callbacks


@pytest.mark.parametrize("name", ITERATIVE)
def test_a_callback_may_write_to_its_state(name, data):
    def spoil(state):
        for array in (state.S, state.U, state.V):
            if array is not None:
                array[...] = 1e3

    result, spoiled = run(name, data), run(name, data, callback=spoil)
    np.testing.assert_array_equal(spoiled.S, result.S)
    if hasattr(result, "V"):
        np.testing.assert_array_equal(spoiled.V, result.V)


def test_errors_are_kept_of_one_run(data):
    watch = TeacherError(data.S)
    run("gamp_rie", data, callback=watch)
    with pytest.raises(
        ValueError, match=f"a new TeacherError for each run, got iteration 1 after {watch.iteration[-1]}"
    ):
        run("gamp_rie", data, callback=watch)


@pytest.mark.parametrize("name", ITERATIVE)
def test_a_callback_sees_the_estimate_on_the_way_and_changes_nothing(name, data):
    seen, watch = [], TeacherError(data.S)
    result = run(name, data, callback=seen.append)
    np.testing.assert_array_equal(run(name, data).S, result.S)
    run(name, data, callback=watch)
    assert [state.iteration for state in seen] == watch.iteration.tolist() == sorted({s.iteration for s in seen})
    assert seen[-1].iteration == result.iterations
    np.testing.assert_allclose(watch.error, [bsr.mse(state.S, data.S) for state in seen])
    np.testing.assert_allclose(watch.mean_error[-1], bsr.mse(np.mean(seen[-1].S.reshape(-1, 18, 12), axis=0), data.S))
    last = result.samples[-1] if name == "posterior" else result.S
    np.testing.assert_allclose(seen[-1].S, last, rtol=1e-6, atol=1e-9)
    if seen[-1].U is not None:
        np.testing.assert_allclose(
            seen[-1].U @ np.swapaxes(seen[-1].V, -1, -2) / np.sqrt(2), last, rtol=1e-6, atol=1e-9
        )
    assert "\n" not in repr(seen[-1]) + repr(watch)


@pytest.mark.parametrize("answer", [True, np.True_])
@pytest.mark.parametrize("name", ITERATIVE)
def test_a_callback_may_stop(name, answer, data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # who stops it knows that it did not converge
        options = RUNS[name] | {"callback": lambda state: answer if state.iteration >= 5 else None}
        options |= {"min_effective": 1e9} if "min_effective" in options else {}
        result = getattr(estimators, name)(data.X, data.y, **options | ({"tol": 1e-30} if "tol" in options else {}))
    assert result.iterations == {"posterior": 20, "gradient_descent": 5}.get(name, 5)
    assert np.isfinite(result.S).all()
    assert not result.converged


def test_errors_of_a_replica_that_diverged_are_infinite(data):
    watch = TeacherError(data.S)
    run("gradient_descent", data, lr=[0.1, 1e9, 0.1], callback=watch)
    assert np.isinf(watch.error[-1]).tolist() == [False, True, False]
    assert np.isfinite(watch.mean_error).all()
    with pytest.raises(ValueError, match="teacher must have the shape"):
        run("gamp_rie", data, callback=TeacherError(data.S.T))


# Memory


LARGE = {
    "gamp_rie": {"rank": 4, "iterations": 3},
    "gradient_descent": {"rank": 8, "replicas": 24, "steps": 40, "tol": 1e-3, "switch": 0.3},
    "nuclear_norm": {"method": "douglas-rachford", "iterations": 10},
    "posterior": {"rank": 8, "delta": 0.1, "sweeps": 12, "burn_in": 1},
    "randomised_map": {"rank": 8, "delta": 0.1, "replicas": 24, "steps": 40},
    "ridge": {"lam": 0.1},
}


@pytest.mark.parametrize("name", RUNS)
def test_memory_is_what_is_taken(name):
    data = bsr.Problem(alpha=0.7, beta=1.0, rho=0.2, delta=0.1).sample(32, rng=0)
    function, options = getattr(estimators, name), LARGE[name]
    asked = function.memory(data.X.shape, data.X.dtype, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bsr.ConvergenceWarning)
        function(data.X, data.y, **options)  # what is compiled or loaded once does not count
        tracemalloc.start()
        try:
            function(data.X, data.y, **options)
            taken = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert taken <= asked <= 4 * taken


@pytest.mark.parametrize("name", [*RUNS, "interpolate"])
def test_memory_takes_the_options_of_its_estimator(name):
    function = getattr(estimators, name)
    usual = {key: value.default for key, value in inspect.signature(function).parameters.items()}
    asked = inspect.signature(function.memory).parameters
    for key, value in asked.items():
        if key not in ("shape", "dtype", "rank", "delta", "resident", "options"):
            assert usual[key] == value.default, key


def test_a_stack_of_starts_brings_its_own_replicas(data):
    memory, S = estimators.gradient_descent.memory, np.zeros((3, 18, 12))
    asked = memory(data.X.shape, rank=2, replicas=3)
    assert asked > memory(data.X.shape, rank=2, init=S[0])
    for init in (S, S.tolist(), (S[..., :2], S[:, :12, :2])):
        assert memory(data.X.shape, rank=2, init=init) == asked


@pytest.mark.parametrize("name", ["gamp_rie", "gradient_descent", "posterior", "ridge"])
def test_what_does_not_fit_is_refused_with_what_would(name, data, monkeypatch):
    function, options = getattr(estimators, name), RUNS[name] | ({"method": "direct"} if name == "ridge" else {})
    limit = function.memory(data.X.shape, data.X.dtype, **options) // 3
    monkeypatch.setattr(_memory, "_SMALL", 0)
    monkeypatch.setattr(_memory, "available", lambda: limit)
    with pytest.raises(MemoryError, match=rf"^{name} needs .* GB besides X .* d <= (\d+) would fit") as refusal:
        function(data.X, data.y, **options)
    fits = int(str(refusal.value).split("d <= ")[1].split()[0])
    assert 1 < fits < 12
    for d, fine in ((fits, True), (fits + 1, False)):
        shape = len(data.X) * d**2 // 144, 18 * d // 12, d
        rank = {"rank": max(1, 2 * d // 12)} if "rank" in options else {}
        assert (function.memory(shape, data.X.dtype, **options | rank) <= limit) is fine


def test_the_nuclear_norm_does_without_factors_where_they_do_not_fit(data, monkeypatch):
    monkeypatch.setattr(_memory, "_SMALL", 0)
    assert estimators.nuclear_norm(data.X, data.y).method == "douglas-rachford"
    monkeypatch.setattr(_memory, "available", lambda: 200_000)  # enough for passes, not for factors
    assert estimators.nuclear_norm(data.X, data.y).method == "primal-dual"


def test_ridge_does_without_a_gram_matrix_where_it_does_not_fit(data, monkeypatch):
    monkeypatch.setattr(_memory, "_SMALL", 0)
    direct = estimators.ridge(data.X, data.y, 0.1)
    monkeypatch.setattr(_memory, "available", lambda: 100_000)
    iterated = estimators.ridge(data.X, data.y, 0.1)
    assert (direct.method, iterated.method) == ("direct", "conjugate-gradients")
    np.testing.assert_allclose(iterated.S, direct.S, rtol=0, atol=1e-9 * np.abs(direct.S).max())


def test_little_is_never_refused(data, monkeypatch):
    monkeypatch.setattr(_memory, "available", lambda: 0)
    for name in RUNS:
        run(name, data)
