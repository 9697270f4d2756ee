"""The free entropy: its maximum, its derivative by the I-MMSE relation, the published curves; and fixed points."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad

from bsr import _law, denoising, spectrum
from bsr.theory import bayes, limits


@cache
def points():
    rng = np.random.default_rng(0)
    alpha, beta, rho = rng.uniform(0.05, 1.2, 32), 10 ** rng.uniform(-1.5, 1.5, 32), 10 ** rng.uniform(-1.5, 1, 32)
    delta = np.where(np.arange(32) % 3, 10 ** rng.uniform(-3, 0.5, 32), 0.0)
    found = np.array([alpha, beta, rho, delta]).T[bayes.mmse(alpha, beta, rho, delta) > 1e-6]
    return [*map(tuple, found.tolist()), (0.74, 1.0, 0.5, 0.0), (0.3, 1.0, 0.2, 0.0), (0.5, 1.0, 1.0, 0.0)]


def test_is_maximal_at_the_bayes_optimal_overlap():
    assert len(points()) >= 20
    for point in points():
        q = 1 - bayes.mmse(*point)
        # Four-point derivative times 1 - q, with an error of fourth order in the step.
        steps = (1 - q) * 1e-3 * np.array([-2, -1, 1, 2])
        slope = bayes.free_entropy(q + steps, *point) @ np.array([1, -8, 8, -1]) / 12e-3
        assert abs(slope) < 1e-8
        around = bayes.free_entropy(q + 0.01 * (1 - q) * np.array([-1, 1]), *point)
        assert np.all(around < bayes.free_entropy(q, *point))


def evidence_per_label(alpha, beta, rho, delta):
    """Expected log density of one more label, which is Gaussian around the optimal prediction."""
    return -0.5 * np.log(2 * np.pi * np.e * (delta + bayes.mmse(alpha, beta, rho, delta)))


NOISY = [(0.5, 1.0, 0.2, 0.1), (0.3, 5.0, 0.5, 0.02), (1.2, 0.1, 2.0, 0.7), (0.05, 40.0, 0.03, 0.3)]


@pytest.mark.parametrize("point", [*NOISY, (0.6, 1.0, 0.5, 0.0), (0.1, 30.0, 0.2, 0.0)])
def test_one_more_label_multiplies_the_evidence_by_its_predictive_density(point):
    alpha, *others = point

    def highest(alpha):
        return bayes.free_entropy(1 - bayes.mmse(alpha, *others), alpha, *others)

    steps = 2e-3 * alpha * np.array([-2, -1, 1, 2])
    slope = highest(alpha + steps) @ np.array([1, -8, 8, -1]) / (12 * 2e-3 * alpha)
    assert slope == pytest.approx(evidence_per_label(*point), abs=1e-8)


@pytest.mark.parametrize("point", NOISY)
def test_the_evidence_is_the_product_of_all_predictive_densities(point):
    alpha, *others = point
    evidence = quad(lambda a: evidence_per_label(a, *others), 0, alpha, epsabs=1e-12, epsrel=1e-12, limit=200)[0]
    assert bayes.free_entropy(1 - bayes.mmse(*point), *point) == pytest.approx(evidence, abs=1e-12)


@cache
def merger(beta, rho):
    """Noise at which two bulks become one, where the MMSE is not smooth; None where there is always one."""
    apart, merged = 1e-9, 1e6
    if len(spectrum.edges(beta, rho, apart)) == 2:
        return None
    while merged > apart * (1 + 1e-12):
        noise = np.sqrt(apart * merged)
        apart, merged = (noise, merged) if len(spectrum.edges(beta, rho, noise)) == 4 else (apart, noise)
    return merged


def information(q_hat, beta, rho):
    """Mutual information by the I-MMSE relation, from q_hat = 0 on; the smallest q_hat see a Gaussian teacher."""
    low, high = np.log(1e-6), np.log(q_hat)
    ends = np.linspace(low, high, 8)
    if noise := merger(beta, rho):
        near = 10.0 ** -np.arange(1, 7)
        ends = np.concatenate([ends, -np.log(noise) + np.concatenate([-near, [0.0], near])])
        ends = np.sort(ends[(low <= ends) & (ends <= high)])

    def slope(t):
        return 0.5 * np.exp(t) * denoising.mmse(np.exp(-t), beta, rho)

    pieces = [quad(slope, *pair, epsabs=1e-13, epsrel=1e-13, limit=200)[0] for pair in pairwise(ends)]
    return 0.5 * np.log1p(np.exp(low)) + sum(pieces)


def both_sides(alpha, beta, rho, delta):
    """The free entropy at some overlaps, and the same as an integral of the MMSE."""
    q = np.array([0.0, 0.5, 0.99, 1 - 1e-6])
    q_hat = alpha / (delta + 1 - q)
    fit = -0.5 * alpha * np.log(2 * np.pi * (delta + 1 - q)) - 0.5 * delta * q_hat
    expected = [f - information(h, beta, rho) for f, h in zip(fit, q_hat, strict=True)]
    return bayes.free_entropy(q, alpha, beta, rho, delta), expected


EXTREME = [
    (0.02, 1000.0, 0.2, 0.1),
    (0.3, 1.0, 0.002, 0.0),
    (0.001, 0.001, 0.002, 0.1),
    (1.2, 1000.0, 40.0, 0.0),
    (0.5, 1.0, 40.0, 0.0),
    (0.5, 1.0, 1.0, 0.0),
    (0.9, 2.0, 1.0, 0.01),
    (0.33, 1.0, 0.2, 0.0),  # two bulks about to merge
    (0.74, 1.0, 0.5, 0.0),
]


@pytest.mark.parametrize(
    "point",
    [*range(4), *(pytest.param(i, marks=pytest.mark.slow) for i in range(4, 16)), *EXTREME],  # of `points`
)
def test_value_is_an_integral_of_the_mmse_over_all_worse_observations(point):
    found, expected = both_sides(*points()[point] if isinstance(point, int) else point)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)  # 2e-13 measured


def test_arguments_broadcast_and_sides_exchange():
    q, alpha, beta = np.array([0.0, 0.4, 0.9]), np.array([[0.3], [0.8]]), 2.5
    values = bayes.free_entropy(q, alpha, beta, 0.4, 0.1)
    assert values.shape == (2, 3)
    assert values[1, 2] == bayes.free_entropy(0.9, 0.8, beta, 0.4, 0.1)
    np.testing.assert_allclose(bayes.free_entropy(q, alpha, 1 / beta, 0.4, 0.1), values, rtol=1e-13)


@pytest.mark.parametrize(("beta", "rho", "noise"), [(1.0, 0.5, 0.3), (2.0, 0.5, 1.0)])
def test_log_averages_against_a_matrix(beta, rho, noise):
    d = 300
    L, r = int(beta * d), int(rho * d)
    rng = np.random.default_rng(1)
    A = rng.standard_normal((L, r)) @ rng.standard_normal((r, d)) / np.sqrt(r)
    y = np.linalg.svd(A + np.sqrt(noise) * rng.standard_normal((L, d)), compute_uv=False) ** 2 / d
    gaps = abs(y[:, None] - y)[np.triu_indices(d, 1)]
    energy, log_y, converged = _law.log_averages(1e-11, beta, rho, noise)
    assert converged
    assert np.mean(np.log(gaps)) == pytest.approx(energy, abs=0.03)
    if beta != 1:
        assert np.mean(np.log(y)) == pytest.approx(log_y, abs=0.01)


def test_published_curve_to_its_own_accuracy():
    # beta = 1, rho = 0.5, alpha = 0.74: five of the published values; their quadrature is good to 5e-3.
    q = [0.9999, 0.997164831, 0.973638823, 0.919618194, 0.252616195]
    published = [0.0677495505, 0.0832847014, 0.0887563849, 0.0808069246, -0.0792254745]
    constant = 0.37 * np.log(2 * np.pi * 0.74) + 0.25  # they leave it out
    assert bayes.free_entropy(q, 0.74, 1.0, 0.5) + constant == pytest.approx(published, abs=5e-3)


def test_one_fixed_point_where_the_curve_is_monotone():
    for point in points():
        found = bayes.fixed_points(*point)
        assert found.q[0] == pytest.approx(1 - bayes.mmse(*point), abs=1e-10)
        assert found.stable[0]
        assert len(found.q) == (2 if point[3] == 0 else 1)


def test_exact_recovery_attracts_from_strong_recovery_on():
    for gap, stable in [(3e-6, [True, False]), (1e-9, [True])]:  # 1 - q falls as the square of the gap at rho = 1
        close = bayes.fixed_points(1.0 - gap, 2.0, 1.0)
        assert list(close.stable) == stable
        assert bayes.mmse(1.0 - gap, 2.0, 1.0) == pytest.approx(1.0 - close.q[0], rel=0, abs=1e-14)
    below, above = bayes.fixed_points(0.3, 1.0, 0.2), bayes.fixed_points(0.5, 1.0, 0.2)
    assert below.q[-1] == above.q[-1] == 1
    assert not below.stable[-1]
    assert above.stable.tolist() == [True]


@pytest.mark.parametrize(("beta", "rho"), [(1.0, 0.2), (2.0, 0.5)])
def test_partial_recovery_is_found_up_to_strong_recovery_and_not_there(beta, rho):
    threshold = limits.strong_recovery(beta, rho)
    for distance in (1e-3, 1e-5, 1e-7):
        alpha = threshold * (1 - distance)
        found = bayes.fixed_points(alpha, beta, rho)
        assert found.stable.tolist() == [True, False]
        assert 1 - found.q[0] == pytest.approx(bayes.mmse(alpha, beta, rho), rel=1e-4)
    at = bayes.fixed_points(threshold, beta, rho)
    assert (at.q.tolist(), at.stable.tolist()) == ([1.0], [True])


def test_the_search_finds_a_second_branch_where_there_is_one(monkeypatch):
    # Not our model: independent entries +-1, whose error is 1 - E tanh(s + sqrt(s) z) at s = 1/noise.
    z, weight = np.polynomial.hermite_e.hermegauss(121)

    def signs(noise, b, rho):
        s = 1 / np.asarray(noise)[..., None]
        return 1 - np.tanh(s + np.sqrt(s) * z) @ (weight / weight.sum())

    monkeypatch.setattr(bayes, "denoising_mmse", signs)
    found = bayes.fixed_points(0.36, delta=0.01)
    assert found.stable.tolist() == [True, False, True]
    assert np.all(np.diff(found.q) > 0)
    for start, q in ((0.0, found.q[0]), (1.0, found.q[2])):
        assert bayes.state_evolution(0.36, delta=0.01, q0=start, iterations=200)[-1] == pytest.approx(q, abs=1e-9)
    assert len(bayes.fixed_points(0.6, delta=0.01).q) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bayes.free_entropy(1.0, 0.5), "q must be in"),
        (lambda: bayes.free_entropy(1.5, 0.5, delta=0.1), "q must be in"),
        (lambda: bayes.free_entropy(1.05, 0.5, delta=0.1), "q must be in"),
        (lambda: bayes.free_entropy(-0.5, 0.5), "q must be zero or positive"),
        (lambda: bayes.fixed_points([0.1, 0.2]), "single numbers"),
        (lambda: bayes.fixed_points(0.1, resolution=1), "resolution must be an integer"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
