"""The closed-form limits against the published fixed points at 40 digits, and against the full theory near each limit.

The published equations are explicit in the precision or in the noise of the equivalent observation, so a point of a
curve needs no root: pick the precision, read off the error and the sample complexity.
"""

from fractions import Fraction

import numpy as np
import pytest
from mpmath import mp, mpf

import bsr
from bsr.theory import limits
from bsr.theory.bayes import mmse

BETAS = [1.0, 1.5, 4.0, 100.0, 1e6]
DELTAS = [0.0, 1e-6, 0.1, 3.0]


# Low rank, in units of alpha_bar


def low_rank_point(h, beta, delta):
    """(alpha_bar, error) where q = g_a g_b and h = alpha_bar / (delta + 1 - q): arXiv:2410.18858, at 40 digits."""
    h, b, delta = mpf(h), mpf(max(beta, 1 / beta)), mpf(delta)
    top = (b + 1) ** 2 * h**2 - b
    q = top / ((b + 1) * h * (b * h + h + 1)) * top / ((b + 1) * h * (b * h + h + b))
    return h * (delta + 1 - q), 1 - q


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("delta", DELTAS)
def test_low_rank_error_solves_the_fixed_point(beta, delta):
    with mp.workdps(40):
        onset = mp.sqrt(mpf(beta)) / (1 + mpf(beta))  # h there: the overlap's numerator changes sign
        points = [
            low_rank_point(onset * mpf(factor), beta, delta) for factor in ("1.001", "1.1", "1.7", "4", "50", "1e4")
        ]
    for alpha_bar, error in points:
        # alpha_bar is rounded to float64: where the error vanishes with 1 - alpha_bar, only that much of it is known.
        assert limits.low_rank_mmse(float(alpha_bar), beta=beta, delta=delta) == pytest.approx(
            float(error), rel=1e-10, abs=1e-14
        )


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("delta", DELTAS)
def test_weak_recovery_is_where_the_low_rank_error_leaves_one(beta, delta):
    critical = limits.weak_recovery(beta=beta, delta=delta)
    with mp.workdps(40):
        onset = mp.sqrt(mpf(beta)) / (1 + mpf(beta))
        alpha_bar, error = low_rank_point(onset, beta, delta)  # no overlap is left
        assert error == 1
        assert critical == pytest.approx(float(alpha_bar), rel=1e-15)
    assert limits.low_rank_mmse([0.5 * critical, critical], beta=beta, delta=delta).tolist() == [1.0, 1.0]
    error = limits.low_rank_mmse(critical * (1 + 1e-4), beta=beta, delta=delta)
    assert 0.99 < error < 1.0


def test_low_rank_without_noise_is_exact_at_as_many_samples_as_parameters():
    below, above = np.array([0.9, 0.999999]), np.array([1.0, 1.5])
    for beta in (1.0, 3.0, 0.01):
        assert np.all(limits.low_rank_mmse(below, beta=beta) > 0)
        np.testing.assert_array_equal(limits.low_rank_mmse(above, beta=beta), 0.0)
    with mp.workdps(40):  # the published equation reaches the same end
        alpha_bar, error = low_rank_point("1e12", 3.0, 0.0)
        assert abs(alpha_bar - 1) < 1e-11
        assert abs(error) < 1e-11


# Long sequences


def long_sequence_point(noise, rho, delta):
    """(alpha, error) where q solves the limit of infinite beta, noise = (1 + delta - q) / alpha; arXiv:2410.18858."""
    n, rho = mpf(noise), mpf(rho)
    root = mp.sqrt(1 + rho * ((n + 2) * rho * n + 2 * n + rho - 2))
    error = n - n / 2 * (root - (rho - 1) - n * rho)
    return (mpf(delta) + error) / n, error


@pytest.mark.parametrize("rho", [0.002, 0.2, 0.999, 1.0, 1.001, 40.0])
@pytest.mark.parametrize("delta", DELTAS)
def test_long_sequence_error_solves_the_fixed_point(rho, delta):
    with mp.workdps(60):
        points = [long_sequence_point(noise, rho, delta) for noise in ("1e-5", "1e-2", "0.3", "1", "7", "1e3")]
    for alpha, error in points:
        assert 0 < error < 1
        assert limits.long_sequence_mmse(float(alpha), rho=rho, delta=delta) == pytest.approx(
            float(error), rel=1e-9, abs=1e-14
        )


@pytest.mark.parametrize("rho", [0.3, 1.0, 2.5])
def test_long_sequences_without_noise(rho):
    alpha = np.array([0.01, 0.2, 0.29, 0.31, 0.9, 1.1, 3.0])
    expected = np.where(alpha < min(1, rho), (1 - alpha) * (1 - alpha / rho), 0)
    np.testing.assert_allclose(limits.long_sequence_mmse(alpha, rho=rho), expected, rtol=0, atol=1e-15)


# Extreme values

TINY, HUGE = 1e-300, 1e300
EXTREMES = [5e-324, TINY, 1e-20, 0.3, 1.0, 2.0, 1e20, HUGE, 1.7e308]


def test_extreme_arguments_give_errors_between_zero_and_one_in_the_right_order():
    # Denormal to overflowing, in every combination; a warning of numpy is an error here.
    alpha = np.array(EXTREMES)[:, None, None]
    other = np.array(EXTREMES)[:, None]
    delta = np.array([0.0, *EXTREMES])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        low_rank = limits.low_rank_mmse(alpha, beta=other, delta=delta)
        long_sequence = limits.long_sequence_mmse(alpha, rho=other, delta=delta)
        assert np.all(limits.weak_recovery(beta=other, delta=delta[:-1]) > 0)
        assert np.all(np.isfinite(limits.strong_recovery(other, delta[1:])))
    for error in (low_rank, long_sequence):
        assert np.all((error >= 0) & (error <= 1))
        assert np.all(np.diff(error, axis=0) <= 1e-12)  # more samples
        assert np.all(np.diff(error, axis=2) >= -1e-12)  # more noise


def test_errors_of_tiny_noise_keep_their_digits():
    # Above as many samples as parameters the error is that of least squares, delta / (alpha_bar - 1) in low rank and
    # delta e / (alpha - e), e = min(1, rho), for long sequences, up to a relative correction of order delta.
    for delta in (1e-14, 1e-20, 1e-100, 1e-250, 1e-300):
        for ratio in (1.5, 3.0, 1e5):
            for beta in (1.0, 30.0, 1e100):
                assert limits.low_rank_mmse(ratio, beta=beta, delta=delta) == pytest.approx(
                    delta / (ratio - 1), rel=1e-11
                )
            for rho in (1e-30, 0.2, 0.999, 5.0, 1e200):
                e = min(rho, 1.0)
                expected = delta * e / (e * ratio - e)
                assert limits.long_sequence_mmse(e * ratio, rho=rho, delta=delta) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("delta", [0.0, 1e-9, 0.1, 3.0])
def test_long_sequences_of_extreme_rank(delta):
    # Many directions: the short side's covariance is trivial and ridge is optimal.
    alpha = np.array([0.1, 0.7, 1.0, 1.6, 50.0])
    np.testing.assert_allclose(
        limits.long_sequence_mmse(alpha, rho=1e200, delta=delta),
        bsr.theory.ridge.mse(alpha, delta=delta),
        rtol=1e-9,
        atol=1e-15,
    )


# Strong recovery


@pytest.mark.parametrize(("d", "L"), [(10, 10), (10, 30), (30, 10), (7, 1000)])
def test_strong_recovery_counts_parameters(d, L):
    m = min(d, L)
    for r in range(1, m + 3):
        parameters = Fraction(r * (d + L - r), d * L) if r <= m else Fraction(1)
        assert limits.strong_recovery(L / d, r / m) == pytest.approx(float(parameters), rel=1e-14)


@pytest.mark.parametrize("beta", [1.0, 0.4, 10.0])
@pytest.mark.parametrize("rho", [0.05, 0.3, 0.9, 1.0, 2.0])
def test_strong_recovery_is_where_the_noiseless_error_ends(beta, rho):
    critical = limits.strong_recovery(beta, rho)
    assert mmse(critical * (1 + 1e-9), beta, rho) == 0.0
    errors = mmse(critical * (1 - np.array([1e-1, 1e-2, 1e-3])), beta, rho)
    assert np.all(errors > 0)
    assert np.all(np.diff(errors) < 0)
    assert errors[-1] < 0.02
    if rho != 1.0 or beta != 1.0:  # at both, the smallest singular values vanish and this is slow
        assert bsr.denoising.mmse(1e-7, beta, rho) / 1e-7 == pytest.approx(critical, rel=2e-3)


def test_strong_recovery_does_not_jump_at_full_rank():
    assert limits.strong_recovery([2.0] * 3, [1 - 1e-12, 1.0, 5.0]) == pytest.approx([1.0] * 3, abs=1e-11)


# The full theory near its limits


def order(parameter, distance):
    """Exponent of the distance in the parameter, between two values of it."""
    return np.log(distance[1] / distance[0]) / np.log(parameter[1] / parameter[0])


@pytest.mark.parametrize("beta", [1.0, 3.0, 0.1])
@pytest.mark.parametrize("delta", [0.0, 0.1, 1.0])
def test_low_rank_is_approached_like_rho_and_at_weak_recovery_more_slowly(beta, delta):
    b, rho = max(beta, 1 / beta), np.array([5e-3, 2.5e-3])
    below, at, above = limits.weak_recovery(beta=beta, delta=delta) * np.array([0.3, 1.0, 1.7])
    for alpha_bar, expected, accuracy in ((below, 1, 0.01), (at, 2 / 3, 0.02), (above, 1, 0.01)):
        limit = limits.low_rank_mmse(alpha_bar, beta=beta, delta=delta)
        distance = limit - mmse(alpha_bar * (1 + b) * rho / b, beta, rho, delta)
        assert np.all(distance > 0)
        assert order(rho, distance) == pytest.approx(expected, abs=accuracy)
    # Below, what is learned is what ridge regression learns, times a factor that announces the transition.
    learned = 1 - mmse(below * (1 + b) * rho / b, beta, rho, delta)
    ridge = below * (1 + b) * rho / b / (1 + delta)
    assert learned == pytest.approx(ridge / (1 - 0.3**2), rel=2e-3)


@pytest.mark.parametrize("rho", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("delta", [0.0, 0.1])
def test_long_sequences_are_approached_like_one_over_beta(rho, delta):
    betas, alpha = np.array([1e4, 1e5]), np.array([0.1, 0.25, 0.8, 1.5])
    for a in alpha[alpha < min(1, rho)] if delta == 0 else alpha:
        distance = mmse(a, betas, rho, delta) - limits.long_sequence_mmse(a, rho=rho, delta=delta)
        assert np.all(distance > 0)
        assert np.all(distance < 12 / betas)
        assert order(1 / betas, distance) == pytest.approx(1, abs=0.02)
    # The beginning of the curve, where the common space is still to be found, is worse.
    worst = [
        np.max(mmse(early, beta, rho, delta) - limits.long_sequence_mmse(early, rho=rho, delta=delta))
        for beta in betas
        for early in [np.geomspace(0.1, 6, 60) * rho / beta**0.5]
    ]
    assert order(1 / betas, worst) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("beta", [1.0, 1.5, 10.0, 0.001])
@pytest.mark.parametrize("rho", [0.02, 0.5, 1.0, 3.0])
def test_whoever_knows_the_short_side_errs_a_little_less(beta, rho):
    # Given V, rows are Gaussian with covariance V V^T / r: e = tr C / (C + noise) / d, from the Marchenko-Pastur law.
    noise = np.geomspace(1e-4, 100, 25)
    half = 0.5 * (1 + rho + rho * noise)
    e = rho / (half + np.sqrt(half**2 - rho))
    df = bsr.denoising.mmse(noise, beta, rho) / noise
    assert np.all(df >= e * (1 - 1e-10))
    assert np.all(df <= (e + (1 - e) * min(beta, 1 / beta)) * (1 + 1e-10))


@pytest.mark.parametrize("beta", [1.0, 4.0, 3e3, 3e5])
@pytest.mark.parametrize("delta", [0.0, 0.1])
def test_high_rank_is_ridge_regression_and_a_little_of_the_covariance_of_rows(beta, delta):
    # Rows have covariance 1 + E; the fraction u / (1 + u) of E can be seen: book, chapter 8, eq-08-ridge.
    alpha, rho = np.array([0.1, 0.5, 0.8]), 3000.0
    limit = bsr.theory.ridge.mse(alpha, delta=delta)
    s = alpha / (delta + limit)
    u = beta / rho * (s / (1 + s)) ** 2
    predicted = s / (1 + s) ** 3 / rho * u / (1 + u) / (1 - s / ((1 + s) ** 2 * (delta + limit)))
    assert limit - mmse(alpha, beta, rho, delta) == pytest.approx(predicted, rel=5e-3)


# All of them


def test_the_two_limits_meet():
    # Few parameters and long sequences: rho to 0 at alpha_bar = alpha / rho, beta to infinity, in either order.
    alpha_bar = np.array([0.1, 0.4, 0.8, 1.3])
    for delta in (0.0, 0.2):
        long_first = limits.long_sequence_mmse(1e-7 * alpha_bar, rho=1e-7, delta=delta)
        low_rank_first = limits.low_rank_mmse(alpha_bar, beta=1e14, delta=delta)
        np.testing.assert_allclose(long_first, low_rank_first, rtol=0, atol=1e-6)


def test_only_the_ratio_of_the_sides_matters():
    for beta in (1.5, 7.0):
        assert limits.strong_recovery(beta, 0.3) == pytest.approx(limits.strong_recovery(1 / beta, 0.3), rel=1e-15)
        assert limits.weak_recovery(beta=beta, delta=0.3) == pytest.approx(
            limits.weak_recovery(beta=1 / beta, delta=0.3), rel=1e-15
        )
        assert limits.low_rank_mmse(0.7, beta=beta, delta=0.3) == pytest.approx(
            limits.low_rank_mmse(0.7, beta=1 / beta, delta=0.3), rel=1e-14
        )


def test_more_samples_and_less_noise_do_not_harm():
    alpha, delta = np.linspace(0.02, 3, 80)[:, None], np.linspace(0, 2, 9)
    for error in (
        limits.low_rank_mmse(alpha, beta=2.0, delta=delta),
        limits.long_sequence_mmse(alpha, rho=0.4, delta=delta),
    ):
        assert error.shape == (80, 9)
        assert np.all((error >= 0) & (error <= 1))
        assert np.all(np.diff(error, axis=0) <= 1e-13)
        assert np.all(np.diff(error, axis=1) >= -1e-13)


@pytest.mark.parametrize(
    "call",
    [
        lambda: limits.strong_recovery(-1.0, 0.2),
        lambda: limits.strong_recovery(1.0, 0.0),
        lambda: limits.weak_recovery(beta=0.0),
        lambda: limits.weak_recovery(beta=1.0, delta=-0.1),
        lambda: limits.low_rank_mmse(0.0),
        lambda: limits.low_rank_mmse(0.5, beta=np.nan),
        lambda: limits.low_rank_mmse(0.5, beta=1.0, delta=np.inf),
        lambda: limits.long_sequence_mmse(-0.5),
        lambda: limits.long_sequence_mmse(0.5, rho=0.0),
        lambda: limits.long_sequence_mmse(0.5, rho=1.0, delta=[0.1, -0.1]),
    ],
)
def test_nonsense_is_refused(call):
    with pytest.raises(ValueError, match=r"(alpha|alpha_bar|beta|rho|delta) must be"):
        call()


def test_numbers_in_numbers_out():
    for value in (
        limits.strong_recovery(2.0, 0.2),
        limits.weak_recovery(beta=2.0, delta=0.1),
        limits.low_rank_mmse(0.7, beta=2.0, delta=0.1),
        limits.long_sequence_mmse(0.7, rho=0.2, delta=0.1),
    ):
        assert isinstance(value, float)


def test_nothing_is_left_to_learn_at_strong_recovery_itself():
    rng = np.random.default_rng(0)
    beta, rho = np.exp(rng.uniform(-5, 5, 300)), rng.uniform(0.01, 1.2, 300)
    alpha = limits.strong_recovery(beta, rho)
    assert (mmse(alpha, beta, rho) == 0.0).all()
    assert (mmse(alpha * (1 - 1e-6), beta, rho) > 0.0).all()
