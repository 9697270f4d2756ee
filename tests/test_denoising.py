"""Denoising: the MMSE against an independent oracle, the estimator against matrices, identities between the two."""

import itertools
import json
from pathlib import Path

import numpy as np
import oracle
import pytest
from numpy.polynomial import Polynomial

import bsr
from bsr import denoising, spectrum

TABLE = json.loads((Path(__file__).parent / "data" / "mmse_oracle.json").read_text())["denoising_mmse"]
POINTS = [(1.0, 0.2, 0.3), (2.0, 0.5, 0.05), (0.5, 1.5, 2.0), (10.0, 0.05, 0.7)]


def test_mmse_against_40_digit_arithmetic():
    noise, beta, rho, expected = (
        np.array([float(row[key]) for row in TABLE]) for key in ("noise", "beta", "rho", "mmse")
    )
    assert len(TABLE) >= 60
    found = denoising.mmse(noise, beta, rho)
    assert abs(found - expected).max() <= 1e-13  # 6e-14 measured, for both
    assert abs(found / expected - 1).max() <= 1e-13


# The last one: large noise, close to where a few directions are lost in it, amplifies the quadrature's error.
@pytest.mark.slow
@pytest.mark.parametrize(("noise", "beta", "rho"), [(0.0317, 1.0, 0.37), (2.3e-5, 3.7, 1.0), (858.8108632, 3.0, 0.002)])
def test_mmse_against_the_oracle_run_now(noise, beta, rho):
    assert denoising.mmse(noise, beta, rho) == pytest.approx(float(oracle.mmse(noise, beta, rho)), rel=5e-15)


def test_a_tolerance_that_is_out_of_reach_is_warned_of():
    for noise in (0.5, [0.5, 1.0]):
        with pytest.warns(bsr.ConvergenceWarning, match="the MMSE's quadrature did not reach 1e-30"):
            denoising.mmse(noise, 2.0, 0.3, tol=1e-30)


def test_mmse_is_concave_increasing_and_below_linear_denoising():
    noise = np.linspace(1e-3, 4, 300)
    for _, beta, rho in ((None, *p[:2]) for p in POINTS):
        values = denoising.mmse(noise, beta, rho)
        assert (np.diff(values) > 0).all()
        assert (np.diff(values, 2) < 1e-12).all()
        assert (values <= noise / (1 + noise)).all()


def test_mmse_has_the_right_ends():
    assert denoising.mmse(0.0) == 0.0
    for beta, rho in [(1.0, 0.2), (2.0, 0.3), (0.01, 2.0)]:
        noise = np.concatenate([np.logspace(4, 13, 1000), np.logspace(14, 300, 200)])
        linear = noise / (1.0 + noise)
        low_rank = max(beta, 1 / beta) / rho**2 / noise / noise / noise
        assert denoising.mmse(noise, beta, rho) == pytest.approx(
            linear - low_rank, rel=0, abs=1e-13 + 0.01 * low_rank[0]
        )
    for beta, rho in [(1.0, 0.2), (3.0, 0.5), (0.2, 0.7)]:
        for noise in (1e-9, 1e-99, 1e-101, 1e-300):
            slope = denoising.mmse(noise, beta, rho) / noise
            assert slope == pytest.approx(bsr.theory.limits.strong_recovery(beta, rho), rel=1e-4)


def test_few_directions_in_large_noise_are_seen_a_little():
    # Below the transition at rho noise = sqrt(b), where a direction leaves the noise, with t its distance.
    rho = np.array([1e-4, 1e-6, 1e-8])
    for b in (1.0, 3.0):
        for t in (0.1, 0.5):
            noise = np.sqrt(b) / rho / t
            gain = noise / (1 + noise) - denoising.mmse(noise, b, rho)
            assert gain == pytest.approx(b / rho**2 / noise**3 / (1 - t**2), rel=1e-3)


@pytest.mark.parametrize("rho", [0.156, 0.9999999, 1.0, 1.0000001, 3.0])
def test_a_nearly_square_teacher_is_like_a_square_one(rho):
    # Its spectrum nearly reaches 0. The change is of first order in beta - 1.
    noise = np.logspace(-8, 3, 12)
    square = denoising.mmse(noise, 1.0, rho)
    for excess in 10.0 ** np.arange(-16, -8):
        for beta in (1 + excess, 1 - excess):
            assert denoising.mmse(noise, beta, rho) == pytest.approx(square, rel=1e-10 + 10 * excess)


def test_mmse_of_a_full_rank_teacher_tends_to_linear_denoising():
    errors = [0.3 / 1.3 - denoising.mmse(0.3, 2.0, rho) for rho in (10, 100, 1000)]
    assert errors[0] > errors[1] > errors[2] > 0
    assert errors[2] < 1e-3


def test_arguments_broadcast_and_sides_exchange():
    noise, beta, rho = np.array([[0.1], [1.0]]), np.array([0.5, 2.0, 4.0]), 0.3
    table = denoising.mmse(noise, beta, rho)
    assert table.shape == (2, 3)
    assert table[:, 0] == pytest.approx(table[:, 1], rel=1e-12)
    assert table[1, 2] == denoising.mmse(1.0, 4.0, 0.3)


@pytest.mark.parametrize(("beta", "rho", "noise"), POINTS)
def test_bayes_optimal_map_obeys_nishimori_and_tweedie(beta, rho, noise):
    def f(x):
        return denoising.shrink(x, beta, rho, noise)

    mse, divergence = denoising.spectral_error(f, beta, rho, noise)
    expected = denoising.mmse(noise, beta, rho)
    assert mse == pytest.approx(expected, rel=1e-8)
    assert noise * divergence == pytest.approx(expected, rel=1e-8)  # the posterior variance is noise * dS_hat/dY
    law = bsr.spectrum.quadrature(beta, rho, noise)
    b = max(beta, 1 / beta)
    overlap = np.sum(law.weight * f(law.x) ** 2) / np.sqrt(b)  # E |S_hat|^2 = E <S, S_hat> = 1 - MMSE
    assert overlap == pytest.approx(1 - expected, rel=1e-8)


@pytest.mark.parametrize(("beta", "rho", "noise"), POINTS)
def test_no_other_spectral_map_does_better(beta, rho, noise):
    best = denoising.mmse(noise, beta, rho)
    maps = [
        lambda x: x / (1 + noise),
        lambda x: np.maximum(x - 0.5, 0),
        lambda x: 1.02 * denoising.shrink(x, beta, rho, noise),
        lambda x: denoising.shrink(x, beta, rho, noise) + 0.02 * np.sin(x),
    ]
    for f in maps:
        mse, _ = denoising.spectral_error(f, beta, rho, noise, kinks=[0.5])
        assert mse > best + 1e-7
    linear, divergence = denoising.spectral_error(maps[0], beta, rho, noise)
    assert linear == pytest.approx(noise / (1 + noise), rel=1e-9)
    assert divergence == pytest.approx(1 / (1 + noise), rel=1e-9)


@pytest.mark.parametrize(("L", "d", "r", "noise"), [(200, 200, 40, 0.2), (300, 150, 75, 0.5), (120, 240, 200, 1.0)])
def test_rie_on_matrices_reaches_the_mmse(L, d, r, noise):
    rng = np.random.default_rng(2)
    errors = []
    for _ in range(4):
        S = rng.standard_normal((L, r)) @ rng.standard_normal((r, d)) / np.sqrt(r)
        scale = (d * L) ** 0.25
        Y = (S + np.sqrt(noise) * rng.standard_normal((L, d))) / scale
        errors.append(bsr.mse(scale * denoising.rie(Y, r / min(d, L), noise), S))
    assert np.mean(errors) == pytest.approx(denoising.mmse(noise, L / d, r / min(d, L)), rel=0.02)


def test_rie_commutes_with_transposition_and_rotations():
    rng = np.random.default_rng(3)
    Y = rng.standard_normal((30, 20))
    rotation, _ = np.linalg.qr(rng.standard_normal((30, 30)))
    assert denoising.rie(Y.T, 0.4, 0.3).T == pytest.approx(denoising.rie(Y, 0.4, 0.3), abs=1e-10)
    assert denoising.rie(rotation @ Y, 0.4, 0.3) == pytest.approx(rotation @ denoising.rie(Y, 0.4, 0.3), abs=1e-10)
    assert denoising.rie(Y, 0.4, 0.0) == pytest.approx(Y)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: denoising.mmse(-0.1), "noise must be zero or positive"),
        (lambda: denoising.mmse(0.1, beta=np.inf), "beta must be positive"),
        (lambda: denoising.mmse(0.1, rho=[0.2, 0.0]), "rho must be positive"),
        (lambda: denoising.rie(np.ones(3), 0.1, 0.1), "Y must be a finite matrix"),
        (lambda: denoising.rie(np.full((3, 3), np.nan), 0.1, 0.1), "Y must be a finite matrix"),
        (lambda: denoising.shrink(0.0), "x must be positive"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_divergence_refuses_what_is_no_matrix():
    with pytest.raises(ValueError, match="x must be positive"):
        denoising.spectral_divergence([1.0, 0.0], [0.0, 0.0], [0.0, 0.0], (2, 3))
    with pytest.raises(ValueError, match=r"must have shape \(2,\), got \(2,\), \(2,\) and \(1,\)"):
        denoising.spectral_divergence([1.0, 2.0], [0.0, 1.0], [1.0], (2, 3))


# ---------------------------------------------------------------------------------------------------------------------
# The Bayes-optimal map


def laws(number):
    rng = np.random.default_rng(5)
    return 10 ** rng.uniform([-1.5, -2, -4], [1.5, 0.7, 2], size=(number, 3))


def formula(x, beta, rho, noise):
    """The map as it was derived, from the Hilbert transform."""
    b = max(beta, 1 / beta)
    return x - 2 * noise / np.sqrt(b) * (0.5 * (b - 1) / x + spectrum.hilbert(x, beta, rho, noise))


def test_the_map_is_the_formula_and_its_slope_the_derivative():
    for beta, rho, noise in laws(150):
        edges = spectrum.edges(beta, rho, noise)
        for lo, hi in itertools.pairwise(edges):  # bulks and gaps
            if hi - lo < 1e-6 * hi:
                continue
            x = lo + (hi - lo) * np.array([0.02, 0.1, 0.3, 0.5, 0.9, 0.98])
            f, slope = denoising.shrink_and_slope(x, beta, rho, noise)
            lost = np.maximum(1.0, (x - formula(x, beta, rho, noise)) / x)
            assert np.all(abs(formula(x, beta, rho, noise) - f) <= 1e-10 * x * lost)
            step = 1e-4 * (hi - lo)
            coarse, fine = (
                (denoising.shrink(x + h, beta, rho, noise) - denoising.shrink(x - h, beta, rho, noise)) / (2 * h)
                for h in (step, 0.5 * step)
            )
            assert slope == pytest.approx((4 * fine - coarse) / 3, rel=2e-6, abs=2e-6)


def test_the_map_never_enlarges_is_continuous_and_keeps_the_factor_of_the_outer_edges():
    gaps = 0
    for beta, rho, noise in laws(300):
        edges = spectrum.edges(beta, rho, noise)
        x = np.linspace(0.2 * edges[0] + 1e-9, 1.5 * edges[-1], 400)
        f = denoising.shrink(x, beta, rho, noise)
        assert np.all(f >= 0)
        assert np.all(f <= x)
        positive = edges[edges > 0]
        sides = denoising.shrink(positive * np.array([[1 - 1e-12], [1 + 1e-12]]), beta, rho, noise) / positive
        assert np.ptp(sides, axis=0).max() < 1e-5  # a square root of the distance
        top, slope = denoising.shrink_and_slope(edges[-1] * np.array([1.01, 1.4, 9.0]), beta, rho, noise)
        assert np.ptp(top / np.array([1.01, 1.4, 9.0])) <= 1e-12 * top[0]
        assert slope * edges[-1] * np.array([1.01, 1.4, 9.0]) == pytest.approx(top, rel=1e-12)
        if edges.size == 4 and edges[2] > 1.001 * edges[1]:
            gaps += 1
            inside = np.linspace(*edges[1:3], 100)
            assert np.all(np.diff(denoising.shrink(inside, beta, rho, noise) / inside) > -1e-14)
    assert gaps > 20


def test_a_point_of_the_map_does_not_depend_on_its_company():
    # Neighbours that share x and all but one number of their laws, in every combination; they hand on a root.
    x, beta, rho, noise = (a.ravel() for a in np.meshgrid([0.5, 1.2, 3.0], [1.0, 2.0], [0.2, 0.7], [0.05, 0.1, 0.5]))
    alone = np.array([denoising.shrink_and_slope(*point) for point in zip(x, beta, rho, noise, strict=True)]).T
    for order in itertools.permutations((x, beta, rho, noise)):
        i = np.lexsort(order)
        together = denoising.shrink_and_slope(x[i], beta[i], rho[i], noise[i])
        np.testing.assert_allclose(together, alone[:, i], rtol=1e-9)


def test_the_factor_on_the_curve():
    # f(x)/x = 1 / (1 + noise |1 - 1/kappa|^2) where y(kappa) is real; kappa by the roots of the quartic.
    for beta, rho, noise in laws(60):
        b = max(beta, 1 / beta)
        lo, hi = spectrum.edges(beta, rho, noise)[-2:]
        x = 0.4 * lo + 0.6 * hi
        one = Polynomial([-rho * noise, rho + rho * noise - 1, 1])  # (1 + p) kappa (kappa - 1)
        other = Polynomial([-rho * noise, rho + rho * noise - b, b])
        k = Polynomial([0, 1])
        roots = (one * other - rho * np.sqrt(b) * x**2 * k * (k - 1) ** 2).roots()
        kappa = roots[np.argmax(roots.imag)]
        factor = 1 / (1 + noise * abs(1 - 1 / kappa) ** 2)
        assert denoising.shrink(x, beta, rho, noise) == pytest.approx(x * factor, rel=1e-5)


# ---------------------------------------------------------------------------------------------------------------------
# Soft thresholding


@pytest.mark.parametrize("shape", [(7, 4), (4, 7), (5, 5)])
def test_soft_threshold_solves_the_problem_of_the_nuclear_norm(shape):
    Y = np.random.default_rng(2).standard_normal(shape)
    values = np.linalg.svd(Y, compute_uv=False)
    for theta in (0.0, 0.5 * values[1], values[1], 1.1 * values[0]):
        S, sigma = denoising.soft_threshold(Y, theta)
        assert sigma[::-1] == pytest.approx(values)
        # Y - S is theta times a subgradient of the nuclear norm at S.
        assert np.linalg.norm(Y - S, 2) <= theta * (1 + 1e-12) + 1e-12
        assert np.vdot(Y - S, S) == pytest.approx(theta * np.linalg.norm(S, "nuc"), abs=1e-12)


def test_error_of_soft_thresholding_is_that_of_any_map():
    for beta, rho, noise in laws(40):
        edges = spectrum.edges(beta, rho, noise)
        thetas = edges[-1] * np.array([0.0, 0.05, 0.4, 0.8, 0.97, 1.0, 2.0])
        errors, divergences = denoising.soft_threshold_error(thetas, beta, rho, noise)
        for theta, error, divergence in zip(thetas, errors, divergences, strict=True):
            general = denoising.spectral_error(
                lambda x, theta=theta: np.maximum(x - theta, 0.0), beta, rho, noise, kinks=[theta]
            )
            assert (error, divergence) == pytest.approx(general, abs=1e-9 * max(1.0, noise))
    assert errors[-1] == 1.0
    assert divergences[-1] == 0.0


def test_soft_thresholding_of_a_matrix_errs_as_in_the_limit():
    rng = np.random.default_rng(4)
    L, d, r, noise, theta = 300, 150, 45, 0.4, 1.2
    S = rng.standard_normal((L, r)) @ rng.standard_normal((r, d)) / np.sqrt(r)
    unit = (L * d) ** 0.25
    Y = (S + np.sqrt(noise) * rng.standard_normal((L, d))) / unit
    S_hat, sigma = denoising.soft_threshold(Y, theta)
    error, divergence = denoising.soft_threshold_error(theta, L / d, r / d, noise)
    assert np.mean((unit * S_hat - S) ** 2) == pytest.approx(error, rel=0.03)
    above = 1.0 * (sigma > theta)
    found = denoising.spectral_divergence(sigma, above * (sigma - theta), above, Y.shape)
    assert found == pytest.approx(divergence, rel=0.02)
