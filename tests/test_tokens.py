"""Whatever holds the tokens: passes and fits are those of one array, and what is wrong with the data is named."""

import itertools

import numpy as np
import pytest

import bsr
from bsr import _memory, estimators
from bsr.channels import Logistic, Sign
from bsr.estimators._raw import without_intercept
from bsr.tokens import ArrayTokens, Centred, FileTokens, Tokens, TorchTokens, Whitened, _tokens, as_tokens
from bsr.tokens import _open as opening
from bsr.tokens._tokens import Block

N, L, D = 211, 9, 7
ROW = 8 * L * D


class Parts(Tokens):
    """Tokens in blocks that come in any order, and are gone when the next one comes."""

    def __init__(self, X, count):
        parts = np.array_split(np.arange(len(X)), count)
        self._X, self._parts = X, [parts[k] for k in np.random.default_rng(count).permutation(count)]
        self.shape, self.dtype = X.shape, X.dtype

    def blocks(self):
        buffer = np.empty((max(map(len, self._parts)), *self.shape[1:]), self.dtype)
        for part in self._parts:
            buffer[: len(part)] = self._X[part]
            yield Block(part[0], buffer[: len(part)])
            buffer[...] = np.nan

    def some(self, count):
        return ArrayTokens(self._X).some(count)


# What holds the tokens of an array X that is also in one file, and in three of different lengths
KINDS = {
    "Fortran order": lambda X, one, three: np.asfortranarray(X),
    "strided": lambda X, one, three: np.repeat(X, 2, axis=0)[::2],
    "memory map": lambda X, one, three: np.load(one, mmap_mode="r"),
    "one file": lambda X, one, three: FileTokens(one),
    "one file in blocks": lambda X, one, three: FileTokens(one, block_bytes=50 * ROW),
    "three files": lambda X, one, three: FileTokens(three, block_bytes=70 * ROW, keep=False),
    "2 blocks": lambda X, one, three: Parts(X, 2),
    "7 blocks": lambda X, one, three: Parts(X, 7),
    "blocks of one row": lambda X, one, three: Parts(X, len(X)),
    "dask": lambda X, one, three: pytest.importorskip("dask.array").from_array(X, chunks=(31, 4, -1)),
    "torch": lambda X, one, three: TorchTokens(pytest.importorskip("torch").from_numpy(X)),
    "views that undo each other": lambda X, one, three: Whitened(
        Whitened(FileTokens(one), np.eye(L)[::-1], 2.0 * np.eye(D)),
        np.eye(L)[::-1],
        0.5 * np.eye(D),
    ),
}


@pytest.fixture(scope="module")
def data():
    return bsr.Problem(alpha=N / (L * D), beta=L / D, rho=2 / 7, delta=0.1).sample(D, rng=3, dtype=np.float64)


@pytest.fixture(scope="module")
def files(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens")
    parts = {folder / f"part_{k}.npy": part for k, part in enumerate(np.split(data.X, [5, 150]))}
    for name, part in parts.items():
        np.save(name, part)
    np.save(folder / "all.npy", data.X)
    return folder / "all.npy", list(parts)


def close(found, expected, tolerance):
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


# Passes


@pytest.mark.parametrize("kind", KINDS)
def test_a_pass_is_that_of_the_array(kind, data, files):
    rng, X, rows = np.random.default_rng(0), as_tokens(KINDS[kind](data.X, *files)), data.X.reshape(N, -1)
    assert (X.shape, len(X), X.entries, X.dtype) == ((N, L, D), N, L * D, np.float64)
    for stack in ((), (3,), (2, 2)):
        S, g = rng.standard_normal((*stack, L, D)), rng.standard_normal((*stack, N))
        h, G = S.reshape(*stack, -1) @ rows.T, lambda g, stack=stack: (g @ rows).reshape(*stack, L, D)
        close(X.forward(S), h, 1e-13)
        close(X.adjoint(g), G(g), 1e-13)
        for y in (g, data.y):
            residual, pulled = X.residual(S, y)
            close(residual, y - h, 1e-13)
            close(pulled, G(y - h), 1e-13)
    close(X.dense(), data.X, 1e-15)
    assert X.dense().flags.c_contiguous
    for count in (0, 1, 10, N, 10 * N):
        close(X.some(count), data.X[:: max(N // max(count, 1), 1)][: max(count, 1)], 1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_are_in_double_precision(dtype, files, tmp_path):
    X = np.random.default_rng(1).standard_normal((5000, 3, 2)).astype(dtype)
    np.save(tmp_path / "X.npy", X)
    S, y = np.random.default_rng(2).standard_normal((2, 3, 2)), np.ones(5000)
    exact = X.astype(np.longdouble).reshape(5000, -1)
    for tokens in (ArrayTokens(X), FileTokens(tmp_path / "X.npy", block_bytes=1000), Parts(X, 9)):
        assert tokens.dtype == dtype
        close(tokens.adjoint(y).ravel(), exact.sum(axis=0).astype(float), 1e-13)
        close(tokens.forward(S)[1], (exact @ S[1].ravel()).astype(float), 1e-13)


def test_blocks_may_be_as_small_as_a_row(data, files):
    tokens = FileTokens(files[1], block_bytes=1)
    assert [start for start, _ in tokens.blocks()] == list(range(N))
    close(tokens.residual(data.S, data.y)[1], ArrayTokens(data.X).residual(data.S, data.y)[1], 1e-13)


def test_shapes_that_do_not_match_are_refused(data, files):
    for tokens in (ArrayTokens(data.X), FileTokens(files[0]), Centred(data.X), Whitened(data.X, np.eye(L)[:3])):
        n, rows, columns = tokens.shape
        with pytest.raises(ValueError, match=rf"S must have shape \({rows}, {columns}\) to match X, or be a stack"):
            tokens.forward(np.zeros((rows + 1, columns)))
        with pytest.raises(ValueError, match="g must have shape"):
            tokens.adjoint(np.zeros(n + 1))
        with pytest.raises(ValueError, match=r"y must have shape \(2, 211\) to match S"):
            tokens.residual(np.zeros((2, rows, columns)), np.zeros((3, n)))


# Fits

FITS = {
    "gamp_rie": {"rank": 2, "tol": 1e-11},
    "nuclear_norm, penalised": {"lam": 0.3, "tol": 1e-13, "method": "primal-dual"},
    "nuclear_norm, factors": {"lam": 0.3, "tol": 1e-13, "method": "douglas-rachford"},
    "ridge": {"lam": 0.1},
    "ridge, iterated": {"lam": 0.1, "method": "conjugate-gradients"},
    "gradient_descent": {"rank": 2, "replicas": 3, "steps": 100, "lr": 0.02, "tol": 0.0, "switch": np.inf},
    "posterior": {"rank": 2, "delta": 0.1, "sweeps": 60, "burn_in": 10, "min_effective": 0.0},
}


def fit(name, X, y, **more):
    return getattr(estimators, name.partition(",")[0])(X, y, **FITS[name] | more)


@pytest.mark.parametrize(("kind", "name"), list(itertools.product(KINDS, FITS)))
def test_a_fit_is_that_of_the_array(kind, name, data, files):
    expected = fit(name, data.X, data.y)
    found = fit(name, KINDS[kind](data.X, *files), data.y)
    close(found.S, expected.S, 1e-9)
    close(found.predict(data.X), expected.predict(data.X), 1e-9)
    assert found.converged == expected.converged


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["one file in blocks", "7 blocks"])
def test_a_fit_of_other_labels_is_that_of_the_array(kind, data, files):
    X, classes = KINDS[kind](data.X, *files), np.where(data.y > 0, 1.0, -1.0)
    for name, options in (
        ("nuclear_norm", {"lam": 0.2, "channel": Logistic(0.3), "tol": 1e-13}),
        ("gamp_rie", {"rank": 2, "channel": Sign(0.1), "tol": 1e-5, "damping": 0.3}),
        (
            "gradient_descent",
            {"rank": 2, "channel": Logistic(0.3), "lr": 0.005, "steps": 50, "tol": 0.0, "switch": np.inf},
        ),
    ):
        expected = getattr(estimators, name)(data.X, classes, **options)
        close(getattr(estimators, name)(X, classes, **options).S, expected.S, 1e-9)


def test_randomised_maps_of_blocks_are_those_of_the_array(data):
    """They descend in float32 throughout."""
    options = {"rank": 2, "delta": 0.1, "replicas": 2, "lr": 0.02}
    found, expected = (estimators.randomised_map(X, data.y, **options) for X in (Parts(data.X, 2), data.X))
    close(found.S, expected.S, 1e-5)


def test_interpolation_by_passes_alone(data, files):
    few = 60
    X, y = Parts(data.X[:few], 4), data.y[:few]
    expected = estimators.nuclear_norm(data.X[:few], y, method="douglas-rachford", tol=1e-9)
    found = estimators.nuclear_norm(X, y, method="primal-dual", tol=1e-9, iterations=20_000)
    close(found.S, expected.S, 1e-4)  # the gap is quadratic in the distance


def test_what_factors_need_of_blocks_is_one_array(data, monkeypatch):
    """Where that does not fit, passes do; where it is asked for, it is refused with its size."""
    X = Parts(data.X[:50], 3)
    assert estimators.nuclear_norm(X, data.y[:50], 0.3).method == "douglas-rachford"
    monkeypatch.setattr(_memory, "_SMALL", 0)
    monkeypatch.setattr(_memory, "available", lambda: 16 * 50**2 + 50 * ROW - 1)
    assert estimators.nuclear_norm(X, data.y[:50], 0.3).method == "primal-dual"
    monkeypatch.setattr(_memory, "available", lambda: X.shape[0] * ROW - 1)
    with pytest.raises(MemoryError, match=r"X takes .* GB as one array for \(n, L, d\) = \(50, 9, 7\), .* available"):
        X.dense()


# Views


def test_a_linear_change_of_tokens_is_a_change_of_the_matrix(data):
    rng = np.random.default_rng(5)
    P, Q, M = rng.standard_normal((4, L)), rng.standard_normal((D, 5)), rng.standard_normal((L, D))
    view = Whitened(Centred(Whitened(data.X, None, np.diag(np.arange(1.0, D + 1))), M), P, Q)
    array = P @ (data.X * np.arange(1.0, D + 1) - M) @ Q
    close(view.dense(), array, 1e-14)
    S, g = rng.standard_normal((4, 5)), rng.standard_normal((3, N))
    close(view.forward(S), array.reshape(N, -1) @ S.ravel(), 1e-13)
    close(view.adjoint(g), (g @ array.reshape(N, -1)).reshape(3, 4, 5), 1e-13)
    for found, expected in zip(view.residual(S, g[0]), ArrayTokens(array).residual(S, g[0]), strict=True):
        close(found, expected, 1e-13)
    stack = rng.standard_normal((2, 4, 5))
    labels = bsr.predict(data.X, view.raw(stack)) + view.shift(stack)[:, None]
    close(labels, bsr.predict(array, stack), 1e-13)


def test_the_mean_is_that_of_the_sequences(data):
    view = Centred(data.X + np.arange(L * D).reshape(L, D))
    close(view.mean, data.X.mean(axis=0) + np.arange(L * D).reshape(L, D), 1e-14)
    assert np.abs(view.dense().mean(axis=0)).max() < 1e-13
    assert "L=9, d=7" in repr(view)


@pytest.mark.parametrize("name", FITS)
def test_predictions_are_for_tokens_as_they_were(name, data):
    """An estimate from a view is that from the array that the view stands for, and says so of raw tokens."""
    rng = np.random.default_rng(6)
    P, Q = (np.linalg.qr(rng.standard_normal((k, k)))[0] * (1.0 + np.arange(k) / 20) for k in (L, D))
    raw, y = data.X + 0.3, data.y + 5.0
    view = Whitened(Centred(raw), P, Q)
    found, expected = fit(name, view, y), fit(name, view.dense(), y - y.mean())
    close(found.S, expected.S, 1e-9)
    new = rng.standard_normal((20, L, D))
    labels = y.mean() + bsr.predict(P @ (new - view.tokens.mean) @ Q, found.S)
    close(found.predict(new), labels, 1e-12)
    assert found.raw.S.shape == found.S.shape
    with pytest.raises(ValueError, match="X must be tokens as they were before the view"):
        found.predict(view)


def test_the_intercept_is_the_best_one(data):
    """Ridge on centred tokens is ridge with a column of ones that is not penalised."""
    raw, y, lam = data.X + np.linspace(-1, 1, D), data.y - 2.0, 0.3
    found = estimators.ridge(Centred(raw), y, lam)
    A = np.c_[raw.reshape(N, -1) / np.sqrt(L * D), np.ones(N)]
    best = np.linalg.solve(A.T @ A + lam * np.diag([1.0] * (L * D) + [0.0]), A.T @ y)
    close(found.S.ravel(), best[:-1], 1e-11)
    assert found.raw.intercept == pytest.approx(best[-1], rel=1e-11)


CENTRED = {
    "ridge": lambda X, y: estimators.ridge(X, y, 0.0),
    "ridge, iterated": lambda X, y: estimators.ridge(X, y, 0.0, method="conjugate-gradients"),
    "nuclear_norm": lambda X, y: estimators.nuclear_norm(X, y),
    "descent from ridge": lambda X, y: estimators.gradient_descent(X, y, D, init="ridge", steps=0, tol=0.0),
}


@pytest.mark.parametrize("mean", [1e2, 1e6])
@pytest.mark.parametrize("name", CENTRED)
def test_a_large_mean_leaves_interpolation_as_it_is(name, mean, data):
    """Rows of centred tokens sum to zero up to the rounding of what was subtracted, which is no sequence to be met."""
    X, y, ones = data.X[:30], data.y[:30], np.ones((L, D))
    for view in (Centred, lambda X: Whitened(Centred(X), np.diag(np.linspace(1, 2, L)))):
        expected, found = CENTRED[name](view(X), y), CENTRED[name](view(X + mean * ones), y + mean)
        close(found.S, expected.S, 1e-13 * mean)
        assert found.converged == expected.converged
        close(found.predict(X + mean * ones), expected.predict(X) + mean, 1e-13 * mean)


def test_labels_less_a_large_mean_have_none_left(data):
    for y in (data.y + 1e9, data.y + np.array([[1e9], [-3e7]])):
        left, mean = without_intercept(Centred(data.X), y)
        np.testing.assert_allclose(left.mean(axis=-1), 0.0, atol=1e-15)
        np.testing.assert_allclose(left + mean[..., None], y, rtol=1e-15)


def test_labels_of_a_channel_have_no_intercept(data):
    classes = np.where(data.y > 0.5, 1.0, -1.0)
    found = estimators.gamp_rie(Centred(data.X, np.zeros((L, D))), classes, 2, channel=Sign(0.1))
    close(found.S, estimators.gamp_rie(data.X, classes, 2, channel=Sign(0.1)).S, 1e-6)
    assert found.raw.intercept == 0.0


def test_known_covariances_make_correlated_tokens_white():
    """GAMP-RIE on tokens A Z B is that on Z, whose teacher is A^T S B^T."""
    rng, problem = np.random.default_rng(0), bsr.Problem(alpha=0.6, rho=0.2, delta=0.1)
    data = problem.sample(20, rng=0, dtype=np.float64)
    A, B = (np.eye(20) + 0.4 * rng.standard_normal((20, 20)) for _ in range(2))
    found = estimators.gamp_rie(Whitened(A @ data.X @ B, np.linalg.inv(A), np.linalg.inv(B)), data.y, 4)
    expected = estimators.gamp_rie(data.X, data.y, 4)
    close(found.S, expected.S, 1e-7)
    close(A.T @ found.raw.S @ B.T, expected.S, 1e-7)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda X: Centred(X, np.zeros((D, L))), r"mean must have the shape \(9, 7\) of a sequence, got \(7, 9\)"),
        (lambda X: Centred(X, np.full((L, D), np.nan)), "mean must be finite, got nan"),
        (lambda X: Whitened(X, np.eye(D)), r"P must have 9 columns to match X \(211, 9, 7\), got shape \(7, 7\)"),
        (lambda X: Whitened(X, None, np.eye(L)), r"Q must have 7 rows to match X \(211, 9, 7\), got shape \(9, 9\)"),
        (lambda X: Whitened(X, np.inf * np.ones((L, L))), "P must be finite"),
        (lambda X: Whitened(X, np.ones((0, L))), "P must have 9 columns"),
        (lambda X: ArrayTokens(X[0]), r"X must have shape \(n, L, d\) with no empty axis, got \(9, 7\)"),
        (lambda X: ArrayTokens(X > 0j), "X must be a real number or an array of them"),
        (lambda X: ArrayTokens(X + 1j), "X must be a real number or an array of them"),
    ],
)
def test_bad_views_and_arrays_are_refused(make, message, data):
    if "real number" in message and "0j" in str(make.__code__.co_consts):
        pytest.skip("comparison of complex numbers is NumPy's to refuse")
    with pytest.raises(ValueError, match=message):
        make(data.X)


# Files and blocks that are not what they should be


@pytest.mark.parametrize("kind", ["one file in blocks", "three files", "7 blocks", "array"])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e31])
def test_what_is_no_number_is_named_with_its_row(kind, value, data, tmp_path):
    X = data.X.copy()
    X[[177, 200], 3, 2] = value
    parts = [tmp_path / "a.npy", tmp_path / "b.npy", tmp_path / "c.npy"]
    for name, part in zip(parts, np.split(X, [5, 150]), strict=True):
        np.save(name, part)
    np.save(tmp_path / "all.npy", X)
    tokens = ArrayTokens(X) if kind == "array" else KINDS[kind](X, tmp_path / "all.npy", parts)
    message = rf"X must be finite and at most 1e\+30 in modulus, got {value}.* in rows? 177( to 200)?$"
    for name in ("gamp_rie", "nuclear_norm, penalised", "ridge, iterated", "gradient_descent"):
        with pytest.raises(ValueError, match=message.replace("+31", r"\+31")):
            fit(name, tokens, data.y)
    if value != 1e31 and kind != "array":
        with pytest.raises(ValueError, match=message):
            tokens.residual(data.S, data.y)
        with pytest.raises(ValueError, match=message):
            tokens.forward(data.S)


def test_files_are_checked_when_they_are_opened(data, tmp_path):
    good = tmp_path / "good.npy"
    np.save(good, data.X)

    def refused(array, message, **options):
        np.save(tmp_path / "bad.npy", array, **options)
        with pytest.raises(ValueError, match=message):
            FileTokens([good, tmp_path / "bad.npy"])

    refused(data.X[:, 1:], r"files of one shape \(n_i, L, d\) and type, got \(211, 9, 7\) float64 in .*good.npy and")
    refused(data.X.astype(np.float32), "float32 in .*bad.npy")
    refused(data.X[0], r"arrays of shape \(n, L, d\) with no empty axis, got \(9, 7\) in .*bad.npy")
    refused(data.X[:0], r"with no empty axis, got \(0, 9, 7\)")
    refused(np.asfortranarray(data.X), "float32 or float64 in C order, got float64 in another order in .*bad.npy")
    refused(data.X.astype(">f8"), "got >f8 in C order")
    refused(np.arange(24).reshape(2, 3, 4), "got int64 in C order")
    refused(np.array([None]), "must be .npy files that are whole")
    (tmp_path / "bad.npy").write_bytes(good.read_bytes()[:-8])
    with pytest.raises(ValueError, match=r"must be \.npy files that are whole, got .*bad.npy"):
        FileTokens(tmp_path / "bad.npy")
    np.savez(tmp_path / "bad.npz", data.X)
    with pytest.raises(ValueError, match=r"must be \.npy files, got .*bad.npz, which holds NpzFile"):
        FileTokens(tmp_path / "bad.npz")
    with pytest.raises(FileNotFoundError):
        FileTokens(tmp_path / "none.npy")
    with pytest.raises(ValueError, match="paths must be one file or more, got none"):
        FileTokens([])
    with pytest.raises(ValueError, match="block_bytes must be an integer >= 1"):
        FileTokens(good, block_bytes=0)


def test_a_file_that_shrinks_while_it_is_read_is_named(data, tmp_path):
    path = tmp_path / "X.npy"
    np.save(path, data.X)
    tokens = FileTokens(path, block_bytes=10 * ROW)

    def shrink(state):
        if state.iteration == 2:
            with path.open("r+b") as file:
                file.truncate(path.stat().st_size - 21 * ROW)

    with pytest.raises(ValueError, match=r"X has become shorter: .*X.npy ends in row 190, it had 211"):
        estimators.gamp_rie(tokens, data.y, 2, callback=shrink)


def test_a_file_that_has_grown_is_named(data, tmp_path):
    path = tmp_path / "X.npy"
    np.save(path, data.X)
    tokens = FileTokens(path)
    np.save(path, np.ones((2 * N, D, L)))  # which has other sequences where those were
    for use in (lambda: tokens.forward(data.S), lambda: tokens.some(3)):
        with pytest.raises(ValueError, match=r"X has become longer: .*X.npy has \d+ bytes, it had \d+"):
            use()


@pytest.mark.parametrize("paths", [None, 3, b"X.npy", [None], [["X.npy"]]])
def test_what_is_no_path_is_named(paths):
    with pytest.raises(ValueError, match="paths must be a path or a sequence of them"):
        FileTokens(paths)


def test_a_sample_opens_each_file_once(files, data, monkeypatch):
    tokens, opened, really = FileTokens(files[1]), [], type(files[0]).open
    monkeypatch.setattr(
        type(files[0]), "open", lambda self, *args, **more: opened.append(self) or really(self, *args, **more)
    )
    close(tokens.some(N), data.X, 1e-15)
    assert opened == list(files[1])


def test_a_pass_holds_two_blocks_and_no_more(tmp_path):
    import tracemalloc

    X = np.zeros((4000, 10, 10), np.float32)
    np.save(tmp_path / "X.npy", X)
    tokens, S, y = FileTokens(tmp_path / "X.npy", block_bytes=40_000), np.zeros((10, 10)), np.zeros(4000)
    tokens.residual(S, y)
    tracemalloc.start()
    try:
        tokens.residual(S, y)
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert taken < 2 * 40_000 + 3 * y.nbytes + 50_000 < X.nbytes / 5


@pytest.mark.filterwarnings("ignore::bsr.ConvergenceWarning")
@pytest.mark.parametrize("name", ["gradient_descent", "randomised_map"])
def test_descents_take_files_larger_than_memory(name, tmp_path, monkeypatch):
    import tracemalloc

    X = np.random.default_rng(0).standard_normal((8000, 20, 20), np.float32)
    np.save(tmp_path / "X.npy", X)
    tokens = FileTokens(tmp_path / "X.npy", block_bytes=200_000)
    options = {"gradient_descent": {"replicas": 2, "rng": 0}, "randomised_map": {"replicas": 2, "delta": 1.0}}[name]
    monkeypatch.setattr(_memory, "_SMALL", 0)
    monkeypatch.setattr(_memory, "available", lambda: X.nbytes // 3)
    tracemalloc.start()
    try:
        getattr(estimators, name)(tokens, X[:, 0, 0], 1, steps=2, **options)
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert taken < X.nbytes / 3
    with pytest.raises(MemoryError, match=f"{name} needs"):
        getattr(estimators, name)(Centred(tokens), X[:, 0, 0], 1, steps=2, **options)


def test_a_pass_that_is_left_early_leaves_no_thread(files):
    import threading

    before = threading.active_count()
    blocks = FileTokens(files[0], block_bytes=ROW).blocks()
    next(blocks)
    blocks.close()
    assert threading.active_count() == before


def test_two_passes_at_once_do_not_meet(files, data):
    tokens = FileTokens(files[0], block_bytes=20 * ROW)
    for (i, a), (j, b) in zip(tokens.blocks(), tokens.blocks(), strict=True):
        np.testing.assert_array_equal(a, data.X[i : i + len(a)])
        np.testing.assert_array_equal(a, b)
        assert i == j


def test_a_map_of_a_file_that_memory_may_not_hold_is_read_as_a_file(files, data, monkeypatch):
    X = np.load(files[0], mmap_mode="r")
    assert isinstance(as_tokens(X), ArrayTokens)
    monkeypatch.setattr(opening, "available", lambda: X.nbytes)
    found = as_tokens(X)
    assert isinstance(found, FileTokens)
    assert found.paths == (files[0],)
    part = np.memmap(files[0], X.dtype, "r", X.offset + ROW, (N - 1, L, D))
    for other in (
        X[1:],
        X[::2],
        X.copy(),
        part,
        np.load(files[0], mmap_mode="c"),
    ):  # not the whole file, or not the file
        assert isinstance(as_tokens(other), ArrayTokens)
    close(estimators.gamp_rie(X, data.y, 2).S, estimators.gamp_rie(data.X, data.y, 2).S, 1e-9)


def test_a_map_of_a_file_that_is_gone_is_an_array(data, tmp_path, monkeypatch):
    np.save(tmp_path / "X.npy", data.X)
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    monkeypatch.setattr(opening, "available", lambda: X.nbytes)
    (tmp_path / "X.npy").rename(tmp_path / "Y.npy")
    assert isinstance(as_tokens(X), ArrayTokens)


def test_tokens_are_returned_as_they_are(data):
    tokens = ArrayTokens(data.X)
    assert as_tokens(tokens) is tokens
    assert tokens.array is data.X  # no copy
    assert as_tokens(data.X.tolist()).dtype == np.float64


def test_a_path_is_named_where_tokens_are_wanted(files, data):
    for X in (str(files[0]), files[0], list(files[1])):
        with pytest.raises(ValueError, match=r"X must be an array of shape .* FileTokens reads files"):
            estimators.ridge(X, data.y, 0.1)
    with pytest.raises(ValueError, match="paths must be a path or a sequence of them, got generator"):
        FileTokens(path for path in files[1])


def test_numpy_makes_one_array_of_tokens(files, data):
    np.testing.assert_array_equal(np.asarray(FileTokens(files[0])), data.X)
    assert np.asarray(Centred(data.X), np.float32).dtype == np.float32


@pytest.mark.parametrize("name", FITS)
def test_metrics_compare_with_the_teacher_of_raw_tokens(name, data):
    """In units of a tenth, and without noise, the teacher is ten times as large, view or not."""
    y, teacher = bsr.predict(data.X, data.S) + 2.0, 10.0 * data.S
    found = fit(name, Centred(Whitened(data.X / 10.0, None, 10.0 * np.eye(D))), y).metrics(teacher)
    plain = fit(name, Centred(data.X), y).metrics(data.S)
    assert found["error"] == pytest.approx(100.0 * plain["error"], rel=1e-6, abs=1e-9)
    if "overlap_teacher" in found:
        assert found["overlap_teacher"] == pytest.approx(100.0 * plain["overlap_teacher"], rel=1e-6)


@pytest.mark.parametrize("held", [1, 3 * L * D, 50 * L * D])
def test_products_of_stacks_do_not_depend_on_how_many_sequences_are_held(held, data, monkeypatch):
    rng, rows, tokens = np.random.default_rng(2), data.X.reshape(N, -1), ArrayTokens(data.X)
    monkeypatch.setattr(_tokens, "HELD", held)
    S, g = rng.standard_normal((3, L, D)), rng.standard_normal((3, N))
    h = S.reshape(3, -1) @ rows.T
    close(tokens.forward(S), h, 1e-13)
    close(tokens.adjoint(g), (g @ rows).reshape(S.shape), 1e-13)
    close(tokens.residual(S, g)[1], ((g - h) @ rows).reshape(S.shape), 1e-13)


def test_training_errors_of_blocks_are_those_of_the_array(data):
    found, expected = fit("gradient_descent", Parts(data.X, 4), data.y), fit("gradient_descent", data.X, data.y)
    np.testing.assert_allclose(found.train_error, expected.train_error, rtol=1e-10)
    np.testing.assert_allclose(found.history.train_error, expected.history.train_error, rtol=1e-10)
    np.testing.assert_allclose(
        found.train_error, np.mean((bsr.predict(data.X, found.S) - data.y) ** 2, axis=1), rtol=1e-10
    )
