"""The sampler draws from its posterior: calibration, integrals, coverage; what tells whether chains agree."""

import numpy as np
import pytest
from scipy import stats

import bsr
from bsr.regression import BilinearClassifier, BilinearRegressor, _gibbs
from bsr.regression._bayes import effective_size, r_hat
from bsr.regression._gibbs import run_chain

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.filterwarnings("ignore::bsr.ConvergenceWarning")]

RATE = 0.1
VARIANCES = np.logspace(-4.0, 2.0, 31)


# Simulation-based calibration: of a truth drawn from the prior, the rank among posterior samples is uniform (Talts and
# others, 2018). The prior is written here once more, from the docstring of the sampler.


def block(rng, size):
    """Absent in half of all cases, else of a half-Cauchy standard deviation on the grid."""
    density = np.sqrt(VARIANCES) / (1.0 + VARIANCES)
    v = rng.choice(VARIANCES, p=density / density.sum()) if rng.uniform() < 0.5 else 0.0
    return np.sqrt(v) * rng.standard_normal(size)


def prior(rng, L, d, K, main_effects):
    """S, bordered if there are main effects; powers of components."""
    tau = rng.gamma(1.0, np.sqrt(K) / RATE, K)
    U, V = (rng.standard_normal((size, K)) / np.sqrt(tau) for size in (L, d))
    S = U @ V.T + block(rng, (L, d))
    powers = np.sum(U**2, axis=0) * np.sum(V**2, axis=0) / (L * d)
    if not main_effects:
        return S, powers
    B = np.zeros((L + 1, d + 1))
    B[:L, :d], B[:L, d], B[L, :d] = S, block(rng, L), block(rng, d)
    return B, powers


def tokens(rng, n, L, d, main_effects):
    A = rng.standard_normal((n, L, d)) / np.sqrt(L * d)
    if not main_effects:
        return A
    B = np.zeros((n, L + 1, d + 1))
    B[:, :L, :d], B[:, :L, d], B[:, L, :d] = A, A.sum(axis=2), A.sum(axis=1)
    return B


def ranks(n, L, d, K, main_effects, classes, repeats, seed, thin=10):
    """Ranks in [0, 1) of noise, a prediction, a coefficient and powers among samples that hardly know one another."""
    rng, kept, found = np.random.default_rng(seed), 19, []
    while len(found) < repeats:
        A = tokens(rng, n, L, d, main_effects)
        S, powers = prior(rng, L, d, K, main_effects)
        f = np.tensordot(A, S, 2)
        if classes:
            noise, y = 1.0, np.where(f + rng.standard_normal(n) > 0.0, 1.0, -1.0)
            y[:2] = 1.0, -1.0  # both are there
        else:
            noise = RATE / rng.gamma(1.0)
            y = f + np.sqrt(noise) * rng.standard_normal(n)
            if not 0.3 < np.mean(y**2) < 3.0:
                continue
        new = tokens(rng, 1, L, d, main_effects)[0]
        options = {"sweeps": 60 + thin * kept, "burn_in": 60 + thin - 1, "kept": kept}
        options["seed"] = np.random.SeedSequence([seed, len(found)])
        chain = run_chain(A, y, n, main_effects=main_effects, components=K, classes=classes, **options)
        truth = [noise, np.sum(new * S), S[0, 0], powers.max(), np.sum(S**2)]
        samples = [chain.noise, np.tensordot(chain.S, new, 2), chain.S[:, 0, 0], chain.powers[:, 0], 0]
        samples[-1] = np.sum(chain.S**2, axis=(1, 2))
        found.append([np.mean(part < value) for part, value in zip(samples, truth, strict=True)])
    return np.array(found)


def chi_square(ranks, bins=10):
    """Probability of counts less even than these, for ranks k/19, k = 0 ... 19."""
    counts = np.bincount(np.round(ranks * 19).astype(int) * bins // 20, minlength=bins)
    return stats.chisquare(counts).pvalue


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "L", "d", "K", "main_effects", "known"),
    [(6, 2, 2, 1, False, 5), (8, 3, 2, 1, True, 5), (40, 3, 2, 2, True, 2)],
)
def test_ranks_of_the_truth_are_uniform(n, L, d, K, main_effects, known):
    """From few samples all of them; from many, what is a sum of blocks mixes slowly, and predictions do not."""
    found = ranks(n, L, d, K, main_effects, False, 120, 1)
    p = [chi_square(column) for column in found.T[:known]]
    assert min(p) > 1e-3, p


@pytest.mark.slow
def test_ranks_of_the_truth_are_uniform_for_classes():
    """All but the noise, which is 1. The intercept has a flat prior, so the truth's, 0, only is typical of it."""
    found = ranks(14, 2, 2, 1, False, True, 120, 2)
    p = [chi_square(column) for column in found.T[1:3]]
    assert min(p) > 1e-3, p


# One posterior by importance sampling: draws from the prior, weighted by their likelihood.


def many_of_the_prior(rng, count, L, d, K, main_effects):
    """As `prior`, all at once."""
    tau = rng.gamma(1.0, np.sqrt(K) / RATE, (count, 1, K))
    U, V = (rng.standard_normal((count, size, K)) / np.sqrt(tau) for size in (L, d))
    density = np.sqrt(VARIANCES) / (1.0 + VARIANCES)

    def blocks(*shape):
        v = rng.choice(VARIANCES, count, p=density / density.sum()) * (rng.uniform(size=count) < 0.5)
        return np.sqrt(v).reshape(-1, *[1] * len(shape)) * rng.standard_normal((count, *shape))

    powers = np.max(np.sum(U**2, axis=1) * np.sum(V**2, axis=1), axis=1) / (L * d)
    S = U @ V.transpose(0, 2, 1) + blocks(L, d)
    if main_effects:
        B = np.zeros((count, L + 1, d + 1))
        B[:, :L, :d], B[:, :L, d], B[:, L, :d] = S, blocks(L), blocks(d)
        S = B
    return S, powers


def problem(n, L, d, K, main_effects, classes, seed):
    rng = np.random.default_rng(seed)
    A = tokens(rng, n, L, d, main_effects)
    f = 2.0 * np.sqrt(L * d) * A[:, 0, 0] - A[:, 1, 1] + 0.4 * rng.standard_normal(n)
    return A, np.sign(f - np.median(f)) if classes else f / np.std(f), rng


def agree(samples, values, weights):
    """Means of a chain and of weighted draws, of the same quantities, within five errors of both."""
    for part, value in zip(samples, values, strict=True):
        mean = weights @ value
        error = np.sqrt(weights**2 @ (value - mean) ** 2)
        size = effective_size(part[None])
        assert np.mean(part) == pytest.approx(mean, abs=5.0 * np.hypot(error, np.std(part) / np.sqrt(size)))
        assert np.hypot(error, np.std(part) / np.sqrt(size)) < 0.15 * np.std(part)  # or it would say nothing


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "L", "d", "K", "main_effects", "by"),
    [(3, 2, 2, 1, False, "design"), (7, 2, 2, 2, True, "gram"), (8, 2, 2, 2, False, "design")],
)
def test_the_posterior_is_the_weighted_prior(monkeypatch, n, L, d, K, main_effects, by):
    """With and without main effects, from fewer samples than entries and from more, by both ways to draw factors."""
    monkeypatch.setattr(_gibbs, "_MEMORY_BOUND", 0.0 if by == "gram" else np.inf)
    A, y, rng = problem(n, L, d, K, main_effects, False, 3)
    S, powers = many_of_the_prior(rng, 300_000, L, d, K, main_effects)
    excess = RATE + 0.5 * np.sum((y - np.tensordot(S, A, ((1, 2), (1, 2)))) ** 2, axis=1)
    log_w = -(1.0 + 0.5 * n) * np.log(excess)  # the noise integrated over; its mean is excess / (n/2)
    weights = np.exp(log_w - log_w.max())
    weights /= weights.sum()
    options = {"sweeps": 12_000, "burn_in": 500, "kept": 3000, "seed": np.random.SeedSequence(1)}
    chain = run_chain(A, y, n, main_effects=main_effects, components=K, classes=False, **options)
    kept = weights > 0.0
    S, excess, powers, weights = S[kept], excess[kept], powers[kept], weights[kept]
    agree(
        [chain.noise, chain.S[:, 0, 0], chain.S[:, -1, 0], np.log(chain.powers[:, 0]), np.abs(chain.S[:, 1, 1])],
        [excess / (0.5 * n), S[:, 0, 0], S[:, -1, 0], np.log(powers), np.abs(S[:, 1, 1])],
        weights,
    )


@pytest.mark.slow
def test_the_posterior_of_classes_is_the_weighted_prior():
    n, L, d, K = 14, 2, 2, 1
    A, y, rng = problem(n, L, d, K, False, True, 4)
    y[:4] *= -1.0  # so that no S tells all of them apart
    S, powers = many_of_the_prior(rng, 30_000, L, d, K, False)
    f, grid = np.tensordot(S, A, ((1, 2), (1, 2))), np.linspace(-8.0, 8.0, 41)
    likelihood = np.ones((len(S), len(grid)))
    for k in range(n):
        likelihood *= stats.norm.cdf(y[k] * (f[:, k, None] + grid))
    weights = likelihood.sum(axis=1)
    means = likelihood @ grid / np.maximum(weights, 1e-300)
    options = {"sweeps": 12_000, "burn_in": 500, "kept": 3000, "seed": np.random.SeedSequence(1)}
    chain = run_chain(A, y, n, main_effects=False, components=K, classes=True, **options)
    samples = [np.arctan(chain.S[:, 0, 0]), np.arctan(chain.S[:, 1, 0]), np.log(chain.powers[:, 0])]
    agree(samples, [np.arctan(S[:, 0, 0]), np.arctan(S[:, 1, 0]), np.log(powers)], weights / weights.sum())
    assert np.median(chain.intercept) == pytest.approx(np.sum(weights * means) / weights.sum(), abs=0.5)


# Each conditional law by itself, to the accuracy of many draws


def standardised(draws, precision, mean):
    """What has mean 0 and covariance 1, if draws are N(mean, precision^-1)."""
    z = (draws - mean) @ np.linalg.cholesky(precision)
    error = 1.0 / np.sqrt(len(z))
    np.testing.assert_allclose(z.mean(axis=0), 0.0, atol=5.0 * error)
    np.testing.assert_allclose(z.T @ z / len(z), np.eye(z.shape[1]), atol=7.0 * error)
    assert np.mean(z**2) == pytest.approx(1.0, abs=5.0 * error * np.sqrt(2.0 / z.shape[1]))


@pytest.mark.slow
@pytest.mark.parametrize("by", ["gram", "design"])
@pytest.mark.parametrize("side", ["U", "V"])
def test_factors_given_each_other_are_normal(monkeypatch, by, side):
    monkeypatch.setattr(_gibbs, "_MEMORY_BOUND", 0.0 if by == "gram" else np.inf)
    n, L, d, K, noise, rng = 9, 3, 2, 2, 0.3, np.random.default_rng(0)
    A, y = rng.standard_normal((n, L, d)), 3.0 * rng.standard_normal(n)
    factors = _gibbs._Factors(A, K, rng)
    factors.tau = np.array([0.7, 3.0])
    W = rng.standard_normal((d if side == "U" else L, K))
    A = A if side == "U" else A.transpose(0, 2, 1)
    H = np.einsum("mij,jk->mik", A, W).reshape(n, -1)
    if by == "gram":
        image = np.einsum("m,mij->ij", y, A)
        draws = [factors._from_gram(factors._grams["UV".index(side)], image, W, noise, rng) for _ in range(20_000)]
    else:
        assert factors._grams is None
        draws = [factors._from_design(A, W, y, noise, rng) for _ in range(20_000)]
    precision = H.T @ H / noise + np.diag(np.tile(factors.tau, A.shape[1]))
    mean = np.linalg.solve(precision, H.T @ y / noise)
    standardised(np.reshape(draws, (len(draws), -1)), precision, mean)


@pytest.mark.parametrize("size", [1e-6, 0.5, 30.0])
@pytest.mark.parametrize("K", [1, 4])
def test_precisions_are_gamma(monkeypatch, size, K):
    """Gamma(1 + (L + d)/2, rate/sqrt(K) + half the squares of u and v)."""
    L, d, rng = 3, 2, np.random.default_rng(0)
    U, V = (size * rng.standard_normal((k, K)) for k in (L, d))
    factors = _gibbs._Factors(rng.standard_normal((2, L, d)), K, rng)
    factors._grams = None
    monkeypatch.setattr(factors, "_from_design", lambda A, *_: U if A.shape[1] == L else V)
    tau = []
    for _ in range(20_000):
        factors.draw(np.zeros(2), 1.0, rng)
        tau.append(factors.tau)
    shape, rate = 1.0 + 0.5 * (L + d), RATE / np.sqrt(K) + 0.5 * (np.sum(U**2, axis=0) + np.sum(V**2, axis=0))
    np.testing.assert_allclose(np.mean(tau, axis=0), shape / rate, rtol=5.0 / np.sqrt(shape * 20_000))
    np.testing.assert_allclose(np.var(tau, axis=0), shape / rate**2, rtol=0.08)
    np.testing.assert_allclose(factors.powers(), np.sort(np.mean(U**2, axis=0) * np.mean(V**2, axis=0))[::-1])


@pytest.mark.slow
@pytest.mark.parametrize("strength", [0.3, 2.0])
@pytest.mark.parametrize("n", [3, 9])
def test_a_block_is_drawn_with_its_variance_integrated(n, strength):
    """Probability that it is absent, and moments of coefficients, from normal densities of the labels for each v."""
    rng, noise = np.random.default_rng(1), 0.4
    A = rng.standard_normal((n, 4))
    y = strength * rng.standard_normal(n)
    block, density = _gibbs._Block(A), np.sqrt(VARIANCES) / (1.0 + VARIANCES)
    variances, p = np.append(0.0, VARIANCES), np.append(0.5, 0.5 * density / density.sum())
    log_p = [stats.multivariate_normal.logpdf(y, cov=v * A @ A.T + noise * np.eye(n)) for v in variances]
    p = p * np.exp(np.array(log_p) - max(log_p))
    p /= p.sum()
    means, squares = np.zeros(4), np.zeros((4, 4))
    for share, v in zip(p[1:], VARIANCES, strict=True):
        covariance = np.linalg.inv(A.T @ A / noise + np.eye(4) / v)
        mean = covariance @ A.T @ y / noise
        means += share * mean
        squares += share * (covariance + np.outer(mean, mean))
    draws = []
    for _ in range(20_000):
        block.draw(y, noise, rng)
        draws.append(block.x)
    draws = np.array(draws)
    np.testing.assert_allclose(block.effect, A @ block.x, atol=1e-12)
    absent = np.mean(~draws.any(axis=1))
    assert absent == pytest.approx(p[0], abs=5.0 * np.sqrt(p[0] * (1.0 - p[0]) / len(draws)))
    for found, expected in ((draws, means), (np.einsum("ki,kj->kij", draws, draws), squares)):
        error = 5.0 * found.std(axis=0) / np.sqrt(len(draws))
        assert np.all(np.abs(found.mean(axis=0) - expected) < error + 1e-12)


@pytest.mark.slow
def test_noise_without_signal_is_inverse_gamma():
    """Of no tokens: Gamma(1 + n/2, rate + half the squares), whether rows were reduced to as many as entries or not."""
    y = np.random.default_rng(0).standard_normal(12)
    for A, weight in ((np.zeros((12, 4, 4)), 12.0), (np.zeros((12, 2, 2)), 20.0)):
        options = {"sweeps": 3000, "burn_in": 0, "kept": 3000, "seed": np.random.SeedSequence(0)}
        chain = run_chain(A, y, weight, main_effects=False, components=1, classes=False, **options)
        shape, rate = 1.0 + 0.5 * weight, RATE + 0.5 * y @ y
        np.testing.assert_allclose(np.mean(1.0 / chain.noise), shape / rate, rtol=5.0 / np.sqrt(shape * 3000))


@pytest.mark.parametrize(("f", "intercept"), [(0.0, 0.0), (1.5, -0.3), (-2.5, 0.4)])
def test_labels_behind_classes_are_truncated_normal(f, intercept):
    """Of mean f + b and variance 1, on the side of the class; then b, given them, has their mean and variance 1/n."""
    y = np.tile([1.0, -1.0], 50_000)
    rest, new = _gibbs._labels_behind(y, np.full(100_000, f), intercept, False, np.random.default_rng(0))
    hidden = rest + new
    assert np.all(hidden * y > 0.0)
    for side in (1.0, -1.0):
        law = stats.truncnorm(*((-f - intercept, np.inf) if side > 0 else (-np.inf, -f - intercept)), f + intercept)
        assert stats.kstest(hidden[y == side], law.cdf).pvalue > 1e-4
        assert np.mean(hidden[y == side]) == pytest.approx(law.mean(), abs=5.0 * law.std() / np.sqrt(50_000))
    assert new == pytest.approx(np.mean(hidden) - f, abs=5.0 / np.sqrt(100_000))


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_probits_without_signal(share):
    """Of no tokens: the posterior of the intercept with a flat prior, by a sum over a grid."""
    y = np.where(np.arange(20) < 20 * share, 1.0, -1.0)
    options = {"sweeps": 6000, "burn_in": 100, "kept": 5000, "seed": np.random.SeedSequence(0)}
    chain = run_chain(np.zeros((20, 2, 2)), y, 20.0, main_effects=False, components=1, classes=True, **options)
    grid = np.linspace(-4.0, 4.0, 801)
    p = np.exp(np.sum(stats.norm.logcdf(y[:, None] * grid), axis=0))
    mean = p @ grid / p.sum()
    variance = p @ (grid - mean) ** 2 / p.sum()
    size = effective_size(chain.intercept[None])
    assert np.mean(chain.intercept) == pytest.approx(mean, abs=5.0 * np.sqrt(variance / size))
    assert np.var(chain.intercept) == pytest.approx(variance, rel=5.0 * np.sqrt(2.0 / size))


# What the estimators say


def model_data(seed, alpha=0.9, d=12, rank=1, delta=0.1, classes=False):
    full = bsr.Problem(alpha, 1.0, rank / d, delta).sample(d, rng=seed)
    rng = np.random.default_rng(seed + 100)
    X = rng.standard_normal((2000, d, d))
    truth = np.tensordot(X, full.S, 2) / d
    return full, X, truth, truth + np.sqrt(delta) * rng.standard_normal(2000)


@pytest.fixture(scope="module")
def fits():
    found = []
    for seed in range(4):
        data, X, truth, y = model_data(seed, alpha=1.0, rank=1 + seed % 2)
        model = BilinearRegressor("bayes", compare=False, main_effects=False, sweeps=300, burn_in=100).fit(
            data.X, data.y
        )
        found.append((model, data, X, truth, y))
    return found


@pytest.mark.slow
def test_rank_and_noise_are_found(fits):
    assert [model.rank_ for model, *_ in fits] == [1, 2, 1, 2]
    assert np.mean([model.noise_ for model, *_ in fits]) == pytest.approx(0.1, rel=0.25)
    for model, *_ in fits:
        assert model.converged_
        assert model.r_hat_ <= 1.1
        assert model.effective_sample_size_ >= 50.0
        assert model.summary().endswith(
            f"R-hat {model.r_hat_:.3f}, effective sample size {model.effective_sample_size_:.0f}."
        )


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95])
def test_intervals_cover(fits, share):
    """Labels of new sequences; measured .49 to .53, .78 to .82 and .94 to .96 for single fits."""
    covered = []
    for model, _, X, _, y in fits:
        mean, std = model.predict(X, return_std=True)
        np.testing.assert_array_equal(mean, model.predict(X))
        covered.append(np.mean(np.abs(y - mean) < stats.norm.ppf(0.5 + 0.5 * share) * std))
    assert np.mean(covered) == pytest.approx(share, abs=0.03)


def test_deviations_are_those_of_samples_and_noise(fits):
    model, _, X, truth, _ = fits[0]
    mean, std = model.predict(X, return_std=True)
    fit = model._fits[0]
    draws = np.tensordot(fit.frame.tokens(X), fit.samples, ((1, 2), (2, 3))) + fit.intercepts
    np.testing.assert_allclose(mean, draws.mean(axis=(1, 2)), rtol=1e-9)
    np.testing.assert_allclose(std**2, draws.var(axis=(1, 2)) + fit.noise.mean(), rtol=1e-9)
    np.testing.assert_allclose(fit.predictions(X), draws.transpose(1, 2, 0), atol=1e-12)
    assert np.mean((mean - truth) ** 2) == pytest.approx(np.mean(std**2) - model.noise_, rel=0.35)


@pytest.mark.slow
def test_the_intercept_is_uncertain_by_the_noise_over_n():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((40, 3, 3)), 5.0 + rng.standard_normal(40)
    model = BilinearRegressor("bayes", compare=False, sweeps=2200, main_effects=False).fit(X, y)
    fit = model._fits[0]
    assert np.mean(fit.intercepts) == pytest.approx(y.mean(), abs=0.05)
    assert np.var(fit.intercepts) == pytest.approx(model.noise_ / 40, rel=0.25)


def test_noise_of_many_samples_is_that_of_least_squares():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((3000, 2, 2))
    y = 7.0 * (X[:, 0, 0] + rng.standard_normal(3000))
    model = BilinearRegressor("bayes", compare=False, main_effects=False, sweeps=300, burn_in=50).fit(X, y)
    rows = np.column_stack([X.reshape(3000, 4), np.ones(3000)])
    rest = np.linalg.lstsq(rows, y)[1][0]
    assert model.noise_ == pytest.approx(rest / 2995, rel=0.01)


def test_chains_differ_and_seeds_repeat():
    data, X, *_ = model_data(0)
    options = {"compare": False, "sweeps": 40, "burn_in": 20}
    a, b, c = (BilinearRegressor("bayes", random_state=s, **options).fit(data.X, data.y) for s in (0, 0, 1))
    assert np.array_equal(a.predict(X), b.predict(X))
    assert not np.array_equal(a.predict(X), c.predict(X))
    one, two = a._fits[0].samples
    assert not np.array_equal(one, two)


@pytest.mark.filterwarnings("default::bsr.ConvergenceWarning")
def test_short_chains_are_told():
    data, *_ = model_data(0)
    with pytest.warns(bsr.ConvergenceWarning, match="chains of 20 sweeps do not agree: R-hat of predictions is"):
        model = BilinearRegressor("bayes", compare=False, sweeps=20, burn_in=0).fit(data.X, data.y)
    assert not model.converged_
    assert "Chains do NOT agree: more sweeps are needed" in model.summary()


def test_probabilities_of_classes_are_calibrated():
    """Of sequences with probability p of a class a share p is of it: expected and actual log-loss agree."""
    rng = np.random.default_rng(1)
    S = np.outer(*rng.standard_normal((2, 6)))
    X = rng.standard_normal((2300, 6, 6))
    y = np.tensordot(X, S, 2) / 3.0 + rng.standard_normal(2300) > 0.4
    model = BilinearClassifier("bayes", compare=False, sweeps=300, burn_in=100, main_effects=False).fit(
        X[:300], y[:300]
    )
    p = model.predict_proba(X[300:])[:, 1]
    expected = -np.mean(p * np.log(p) + (1.0 - p) * np.log1p(-p))
    actual = -np.mean(np.where(y[300:], np.log(p), np.log1p(-p)))
    assert actual == pytest.approx(expected, rel=0.1)
    assert np.mean(p) == pytest.approx(np.mean(y[300:]), abs=0.04)
    assert 1 <= model.rank_ <= 2


# Whether chains agree


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9, -0.5])
def test_the_effective_size_of_autoregressive_series(rho):
    """k (1 - rho)/(1 + rho) a chain; with negative correlations there are more than draws."""
    k, rng = 4000, np.random.default_rng(0)
    draws = np.zeros((3, k, 8))
    draws[:, 0] = rng.standard_normal((3, 8))
    for t in range(1, k):
        draws[:, t] = rho * draws[:, t - 1] + np.sqrt(1.0 - rho**2) * rng.standard_normal((3, 8))
    assert np.mean(effective_size(draws)) == pytest.approx(3 * k * (1.0 - rho) / (1.0 + rho), rel=0.07)
    assert np.all(np.abs(r_hat(draws) - 1.0) < 0.02)


def test_chains_of_different_means():
    """Two means a apart: (1 + a^2/3 / 1)^1/2 of four halves, and hardly an independent draw."""
    rng = np.random.default_rng(0)
    draws = rng.standard_normal((2, 2000, 5))
    draws[1] += 3.0
    np.testing.assert_allclose(r_hat(draws), np.sqrt(1.0 + 9.0 / 3.0), rtol=0.05)
    assert np.all(effective_size(draws) < 20.0)
    drift = rng.standard_normal((2, 2000)) + np.linspace(0.0, 3.0, 2000)
    assert r_hat(drift) > 1.2  # halves of each chain differ
    assert r_hat(np.ones((2, 10))) == pytest.approx(np.sqrt(0.8))
    assert effective_size(np.ones((2, 10))) == 20.0
