"""Perturb and maximise: exact where the model is linear, stationary where it is not."""

import numpy as np
import pytest

import bsr
from bsr.estimators import gradient_descent, randomised_map


@pytest.mark.slow
def test_end_points_are_stationary():
    """At rest, the gradient of the loss and the pull to the anchor cancel: for any replica, of any perturbation."""
    data = bsr.Problem(alpha=0.8, rho=0.4, delta=0.3).sample(5, rng=1, dtype=np.float64)
    n, L, d = data.X.shape
    rng = np.random.default_rng(2)
    U, V = rng.standard_normal((3, L, 2)), rng.standard_normal((3, d, 2))
    labels = data.y + rng.standard_normal((3, n))
    result = gradient_descent(
        data.X, labels, 2, init=(U, V), anchor="init", weight_decay=0.15, lr=0.05, steps=30_000, tol=0.0, switch=np.inf
    )
    residuals = np.einsum("nld,kld->kn", data.X, result.S) / np.sqrt(d * L) - labels
    G = np.einsum("kn,nld->kld", residuals, data.X) / (2 * np.sqrt(d * L))
    np.testing.assert_allclose(G @ result.V / np.sqrt(2), -0.15 * (result.U - U), atol=1e-9)
    np.testing.assert_allclose(np.swapaxes(G, 1, 2) @ result.U / np.sqrt(2), -0.15 * (result.V - V), atol=1e-9)


def test_where_noise_is_strong_the_end_points_are_draws_of_the_prior():
    """Labels of no worth leave the anchors: overlaps of size 1/sqrt(dL), norms as the prior's."""
    data = bsr.Problem(alpha=0.3, rho=0.2, delta=1e4).sample(20, rng=3)
    result = randomised_map(data.X, data.y, 4, 1e4, replicas=12, lr=1e-4, steps=2000)
    metrics = result.metrics(data.S)
    assert result.converged
    assert abs(metrics["norm"] - 1.0) < 0.15
    assert abs(metrics["overlap_replicas"]) < 0.05


@pytest.mark.slow
def test_with_many_samples_and_little_noise_the_mean_is_close_to_that_of_the_posterior():
    data = bsr.Problem(alpha=1.5, rho=0.2, delta=0.01).sample(15, rng=4)
    result = randomised_map(data.X, data.y, 3, 0.01, replicas=24, lr=0.1)
    exact = bsr.estimators.posterior(data.X, data.y, 3, 0.01, sweeps=2000)
    ours, theirs = (bsr.mse(S, data.S) for S in (result.S_mean, exact.S))
    assert ours < 1.25 * theirs
    # Scatter of the end points about their mean: that of the posterior, which errs like it.
    assert abs(np.mean((result.S - result.S_mean) ** 2) / theirs - 1.0) < 0.4


@pytest.mark.parametrize("options", [{"steps": 20}, {"steps": 200, "lr": 1e-5}])
def test_it_says_that_it_has_not_come_to_rest(options):
    """Neither few steps nor short ones, in which little changes, are rest."""
    data = bsr.Problem(alpha=0.5, rho=0.4, delta=0.1).sample(5, rng=5)
    with pytest.warns(bsr.ConvergenceWarning, match="come to rest"):
        result = randomised_map(data.X, data.y, 2, 0.1, **options)
    assert not result.converged


def test_units_of_the_tokens_do_not_matter():
    data = bsr.Problem(alpha=0.8, rho=0.2, delta=0.1).sample(10, rng=7, dtype=np.float64)
    plain, small = (randomised_map(c * data.X, c * data.y, 2, 0.1 * c**2, replicas=3, lr=0.05) for c in (1.0, 1e-6))
    assert plain.converged
    assert small.converged
    np.testing.assert_allclose(small.S, plain.S, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_the_definition():
    """One step from the draws, written out: they and the noise are those of the generator, in this order."""
    data = bsr.Problem(alpha=0.8, rho=0.4, delta=0.3).sample(5, rng=8, dtype=np.float64)
    n, L, d = data.X.shape
    rng = np.random.default_rng(9)
    U, V, xi = rng.standard_normal((3, L, 2)), rng.standard_normal((3, d, 2)), rng.standard_normal((3, n))
    labels = data.y + np.sqrt(0.3) * xi
    expected = gradient_descent(
        data.X, labels, 2, init=(U, V), anchor="init", weight_decay=0.15, lr=0.05, steps=30_000, tol=0.0, switch=np.inf
    )
    power = np.sqrt(np.mean(data.X**2))
    result = randomised_map(
        data.X, data.y, 2, 0.3, replicas=3, lr=0.05 * power**2, tol=1e-4, rng=np.random.default_rng(9)
    )
    np.testing.assert_allclose(result.S, expected.S, rtol=5e-3, atol=5e-3)


@pytest.mark.parametrize("options", [{"delta": 0.0}, {"delta": 0.1, "tol": 0.0}, {"delta": 0.1, "replicas": 0}])
def test_bad_input_is_refused(options):
    data = bsr.Problem(alpha=0.5, rho=0.4, delta=0.1).sample(5, rng=6)
    with pytest.raises(ValueError, match="must be"):
        randomised_map(data.X, data.y, 2, **options)
