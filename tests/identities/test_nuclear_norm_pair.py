"""Nuclear-norm learning: the predicted error against the solver, and what the certificate knows."""

import numba
import numpy as np
import pytest

import bsr
from bsr.denoising import spectral_error
from bsr.theory import nuclear_norm


@pytest.fixture(autouse=True)
def one_thread():
    """Many small problems: threads would only wait for one another."""
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(threads)


def solve(problem, d, seed, lam):
    """A data set, the solver's result, and the error corrected for the teacher's length, which is 1 on average."""
    data = problem.sample(d, rng=seed, dtype=np.float64)
    result = bsr.estimators.nuclear_norm(data.X, data.y, lam, tol=1e-5)
    p = data.problem
    theory = nuclear_norm.mse(p.alpha, p.beta, p.rho, p.delta, lam=lam)
    return data, result, bsr.mse(result.S, data.S) - theory * (np.mean(data.S**2) - 1), theory


@pytest.mark.slow
@pytest.mark.parametrize(
    ("alpha", "beta", "rho", "delta", "lam"),
    [
        (0.3, 1.0, 0.2, 0.0, 0.0),
        (0.3, 2.0, 0.5, 0.0, 0.0),
        (0.4, 1.0, 0.2, 0.1, 0.6),
        (0.3, 0.5, 0.5, 0.3, 0.8),
        (0.4, 3.0, 0.5, 0.1, 0.6),  # a factor b^(1/4) in lam would be 8 standard errors
    ],
)
def test_error_at_two_sizes(alpha, beta, rho, delta, lam):
    problem = bsr.Problem(alpha, beta, rho, delta)
    spread = {}
    for d, seeds in ((20, 16), (40, 8)):
        runs = [solve(problem, d, seed, lam)[2:] for seed in range(seeds)]
        errors, theory = np.array(runs).T
        spread[d] = np.std(errors, ddof=1)
        assert abs(errors.mean() - theory[0]) < 4 * spread[d] / np.sqrt(seeds)
    assert spread[40] < spread[20]  # about half of it
    assert spread[40] < 0.15 * theory[0]


def test_recovery_on_either_side_of_the_threshold():
    threshold = nuclear_norm.recovery_threshold(1.0, 0.2)
    for factor, recovered in ((0.85, False), (1.15, True)):
        data, result, *_ = solve(bsr.Problem(factor * threshold, 1.0, 0.2), 40, 0, 0.0)
        assert (bsr.mse(result.S, data.S) < 1e-6) == recovered


@pytest.mark.parametrize(("lam", "delta"), [(0.0, 0.0), (0.15, 0.1)])
def test_certificate_rebuilds_the_noisy_teacher(lam, delta):
    # R = S_hat + theta (dL)^(1/4) sum dual X / sqrt(dL) is the teacher plus noise of variance (delta + mse) / alpha.
    data, result, _, theory = solve(bsr.Problem(0.35, 1.5, 0.2, delta), 40, 1, lam)
    p = data.problem
    noise = (delta + theory) / p.alpha

    def excess(theta):
        divergence = spectral_error(lambda x: np.maximum(x - theta, 0), p.beta, p.rho, noise, kinks=(theta,))[1]
        return theta * (p.alpha - divergence) - lam if lam else p.alpha - divergence

    low, high = 1e-3, 5.0
    for _ in range(50):
        theta = 0.5 * (low + high)
        low, high = (low, theta) if excess(theta) > 0 else (theta, high)
    W = bsr.sensing.adjoint(data.X, result.dual) / np.sqrt(data.S.size)
    R = result.S + theta * data.S.size**0.25 * W
    residual = R - data.S
    assert np.mean(residual**2) == pytest.approx(noise, rel=0.15)
    assert abs(np.mean(residual * data.S)) < 4 * np.sqrt(noise / data.S.size)
    assert np.mean(residual**4) / np.mean(residual**2) ** 2 == pytest.approx(3, abs=0.3)
    # It is white: its largest singular value is that of a Gaussian matrix.
    top = np.linalg.norm(residual, 2) / (np.sqrt(40) + np.sqrt(60))
    assert top == pytest.approx(np.sqrt(noise), rel=0.15)
    # The dual knows the test error: alpha theta (dL)^(1/4) dual is the residual without the fit.
    z = p.alpha * theta * data.S.size**0.25 * result.dual
    assert np.mean(z**2) == pytest.approx(delta + bsr.mse(result.S, data.S), rel=0.15)
