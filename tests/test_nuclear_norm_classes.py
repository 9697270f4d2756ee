"""The nuclear norm with the log-loss of classes: its certificate computed anew, other minimisers, symmetries."""

import json

import numpy as np
import pytest
from scipy.optimize import minimize

import bsr
from bsr.channels import Abs, Linear, Logistic, Sign
from bsr.estimators import TeacherError, _logistic, nuclear_norm

pytestmark = pytest.mark.usefixtures("one_thread")


def rows(X):
    """The matrix A of the model, h = A vec(S), in float64."""
    return X.reshape(len(X), -1).astype(np.float64) / np.sqrt(X[0].size)


def singular_values(S):
    return np.linalg.svd(S, compute_uv=False)


def classes(alpha=1.5, d=8, beta=1.0, rho=0.25, scale=0.5, seed=0, dtype=np.float64):
    return bsr.Problem(alpha, beta, rho, channel=Logistic(scale)).sample(d, rng=seed, dtype=dtype)


def threshold(data, scale=0.5):
    """The least lam at which S = 0."""
    return singular_values((rows(data.X).T @ data.y).reshape(data.S.shape))[0] / (2 * scale) / data.S.size**0.25


def value(X, y, S, lam, scale=0.5):
    margin = y * (rows(X) @ S.ravel()) / scale
    return np.sum(np.logaddexp(0.0, -margin)) + lam * S.size**0.25 * singular_values(S).sum()


def certified_gap(data, result, lam, scale=0.5, y=None):
    """Relative distance between the primal and the dual value, after a check that the dual point is feasible."""
    y = data.y if y is None else y
    assert singular_values((rows(data.X).T @ result.dual).reshape(data.S.shape))[0] <= 1.0 + 1e-12
    a = lam * data.S.size**0.25 * scale * y * result.dual
    assert np.all((a > 0.0) & (a < 1.0))
    return 1.0 - np.sum(-a * np.log(a) - (1 - a) * np.log1p(-a)) / value(data.X, y, result.S, lam, scale)


@pytest.mark.parametrize("share", [0.9, 0.3, 0.1, 0.01])
@pytest.mark.parametrize(("alpha", "beta", "dtype"), [(0.6, 2.0, np.float32), (1.5, 1.0, np.float64), (4, 0.5, float)])
def test_the_certificate_holds(alpha, beta, dtype, share):
    """From few samples, whose classes can be separated, to many."""
    data = classes(alpha, 10, beta, dtype=dtype)
    lam = share * threshold(data)
    for tol in (1e-3, 1e-8):
        result = nuclear_norm(data.X, data.y, lam, channel=Logistic(0.5), tol=tol)
        assert result.converged
        assert result.method == "proximal-gradient"
        assert certified_gap(data, result, lam) == pytest.approx(result.gap, abs=1e-12)
        assert 0.0 <= result.gap <= tol


@pytest.mark.parametrize("share", [0.3, 0.05])
def test_no_factors_reach_a_smaller_value(share):
    """||S||_* is the least (||U||^2 + ||V||^2) / 2 over S = U V^T, and wide factors have no bad minima."""
    data = classes(1.5, 6, 1.5)
    lam = share * threshold(data)
    A, penalty, (L, d) = rows(data.X) / 0.5, lam * data.S.size**0.25, data.S.shape

    def objective(z):
        U, V = z[: L * d].reshape(L, d), z[L * d :].reshape(d, d)
        margin = data.y * (A @ (U @ V.T).ravel())
        G = -(A.T @ (data.y * np.exp(-np.logaddexp(0.0, margin)))).reshape(L, d)
        gradient = np.concatenate([(G @ V + penalty * U).ravel(), (G.T @ U + penalty * V).ravel()])
        return np.sum(np.logaddexp(0.0, -margin)) + penalty / 2 * (z @ z), gradient

    start = np.random.default_rng(1).standard_normal((L + d) * d)
    best = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 20000, "gtol": 1e-9, "ftol": 0})
    result = nuclear_norm(data.X, data.y, lam, channel=Logistic(0.5), tol=1e-9)
    found = value(data.X, data.y, result.S, lam)
    assert best.fun >= found * (1 - 1e-9)
    assert best.fun == pytest.approx(found, rel=1e-6)


@pytest.mark.parametrize("shape", [(1, 12), (12, 1)])
def test_for_vectors_it_is_the_euclidean_norm(shape):
    rng = np.random.default_rng(2)
    X, s = rng.standard_normal((40, *shape)), rng.standard_normal(12)
    A = rows(X)
    y = Logistic(0.5).sample(3.0 * A @ s, 3)
    lam = 0.3

    def objective(s):
        return np.sum(np.logaddexp(0.0, -y * (A @ s) / 0.5)) + lam * 12**0.25 * np.linalg.norm(s)

    best = minimize(objective, s, method="BFGS", options={"gtol": 1e-7})
    result = nuclear_norm(X, y, lam, channel=Logistic(0.5), tol=1e-11)
    np.testing.assert_allclose(result.S.ravel(), best.x, atol=2e-4)
    assert value(X, y, result.S, lam) == pytest.approx(best.fun, rel=1e-8)


def test_minus_the_gradient_is_lambda_times_a_subgradient():
    data = classes(2.0, 10)
    lam = 0.3 * threshold(data)
    result = nuclear_norm(data.X, data.y, lam, channel=Logistic(0.5), tol=1e-12)
    wrong = 1.0 / (1.0 + np.exp(data.y * (rows(data.X) @ result.S.ravel()) / 0.5))
    W = (rows(data.X).T @ (data.y * wrong)).reshape(data.S.shape) / (0.5 * lam * data.S.size**0.25)
    U, sigma, Vt = np.linalg.svd(result.S)
    rank = np.count_nonzero(sigma > 1e-9 * sigma[0])
    assert 0 < rank < 10
    np.testing.assert_allclose(U[:, :rank].T @ W, Vt[:rank], atol=1e-5)
    np.testing.assert_allclose(W @ Vt[:rank].T, U[:, :rank], atol=1e-5)
    assert singular_values(W)[0] <= 1.0 + 1e-5
    np.testing.assert_allclose(result.dual * lam * data.S.size**0.25, data.y * wrong / 0.5, atol=1e-5)


def test_nothing_is_learned_from_a_threshold_on():
    data = classes(1.0, 10)
    least = threshold(data)
    for share in (1 + 1e-12, 3.0):
        result = nuclear_norm(data.X, data.y, share * least, channel=Logistic(0.5))
        assert not result.S.any()
        assert result.converged
        assert result.gap == 0.0
        assert certified_gap(data, result, share * least) == pytest.approx(0.0, abs=1e-15)
    below = nuclear_norm(data.X, data.y, (1 - 1e-6) * least, channel=Logistic(0.5), tol=1e-14)
    assert below.S.any()
    assert np.linalg.matrix_rank(below.S) == 1


def test_symmetries():
    data = classes(1.2, 7, 1.5)
    lam = 0.2 * threshold(data)

    def learn(X, y, lam=lam, scale=0.5):
        return nuclear_norm(X, y, lam, channel=Logistic(scale), tol=1e-12).S

    S = learn(data.X, data.y)
    np.testing.assert_allclose(learn(data.X, -data.y), -S, atol=1e-5)
    np.testing.assert_allclose(learn(-data.X, data.y), -S, atol=1e-5)
    np.testing.assert_allclose(learn(data.X.transpose(0, 2, 1), data.y), S.T, atol=1e-5)
    np.testing.assert_allclose(learn(data.y[:, None, None] * data.X, np.ones(len(data.y))), S, atol=1e-5)
    P, Q = (np.linalg.qr(np.random.default_rng(4).standard_normal((k, k)))[0] for k in S.shape)
    np.testing.assert_allclose(learn(P @ data.X @ Q, data.y), P @ S @ Q, atol=1e-5)
    order = np.random.default_rng(5).permutation(len(data.y))
    np.testing.assert_allclose(learn(data.X[order], data.y[order]), S, atol=1e-5)
    twice = learn(np.concatenate([data.X, data.X]), np.concatenate([data.y, data.y]), 2 * lam)
    np.testing.assert_allclose(twice, S, atol=1e-5)


@pytest.mark.parametrize("c", [2.0**-40, 2.0**30])
def test_units_of_tokens_and_of_the_scale_change_nothing(c):
    data = classes(1.2, 7)
    lam = 0.2 * threshold(data)
    expected = nuclear_norm(data.X, data.y, lam, channel=Logistic(0.5))
    tokens = nuclear_norm(c * data.X, data.y, c * lam, channel=Logistic(0.5))
    scaled = nuclear_norm(data.X, data.y, lam / c, channel=Logistic(0.5 * c))
    for result, unit, dual in ((tokens, 1 / c, 1 / c), (scaled, c, 1.0)):
        assert result.iterations == expected.iterations
        assert result.gap == pytest.approx(expected.gap, rel=1e-6)
        np.testing.assert_allclose(result.S / unit, expected.S, rtol=0, atol=1e-9)
        np.testing.assert_allclose(result.dual / dual, expected.dual, rtol=0, atol=1e-9)


TOKENS = {
    "mean": lambda rng, n, L, d: rng.standard_normal((n, L, d)) + 3.0,
    "units": lambda rng, n, L, d: rng.standard_normal((n, L, d)) * np.where(np.arange(d) < 2, 100.0, 1.0),
    "t1.5": lambda rng, n, L, d: rng.standard_t(1.5, (n, L, d)),
    "repeated": lambda rng, n, L, d: np.repeat(rng.standard_normal((-(-n // 3), L, d)), 3, axis=0)[:n],
}


@pytest.mark.parametrize("kind", TOKENS)
@pytest.mark.parametrize("share", [0.5, 0.03])
def test_tokens_that_are_far_from_white(kind, share):
    """Fewer iterations than 150 everywhere, up to 120 measured."""
    rng = np.random.default_rng(6)
    X = TOKENS[kind](rng, 90, 6, 8)
    h = rows(X) @ np.outer(rng.standard_normal(6), rng.standard_normal(8)).ravel()
    data = bsr.model.Data(X, Logistic(0.5).sample(h / np.std(h), 7), np.ones((6, 8)), None, None, None)
    lam = share * threshold(data)
    result = nuclear_norm(X, data.y, lam, channel=Logistic(0.5))
    assert result.converged
    assert result.iterations < 150
    assert certified_gap(data, result, lam) <= 1e-6


@pytest.mark.parametrize("low", [0.05, 0.2])
def test_steps_that_are_too_long_are_seen(monkeypatch, low):
    """55 iterations with a good estimate of the size of A, 80 with these; without looking, 600 do not do."""
    data = classes(1.2, 8)
    lam, estimate = 0.1 * threshold(data), _logistic.largest_eigenvalue
    expected = nuclear_norm(data.X, data.y, lam, channel=Logistic(0.5), tol=1e-9).S
    monkeypatch.setattr(_logistic, "largest_eigenvalue", lambda *args: low * estimate(*args))
    result = nuclear_norm(data.X, data.y, lam, channel=Logistic(0.5), tol=1e-9, iterations=100)
    assert result.converged
    np.testing.assert_allclose(result.S, expected, atol=1e-3)


def test_too_few_iterations_give_a_warning_and_a_true_certificate():
    data = classes(0.8, 10)
    lam = 0.05 * threshold(data)
    with pytest.warns(bsr.ConvergenceWarning, match="gap"):
        result = nuclear_norm(data.X, data.y, lam, channel=Logistic(0.5), iterations=7)
    assert result.converged is False
    assert result.iterations == 7
    assert 1e-6 < result.gap < 1.0
    assert certified_gap(data, result, lam) == pytest.approx(result.gap, abs=1e-12)


def test_states_and_flags_are_those_of_linear_labels():
    data = classes(1.5, 8)
    watch = TeacherError(data.S)
    lam = 0.2 * threshold(data)
    result = nuclear_norm(data.X, data.y, lam, channel=Logistic(0.5), callback=watch)
    assert watch.iteration.tolist() == list(range(5, result.iterations + 1, 5))
    assert watch.error[-1] == pytest.approx(bsr.mse(result.S, data.S), rel=1e-9)
    kept = {"converged": result.converged, "gap": result.gap, "iterations": result.iterations}
    assert json.loads(json.dumps(kept)) == kept
    stopped = nuclear_norm(data.X, data.y, lam, channel=Logistic(0.5), tol=1e-12, callback=lambda state: True)
    assert stopped.iterations == 5


def test_classes_of_new_sequences_are_the_sign_of_the_prediction():
    """92 to 94 % of those without noise are right, in five data sets."""
    problem = bsr.Problem(4.0, 1.0, 0.1, channel=Logistic(0.2))
    data = problem.sample(20, rng=3)
    X = problem.sample_tokens(20, rng=8)
    result = nuclear_norm(data.X, data.y, 0.2 * threshold(data, 0.2), channel=Logistic(0.2))
    h = bsr.predict(X, data.S)
    assert np.mean(np.sign(result.predict(X)) == np.sign(h)) > 0.9


def test_linear_labels_are_the_squared_loss():
    data = bsr.Problem(0.5, 1.0, 0.2, 0.1).sample(8, rng=0)
    plain, named = (nuclear_norm(data.X, data.y, 0.3, channel=channel) for channel in (None, Linear(0.1)))
    np.testing.assert_array_equal(named.S, plain.S)
    assert named.method == plain.method


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lam": 0.0}, r"lam must be positive for Logistic\(scale=0.5\), got 0.0: where classes can be separated"),
        ({"lam": -1.0}, "lam must be zero or positive"),
        ({"channel": Sign()}, r"channel must be Linear or Logistic for the nuclear norm, got Sign\(delta=0.0\)"),
        ({"channel": Abs(), "lam": 0.0}, "channel must be Linear or Logistic"),
        ({"channel": "Logistic"}, "channel must be None or one of bsr.channels"),
        ({"y": np.array([1.0, -1.0, 0.5])}, r"y must be -1 or 1 for Logistic\(scale=0.5\), got 0.5"),
        ({"y": np.array([0.0, 1.0, 1.0])}, r"y must be -1 or 1 for Logistic\(scale=0.5\), got 0.0"),
        ({"method": "primal-dual"}, r"method must be None for Logistic\(scale=0.5\), got 'primal-dual'"),
    ],
)
def test_bad_input_is_named(options, message):
    good = {"X": np.ones((3, 4, 5)), "y": np.array([1.0, -1.0, 1.0]), "lam": 0.1, "channel": Logistic(0.5)}
    with pytest.raises(ValueError, match=message):
        nuclear_norm(**good | options)


def test_memory_does_not_count_factors():
    shape = (3000, 40, 40)
    need = nuclear_norm.memory(shape, lam=0.1, channel=Logistic())
    assert need < 0.1 * nuclear_norm.memory(shape, lam=0.1, method="douglas-rachford")
