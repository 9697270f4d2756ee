"""Gibbs sampling of the posterior: against exact integrals on tiny problems, and against the theory on larger ones."""

import warnings

import numpy as np
import pytest
from scipy import integrate, special

import bsr
from bsr.channels import Abs, Linear, Logistic, ReLU, Sign
from bsr.estimators import gamp_rie, posterior, ridge
from bsr.estimators._posterior import _precision, draw

STATISTICS = 4  # standard errors


def instance(d, L, r, n, delta, seed=0):
    return bsr.Problem(alpha=n / (d * L), beta=L / d, rho=r / min(d, L), delta=delta).sample(d, seed, np.float64)


def standard_error(result):
    """Of an entry of the posterior mean, on average over entries."""
    return np.sqrt(result.spread / result.effective_sample_size)


def within(samples, expected=0.0):
    """Whether the mean of independent `samples` is that expected, given their spread."""
    return abs(np.mean(samples) - expected) < STATISTICS * np.std(samples, ddof=1) / np.sqrt(len(samples))


# Exact answers


@pytest.mark.parametrize(("n", "m"), [(12, 4), (4, 4), (4, 7)])
@pytest.mark.parametrize("delta", [0.3, 1e-6])
def test_conditional_law_is_the_gaussian_of_linear_regression(n, m, delta):
    rng, count = np.random.default_rng(n), 10000
    H, y = rng.standard_normal((n, m)), rng.standard_normal(n)
    precision = np.eye(m) + H.T @ H / delta
    mean = np.linalg.solve(precision, H.T @ y / delta)
    draws = np.array([draw(H, y, delta, rng) for _ in range(count)])
    white = (draws - mean) @ np.linalg.cholesky(precision)
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=5 / np.sqrt(count))
    np.testing.assert_allclose(white.T @ white / count, np.eye(m), atol=5 * np.sqrt(2 / count))


@pytest.mark.slow
@pytest.mark.parametrize("r", [1, 2, 5])
@pytest.mark.parametrize("delta", [0.1, 2.0])
def test_one_token_of_dimension_one(r, delta):
    # The prior of the single entry, sum_k u_k v_k / sqrt(r), has the density |s|^v K_v(sqrt(r) |s|), v = (r - 1) / 2.
    data = instance(1, 1, r, 3, delta, seed=r)
    x, order = data.X.ravel(), (r - 1) / 2

    def moment(k):
        def integrand(s):
            prior = abs(s) ** order * special.kv(order, np.sqrt(r) * abs(s))
            return s**k * prior * np.exp(-np.sum((data.y - x * s) ** 2) / (2 * delta))

        return sum(integrate.quad(integrand, *ends, epsabs=1e-12, limit=200)[0] for ends in ((-30, 0), (0, 30)))

    mean, square = moment(1) / moment(0), moment(2) / moment(0)
    result = posterior(data.X, data.y, r, delta, sweeps=8000, rng=1)
    assert abs(result.S.item() - mean) < STATISTICS * standard_error(result)
    squares = result.samples**2
    spread, effective = _precision(squares)
    assert abs(squares.mean() - square) < STATISTICS * np.sqrt(spread / effective)


@pytest.mark.slow
@pytest.mark.parametrize(("d", "L", "r"), [(3, 2, 1), (2, 3, 2)])
def test_posterior_mean_by_weighting_the_prior(d, L, r):
    delta, count, rng = 2.0, 400_000, np.random.default_rng(5)
    data = instance(d, L, r, 5, delta, seed=3)
    U, V = rng.standard_normal((count, L, r)), rng.standard_normal((count, d, r))
    S = (np.einsum("clk,cdk->cld", U, V) / np.sqrt(r)).reshape(count, -1)
    misfit = data.y - S @ data.X.reshape(len(data.X), -1).T / np.sqrt(d * L)
    weights = np.exp(-np.sum(misfit**2, axis=1) / (2 * delta))
    weights /= weights.sum()
    mean = weights @ S
    variance = np.mean(weights**2 @ (S - mean) ** 2)  # of the mean, per entry
    spread = np.mean(weights @ (S - mean) ** 2)
    result = posterior(data.X, data.y, r, delta, sweeps=10000)
    assert bsr.mse(result.S.ravel()[None], mean[None]) < STATISTICS * (variance + standard_error(result) ** 2)
    assert result.spread == pytest.approx(spread, rel=0.05)


@pytest.mark.slow
def test_teacher_and_sample_are_exchangeable():
    # A teacher, its data, then some sweeps: the state must still have the law of the teacher, jointly with the data.
    rng, delta, r = np.random.default_rng(0), 0.4, 2
    rows = []
    for _ in range(400):
        data = instance(3, 2, r, 4, delta, seed=rng)
        start = data.U, data.V
        result = posterior(data.X, data.y, r, delta, sweeps=10, burn_in=0, init=start, min_effective=0, rng=rng)
        S, prediction = result.samples[-1], data.X.reshape(4, -1) @ result.samples[-1].ravel() / np.sqrt(6)
        rows.append([np.mean(S**2), np.mean(S**4), result.train_error[-1], np.mean(data.y * prediction)])
    size, fourth, misfit, correlation = np.array(rows).T
    assert within(size, 1.0)
    assert within(fourth, 3 + 6 / r)
    assert within(misfit, delta)
    assert within(correlation, 1.0)


@pytest.mark.slow
def test_nishimori_identities():
    # From a start in the prior: the teacher is to a sample what one sample is to another.
    rng, delta = np.random.default_rng(1), 0.1
    rows = []
    for _ in range(100):
        data = instance(4, 4, 1, 10, delta, seed=rng)
        result = posterior(data.X, data.y, 1, delta, sweeps=240, burn_in=40, min_effective=0, rng=rng)
        first, last = result.samples[:80], result.samples[120:]
        between = np.mean(first.mean(axis=0) * last.mean(axis=0))
        errors = bsr.mse(result.samples, data.S).mean()
        rows.append([between - np.mean(result.S * data.S), errors / 2 - result.spread, result.train_error.mean()])
    overlaps, errors, misfit = np.array(rows).T
    assert within(overlaps)
    assert within(errors)
    assert within(misfit, delta)
    assert np.std(overlaps) > 0.01  # equal on average, not one by one


# Channels


def labelled(channel, d, L, r, n, seed=0):
    return bsr.Problem(n / (d * L), L / d, r / min(d, L), channel=channel).sample(d, seed, np.float64)


LIKELIHOOD = {  # of what was observed, in units of a normal density
    Sign: lambda y, h, delta: special.ndtr(y * h / np.sqrt(delta)),
    ReLU: lambda y, h, delta: np.where(
        y > 0,
        np.exp(-((y - h) ** 2) / (2 * delta)) / np.sqrt(2 * np.pi * delta),
        special.ndtr(-h / np.sqrt(delta)),
    ),
    Abs: lambda y, h, delta: np.exp(-((y - h) ** 2) / (2 * delta)) + np.exp(-((y + h) ** 2) / (2 * delta)),
}


@pytest.mark.slow
@pytest.mark.parametrize("channel", [Sign(0.3), ReLU(0.5), Abs(0.5)], ids=repr)
def test_posterior_of_hidden_labels_by_weighting_the_prior(channel):
    d, L, r, count, rng = 3, 2, 1, 400_000, np.random.default_rng(5)
    data = labelled(channel, d, L, r, 6, seed=3)
    U, V = rng.standard_normal((count, L, r)), rng.standard_normal((count, d, r))
    S = (np.einsum("clk,cdk->cld", U, V) / np.sqrt(r)).reshape(count, -1)
    h = S @ data.X.reshape(len(data.X), -1).T / np.sqrt(d * L)
    weights = np.prod(LIKELIHOOD[type(channel)](data.y, h, channel.delta), axis=1)
    weights /= weights.sum()
    result = posterior(data.X, data.y, r, channel=channel, sweeps=6000, min_effective=0)
    samples = result.samples.reshape(len(result.samples), -1)
    for moment in (lambda S: S, lambda S: S[:, :1] * S):  # of moduli only the second tells anything
        if channel.even and moment(-S[:1])[0, 0] < 0:
            continue
        mean = weights @ moment(S)
        variance = weights**2 @ (moment(S) - mean) ** 2
        spread, effective = _precision(moment(samples)[:, None])
        assert np.mean((moment(samples).mean(axis=0) - mean) ** 2) < STATISTICS * (variance.mean() + spread / effective)


@pytest.mark.parametrize(
    ("channel", "count"),
    [(Sign(0.4), 100)] + [pytest.param(c, 600, marks=pytest.mark.slow) for c in (Sign(0.1), ReLU(0.4), Abs(0.4))],
    ids=repr,
)
def test_teacher_and_sample_are_exchangeable_for_hidden_labels(channel, count):
    rng, r = np.random.default_rng(0), 2
    rows = []
    for _ in range(count):
        data = labelled(channel, 3, 2, r, 5, seed=rng)
        result = posterior(
            data.X, data.y, r, channel=channel, sweeps=10, burn_in=0, init=(data.U, data.V), min_effective=0, rng=rng
        )
        S, h = result.samples[-1], bsr.predict(data.X, data.S)
        new, old = bsr.predict(data.X, S), np.mean(data.y * (h**2 if channel.even else h))
        rows.append([np.mean(S**2), np.mean(S**4), result.train_error[-1]])
        rows[-1].append(np.mean(data.y * (new**2 if channel.even else new)) - old)
    size, fourth, misfit, correlation = np.array(rows).T
    assert within(size, 1.0)
    assert within(fourth, 3 + 6 / r)
    assert within(misfit, channel.delta)
    assert within(correlation)


@pytest.mark.parametrize("channel", [Sign(0.4), ReLU(0.4), Abs(0.4)], ids=repr)
def test_training_error_is_that_of_the_hidden_labels(channel):
    data, rng = labelled(channel, 4, 4, 1, 20), np.random.default_rng(0)
    result = posterior(data.X, data.y, 1, channel=channel, sweeps=10, burn_in=0, min_effective=0)
    h = bsr.predict(data.X, result.samples[-1])
    draws = [np.mean((channel.augment(data.y, h, rng) - h) ** 2) for _ in range(4000)]
    assert within(draws, result.train_error[-1])


def test_a_linear_channel_is_its_delta():
    data = instance(4, 4, 1, 20, 0.2)
    plain = posterior(data.X, data.y, 1, 0.2, sweeps=30, min_effective=0, burn_in=0)
    channel = posterior(data.X, data.y, 1, channel=Linear(0.2), sweeps=30, min_effective=0, burn_in=0)
    np.testing.assert_array_equal(plain.samples, channel.samples)
    assert not channel.up_to_sign


def test_samples_of_a_teacher_without_sign_agree_on_one():
    data = labelled(Abs(0.05), 8, 8, 1, 200)
    results = [
        posterior(data.X, data.y, 1, channel=Abs(0.05), init=(sign * data.U, data.V), sweeps=200, min_effective=0)
        for sign in (1, -1)
    ]
    for result, sign in zip(results, (1, -1), strict=True):
        assert result.up_to_sign
        assert result.metrics(data.S)["error"] < 0.05
        assert np.sign(np.sum(result.S * data.S)) == sign
        assert np.all(np.sum(result.samples * result.S, axis=(1, 2)) > 0)
    data = labelled(Abs(1.0), 3, 3, 1, 4)  # with few labels the sign changes often
    samples = posterior(data.X, data.y, 1, channel=Abs(1.0), min_effective=0).samples
    before = np.cumsum(samples, axis=0)[:-1]
    assert np.all(np.sum(samples[1:] * before, axis=(1, 2)) >= 0)


def test_a_chain_that_is_stuck_with_moduli_says_so():
    data = labelled(Abs(0.05), 10, 10, 2, 150)
    with pytest.warns(bsr.ConvergenceWarning, match="stuck"):
        result = posterior(data.X, data.y, 2, channel=Abs(0.05), sweeps=100, burn_in=50, min_effective=0)
    assert not result.converged
    assert result.train_error.mean() > 2 * 0.05
    warm = posterior(
        data.X, data.y, 2, channel=Abs(0.05), sweeps=100, burn_in=50, min_effective=0, init=(data.U, data.V)
    )
    assert warm.converged
    assert result.metrics(data.S)["error"] > 5 * warm.metrics(data.S)["error"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("channel", "alpha", "d", "seeds"),
    [(Sign(0.1), 1.0, 12, 20), (Sign(1.0), 2.0, 20, 8), (ReLU(0.1), 0.6, 12, 20), (ReLU(0.5), 1.0, 20, 8)],
    ids=repr,
)
def test_error_with_hidden_labels_is_that_of_theory_and_of_message_passing(channel, alpha, d, seeds):
    errors, others, spreads = [], [], []
    for seed in range(seeds):
        data = bsr.Problem(alpha, 1.0, 0.2, channel=channel).sample(d, seed)
        rank = data.U.shape[1]
        result = posterior(data.X, data.y, rank, channel=channel, sweeps=400, min_effective=0, rng=seed)
        errors.append(bsr.mse(result.S, data.S) / (1 + 1 / result.effective_sample_size))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bsr.ConvergenceWarning)
            others.append(bsr.mse(gamp_rie(data.X, data.y, rank, channel=channel).S, data.S))
        spreads.append(result.spread)
    p = data.problem
    theory = bsr.theory.bayes.mmse(p.alpha, p.beta, p.rho, channel=channel)
    assert within(errors, theory)
    worse = np.subtract(others, errors)
    assert abs(np.mean(worse)) < 3 * np.std(worse, ddof=1) / seeds**0.5 + theory / d
    assert np.mean(spreads) == pytest.approx(theory, rel=2 / d)


# Limits


def test_labels_of_noise_leave_the_prior():
    data = instance(6, 5, 2, 30, 1.0)
    result = posterior(data.X, data.y, 2, 1e8, sweeps=2100)
    assert np.abs(result.S).max() < 5 / np.sqrt(2000)
    assert result.spread == pytest.approx(1.0, abs=0.05)
    assert np.mean(result.samples**4) == pytest.approx(3 + 6 / 2, rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize(("d", "L", "r"), [(6, 4, 2), (5, 5, 1), (3, 4, 5)])
def test_many_labels_count_the_parameters(d, L, r):
    # The posterior becomes a Gaussian on the manifold of teachers: delta / n for each of its dimensions.
    n, delta = 4000, 0.1
    data = instance(d, L, r, n, delta)
    result = posterior(data.X, data.y, r, delta, sweeps=1000)
    parameters = r * (d + L - r) if r < min(d, L) else d * L
    assert result.spread == pytest.approx(delta / n * parameters, rel=0.1)


def test_high_rank_is_ridge_regression():
    # Entries of S become independent and Gaussian.
    data = instance(3, 3, 200, 6, 0.1)
    result = posterior(data.X, data.y, 200, 0.1, sweeps=4000, thin=2)
    gaussian = ridge(data.X, data.y, 0.1).S
    assert bsr.mse(result.S, gaussian) < STATISTICS * standard_error(result) ** 2 + 1e-3
    assert bsr.mse(result.S, data.S) > 0.05  # the labels do not determine the teacher


# The chain


def test_prior_and_teacher_are_equally_good_starts():
    data = instance(12, 12, 2, 90, 0.1)
    cold = posterior(data.X, data.y, 2, 0.1, sweeps=1500, rng=1)
    warm = posterior(data.X, data.y, 2, 0.1, sweeps=1500, rng=2, init=(data.U, data.V))
    distance = standard_error(cold) ** 2 + standard_error(warm) ** 2
    assert bsr.mse(cold.S, warm.S) < 3 * distance
    assert cold.spread == pytest.approx(warm.spread, rel=0.1)


@pytest.mark.parametrize(("memory", "count"), [(0.0, 2000), (0.5, 2000), (0.9, 2000), (0.8, 200)])
def test_effective_sample_size_of_a_process_with_known_memory(memory, count):
    rng = np.random.default_rng(0)
    chain = np.empty((count, 20, 20))
    chain[0] = rng.standard_normal((20, 20))
    for t in range(1, count):
        chain[t] = memory * chain[t - 1] + np.sqrt(1 - memory**2) * rng.standard_normal((20, 20))
    spread, effective = _precision(chain)
    assert spread == pytest.approx(1.0, abs=0.02)
    assert effective == pytest.approx(count * (1 - memory) / (1 + memory), rel=0.3)


def test_no_chain_is_worth_more_than_its_length():
    rng, sign = np.random.default_rng(0), (-1.0) ** np.arange(400)[:, None, None]
    chain = sign * rng.standard_normal((5, 5)) + 0.01 * rng.standard_normal((400, 5, 5))  # its mean is exact
    assert _precision(chain)[1] == 400


def test_frozen_chain_is_not_worth_its_length():
    drift = np.linspace(0, 1, 400)[:, None, None] * np.ones((5, 5))
    assert _precision(drift)[1] < 15


def test_slow_chain_says_so():
    data = instance(10, 10, 2, 20, 1e-7)
    with pytest.warns(bsr.ConvergenceWarning, match="effective samples"):
        result = posterior(data.X, data.y, 2, 1e-7)
    assert not result.converged
    assert np.isfinite(result.S).all()


@pytest.mark.parametrize(
    ("X_unit", "y_unit", "delta"), [(1, 1, 0.01), (1, 10, 0.2), (0.01, 1, 0.2)], ids=["delta", "labels", "tokens"]
)
def test_a_misfit_to_delta_says_so(X_unit, y_unit, delta):
    data = instance(8, 8, 2, 150, 0.2)
    with pytest.warns(bsr.ConvergenceWarning, match="the training error is .* times delta"):
        result = posterior(X_unit * data.X, y_unit * data.y, 2, delta, sweeps=150, min_effective=0)
    assert result.converged is False
    assert posterior(data.X, data.y, 2, 0.2, sweeps=150, min_effective=0).converged is True


@pytest.mark.slow
def test_a_stuck_chain_is_not_given_in_silence():
    """Of 30 chains with little noise some never find the teacher, though their samples seem independent."""
    stuck = []
    for seed in range(30):
        data = instance(8, 8, 1, 24, 0.01, seed)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = posterior(data.X, data.y, 1, 0.01, sweeps=150, burn_in=50, min_effective=0)
        if result.train_error.mean() > 3 * 0.01:
            stuck.append(result)
            assert bsr.mse(result.S, data.S) > 0.5 * np.mean(data.S**2)
            assert "stuck" in str(caught[0].message)
            assert not result.converged
            assert result.effective_sample_size > 15
    assert 1 <= len(stuck) < 15


def test_another_seed_is_another_chain():
    data = instance(4, 4, 1, 20, 0.2)
    first, again, other = (
        posterior(data.X, data.y, 1, 0.2, sweeps=30, burn_in=0, min_effective=0, rng=i) for i in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.samples, again.samples)
    assert not np.any(first.samples == other.samples)


def test_result_is_consistent():
    data = instance(5, 7, 2, 30, 0.2)
    result = posterior(data.X, data.y, 2, 0.2, sweeps=500, burn_in=50, thin=4)
    assert result.samples.shape == (112, 7, 5)
    assert result.converged
    assert result.iterations == 500
    np.testing.assert_allclose(result.S, result.samples.mean(axis=0))
    predictions = result.samples.reshape(112, -1) @ data.X.reshape(30, -1).T / np.sqrt(35)
    np.testing.assert_allclose(result.train_error, np.mean((data.y - predictions) ** 2, axis=1))
    assert (result.U.shape, result.V.shape) == ((7, 2), (5, 2))


def test_thinning_and_burning_choose_among_the_same_samples():
    data = instance(4, 4, 1, 20, 0.2)
    every = posterior(data.X, data.y, 1, 0.2, sweeps=60, burn_in=0, min_effective=0)
    some = posterior(data.X, data.y, 1, 0.2, sweeps=60, burn_in=15, thin=3, min_effective=0)
    np.testing.assert_array_equal(some.samples, every.samples[17::3])
    np.testing.assert_array_equal(every.samples[-1], every.U @ every.V.T)


def test_chain_can_be_continued():
    data, rng = instance(4, 4, 1, 20, 0.2), np.random.default_rng(7)
    first = posterior(data.X, data.y, 1, 0.2, sweeps=20, burn_in=0, min_effective=0, rng=rng)
    init = first.U, first.V
    second = posterior(data.X, data.y, 1, 0.2, sweeps=20, burn_in=0, min_effective=0, init=init, rng=rng)
    whole = posterior(data.X, data.y, 1, 0.2, sweeps=40, burn_in=0, min_effective=0, rng=np.random.default_rng(7))
    np.testing.assert_array_equal(np.concatenate([first.samples, second.samples]), whole.samples)


def test_seed_of_the_data_is_harmless():
    # One stream for both would start the chain from the very numbers that made the teacher.
    problem, alignment = bsr.Problem(alpha=1 / 16, rho=0.25, delta=1.0), []
    for seed in range(100):
        data = problem.sample(4, seed)
        chain = posterior(0 * data.X, 0 * data.y, 1, 1.0, sweeps=10, burn_in=0, min_effective=0, rng=seed)
        left, _, right = np.linalg.svd(chain.samples[0])
        alignment.append([(left[:, 0] @ factor.ravel()) ** 2 / np.sum(factor**2) for factor in (data.U, data.V)])
        alignment.append([(right[0] @ factor.ravel()) ** 2 / np.sum(factor**2) for factor in (data.U, data.V)])
    for column in np.array(alignment).T:
        assert within(column, 1 / 4)  # of two random directions in four dimensions


def test_single_precision_tokens_give_the_same_chain():
    data = bsr.Problem(alpha=0.5, rho=0.2, delta=0.1).sample(10)
    single = posterior(data.X, data.y, 2, 0.1, sweeps=60, burn_in=0, min_effective=0)
    double = posterior(data.X.astype(np.float64), data.y, 2, 0.1, sweeps=60, burn_in=0, min_effective=0)
    np.testing.assert_array_equal(single.samples, double.samples)
    assert single.samples.dtype == np.float64


@pytest.mark.slow
def test_transposed_tokens_give_the_transposed_teacher():
    data = instance(6, 9, 2, 60, 0.2)
    here = posterior(data.X, data.y, 2, 0.2, sweeps=2000)
    there = posterior(data.X.transpose(0, 2, 1), data.y, 2, 0.2, sweeps=2000)
    assert bsr.mse(here.S, there.S.T) < 3 * (standard_error(here) ** 2 + standard_error(there) ** 2)


def test_progress_bar(capsys):
    data = instance(3, 3, 1, 5, 0.5)
    posterior(data.X, data.y, 1, 0.5, sweeps=20, burn_in=0, min_effective=0)
    assert capsys.readouterr().err == ""
    posterior(data.X, data.y, 1, 0.5, sweeps=20, burn_in=0, min_effective=0, progress=True)
    assert "20/20" in capsys.readouterr().err


# The theory


@pytest.mark.slow
@pytest.mark.parametrize(("d", "alpha", "beta", "seeds"), [(10, 0.8, 1.0, 40), (20, 0.8, 1.0, 10), (10, 0.5, 2.0, 20)])
def test_error_of_the_posterior_mean_is_that_of_the_replica_prediction(d, alpha, beta, seeds):
    problem, errors, spreads = bsr.Problem(alpha, beta, rho=0.2, delta=0.1), [], []
    for seed in range(seeds):
        data = problem.sample(d, seed)
        result = posterior(data.X, data.y, data.U.shape[1], 0.1, sweeps=160, burn_in=40, min_effective=0, rng=seed)
        errors.append(bsr.mse(result.S, data.S) / (1 + 1 / result.effective_sample_size))
        spreads.append(result.spread)
    rounded = data.problem
    theory = bsr.theory.bayes.mmse(rounded.alpha, rounded.beta, rounded.rho, rounded.delta)
    assert within(errors, theory)
    assert np.mean(spreads) == pytest.approx(theory, rel=1 / d)
    assert np.std(errors, ddof=1) / np.sqrt(seeds) < 0.15 * theory


# Refusals


def call(**changes):
    rng = np.random.default_rng(0)
    arguments = {"X": rng.standard_normal((8, 3, 4)), "y": rng.standard_normal(8), "rank": 2, "delta": 0.5} | changes
    return posterior(**({"min_effective": 0} | arguments))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("delta", 0.0),
        ("delta", -1.0),
        ("delta", np.nan),
        ("rank", 0),
        ("rank", 1.5),
        ("sweeps", 0),
        ("sweeps", 100),
        ("sweeps", 109),
        ("burn_in", -1),
        ("burn_in", 400),
        ("thin", 0),
        ("thin", 31),
        ("min_effective", -1.0),
        ("callback", 0),
        ("init", (np.zeros((3, 2)), np.zeros((4, 1)))),
        ("init", (np.zeros((4, 2)), np.zeros((3, 2)))),
        ("init", (np.zeros((3, 2)), np.full((4, 2), np.nan))),
        ("y", np.zeros(7)),
        ("X", np.full((8, 3, 4), np.inf)),
        ("delta", None),
        ("channel", Sign(0.1)),
    ],
)
def test_refuses_nonsense(name, value):
    with pytest.raises(ValueError, match="sweeps" if name in ("burn_in", "thin") and value not in (-1, 0) else name):
        call(**{name: value})


@pytest.mark.parametrize(
    ("channel", "message"),
    [
        (Sign(), r"delta must be positive to sample, got Sign\(delta=0.0\)"),
        (Linear(), "delta must be positive"),
        (Logistic(), "channel must be Linear, Sign, ReLU or Abs to be augmented"),
        (Sign(0.1), r"y must be -1 or 1 for Sign\(delta=0.1\)"),
        ("sign", "channel must be None or one of bsr.channels"),
    ],
    ids=repr,
)
def test_refuses_channels_that_it_cannot_sample(channel, message):
    with pytest.raises(ValueError, match=message):
        call(delta=None, channel=channel, y=np.full(8, 1.0 + (channel == Sign(0.1))))


def test_refuses_dependent_samples_with_no_noise_to_speak_of():
    X = np.repeat(np.random.default_rng(0).standard_normal((2, 3, 4)), 2, axis=0)
    with pytest.raises(ValueError, match="delta must not be lost"):
        call(X=X, y=np.zeros(4), delta=1e-30)
