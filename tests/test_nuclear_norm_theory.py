"""Nuclear-norm theory: threshold and error against mpmath and print; the error curve against its ends and rivals."""

from itertools import pairwise

import mpmath
import numpy as np
import oracle
import pytest
from scipy.optimize import brentq, minimize_scalar

from bsr import denoising, spectrum
from bsr.theory import bayes, limits, nuclear_norm, ridge


def threshold_in_mpmath(b, rho):
    """The formula of arXiv:2410.18858 as printed, by tanh-sinh quadrature in t itself."""
    with mpmath.workdps(25):
        b, rho = mpmath.mpf(b), mpmath.mpf(rho)
        c = 1 / b
        gamma = c * (1 - rho) / (1 - rho * c)
        low, high = (1 - mpmath.sqrt(gamma)) ** 2, (1 + mpmath.sqrt(gamma)) ** 2

        def P(x, k):
            def f(t):
                return t ** (k - 1) * mpmath.sqrt((high - t) * (t - low))

            return mpmath.quad(f, [max(x, low), high]) / (2 * mpmath.pi * gamma)

        half = mpmath.mpf(1) / 2
        level = mpmath.findroot(
            lambda s: P(s * s, half) - s * P(s * s, 0) - s * rho / (1 - rho), (0.05, 0.9), solver="anderson", tol=1e-18
        )
        x = level**2
        excess = rho * x + (1 - rho) * (P(x, 1) - 2 * level * P(x, half) + x * P(x, 0))
        return float(rho + c * rho - c * rho**2 + (1 - rho * c) * excess)


@pytest.mark.parametrize(("beta", "rho"), [(1.0, 0.2), (1.0, 0.5), (2.0, 0.3), (0.25, 0.7), (50.0, 0.1), (1.0, 0.02)])
def test_threshold_against_mpmath(beta, rho):
    expected = threshold_in_mpmath(max(beta, 1 / beta), rho)
    assert nuclear_norm.recovery_threshold(beta, rho) == pytest.approx(expected, abs=1e-8)


def test_threshold_as_printed_in_the_paper():
    printed = [0.571689921145544, 0.9054173332199507]
    assert nuclear_norm.recovery_threshold(1.0, [0.2, 0.5]) == pytest.approx(printed, abs=1e-8)


def test_threshold_lies_between_counting_and_full_rank():
    rho = np.linspace(0.02, 0.98, 9)
    for beta in (1.0, 2.0, 0.1):
        threshold = nuclear_norm.recovery_threshold(beta, rho)
        assert (threshold > limits.strong_recovery(beta, rho)).all()
        assert (np.diff(threshold) > 0).all()
        assert (threshold < 1).all()
    assert nuclear_norm.recovery_threshold(1.0, [1.0, 3.0]).tolist() == [1.0, 1.0]


def test_threshold_of_low_ranks_in_samples_per_parameter():
    # 2 (1 + sqrt(b) / (1 + b)) as rho -> 0: the literature's 3 (square), against the 1 of counting.
    for b in (1.0, 4.0):
        alpha = nuclear_norm.recovery_threshold(b, 1e-6)
        assert alpha * b / ((1 + b) * 1e-6) == pytest.approx(2 * (1 + np.sqrt(b) / (1 + b)), rel=0.02)


def tangent_cone(L, d, r, width, rng):
    """Statistical dimension, drawn: the norm does not grow, the block beside the teacher has rank at most width - r."""
    singular = np.linalg.svd(rng.standard_normal((L - r, d - r)), compute_uv=False)[: width - r]
    squares = minimize_scalar(
        lambda level: r * level**2 + np.sum(np.maximum(singular - level, 0.0) ** 2),
        bounds=(0.0, 2.0 * np.sqrt(max(L, d))),
        method="bounded",
    )
    return (r * (L + d - r) + squares.fun) / (L * d)


@pytest.mark.parametrize(("L", "d", "r", "width"), [(300, 300, 60, 105), (300, 300, 60, 120), (400, 200, 40, 72)])
def test_restricted_threshold_against_drawn_cones(L, d, r, width):
    drawn = [tangent_cone(L, d, r, width, np.random.default_rng(seed)) for seed in range(16)]
    threshold = nuclear_norm.recovery_threshold(L / d, r / d, width=width / d)
    assert threshold < limits.strong_recovery(L / d, width / d)  # the cone decides, not the count
    error = np.std(drawn, ddof=1) / np.sqrt(len(drawn))
    assert error < 5e-4
    assert abs(threshold - np.mean(drawn)) < 3 * error


@pytest.mark.parametrize(("b", "rho", "width"), [(1.0, 0.2, 0.36), (2.0, 0.2, 0.4), (3.0, 0.1, 0.25)])
def test_restricted_threshold_is_the_least_over_all_levels(b, rho, width):
    """The cone by tanh-sinh quadrature of the Marchenko-Pastur law, minimised over the level by a search."""
    with mpmath.workdps(20):
        gamma = mpmath.mpf((1 - rho) / (b - rho))
        low, high = (1 - mpmath.sqrt(gamma)) ** 2, (1 + mpmath.sqrt(gamma)) ** 2

        def mean_above(cut, f):
            def density(t):
                return mpmath.sqrt((high - t) * (t - low)) / (2 * mpmath.pi * gamma * t)

            return mpmath.quad(lambda t: f(t) * density(t), [cut, high])

        free = (width - rho) / (1 - rho)
        cut = mpmath.findroot(lambda x: mean_above(x, lambda t: 1) - free, (low + 0.1, high - 0.1), solver="anderson")

        def dimension(level):
            largest = mean_above(cut, lambda t: (mpmath.sqrt(t) - level) ** 2)
            return float((1 - rho / b) * (rho * level**2 + (1 - rho) * largest))

        least = minimize_scalar(dimension, bounds=(0.0, float(mpmath.sqrt(cut))), method="bounded").fun
    expected = rho * (1 + b - rho) / b + least
    threshold = nuclear_norm.recovery_threshold(b, rho, width=width)
    assert threshold < limits.strong_recovery(b, width)
    assert threshold == pytest.approx(expected, abs=1e-9)


def test_restricted_threshold_runs_from_the_count_to_the_nuclear_norm():
    for beta in (1.0, 2.0, 0.1):
        width = np.array([0.2, 0.21, 0.25, 0.3, 0.4, 0.6, 1.0, 3.0])
        threshold = nuclear_norm.recovery_threshold(beta, 0.2, width=width)
        assert threshold[0] == limits.strong_recovery(beta, 0.2)
        assert np.all(np.diff(threshold[:5]) > 0)
        assert threshold[-2:].tolist() == [nuclear_norm.recovery_threshold(beta, 0.2)] * 2
        count = limits.strong_recovery(beta, width)
        assert threshold[1] == count[1]  # near the teacher's rank the cone is the weaker bound
        assert np.all(threshold <= count)
    assert nuclear_norm.recovery_threshold(1.0, 1.5, width=2.0) == 1.0


def soft_error(theta, beta, rho, noise):
    """Error and divergence of soft thresholding by a quadrature over the law, which the theory does without."""
    return denoising.spectral_error(lambda x: np.maximum(x - theta, 0.0), beta, rho, noise, kinks=(theta,))


def soft_threshold_in_mpmath(law, theta, noise, b):
    """Error and divergence of (x - theta)_+, all in the oracle's units: singular values over b^(1/4)."""
    intervals, _, quartic = law
    residual = divergence = 0
    for low, high in intervals:
        for left, right in pairwise(sorted({low, min(max(theta, low), high), high})):

            def integrands(x, above=left >= theta):
                hilbert, im = oracle._root(quartic, x)
                mass, kept = 2 * im / mpmath.pi, x - theta if above else 0
                # The 1 makes the second integral's relative accuracy absolute.
                return mass * (x - kept) ** 2, mass * (1 + kept * ((b - 1) / x + 2 * hilbert) / b)

            parts = oracle._tanh_sinh(integrands, left, right, 12)
            residual, divergence = residual + parts[0], divergence + parts[1]
    return residual - noise + 2 * noise * (divergence - 1), divergence - 1


@pytest.mark.parametrize(
    ("alpha", "beta", "rho", "delta", "lam"),
    [
        (0.3, 3.0, 0.5, 0.0, 0.0),
        (0.3, 3.0, 0.5, 0.1, 0.2),
        pytest.param(1e-6, 1.0, 0.2, 0.0, 0.0, marks=pytest.mark.slow),  # few samples: the noise is large
        pytest.param(0.5716, 1.0, 0.2, 0.0, 0.0, marks=pytest.mark.slow),  # next to the threshold, 0.57169
        pytest.param(0.01, 0.4, 0.2, 0.5, 0.1, marks=pytest.mark.slow),
        pytest.param(2.0, 1.0, 0.2, 0.1, 0.4, marks=pytest.mark.slow),
        pytest.param(0.3, 300.0, 0.02, 0.05, 0.1, marks=pytest.mark.slow),  # the threshold in a gap of the spectrum
        pytest.param(0.6, 1.0001, 1.5, 0.1, 0.3, marks=pytest.mark.slow),  # almost a hard edge
    ],
)
def test_error_solves_its_equations_in_mpmath(alpha, beta, rho, delta, lam):
    # The noise from the error, the threshold from the second equation; it must give back the error.
    error, b = nuclear_norm.mse(alpha, beta, rho, delta, lam=lam), max(beta, 1 / beta)
    noise = (delta + error) / alpha
    top = spectrum.edges(beta, rho, noise)[-1]
    # Where to look, by double precision
    high = max(top, 1.01 * lam / alpha)
    near = brentq(lambda t: alpha - soft_error(t, beta, rho, noise)[1] - lam / t, 1e-5 * top, high) / b**0.25
    law = oracle.support(noise, beta, rho)
    with mpmath.workdps(oracle.WORK_DIGITS):

        def at(theta):
            return soft_threshold_in_mpmath(law, theta, mpmath.mpf(noise), mpmath.mpf(b))

        def excess(theta):
            return alpha - at(theta)[1] - lam / (theta * mpmath.mpf(b) ** 0.25)

        theta = mpmath.findroot(excess, (near, near * (1 + mpmath.mpf(1e-10))), tol=1e-40, maxsteps=3, verify=False)
        assert abs(excess(theta)) < 1e-16 * alpha
        # What is left is rounding, of terms as large as the noise.
        assert float(at(theta)[0]) == pytest.approx(error, rel=1e-12 + 1e-16 * noise, abs=0)


@pytest.mark.parametrize(("beta", "rho"), [(1.0, 0.2), (2.0, 0.5), (0.3, 0.1), (10.0, 0.8)])
def test_noiseless_error_ends_continuously_at_the_threshold(beta, rho):
    # The curve comes from matrix denoising at vanishing noise, the threshold from a formula without it.
    threshold = nuclear_norm.recovery_threshold(beta, rho)
    assert nuclear_norm.mse(threshold, beta, rho, lam=0.0) == 0.0
    assert nuclear_norm.mse(1.2 * threshold, beta, rho, lam=0.0) == 0.0
    near = nuclear_norm.mse(threshold * (1 - np.array([1e-2, 1e-3, 1e-4])), beta, rho, lam=0.0)
    # It vanishes with slope 0, as the square of the distance.
    assert near[:-1] / near[1:] == pytest.approx([100, 100], rel=0.15)


def test_noiseless_error_is_worse_than_bayes_and_meets_the_published_simulations():
    alpha = np.array([0.246, 0.482])
    error = nuclear_norm.mse(alpha, 1.0, 0.2, lam=0.0)
    published, deviation = np.array([0.556479, 0.0504357]), np.array([0.0601073, 0.0102811])  # D = 50, 16 samples
    assert (abs(error - published) < 3 * deviation / np.sqrt(16)).all()
    assert (error > bayes.mmse(alpha, 1.0, 0.2)).all()


def test_few_samples_and_no_samples():
    # With next to none the noise is 1e8 and the error still known.
    few = nuclear_norm.mse(1e-8, [1.0, 3.0], 0.3, 0.1, lam=None)
    assert few == pytest.approx(np.ones(2), abs=2e-11)  # 5e-12 with the versions of 2024

    assert nuclear_norm.mse(1e-4, 1.0, 0.3, lam=0.0) == pytest.approx(1, abs=0.02)
    assert nuclear_norm.mse(0.3, 1.0, 0.3, 0.1, lam=50.0) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(("alpha", "beta", "rho", "delta"), [(0.4, 1.0, 0.2, 0.1), (0.8, 2.0, 0.5, 0.3)])
class TestPenalty:
    def test_vanishing_penalty_is_the_interpolator(self, alpha, beta, rho, delta):
        limit = nuclear_norm.mse(alpha, beta, rho, delta, lam=0.0)
        gaps = abs(nuclear_norm.mse(alpha, beta, rho, delta, lam=[1e-3, 1e-5, 1e-7]) - limit)
        assert (np.diff(gaps) < 0).all()
        assert gaps[-1] < 1e-5

    def test_best_penalty_is_best(self, alpha, beta, rho, delta):
        lam = nuclear_norm.optimal_lam(alpha, beta, rho, delta)
        best = nuclear_norm.mse(alpha, beta, rho, delta, lam=None)
        assert nuclear_norm.mse(alpha, beta, rho, delta, lam=lam) == pytest.approx(best, rel=1e-8)
        others = nuclear_norm.mse(alpha, beta, rho, delta, lam=lam * np.array([0.5, 0.9, 1.1, 2.0]))
        assert (others > best).all()
        assert bayes.mmse(alpha, beta, rho, delta) < best < ridge.mse(alpha, delta=delta)


def test_more_samples_than_entries_without_penalty_is_least_squares():
    alpha = np.array([1.5, 3.0])
    assert nuclear_norm.mse(alpha, 2.0, 0.3, 0.2, lam=0.0) == pytest.approx(0.2 / (alpha - 1))
    assert nuclear_norm.mse(1.0, 1.0, 0.2, 0.1, lam=0.0) == np.inf


def test_penalised_error_solves_its_equations_by_quadrature():
    rng = np.random.default_rng(0)
    for alpha, beta, rho, delta, lam in 10 ** rng.uniform([-1.5, -1, -1.5, -3, -2], [0.2, 1, 0.3, 0, 0], (12, 5)):
        error = nuclear_norm.mse(alpha, beta, rho, delta, lam=lam)
        noise = (delta + error) / alpha

        def soft(theta, law=(beta, rho, noise)):
            return denoising.spectral_error(lambda x: np.maximum(x - theta, 0.0), *law, kinks=[theta])

        top = spectrum.edges(beta, rho, noise)[-1]
        if lam < alpha * top:
            theta = brentq(lambda t, alpha=alpha, lam=lam: t * (alpha - soft(t)[1]) - lam, lam / alpha, top, xtol=1e-15)
            assert error == pytest.approx(soft(theta)[0], rel=1e-10)
        else:
            assert error == 1.0


def test_as_many_exact_labels_as_entries_determine_everything():
    for lam in (None, 0.0):
        assert not nuclear_norm.mse(1.0, [1.0, 2.0, 0.1], [[0.3], [1.0], [3.0]], lam=lam).any()


def test_arguments_broadcast_and_order_does_not_matter():
    alpha = np.linspace(0.05, 0.5, 8)
    table = nuclear_norm.mse(alpha[:, None], [1.0, 2.0, 0.5], 0.3, 0.05, lam=0.1)
    assert table.shape == (8, 3)
    assert table[:, 1] == pytest.approx(table[:, 2], rel=1e-9)
    assert nuclear_norm.mse(alpha[::-1], 1.0, 0.3, 0.05, lam=0.1)[::-1] == pytest.approx(table[:, 0], rel=1e-8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nuclear_norm.mse(0.0, lam=0.0), "alpha must be positive"),
        (lambda: nuclear_norm.mse(0.1, lam=-1.0), "lam must be zero or positive"),
        (lambda: nuclear_norm.optimal_lam(0.1, delta=-1.0), "delta must be zero or positive"),
        (lambda: nuclear_norm.recovery_threshold(0.0), "beta must be positive"),
        (
            lambda: nuclear_norm.recovery_threshold(1.0, 0.3, width=[0.4, 0.2]),
            "width must be at least rho = 0.3, got 0.2",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("delta", [0.0, 0.05, 0.5])
@pytest.mark.parametrize("lam", [None, 0.0])
def test_the_sample_complexity_inverts_the_error(delta, lam):
    error = np.array([0.5, 0.1, 0.02])
    for beta, rho in ((1.0, 0.2), (3.0, 0.5), (1.0, 2.0)):
        alpha = nuclear_norm.sample_complexity(error, beta, rho, delta, lam=lam)
        np.testing.assert_allclose(nuclear_norm.mse(alpha, beta, rho, delta, lam=lam), error, rtol=1e-7)
        fewer = nuclear_norm.mse(alpha[:, None] * np.array([0.99, 0.7, 0.3]), beta, rho, delta, lam=lam)
        assert np.all(fewer > error[:, None])  # the smallest of its kind
        assert np.all(alpha >= bayes.sample_complexity(error, beta, rho, delta))


def test_the_sample_complexity_is_found_where_the_error_is_flat():
    # With few samples the interpolator's error of low ranks is nearly 1 over decades of the noise, without noise of the
    # labels: secants lead far away.
    error = np.array([0.5227948601478087, 0.754405333, 0.862039293, 0.64685838])
    beta = np.array([0.09423495172271047, 0.0383224944, 0.320473066, 62.4174231])
    rho = np.array([0.10927554294756983, 0.0116298744, 0.00314215794, 0.0482232304])
    alpha = nuclear_norm.sample_complexity(error, beta, rho, 0.0, lam=0.0)
    np.testing.assert_allclose(nuclear_norm.mse(alpha, beta, rho, 0.0, lam=0.0), error, rtol=1e-7)


def test_what_interpolation_cannot_reach_least_squares_does():
    assert nuclear_norm.sample_complexity(0.01, 1.0, 0.2, 0.1, lam=0.0) == pytest.approx(11.0, rel=1e-12)


PROBLEMS = [(1.0, 0.2, 0.1), (4.0, 0.5, 0.3), (1.0, 2.0, 0.01), (100.0, 0.02, 0.05)]


@pytest.mark.parametrize(("beta", "rho", "delta"), [*PROBLEMS, (1.0, 0.2, 0.0), (2.0, 0.7, 0.0)])
class TestExplicitForm:
    def test_the_best_penalty_is_the_best_threshold_at_each_noise(self, beta, rho, delta):
        for error in (0.9, 0.3, 0.01):
            alpha = nuclear_norm.sample_complexity(error, beta, rho, delta, lam=None)
            noise = (delta + error) / alpha
            top = spectrum.edges(beta, rho, noise)[-1]
            best = minimize_scalar(
                lambda theta, noise=noise: soft_error(theta, beta, rho, noise)[0],
                bounds=(0.0, top),
                method="bounded",
                options={"xatol": 1e-9 * top},
            )
            assert best.fun == pytest.approx(error, rel=1e-10)
            lam = best.x * (alpha - soft_error(best.x, beta, rho, noise)[1])
            assert nuclear_norm.optimal_lam(alpha, beta, rho, delta) == pytest.approx(lam, rel=1e-4, abs=1e-6)

    def test_the_interpolator_spends_each_sample_on_one_degree_of_freedom(self, beta, rho, delta):
        alpha = np.array([0.02, 0.3, 0.9]) * nuclear_norm.recovery_threshold(beta, rho)
        for a, error in zip(alpha, nuclear_norm.mse(alpha, beta, rho, delta, lam=0.0), strict=True):
            law = beta, rho, (delta + error) / a
            top = spectrum.edges(*law)[-1]
            theta = brentq(lambda t, a=a, law=law: a - soft_error(t, *law)[1], 1e-6 * top, top, xtol=1e-14)
            assert soft_error(theta, *law)[0] == pytest.approx(error, rel=1e-9)


@pytest.mark.parametrize(("beta", "rho", "delta"), PROBLEMS)
def test_one_noise_belongs_to_two_interpolators(beta, rho, delta):
    # The branches meet at the least noise. Its derivative there vanishes, so the error rises with slope `noise`.
    def noise(alpha):
        return (delta + nuclear_norm.mse(alpha, beta, rho, delta, lam=0.0)) / alpha

    meet = minimize_scalar(noise, bounds=(0.0, 1.0), method="bounded", options={"xatol": 1e-8})
    few = brentq(lambda alpha: noise(alpha) - 1.1 * meet.fun, 1e-3 * meet.x, meet.x)
    many = brentq(lambda alpha: noise(alpha) - 1.1 * meet.fun, meet.x, 1 - 1e-9)
    law = beta, rho, 1.1 * meet.fun
    top = spectrum.edges(*law)[-1]
    theta = [brentq(lambda t, a=a: a - soft_error(t, *law)[1], 1e-6 * top, top, xtol=1e-14) for a in (few, many)]
    assert theta[1] < theta[0]
    for t, a in zip(theta, (few, many), strict=True):
        assert law[2] * a == pytest.approx(delta + soft_error(t, *law)[0], rel=1e-9)


@pytest.mark.parametrize(("beta", "rho", "delta"), PROBLEMS)
def test_the_interpolator_reaches_each_error_first_from_the_side_of_few_samples(beta, rho, delta):
    alpha = np.linspace(0.0, 1.0, 4000)[1:-1]
    error = nuclear_norm.mse(alpha, beta, rho, delta, lam=0.0)
    least = np.argmin(error)
    target = error[least] + np.array([1e-4, 0.1, 0.8]) * (1 - error[least])
    found = nuclear_norm.sample_complexity(target, beta, rho, delta, lam=0.0)
    assert np.all(found < alpha[least])
    np.testing.assert_allclose(nuclear_norm.mse(found, beta, rho, delta, lam=0.0), target, rtol=1e-10)
    below = 0.99 * error[least]
    assert nuclear_norm.sample_complexity(below, beta, rho, delta, lam=0.0) == pytest.approx(1 + delta / below)


def test_the_recovery_threshold_is_solved_only_where_it_decides(monkeypatch):
    solved, original = [], nuclear_norm._recovery_threshold

    def counted(b, rho):
        solved.extend(np.atleast_1d(rho))
        return original(b, rho)

    monkeypatch.setattr(nuclear_norm, "_recovery_threshold", counted)
    alpha = np.linspace(0.1, 2.0, 30)
    nuclear_norm.mse(alpha, 1.0, 0.2, 0.1, lam=0.0)
    nuclear_norm.mse(alpha, 1.0, 0.2, 0.0, lam=0.3)
    nuclear_norm.optimal_lam(alpha[alpha > 1], 1.0, 0.2)
    nuclear_norm.mse(0.36 * alpha / 2.0, 1.0, 0.2, lam=0.0)  # fewer samples than parameters
    nuclear_norm.sample_complexity([0.1, 0.2], 1.0, 0.2, lam=0.0)
    assert not solved
    nuclear_norm.mse(alpha[:, None], 1.0, [0.2, 0.5], lam=None)
    assert solved == [0.2, 0.5]


def test_other_penalties_have_no_sample_complexity():
    with pytest.raises(ValueError, match=r"lam must be None \(the best\) or 0.0"):
        nuclear_norm.sample_complexity(0.1, lam=0.3)
    with pytest.raises(ValueError, match="error must be strictly between 0 and 1"):
        nuclear_norm.sample_complexity([0.1, 1.0], lam=None)


def test_next_to_alpha_one_interpolation_keeps_its_digits():
    """Where the curvature of the equation that is solved is 1 / (1 - alpha)."""
    missing = 10.0 ** -np.arange(1, 9)
    for beta, rho in ((1.0, 1.0), (10.0, 1.0), (10.0, 2.0)):
        error = nuclear_norm.mse(1.0 - missing, beta, rho, lam=0.0)
        alpha = nuclear_norm.sample_complexity(error, beta, rho, lam=0.0)
        np.testing.assert_allclose(1.0 - alpha, missing, rtol=1e-5)


def test_a_step_onto_a_pole_of_the_curve_is_not_the_end():
    """Continued from far away, Newton's method came to kappa = 1 exactly, where a complex division raises."""
    alpha, beta = 0.9999999906453553, 23776.746548225477
    error = nuclear_norm.mse(alpha, beta, 1.0, lam=0.0)
    assert nuclear_norm.sample_complexity(error, beta, 1.0, lam=0.0) == pytest.approx(alpha, abs=1e-13)
