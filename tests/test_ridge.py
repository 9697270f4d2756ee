"""Ridge regression: the error formula against the Marchenko-Pastur law, the estimator against both."""

import numpy as np
import pytest
from mpmath import mp, mpf
from scipy import linalg
from scipy.linalg import lapack

import bsr
from bsr.estimators import ridge

# The theory


def error(alpha, delta=0.0, lam=None):
    return bsr.theory.ridge.mse(alpha, delta=delta, lam=lam)


def marchenko_pastur_error(alpha, delta, lam):
    """Average of (lam^2 + delta g) / (g + lam)^2 over the law of the eigenvalues g of A^T A, to 20 digits."""
    with mp.workdps(30):
        alpha, delta, lam = mpf(alpha), mpf(delta), mpf(lam)
        lower, upper = (1 - mp.sqrt(alpha)) ** 2, (1 + mp.sqrt(alpha)) ** 2
        centre, radius = (lower + upper) / 2, (upper - lower) / 2

        def integrand(angle):  # density sqrt((upper - g)(g - lower)) / (2 pi g), with g = centre - radius cos(angle)
            g = centre - radius * mp.cos(angle)
            return (lam**2 + delta * g) / (g + lam) ** 2 * (radius * mp.sin(angle)) ** 2 / (2 * mp.pi * g)

        no_data = max(1 - alpha, 0)  # the share of directions that no sample has seen: g = 0 there
        return float(no_data + mp.quad(integrand, [0, mp.pi / 4, mp.pi / 2, mp.pi]))


@pytest.mark.parametrize("alpha", [0.01, 0.4, 0.95, 1.3, 6.0])
@pytest.mark.parametrize(("delta", "lam"), [(0.0, 0.2), (0.5, 0.5), (0.1, 1e-3), (2.0, 30.0)])
def test_error_is_an_average_over_the_marchenko_pastur_law(alpha, delta, lam):
    assert error(alpha, delta, lam) == pytest.approx(marchenko_pastur_error(alpha, delta, lam), rel=1e-12)


@pytest.mark.parametrize("alpha", [1e-9, 1e-3, 0.3, 0.999999, 1.0, 1.000001, 4.0, 1e7])
@pytest.mark.parametrize("delta", [0.0, 1e-12, 0.3, 1e6])
@pytest.mark.parametrize("lam", [1e-12, 1e-3, 1.0, 1e5])
def test_error_from_the_resolvent(alpha, delta, lam):
    # mse = -lam^2 R' + delta (R + lam R') with R = 1 / (lam + alpha / (1 + R)), solved and differentiated at 60 digits.
    with mp.workdps(60):
        a, D, x = mpf(alpha), mpf(delta), mpf(lam)
        root = mp.sqrt((x + a - 1) ** 2 + 4 * x)
        R = 2 / (x + a - 1 + root)
        assert mp.almosteq(R, 1 / (x + a / (1 + R)), 1e-40)
        slope = -1 / (R**-2 - a / (1 + R) ** 2)
        expected = -(x**2) * slope + D * (R + x * slope)
    assert error(alpha, delta, lam) == pytest.approx(float(expected), rel=1e-9)


def test_without_penalty_or_noise_every_sample_removes_one_unknown():
    alpha = np.array([0.1, 0.5, 0.9, 1.0, 1.5])
    np.testing.assert_allclose(error(alpha), [0.9, 0.5, 0.1, 0.0, 0.0], rtol=0, atol=1e-15)


def test_interpolation_peak():
    below, above = np.array([0.2, 0.9]), np.array([1.1, 3.0])
    np.testing.assert_allclose(error(below, 0.3, 0.0), 1 - below + 0.3 * below / (1 - below), rtol=1e-13)
    np.testing.assert_allclose(error(above, 0.3, 0.0), 0.3 / (above - 1), rtol=1e-13)
    assert error(1.0, 0.3, 0.0) == np.inf
    assert error(1.0, 0.0, 0.0) == 0.0
    assert error(1.0, 0.3, 1e-10) == pytest.approx(0.3 / (2 * 1e-5), rel=1e-4)  # of height delta / (2 sqrt(lam))


@pytest.mark.parametrize("delta", [0.0, 0.01, 0.5, 3.0])
def test_best_penalty_is_the_noise(delta):
    alpha = np.linspace(0.05, 4, 60)[:, None]
    lam = delta * np.array([0.0, 0.5, 0.9, 1.1, 2.0]) if delta else np.array([1e-3, 0.1, 1.0])
    assert np.all(error(alpha, delta, lam) >= error(alpha, delta) - 1e-15)
    np.testing.assert_array_equal(error(alpha, delta), error(alpha, delta, delta))


def test_best_penalty_removes_the_peak():
    alpha = np.linspace(0.01, 5, 400)
    assert np.all(np.diff(error(alpha, 0.2)) < 0)
    assert np.any(np.diff(error(alpha, 0.2, 0.01)) > 0)
    # The closed form of arXiv:2410.18858 for its limit of high rank.
    q = (1.2 + alpha - np.sqrt((alpha - 1) ** 2 + 2 * (alpha + 1) * 0.2 + 0.2**2)) / 2
    np.testing.assert_allclose(error(alpha, 0.2), 1 - q, rtol=1e-12)


def test_no_data_and_endless_data():
    assert error(1e-12, 0.5) == pytest.approx(1.0, rel=1e-11)
    assert error(1e9, 0.5) == pytest.approx(0.5e-9, rel=1e-8)
    assert error(0.7, 0.5, 1e12) == pytest.approx(1.0, rel=1e-11)


@pytest.mark.parametrize(("beta", "rho"), [(1.0, 0.1), (3.0, 0.5), (1.0, 2.0)])
@pytest.mark.parametrize("delta", [0.0, 0.5])
def test_the_bayes_optimal_error_is_smaller(beta, rho, delta):
    alpha = np.linspace(0.05, 2, 12)
    assert np.all(bsr.theory.bayes.mmse(alpha, beta, rho, delta) <= error(alpha, delta) + 1e-12)


@pytest.mark.parametrize("beta", [1.0, 4.0])
def test_nothing_is_better_at_high_rank(beta):
    # The entries of S become independent and Gaussian: then ridge regression is the posterior mean.
    alpha = np.array([0.3, 1.0, 2.0])
    gaps = [error(alpha, 0.2) - bsr.theory.bayes.mmse(alpha, beta, rho, 0.2) for rho in (30.0, 300.0)]
    assert np.all(gaps[0] > 0)
    np.testing.assert_allclose(gaps[1], gaps[0] / 100, rtol=0.15)  # their dependence, of order 1/rho, counts squared


def test_theory_broadcasts_and_returns_numbers():
    assert error(np.ones((3, 1)), np.zeros(4), 0.5).shape == (3, 4)
    assert isinstance(error(0.5), float)


@pytest.mark.parametrize("arguments", [(0.0,), (-1.0,), (np.nan,), (0.5, -0.1), (0.5, 0.1, -1e-9), (0.5, np.inf)])
def test_theory_refuses_nonsense(arguments):
    with pytest.raises(ValueError, match=r"alpha|delta|lam"):
        error(*arguments)


# The theory of correlated tokens


def correlated(alpha, left, right, **options):
    return bsr.theory.ridge.correlated_mse(alpha, left, right, **options)


@pytest.mark.parametrize("delta", [0.0, 0.1, 3.0])
@pytest.mark.parametrize("lam", [0.0, 1e-9, 1e-3, 1.0, 1e5])
def test_tokens_without_correlations_give_the_error_of_white_ones(delta, lam):
    alpha = np.array([1e-3, 0.4, 0.9999, 1.0, 1.5, 30.0])
    found = correlated(alpha, np.ones(3), np.ones(5), delta=delta, lam=lam)
    np.testing.assert_allclose(found, error(alpha, delta, lam), rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose(
        correlated(alpha, 4.0, 0.5, delta=delta, lam=2 * lam), 2 * error(alpha, delta / 2, lam), rtol=1e-11, atol=1e-15
    )  # units


def test_limits_of_correlated_tokens():
    left, right = np.array([2.0, 1.0, 0.5]), np.array([3.0, 0.2])
    power = np.mean(left) * np.mean(right)
    assert correlated(0.7, left, right, delta=0.5, lam=1e9) == pytest.approx(power, rel=1e-8)
    assert correlated(1e-9, left, right, delta=0.5) == pytest.approx(power, rel=1e-8)
    # Above the threshold least squares has the error delta / (alpha - 1), whatever the covariance ...
    assert correlated(1.5, left, right, delta=0.3, lam=0.0) == pytest.approx(0.3 / 0.5, rel=1e-13)
    assert correlated(1.5, left, right, delta=0.3, lam=1e-12) == pytest.approx(0.3 / 0.5, rel=1e-10)
    assert correlated(0.5, left, right, delta=0.3, lam=1e-12) == pytest.approx(
        correlated(0.5, left, right, delta=0.3, lam=0.0), rel=1e-9
    )
    assert correlated(1.0, left, right, delta=0.3, lam=0.0) == np.inf
    # ... and directions without tokens neither help nor hurt: half of them, twice the samples for each of the others.
    half = correlated(0.6, np.append(left, [0, 0, 0]), right, delta=0.3, lam=0.2)
    assert half == pytest.approx(0.5 * correlated(1.2, left, right, delta=0.6, lam=0.4), rel=1e-12)


def test_the_best_penalty_is_the_noise_for_correlated_tokens_too():
    left, right = 0.8 ** np.arange(10), 0.5 ** np.arange(6)
    alpha, lam = np.array([0.2, 1.0, 3.0])[:, None], 0.1 * np.array([0.5, 0.9, 1.1, 2.0])
    best = correlated(alpha, left, right, delta=0.1)
    np.testing.assert_array_equal(best, correlated(alpha, left, right, delta=0.1, lam=0.1))
    assert np.all(correlated(alpha, left, right, delta=0.1, lam=lam) > best)


@pytest.mark.parametrize(("alpha", "lam"), [(0.5, 0.1), (0.5, 1e-6), (1.4, 0.1), (1.4, 2.0)])
def test_ridge_on_correlated_tokens_is_as_predicted(alpha, lam):
    """The error of a fit, averaged over teachers and noise at given tokens: its scatter over tokens is below 2 %."""
    L, d, delta = 20, 18, 0.1
    n, found = round(alpha * L * d), []
    A, B = bsr.ensembles.Correlated(0.8, 0.5).factors(L, d)
    Sigma = np.kron(A @ A.T, B.T @ B) / (L * d)
    for seed in range(12):
        X = bsr.ensembles.Correlated(0.8, 0.5).sample((n, L, d), seed, np.float64)
        rows = X.reshape(n, -1) / np.sqrt(L * d)
        inverse = np.linalg.inv(rows.T @ rows + lam * np.eye(L * d))
        noise = inverse @ rows.T
        found.append(lam**2 * np.trace(inverse @ Sigma @ inverse) + delta * np.sum((Sigma @ noise) * noise))
    left, right = np.linalg.eigvalsh(A @ A.T), np.linalg.eigvalsh(B.T @ B)
    predicted = correlated(n / (L * d), left, right, delta=delta, lam=lam)
    assert np.std(found) < 0.1 * predicted
    assert np.mean(found) == pytest.approx(predicted, abs=4 * np.std(found) / np.sqrt(12) + 1.0 / (L * d) * predicted)


@pytest.mark.parametrize("bad", [0.0, -1.0, [1.0, np.nan], [[1.0, 2.0]], [], [0.0, 0.0]])
@pytest.mark.parametrize("name", ["left", "right"])
def test_eigenvalues_are_checked(name, bad):
    with pytest.raises(ValueError, match=f"^{name} must be"):
        correlated(0.5, **{"left": 1.0, "right": 1.0, name: bad})


# The estimator


def instance(n, L, d, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, L, d)), rng.standard_normal(n)


def flat(X):
    n, L, d = X.shape
    return X.reshape(n, L * d).astype(np.float64) / np.sqrt(d * L)


@pytest.mark.parametrize("n", [1, 10, 19, 20, 21, 50])
@pytest.mark.parametrize("lam", [1e-6, 0.3, 50.0])
def test_gradient_vanishes(n, lam):
    X, y = instance(n, 5, 4)
    result = ridge(X, y, lam)
    A, s = flat(X), result.S.ravel()
    assert result.S.shape == (5, 4)
    assert result.converged
    np.testing.assert_allclose(A.T @ (y - A @ s), lam * s, rtol=0, atol=1e-10)


@pytest.mark.parametrize("n", [1, 10, 19, 21, 50])
def test_without_penalty_least_squares_of_minimal_norm(n):
    X, y = instance(n, 5, 4)
    A, s = flat(X), ridge(X, y, 0.0).S.ravel()
    np.testing.assert_allclose(A.T @ (y - A @ s), 0, atol=1e-11)
    if n < 20:
        np.testing.assert_allclose(A @ s, y, rtol=0, atol=1e-11)  # it interpolates ...
    np.testing.assert_allclose(np.linalg.pinv(A) @ A @ s, s, rtol=0, atol=1e-11)  # ... and has no part without data


@pytest.mark.parametrize("lam", [0.0, 1e-13, 0.1])
@pytest.mark.parametrize(
    ("n", "dependence"),
    [
        (12, "sample twice"),
        (12, "sample empty"),
        (12, "few samples"),
        (60, "token twice"),
        (60, "token empty"),
        (60, "few samples"),
    ],
)
def test_dependent_data(n, dependence, lam):
    # The labels contradict each other where samples are equal, so an inverse of the Gram matrix would be pure rounding.
    X, y = instance(n, 6, 4)
    match dependence:
        case "sample twice":
            X[1] = 0.3 * X[0]
        case "sample empty":
            X[3] = 0
        case "few samples":
            X = X[np.arange(n) % 7]
        case "token twice":
            X[:, 0] = X[:, 1]
        case "token empty":
            X[:, 0] = 0
    left, sigma, right = np.linalg.svd(flat(X), full_matrices=False)
    kept = sigma > 1e-12
    assert not kept.all()
    expected = (right[kept].T * (sigma[kept] / (sigma[kept] ** 2 + lam))) @ (left[:, kept].T @ y)
    np.testing.assert_allclose(ridge(X, y, lam).S.ravel(), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("n", [12, 60])
def test_a_penalty_that_only_the_small_directions_feel(n):
    # The condition number of a Gram matrix is that of one large channel over the penalty; the rest is of order lam.
    X, y = instance(n, 6, 4)
    X[:, :, 0] *= 1e7
    expected = linalg.lstsq(np.vstack([flat(X), np.sqrt(0.3) * np.eye(24)]), np.r_[y, np.zeros(24)])[0].reshape(6, 4)
    found = ridge(X, y, 0.3).S
    np.testing.assert_allclose(found[:, 1:], expected[:, 1:], rtol=0, atol=1e-7)
    np.testing.assert_allclose(found[:, 0], expected[:, 0], rtol=0, atol=1e-12)
    assert np.abs(expected[:, 1:]).max() > 0.1


@pytest.mark.parametrize("n", [12, 60])
def test_a_vanishing_penalty_gives_the_solution_of_minimal_norm(n):
    X, y = instance(n, 6, 4)
    np.testing.assert_allclose(ridge(X, y, 1e-9).S, ridge(X, y, 0.0).S, rtol=0, atol=1e-6)


def test_no_information_no_estimate():
    X, y = instance(5, 3, 2)
    for lam in (0.0, 1.0):
        np.testing.assert_array_equal(ridge(np.zeros_like(X), y, lam).S, 0)
        np.testing.assert_array_equal(ridge(X, np.zeros(5), lam).S, 0)


@pytest.mark.parametrize("X_unit", [1e-29, 1e-6, 1e28])
@pytest.mark.parametrize("y_unit", [1e-28, 1e28])
@pytest.mark.parametrize("lam", [0.0, 0.3])
def test_it_follows_the_units_of_the_data(X_unit, y_unit, lam):
    X, y = instance(9, 4, 3)
    expected = ridge(X, y, lam).S
    result = ridge(X_unit * X, y_unit * y, X_unit**2 * lam)
    np.testing.assert_allclose(result.S * (X_unit / y_unit), expected, rtol=1e-10)
    assert result.converged is True


def test_rounding_that_spoils_the_solution_is_reported(monkeypatch):
    X, y = instance(9, 4, 3)
    solve = lapack.dpotrs

    def spoiled(*arguments, **options):
        solution, *rest = solve(*arguments, **options)
        return 1.001 * solution, *rest

    monkeypatch.setattr(lapack, "dpotrs", spoiled)
    with pytest.warns(bsr.ConvergenceWarning, match="ill-conditioned"):
        assert ridge(X, y, 0.3).converged is False


def test_types_and_memory_order_do_not_matter():
    X, y = instance(9, 4, 3)
    X = np.round(8 * X)  # exact in float32
    expected = ridge(X, y, 0.1).S
    for other in (X.astype(np.float32), np.asfortranarray(X), X.astype(int), X.tolist()):
        np.testing.assert_allclose(ridge(other, list(y), 0.1).S, expected, rtol=0, atol=1e-13)


def test_it_does_not_see_the_shape():
    X, y = instance(9, 4, 3)
    np.testing.assert_allclose(ridge(X.reshape(9, 2, 6), y, 0.1).S.ravel(), ridge(X, y, 0.1).S.ravel(), atol=1e-14)


def test_it_does_not_see_the_structure():
    # Turn a teacher of rank one into one of full rank, and the tokens with it: labels and error stay, and so does the
    # law of the tokens. So the law of the error depends on the teacher through its norm alone.
    rng = np.random.default_rng(0)
    X, y = instance(40, 8, 8)
    low, full = np.outer(rng.standard_normal(8), rng.standard_normal(8)), rng.standard_normal((8, 8))
    low, full = low / np.linalg.norm(low), full / np.linalg.norm(full)
    axis = (low - full) / np.linalg.norm(low - full)
    mirrored = X - 2 * np.tensordot(X, axis, 2)[:, None, None] * axis  # the reflection that exchanges the teachers
    np.testing.assert_allclose(np.tensordot(mirrored, full, 2), np.tensordot(X, low, 2), atol=1e-13)
    y = np.tensordot(X, low, 2) + 0.1 * y
    errors = bsr.mse(ridge(X, y, 0.1).S, low), bsr.mse(ridge(mirrored, y, 0.1).S, full)
    assert errors[0] == pytest.approx(errors[1], rel=1e-11)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"lam": -0.1}, "lam"),
        ({"lam": np.nan}, "lam"),
        ({"lam": [0.1, 0.2]}, "lam"),
        ({"y": np.zeros(4)}, "y must have shape"),
        ({"y": np.full(5, np.nan)}, "y must be finite"),
        ({"X": np.full((5, 3, 2), np.inf)}, "X must be finite"),
        ({"X": np.zeros((5, 6))}, "X must have shape"),
        ({"X": np.zeros((5, 3, 2), complex)}, "X must be a real number or an array of them"),
    ],
)
def test_estimator_refuses_nonsense(change, match):
    X, y = instance(5, 3, 2)
    with pytest.raises(ValueError, match=match):
        ridge(**({"X": X, "y": y, "lam": 0.1} | change))


# One against the other


@pytest.mark.parametrize("d", [12, 24])
@pytest.mark.parametrize(
    ("alpha", "beta", "rho", "delta", "lam"),
    [(0.5, 1.0, 1.0, 0.0, 0.0), (0.6, 2.0, 3.0, 0.5, 0.1), (1.5, 1.0, 0.5, 0.3, 0.0), (1.0, 0.5, 2.0, 0.2, 0.2)],
)
def test_data_follow_the_theory(d, alpha, beta, rho, delta, lam):
    errors, predictions = [], []
    for seed in range(24 if d == 12 else 8):
        data = bsr.Problem(alpha, beta, rho, delta).sample(d, rng=seed)
        p = data.problem
        errors.append(bsr.mse(ridge(data.X, data.y, lam).S, data.S))
        # At given data the part without noise is proportional to ||S||^2, which fluctuates from teacher to teacher.
        bias = error(p.alpha, 0.0, lam)
        predictions.append(bias * np.mean(data.S**2) + error(p.alpha, p.delta, lam) - bias)
    ratios = np.array(errors) / predictions
    assert abs(ratios.mean() - 1) < 4 * ratios.std(ddof=1) / np.sqrt(len(ratios)) + 2 / d**2
    assert ratios.std() < 2.5 / d


def test_the_sample_complexity_inverts_the_error():
    error, delta = np.array([0.9, 0.5, 0.1, 1e-6])[:, None], np.array([0.0, 0.01, 2.0])
    alpha = bsr.theory.ridge.sample_complexity(error, delta=delta)
    np.testing.assert_allclose(bsr.theory.ridge.mse(alpha, delta=delta), np.broadcast_to(error, (4, 3)), rtol=1e-9)
    with pytest.raises(ValueError, match="error must be strictly between 0 and 1"):
        bsr.theory.ridge.sample_complexity(0.0)


def test_conjugate_gradients_take_as_many_steps_as_there_are_eigenvalues():
    """The gradient has a part along each of n sequences: exact steps and directions need n iterations."""
    X, y = instance(9, 6, 5)
    found = ridge(X, y, 0.3, method="conjugate-gradients", tol=1e-10)
    assert found.iterations <= 9
    np.testing.assert_allclose(found.S, ridge(X, y, 0.3).S, rtol=0, atol=1e-10)
