"""GAMP-RIE: it learns as well as theory says, along the way that theory says, and never explodes."""

import warnings
from importlib import import_module

import numpy as np
import pytest

import bsr
from bsr import denoising
from bsr.denoising import _rie
from bsr.estimators import gamp_rie
from bsr.theory import bayes
from bsr.theory.limits import strong_recovery


def learn(data, **options):
    return gamp_rie(data.X, data.y, data.U.shape[1], data.problem.delta, teacher=data.S, **options)


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
        errors.append(learn(data, tol=1e-5).history.error[-1] / np.mean(data.S**2))
    p = data.problem
    spread = np.std(errors, ddof=1) / 6**0.5
    assert np.mean(errors) == pytest.approx(bayes.mmse(p.alpha, p.beta, p.rho, p.delta), abs=3 * spread, rel=0.02)


def test_each_iteration_follows_state_evolution():
    errors, noises = [], []
    for seed in range(6):
        data = bsr.Problem(alpha=0.5, beta=1.5, rho=0.3, delta=0.1).sample(45, seed)
        history = quiet(data.X, data.y, data.U.shape[1], 0.1, iterations=8, teacher=data.S).history
        errors.append(history.error / np.mean(data.S**2))
        noises.append(history.noise / (0.1 + np.mean(data.S**2)))
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
        seen = data.problem.alpha * history.noise[-1] - 0.2
        rows.append((history.error[-1], seen, history.error_estimate[-1], history.q[-1], overlap))
    error, seen, estimate, q, overlap = np.mean(rows, axis=0)
    assert seen == pytest.approx(error, rel=0.1)
    assert estimate == pytest.approx(error, rel=0.1)
    assert q == pytest.approx(overlap, rel=0.05)


@pytest.mark.parametrize(("alpha", "beta", "rho"), [(0.6, 1, 0.2), (0.9, 0.7, 0.4), (1.4, 1, 1.5)])
def test_exact_recovery_at_the_predicted_rate(alpha, beta, rho):
    data = bsr.Problem(alpha, beta, rho).sample(30, rng=1)
    result = learn(data)
    assert result.converged
    assert bsr.mse(result.S, data.S) < 1e-13
    # MMSE(noise) = strong_recovery * noise for small noise, so an iteration multiplies the error by the ratio.
    error = result.history.error
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
        history = learn(data).history
        assert np.max(history.error) < 1.1 * np.mean(data.S**2)


def test_the_continued_formula_does_explode(few_samples, monkeypatch):
    def continued(Y, rho, noise):
        left, x, right = np.linalg.svd(Y, full_matrices=False)
        beta = Y.shape[0] / Y.shape[1]
        return (left * denoising.shrink(x, beta, rho, noise)) @ right, denoising.mmse(noise, beta, rho) / noise

    monkeypatch.setattr(import_module("bsr.estimators.gamp_rie"), "_rie", continued)  # the name alone is the function
    for data in few_samples:
        history = quiet(data.X, data.y, data.U.shape[1], 0.0, iterations=60, teacher=data.S).history
        assert np.max(history.error) > 1e6


@pytest.mark.parametrize("rank", [1, 3, 40])
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
    result = quiet(X, y, rank, 0.0, iterations=60)
    assert np.isfinite(result.S).all()
    # Of the order of the largest singular value of the samples, which sets how far one step can go.
    assert np.max(result.history.q, initial=0) < 10 + np.linalg.norm(X.reshape(len(X), -1), 2) ** 2 / len(X)


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
# Divergence


@pytest.mark.parametrize("shape", [(5, 7), (6, 6), (9, 4), (1, 3)])
def test_divergence_is_the_trace_of_the_derivative(shape):
    Y = 2 * np.random.default_rng(0).standard_normal(shape)
    step, trace = 1e-5, 0.0
    for index in np.ndindex(shape):
        shift = np.zeros(shape)
        shift[index] = step
        trace += (_rie(Y + shift, 0.4, 0.7)[0] - _rie(Y - shift, 0.4, 0.7)[0])[index] / (2 * step)
    assert _rie(Y, 0.4, 0.7)[1] == pytest.approx(trace / Y.size, abs=1e-6)


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
    assert _rie(Y, rho, noise)[1] == pytest.approx(denoising.mmse(noise, beta, rho) / noise, rel=0.05)


# ---------------------------------------------------------------------------------------------------------------------
# Symmetries and the interface


@pytest.fixture(scope="module")
def sample():
    return bsr.Problem(alpha=0.8, beta=1.4, rho=0.3, delta=0.1).sample(20, rng=5)


def test_equivariance(sample):
    rank = sample.U.shape[1]
    S = gamp_rie(sample.X, sample.y, rank, 0.1).S
    transposed = np.ascontiguousarray(sample.X.transpose(0, 2, 1))
    assert gamp_rie(transposed, sample.y, rank, 0.1).S.T == pytest.approx(S, abs=1e-6)
    rotation, _ = np.linalg.qr(np.random.default_rng(2).standard_normal((20, 20)))
    assert gamp_rie(sample.X @ rotation, sample.y, rank, 0.1).S == pytest.approx(S @ rotation, abs=1e-6)
    assert gamp_rie(sample.X[::-1].copy(), sample.y[::-1], rank, 0.1).S == pytest.approx(S, abs=1e-6)
    assert gamp_rie(sample.X, -sample.y, rank, 0.1).S == pytest.approx(-S, abs=1e-6)


def test_neither_storage_nor_the_teacher_nor_delta_matter(sample):
    rank = sample.U.shape[1]
    result = gamp_rie(sample.X, sample.y, rank, 0.1, teacher=sample.S)
    double = gamp_rie(sample.X.astype(np.float64), sample.y, rank, 7.0, rng=np.random.default_rng(3))
    assert double.S == pytest.approx(result.S, abs=1e-10)
    assert np.isnan(double.history.error).all()


def test_history(sample):
    result = gamp_rie(sample.X, sample.y, sample.U.shape[1], 0.1, teacher=sample.S)
    history = result.history
    assert {len(column) for column in history} == {result.iterations}
    assert history.q[-1] == pytest.approx(np.mean(result.S**2))
    assert history.error[-1] == pytest.approx(bsr.mse(result.S, sample.S))
    assert history.change[-1] <= 1e-8 < history.change[-2]
    assert history.noise[0] == pytest.approx(np.mean(sample.y**2) / sample.problem.alpha)


def test_damping_changes_the_way_but_not_the_end(sample):
    plain = gamp_rie(sample.X, sample.y, sample.U.shape[1], 0.1)
    damped = gamp_rie(sample.X, sample.y, sample.U.shape[1], 0.1, damping=0.4)
    assert damped.S == pytest.approx(plain.S, abs=1e-6)
    assert np.linalg.norm(damped.history.q[:5] - plain.history.q[:5]) > 0.01


@pytest.mark.parametrize("damping", [0.0, 0.4])
def test_iterations_are_those_of_the_docstring_and_damping_averages_the_whole_state(sample, damping):
    (n, L, d), rank = sample.X.shape, sample.U.shape[1]
    A, unit, alpha = sample.X.reshape(n, L * d) / np.sqrt(d * L), (d * L) ** 0.25, n / (d * L)
    state, noises = (np.zeros((L, d)), np.zeros(n), 0.0), []
    for t in range(6):
        S, z, divergence = state
        z = sample.y - A @ S.ravel() + divergence / alpha * z
        noises.append(np.mean(z**2) / alpha)
        S, divergence = _rie((S + (A.T @ z).reshape(L, d) / alpha) / unit, rank / min(d, L), noises[-1])
        keep = damping if t else 0.0  # nothing is known at the start
        state = [keep * old + (1 - keep) * new for old, new in zip(state, (unit * S, z, divergence), strict=True)]
    result = quiet(sample.X, sample.y, rank, 0.1, damping=damping, iterations=6)
    assert result.history.noise == pytest.approx(noises, rel=1e-9)
    assert result.S == pytest.approx(state[0], rel=1e-9, abs=1e-12)


def test_labels_without_signal():
    X = np.random.default_rng(0).standard_normal((30, 8, 10))
    result = gamp_rie(X, np.zeros(30), 2, 0.0)
    assert result.converged
    assert not result.S.any()
    assert result.history.q.shape == (0,)


def test_progress_bar(sample, capsys):
    gamp_rie(sample.X, sample.y, sample.U.shape[1], 0.1)
    assert capsys.readouterr().err == ""
    gamp_rie(sample.X, sample.y, sample.U.shape[1], 0.1, progress=True)
    assert "GAMP-RIE" in capsys.readouterr().err


def test_it_says_when_it_did_not_converge(sample):
    with pytest.warns(bsr.ConvergenceWarning, match=r"at iteration 3; damping=0\.3"):
        result = gamp_rie(sample.X, sample.y, sample.U.shape[1], 0.1, iterations=3)
    assert not result.converged
    assert result.iterations == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rank": 0}, "rank must be an integer >= 1"),
        ({"delta": -0.1}, "delta must be zero or positive"),
        ({"iterations": 0}, "iterations must be an integer >= 1"),
        ({"tol": np.nan}, "tol must be zero or positive"),
        ({"damping": 1.0}, "damping must be in"),
        ({"damping": np.nan}, "damping must be in"),
        ({"teacher": np.ones((3, 3))}, "teacher must have shape"),
        ({"y": np.ones(3)}, "y must have shape"),
        ({"X": np.full((30, 4, 5), np.nan)}, "X must be finite"),
        ({"X": np.ones((30, 5, 4)).transpose(0, 2, 1)}, "X must be C-contiguous"),
    ],
)
def test_bad_input_is_named(change, message):
    good = {"X": np.ones((30, 4, 5)), "y": np.ones(30), "rank": 2, "delta": 0.0}
    with pytest.raises(ValueError, match=message):
        gamp_rie(**good | change)
