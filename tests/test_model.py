"""The model: what a problem is, the laws of its samples, what an error means, and how many parameters there are."""

import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

import bsr

STATISTICS = 5  # standard errors


def within(samples, expected):
    """Whether the mean of independent `samples` is that expected, given their spread."""
    return abs(np.mean(samples) - expected) < STATISTICS * np.std(samples, ddof=1) / np.sqrt(len(samples))


def teachers(d, L, r, count, seed=0):
    problem = bsr.Problem(alpha=1 / (d * L), beta=L / d, rho=r / min(d, L))  # a single sample: only the teacher counts
    rng = np.random.default_rng(seed)
    drawn = [problem.sample(d, rng).S for _ in range(count)]
    assert drawn[0].shape == (L, d)
    return np.array(drawn)


# The problem


@pytest.mark.parametrize("name", ["alpha", "beta", "rho", "delta"])
@pytest.mark.parametrize("value", [-0.1, np.nan, np.inf, "much", None, [0.1, 0.2]])
def test_problem_refuses_nonsense(name, value):
    with pytest.raises(ValueError, match=name):
        bsr.Problem(**{"alpha": 0.5, name: value})


def test_zero_is_allowed_for_the_noise_only():
    assert bsr.Problem(alpha=0.5, delta=0).delta == 0.0
    for name in ("alpha", "beta", "rho"):
        with pytest.raises(ValueError, match=f"{name} must be positive"):
            bsr.Problem(**{"alpha": 0.5, name: 0})


def test_problem_is_frozen_and_holds_floats():
    problem = bsr.Problem(alpha=np.float32(0.5), beta=2, rho=1)
    assert [type(value) for value in vars(problem).values()] == [*[float] * 4, type(None)]
    assert hash(problem) == hash(bsr.Problem(0.5, 2.0, 1.0))
    with pytest.raises(FrozenInstanceError):
        problem.alpha = 1.0


def test_rank_is_counted_on_the_short_side():
    assert bsr.Problem(alpha=0.5, beta=2.0, rho=0.25).sizes(20) == (400, 40, 5)
    assert bsr.Problem(alpha=0.5, beta=0.5, rho=0.25).sizes(40) == (400, 20, 5)


@pytest.mark.parametrize("ratios", [{"alpha": 1e-3}, {"beta": 1e-2}, {"rho": 0.01}])
def test_sizes_that_round_to_zero_are_refused(ratios):
    with pytest.raises(ValueError, match="too small for " + next(iter(ratios))):
        bsr.Problem(**{"alpha": 0.5, **ratios}).sample(10)


@pytest.mark.parametrize("d", [0, -3, 2.5, True, "30"])
def test_dimension_must_be_a_positive_integer(d):
    with pytest.raises(ValueError, match="d must be an integer"):
        bsr.Problem(alpha=0.5).sample(d)


# Its samples


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("beta", [1.7, 0.6])
def test_sample_reports_the_problem_it_drew(beta, dtype):
    data = bsr.Problem(alpha=0.333, beta=beta, rho=0.21, delta=0.3).sample(11, rng=1, dtype=dtype)
    (n, L, d), r = data.X.shape, data.U.shape[1]
    assert data.X.dtype == dtype
    assert data.X.flags.c_contiguous
    assert data.y.dtype == data.S.dtype == np.float64
    assert (data.y.shape, data.S.shape, data.U.shape, data.V.shape) == ((n,), (L, d), (L, r), (d, r))
    assert data.problem == bsr.Problem(alpha=n / (d * L), beta=L / d, rho=r / min(d, L), delta=0.3)
    assert data.problem.sizes(d) == (n, L, r)


def test_dtype_is_single_or_double():
    with pytest.raises(ValueError, match="dtype"):
        bsr.Problem(alpha=0.5).sample(5, dtype=np.float16)


def test_a_seed_fixes_the_sample():
    problem = bsr.Problem(alpha=0.5, delta=0.1)
    once, again, other = problem.sample(8, rng=3), problem.sample(8, rng=3), problem.sample(8, rng=4)
    from_generator = problem.sample(8, rng=np.random.default_rng(3))
    for name in ("X", "y", "S", "U", "V"):
        np.testing.assert_array_equal(getattr(once, name), getattr(again, name))
        np.testing.assert_array_equal(getattr(once, name), getattr(from_generator, name))
        assert not np.array_equal(getattr(once, name), getattr(other, name))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_noiseless_labels_are_the_bilinear_form(dtype):
    data = bsr.Problem(alpha=2.0, beta=1.5, rho=0.5).sample(10, rng=0, dtype=dtype)
    (L, d), r = data.S.shape, data.U.shape[1]
    sums = np.einsum("lk,mlj,jk->m", data.U, data.X.astype(np.float64), data.V)
    np.testing.assert_allclose(data.y, sums / np.sqrt(r * d * L), rtol=0, atol=1e-13)
    np.testing.assert_allclose(data.S, data.U @ data.V.T / np.sqrt(r), rtol=0, atol=1e-14)


def test_noise_has_variance_delta():
    data = bsr.Problem(alpha=20.0, rho=0.5, delta=0.3).sample(15, rng=0, dtype=np.float64)
    noise = data.y - np.einsum("mij,ij->m", data.X, data.S) / 15
    assert within(noise, 0.0)
    assert within(noise**2, 0.3)
    assert within(noise**4, 3 * 0.3**2)


def test_tokens_are_standard_normal():
    X = bsr.Problem(alpha=5.0, beta=2.0).sample(20, rng=0).X.astype(np.float64)
    assert within(X.ravel(), 0.0)
    assert within(X.ravel() ** 2, 1.0)
    assert within(X.ravel() ** 4, 3.0)
    assert within((X[:, 1:] * X[:, :-1]).ravel(), 0.0)  # one token says nothing about the next


@pytest.mark.parametrize("r", [1, 2, 8])
def test_teacher_entries_have_variance_one_and_are_uncorrelated(r):
    S = teachers(d=8, L=12, r=r, count=4000)
    assert within(S.mean(axis=(1, 2)), 0.0)
    assert within((S**2).mean(axis=(1, 2)), 1.0)
    assert within(S[:, 0, 0] * S[:, 0, 1], 0.0)
    assert within(S[:, 0, 0] * S[:, 1, 0], 0.0)
    # ... but neither Gaussian nor independent: three corners of a rectangle say something about the fourth.
    assert within(S[:, 0, 0] ** 4, 3 + 6 / r)
    assert within(S[:, 0, 0] * S[:, 0, 1] * S[:, 1, 0] * S[:, 1, 1], 1 / r)


@pytest.mark.slow
@pytest.mark.parametrize(("d", "L", "r"), [(6, 9, 1), (6, 9, 4), (7, 5, 20)])
def test_norm_of_the_teacher(d, L, r):
    # E ||S||^2 = dL and Var(||S||^2) / (dL)^2 = 2 (d + L + r + 1) / (r d L), by the moments of Wishart matrices.
    size = (teachers(d, L, r, count=10000) ** 2).mean(axis=(1, 2))
    assert within(size, 1.0)
    assert within((size - 1) ** 2, 2 * (d + L + r + 1) / (r * d * L))


@pytest.mark.slow
def test_labels_have_variance_one_plus_delta():
    problem, rng = bsr.Problem(alpha=1 / 20, beta=0.8, rho=0.5, delta=0.4), np.random.default_rng(0)
    y = np.concatenate([problem.sample(5, rng).y for _ in range(8000)])  # one label a teacher
    assert len(y) == 8000
    assert within(y, 0.0)
    assert within(y**2, 1.4)


@pytest.mark.parametrize(("rho", "rank"), [(0.1, 1), (0.5, 5), (1.0, 10), (3.0, 10)])
def test_rank_of_the_teacher(rho, rank):
    assert np.linalg.matrix_rank(bsr.Problem(alpha=0.1, beta=1.5, rho=rho).sample(10).S) == rank


def test_transposing_the_tokens_inverts_beta():
    data = bsr.Problem(alpha=0.5, beta=2.0, rho=0.5).sample(6, rng=0)
    X_t, S_t = np.ascontiguousarray(data.X.transpose(0, 2, 1)), data.V @ data.U.T / np.sqrt(data.U.shape[1])
    np.testing.assert_allclose(bsr.sensing.forward(X_t, S_t) / np.sqrt(72), data.y, rtol=0, atol=1e-13)
    n, L, r = data.problem.sizes(6)
    mirrored = bsr.Problem(alpha=data.problem.alpha, beta=6 / L, rho=data.problem.rho)
    assert mirrored.sizes(L) == (n, 6, r)


def test_a_sample_is_equal_to_itself_alone_and_shown_in_one_line():
    data = bsr.Problem(alpha=0.8, beta=1.5, rho=0.25, delta=0.1).sample(8, rng=0)
    copy = pickle.loads(pickle.dumps(data))
    np.testing.assert_array_equal(copy.X, data.X)
    assert data == data
    assert data != copy
    assert len({data, copy, data}) == 2
    assert repr(data) == f"Data(n=77, L=12, d=8, r=2, X float32, problem={data.problem})"


# Errors


def test_mse_of_simple_estimates():
    S = np.arange(6.0).reshape(2, 3)
    assert bsr.mse(S, S) == 0.0
    assert bsr.mse(S + 2, S) == 4.0
    np.testing.assert_array_equal(bsr.mse([S, S + 1, S - 3], S), [0, 1, 9])
    assert isinstance(bsr.mse(S.astype(np.float32), S), float)


@pytest.mark.parametrize("shape", [(6,), (4, 2, 3)])
def test_mse_refuses_what_is_no_teacher(shape):
    with pytest.raises(ValueError, match="shape"):
        bsr.mse(np.zeros(shape), np.zeros(shape))


@pytest.mark.parametrize("shape", [(3, 2), (6,), (1, 2, 4)])
def test_mse_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match="shape"):
        bsr.mse(np.zeros(shape), np.zeros((2, 3)))


@pytest.mark.parametrize("delta", [0.0, 0.5])
def test_test_error_is_mse_plus_delta(delta):
    data = bsr.Problem(alpha=40.0, beta=2.0, rho=0.5, delta=delta).sample(10, rng=0)
    rng = np.random.default_rng(1)
    for S_hat in (np.zeros_like(data.S), 0.7 * data.S, data.S + 0.5 * rng.standard_normal(data.S.shape)):
        errors = (data.y - bsr.sensing.forward(data.X, S_hat) / np.sqrt(200)) ** 2  # S_hat has not seen these data
        assert within(errors, bsr.mse(S_hat, data.S) + delta)


# Parameters


def tangent_rank(U, V):
    """Dimension of the directions in which U V^T moves: the rank of the Jacobian of (U, V) -> U V^T."""
    (L, r), d = U.shape, len(V)
    from_U = np.einsum("ia,jk->ijak", np.eye(L), V).reshape(L * d, L * r)
    from_V = np.einsum("jb,ik->ijbk", np.eye(d), U).reshape(L * d, d * r)
    return np.linalg.matrix_rank(np.hstack([from_U, from_V]))


@pytest.mark.parametrize(("d", "L"), [(6, 6), (5, 9), (9, 5), (4, 12)])
def test_number_of_parameters(d, L):
    for r in range(1, min(d, L) + 3):
        data = bsr.Problem(alpha=1.0, beta=L / d, rho=r / min(d, L)).sample(d, rng=r)
        rank = tangent_rank(data.U, data.V)
        assert rank == (r * (d + L - r) if r <= min(d, L) else d * L)
        # As many noiseless labels determine the teacher.
        assert rank / (d * L) == pytest.approx(bsr.theory.limits.strong_recovery(L / d, r / min(d, L)), rel=1e-14)


# Pieces of a sample, and predictions


def test_a_sample_is_made_of_three_pieces():
    problem, rng = bsr.Problem(0.7, 1.5, 0.3, 0.2), np.random.default_rng(4)
    whole = problem.sample(10, rng=4)
    U, V = problem.sample_teacher(10, rng)
    X = problem.sample_tokens(10, rng)
    y = problem.sample_labels(X, U @ V.T / np.sqrt(U.shape[1]), rng)
    for piece, same in ((U, whole.U), (V, whole.V), (X, whole.X), (y, whole.y)):
        np.testing.assert_array_equal(piece, same)


def test_one_integer_draws_three_pieces_that_are_independent():
    problem = bsr.Problem(alpha=2.0, beta=1.0, rho=1.0, delta=1.0)
    U, V = problem.sample_teacher(20, rng=7)
    X = problem.sample_tokens(20, rng=7, dtype=np.float64)
    noise = problem.sample_labels(X, np.zeros((20, 20)), rng=7)
    pieces = [np.concatenate([U.ravel(), V.ravel()]), X.ravel()[:800], noise]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert abs(np.corrcoef(pieces[a], pieces[b])[0, 1]) < 4 / np.sqrt(800)
    np.testing.assert_array_equal(X, problem.sample_tokens(20, rng=7, dtype=np.float64))


def test_own_sequences_can_be_labelled():
    rng = np.random.default_rng(0)
    X, S = rng.integers(-3, 4, (5000, 3, 4)), rng.standard_normal((3, 4))
    y = bsr.Problem(alpha=1.0, delta=0.25).sample_labels(X, S, rng=1)
    noise = y - np.einsum("nij,ij->n", X, S) / np.sqrt(12)
    assert np.mean(noise) == pytest.approx(0, abs=4 * 0.5 / 5000**0.5)
    assert np.var(noise) == pytest.approx(0.25, rel=4 * (2 / 5000) ** 0.5)
    with pytest.raises(ValueError, match="S must be one matrix"):
        bsr.Problem(alpha=1.0).sample_labels(X, [S, S])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_predictions_of_a_matrix_and_of_a_stack(dtype):
    rng = np.random.default_rng(1)
    X, S = (10 * rng.standard_normal((7, 5, 6))).astype(dtype), rng.standard_normal((2, 3, 5, 6))
    expected = np.einsum("nij,abij->abn", X.astype(float), S) / np.sqrt(30)
    np.testing.assert_allclose(bsr.predict(X, S), expected, rtol=1e-12)
    np.testing.assert_allclose(bsr.predict(np.asfortranarray(X), S[0, 0]), expected[0, 0], rtol=1e-12)
    assert bsr.predict(X, S[:, :0]).shape == (2, 0, 7)


def test_predictions_in_blocks_are_the_same(monkeypatch):
    rng = np.random.default_rng(2)
    X, S = rng.standard_normal((23, 4, 4)), rng.standard_normal((3, 4, 4))
    expected = bsr.predict(X, S)
    monkeypatch.setattr(bsr.model, "_BLOCK", 80)
    np.testing.assert_allclose(bsr.predict(X, S), expected, rtol=1e-13)


@pytest.mark.parametrize(
    ("X", "S", "message"),
    [
        (np.ones((4, 5)), np.ones((4, 5)), r"X must have shape \(n, L, d\)"),
        (
            np.ones((2, 4, 5)),
            np.ones((5, 4)),
            r"S must end in the shape \(4, 5\) of a sequence of X, got shape \(5, 4\)",
        ),
        (np.full((2, 4, 5), np.nan), np.ones((4, 5)), "X must be finite"),
        (np.ones((2, 4, 5)), "S", "S must be a real number or an array"),
    ],
)
def test_what_cannot_be_predicted_is_named(X, S, message):
    with pytest.raises(ValueError, match=message):
        bsr.predict(X, S)


@pytest.mark.parametrize("problem", [bsr.Problem(0.5, 2.0, 0.3, 0.1), bsr.Problem(0.4, channel=bsr.channels.Sign(0.1))])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_sample_in_a_file_is_the_one_in_memory(problem, dtype, tmp_path, monkeypatch):
    monkeypatch.setattr("bsr.model._BLOCK", 7 * 20 * 20)  # many blocks, and a last one that is short
    here, there = problem.sample(20, 5, dtype), problem.sample_to(tmp_path / "X.npy", 20, 5, dtype)
    np.testing.assert_array_equal(there.X, here.X)
    np.testing.assert_allclose(there.y, here.y, atol=1e-12)
    np.testing.assert_array_equal(there.S, here.S)
    assert there.problem == here.problem
    assert isinstance(there.X, np.memmap)
    assert not there.X.flags.writeable
    assert [path.name for path in tmp_path.iterdir()] == ["X.npy"]


def test_a_generator_goes_on_after_a_sample_in_a_file(tmp_path):
    here, there = np.random.default_rng(2), np.random.default_rng(2)
    bsr.Problem(0.5, delta=0.1).sample(12, here)
    bsr.Problem(0.5, delta=0.1).sample_to(tmp_path / "X.npy", 12, there)
    assert here.random() == there.random()


def test_nothing_is_overwritten(tmp_path):
    path = tmp_path / "X.npy"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="path must be a new file"):
        bsr.Problem(0.5).sample_to(path, 12)
    assert path.read_text() == "mine"


def test_an_interrupted_sample_leaves_no_file(tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("bsr.model.forward", interrupt)
    with pytest.raises(KeyboardInterrupt):
        bsr.Problem(0.5).sample_to(tmp_path / "X.npy", 12)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_is_said_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10**9}))
    with pytest.raises(OSError, match=r"needs 33.6 GB for \(n, L, d\) = \(64800, 360, 360\), 1 GB are free"):
        bsr.Problem(0.5).sample_to(tmp_path / "X.npy", 360)
    assert list(tmp_path.iterdir()) == []
