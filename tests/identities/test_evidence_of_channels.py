"""Free entropy, curve and evidence of labels of any channel: what ties them together, and the limit of vectors."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq, minimize_scalar

from bsr import denoising
from bsr.channels import Abs, Linear, Logistic, Poisson, ReLU, Sign
from bsr.theory import bayes

CASES = [
    (Sign(), 0.7, 1.0, 0.2),
    (Sign(0.1), 1.3, 0.4, 0.5),
    (ReLU(), 0.5, 2.0, 0.3),
    (ReLU(0.3), 0.8, 1.0, 3.0),
    (Abs(0.1), 0.75, 1.0, 0.2),
    (Abs(0.02), 1.2, 3.0, 0.6),
    (Logistic(), 3.0, 1.0, 0.2),
    (Poisson(1.0, 0.5), 2.0, 1.5, 0.4),
]
STENCIL, WEIGHTS = np.array([-2, -1, 1, 2]), np.array([1, -8, 8, -1]) / 12


@pytest.mark.parametrize(("channel", "alpha", "beta", "rho"), CASES, ids=repr)
class TestEvidence:
    def test_the_free_entropy_is_largest_at_the_optimal_overlap(self, channel, alpha, beta, rho):
        q = 1 - bayes.mmse(alpha, beta, rho, channel=channel)
        h = 1e-3 * (1 - q)
        slope = WEIGHTS @ bayes.free_entropy(q + h * STENCIL, alpha, beta, rho, channel=channel) / h
        assert abs(slope) * (1 - q) < 1e-8
        others = bayes.free_entropy(np.linspace(0.001, 0.999, 400), alpha, beta, rho, channel=channel)
        assert (others <= bayes.free_entropy(q, alpha, beta, rho, channel=channel)).all()

    def test_one_more_label_multiplies_the_evidence_by_its_predictive_density(self, channel, alpha, beta, rho):
        def highest(alpha):
            q = 1 - bayes.mmse(alpha, beta, rho, channel=channel)
            return bayes.free_entropy(q, alpha, beta, rho, channel=channel)

        h = 1e-3 * alpha
        slope = WEIGHTS @ highest(alpha + h * STENCIL) / h
        error = bayes.mmse(alpha, beta, rho, channel=channel)
        assert slope == pytest.approx(channel.log_evidence(error=error), abs=1e-8)

    def test_the_slope_of_the_free_entropy_is_the_distance_from_the_curve(self, channel, alpha, beta, rho):
        # dPhi/dq = (MMSE(noise) - (1 - q)) alpha I'(q) / 2 by the I-MMSE relation, dPsi/dq = I/2
        q, h = np.array([0.1, 0.5, 0.9]), 1e-4
        found = [WEIGHTS @ bayes.free_entropy(x + h * STENCIL, alpha, beta, rho, channel=channel) / h for x in q]
        rate = np.array([WEIGHTS @ channel.information(x + h * STENCIL) / h for x in q])
        error = denoising.mmse(1 / (alpha * channel.information(q)), beta, rho)
        np.testing.assert_allclose(found, 0.5 * alpha * rate * (1 - q - error), rtol=1e-7, atol=1e-9)


def test_labels_that_lose_more_leave_a_larger_error():
    alpha = np.linspace(0.1, 2, 20)
    errors = [bayes.mmse(alpha, 1.0, 0.2, channel=channel(0.1)) for channel in (Linear, ReLU, Sign)]
    assert (np.diff(errors, axis=0) > 0).all()
    assert (bayes.mmse(alpha, 1.0, 0.2, channel=Abs(0.1)) > errors[0]).all()


@pytest.mark.slow
def test_the_optimum_jumps_where_the_evidence_on_both_sides_is_equal():
    # Equal areas: along each branch the evidence adds up label by label, from the turn at which both branches meet.
    channel, point = Abs(0.1), (1.0, 0.2)
    thresholds = bayes.thresholds(*point, channel)
    start, end = thresholds.spinodals

    def overlap(alpha, branch):  # 0 the low one, 1 the unstable one between, 2 the high one
        q = bayes.fixed_points(alpha, *point, channel=channel).q
        return q[len(q) - 3 + branch]

    def area(branch, low, high):
        def evidence(t):  # square-root singular at turns
            alpha = 0.5 * (low + high) - 0.5 * (high - low) * np.cos(np.pi * t)
            return channel.log_evidence(overlap(alpha, branch)) * 0.5 * np.pi * (high - low) * np.sin(np.pi * t)

        return quad(evidence, 0.0, 1.0, epsabs=1e-9, limit=30)[0]

    at, inside = thresholds.information, 1e-9
    around = area(2, start + inside, at) - area(1, start + inside, end - inside) + area(0, at, end - inside)
    assert around == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize("channel", [Sign(0.1), ReLU(), Abs(0.3), Logistic(), Poisson(1.0, 0.5)], ids=repr)
def test_at_infinite_rank_a_teacher_is_a_vector(channel):
    alpha = np.array([1.1, 1.7])
    for a in alpha:  # Gaussian entries: the error is 1 / (1 + precision)
        error = brentq(lambda e: e * (1 + a * channel.information(error=e)) - 1, 1e-12, 0.99, xtol=1e-14)  # noqa: B023
        assert bayes.mmse(a, 1.0, 1e7, channel=channel) == pytest.approx(error, rel=1e-6)


def test_the_threshold_of_phase_retrieval_of_vectors():
    found = minimize_scalar(
        lambda q: -q / ((1 - q) * Abs().information(q)), bounds=(0.01, 0.99), method="bounded", options={"xatol": 1e-9}
    )
    assert bayes.thresholds(1.0, 1e6, Abs()).algorithmic == pytest.approx(-found.fun, rel=1e-8)
    assert -found.fun == pytest.approx(1.128, abs=5e-4)  # the literature's value
