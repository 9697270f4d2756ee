"""GAMP-RIE: it learns as well as theory says, along the way that theory says, and never explodes."""

import warnings

import numpy as np
import pytest
from scipy import integrate

import bsr
from bsr import denoising, spectrum
from bsr.denoising import rie_and_divergence
from bsr.estimators import TeacherError, _gamp_rie, gamp_rie
from bsr.estimators._gamp_rie import _mean_within
from bsr.theory import bayes
from bsr.theory.limits import strong_recovery

pytestmark = pytest.mark.usefixtures("one_thread")


def learn(data, **options):
    return gamp_rie(data.X, data.y, data.U.shape[1], **options)


def errors_of(data, run=gamp_rie, **options):
    """The result, and the errors on the way."""
    watch = TeacherError(data.S)
    return run(data.X, data.y, data.U.shape[1], callback=watch, **options), watch.error


def quiet(*args, **options):
    """gamp_rie where it need not converge."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bsr.ConvergenceWarning)
        return gamp_rie(*args, **options)


# ---------------------------------------------------------------------------------------------------------------------
# Against theory. Most of the spread over samples is the size of the teacher, so errors are in units of |S|^2 / (dL).


@pytest.mark.parametrize(
    ("alpha", "beta", "rho", "delta"),
    [(0.15, 1, 0.2, 0), (0.3, 2, 0.5, 0.1), (0.4, 0.5, 1, 0.5), (1.2, 1, 0.2, 0.3), (0.1, 1.5, 1.5, 0)],
)
def test_error_is_the_bayes_optimal_one(alpha, beta, rho, delta):
    errors = []
    for seed in range(6):
        data = bsr.Problem(alpha, beta, rho, delta).sample(round(40 / beta**0.5), seed)
        errors.append(bsr.mse(learn(data, tol=1e-5).S, data.S) / np.mean(data.S**2))
    p = data.problem
    spread = np.std(errors, ddof=1) / 6**0.5
    assert np.mean(errors) == pytest.approx(bayes.mmse(p.alpha, p.beta, p.rho, p.delta), abs=3 * spread, rel=0.02)


def test_each_iteration_follows_state_evolution():
    errors, noises = [], []
    for seed in range(6):
        data = bsr.Problem(alpha=0.5, beta=1.5, rho=0.3, delta=0.1).sample(45, seed)
        result, error = errors_of(data, quiet, iterations=8)
        errors.append(error / np.mean(data.S**2))
        noises.append(result.history.noise / (0.1 + np.mean(data.S**2)))
    p = data.problem
    q = bayes.state_evolution(p.alpha, p.beta, p.rho, p.delta, iterations=8)
    noise = (p.delta + 1 - q[:-1]) / p.alpha / (1 + p.delta)
    for values, expected in ((errors, 1 - q[1:]), (noises, noise)):
        spread = np.std(values, axis=0, ddof=1) / 6**0.5
        assert np.all(np.abs(np.mean(values, axis=0) - expected) <= 3 * spread + 0.02 * expected)


def test_the_algorithm_knows_its_error():
    # Residuals with the Onsager term have variance delta + error; q is the overlap with the teacher too.
    rows = []
    for seed in range(10):
        data = bsr.Problem(alpha=0.6, beta=1, rho=0.4, delta=0.2).sample(30, seed)
        result = learn(data, tol=1e-5)
        history, overlap = result.history, np.mean(result.S * data.S)
        seen = data.problem.alpha * result.noise - 0.2
        error = bsr.mse(result.S, data.S)
        rows.append((error, seen, history.error_estimate[-1], history.q[-1], overlap, result.delta))
    error, seen, estimate, q, overlap, delta = np.mean(rows, axis=0)
    assert delta == pytest.approx(0.2, rel=0.1)
    assert seen == pytest.approx(error, rel=0.1)
    assert estimate == pytest.approx(error, rel=0.1)
    assert q == pytest.approx(overlap, rel=0.05)


@pytest.mark.parametrize(("alpha", "beta", "rho"), [(0.6, 1, 0.2), (0.9, 0.7, 0.4), (1.4, 1, 1.5)])
def test_exact_recovery_at_the_predicted_rate(alpha, beta, rho):
    data = bsr.Problem(alpha, beta, rho).sample(30, rng=1)
    result, error = errors_of(data)
    assert result.converged
    assert bsr.mse(result.S, data.S) < 1e-13
    # MMSE(noise) = strong_recovery * noise for small noise, so an iteration multiplies the error by the ratio.
    start, end = np.searchsorted(-error, [-1e-4, -1e-12])
    rate = (error[end] / error[start]) ** (1 / (end - start))
    p = data.problem
    assert rate == pytest.approx(strong_recovery(p.beta, p.rho) / p.alpha, rel=0.1)


# ---------------------------------------------------------------------------------------------------------------------
# Stability


@pytest.fixture(scope="module")
def few_samples():
    # Two of the first eight seeds where the RIE's formula, continued beyond the support of the law, blows up.
    return [bsr.Problem(alpha=0.05, beta=1, rho=0.2).sample(50, seed) for seed in (4, 5)]


def test_few_samples_do_not_explode(few_samples):
    for data in few_samples:
        assert np.max(errors_of(data)[1]) < 1.1 * np.mean(data.S**2)


def test_the_continued_formula_does_explode(few_samples, monkeypatch):
    def continued(Y, rho, noise):
        left, x, right = np.linalg.svd(Y, full_matrices=False)
        beta = Y.shape[0] / Y.shape[1]
        b = max(beta, 1.0 / beta)
        f = x - 2.0 * noise / np.sqrt(b) * (0.5 * (b - 1.0) / x + spectrum.hilbert(x, beta, rho, noise))
        return (left * f) @ right, denoising.mmse(noise, beta, rho) / noise

    monkeypatch.setattr(_gamp_rie, "rie_and_divergence", continued)
    for data in few_samples:
        assert np.max(errors_of(data, quiet, iterations=60, signal=1.0)[1]) > 1e6


@pytest.mark.parametrize("rank", [1, 3, 40, None])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda X, y: (X + 5, y),
        lambda X, y: (10 * X, y),
        lambda X, y: (X, 100 * y),
        lambda X, y: (np.ones_like(X), y),
        lambda X, y: (np.repeat(X[:6], 10, axis=0), y),
        lambda X, y: (X, np.ones_like(y)),
        lambda X, y: (X[:1], y[:1]),
        lambda X, y: (0 * X, y),
    ],
)
def test_bounded_on_data_that_are_not_from_the_model(spoil, rank):
    data = bsr.Problem(alpha=0.12, beta=0.8, rho=0.15).sample(25, rng=0, dtype=np.float64)
    X, y = spoil(data.X[:60], data.y[:60])
    result = quiet(X, y, rank, iterations=60)
    assert np.isfinite(result.S).all()
    # Of the order of the largest singular value of the samples, which sets how far one step can go.
    size = np.mean(X**2) or 1.0
    bound = 10 + np.linalg.norm(X.reshape(len(X), -1), 2) ** 2 / (len(X) * size)
    assert np.max(result.history.q, initial=0) < bound * np.mean(y**2) / size


def test_factors_beyond_the_support_are_those_of_its_edges():
    beta, rho, noise = 1.6, 0.3, 2.0
    edges = bsr.spectrum.edges(beta, rho, noise)
    inside = denoising.shrink(edges[[0, -1]] * [1 + 1e-9, 1 - 1e-9], beta, rho, noise) / edges[[0, -1]]
    Y = np.zeros((16, 10))
    np.fill_diagonal(Y, np.r_[edges[0] / 3, edges[0] / 1.1, np.full(6, edges.mean()), 1.1 * edges[-1], 3 * edges[-1]])
    S = denoising.rie(Y, rho, noise)
    assert np.diag(S)[[0, 1]] / np.diag(Y)[[0, 1]] == pytest.approx(inside[0], rel=1e-6)
    assert np.diag(S)[[-2, -1]] / np.diag(Y)[[-2, -1]] == pytest.approx(inside[1], rel=1e-6)


@pytest.mark.parametrize(("rho", "beta"), [(0.05, 1), (0.3, 1.5), (1, 1), (2, 4)])
def test_no_factor_exceeds_one_and_they_fall_like_the_inverse_noise(rho, beta):
    for noise in 10.0 ** np.arange(-6, 6):
        x = np.sort(bsr.spectrum.quadrature(beta, rho, noise).x)
        x = x[x > 1e-4 * x[-1]]
        factor = denoising.shrink(x, beta, rho, noise) / x
        assert np.all(np.diff(factor) > -1e-6)
        assert 0 < factor[0] <= factor[-1] <= min(1, 30 / noise)


# ---------------------------------------------------------------------------------------------------------------------
# Units


@pytest.mark.parametrize(
    ("X_unit", "y_unit"),
    [(1e-28, 1), (1e-6, 1e6), (1e6, 1e6), (1e28, 1e-28), (1, 1e-28), (1, 1e-6), (1, 1e28), (1e4, 1)],
)
def test_the_estimate_follows_the_units_of_the_data(sample, X_unit, y_unit):
    X, rank = sample.X.astype(np.float64), sample.U.shape[1]
    expected = gamp_rie(X, sample.y, rank, tol=1e-6)
    unit = y_unit / X_unit
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = gamp_rie(X_unit * X, y_unit * sample.y, rank, tol=1e-6)
    np.testing.assert_allclose(result.S / unit, expected.S, atol=1e-7)
    assert result.noise / unit**2 == pytest.approx(expected.noise, rel=1e-6)
    assert result.delta / y_unit**2 == pytest.approx(expected.delta, rel=1e-5)
    for name, value in vars(expected.history).items():
        power = 0 if name == "change" else 2
        np.testing.assert_allclose(getattr(result.history, name)[:20] / unit**power, value[:20], rtol=1e-6)


@pytest.mark.parametrize("X_unit", [1e-28, 1e-6, 1e6, 1e28])
def test_the_estimate_follows_the_units_of_single_precision_tokens(sample, X_unit):
    rank = sample.U.shape[1]
    X = np.float32(X_unit) * sample.X
    assert X.dtype == np.float32
    expected = gamp_rie(sample.X, sample.y, rank)
    np.testing.assert_allclose(X_unit * gamp_rie(X, sample.y, rank).S, expected.S, atol=1e-4)


def test_a_known_signal_is_in_the_units_of_the_data(sample):
    rank = sample.U.shape[1]
    expected = gamp_rie(sample.X, sample.y, rank, signal=1.0)
    result = gamp_rie(4 * sample.X, 32 * sample.y, rank, signal=64.0)
    np.testing.assert_allclose(result.S, 8 * expected.S, rtol=1e-12)
    np.testing.assert_allclose(result.history.signal, 64.0)


def test_the_scale_of_tokens_of_which_few_are_not_zero():
    X, y = np.zeros((60, 100, 100)), np.ones(60)
    X[1::2] = np.random.default_rng(0).standard_normal((30, 100, 100))  # none of the samples that tell the scale first
    result = quiet(X, y, 2, iterations=1)
    assert result.history.noise[0] == pytest.approx(1 / (0.006 * np.mean(X**2)), rel=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e100, 1e31])
def test_a_bad_entry_is_found_by_the_pass_over_the_samples(bad):
    X = np.random.default_rng(0).standard_normal((60, 100, 100))
    X[31, 5, 7] = bad  # not among those that tell the scale
    with pytest.raises(ValueError, match=r"X must be finite and at most 1e\+30 in modulus"):
        gamp_rie(X, np.ones(60), 2)
    X[31, 5, 7] = 1e20  # allowed
    assert np.isfinite(quiet(X, np.ones(60), 2, iterations=3).S).all()


def test_little_is_lost_by_measuring_the_signal():
    known, measured = [], []
    for seed in range(8):
        data = bsr.Problem(alpha=0.3, beta=1, rho=0.2, delta=0.1).sample(40, seed)
        for signal, errors in ((1.0, known), (None, measured)):
            errors.append(bsr.mse(learn(data, tol=1e-5, damping=0.3, signal=signal).S, data.S) / np.mean(data.S**2))
    difference = np.array(measured) - known
    assert abs(np.mean(difference)) < 3 * np.std(difference, ddof=1) / 8**0.5 + 0.005


# ---------------------------------------------------------------------------------------------------------------------
# Without a rank


@pytest.mark.slow
def test_little_is_lost_by_not_knowing_the_rank():
    known, unknown, doubled, estimates = [], [], [], []
    for seed in range(8):
        data = bsr.Problem(alpha=0.5, beta=1, rho=0.2, delta=0.1).sample(40, seed)
        rank, power = data.U.shape[1], np.mean(data.S**2)
        for r, errors in ((rank, known), (None, unknown), (2 * rank, doubled)):
            result = quiet(data.X, data.y, r, tol=1e-5, damping=0.3)
            errors.append(bsr.mse(result.S, data.S) / power)
            if r is None:
                estimates.append((result.history.error_estimate[-1] / power, result.delta / power))
    assert np.mean(unknown) == pytest.approx(np.mean(known) + 0.01, abs=0.008)  # 0.010(2) more
    assert np.mean(unknown) < np.mean(doubled) - 0.02
    error, delta = np.mean(estimates, axis=0)
    assert error == pytest.approx(np.mean(unknown), abs=0.04)
    assert delta == pytest.approx(0.1, abs=0.03)


def test_a_power_law_is_learned_better_than_by_any_rank():
    rng = np.random.default_rng(3)
    rotation, other = (np.linalg.qr(rng.standard_normal((30, 30)))[0] for _ in range(2))
    S = (rotation / np.arange(1, 31)) @ other
    S *= 30 / np.linalg.norm(S)
    X = rng.standard_normal((450, 30, 30))
    y = X.reshape(450, -1) @ S.ravel() / 30 + 0.3 * rng.standard_normal(450)
    best = bsr.mse(quiet(X, y, None, tol=1e-5, damping=0.3).S, S)
    for rank in (1, 2, 3, 5, 8, 15, 30):
        assert bsr.mse(quiet(X, y, rank, tol=1e-5, damping=0.3).S, S) > best


def test_without_a_rank_units_do_not_matter(sample):
    X = sample.X.astype(np.float64)
    expected = quiet(X, sample.y, None, iterations=20)
    result = quiet(1e6 * X, 1e-9 * sample.y, None, iterations=20)
    np.testing.assert_allclose(1e15 * result.S, expected.S, atol=1e-6)
    np.testing.assert_allclose(1e30 * result.history.error_estimate, expected.history.error_estimate, rtol=1e-5)


def test_without_a_rank_it_follows_state_evolution_at_first():
    errors = []
    for seed in range(4):
        data = bsr.Problem(alpha=0.5, beta=1.5, rho=0.3, delta=0.1).sample(45, seed)
        watch = TeacherError(data.S)
        quiet(data.X, data.y, None, iterations=8, callback=watch)
        errors.append(watch.error / np.mean(data.S**2))
    expected = 1 - bayes.state_evolution(0.5, 1.5, 0.3, 0.1, iterations=8)[1:]
    assert np.mean(errors, axis=0) == pytest.approx(expected, rel=0.07)


def test_a_channel_needs_the_rank(sample):
    with pytest.raises(ValueError, match=r"rank must be an integer >= 1 for Sign.*, got None"):
        gamp_rie(sample.X, np.sign(sample.y), None, channel=bsr.channels.Sign(0.1))


# ---------------------------------------------------------------------------------------------------------------------
# It says when it failed


def correlated(rng, shape, correlation=0.9):
    X = rng.standard_normal(shape)
    for axis in (1, 2):
        X = np.moveaxis(X, axis, 0)
        for i in range(1, len(X)):
            X[i] = correlation * X[i - 1] + (1 - correlation**2) ** 0.5 * X[i]
        X = np.moveaxis(X, 0, axis)
    return X


def blobs(rng, shape):
    """Pictures of four spots: all of them vary in a few directions."""
    n, L, d = shape
    centres = rng.random((2, n, 4, 1, 1))
    rows, columns = np.arange(L)[:, None] / L - centres[0], np.arange(d) / d - centres[1]
    return np.exp(-(rows**2 + columns**2) / 0.05).sum(axis=1)


NOT_WHITE = {
    "correlated": correlated,
    "weakly correlated": lambda rng, shape: correlated(rng, shape, 0.4),
    "not centred": lambda rng, shape: 1 + rng.standard_normal(shape),
    "two large channels": lambda rng, shape: rng.standard_normal(shape) * np.r_[100, 100, np.ones(shape[2] - 2)],
    "letters": lambda rng, shape: np.eye(shape[2])[rng.integers(0, shape[2], shape[:2])],
    "pictures": blobs,
}
HEAVY_TAILS = {
    "sparse": lambda rng, shape: (rng.random(shape) < 0.02) * rng.standard_normal(shape),
    "samples of many sizes": lambda rng, shape: (
        rng.standard_normal(shape) * np.exp(rng.standard_normal((shape[0], 1, 1)))
    ),
}


def labelled(draw, seed, n, new=1000):
    """Samples of side 14, their labels, and as many new ones."""
    rng = np.random.default_rng(seed)
    X, S = draw(rng, (n + new, 14, 14)), rng.standard_normal((14, 2)) @ rng.standard_normal((2, 14))
    y = X.reshape(len(X), -1) @ S.ravel()
    y = y / np.std(y) + 0.3 * rng.standard_normal(len(y))
    return X[:n], y[:n], X[n:], y[n:]


@pytest.mark.parametrize("rank", [2, None])
@pytest.mark.parametrize(("alpha", "damping"), [(0.3, 0.5), (1.5, 0.0)])
@pytest.mark.parametrize("kind", [*NOT_WHITE, *HEAVY_TAILS])
def test_an_estimate_that_is_worse_than_none_is_not_given_in_silence(kind, alpha, damping, rank):
    for seed in range(2):
        X, y, new_X, new_y = labelled((NOT_WHITE | HEAVY_TAILS)[kind], seed, round(alpha * 196))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = gamp_rie(X, y, rank, damping=damping, iterations=60, tol=1e-3)
        errors = new_y - new_X.reshape(1000, -1) @ result.S.ravel() / 14
        assert result.converged is (not caught)
        if np.mean(errors**2) > np.mean(new_y**2):
            assert not result.converged
            assert ("tokens are not white" in str(caught[0].message)) is (kind in NOT_WHITE)


@pytest.mark.parametrize("kind", NOT_WHITE)
def test_it_tells_that_tokens_are_not_white(kind):
    X, y, *_ = labelled(NOT_WHITE[kind], 0, 300)
    with pytest.warns(
        bsr.ConvergenceWarning, match=r"tokens are not white \(they vary in about \d+ of 196 directions\)"
    ):
        result = gamp_rie(X, y, 2, iterations=20)
    assert not result.converged


def test_it_does_not_rest_where_residuals_exceed_the_labels():
    X, y, *_ = labelled(NOT_WHITE["not centred"], 0, 300)
    with pytest.warns(
        bsr.ConvergenceWarning, match="came to rest after 1 iterations where state evolution does not hold"
    ):
        result = gamp_rie(X, y, 2, tol=1e9)
    assert result.converged is False


def test_it_tells_that_residuals_exceed_the_labels_where_tokens_are_white():
    X, y, *_ = labelled(HEAVY_TAILS["sparse"], 0, 294)
    with pytest.warns(bsr.ConvergenceWarning, match="worse than none: damping=0.3"):
        assert not gamp_rie(X, y, 2, iterations=8).converged


@pytest.mark.slow
def test_no_false_alarm():
    for seed in range(25):
        rng = np.random.default_rng(seed)
        alpha, delta, rank = 10 ** rng.uniform(-1.3, 0.4), rng.choice([0.0, 0.1, 1.0]), int(rng.integers(1, 9))
        data = bsr.Problem(alpha, 1.0, rank / 8, delta).sample(8, rng)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            gamp_rie(data.X, data.y, rank)
        assert not any("white" in str(w.message) or "does not hold" in str(w.message) for w in caught)


# ---------------------------------------------------------------------------------------------------------------------
# Divergence


@pytest.mark.parametrize("shape", [(5, 7), (6, 6), (9, 4), (1, 3)])
def test_divergence_is_the_trace_of_the_derivative(shape):
    Y = 2 * np.random.default_rng(0).standard_normal(shape)
    step, trace = 1e-5, 0.0
    for index in np.ndindex(shape):
        shift = np.zeros(shape)
        shift[index] = step
        trace += (rie_and_divergence(Y + shift, 0.4, 0.7)[0] - rie_and_divergence(Y - shift, 0.4, 0.7)[0])[index] / (
            2 * step
        )
    assert rie_and_divergence(Y, 0.4, 0.7)[1] == pytest.approx(trace / Y.size, abs=1e-6)


def test_divergence_where_singular_values_coincide():
    # The identity map has divergence 1, and so has the limit of singular values that merge.
    assert denoising.spectral_divergence([2.0, 2.0, 1.0], [2.0, 2.0, 1.0], [1.0, 1.0, 1.0], (3, 5)) == pytest.approx(1)
    merged = denoising.spectral_divergence([2.0, 2.0], [4.0, 4.0], [4.0, 4.0], (2, 3))  # f(x) = x^2
    apart = denoising.spectral_divergence([2.0, 2.0 + 1e-6], [4.0, (2 + 1e-6) ** 2], [4.0, 4.0 + 2e-6], (2, 3))
    assert merged == pytest.approx(apart, abs=1e-5)


@pytest.mark.parametrize(("beta", "rho", "noise"), [(1, 0.2, 1.0), (1.5, 0.5, 0.1), (0.4, 2, 3)])
def test_divergence_of_a_large_matrix_is_the_limit(beta, rho, noise):
    rng = np.random.default_rng(1)
    d, L, r = 150, round(150 * beta), round(rho * min(150, 150 * beta))
    S = rng.standard_normal((L, r)) @ rng.standard_normal((r, d)) / r**0.5
    Y = (S + noise**0.5 * rng.standard_normal((L, d))) / (d * L) ** 0.25
    assert rie_and_divergence(Y, rho, noise)[1] == pytest.approx(denoising.mmse(noise, beta, rho) / noise, rel=0.05)


# ---------------------------------------------------------------------------------------------------------------------
# Symmetries and the interface


@pytest.fixture(scope="module")
def sample():
    return bsr.Problem(alpha=0.8, beta=1.4, rho=0.3, delta=0.1).sample(20, rng=5)


def test_equivariance(sample):
    rank = sample.U.shape[1]
    S = gamp_rie(sample.X, sample.y, rank).S
    transposed = np.ascontiguousarray(sample.X.transpose(0, 2, 1))
    assert gamp_rie(transposed, sample.y, rank).S.T == pytest.approx(S, abs=1e-6)
    rotation, _ = np.linalg.qr(np.random.default_rng(2).standard_normal((20, 20)))
    assert gamp_rie(sample.X @ rotation, sample.y, rank).S == pytest.approx(S @ rotation, abs=1e-6)
    assert gamp_rie(sample.X[::-1].copy(), sample.y[::-1], rank).S == pytest.approx(S, abs=1e-6)
    assert gamp_rie(sample.X, -sample.y, rank).S == pytest.approx(-S, abs=1e-6)


def test_storage_does_not_matter(sample):
    rank = sample.U.shape[1]
    double = gamp_rie(sample.X.astype(np.float64), sample.y, rank)
    assert double.S == pytest.approx(gamp_rie(sample.X, sample.y, rank).S, abs=1e-10)


def test_history(sample):
    result, error = errors_of(sample)
    history = result.history
    assert len(error) == result.iterations
    assert error[-1] == pytest.approx(bsr.mse(result.S, sample.S))
    assert result.noise == history.noise[-1]
    assert {len(column) for column in vars(history).values()} == {result.iterations}
    assert history.q[-1] == pytest.approx(np.mean(result.S**2))
    assert history.change[-1] <= 1e-8 < history.change[-2]
    size = np.mean(sample.X.astype(np.float64) ** 2)
    assert history.noise[0] == pytest.approx(np.mean(sample.y**2) / (sample.problem.alpha * size))
    assert history.signal[-1] == pytest.approx(np.mean(sample.S**2), rel=0.05)


def test_damping_changes_the_way_but_not_the_end(sample):
    plain = gamp_rie(sample.X, sample.y, sample.U.shape[1])
    damped = gamp_rie(sample.X, sample.y, sample.U.shape[1], damping=0.4)
    assert damped.S == pytest.approx(plain.S, abs=1e-6)
    assert np.linalg.norm(damped.history.q[:5] - plain.history.q[:5]) > 0.01


def mean_within(mean, deviation, top):
    """Mean of a normal variable, given that it lies between 0 and `top`, by quadrature."""
    x = np.linspace(0, top, 200_001)
    exponent = -(((x - mean) / deviation) ** 2) / 2
    weight = np.exp(exponent - exponent.max())
    return integrate.trapezoid(weight * x) / integrate.trapezoid(weight)


@pytest.mark.parametrize(
    ("damping", "signal", "labels"), [(0.0, None, "its"), (0.4, None, "its"), (0.0, 0.8, "its"), (0.0, None, "noise")]
)
def test_iterations_are_those_of_the_docstring_and_damping_averages_the_whole_state(sample, damping, signal, labels):
    (n, L, d), rank = sample.X.shape, sample.U.shape[1]
    X = sample.X.reshape(n, L * d).astype(np.float64)
    y = sample.y if labels == "its" else np.random.default_rng(4).standard_normal(n)
    size = np.mean(X**2)
    A, unit, alpha = X / np.sqrt(d * L * size), (d * L) ** 0.25, n / (d * L)
    state, noises, signals = (np.zeros((L, d)), np.zeros(n), 0.0), [], []
    lowest = np.inf
    for t in range(6):
        S, z, divergence = state
        z = y - A @ S.ravel() + divergence / alpha * z
        noise = np.mean(z**2) / alpha
        R = S + (A.T @ z).reshape(L, d) / alpha
        seen = np.mean(R**2) - noise
        lowest = min(lowest, seen)
        spread = np.sqrt((2 * noise**2 + 4 * noise * max(seen, 0)) / (d * L))
        v = signal * size if signal else mean_within(seen, spread, np.mean(y**2))
        S, divergence = rie_and_divergence(R / unit / v**0.5, rank / min(d, L), noise / v)
        noises.append(noise / size)
        signals.append(v / size)
        keep = damping if t else 0.0  # nothing is known at the start
        new = unit * v**0.5 * S, z, divergence
        state = [keep * old + (1 - keep) * now for old, now in zip(state, new, strict=True)]
    assert (lowest < 0.0) == (labels == "noise")
    result = quiet(sample.X, y, rank, damping=damping, iterations=6, signal=signal)
    assert result.history.noise == pytest.approx(noises, rel=1e-6)
    assert result.history.signal == pytest.approx(signals, rel=1e-6)
    assert result.S == pytest.approx(state[0] / size**0.5, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("mean", "deviation"), [(0.3, 0.2), (-0.3, 0.1), (1.4, 0.3), (0.5, 9.0), (0.9, 1e-3), (-2, 0.05)]
)
def test_mean_of_a_normal_variable_in_an_interval(mean, deviation):
    assert _mean_within(mean, deviation) == pytest.approx(mean_within(mean, deviation, 1.0), rel=1e-4)


@pytest.mark.parametrize("mean", [-1e3, -1e-9, 0.0, 1e-9, 0.3, 0.5, 1.0, 2.0, 1e5])
def test_mean_in_an_interval_at_any_width(mean):
    means = [_mean_within(mean, deviation) for deviation in 10.0 ** np.arange(-12, 13)]
    assert np.all(np.diff(means) * np.sign(0.5 - means[0]) >= -1e-8)  # from the nearest point of [0, 1] to the middle
    assert means[0] == pytest.approx(min(max(mean, 0.0), 1.0), abs=1e-8)
    assert means[-1] == pytest.approx(0.5, abs=1e-6)
    assert 0.0 < min(means) <= max(means) <= 1.0


def test_labels_without_signal():
    X = np.random.default_rng(0).standard_normal((30, 8, 10))
    result = gamp_rie(X, np.zeros(30), 2)
    assert result.converged
    assert not result.S.any()
    assert result.history.q.shape == (0,)
    assert result.noise == result.delta == 0.0


def test_progress_bar(sample, capsys):
    gamp_rie(sample.X, sample.y, sample.U.shape[1])
    assert capsys.readouterr().err == ""
    gamp_rie(sample.X, sample.y, sample.U.shape[1], progress=True)
    assert "GAMP-RIE" in capsys.readouterr().err


def test_it_says_when_it_did_not_converge(sample):
    with pytest.warns(bsr.ConvergenceWarning, match=r"at iteration 3; damping=0\.3"):
        result = gamp_rie(sample.X, sample.y, sample.U.shape[1], iterations=3)
    assert not result.converged
    assert result.iterations == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rank": 0}, "rank must be an integer >= 1"),
        ({"iterations": 0}, "iterations must be an integer >= 1"),
        ({"tol": np.nan}, "tol must be zero or positive"),
        ({"damping": 1.0}, "damping must be in"),
        ({"damping": np.nan}, "damping must be in"),
        ({"callback": 1}, "callback must be a function of one argument or None"),
        ({"y": np.ones(3)}, "y must have shape"),
        ({"X": np.full((30, 4, 5), np.nan)}, "X must be finite"),
        ({"signal": 0.0}, "signal must be positive"),
    ],
)
def test_bad_input_is_named(change, message):
    good = {"X": np.ones((30, 4, 5)), "y": np.ones(30), "rank": 2}
    with pytest.raises(ValueError, match=message):
        gamp_rie(**good | change)
