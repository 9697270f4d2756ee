"""Ensembles of tokens: their laws, what a problem draws from them, and which labels they lead to."""

import pickle
import sys

import numpy as np
import pytest
from scipy import stats

import bsr
from bsr import ensembles

KINDS = {
    "gaussian": ensembles.Gaussian(),
    "rademacher": ensembles.Rademacher(),
    "uniform": ensembles.Uniform(),
    "student": ensembles.Student(9.0),
    "sparse": ensembles.Sparse(0.2),
    "codebook": ensembles.Codebook(30),
    "correlated": ensembles.Correlated(0.8, 0.5),
    "digits": ensembles.Digits(),
    "photograph": ensembles.Photograph(),
}
INDEPENDENT = {  # the law of an entry, by scipy
    "gaussian": stats.norm().cdf,
    "uniform": stats.uniform(-np.sqrt(3), 2 * np.sqrt(3)).cdf,
    "student": lambda x: stats.t(9.0).cdf(x * np.sqrt(9 / 7)),
}


@pytest.fixture
def tokens(request):
    if request.param in ("digits", "photograph"):
        pytest.importorskip("sklearn")
    return KINDS[request.param]


def within(samples, expected, errors=5.0):
    """Whether the mean of independent samples is that expected, given their spread, and 1e-12 for rounding."""
    return abs(np.mean(samples) - expected) < errors * np.std(samples, ddof=1) / np.sqrt(len(samples)) + 1e-12


@pytest.mark.parametrize("tokens", KINDS, indirect=True)
def test_entries_are_centred_and_of_mean_square_one(tokens):
    X = tokens.sample((6000, 13, 11), 1, np.float64)
    assert within(np.mean(X**2, axis=(1, 2)), 1.0)
    rng = np.random.default_rng(0)
    for direction in (np.ones((13, 11)), *rng.standard_normal((5, 13, 11))):
        assert within(np.einsum("nij,ij->n", X, direction), 0.0)


@pytest.mark.parametrize("tokens", KINDS, indirect=True)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_sample_has_the_shape_and_the_type_asked_for_and_follows_from_the_seed(tokens, dtype):
    X = tokens.sample((7, 5, 10), 3, dtype)
    assert (X.shape, X.dtype, X.flags.c_contiguous) == ((7, 5, 10), dtype, True)
    np.testing.assert_array_equal(tokens.sample((7, 5, 10), np.random.default_rng(3), dtype), X)
    assert not np.array_equal(tokens.sample((7, 5, 10), 4, dtype), X)
    assert pickle.loads(pickle.dumps(tokens)) == tokens == eval(repr(tokens), vars(ensembles))
    assert ensembles.NAMED[type(tokens).__name__] is type(tokens)


def test_every_kind_has_a_name():
    kinds = {getattr(ensembles, name) for name in ensembles.__all__}
    assert set(ensembles.NAMED.values()) == kinds - {ensembles.Ensemble} == {type(kind) for kind in KINDS.values()}


@pytest.mark.parametrize("name", INDEPENDENT)
def test_entries_follow_the_law(name):
    entries = KINDS[name].sample((200, 10, 10), 5, np.float64).ravel()
    assert stats.kstest(entries, INDEPENDENT[name]).pvalue > 1e-4


def test_signs_and_zeros():
    X = ensembles.Rademacher().sample((100, 10, 10), 0)
    assert set(np.unique(X)) == {-1.0, 1.0}
    X = ensembles.Sparse(0.05).sample((500, 10, 10), 0, np.float64)
    assert within(X.ravel() != 0, 0.05)
    assert stats.kstest(X[X != 0] * np.sqrt(0.05), stats.norm().cdf).pvalue > 1e-4


def test_blocks_do_not_repeat(monkeypatch):
    monkeypatch.setattr(ensembles._ensemble, "_BLOCK", 300)
    X = ensembles.Gaussian().sample((50, 10, 10), 2)
    np.testing.assert_array_equal(X, np.random.default_rng(2).standard_normal((50, 10, 10), np.float32))


@pytest.mark.parametrize("name", ["codebook", "correlated"])
def test_covariances_are_those_of_the_factors(name):
    L, d = 5, 7
    X = KINDS[name].sample((40000, L, d), 0, np.float64)
    A, B = KINDS[name].factors(L, d)
    rng = np.random.default_rng(1)
    for _ in range(8):
        one, two = rng.standard_normal((2, L, d))
        product = np.einsum("nij,ij->n", X, one) * np.einsum("nij,ij->n", X, two)
        assert within(product, np.sum((A.T @ one @ B.T) * (A.T @ two @ B.T)))
    assert np.sum(A**2) * np.sum(B**2) == pytest.approx(L * d, rel=1e-12)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_the_second_word_is_less_frequent_by_a_power_of_two(exponent):
    words = ensembles.Codebook(2, exponent).sample((250_000, 4, 1), 0)
    smaller = min(np.mean(words > 0), np.mean(words < 0))
    assert smaller == pytest.approx(1 / (1 + 2**exponent), abs=4 * np.sqrt(0.25 / words.size))


def test_few_words_leave_channels_without_variance():
    _, B = ensembles.Codebook(4).factors(3, 9)
    assert np.linalg.matrix_rank(B) == 3


def test_correlations_fall_off_geometrically():
    A, B = ensembles.Correlated(0.8, 0.5).factors(4, 6)
    for factor, correlation in ((A @ A.T, 0.8), (B.T @ B, 0.5)):
        np.testing.assert_allclose(factor[0], correlation ** np.arange(len(factor)), rtol=1e-12)
        np.testing.assert_allclose(np.diag(factor, 1), correlation, rtol=1e-12)


def test_words_are_few_and_follow_zipf():
    X = ensembles.Codebook(30).sample((5000, 4, 8), 0, np.float64)
    vectors, counts = np.unique(X.reshape(-1, 8), axis=0, return_counts=True)
    assert len(vectors) == 30
    expected = 1 / np.arange(1, 31) / np.sum(1 / np.arange(1, 31))
    assert stats.chisquare(np.sort(counts)[::-1], expected * counts.sum()).pvalue > 1e-4
    np.testing.assert_allclose(counts @ vectors / counts.sum(), 0.0, atol=0.05)
    other = ensembles.Codebook(30, seed=1).sample((50, 4, 8), 0, np.float64)
    assert not np.isin(other, vectors).any()
    assert np.isin(ensembles.Codebook(30).sample((50, 4, 8), 9, np.float64), vectors).all()  # the codebook stays


def test_digits_stand_side_by_side():
    images = pytest.importorskip("sklearn.datasets").load_digits().images
    X = ensembles.Digits().sample((30, 11, 19), 0, np.float64)
    centred = images - images.mean(axis=0)
    whole = X[:, :8, 8:16]
    scale = np.linalg.norm(whole[0]) / np.linalg.norm(centred, axis=(1, 2))
    fits = [np.abs(whole[0] - s * image).max() for s, image in zip(scale, centred, strict=True)]
    assert min(fits) < 1e-12
    assert not np.array_equal(X[:, :8, :8], whole)
    with pytest.raises(ValueError, match="blank margin"):
        ensembles.Digits().sample((3, 1, 1))


@pytest.mark.slow
def test_windows_of_a_photograph():
    picture = pytest.importorskip("sklearn.datasets").load_sample_image("flower.jpg").mean(axis=2)
    X = ensembles.Photograph("flower").sample((400, 6, 9), 0, np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(picture, (6, 9))
    mean, variance = windows.mean(axis=(0, 1)), windows.var(axis=(0, 1)).mean()
    pixels = X * np.sqrt(variance) + mean
    np.testing.assert_allclose(3 * pixels, np.round(3 * pixels), atol=1e-7)  # means of three bytes
    for window in pixels[:3]:
        assert np.any(np.all(np.abs(windows - window) < 1e-6, axis=(2, 3)))
    with pytest.raises(ValueError, match="L and d must be below 427 and 640, got 427 and 9"):
        ensembles.Photograph("flower").sample((1, 427, 9))


def test_images_name_their_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    ensembles._images._digits.cache_clear()
    with pytest.raises(ImportError, match=r"install bilinear-sequence-regression\[learn\]"):
        ensembles.Digits().sample((1, 8, 8))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ensembles.Student(2.0), "df must be above 2, .* got 2.0"),
        (lambda: ensembles.Student(np.nan), "df must be positive"),
        (lambda: ensembles.Sparse(0.0), "density must be positive"),
        (lambda: ensembles.Sparse(1.5), "density must be at most 1, got 1.5"),
        (lambda: ensembles.Codebook(1), "words must be an integer >= 2, got 1"),
        (lambda: ensembles.Codebook(5, -1.0), "exponent must be zero or positive"),
        (lambda: ensembles.Codebook(5, 1e3).sample((1, 2, 2)), "exponent must leave other words .*, got 1000.0"),
        (lambda: ensembles.Gaussian().sample(5), r"shape must be \(n, L, d\), got 5"),
        (lambda: ensembles.Codebook(5, 1.0, -1), "seed must be an integer >= 0"),
        (lambda: ensembles.Correlated(1.0, 0.5), r"left must be in \[0, 1\)"),
        (lambda: ensembles.Correlated(0.5, -0.1), r"right must be in \[0, 1\)"),
        (lambda: ensembles.Photograph("rome"), "image must be 'china' or 'flower', got 'rome'"),
        (lambda: ensembles.Gaussian().sample((3, 4)), r"shape must be \(n, L, d\), got \(3, 4\)"),
        (lambda: ensembles.Gaussian().sample((3, 0, 4)), "L of shape must be an integer >= 1, got 0"),
        (lambda: ensembles.Gaussian().sample((3, 2, 4), dtype=np.float16), "dtype must be float32 or float64"),
        (lambda: bsr.Problem(0.5).sample(5, tokens="Student"), "tokens must be None or one of bsr.ensembles"),
        (lambda: bsr.Problem(0.5).sample_tokens(5, tokens=ensembles.Student), "tokens must be None or one of"),
    ],
)
def test_nonsense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# What a problem makes of them


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gaussian_tokens_are_those_of_the_model(dtype):
    problem = bsr.Problem(0.5, 1.5, 0.3, 0.1)
    plain, named = problem.sample(10, 4, dtype), problem.sample(10, 4, dtype, tokens=ensembles.Gaussian())
    for name in ("X", "y", "S"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(named, name))
    np.testing.assert_array_equal(
        problem.sample_tokens(10, 4, tokens=ensembles.Gaussian()), problem.sample_tokens(10, 4)
    )


def test_a_problem_draws_other_tokens_and_labels_them():
    problem = bsr.Problem(2.0, 1.5, 0.3, 0.0)
    data, plain = problem.sample(10, 4, np.float64, tokens=ensembles.Rademacher()), problem.sample(10, 4, np.float64)
    assert set(np.unique(data.X)) == {-1.0, 1.0}
    np.testing.assert_array_equal(data.S, plain.S)  # the teacher is drawn first
    np.testing.assert_allclose(data.y, np.einsum("nij,ij->n", data.X, data.S) / np.sqrt(150), rtol=0, atol=1e-12)
    assert problem.sample_tokens(10, 4, tokens=ensembles.Sparse(0.1)).shape == data.X.shape


def test_a_law_of_ones_own_is_checked():
    class Own(ensembles.Ensemble):
        def sample(self, shape, rng=0, dtype=np.float32):
            return np.zeros((7, *shape[1:]), dtype)

    with pytest.raises(ValueError, match=r"tokens must draw an array of shape \(50, 10, 10\) and type float32"):
        bsr.Problem(0.5, rho=0.2).sample_tokens(10, tokens=Own())
    with pytest.raises(NotImplementedError, match="must have a method sample"):
        ensembles.Ensemble().sample((3, 4, 5))
