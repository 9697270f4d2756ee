"""The free entropy: its maximum, its derivative by the I-MMSE relation, the published curves; and fixed points."""

import numpy as np
import pytest
from scipy.integrate import quad

from bsr import denoising, spectrum
from bsr.theory import bayes

RNG = np.random.default_rng(0)
POINTS = [
    (alpha, beta, rho, delta)
    for alpha, beta, rho, delta in zip(
        RNG.uniform(0.05, 1.2, 24),
        10 ** RNG.uniform(-1.5, 1.5, 24),
        10 ** RNG.uniform(-1.5, 1, 24),
        np.where(np.arange(24) % 3, 10 ** RNG.uniform(-3, 0.5, 24), 0.0),
        strict=True,
    )
    if bayes.mmse(alpha, beta, rho, delta) > 1e-6
]


@pytest.mark.parametrize("point", [*POINTS, (0.74, 1.0, 0.5, 0.0), (0.3, 1.0, 0.2, 0.0), (0.5, 1.0, 1.0, 0.0)])
def test_is_maximal_at_the_bayes_optimal_overlap(point):
    q = 1 - bayes.mmse(*point)
    step = 1e-2 * (1 - q)
    # Four-point derivative, with an error of fourth order in the step.
    values = bayes.free_entropy(q + step * np.array([-2, -1, 1, 2]), *point)
    slope = values @ np.array([1, -8, 8, -1]) / 12 / 1e-2  # times 1 - q
    assert abs(slope) < 1e-6
    assert bayes.free_entropy(q, *point) >= values.max()


def test_slope_at_the_maximum_vanishes_to_high_accuracy():
    assert len(POINTS) >= 18
    for point in POINTS:
        q = 1 - bayes.mmse(*point)
        steps = (1 - q) * 1e-3 * np.array([-2, -1, 1, 2])
        slope = bayes.free_entropy(q + steps, *point) @ np.array([1, -8, 8, -1]) / 12e-3
        assert abs(slope) < 1e-7


@pytest.mark.parametrize(("beta", "rho"), [(1.0, 0.5), (3.0, 0.2), (0.2, 2.0), (1.0, 1.0)])
def test_difference_is_the_integral_of_the_mmse(beta, rho):
    # For delta = 0 and alpha = 1 only the entropic part is left: its slope in q_hat is 1/(2 q_hat) - MMSE(1/q_hat)/2.
    q_hat = np.array([1.2, 3.0, 40.0])
    phi = bayes.free_entropy(1 - 1 / q_hat, 1.0, beta, rho)
    for i in (0, 1):
        expected, _ = quad(
            lambda h: 0.5 / h - 0.5 * denoising.mmse(1 / h, beta, rho), q_hat[i], q_hat[i + 1], epsabs=1e-12, limit=200
        )
        assert phi[i + 1] - phi[i] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("beta", "rho", "noise"), [(1.0, 0.5, 0.3), (2.0, 0.5, 1.0)])
def test_log_averages_against_a_matrix(beta, rho, noise):
    d = 300
    L, r = int(beta * d), int(rho * d)
    rng = np.random.default_rng(1)
    A = rng.standard_normal((L, r)) @ rng.standard_normal((r, d)) / np.sqrt(r)
    y = np.linalg.svd(A + np.sqrt(noise) * rng.standard_normal((L, d)), compute_uv=False) ** 2 / d
    gaps = abs(y[:, None] - y)[np.triu_indices(d, 1)]
    energy, log_y, converged = spectrum._log_averages(1e-11, beta, rho, noise)
    assert converged
    assert np.mean(np.log(gaps)) == pytest.approx(energy, abs=0.03)
    if beta != 1:
        assert np.mean(np.log(y)) == pytest.approx(log_y, abs=0.01)


def test_published_curve_to_its_own_accuracy():
    # beta = 1, rho = 0.5, alpha = 0.74: five of the published values; their quadrature is good to about 1e-2.
    q = [0.9999, 0.997164831, 0.973638823, 0.919618194, 0.252616195]
    published = [0.0677495505, 0.0832847014, 0.0887563849, 0.0808069246, -0.0792254745]
    assert bayes.free_entropy(q, 0.74, 1.0, 0.5) == pytest.approx(published, abs=1e-2)


def test_one_fixed_point_where_the_curve_is_monotone():
    for point in POINTS:
        found = bayes.fixed_points(*point)
        assert found.q[0] == pytest.approx(1 - bayes.mmse(*point), abs=1e-10)
        assert found.stable[0]
        assert len(found.q) == (2 if point[3] == 0 else 1)


def test_exact_recovery_attracts_from_strong_recovery_on():
    below, above = bayes.fixed_points(0.3, 1.0, 0.2), bayes.fixed_points(0.5, 1.0, 0.2)
    assert below.q[-1] == above.q[-1] == 1
    assert not below.stable[-1]
    assert above.stable.tolist() == [True]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bayes.free_entropy(1.0, 0.5), "q must be in"),
        (lambda: bayes.free_entropy(1.5, 0.5, delta=0.1), "q must be in"),
        (lambda: bayes.free_entropy(-0.5, 0.5), "q must be zero or positive"),
        (lambda: bayes.fixed_points([0.1, 0.2]), "single numbers"),
        (lambda: bayes.fixed_points(0.1, resolution=1), "resolution must be an integer"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
