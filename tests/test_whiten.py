"""Whitening by estimated covariances: how well, the same for every kind of tokens, and when the form does not fit."""

import warnings

import numpy as np
import pytest

import bsr
from bsr.tokens import ArrayTokens, Centred, FileTokens, MisfitWarning, Tokens, Whitened, whiten
from bsr.tokens._tokens import Block

SHRINKAGES = ["ledoit-wolf", "oas", None]


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def root(size, r):
    """Of the covariance r^|i - j|."""
    return np.linalg.cholesky(r ** np.abs(np.subtract.outer(np.arange(size), np.arange(size))))


def correlated(rng, n, L, d, draw=None):
    return root(L, 0.7) @ (draw or rng.standard_normal)((n, L, d)) @ root(d, 0.5).T


class Pieces(Tokens):
    """An array, some rows at a time, through Python alone."""

    def __init__(self, X, size):
        self.array, self.size, self.shape, self.dtype = X, size, X.shape, X.dtype

    def blocks(self):
        for i in range(0, len(self), self.size):
            yield Block(i, self.array[i : i + self.size])

    def some(self, count):
        return ArrayTokens(self.array).some(count)


def distance(estimate, truth):
    """Mean squared entry of truth^-1/2 estimate truth^-1/2 - 1, up to a factor of the estimate, times their number."""
    A = np.linalg.inv(np.linalg.cholesky(truth))
    ratio = A @ estimate @ A.T
    return np.sum((ratio * len(ratio) / np.trace(ratio) - np.eye(len(ratio))) ** 2)


@pytest.mark.parametrize("n", [60, 600])
def test_covariances_have_the_error_of_independent_vectors(rng, n):
    """As if the other covariance were known: (L - 1)(L + 2) squares of mean 1/(nd). Measured 1.00(3) of that."""
    L, d = 6, 9
    left, right = (root(size, r) @ root(size, r).T for size, r in ((L, 0.7), (d, 0.5)))
    errors = []
    for _ in range(60):
        found = whiten(correlated(rng, n, L, d) + 3.0, shrinkage=None).covariances
        errors.append([distance(found[0], left), distance(found[1], right)])
    expected = np.array([(L - 1) * (L + 2) / (n * d), (d - 1) * (d + 2) / (n * L)])
    np.testing.assert_allclose(np.mean(errors, axis=0), expected, rtol=0.15)


@pytest.mark.parametrize("shrinkage", SHRINKAGES)
def test_what_comes_out_is_white(rng, shrinkage):
    X = correlated(rng, 500, 6, 9) + 3.0
    view = whiten(X, shrinkage=shrinkage)
    assert view.converged
    assert view.centred
    Z = view.dense()
    np.testing.assert_allclose(Z.mean(axis=0), 0.0, atol=1e-12)
    # exact without shrinkage, by its definition; with it up to the weights, of some 1e-3
    atol = 1e-7 if shrinkage is None else 0.02
    np.testing.assert_allclose(np.einsum("nij,nkj->ik", Z, Z) / (500 * 9), np.eye(6), atol=atol)
    np.testing.assert_allclose(np.einsum("nij,nik->jk", Z, Z) / (500 * 6), np.eye(9), atol=atol)
    for P, covariance in zip((view.P, view.Q), view.covariances, strict=True):
        np.testing.assert_allclose(P @ covariance @ P.T, np.eye(len(P)), atol=1e-12)
    assert np.trace(view.covariances[0]) == pytest.approx(6)


def test_the_same_up_to_rotations_after_any_linear_maps(rng):
    X = correlated(rng, 100, 5, 7)
    A, B = rng.standard_normal((5, 5)), 1e6 * rng.standard_normal((7, 7))
    first, second = (whiten(tokens, shrinkage=None, tol=1e-9) for tokens in (X, A @ X @ B))
    U, V = second.P @ A @ np.linalg.inv(first.P), np.linalg.inv(first.Q) @ B @ second.Q
    scale = np.sqrt(np.trace(U @ U.T) / 5)
    np.testing.assert_allclose(U @ U.T, scale**2 * np.eye(5), atol=1e-8 * scale**2)
    np.testing.assert_allclose(V.T @ V, np.eye(7) / scale**2, atol=1e-8 / scale**2)
    assert second.misfit == pytest.approx(first.misfit, abs=1e-6)


@pytest.mark.parametrize("shrinkage", SHRINKAGES)
@pytest.mark.parametrize("unit", [1e-25, 1e25])
def test_units_do_not_matter(rng, shrinkage, unit):
    X = correlated(rng, 50, 5, 7)
    first, second = (whiten(tokens, shrinkage=shrinkage) for tokens in (X, unit * X))
    np.testing.assert_allclose(second.P, first.P, rtol=0, atol=1e-10)
    np.testing.assert_allclose(second.Q * unit, first.Q, rtol=0, atol=1e-10)
    assert second.misfit == pytest.approx(first.misfit)


@pytest.mark.parametrize(("shrinkage", "name"), [("ledoit-wolf", "ledoit_wolf"), ("oas", "oas")])
@pytest.mark.parametrize("n", [4, 50])
def test_shrinkage_is_that_of_scikit_learn(rng, shrinkage, name, n):
    reference = getattr(pytest.importorskip("sklearn.covariance"), name)
    X = correlated(rng, n, 5, 7)
    view = whiten(X, shrinkage=shrinkage, tol=1e-12, iterations=500)
    X = X - X.mean(axis=0)
    rows = np.swapaxes(X @ view.Q, 1, 2).reshape(-1, 5), (view.P @ X).reshape(-1, 7)
    for vectors, covariance, weight in zip(rows, view.covariances, view.shrinkages, strict=True):
        expected, intensity = reference(vectors, assume_centered=True)
        assert weight == pytest.approx(intensity, rel=1e-8)
        np.testing.assert_allclose(covariance / np.trace(covariance), expected / np.trace(expected), atol=1e-9)


def test_every_kind_of_tokens_gives_the_same(rng, tmp_path):
    X = correlated(rng, 60, 5, 7) + 1.0
    np.save(tmp_path / "one.npy", X[:31])
    np.save(tmp_path / "two.npy", X[31:])
    kinds = [
        FileTokens([tmp_path / "one.npy", tmp_path / "two.npy"], block_bytes=1000),
        Pieces(X, 1),
        Pieces(X, 7),
        Centred(X),
        Whitened(X),
    ]
    first = whiten(X)
    for other in map(whiten, kinds):
        np.testing.assert_allclose(other.P, first.P, rtol=0, atol=1e-12)
        np.testing.assert_allclose(other.Q, first.Q, rtol=0, atol=1e-12)
        assert other.shrinkages == pytest.approx(first.shrinkages, rel=1e-12)
        assert (other.misfit, other.excess) == pytest.approx((first.misfit, first.excess), abs=1e-10)


@pytest.mark.parametrize("shrinkage", SHRINKAGES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_does_not_vary_is_left_out(rng, shrinkage, dtype):
    X = correlated(rng, 200, 5, 7)
    X[:, 2], X[:, :, 4] = 1.3, X[:, :, 5]
    view = whiten(X.astype(dtype), shrinkage=shrinkage)
    assert view.shape == (200, 4, 6)
    Z = view.dense()
    assert abs(np.var(Z) - 1) < 0.02
    assert abs(view.covariances[0][2]).max() < 1e-15
    expected = whiten(np.delete(np.delete(X, 2, axis=1), 4, axis=2), shrinkage=None)
    if shrinkage is None:  # in other coordinates of what is left
        np.testing.assert_allclose((view.dense() ** 2).sum((1, 2)), (expected.dense() ** 2).sum((1, 2)), rtol=1e-3)


@pytest.mark.parametrize("shrinkage", SHRINKAGES[:2])
@pytest.mark.parametrize("shape", [(2, 3, 4), (3, 2, 40), (5, 40, 1), (2, 1, 1)])
def test_few_sequences_do_no_harm(rng, shrinkage, shape):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bsr.ConvergenceWarning)
        view = whiten(correlated(rng, *shape), shrinkage=shrinkage)
    assert view.shape == shape
    assert 0.03 < np.mean(view.dense() ** 2) < 2.0


def test_an_estimator_learns_from_the_view_and_predicts_raw_tokens(rng):
    """What message passing cannot do with the tokens themselves."""
    X, S = correlated(rng, 400, 12, 12) + 2.0, rng.standard_normal((12, 2)) @ rng.standard_normal((2, 12))
    y = bsr.predict(X, S) + 5.0
    view = whiten(X)
    found = bsr.estimators.gamp_rie(view, y, 2)
    assert found.converged
    assert np.mean((found.predict(X) - y) ** 2) < 1e-5 * np.var(y)
    T = np.linalg.solve(view.P.T, S) @ np.linalg.inv(view.Q.T)  # <P X Q, T> = <X, S>
    np.testing.assert_allclose(found.S, T, atol=1e-2 * abs(T).max())
    with pytest.warns(bsr.ConvergenceWarning, match="tokens are not white"):
        bsr.estimators.gamp_rie(Centred(X), y, 2)


def test_an_iteration_that_is_cut_short_says_so(rng):
    X = correlated(rng, 20, 5, 7)
    with pytest.warns(bsr.ConvergenceWarning, match="whiten did not converge: after 2 iterations") as caught:
        view = whiten(X, iterations=2)
    assert caught[0].filename == __file__
    assert not view.converged
    assert view.iterations == 2


# Whether the form fits


DRAWS = {
    "normal": lambda rng: rng.standard_normal,
    "signs": lambda rng: lambda shape: rng.choice([-1.0, 1.0], shape),
    "Student 5": lambda rng: lambda shape: rng.standard_t(5, shape),
}


@pytest.mark.parametrize("law", DRAWS)
@pytest.mark.parametrize("size", [(40, 5, 8), pytest.param((200, 10, 10), marks=pytest.mark.slow)])
def test_the_misfit_of_what_fits_is_standard(rng, law, size):
    """In 1000 draws: mean 0.0(1), standard deviation 1.0 to 1.2 (Student), beyond 4 in at most 0.4 %."""
    found = np.array([whiten(correlated(rng, *size, DRAWS[law](rng))).misfit for _ in range(150)])
    assert abs(found.mean()) < 0.35
    assert 0.8 < found.std() < 1.4
    assert np.mean(found > 4.0) < 0.03


def toeplitz(rng, n, L, d):
    """A stationary sequence, cut into rows."""
    return (rng.standard_normal((n, L * d)) @ root(L * d, 0.8).T).reshape(n, L, d)


def two(rng, n, L, d):
    """A sum of two Kronecker products."""
    U, V = (np.linalg.qr(rng.standard_normal((size, size)))[0] for size in (L, d))
    return correlated(rng, n, L, d) + U @ correlated(rng, n, L, d) @ V


@pytest.mark.parametrize("draw", [toeplitz, two])
def test_what_does_not_fit_is_told(rng, draw):
    X = draw(rng, 200, 10, 10)
    with pytest.warns(MisfitWarning, match="standard deviations too large") as caught:
        view = whiten(X)
    assert caught[0].filename == __file__
    assert view.converged
    assert 70 * view.excess < view.misfit < 101 * view.excess


def test_the_excess_is_what_it_is_called(rng):
    """On a covariance that is known, with three times its standard error."""
    L, d, n = 4, 3, 4000
    X = toeplitz(rng, n, L, d)
    C = (root(L * d, 0.8) @ root(L * d, 0.8).T).reshape(L, d, L, d)
    with pytest.warns(MisfitWarning):
        view = whiten(X, shrinkage=None)
    C = np.einsum("ai,jb,ijkl,ck,ld->abcd", view.P, view.Q, C, view.P, view.Q)
    left, right = np.einsum("ijkj->ik", C), np.einsum("ijil->jl", C)
    excess = np.sum(C**2) * np.einsum("ijij", C) ** 2 / (np.sum(left**2) * np.sum(right**2)) - 1
    assert view.excess == pytest.approx(excess, abs=0.03)


def test_images_of_digits_do_not_fit(rng):
    images = pytest.importorskip("sklearn.datasets").load_digits().images
    with pytest.warns(MisfitWarning):
        view = whiten(images)
    assert view.excess > 0.5


@pytest.mark.parametrize("shape", [(50, 1, 7), (50, 7, 1)])
def test_one_position_or_channel_always_fits(rng, shape):
    assert whiten(rng.standard_normal(shape)).misfit == 0.0


# Bad input


@pytest.mark.parametrize("kind", [lambda X: X, lambda X: Pieces(X, 3), lambda X: Whitened(X)])
def test_bad_entries_are_named_with_their_rows(rng, kind, monkeypatch):
    monkeypatch.setattr("bsr.tokens._views._HELD", 24)  # entries: two sequences
    X = rng.standard_normal((10, 3, 4))
    X[7, 1, 2] = np.nan
    with pytest.raises(ValueError, match=r"^X must be finite.* in row 7$"):
        whiten(kind(X))


def test_sequences_that_tell_nothing_are_refused(rng):
    for X in (rng.standard_normal((1, 3, 4)), np.ones((5, 3, 4))):
        with pytest.raises(ValueError, match=r"^X must have sequences that differ"):
            whiten(X)
    with pytest.raises(ValueError, match=r"^X must have more than 3.5 sequences of size 4 x 2"):
        whiten(rng.standard_normal((3, 4, 2)), shrinkage=None)


@pytest.mark.parametrize(
    ("argument", "bad"),
    [
        ("shrinkage", "lasso"),
        ("shrinkage", 0.5),
        ("tol", -1.0),
        ("tol", None),
        ("iterations", 0),
        ("X", np.ones((3, 4))),
    ],
)
def test_bad_arguments_are_named(rng, argument, bad):
    with pytest.raises(ValueError, match=f"^{argument} must"):
        whiten(**{"X": rng.standard_normal((9, 3, 4)), argument: bad})
