"""The law of the noisy teacher's singular values: mass, moments, symmetry, edges, the published quartic, matrices."""

import itertools
import math

import numpy as np
import oracle
import pytest
from scipy.integrate import quad

import bsr
from bsr import spectrum
from bsr._uniformisation import p_of_kappa, y_of_kappa

LAWS = [
    (1.0, 0.2, 0.5),
    (1.0, 0.2, 1e-8),
    (1.0, 1.0, 1e-4),
    (1.0, 40.0, 1e3),
    (2.0, 0.5, 0.01),
    (1.01, 0.5, 0.1),
    (5.0, 1.0, 0.3),
    (0.1, 0.9, 2.0),
    (1000.0, 0.002, 0.1),
    (1000.0, 0.2, 1e-3),
    (1 / 300.0, 3.0, 1e-6),
]


@pytest.mark.parametrize(("beta", "rho", "noise"), LAWS)
class TestEachLaw:
    def test_is_a_probability_with_the_variance_of_the_noisy_teacher(self, beta, rho, noise):
        law = spectrum.quadrature(beta, rho, noise)
        b = max(beta, 1 / beta)
        assert law.weight.min() >= 0
        assert law.weight.sum() == pytest.approx(1, abs=1e-10)
        # tr Y Y^T = sum of x^2 = (1 + noise) dL / sqrt(dL) over min(d, L) = dL / (sqrt(dL) sqrt(b)) values
        assert np.sum(law.weight * law.x**2) == pytest.approx((1 + noise) * np.sqrt(b), rel=1e-10)

    def test_hilbert_transform_integrates_to_nothing_against_the_density(self, beta, rho, noise):
        # int mu x H = 1/2 and int mu H^2 = (pi^2 / 3) int mu^3 hold for every density with Hilbert transform H.
        law = spectrum.quadrature(beta, rho, noise)
        assert np.sum(law.weight * law.x * law.hilbert) == pytest.approx(0.5, rel=1e-9)
        cubes = np.pi**2 / 3 * np.sum(law.weight * law.density**2)
        assert np.sum(law.weight * law.hilbert**2) == pytest.approx(cubes, rel=1e-8)

    def test_is_symmetric_under_exchange_of_the_two_sides(self, beta, rho, noise):
        x = np.linspace(0.01, 5, 7)
        assert spectrum.edges(beta, rho, noise) == pytest.approx(spectrum.edges(1 / beta, rho, noise), rel=1e-10)
        G, G_exchanged = spectrum.stieltjes(x, beta, rho, noise), spectrum.stieltjes(x, 1 / beta, rho, noise)
        assert G == pytest.approx(G_exchanged, rel=1e-8, abs=1e-8)

    def test_edges_are_those_of_the_exact_discriminant(self, beta, rho, noise):
        intervals, *_ = oracle.support(noise, beta, rho)
        expected = np.array([[float(end) for end in interval] for interval in intervals]).ravel()
        expected *= max(beta, 1 / beta) ** 0.25
        found = spectrum.edges(beta, rho, noise)
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)

    def test_density_vanishes_outside_and_only_there(self, beta, rho, noise):
        edges = spectrum.edges(beta, rho, noise).reshape(-1, 2)
        inside = (edges[:, :1] + (edges[:, 1:] - edges[:, :1]) * np.linspace(0.01, 0.99, 9)).ravel()
        assert (spectrum.density(inside, beta, rho, noise) > 0).all()
        gaps = [*((edges[1:, 0] + edges[:-1, 1]) / 2), 1.01 * edges[-1, 1], 0.99 * edges[0, 0]]
        outside = np.array([x for x in gaps if x > 0])
        assert (spectrum.density(outside, beta, rho, noise) == 0).all()

    def test_transform_is_even_and_odd(self, beta, rho, noise):
        x = np.linspace(0.1, 4, 5)
        G, G_minus = spectrum.stieltjes(x, beta, rho, noise), spectrum.stieltjes(-x, beta, rho, noise)
        assert np.array_equal(G_minus, -G.conj())

    def test_outside_the_support_G_is_the_moment_integral(self, beta, rho, noise):
        edges = spectrum.edges(beta, rho, noise)
        # A cut in each bulk calls for the finer rule: 1 / (x - t) is steep in a narrow gap.
        law = spectrum.quadrature(beta, rho, noise, breaks=edges.reshape(-1, 2).mean(axis=1))
        points = [2 * edges[-1], *([(edges[1] + edges[2]) / 2] if len(edges) == 4 else [])]
        for x in points:
            # mu is even: int mu(t) / (x - t) dt = x E 1 / (x^2 - t^2) over the positive values.
            expected = x * np.sum(law.weight / (x**2 - law.x**2))
            assert spectrum.hilbert(x, beta, rho, noise) == pytest.approx(expected, rel=1e-8)


def test_a_point_does_not_depend_on_its_company():
    # Neighbours that share x and all but one number of their laws, in every combination.
    x, beta, rho, noise = (a.ravel() for a in np.meshgrid([1.2, -0.4], [1.0, 2.0, 0.2], [0.2, 0.7, 3.0], [0.1, 0.5]))
    alone = np.array([spectrum.stieltjes(*point) for point in zip(x, beta, rho, noise, strict=True)])
    for order in itertools.permutations((x, beta, rho, noise)):
        i = np.lexsort(order)
        np.testing.assert_array_equal(spectrum.stieltjes(x[i], beta[i], rho[i], noise[i]), alone[i])


def published_quartic(u, z2, b, rho, noise):
    """The polynomial of arXiv:2410.18858 in u = G/z, whose terms are also returned in modulus."""
    phi, psi, zeta, eta = rho / b, rho, np.sqrt(b), (1 + noise) * np.sqrt(b)
    terms = [
        -(psi**3) * np.ones_like(u),
        psi * (zeta * (psi - phi) + psi * (eta * (phi - psi) + psi * z2)) * u,
        (-(zeta**2) * (phi - psi) ** 2) * u**2,
        zeta * (eta * (phi - psi) ** 2 + psi * z2 * (2 * phi - psi)) * u**2 - eta * psi**2 * phi * z2 * u**2,
        -zeta * phi * z2 * (2 * zeta * (psi - phi) - 2 * eta * (psi - phi) + psi * z2) * u**3,
        zeta * phi**2 * z2**2 * (eta - zeta) * u**4,
    ]
    return sum(terms), sum(map(abs, terms))


def test_uniformisation_satisfies_the_published_quartic():
    rng = np.random.default_rng(0)
    for _ in range(50):
        b, rho, noise = 10 ** rng.uniform((0, -2, -4), (2, 1, 2))
        kappa = rng.standard_normal(20) + 1j * rng.standard_normal(20)
        y = y_of_kappa(kappa, b, rho, noise)
        z2 = y / np.sqrt(b)
        value, size = published_quartic((1 + p_of_kappa(kappa, rho, noise)) / z2, z2, b, rho, noise)
        assert np.all(abs(value) <= 1e-11 * size)


@pytest.mark.parametrize(("beta", "rho", "noise"), [(1.0, 0.2, 0.3), (2.0, 0.5, 1.0), (0.5, 1.5, 0.1)])
def test_singular_values_of_a_matrix_follow_the_law(beta, rho, noise):
    rng = np.random.default_rng(1)
    d = 400
    L = int(beta * d)
    r = int(rho * min(d, L))
    S = rng.standard_normal((L, r)) @ rng.standard_normal((r, d)) / np.sqrt(r)
    x = np.linalg.svd(S + np.sqrt(noise) * rng.standard_normal((L, d)), compute_uv=False) / (d * L) ** 0.25
    law = spectrum.quadrature(beta, rho, noise)
    order = np.argsort(law.x)
    cumulative = np.cumsum(law.weight[order]) - law.weight[order] / 2
    expected = np.interp(np.sort(x), law.x[order], cumulative)
    empirical = (np.arange(x.size) + 0.5) / x.size
    # Eigenvalues are rigid: the distribution functions differ by O(log / N), far less than N^(-1/2).
    assert abs(expected - empirical).max() < 4 / x.size + 0.5 * law.weight.max()


@pytest.mark.parametrize(("beta", "rho"), [(1.0, 0.2), (0.5, 0.5), (10.0, 0.9)])
def test_two_bulks_merge_at_the_noise_where_the_oracle_says_so(beta, rho):
    noise = spectrum.merging_noise(beta, rho)
    assert len(oracle.support(noise * (1 - 1e-6), beta, rho)[0]) == 2
    assert len(oracle.support(noise * (1 + 1e-6), beta, rho)[0]) == 1


def test_the_merging_noise_separates_spectra_with_two_bulks_from_those_with_one():
    rng = np.random.default_rng(3)
    for beta, rho in 10 ** rng.uniform((-2, -4), (2, -0.01), (200, 2)):
        noise = spectrum.merging_noise(beta, rho)
        assert len(spectrum.edges(beta, rho, noise * (1 - 1e-8))) == 4
        assert len(spectrum.edges(beta, rho, noise * (1 + 1e-8))) == 2
    assert spectrum.merging_noise(2.0, 1.0) == 0.0


@pytest.mark.parametrize(
    "kinks", [[1.3], [1.3, 0.4, 0.9], [0.9, 0.9, 9.0, 1.3, 0.0], np.array([[1.1, 0.5], [0.7, 0.6]])]
)
@pytest.mark.parametrize(("beta", "rho", "noise"), [(1.0, 0.5, 0.3), (2.0, 0.3, 0.1)])
def test_kinks_are_integrated_exactly_in_any_order(beta, rho, noise, kinks):
    # int (x - x0)_+ against the density by an unrelated rule.
    fine = spectrum.quadrature(beta, rho, noise, breaks=kinks)
    for x0 in np.ravel(kinks):
        expected = 0.0
        for lo, hi in spectrum.edges(beta, rho, noise).reshape(-1, 2):
            start = np.arccos(np.clip((lo + hi - 2 * x0) / (hi - lo), -1, 1))  # square roots at the ends become sines

            def integrand(t, lo=lo, hi=hi, x0=x0):
                x = 0.5 * (lo + hi - (hi - lo) * math.cos(t))
                return (x - x0) * spectrum.density(x, beta, rho, noise) * (hi - lo) * math.sin(t)

            expected += quad(integrand, start, math.pi, epsabs=1e-13, limit=200)[0]
        assert fine.weight @ np.maximum(fine.x - x0, 0) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"beta": 0.0}, "beta must be positive"),
        ({"rho": -1.0}, "rho must be positive"),
        ({"noise": 0.0}, "noise must be positive"),
        ({"noise": np.nan}, "noise must be positive"),
        ({"rho": [0.1, 0.2]}, "rho must be a single number"),
    ],
)
def test_bad_input_is_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        spectrum.edges(**kwargs)


def test_out_of_reach_of_the_arithmetic_a_warning():
    with pytest.warns(bsr.ConvergenceWarning, match="edges at beta=1, rho=1e[+]300, noise=1e[+]300 were not found"):
        assert not np.isfinite(spectrum.edges(1, 1e300, 1e300)).all()
    with pytest.warns(bsr.ConvergenceWarning, match="the law at beta=1, rho=1e-14, noise=1.0 was not integrated"):
        spectrum.quadrature(1, 1e-14, 1.0)
    for breaks in ((), (1.0, 0.5)):
        with pytest.warns(bsr.ConvergenceWarning, match="was not integrated to 1e-30"):
            spectrum.quadrature(2.0, 0.3, 0.5, breaks=breaks, tol=1e-30)


def test_a_break_next_to_an_edge_is_no_trouble():
    for beta, rho, noise in [(1.0, 0.2, 0.5), (2.0, 0.3, 0.1), (1.0, 2.0, 1.0), (5.0, 0.05, 3.0)]:
        plain = spectrum.quadrature(beta, rho, noise)
        for edge in spectrum.edges(beta, rho, noise):
            for distance in 10.0 ** np.arange(-16, -1):
                for near in (edge * (1 - distance), edge * (1 + distance)):
                    law = spectrum.quadrature(beta, rho, noise, breaks=[near])  # a warning would be an error
                    assert law.weight.sum() == pytest.approx(1.0, abs=1e-10)
                    assert law.weight @ law.x == pytest.approx(plain.weight @ plain.x, rel=1e-9)


@pytest.mark.parametrize(("beta", "rho", "noise"), [(1.0, 0.2, 0.5), (1.0, 2.0, 1.0), (2.0, 0.3, 0.1)])
@pytest.mark.parametrize("f", [np.ones_like, np.array, np.exp, lambda x: np.log1p(x)], ids=["1", "x", "exp", "log"])
def test_averages_of_functions_that_are_not_even(beta, rho, noise, f):
    expected = 0.0
    for lo, hi in spectrum.edges(beta, rho, noise).reshape(-1, 2):
        middle, half = 0.5 * (lo + hi), 0.5 * (hi - lo)

        def integrand(t, middle=middle, half=half):  # square roots at the ends become sines
            x = middle - half * math.cos(t)
            return f(x) * 2 * spectrum.density(x, beta, rho, noise) * half * math.sin(t)

        expected += quad(integrand, 0.0, math.pi, epsabs=1e-11)[0]
    law = spectrum.quadrature(beta, rho, noise)
    assert law.weight @ f(law.x) == pytest.approx(expected, abs=1e-9)
