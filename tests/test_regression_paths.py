"""Paths of penalties: against scikit-learn, other algorithms, certificates, closed forms; cross-validation by hand."""

import numpy as np
import pytest
from scipy.optimize import brentq, minimize
from sklearn.linear_model import LogisticRegression, Ridge

from bsr import estimators
from bsr.channels import Logistic
from bsr.estimators import nuclear_norm
from bsr.regression import BilinearClassifier, BilinearRegressor
from bsr.regression._linear import RATIOS, Candidate, Labels, candidates, fit_candidate, ridge_penalties
from bsr.regression._paths import Classes, Numbers

pytestmark = pytest.mark.usefixtures("one_thread")


def operator(S):
    return np.linalg.svd(S, compute_uv=False)[0]


def nuclear(S):
    return np.linalg.svd(S, compute_uv=False).sum()


def scaled(X, weights, scale="channel", main_effects=False):
    """Centred tokens of one scale, bordered by their sums, and what each entry was multiplied with."""
    share = weights / weights.sum()
    Z = X - np.einsum("m,mij->ij", share, X)
    power = np.einsum("m,mij->j", share, Z**2)
    unit = 1.0 / np.sqrt(power * len(power)) if scale == "channel" else np.full(len(power), power.sum() ** -0.5)
    Z = Z * unit
    if main_effects:
        rows, columns = Z.sum(axis=2), Z.sum(axis=1)
        B = np.zeros((len(Z), Z.shape[1] + 1, Z.shape[2] + 1))
        B[:, :-1, :-1] = Z
        B[:, :-1, -1] = rows / np.sqrt(share @ np.sum(rows**2, axis=1))
        B[:, -1, :-1] = columns / np.sqrt(share @ np.sum(columns**2, axis=1))
        Z = B
    return Z


def numbers(n=40, L=5, d=4, seed=0, noise=0.5):
    rng = np.random.default_rng(seed)
    X = 2.0 + np.array([1.0, 5.0, 0.3, 2.0])[:d] * rng.standard_normal((n, L, d))
    y = 3.0 + X[:, 0, 0] - 0.5 * X[:, -1, -1] + noise * rng.standard_normal(n)
    return X, y, rng.uniform(0.2, 3.0, n)


def classes(n=40, L=5, d=4, seed=0, noise=1.0):
    X, y, weights = numbers(n, L, d, seed, noise)
    return X, np.where(y > 4.0, 1.0, -1.0), weights


# Squared errors


@pytest.mark.parametrize("n", [12, 60])
@pytest.mark.parametrize("main_effects", [False, True])
@pytest.mark.parametrize("scale", ["channel", "overall"])
def test_ridge_is_that_of_scikit_learn(n, main_effects, scale):
    X, y, weights = numbers(n)
    Z = scaled(X, weights, scale, main_effects)
    for index in (5, 20, 40):
        fit, gap = fit_candidate(X, Labels(y, weights, False), scale, Candidate("ridge", main_effects), index)
        lam = ridge_penalties(weights.sum(), False)[index]
        model = Ridge(lam, solver="cholesky").fit(Z.reshape(n, -1), y, weights)
        np.testing.assert_allclose(fit.S.ravel(), model.coef_, rtol=1e-6, atol=1e-8 * np.abs(model.coef_).max())
        assert fit.intercept == pytest.approx(model.intercept_, rel=1e-10)
        np.testing.assert_allclose(fit.decision(X), model.predict(Z.reshape(n, -1)), rtol=1e-7)
        assert gap == 0.0


def test_ridge_penalties_reach_both_ends():
    """With the largest next to nothing is left of S, and the least next to nothing of the residual, for n < L d."""
    X, y, weights = numbers(15)
    grid = ridge_penalties(weights.sum(), False)
    assert np.all(np.diff(grid) < 0.0)
    root = np.sqrt(weights)
    centred = y - weights @ y / weights.sum()
    A = root[:, None, None] * scaled(X, weights)
    S = [S for S, _ in Numbers(A, root * centred).ridge(grid[[0, -1]])]
    residuals = [np.sum(weights * (centred - np.tensordot(scaled(X, weights), s, 2)) ** 2) for s in S]
    power = weights @ centred**2
    assert residuals[0] > 0.97 * power
    assert residuals[1] < 1e-6 * power


@pytest.mark.parametrize("n", [12, 60])
def test_the_nuclear_path_is_that_of_another_algorithm(n):
    """Primal-dual splitting, which never looks at the Gram matrix; its penalty is lam (L d)^(3/4) in our units."""
    X, y, weights = numbers(n)
    A = np.sqrt(weights)[:, None, None] * scaled(X, weights)
    y = np.sqrt(weights) * (y - weights @ y / weights.sum())
    size = A[0].size
    path = Numbers(A, y)
    assert path.largest == pytest.approx(operator(np.tensordot(y, A, 1)), rel=1e-12)
    penalties = path.largest * np.array([0.7, 0.3, 0.1, 0.01])
    for lam, (S, intercept, gap) in zip(penalties, path.nuclear(penalties, 1e-10), strict=True):
        other = nuclear_norm(A, y, lam / size**0.75, method="primal-dual", tol=1e-10, iterations=200_000)
        np.testing.assert_allclose(S, other.S / np.sqrt(size), atol=1e-4 * operator(S))
        assert gap <= 1e-10
        assert intercept == 0.0


@pytest.mark.parametrize("main_effects", [False, True])
def test_the_fit_has_the_penalty_of_its_place(main_effects):
    X, y, weights = numbers(30)
    Z, share = scaled(X, weights, main_effects=main_effects), weights / weights.sum()
    centred, size = y - share @ y, Z[0].size
    A, target = np.sqrt(weights)[:, None, None] * Z, np.sqrt(weights) * centred
    for index in (3, 9, 15):
        fit, gap = fit_candidate(
            X, Labels(y, weights, False), "channel", Candidate("nuclear norm", main_effects), index
        )
        lam = 10.0 ** (-index / 6.0) * operator(np.tensordot(weights * centred, Z, 1))
        residual = target - A.reshape(len(A), -1) @ fit.S.ravel()
        value = residual @ residual / 2 + lam * nuclear(fit.S)
        p = residual * min(1.0, lam / operator(np.tensordot(residual, A, 1)))
        assert 1.0 - (p @ target - p @ p / 2) / value == pytest.approx(gap, abs=1e-8)
        assert gap <= 1e-6
        assert fit.intercept == pytest.approx(share @ y, rel=1e-12)
        # At the minimum the gradient is lam in every direction that S has, and no larger in any other.
        assert np.sum(np.tensordot(residual, A, 1) * fit.S) == pytest.approx(lam * nuclear(fit.S), rel=1e-4)
        assert operator(np.tensordot(residual, A, 1)) == pytest.approx(lam, rel=1e-2)
        assert size == A[0].size


def test_ratios_descend_from_one():
    assert RATIOS[0] == 1.0
    assert RATIOS[-1] == pytest.approx(1e-4)
    np.testing.assert_allclose(np.diff(np.log10(RATIOS)), -1.0 / 6.0)


def test_one_entry_has_a_closed_form():
    rng = np.random.default_rng(1)
    a, y = rng.standard_normal((2, 20))
    path = Numbers(a[:, None, None], y)
    for share in (0.5, 0.01):
        lam = share * path.largest
        ((S, _, _),) = path.nuclear(np.array([lam]), 1e-12)
        assert S[0, 0] == pytest.approx(np.sign(a @ y) * (abs(a @ y) - lam) / (a @ a), rel=1e-5)


@pytest.mark.parametrize("kind", [Numbers, Classes])
def test_above_the_largest_useful_penalty_nothing_is_left(kind):
    X, y, weights = classes() if kind is Classes else numbers()
    A = scaled(X, weights)
    path = kind(A, y - (kind is Numbers) * y.mean(), *([weights] if kind is Classes else []))
    S = [S for S, *_ in path.nuclear(path.largest * np.array([1.0, 0.999, 0.99]), 1e-12)]
    assert not S[0].any()
    sizes = [operator(s) for s in S[1:]]
    assert 0.0 < sizes[0]
    assert sizes[1] / sizes[0] == pytest.approx(10.0, rel=0.1)  # linear from there on


# Log-loss


@pytest.mark.parametrize(("n", "tol"), [(12, 2e-3), (60, 2e-3)])
def test_ridge_for_classes_is_logistic_regression(n, tol):
    """On all entries, by Newton's method; ours has the tolerance 1e-6 of the mean gradient."""
    X, y, weights = classes(n)
    Z = scaled(X, weights)
    penalties = ridge_penalties(weights.sum(), True)[[2, 8, 14, 20]]
    for lam, (S, intercept) in zip(penalties, Classes(Z, y, weights).ridge(penalties), strict=True):
        model = LogisticRegression(C=1.0 / lam, solver="newton-cholesky", tol=1e-12, max_iter=1000)
        model.fit(Z.reshape(n, -1), y, weights)
        np.testing.assert_allclose(S.ravel(), model.coef_[0], atol=tol * np.abs(model.coef_).max())
        assert intercept == pytest.approx(model.intercept_[0], abs=tol * (1.0 + np.abs(model.coef_).max()))


@pytest.mark.parametrize("noise", [0.2, 3.0])
@pytest.mark.parametrize("n", [12, 60])
def test_the_nuclear_path_of_classes_is_certified(n, noise):
    """The gap computed anew; a free intercept makes the mean predicted probability that of the class, exactly."""
    X, y, weights = classes(n, noise=noise)
    Z = scaled(X, weights)
    path = Classes(Z, y, weights)
    share = weights @ (y > 0) / weights.sum()
    at_zero = np.tensordot(weights * ((y > 0) - share), Z, 1)
    assert path.largest == pytest.approx(operator(at_zero), rel=1e-9)
    penalties = path.largest * np.logspace(-0.2, -3.0, 8)
    for lam, (S, intercept, gap) in zip(penalties, path.nuclear(penalties, 1e-8), strict=True):
        margin = y * (np.tensordot(Z, S, 2) + intercept)
        value = weights @ np.logaddexp(0.0, -margin) + lam * nuclear(S)
        wrong = 1.0 / (1.0 + np.exp(margin))
        assert (weights * y) @ wrong == pytest.approx(0.0, abs=1e-9 * weights.sum())
        a = wrong * min(1.0, lam / operator(np.tensordot(weights * y * wrong, Z, 1)))
        dual = -weights @ (a * np.log(a) + (1.0 - a) * np.log1p(-a))
        assert 1.0 - dual / value == pytest.approx(gap, abs=1e-9)
        assert gap <= 1e-8
        p = np.where(y > 0, 1.0 - wrong, wrong)
        assert weights @ p / weights.sum() == pytest.approx(share, abs=1e-9)


def test_classes_without_need_of_an_intercept_are_those_of_proximal_gradients():
    """Data and their mirror images, (X, y) and (-X, -y), have none; they count twice."""
    X, y, _ = classes(30)
    Z = X - X.mean(axis=0)
    both = Classes(np.concatenate([Z, -Z]), np.concatenate([y, -y]), np.ones(60))
    size = Z[0].size
    penalties = both.largest * np.array([0.5, 0.1, 0.02])
    for lam, (S, intercept, _) in zip(penalties, both.nuclear(penalties, 1e-10), strict=True):
        other = estimators.nuclear_norm(Z, y, 0.5 * lam / size**0.75, channel=Logistic(1.0), tol=1e-10)
        assert intercept == pytest.approx(0.0, abs=1e-6)
        np.testing.assert_allclose(S, other.S / np.sqrt(size), atol=1e-4 * operator(S))


@pytest.mark.parametrize("d", [1, 4])
def test_of_one_token_the_nuclear_norm_is_its_length(d):
    """A smooth problem away from zero, for a general minimiser; with one channel it is a lasso of one entry."""
    X, y, weights = classes(50, 1, d, noise=2.0)
    Z = scaled(X, weights)
    path = Classes(Z, y, weights)

    def value(x, lam):
        return weights @ np.logaddexp(0.0, -y * (Z[:, 0] @ x[:-1] + x[-1])) + lam * np.linalg.norm(x[:-1])

    for share in (0.5, 0.05):
        lam = share * path.largest
        ((S, intercept, _),) = path.nuclear(np.array([lam]), 1e-11)
        start = np.append(np.tensordot(weights * y, Z, 1)[0], 0.0)
        best = minimize(value, start, (lam,), method="BFGS", options={"gtol": 1e-8})
        np.testing.assert_allclose(np.append(S[0], intercept), best.x, atol=1e-4 * np.abs(best.x).max())


@pytest.mark.parametrize("index", [0, 7, 16, 24])
def test_small_penalties_are_reached_though_classes_are_separable(index):
    """From S = 0 they were not: the gap stayed at 0.9."""
    rng = np.random.RandomState(42)
    X = np.vstack([rng.rand(15, 30)] * 3)[:, None, :]
    y = np.hstack([rng.randint(0, 3, 15)] * 3)
    weights = np.append(rng.randint(0, 5, 15), np.ones(30))
    labels = Labels(np.where(y == 0, 1.0, -1.0), weights, True)
    fit, gap = fit_candidate(X, labels, "channel", Candidate("nuclear norm", False), index)
    assert gap <= 1e-6
    assert weights @ fit.probability(X) == pytest.approx(weights @ (y == 0), abs=1e-6)


# Cross-validation


def test_candidates():
    assert [c.name for c in candidates(False)] == ["ridge", "nuclear norm"]
    assert [c.name for c in candidates(True)] == ["ridge", "ridge + main effects", "nuclear norm + main effects"]
    assert [c.name for c in candidates("auto")] == [
        "ridge",
        "nuclear norm",
        "ridge + main effects",
        "nuclear norm + main effects",
    ]


def test_the_comparison_is_that_of_cross_validation_by_hand():
    """Scores of ridge and of the nuclear norm, each with its best penalty, the difference and its error."""
    X, y, weights = numbers(48, noise=2.0)
    folds = [(np.delete(np.arange(48), rows), rows) for rows in np.split(np.arange(48), 4)]
    model = BilinearRegressor(cv=folds, main_effects=False).fit(X, y, weights)
    ridge, low = np.zeros((48, 48)), np.zeros((48, 25))
    for rows, held in folds:
        X0, w = X[rows], weights[rows]
        share = w / w.sum()
        mean, offset = np.tensordot(share, X0, 1), share @ y[rows]
        power = np.einsum("m,mij->j", share, (X0 - mean) ** 2)
        Z, Z_held = ((X[part] - mean) / np.sqrt(power * 4) for part in (rows, held))
        for k, lam in enumerate(ridge_penalties(w.sum(), False)):
            reference = Ridge(lam).fit(Z.reshape(len(rows), -1), y[rows], w)
            ridge[held, k] = (y[held] - reference.predict(Z_held.reshape(len(held), -1))) ** 2
        root = np.sqrt(w)
        largest = operator(np.tensordot(w * (y[rows] - offset), Z, 1))
        for k in range(25):
            lam = largest * 10.0 ** (-k / 6.0) / 20**0.75
            A = root[:, None, None] * Z
            S = nuclear_norm(A, root * (y[rows] - offset), lam, tol=1e-8).S / np.sqrt(20)
            low[held, k] = (y[held] - offset - np.tensordot(Z_held, S, 2)) ** 2
    share = weights / weights.sum()
    best = [losses[:, np.argmin(share @ losses)] for losses in (ridge, low)]
    power = share @ (y - share @ y) ** 2
    table = model.comparison_
    np.testing.assert_allclose(table["score"], [1 - share @ loss / power for loss in best], atol=2e-3)
    chosen = best[["ridge", "nuclear norm"].index(model.chosen_)]
    for name, loss in zip(("ridge", "nuclear norm"), best, strict=True):
        gain = chosen - loss
        assert table.loc[name, "difference"] == pytest.approx(share @ gain / power, abs=2e-3)
        error = np.sqrt(np.sum(share**2 * (gain - share @ gain) ** 2)) / power
        assert table.loc[name, "error"] == pytest.approx(error, rel=0.05, abs=1e-12)
    assert model.noise_ == pytest.approx(share @ chosen, rel=2e-3)


@pytest.mark.slow
def test_the_intercept_of_classes_keeps_their_share():
    X, y, weights = classes(60, noise=2.0)
    for main_effects in (False, True):
        model = BilinearClassifier(main_effects=main_effects, cv=3).fit(X, y, weights)
        p = model.predict_proba(X)[:, 1]
        assert weights @ p / weights.sum() == pytest.approx(weights @ (y > 0) / weights.sum(), abs=1e-4)


def test_one_entry_of_classes_has_a_closed_form():
    """Two values of a token: log-odds of both are free, but for the penalty on their difference."""
    a, y = np.array([1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0]), np.array([1, 1, 1, -1, 1, -1, -1, -1.0])
    path = Classes(a[:, None, None], y, np.ones(8))
    lam = 0.3
    ((S, intercept, _),) = path.nuclear(np.array([lam]), 1e-12)
    s = brentq(lambda s: 4.0 / (1.0 + np.exp(-s)) - 3.0 + 0.5 * lam, -5.0, 5.0)  # each value: 4 p(s) - 3 = -lam/2
    assert S[0, 0] == pytest.approx(s, abs=1e-5)
    assert intercept == pytest.approx(0.0, abs=1e-6)
