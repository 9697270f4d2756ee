"""Bayes-optimal learning: the error against an oracle, its own fixed point, limits, monotonicity."""

import json
from pathlib import Path

import numpy as np
import oracle
import pytest

import bsr
from bsr.theory import bayes, limits, ridge

TABLE = json.loads((Path(__file__).parent / "data" / "mmse_oracle.json").read_text())["bayes_mmse"]


def test_mmse_against_40_digit_arithmetic():
    keys = ("alpha", "beta", "rho", "delta", "mmse")
    *point, expected = (np.array([float(row[key]) for row in TABLE]) for key in keys)
    assert len(TABLE) >= 60
    found = bayes.mmse(*point)
    assert abs(found - expected).max() <= 5e-15  # 2.7e-15 measured
    # Next to strong recovery, where the error vanishes, alpha's rounding is amplified: 1e-9 measured, 1e-12 elsewhere.
    assert abs(found / expected - 1).max() <= 3e-9
    well = expected > 1e-4
    assert abs(found / expected - 1)[well].max() <= 3e-12


@pytest.mark.slow
def test_mmse_against_the_oracle_run_now():
    assert bayes.mmse(0.31, 1.7, 0.4, 0.02) == pytest.approx(
        float(oracle.bayes(0.31, 1.7, 0.4, 0.02, digits=16)[0]), rel=1e-14
    )


@pytest.mark.parametrize(
    ("beta", "rho", "delta"), [(1.0, 0.2, 0.0), (2.0, 0.5, 0.1), (0.1, 1.0, 1.0), (1.0, 5.0, 1e-3)]
)
def test_mmse_solves_the_state_evolution_fixed_point(beta, rho, delta):
    alpha = np.linspace(0.01, 2.5, 60)
    error = bayes.mmse(alpha, beta, rho, delta)
    assert bsr.denoising.mmse((delta + error) / alpha, beta, rho) == pytest.approx(error, rel=1e-8, abs=1e-12)
    assert (np.diff(error) <= 0).all()
    assert (error <= ridge.mse(alpha, delta=delta) + 1e-12).all()


@pytest.mark.parametrize(("beta", "rho"), [(1.0, 0.2), (3.0, 0.5), (0.2, 0.9), (2.0, 1.0), (1.0, 4.0)])
def test_noiseless_error_vanishes_at_strong_recovery_and_not_before(beta, rho):
    threshold = limits.strong_recovery(beta, rho)
    assert bayes.mmse(threshold, beta, rho) == 0.0
    assert bayes.mmse(1.5 * threshold, beta, rho) == 0.0
    below = bayes.mmse(threshold * (1 - np.array([1e-1, 1e-2, 1e-3])), beta, rho)
    assert (below > 0).all()
    assert (np.diff(below) < 0).all()
    assert below[-1] < 5e-3


@pytest.mark.parametrize(("beta", "rho"), [(0.9999999999496503, 0.006910345484254509), (1.0, 0.2), (5.0, 0.6)])
def test_the_error_falls_up_to_the_last_bit_before_strong_recovery(beta, rho):
    error = bayes.mmse(limits.strong_recovery(beta, rho) * (1 - 10.0 ** -np.arange(1, 17)), beta, rho)
    assert (error >= 0).all()
    assert (np.diff(error) <= 1e-30).all()
    assert error[5] == pytest.approx(10 * error[6], rel=1e-5)  # it vanishes linearly


def test_recovery_is_exact_from_the_very_number_that_limits_gives():
    rng = np.random.default_rng(3)
    beta, rho = 10 ** rng.uniform(-3, 3, 300), 10 ** rng.uniform(-2.7, 0.3, 300)
    assert not bayes.mmse(limits.strong_recovery(beta, rho), beta, rho).any()


def test_more_noise_more_rank_and_swapped_sides():
    assert bayes.mmse(0.3, 1.0, 0.2, 0.1) > bayes.mmse(0.3, 1.0, 0.2, 0.05)
    assert bayes.mmse(0.3, 1.0, 0.4, 0.1) > bayes.mmse(0.3, 1.0, 0.2, 0.1)
    assert bayes.mmse(0.3, 4.0, 0.2, 0.1) == pytest.approx(bayes.mmse(0.3, 0.25, 0.2, 0.1), rel=1e-12)


def test_curve_does_not_depend_on_the_order_or_company_of_its_points():
    alpha = np.linspace(0.02, 0.5, 40)
    curve = bayes.mmse(alpha, 1.0, 0.2, 0.01)
    assert bayes.mmse(alpha[::-1], 1.0, 0.2, 0.01)[::-1] == pytest.approx(curve, rel=1e-9)
    assert [bayes.mmse(a, 1.0, 0.2, 0.01) for a in alpha] == pytest.approx(curve, rel=1e-9)
    assert bayes.mmse(alpha[:, None], [1.0, 2.0], 0.2, 0.01)[:, 0] == pytest.approx(curve, rel=1e-9)


def test_sample_complexity_inverts_the_error():
    error = np.array([1e-6, 1e-3, 0.1, 0.5, 0.9, 0.999])
    for beta, rho, delta in [(1.0, 0.2, 0.0), (2.0, 0.5, 0.1), (5.0, 2.0, 1.0)]:
        alpha = bayes.sample_complexity(error, beta, rho, delta)
        assert bayes.mmse(alpha, beta, rho, delta) == pytest.approx(error, rel=1e-8)


def test_state_evolution_climbs_to_the_fixed_point_from_below_and_falls_from_above():
    point = (0.5, 2.0, 0.5, 0.1)
    q_star = 1 - bayes.mmse(*point)
    up = bayes.state_evolution(*point, q0=0.0, iterations=200)
    down = bayes.state_evolution(*point, q0=1.0, iterations=200)
    assert up.shape == (201,)
    assert up[0] == 0.0
    assert (np.diff(up) >= -1e-14).all()
    assert (np.diff(down) <= 1e-14).all()
    assert up[-1] == pytest.approx(q_star, abs=1e-8)
    assert down[-1] == pytest.approx(q_star, abs=1e-8)


def test_state_evolution_recovers_exactly_without_noise():
    assert 1 - bayes.state_evolution(0.6, 1.0, 0.2, 0.0, iterations=300)[-1] < 1e-12
    assert bayes.state_evolution(0.3, 1.0, 0.2, 0.0, q0=1.0, iterations=1)[-1] == 1.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bayes.mmse(0.0), "alpha must be positive"),
        (lambda: bayes.mmse([0.1, -1.0]), "alpha must be positive"),
        (lambda: bayes.mmse(0.1, delta=-0.1), "delta must be zero or positive"),
        (lambda: bayes.mmse(0.1, beta="one"), "beta must be a real number"),
        (lambda: bayes.sample_complexity(1.0), "error must be strictly between 0 and 1"),
        (lambda: bayes.sample_complexity(0.0), "error must be strictly between 0 and 1"),
        (lambda: bayes.state_evolution([0.1, 0.2]), "single numbers"),
        (lambda: bayes.state_evolution(0.1, q0=1.5), "q0 must be in"),
        (lambda: bayes.state_evolution(0.1, iterations=-1), "iterations must be an integer"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_what_is_out_of_reach_is_warned_of():
    with pytest.warns(bsr.ConvergenceWarning, match="the Bayes-optimal error did not converge"):
        assert np.isnan(bayes.mmse(0.5, 1.0, 1e-14, 0.1))
    with pytest.warns(bsr.ConvergenceWarning, match="the free entropy did not converge"):
        bayes.free_entropy(0.5, 0.5, 1.0, 1e-14, 0.1)


def test_a_curve_is_what_its_points_are():
    # Each point of a curve starts from the last: a good guess must not be taken for the answer.
    rng = np.random.default_rng(11)
    for beta, rho, delta in 10 ** rng.uniform([-1.5, -2, -4], [1.5, 1, 0.5], size=(25, 3)):
        alpha = np.sort(10 ** rng.uniform(-2, 0.5, 40)) * (1 + 1e-9 * rng.standard_normal(40))
        alpha = np.sort(np.concatenate([alpha, alpha[::4] * (1 + 1e-7)]))
        alone = [bayes.mmse(a, beta, rho, delta) for a in alpha]
        assert bayes.mmse(alpha, beta, rho, delta) == pytest.approx(np.array(alone), rel=1e-11)
