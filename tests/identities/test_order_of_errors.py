"""The order that the errors of all estimators have, whatever the problem: drawn from the whole range of the theory."""

import numpy as np
import pytest

from bsr.theory import bayes, limits, nuclear_norm, ridge

RNG = np.random.default_rng(0)
COUNT = 60
ALPHA = 10 ** RNG.uniform(-3, 0.5, COUNT)
BETA = 10 ** RNG.uniform(-3, 3, COUNT)
RHO = np.where(np.arange(COUNT) % 5 == 0, 1.0, 10 ** RNG.uniform(-2.7, 1.6, COUNT))
DELTA = np.where(np.arange(COUNT) % 3 == 0, 0.0, 10 ** RNG.uniform(-6, 1, COUNT))
PROBLEMS = ALPHA, BETA, RHO, DELTA


def assert_at_most(smaller, larger):
    assert np.all(smaller <= larger * (1 + 1e-9) + 1e-11)


def test_nothing_beats_the_bayes_optimal_error():
    best = bayes.mmse(*PROBLEMS)
    assert_at_most(0.0, best)
    for other in (
        ridge.mse(ALPHA, delta=DELTA),
        nuclear_norm.mse(*PROBLEMS, lam=0.0),
        nuclear_norm.mse(*PROBLEMS, lam=None),
    ):
        assert_at_most(best, other)


def test_no_penalty_beats_the_best_one():
    best, lam = nuclear_norm.mse(*PROBLEMS, lam=None), nuclear_norm.optimal_lam(*PROBLEMS)
    np.testing.assert_allclose(nuclear_norm.mse(*PROBLEMS, lam=lam)[lam > 0], best[lam > 0], rtol=1e-7, atol=1e-9)
    assert_at_most(best, 1.0)  # a large penalty gives the estimate 0
    for factor in (0.0, 0.5, 0.9, 1.1, 2.0, 10.0):
        assert_at_most(best, nuclear_norm.mse(*PROBLEMS, lam=factor * lam))
    for factor in (0.0, 0.5, 2.0, 10.0):
        assert_at_most(ridge.mse(ALPHA, delta=DELTA), ridge.mse(ALPHA, delta=DELTA, lam=factor * DELTA))


def test_more_penalty_next_to_recovery_means_more_error():
    # The threshold is at 1 - 5e-12. Without noise and that close to it, no penalty is the best one.
    point = 1 - 1.2e-6, 1.0, 0.99981, 0.0
    limit = nuclear_norm.mse(*point, lam=0.0)
    error = nuclear_norm.mse(*point, lam=10.0 ** np.arange(-16, 1))  # less is lost in rounding
    assert np.all(np.diff(error) > 0)
    np.testing.assert_allclose(error[0], limit, rtol=1e-6)


@pytest.mark.parametrize("rho", [1e-3, 0.3, 1 - 1e-6, 1 - 1e-13, 1.0])
def test_no_method_recovers_before_there_are_as_many_labels_as_parameters(rho):
    for beta in 10.0 ** np.arange(-3, 4):
        threshold = nuclear_norm.recovery_threshold(beta, rho)
        assert_at_most(limits.strong_recovery(beta, rho), threshold)
        assert_at_most(threshold, 1.0)
