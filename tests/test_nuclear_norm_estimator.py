"""The nuclear-norm estimator: its certificate computed anew, optimality, closed forms, symmetries, unusual data."""

import json

import numpy as np
import pytest
from scipy.optimize import linprog

import bsr
from bsr import estimators
from bsr.estimators import _nuclear_norm, _splitting
from bsr.estimators._anderson import Anderson
from bsr.estimators._constraints import LeastSquares, largest_eigenvalue, least_norm
from bsr.tokens import ArrayTokens

METHODS = ["douglas-rachford", "primal-dual"]
pytestmark = pytest.mark.usefixtures("one_thread")


def nuclear_norm(X, y, lam=0.0, **options):
    """The estimator, with the penalty as it stands in the objective."""
    return estimators.nuclear_norm(X, y, lam / np.prod(np.shape(X)[1:]) ** 0.25, **options)


def rows(X):
    """The matrix A of the model, y = A vec(S), in float64."""
    return X.reshape(len(X), -1).astype(np.float64) / np.sqrt(X[0].size)


def nuclear(S):
    return np.linalg.svd(S, compute_uv=False).sum()


def operator(S):
    return np.linalg.svd(S, compute_uv=False)[0]


def certified_gap(X, y, result, lam=0.0):
    """Relative distance between the primal and the dual value, after a check that both points are feasible."""
    A, p = rows(X), result.dual
    assert p.shape == y.shape
    rounding = (
        np.finfo(float).eps * np.linalg.norm(A, 2) * np.linalg.norm(p)
    )  # of A^T p: terms cancel where rows repeat
    assert operator((A.T @ p).reshape(X.shape[1:])) <= 1.0 + 1e-12 + 10 * rounding
    residual = y - A @ result.S.ravel()
    if lam == 0.0:
        assert np.linalg.norm(residual) <= 1e-8 * np.linalg.norm(y)
        return 1.0 - p @ y / nuclear(result.S)
    value = residual @ residual / 2 + lam * nuclear(result.S)
    return 1.0 - (lam * p @ y - lam**2 * p @ p / 2) / value


def consistent(rng, n, L, d, rank=2, dtype=np.float64):
    S = rng.standard_normal((L, rank)) @ rng.standard_normal((rank, d))
    X = rng.standard_normal((n, L, d)).astype(dtype)
    return X, rows(X) @ S.ravel(), S


# Interpolation


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("alpha", "beta", "rho", "delta"),
    [
        (0.3, 0.4, 0.5, 0.1),
        *(
            pytest.param(*point, marks=pytest.mark.slow)
            for point in [(0.45, 1.0, 0.2, 0.0), (0.1, 1.0, 0.2, 0.0), (0.3, 3.0, 0.2, 0.0), (0.8, 1.0, 0.5, 0.2)]
        ),
    ],
)
def test_the_certificate_holds(method, dtype, alpha, beta, rho, delta):
    data = bsr.Problem(alpha, beta, rho, delta).sample(14, rng=1, dtype=dtype)
    for tol in (1e-3, 1e-7):
        result = nuclear_norm(data.X, data.y, tol=tol, method=method)
        assert result.converged
        assert result.method == method
        assert certified_gap(data.X, data.y, result) == pytest.approx(result.gap, abs=1e-12)
        assert 0.0 <= result.gap <= tol


def test_both_methods_find_the_same_minimum():
    data = bsr.Problem(0.4, 1.5, 0.3).sample(14, rng=2)
    first, second = (nuclear_norm(data.X, data.y, tol=1e-11, method=method) for method in METHODS)
    np.testing.assert_allclose(first.S, second.S, atol=1e-5)
    assert nuclear(first.S) == pytest.approx(nuclear(second.S), rel=2e-11)


def test_the_dual_matrix_is_a_subgradient():
    # ||S||_* has subgradients U V^T + M with S = U sigma V^T, U^T M = 0, M V = 0 and ||M||_op <= 1.
    data = bsr.Problem(0.45, 1.0, 0.2).sample(16, rng=3)
    result = nuclear_norm(data.X, data.y, tol=1e-11)
    W = (rows(data.X).T @ result.dual).reshape(data.S.shape)
    U, sigma, Vt = np.linalg.svd(result.S)
    rank = np.count_nonzero(sigma > 1e-4 * sigma[0])
    assert 0 < rank < 16
    np.testing.assert_allclose(U[:, :rank].T @ W, Vt[:rank], atol=1e-4)
    np.testing.assert_allclose(W @ Vt[:rank].T, U[:, :rank], atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_no_feasible_neighbour_has_a_smaller_norm(method):
    rng = np.random.default_rng(4)
    X, y, S = consistent(rng, 30, 8, 9, rank=5)
    result = nuclear_norm(X, y, method=method)
    assert nuclear(result.S) < nuclear(S)
    null = np.linalg.svd(rows(X))[2][30:]
    for size in (1e-3, 1e-1, 1.0):
        for _ in range(20):
            step = (rng.standard_normal(len(null)) @ null).reshape(8, 9)
            assert nuclear(result.S + size * step) > nuclear(result.S)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(3))
def test_one_sample_is_learned_along_its_largest_singular_vectors(method, seed):
    X = np.random.default_rng(seed).standard_normal((1, 7, 11))
    u, sigma, vt = np.linalg.svd(X[0])
    result = nuclear_norm(X, [-1.7], tol=1e-10, method=method)
    np.testing.assert_allclose(result.S, -1.7 * np.sqrt(77) / sigma[0] * np.outer(u[:, 0], vt[0]), atol=1e-4)
    assert nuclear(result.S) == pytest.approx(1.7 * np.sqrt(77) / sigma[0], rel=2e-10)


@pytest.mark.parametrize("method", METHODS)
def test_the_teacher_is_recovered_above_the_threshold(method):
    # The threshold at beta = 1, rho = 0.2 is 0.5717.
    data = bsr.Problem(0.7, 1.0, 0.2).sample(30, rng=5)
    result = nuclear_norm(data.X, data.y, tol=1e-8, method=method)
    assert bsr.mse(result.S, data.S) < 1e-8
    below = bsr.Problem(0.45, 1.0, 0.2).sample(30, rng=5)
    result = nuclear_norm(below.X, below.y, method=method)
    assert bsr.mse(result.S, below.S) > 0.02
    assert nuclear(result.S) < nuclear(below.S)


def test_diagonal_sequences_give_basis_pursuit():
    # If the X_mu span diagonal matrices only, the best S is diagonal: the linear program of least l1 norm.
    rng = np.random.default_rng(6)
    weights = rng.standard_normal((4, 9))
    X = np.zeros((4, 9, 9))
    X[:, np.arange(9), np.arange(9)] = weights
    y = rng.standard_normal(4)
    program = linprog(np.ones(18), A_eq=np.hstack([weights, -weights]) / 9, b_eq=y)
    result = nuclear_norm(X, y, tol=1e-8)
    assert nuclear(result.S) == pytest.approx(program.fun, rel=2e-8)
    np.testing.assert_allclose(result.S, np.diag(program.x[:9] - program.x[9:]), atol=1e-5)


# Symmetries


@pytest.mark.parametrize("lam", [0.0, 0.3])
@pytest.mark.parametrize("method", [None, "primal-dual"])
def test_symmetries(lam, method):
    rng = np.random.default_rng(7)
    X, y, _ = consistent(rng, 25, 7, 10)

    def learn(X, y, lam):
        return nuclear_norm(X, y, lam, tol=1e-10, method=method).S

    S = learn(X, y, lam)
    np.testing.assert_allclose(learn(X.transpose(0, 2, 1), y, lam), S.T, atol=1e-3)
    np.testing.assert_allclose(learn(X, 5.0 * y, 5.0 * lam), 5.0 * S, atol=1e-3)
    np.testing.assert_allclose(learn(1e-4 * X, y, 1e-4 * lam), 1e4 * S, rtol=1e-3, atol=10)
    P, Q = (np.linalg.qr(rng.standard_normal((k, k)))[0] for k in (7, 10))
    np.testing.assert_allclose(learn(P @ X @ Q, y, lam), P @ S @ Q, atol=1e-3)
    order = rng.permutation(25)
    np.testing.assert_allclose(learn(X[order], y[order], lam), S, atol=1e-3)


def test_any_real_type_and_memory_order():
    rng = np.random.default_rng(8)
    X = rng.integers(-3, 4, (20, 6, 8))
    y = rng.standard_normal(20)
    expected = nuclear_norm(X.astype(float), y, tol=1e-9)
    for other in (X, X.astype(np.float32), np.asfortranarray(X, dtype=float), X.tolist()):
        np.testing.assert_allclose(nuclear_norm(other, y, tol=1e-9).S, expected.S, atol=1e-6)
    assert expected.S.dtype == expected.dual.dtype == np.float64


# The penalised problem


def soft_threshold(R, theta):
    u, s, vt = np.linalg.svd(R, full_matrices=False)
    return (u * np.maximum(s - theta, 0.0)) @ vt


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("lam", [1e-3, 0.1, 1.0])
@pytest.mark.parametrize("n", [20, 40, 90])
def test_penalised_minimum_is_a_fixed_point_of_proximal_gradient(lam, n, method):
    rng = np.random.default_rng(9)
    X, y, _ = consistent(rng, n, 6, 8)
    y += 0.3 * rng.standard_normal(n)
    result = nuclear_norm(X, y, lam, tol=1e-10, method=method)
    assert result.converged
    assert result.method == method
    assert certified_gap(X, y, result, lam) == pytest.approx(result.gap, abs=1e-12)
    A = rows(X)
    step = 1.0 / np.linalg.norm(A, 2) ** 2
    R = result.S + step * (A.T @ (y - A @ result.S.ravel())).reshape(6, 8)
    np.testing.assert_allclose(soft_threshold(R, step * lam), result.S, atol=2e-4)


def test_penalised_minimum_against_proximal_gradient_run_to_its_end():
    rng = np.random.default_rng(10)
    X, y, _ = consistent(rng, 20, 5, 6)
    y += 0.3 * rng.standard_normal(20)
    A, lam = rows(X), 0.2
    step = 1.0 / np.linalg.norm(A, 2) ** 2
    S = np.zeros((5, 6))
    for _ in range(4000):
        S = soft_threshold(S + step * (A.T @ (y - A @ S.ravel())).reshape(5, 6), step * lam)
    result = nuclear_norm(X, y, lam, tol=1e-12)
    np.testing.assert_allclose(result.S, S, atol=1e-5)
    np.testing.assert_allclose(result.dual, (y - A @ S.ravel()) / lam, atol=1e-5)


@pytest.mark.slow
def test_small_penalty_leads_to_interpolation_and_a_large_one_to_zero():
    data = bsr.Problem(0.4, 1.0, 0.2).sample(12, rng=11)
    limit = nuclear_norm(data.X, data.y, tol=1e-9)
    errors = [np.linalg.norm(nuclear_norm(data.X, data.y, lam, tol=1e-9).S - limit.S) for lam in (1e-2, 1e-3, 1e-4)]
    assert errors[0] > 5 * errors[1] > 25 * errors[2]
    top = operator((rows(data.X).T @ data.y).reshape(data.S.shape))
    zero = nuclear_norm(data.X, data.y, 1.0001 * top)
    assert not zero.S.any()
    assert zero.gap == 0.0
    assert operator((rows(data.X).T @ zero.dual).reshape(data.S.shape)) <= 1.0
    assert nuclear_norm(data.X, data.y, 0.999 * top).S.any()


# Tokens that are not white


def autoregressive(size):
    index = np.arange(size)
    return np.linalg.cholesky(0.9 ** np.abs(index[:, None] - index))


TOKENS = {
    "white": lambda rng, n, L, d: rng.standard_normal((n, L, d)),
    "correlated": lambda rng, n, L, d: autoregressive(L) @ rng.standard_normal((n, L, d)) @ autoregressive(d).T,
    "mean": lambda rng, n, L, d: rng.standard_normal((n, L, d)) + 3.0,
    "units": lambda rng, n, L, d: rng.standard_normal((n, L, d)) * np.where(np.arange(d) < 2, 100.0, 1.0),
    "t3": lambda rng, n, L, d: rng.standard_t(3.0, (n, L, d)),
    "t1.5": lambda rng, n, L, d: rng.standard_t(1.5, (n, L, d)),
}


def unusual(kind, alpha, L, d, seed=0):
    rng = np.random.default_rng(seed)
    n = round(alpha * L * d)
    X, S = TOKENS[kind](rng, n, L, d), rng.standard_normal((L, 2)) @ rng.standard_normal((2, d))
    y = rows(X) @ S.ravel()
    return X, y, y + 0.7 * np.std(y) * rng.standard_normal(n)


def largest_penalty(X, y):
    return operator((rows(X).T @ y).reshape(X.shape[1:]))


@pytest.mark.parametrize("kind", TOKENS)
@pytest.mark.parametrize(("alpha", "L", "d"), [(0.3, 8, 8), (0.6, 12, 6), (1.0, 6, 9), (1.5, 8, 8), (3.0, 8, 8)])
def test_any_tokens_and_any_penalty(kind, alpha, L, d):
    X, exact, noisy = unusual(kind, alpha, L, d)
    top = largest_penalty(X, noisy)
    for share, y in ((0.99, noisy), (0.1, noisy), (1e-2, noisy), (1e-3, noisy), (0.0, exact)):
        result = nuclear_norm(X, y, share * top)
        assert result.converged
        assert result.iterations <= 200  # 130 in the hardest case
        assert certified_gap(X, y, result, share * top) <= 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("kind", TOKENS)
@pytest.mark.parametrize("low", [1.0, 0.2])
def test_primal_dual_cannot_diverge(monkeypatch, kind, low):
    # Whatever it is told of the size of A: it sees when a step was too long.
    monkeypatch.setattr(_splitting, "largest_eigenvalue", lambda *args: low * largest_eigenvalue(*args))
    X, _, y = unusual(kind, 1.5, 8, 8)
    top = largest_penalty(X, y)
    for share in (0.1, 1e-3):
        splitting = _splitting.PrimalDual(ArrayTokens(X), y, 1 / 8, share * top)
        eta, last, first = splitting.eta, np.inf, 0.0
        for _ in range(300):
            residual, norm = splitting.evaluate()
            change = np.linalg.norm(splitting._W - splitting.W), np.linalg.norm(splitting._q - splitting.q)
            assert change[0] <= np.sqrt(splitting.eta) * change[1] * (1 + 1e-9) + 1e-9 * operator(splitting.W)
            if splitting.eta > eta or splitting.accelerated.accepts(norm):
                assert (
                    norm <= last * (1 + 1e-6) + 1e-12 or splitting.eta > eta
                )  # residuals never grow, but with a new eta
                eta, last, first = splitting.eta, norm, first or norm
            splitting.advance(residual, norm)
        assert eta <= 1.03 * np.linalg.norm(rows(X), 2) ** 2 * (1 + 1e-9)
        assert last <= 0.1 * first


def test_a_step_from_an_eigenvalue_that_is_six_per_cent_low():
    # Even 12 Lanczos steps find only 94.6 % of the largest eigenvalue here.
    data = bsr.Problem(3.0, 1.0, 0.2, 0.5).sample(8, rng=0, dtype=np.float64)
    result = nuclear_norm(data.X, data.y, 0.0414, method="primal-dual")
    assert result.converged
    assert certified_gap(data.X, data.y, result, 0.0414) <= 1e-6


def test_a_gap_that_stays_names_what_helps():
    X, _, y = unusual("mean", 1.5, 8, 8)
    with pytest.warns(bsr.ConvergenceWarning, match=r"gap .* more iterations .* centred"):
        result = nuclear_norm(X, y, 1e-3 * largest_penalty(X, y), method="primal-dual", iterations=50)
    assert result.converged is False


# Units, memory


@pytest.mark.parametrize("kind", ["white", "units"])
@pytest.mark.parametrize("method", [None, pytest.param("primal-dual", marks=pytest.mark.slow)])
@pytest.mark.parametrize("share", [0.0, 0.05])
def test_units_of_tokens_and_labels_change_nothing(kind, method, share):
    X, exact, noisy = unusual(kind, 0.3, 6, 8)
    y = noisy if share else exact
    lam = share * largest_penalty(X, y)
    tol = 1e-2 if (kind, method) == ("units", "primal-dual") else 1e-6
    expected = nuclear_norm(X, y, lam, tol=tol, method=method)
    for c, s in ((2.0**-20, 1.0), (2.0**13, 1.0), (2.0**33, 2.0**-40), (2.0**-40, 2.0**33), (1.0, 2.0**90)):
        result = nuclear_norm(c * X, s * y, c * s * lam, tol=tol, method=method)
        assert result.iterations == expected.iterations
        assert result.gap == pytest.approx(expected.gap, rel=1e-2)
        np.testing.assert_allclose(c / s * result.S, expected.S, rtol=0, atol=1e-9 * operator(expected.S))
        np.testing.assert_allclose(c * result.dual, expected.dual, rtol=0, atol=1e-9 * np.abs(expected.dual).max())


@pytest.mark.slow
@pytest.mark.parametrize("c", [1e19, 1e-25, 1e10, 1e-12])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("lam", [0.0, 0.3])
def test_squares_of_float32_tokens_neither_overflow_nor_vanish(c, method, lam):
    X, y, _ = consistent(np.random.default_rng(23), 20, 6, 7, dtype=np.float32)
    expected = nuclear_norm(X, y, lam, method=method)
    scaled = X * np.float32(c)
    result = nuclear_norm(scaled, y, lam * c, method=method)
    assert result.converged
    assert abs(result.iterations - expected.iterations) <= 10
    np.testing.assert_allclose(c * result.S, expected.S, rtol=0, atol=2e-3 * operator(expected.S))


def test_any_memory_layout(tmp_path):
    X, y, _ = consistent(np.random.default_rng(24), 20, 6, 8, dtype=np.float32)
    np.save(tmp_path / "tokens.npy", X)
    wide, locked = np.zeros((40, 6, 16), np.float32), X.copy()
    wide[::2, :, ::2] = X
    locked.setflags(write=False)
    layouts = {
        "Fortran": np.asfortranarray(X),
        "strided": wide[::2, :, ::2],
        "reversed": X[::-1].copy()[::-1],
        "swapped": np.ascontiguousarray(X.transpose(0, 2, 1)).transpose(0, 2, 1),
        "read-only": locked,
        "mapped": np.load(tmp_path / "tokens.npy", mmap_mode="r"),
    }
    for lam in (0.0, 0.2):
        expected = nuclear_norm(X, y, lam)
        for name, other in layouts.items():
            before = other.copy()
            np.testing.assert_array_equal(nuclear_norm(other, y, lam).S, expected.S, err_msg=name)
            np.testing.assert_array_equal(other, before)


def test_the_flags_are_plain_values():
    X, y, _ = consistent(np.random.default_rng(25), 10, 4, 5)
    for lam in (0.0, 0.2, 1e6):
        result = nuclear_norm(X, y, lam)
        kept = {"converged": result.converged, "gap": result.gap, "iterations": result.iterations}
        assert json.loads(json.dumps(kept)) == kept
        assert result.converged is True
        assert type(result.gap) is float


# The parts


def test_anderson_acceleration_solves_a_linear_map_in_as_many_steps_as_dimensions():
    rng = np.random.default_rng(26)
    A = rng.standard_normal((6, 6))
    A = A @ A.T / 20
    b, z, accelerated = rng.standard_normal(6), np.zeros(6), Anderson(6, 6, 1.0)
    for _ in range(9):
        f = b - A @ z
        z = accelerated.step(z, f, 0.0)
    np.testing.assert_allclose(z, np.linalg.solve(A, b), rtol=1e-6)


def test_anderson_acceleration_takes_back_steps_that_make_residuals_grow():
    # The residual of a shrinking soft threshold has kinks at which extrapolation overshoots.
    rng = np.random.default_rng(27)
    A = rng.standard_normal((30, 60))
    b = rng.standard_normal(30)
    size = np.linalg.norm(A, 2) ** 2
    z, accelerated, last, rejected = np.zeros(60), Anderson(60, 10, 1.0), np.inf, 0
    for _ in range(400):
        step = z + A.T @ (b - A @ z) / size
        f = np.sign(step) * np.maximum(np.abs(step) - 1.0 / size, 0.0) - z
        norm = np.linalg.norm(f)
        if accelerated.accepts(norm):
            assert norm <= last * (1 + 1e-9) + 1e-12
            last = norm
        else:
            rejected += 1
        z = accelerated.step(z, f, norm)
    assert rejected > 0
    assert last < 1e-8


@pytest.mark.parametrize(("n", "shift"), [(20, 0.5), (90, 0.5), (20, 1e-6), (90, 1e-6)])
def test_least_squares_step(n, shift):
    rng = np.random.default_rng(28)
    X, y, _ = consistent(rng, n, 6, 8, dtype=np.float32)
    y += rng.standard_normal(n)
    A, S = rows(X), rng.standard_normal((6, 8))
    squares = LeastSquares(ArrayTokens(X), y, 1 / np.sqrt(48))
    squares.set_shift(shift)
    moved, overlap, power = squares(S)
    expected = np.linalg.solve(A.T @ A + shift * np.eye(48), A.T @ y + shift * S.ravel())
    residual = y - A @ expected
    np.testing.assert_allclose(moved.ravel(), expected, atol=1e-7)
    assert overlap == pytest.approx(residual @ y, abs=1e-7 * (y @ y))
    assert power == pytest.approx(residual @ residual, abs=1e-7 * (y @ y))


def test_conjugate_gradients_end_after_as_many_steps_as_constraints():
    X, y, _ = consistent(np.random.default_rng(20), 9, 6, 8, dtype=np.float32)
    S = least_norm(ArrayTokens(X), y, 1 / np.sqrt(48), 0.0, steps=9)
    np.testing.assert_allclose(S.ravel(), np.linalg.pinv(rows(X)) @ y, rtol=0, atol=1e-9 * np.abs(S).max())


def test_largest_eigenvalue_is_close_from_below():
    data = bsr.Problem(0.5, 2.0, 0.2).sample(15, rng=21)
    A = rows(data.X)
    exact = np.linalg.norm(A, 2) ** 2
    assert (
        0.9 * exact
        < largest_eigenvalue(ArrayTokens(data.X), (A.T @ data.y).reshape(data.S.shape), 1 / np.sqrt(450))
        < (1 + 1e-12) * exact
    )


# Unusual data


@pytest.mark.parametrize("n", [48, 49, 130])
def test_with_enough_exact_labels_every_teacher_is_found(n):
    X, y, S = consistent(np.random.default_rng(12), n, 6, 8, rank=6)
    result = nuclear_norm(X, y)
    np.testing.assert_allclose(result.S, S, atol=1e-8)
    assert certified_gap(X, y, result) <= 1e-6


@pytest.mark.parametrize("method", METHODS)
def test_repeated_samples_change_nothing(method):
    X, y, _ = consistent(np.random.default_rng(13), 20, 6, 8)
    once = nuclear_norm(X, y, tol=1e-8, method=method)
    again = np.r_[:20, :7]
    twice = nuclear_norm(X[again], y[again], tol=1e-8, method=method)
    np.testing.assert_allclose(twice.S, once.S, atol=1e-3)
    assert certified_gap(X[again], y[again], twice) <= 1e-8


@pytest.mark.parametrize("distance", [1e-3, 1e-5, 1e-6])
def test_nearly_repeated_samples_are_no_contradiction(distance):
    """A Gram matrix has the square of their condition number: by it the labels would be met to 1e-16 / distance^2."""
    X, _, S = consistent(np.random.default_rng(13), 20, 6, 8)
    X[1] = X[0] + distance * X[1]
    y = rows(X) @ S.ravel()
    result = nuclear_norm(X, y, method="douglas-rachford")
    assert certified_gap(X, y, result) <= 1e-6


@pytest.mark.parametrize("method", METHODS)
def test_contradictory_labels_are_an_error(method):
    rng = np.random.default_rng(14)
    X, y, _ = consistent(rng, 60, 6, 8)
    with pytest.raises(ValueError, match=r"inconsistent.*lam > 0"):
        nuclear_norm(X, y + 0.1 * rng.standard_normal(60), method=method)
    again = np.r_[:20, :7]
    bad = y[again]
    bad[23] += 1e-3
    with pytest.raises(ValueError, match="inconsistent"):
        nuclear_norm(X[again], bad, method=method)
    assert nuclear_norm(X[again], bad, 0.1).converged
    with pytest.raises(ValueError, match="inconsistent"):
        nuclear_norm(np.zeros((3, 4, 5)), np.ones(3), method=method)


@pytest.mark.parametrize("lam", [0.0, 0.5])
def test_zero_labels_give_zero(lam):
    result = nuclear_norm(np.random.default_rng(15).standard_normal((5, 4, 3)), np.zeros(5), lam)
    assert result.converged
    assert not result.S.any()
    assert not result.dual.any()


@pytest.mark.parametrize(("L", "d"), [(1, 30), (30, 1)])
def test_for_vectors_it_is_the_least_euclidean_norm(L, d):
    X, y, _ = consistent(np.random.default_rng(16), 12, L, d, rank=1)
    result = nuclear_norm(X, y, tol=1e-10)
    np.testing.assert_allclose(result.S.ravel(), np.linalg.pinv(rows(X)) @ y, atol=1e-9)


@pytest.mark.parametrize(("lam", "method"), [(0.0, "douglas-rachford"), (0.0, "primal-dual"), (0.3, None)])
def test_too_few_iterations_give_a_warning_and_a_true_certificate(lam, method):
    data = bsr.Problem(0.4, 1.0, 0.2).sample(15, rng=17)
    with pytest.warns(bsr.ConvergenceWarning, match="gap"):
        result = nuclear_norm(data.X, data.y, lam, method=method, iterations=17)
    assert not result.converged
    assert result.iterations == 17
    assert 1e-6 < result.gap < 1.0
    assert certified_gap(data.X, data.y, result, lam) == pytest.approx(result.gap, abs=1e-12)


def test_the_method_is_chosen_by_size(monkeypatch):
    module = _nuclear_norm
    data = bsr.Problem(0.4, 1.0, 0.2).sample(10, rng=18)
    assert nuclear_norm(data.X, data.y).method == "douglas-rachford"
    assert nuclear_norm(data.X, data.y, 0.1).method == "douglas-rachford"
    monkeypatch.setattr(module, "FACTOR_LIMIT", 1000)
    assert nuclear_norm(data.X, data.y).method == "primal-dual"


@pytest.mark.parametrize("lam", [0.0, 1e-3])
def test_where_primal_dual_is_slow_douglas_rachford_goes_on(monkeypatch, lam):
    monkeypatch.setattr(_nuclear_norm, "_DIRECT", 0)
    monkeypatch.setattr(_nuclear_norm, "_PATIENCE", 0.2)
    X, y, _ = consistent(np.random.default_rng(22), 30, 8, 9)
    quick = nuclear_norm(X, y, lam, tol=0.9999)
    assert quick.method == "primal-dual"
    assert quick.iterations <= 6
    result = nuclear_norm(X, y, lam)
    assert result.method == "douglas-rachford"
    assert result.iterations > 0.2 * 30
    assert certified_gap(X, y, result, lam) == pytest.approx(result.gap, abs=1e-12)
    with pytest.warns(bsr.ConvergenceWarning):
        assert nuclear_norm(X, y, lam, iterations=10).iterations == 10


@pytest.mark.parametrize("share", [0.0, 0.05])
def test_douglas_rachford_starts_where_primal_dual_ends(share):
    X, exact, noisy = unusual("white", 0.4, 8, 9)
    lam, y = share * largest_penalty(X, noisy), noisy if share else exact
    first = _splitting.PrimalDual(ArrayTokens(X), y, 1 / np.sqrt(72), lam)
    _splitting.iterate(first, 1e-10, 1000, lambda *state: None)
    second = _splitting.DouglasRachford(ArrayTokens(X), y, 1 / np.sqrt(72), lam, start=first.state())
    assert second.evaluate()[1] <= 1e-4 * operator(second.S)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": np.ones(4)}, "y must have shape"),
        ({"X": np.full((3, 4, 5), np.nan)}, "X must be finite"),
        ({"lam": -0.1}, "lam must be zero or positive"),
        ({"lam": [0.1, 0.2]}, "lam must be a single number"),
        ({"tol": 0.0}, "tol must be positive"),
        ({"method": "simplex"}, "method must be None or one of 'douglas-rachford', 'primal-dual', got 'simplex'"),
        ({"iterations": 0}, "iterations must be an integer >= 1"),
        ({"callback": 0}, "callback must be a function of one argument or None"),
    ],
)
def test_bad_input_is_named(change, message):
    arguments = {"X": np.ones((3, 4, 5)), "y": np.ones(3)} | change
    with pytest.raises(ValueError, match=message):
        estimators.nuclear_norm(**arguments)
