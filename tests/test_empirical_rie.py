"""The denoiser that asks for no rank: it finds the optimal map in the matrix, for any spectrum, and knows its error."""

import numpy as np
import pytest

from bsr import denoising, spectrum
from bsr.denoising import _empirical_map, empirical_rie, empirical_rie_and_divergence


def noisy(rng, teacher, noise):
    """(S, Y) for a teacher, in the units of Y."""
    unit = teacher.size**0.25
    return teacher / unit, (teacher + np.sqrt(noise) * rng.standard_normal(teacher.shape)) / unit


def low_rank(rng, L, d, r):
    return rng.standard_normal((L, r)) @ rng.standard_normal((r, d)) / np.sqrt(r)


def orthogonal(rng, d):
    return np.sqrt(d) * np.linalg.qr(rng.standard_normal((d, d)))[0]


def loss(S_hat, S):
    return np.sum((S_hat - S) ** 2) / np.sqrt(S.size)


def map_of(S_hat, Y):
    """The singular values of Y and what became of them."""
    left, x, right = np.linalg.svd(Y, full_matrices=False)
    f = np.einsum("ik,ij,kj->k", left, S_hat, right)
    assert (left * f) @ right == pytest.approx(S_hat, abs=1e-10 * max(1.0, x[0]))  # it is spectral
    return x, f


# ---------------------------------------------------------------------------------------------------------------------
# The map


@pytest.mark.parametrize("m", [100, pytest.param(400, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("beta", "rho", "noise"), [(1, 0.2, 0.3), (1, 0.2, 3.0), (2, 0.5, 1.0), (0.5, 1.5, 0.1)])
def test_the_map_of_a_large_matrix_is_the_optimal_one(beta, rho, noise, m):
    rng = np.random.default_rng(1)
    d = round(m / min(beta, 1))
    L = round(beta * d)
    _, Y = noisy(rng, low_rank(rng, L, d, round(rho * min(L, d))), noise)
    x, f = map_of(empirical_rie(Y, noise), Y)
    error = f - denoising.shrink(x, L / d, rho, noise)
    assert np.sqrt(np.mean(error**2)) < 1.4 * m ** (-1 / 2) * np.sqrt(np.mean(f**2))


@pytest.mark.parametrize("noise", [0.05, 0.3, 1.5])
def test_equal_singular_values_are_pulled_to_their_value_from_both_sides(noise):
    # +-1 and a semicircle add freely: G = 1/2 / (z - noise G - 1) + 1/2 / (z - noise G + 1), a cubic.
    rng = np.random.default_rng(2)
    _, Y = noisy(rng, orthogonal(rng, 200), noise)
    x, f = map_of(empirical_rie(Y, noise), Y)
    G = [
        max(np.roots([noise**2, -2 * noise * z, z**2 - 1 + noise, -z]), key=lambda root: root.imag) for z in x
    ]  # w G^2 - ... = 0 with w = z - noise G: G (w^2 - 1) = w
    inside = np.imag(G) > 0.1
    exact = x - 2 * noise * np.real(G)
    assert np.mean(inside) > 0.8
    assert np.sqrt(np.mean((f - exact)[inside] ** 2)) < 0.05
    assert np.any(f > 1.1 * x)


def test_of_noise_nothing_is_left():
    rng = np.random.default_rng(3)
    left = []
    for d in (25, 50, 100, 200):
        matrices = [rng.standard_normal((2 * d, d)) / (2 * d * d) ** 0.25 for _ in range(800 // d)]
        left.append(np.mean([np.sum(empirical_rie(Y, 1.0) ** 2) / np.sqrt(Y.size) for Y in matrices]))
    assert left[0] < 0.02
    assert left[-1] < 0.1 * left[0]


@pytest.mark.parametrize(("beta", "rho", "noise"), [(1, 0.2, 1.0), (2, 0.5, 1.0)])
def test_the_loss_against_the_known_rank_vanishes(beta, rho, noise):
    rng = np.random.default_rng(4)
    excess = []
    for d, number in ((40, 60), (80, 30), (160, 15)):
        L, both = beta * d, []
        for _ in range(number):
            S, Y = noisy(rng, low_rank(rng, L, d, round(rho * d)), noise)
            both.append((loss(empirical_rie(Y, noise), S), loss(denoising.rie(Y, rho, noise), S)))
        empirical, exact = np.mean(both, axis=0)
        excess.append(empirical / exact - 1)
    assert excess[0] < 0.03
    assert excess[2] < 0.006
    assert excess[0] / excess[2] > 3.5  # m^(-1) gives 4, m^(-4/3) 6.3


def test_it_beats_a_wrong_rank_and_learns_what_has_none():
    rng = np.random.default_rng(5)
    errors = []
    for _ in range(10):
        S, Y = noisy(rng, low_rank(rng, 100, 100, 20), 1.0)
        errors.append(
            [loss(S_hat, S) for S_hat in (empirical_rie(Y, 1.0), *(denoising.rie(Y, r, 1.0) for r in (0.1, 0.4)))]
        )
    assert np.all(1.02 * np.mean(errors, axis=0)[0] < np.mean(errors, axis=0)[1:])
    power_law = np.linalg.qr(rng.standard_normal((100, 100)))[0] / np.arange(1, 101)
    power_law *= 100 / np.linalg.norm(power_law)
    S, Y = noisy(rng, power_law, 1.0)
    ranks = np.array([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0])
    assert loss(empirical_rie(Y, 1.0), S) < min(loss(denoising.rie(Y, rho, 1.0), S) for rho in ranks)


@pytest.mark.parametrize("kind", ["law", "equal", "noise"])
def test_the_map_increases_from_nothing_and_stays_below_the_largest_value(kind):
    rng = np.random.default_rng(6)
    teacher = {"law": low_rank(rng, 60, 60, 9), "equal": orthogonal(rng, 60), "noise": np.zeros((60, 60))}[kind]
    for noise in (0.01, 0.5, 20.0):
        for bandwidth in (None, 0.01, 3.0):
            _, Y = noisy(rng, teacher, noise)
            x, f = map_of(empirical_rie(Y, noise, bandwidth=bandwidth), Y)
            assert np.all(np.diff(f) <= 1e-12 * x[0])
            assert f[-1] >= -1e-12 * x[0]
            assert f[0] <= x[0]


def test_the_optimal_map_increases():
    rng = np.random.default_rng(7)
    for beta, rho, noise in 10 ** rng.uniform([-1.5, -2, -4], [1.5, 0.7, 2], size=(200, 3)):
        edges = spectrum.edges(beta, rho, noise)
        x = np.linspace(edges[0] + 1e-9, edges[-1], 300)
        assert denoising.shrink_and_slope(x, beta, rho, noise)[1].min() > -1e-9


# ---------------------------------------------------------------------------------------------------------------------
# Its divergence


@pytest.mark.parametrize("shape", [(5, 7), (6, 6), (9, 4), (1, 3)])
@pytest.mark.parametrize("bandwidth", [0.05, 0.4, 2.0])
def test_divergence_is_the_trace_of_the_derivative(shape, bandwidth):
    def increasing(Y):  # before the last factor, which the divergence takes as fixed
        left, x, right = np.linalg.svd(Y, full_matrices=False)
        f, slope = _empirical_map(x, deviation, bandwidth, shape)
        return (left * f) @ right, denoising.spectral_divergence(x, f, slope, shape)

    def trace(function, step=1e-6):
        total = 0.0
        for index in np.ndindex(shape):
            shift = np.zeros(shape)
            shift[index] = step
            total += (function(Y + shift) - function(Y - shift))[index] / (2 * step)
        return total / Y.size

    for seed in range(3):
        Y = 2 * np.random.default_rng(seed).standard_normal(shape) / np.prod(shape) ** 0.25
        deviation = 0.7**0.5 / Y.size**0.25
        assert increasing(Y)[1] == pytest.approx(trace(lambda Y: increasing(Y)[0]), abs=1e-6)
        found = empirical_rie_and_divergence(Y, 0.7, bandwidth=bandwidth)[1]
        exact = trace(lambda Y: empirical_rie(Y, 0.7, bandwidth=bandwidth))
        assert found == pytest.approx(exact, abs=3 / Y.size)


def test_it_knows_its_error():
    rng = np.random.default_rng(8)
    for noise, draw in (
        (1.0, lambda: low_rank(rng, 40, 40, 8)),
        (3.0, lambda: low_rank(rng, 40, 20, 10)),
        (0.3, lambda: orthogonal(rng, 30)),
    ):
        both = []
        for _ in range(150):
            S, Y = noisy(rng, draw(), noise)
            S_hat, divergence = empirical_rie_and_divergence(Y, noise)
            stein = np.sum((S_hat - Y) ** 2) / np.sqrt(Y.size) - noise + 2 * noise * divergence
            both.append((stein, loss(S_hat, S)))
        stein, error = np.transpose(both)
        assert np.mean(stein - error) == pytest.approx(0, abs=3 * np.std(stein - error) / 150**0.5)
        assert np.std(stein - error) < 0.1 * (1 + noise)


# ---------------------------------------------------------------------------------------------------------------------
# Symmetries and what is unusual


def test_units_sides_and_rotations():
    rng = np.random.default_rng(9)
    Y = rng.standard_normal((30, 20)) / 600**0.25
    S, divergence = empirical_rie_and_divergence(Y, 0.3)
    for unit in (1e-120, 1e-3, 1e5, 1e120):
        scaled, same = empirical_rie_and_divergence(unit * Y, unit**2 * 0.3)
        assert scaled / unit == pytest.approx(S, abs=1e-12)
        assert same == pytest.approx(divergence, rel=1e-10)
    rotation, _ = np.linalg.qr(rng.standard_normal((30, 30)))
    assert empirical_rie(Y.T, 0.3).T == pytest.approx(S, abs=1e-12)
    assert empirical_rie(rotation @ Y, 0.3) == pytest.approx(rotation @ S, abs=1e-12)
    assert np.array_equal(empirical_rie(Y, 0.0), Y)
    assert empirical_rie(Y, 1e-12) == pytest.approx(Y, abs=1e-5)


@pytest.mark.parametrize(
    "Y",
    [
        np.zeros((3, 4)),
        np.eye(5),
        np.diag([3.0, 3.0, 2.0, 0.0, 0.0]),
        np.pad(np.diag([3.0, 3.0, 1e-13]), ((0, 0), (0, 1))),
        np.ones((6, 4)),
        np.full((1, 1), 2.0),
        np.arange(1.0, 8.0)[None],
        1e200 * np.eye(3),
    ],
)
@pytest.mark.parametrize("noise", [1e-300, 1e-9, 0.2, 1e3])
@pytest.mark.parametrize("bandwidth", [None, 1e-300, 1e300])
def test_ties_and_zeros(Y, noise, bandwidth):
    with np.errstate(all="raise", under="ignore"):
        S, divergence = empirical_rie_and_divergence(Y, noise, bandwidth=bandwidth)
    assert np.isfinite(S).all()
    assert np.isfinite(divergence)
    assert bandwidth == 1e-300 or 0 <= divergence <= 1 + 1e-12  # of ties nothing smooth is known there
    x, f = map_of(S, Y)
    assert np.all(f <= x[0] * (1 + 1e-12))
    ties = np.isclose(x[:-1], x[1:], rtol=1e-12)
    assert f[:-1][ties] == pytest.approx(f[1:][ties], rel=1e-9)
    assert abs(f[x < 1e-12 * x[0]]).max(initial=0.0) <= 1e-12 * x[0]


@pytest.mark.parametrize(("shape", "u"), [((1, 50), 0.012), ((50, 1), 0.014), ((6, 20), 0.03), ((8, 8), 0.05)])
def test_a_matrix_of_rank_one_is_shrunk_as_by_james_and_stein(shape, u):
    # The only singular value x is repelled by the walls, as if by L + d - 2 zeros: f = x - (L + d - 2) u x, with u the
    # variance of an entry over x^2. The factor is by hand too.
    rng = np.random.default_rng(10)
    y = np.outer(rng.standard_normal(shape[0]), rng.standard_normal(shape[1]))
    zeros = sum(shape) - 2
    noise = u * np.sum(y**2)
    f = 1 - zeros * u
    degrees = 1 + zeros * u + zeros * f
    factor = (f - u * degrees) / f**2
    assert 0 < factor < 1
    S, divergence = empirical_rie_and_divergence(y / y.size**0.25, noise)
    assert S * y.size**0.25 == pytest.approx(factor * f * y, rel=1e-9)
    assert divergence == pytest.approx(factor * degrees / y.size, rel=1e-9)


@pytest.mark.parametrize("denoiser", [empirical_rie, empirical_rie_and_divergence])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Y": np.ones(3)}, r"Y must be a finite matrix of shape \(L, d\), got shape \(3,\)"),
        ({"Y": [[1.0, np.nan]]}, "Y must be a finite matrix, got nan"),
        ({"Y": np.full((3, 3), np.nan)}, "Y must be a finite matrix"),
        ({"Y": np.ones((0, 3))}, "Y must be a finite matrix"),
        ({"noise": -1.0}, "noise must be"),
        ({"noise": [1.0, 2.0]}, "noise must be a single number"),
        ({"bandwidth": 0.0}, "bandwidth must be positive and finite, got 0.0"),
        ({"bandwidth": np.inf}, "bandwidth must be positive and finite, got inf"),
    ],
)
def test_bad_input_is_named(denoiser, change, message):
    with pytest.raises(ValueError, match=message):
        denoiser(**{"Y": np.ones((3, 3)), "noise": 1.0} | change)
    with pytest.raises(ValueError, match="noise must be positive"):
        empirical_rie_and_divergence(np.eye(3), 0.0)
