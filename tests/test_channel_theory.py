"""Learning from labels of any channel: curves, thresholds and branches; what is an identity is in identities/."""

import channel_oracle
import mpmath as mp
import numpy as np
import oracle
import pytest

import bsr
from bsr import denoising
from bsr.channels import Abs, Custom, Linear, Logistic, Poisson, ReLU, Sign
from bsr.theory import _branches, bayes, limits

POINTS = [(1.0, 0.2), (2.0, 0.5), (0.1, 1.0), (1.0, 4.0), (20.0, 0.05)]
CHANNELS = [Sign(), Sign(0.1), ReLU(), ReLU(0.3), Abs(), Abs(0.1), Logistic(), Poisson(1.0, 0.5)]
ALPHA = np.linspace(0.02, 2.5, 60)


@pytest.mark.parametrize("delta", [0.0, 1e-6, 0.1, 3.0])
@pytest.mark.parametrize("point", POINTS)
def test_linear_labels_by_the_path_of_all_channels(point, delta):
    b = max(point[0], 1 / point[0])
    expected = bayes.mmse(ALPHA, *point, delta)
    for algorithmic in (False, True):
        found = _branches.errors(ALPHA, b, point[1], Linear(delta), algorithmic=algorithmic)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)  # 4e-15 measured
    q = np.linspace(0.0, 0.99, 7)
    found, converged = _branches.free_entropy(q, 0.7, b, point[1], Linear(delta))
    assert converged
    np.testing.assert_allclose(found, bayes.free_entropy(q, 0.7, *point, delta), rtol=0, atol=1e-13)


def test_the_linear_channel_is_delta_to_the_last_bit():
    point = (1.5, 0.3)
    for function, first in (
        (bayes.mmse, ALPHA),
        (bayes.algorithmic_mmse, ALPHA),
        (bayes.sample_complexity, 0.2),
        (bayes.state_evolution, 0.4),
    ):
        np.testing.assert_array_equal(function(first, *point, channel=Linear(0.1)), function(first, *point, 0.1))
    np.testing.assert_array_equal(bayes.algorithmic_mmse(ALPHA, *point, 0.1), bayes.mmse(ALPHA, *point, 0.1))
    with_channel = bayes.free_entropy(0.4, 0.5, *point, channel=Linear(0.1))
    assert with_channel == bayes.free_entropy(0.4, 0.5, *point, 0.1)
    assert bayes.fixed_points(0.5, *point, channel=Linear(0.1)).q == bayes.fixed_points(0.5, *point, 0.1).q


@pytest.mark.parametrize("channel", CHANNELS, ids=repr)
@pytest.mark.parametrize("point", POINTS)
def test_errors_are_fixed_points_that_fall_with_the_number_of_samples(point, channel):
    error, algorithmic = (
        bayes.mmse(ALPHA, *point, channel=channel),
        bayes.algorithmic_mmse(ALPHA, *point, channel=channel),
    )
    assert (error <= algorithmic).all()
    for values in (error, algorithmic):
        assert (np.diff(values) <= 0).all()
        inner = (values > 0) & (values < 1)
        noise = 1 / (ALPHA[inner] * channel.information(error=values[inner]))
        np.testing.assert_allclose(denoising.mmse(noise, *point), values[inner], rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("beta", "rho"), [(1.0, 0.2), (2.0, 0.5)])
def test_overlaps_keep_their_digits_where_almost_nothing_is_known(beta, rho):
    for noise in (30.0, 3e3, 1e5, 1e7):
        q, error = _branches.overlap_and_error(np.array([noise]), max(beta, 1 / beta), rho)
        expected = 1 - oracle.mmse(noise, beta, rho)
        assert q == pytest.approx(float(expected), rel=3e-11)
        assert error == pytest.approx(float(1 - expected), rel=1e-15)


@pytest.mark.slow
@pytest.mark.parametrize("channel", [Sign(), Sign(0.1)], ids=repr)
def test_the_curve_of_two_oracles(channel):
    for noise in (3.0, 0.3, 1e-3):
        with mp.workdps(20):
            error = oracle.mmse(noise, 1.0, 0.2)
            alpha = 1 / (noise * channel_oracle.averages(channel, 1 - error)[0])
        assert bayes.sample_complexity(float(error), 1.0, 0.2, channel=channel) == pytest.approx(
            float(alpha), rel=1e-11
        )
        found = bayes.mmse(float(alpha), 1.0, 0.2, channel=channel)
        assert found == pytest.approx(float(error), rel=1e-11)


def test_published_and_rederived_numbers():
    # book, chapters 15 and 16
    for (beta, rho), alpha in (((1, 0.2), 0.57249), ((1, 0.5), 0.86167), ((1, 50), 1.12842)):
        assert bayes.thresholds(beta, rho, Abs()).algorithmic == pytest.approx(alpha, abs=5e-6)
    assert bayes.thresholds(1, 0.2, Abs(0.1)).spinodals == pytest.approx([0.65776, 0.68686], abs=5e-6)
    for channel, error in ((Sign(), 0.218096), (Sign(0.1), 0.298955), (ReLU(0.1), 0.111543)):
        assert bayes.mmse(1.0, 1.0, 0.2, channel=channel) == pytest.approx(error, abs=5e-7)


@pytest.mark.slow
def test_weak_recovery_of_lost_signs_is_that_of_vectors():
    for delta in (0.0, 0.1, 2.0):
        for beta, rho in POINTS:
            onset = bayes.thresholds(beta, rho, Abs(delta)).weak
            assert onset == pytest.approx((1 + delta) ** 2 / 2, rel=1e-13)
            near = onset * (1 + np.array([-1e-3, 1e-12, 1e-6, 1e-5]))
            error = bayes.algorithmic_mmse(near, beta, rho, channel=Abs(delta))
            assert error[0] == 1.0
            assert error[1] > 1 - 1e-9
            if rho >= 0.2 and beta <= 2:  # for smaller rank the overlap jumps, or soon turns
                learnt = 1 - error[2:]
                assert learnt[1] == pytest.approx(10 * learnt[0], rel=1e-3)  # linear in the distance


def test_a_hard_phase_for_lost_signs():
    thresholds = bayes.thresholds(1.0, 0.2, Abs())
    assert thresholds.information == thresholds.strong == limits.strong_recovery(1.0, 0.2)
    alpha = np.array([0.35, 0.37, 0.49, 0.51, 0.57, 0.58])
    optimal = bayes.mmse(alpha, 1.0, 0.2, channel=Abs())
    found = bayes.algorithmic_mmse(alpha, 1.0, 0.2, channel=Abs())
    assert optimal.tolist() == [1, 0, 0, 0, 0, 0]
    assert found[[0, 1, 2, 5]].tolist() == [1, 1, 1, 0]
    assert 0.9 < found[4] < found[3] < 1
    noisy = bayes.thresholds(1.0, 0.2, Abs(0.1))
    start, end = noisy.spinodals
    assert start < noisy.information < noisy.algorithmic == end
    assert noisy.weak < start
    assert np.isnan(noisy.strong)


def test_curves_jump_where_the_thresholds_say():
    channel = Abs(0.1)
    for point in ((1.0, 0.2), (2.0, 0.2), (0.2, 0.2)):
        thresholds = bayes.thresholds(*point, channel)
        for function, at in ((bayes.mmse, thresholds.information), (bayes.algorithmic_mmse, thresholds.algorithmic)):
            before, after = function(at * (1 + np.array([-1e-8, 1e-8])), *point, channel=channel)
            assert before - after > 0.3
        around = thresholds.spinodals[0] * (1 + np.array([-1e-8, 1e-8]))
        counts = [len(bayes.fixed_points(alpha, *point, channel=channel).q) for alpha in around]
        assert counts[1] == counts[0] + 2


def test_lost_signs_of_a_few_long_columns_are_learnt_in_steps():
    # Three stable fixed points at once: four turns of the curve.
    thresholds = bayes.thresholds(0.0038288315360812722, 0.10183571522973496, Abs(0.00107))
    assert len(thresholds.spinodals) == 4
    at = thresholds.spinodals[1] * (1 + 1e-4), 0.0038288315360812722, 0.10183571522973496
    found = bayes.fixed_points(*at, channel=Abs(0.00107))
    assert found.stable.tolist() == [True, False, True, False, True]
    best = found.q[found.free_entropy.argmax()]
    assert bayes.mmse(*at, channel=Abs(0.00107)) == pytest.approx(1 - best, rel=1e-9)
    assert bayes.algorithmic_mmse(*at, channel=Abs(0.00107)) == 1.0


@pytest.mark.parametrize("point", [(1.0, 0.2), (3.0, 0.5), (1.0, 2.0)])
def test_rectified_labels_recover_at_twice_the_parameters(point):
    threshold = 2 * limits.strong_recovery(*point)
    assert bayes.thresholds(*point, ReLU()).strong == threshold
    error = bayes.mmse(threshold * np.array([1 - 1e-2, 1 - 1e-3, 1, 1.2]), *point, channel=ReLU())
    assert error[2:].tolist() == [0, 0]
    assert 0 < error[1] < error[0] < 0.1


def test_signs_never_suffice_but_their_error_falls():
    for beta, rho in POINTS:
        assert np.isnan(bayes.thresholds(beta, rho, Sign()).strong)
        alpha = limits.strong_recovery(beta, rho) * np.array([1e3, 1e5])
        error = bayes.mmse(alpha, beta, rho, channel=Sign())
        scaled = Sign().test_error(error=error) * alpha / limits.strong_recovery(beta, rho)
        assert scaled == pytest.approx([0.4417, 0.4417], rel=2e-3)


def test_message_passing_ends_where_the_curve_says():
    for channel, alpha, q0 in (
        (Sign(0.1), 0.7, 0.0),
        (Abs(0.1), 0.66, 1e-3),
        (ReLU(), 0.6, 0.0),
        (Logistic(), 2.0, 0.0),
    ):
        point = (alpha, 1.0, 0.2)
        up = bayes.state_evolution(*point, q0=q0, iterations=400, channel=channel)
        assert (np.diff(up) >= -1e-14).all()
        assert 1 - up[-1] == pytest.approx(bayes.algorithmic_mmse(*point, channel=channel), abs=1e-6)
    down = bayes.state_evolution(0.68, 1.0, 0.2, q0=1.0, iterations=400, channel=Abs(0.1))
    found = bayes.fixed_points(0.68, 1.0, 0.2, channel=Abs(0.1))
    assert down[-1] == pytest.approx(found.q[-1], abs=1e-8)
    assert not bayes.state_evolution(0.8, 1.0, 0.2, channel=Abs(0.1)).any()  # q = 0 is a fixed point
    assert bayes.state_evolution(0.8, 1.0, 0.2, q0=1.0, channel=Abs())[-1] == 1.0


def test_sample_complexity_inverts_the_error():
    for channel in (Sign(), Sign(0.1), ReLU(0.3), Logistic(), Abs(0.1)):
        for error in (0.9, 0.3, 1e-3) if channel != Abs(0.1) else (0.3, 1e-3):
            alpha = bayes.sample_complexity(error, 2.0, 0.5, channel=channel)
            assert bayes.mmse(alpha, 2.0, 0.5, channel=channel) == pytest.approx(error, rel=1e-9)


def test_exact_recovery_among_the_fixed_points():
    signs = bayes.fixed_points(0.7, 1.0, 0.2, channel=Sign())
    assert signs.q[0] == pytest.approx(1 - bayes.mmse(0.7, 1.0, 0.2, channel=Sign()), rel=1e-12)
    assert (signs.q[1], signs.free_entropy[1]) == (1.0, -np.inf)  # it would take infinitely many
    assert signs.stable.tolist() == [True, False]
    lost = bayes.fixed_points(0.55, 1.0, 0.2, channel=Abs())
    assert lost.stable.tolist() == [False, True, False, True]
    assert (lost.q[0], lost.q[-1], lost.free_entropy[-1]) == (0.0, 1.0, np.inf)


def test_arguments_broadcast_and_sides_exchange():
    alpha, rho = np.array([0.3, 0.9]), np.array([[0.2], [0.5], [0.2]])
    error = bayes.mmse(alpha, 2.0, rho, channel=Abs(0.1))
    assert error.shape == (3, 2)
    assert error[1, 1] == pytest.approx(bayes.mmse(0.9, 0.5, 0.5, channel=Abs(0.1)), rel=1e-12)
    np.testing.assert_array_equal(error[0], error[2])
    assert isinstance(bayes.mmse(0.9, 0.5, 0.5, channel=Sign()), float)


def test_a_curve_is_what_its_points_are():
    for channel in (Sign(0.01), Abs(0.1), ReLU()):
        alone = [bayes.mmse(a, 1.3, 0.3, channel=channel) for a in ALPHA[::4]]
        np.testing.assert_allclose(bayes.mmse(ALPHA, 1.3, 0.3, channel=channel)[::4], alone, rtol=1e-11, atol=1e-13)


def test_weak_recovery_of_a_likelihood_without_a_first_hermite_coefficient():
    h = np.linspace(-9, 9, 4001)
    law = np.exp(-h * h / 2) / np.sqrt(2 * np.pi) * (h[1] - h[0])
    P = [np.exp(channel_oracle.outside(y, h)) for y in (-1, 1)]
    expected = 1 / sum(((law * (h**2 - 1)) @ p) ** 2 / (law @ p) for p in P)
    assert bayes.thresholds(1.0, 0.2, Custom(channel_oracle.outside, [-1, 1])).weak == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bayes.mmse(0.5, channel="Sign"), "channel must be None or one of bsr.channels"),
        (lambda: bayes.thresholds(1.0, 0.2, 0.1), "channel must be None or one of bsr.channels"),
        (lambda: bayes.thresholds(-1.0, 0.2, Sign()), "beta must be positive"),
        (lambda: bayes.mmse(0.5, delta=[0.0, 0.1], channel=Sign()), "delta must be 0 where a channel is given"),
        (lambda: bayes.free_entropy(1.0, 0.5, channel=Abs()), "q must be in .* below 1 for Abs"),
        (lambda: bayes.algorithmic_mmse(0.0, channel=Sign()), "alpha must be positive"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_what_is_out_of_reach_is_warned_of():
    with pytest.warns(bsr.ConvergenceWarning):
        assert np.isnan(bayes.mmse(0.5, 1.0, 1e-14, channel=Sign(0.1)))
