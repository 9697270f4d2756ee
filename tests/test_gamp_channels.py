"""GAMP-RIE on labels of other channels: as theory says, along the way that theory says, and without explosions."""

import warnings

import numpy as np
import pytest
from scipy import integrate, stats

import bsr
from bsr.channels import Abs, Linear, Logistic, Poisson, ReLU, Sign
from bsr.denoising import rie, rie_and_divergence
from bsr.estimators import TeacherError, gamp_rie
from bsr.estimators._innovations import innovations, spectral
from bsr.theory import bayes
from bsr.tokens import ArrayTokens

pytestmark = pytest.mark.usefixtures("one_thread")


def quiet(data, channel=None, **options):
    """gamp_rie where it need not converge."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bsr.ConvergenceWarning)
        return gamp_rie(data.X, data.y, data.U.shape[1], channel=channel or data.problem.channel, **options)


def sample(channel, alpha=1.0, beta=1.0, rho=0.2, d=40, seed=0):
    return bsr.Problem(alpha, beta, rho, channel=channel).sample(d, seed)


def error_of(S, data):
    """In units of the teacher, whose size makes most of the spread over samples."""
    return bsr.mse(S, data.S, up_to_sign=data.problem.channel.even) / np.mean(data.S**2)


# ---------------------------------------------------------------------------------------------------------------------
# Against theory


def against_theory(channel, alpha, beta, rho, d, seeds):
    errors = []
    for seed in range(seeds):
        data = sample(channel, alpha, beta, rho, d, seed)
        errors.append(error_of(quiet(data, tol=1e-5).S, data))
    p, spread = data.problem, np.std(errors, ddof=1) / seeds**0.5
    expected = bayes.algorithmic_mmse(p.alpha, p.beta, p.rho, channel=channel)
    assert np.mean(errors) == pytest.approx(expected, abs=3 * spread + expected / d)  # limit + c/d
    assert spread < 0.1 * expected


def test_error_of_classes_is_the_bayes_optimal_one():
    against_theory(Sign(0.1), 1.0, 1.0, 0.2, 30, 10)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("channel", "alpha", "beta", "rho"),
    [
        (Sign(), 1.0, 1.0, 0.2),
        (Sign(0.1), 1.5, 2.0, 0.5),
        (ReLU(0.1), 0.5, 1.0, 0.2),
        (ReLU(1.0), 1.0, 0.5, 1.2),
        (Abs(0.1), 1.0, 1.0, 0.2),
        (Logistic(1.0), 1.5, 1.0, 0.2),
        (Logistic(0.2), 0.6, 2.0, 0.2),
        (Poisson(), 0.5, 1.0, 0.2),
    ],
    ids=repr,
)
def test_error_is_the_bayes_optimal_one(channel, alpha, beta, rho):
    against_theory(channel, alpha, beta, rho, round(40 / beta**0.5), 8)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("channel", "alpha", "noise"), [(Sign(0.1), 1.0, None), (ReLU(), 0.4, None), (Abs(0.1), 0.9, 3.0)], ids=repr
)
def test_each_iteration_follows_state_evolution(channel, alpha, noise):
    # Abs starts from the teacher seen through noise, which is the meaning of q0.
    errors, noises = [], []
    for seed in range(6):
        data, start, rng = sample(channel, alpha, 1.5, 0.3, 45, seed), None, np.random.default_rng(seed)
        if noise:
            root = data.S.size**0.25
            start = root * rie((data.S + np.sqrt(noise) * rng.standard_normal(data.S.shape)) / root, 0.3, noise)
        watch = TeacherError(data.S, up_to_sign=channel.even)
        result = quiet(data, start=start, iterations=8, callback=watch)
        errors.append(watch.error / np.mean(data.S**2))
        noises.append(result.history.noise)
    p = data.problem
    q0 = 1 - bsr.denoising.mmse(noise, p.beta, p.rho) if noise else 0.0
    q = bayes.state_evolution(p.alpha, p.beta, p.rho, q0=q0, iterations=8, channel=channel)
    for values, expected in ((errors, 1 - q[1:]), (noises, 1 / (p.alpha * channel.information(q[:-1])))):
        spread = np.std(values, axis=0, ddof=1) / 6**0.5
        assert np.all(np.abs(np.mean(values, axis=0) - expected) <= 3 * spread + 0.03 * expected)


def test_the_algorithm_knows_its_error():
    rows = []
    for seed in range(10):
        data = sample(ReLU(0.2), 1.0, 1.0, 0.4, 30, seed)
        result = quiet(data, tol=1e-5)
        rows.append((bsr.mse(result.S, data.S), result.history.error_estimate[-1], result.history.q[-1]))
        rows[-1] += (np.mean(result.S * data.S),)
    error, estimate, q, overlap = np.mean(rows, axis=0)
    assert estimate == pytest.approx(error, rel=0.1)
    assert q == pytest.approx(overlap, rel=0.05)


# ---------------------------------------------------------------------------------------------------------------------
# The iterations


def score(channel, y, omega, V):
    """g and its derivative, written down anew, with the derivative by differences."""
    root = np.sqrt(V + channel.delta)

    def g(omega):
        if isinstance(channel, Sign):
            return y * stats.norm.pdf(omega / root) / stats.norm.cdf(y * omega / root) / root
        if isinstance(channel, ReLU):
            zero = -stats.norm.pdf(omega / root) / stats.norm.cdf(-omega / root) / root
            return np.where(y > 0, (y - omega) / root**2, zero)
        return (y * np.tanh(y * omega / root**2) - omega) / root**2

    step = 1e-5
    return g(omega), (g(omega + step) - g(omega - step)) / (2 * step)


@pytest.mark.parametrize("channel", [Sign(0.1), Sign(), ReLU(0.2), Abs(0.1)], ids=repr)
@pytest.mark.parametrize("damping", [0.0, 0.4])
def test_iterations_are_those_of_the_docstring(channel, damping):
    data = sample(channel, 0.8, 1.4, 0.3, 20, 5)
    (n, L, d), rank = data.X.shape, data.U.shape[1]
    X = data.X.reshape(n, L * d).astype(np.float64)
    size = np.mean(X**2)
    A, unit, alpha = X / np.sqrt(d * L * size), (d * L) ** 0.25, n / (d * L)
    start = 0.5 * data.S + 0.3 * np.random.default_rng(0).standard_normal((L, d)) if channel.even else np.zeros((L, d))
    state, noises = (start * size**0.5, np.zeros(n), 0.0), []
    V = 1 - np.mean(state[0] ** 2)
    for t in range(6):
        S, z, divergence = state
        omega = A @ S.ravel() - divergence / alpha * z
        for _ in range(50 if channel.even and t == 0 else 2):
            g, slope = score(channel, data.y, omega, V)
            V = min(np.mean((V * g) ** 2) + np.mean(V + V**2 * slope), 1)  # E (h - omega)^2 given the labels
        g, _ = score(channel, data.y, omega, V)
        z = g / np.mean(g**2)
        noise = np.mean(z**2) / alpha
        R = S + (A.T @ z).reshape(L, d) / alpha
        S, divergence = rie_and_divergence(R / unit, rank / min(d, L), noise)
        noises.append(noise / size)
        keep = damping if t else 0.0
        new = unit * S, z, divergence
        state = [keep * old + (1 - keep) * now for old, now in zip(state, new, strict=True)]
        V = min(max(noise * state[2], 0), 1)
    options = {"start": start} if channel.even else {}
    result = quiet(data, damping=damping, iterations=6, **options)
    assert result.history.noise == pytest.approx(noises, rel=1e-6)
    assert result.S == pytest.approx(state[0] / size**0.5, rel=1e-6, abs=1e-7)


def test_linear_labels_take_the_path_without_a_channel():
    data = bsr.Problem(1.0, 1.0, 0.3, 0.1).sample(20)
    plain = gamp_rie(data.X, data.y, 6)
    for channel in (Linear(), Linear(0.7)):
        result = gamp_rie(data.X, data.y, 6, channel=channel)
        np.testing.assert_array_equal(result.S, plain.S)
        np.testing.assert_array_equal(result.history.noise, plain.history.noise)
        assert (result.delta, result.up_to_sign) == (plain.delta, False)


@pytest.mark.parametrize("delta", [0.0, 0.3])
def test_for_linear_labels_the_likeliest_variance_is_that_of_the_residuals(delta):
    rng = np.random.default_rng(0)
    y, omega = rng.standard_normal((2, 500))
    z, V, contradiction = innovations(Linear(delta), y, omega, 0.5, 1e3, 1 if delta == 0 else 200)
    np.testing.assert_allclose(z, y - omega, rtol=1e-9)
    assert V + delta == pytest.approx(np.mean((y - omega) ** 2), rel=1e-9)
    assert abs(contradiction) < 1e-6
    assert innovations(Linear(delta), y, omega, 0.5, 1.0, 2)[2] > 4  # V may not exceed 1, residuals have 2


# ---------------------------------------------------------------------------------------------------------------------
# Lost signs


@pytest.mark.parametrize("start", ["spectral", "random"])
def test_moduli_tell_the_teacher_up_to_its_sign(start):
    signs = []
    for seed in range(6):
        data = sample(Abs(), 1.0, d=30, seed=seed)
        result = quiet(data, start=start, rng=seed)
        assert result.converged
        assert result.up_to_sign
        assert error_of(result.S, data) < 1e-12
        assert result.metrics(data.S)["recovered"] == 1.0
        signs.append(np.sign(np.sum(result.S * data.S)))
    assert {*signs} == {-1.0, 1.0}


def test_too_few_moduli_do_not():
    # Information would suffice from alpha = .36 on, message passing needs .5725: a start next to the teacher stays.
    data = sample(Abs(), 0.45)
    result = quiet(data)
    assert not result.converged
    assert error_of(result.S, data) > 0.5
    for start in (data.S, 0.95 * data.S, data.S + 0.3 * np.random.default_rng(0).standard_normal(data.S.shape)):
        assert error_of(quiet(data, start=start).S, data) < 1e-12


def test_a_vanishing_estimate_and_an_empty_spectral_start_say_so():
    data = sample(Abs(0.5), 0.3, d=30)
    for start, message in (("random", "the estimate vanished"), ("spectral", "below weak recovery")):
        with pytest.warns(bsr.ConvergenceWarning, match=message):
            result = gamp_rie(data.X, data.y, 6, channel=Abs(0.5), start=start)
        assert not result.converged
        assert error_of(result.S, data) < 1.1


def eigenvector_of_moduli(alpha):
    """Its squared overlap by the known formula, and the estimate over R in linearised message passing.

    Without noise, by integrals over h.
    """

    def mean(f):
        return 2 * integrate.quad(lambda h: f(h, 1 - 1 / max(h * h, 0.2)) * stats.norm.pdf(h), 0, 12, limit=400)[0]

    def excess(s):
        return mean(lambda h, T: T * (h * h - 1) / (s - T)) - 1 / alpha

    low, high = 1.001, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    numerator = 1 / alpha - mean(lambda h, T: (T / (low - T)) ** 2)
    overlap = numerator / (1 / alpha + mean(lambda h, T: (h * h - 1) * (T / (low - T)) ** 2))
    return overlap, -alpha * mean(lambda h, T: T / (low - T))


@pytest.mark.slow
def test_spectral_start_is_what_theory_says_of_it():
    alpha, overlaps, known, parts = 1.5, [], [], []
    for seed in range(6):
        data = sample(Abs(), alpha, d=28, rho=0.25, seed=seed)
        y = data.y / np.sqrt(np.mean(data.S**2))  # of a teacher of the typical size
        R, noise, z, recovers = spectral(Abs(), ArrayTokens(data.X), y, 1 / 28, 1.0, np.random.default_rng(0))
        assert recovers
        overlaps.append(np.sum(R * data.S) ** 2 / np.sum(R**2) / np.sum(data.S**2))
        known.append(1 / (1 + noise))
        assert np.mean(R**2) == pytest.approx(1 + noise)
        # Message passing at rest, with the Onsager term: R = estimate + pull, and the estimate is a part of R.
        pull = np.einsum("m,mij->ij", z, data.X) / (alpha * 28)
        assert np.sum(pull * R) / np.linalg.norm(pull) / np.linalg.norm(R) > 0.99
        parts.append(1 - np.sum(pull * R) / np.sum(R * R))
    overlap, part = eigenvector_of_moduli(alpha)
    for values, expected in ((overlaps, overlap), (known, overlap), (parts, part)):
        spread = np.std(values, ddof=1) / 6**0.5
        assert np.mean(values) == pytest.approx(expected, abs=3 * spread + expected / 28)


def test_spectral_start_knows_its_overlap_from_the_labels_alone():
    """Of Luo, Alghamdi and Lu (2019), with means over the labels at hand for those over the model."""
    for seed in range(3):
        data = sample(Abs(0.2), 1.8, d=16, rho=0.25, seed=seed)
        alpha, moment = data.problem.alpha, np.empty(len(data.y))
        for mu, y in enumerate(data.y):  # E[h^2|y]: two normal bumps at +-y, cut by the prior
            h = np.linspace(-9.0, 9.0, 4001)
            weight = np.exp(-0.5 * h**2) * (np.exp(-((y - h) ** 2) / 0.4) + np.exp(-((y + h) ** 2) / 0.4))
            moment[mu] = weight @ h**2 / weight.sum()
        T = np.maximum(1.0 - 1.0 / moment, -4.0)
        low, high = T.max() * (1 + 1e-12), 100.0
        for _ in range(200):  # of the largest eigenvalue, where the teacher's direction has its own
            middle = 0.5 * (low + high)
            low, high = (middle, high) if np.mean(T * (moment - 1.0) / (middle - T)) > 1 / alpha else (low, middle)
        ratio = (T / (low - T)) ** 2
        overlap = (1 / alpha - np.mean(ratio)) / (1 / alpha + np.mean((moment - 1.0) * ratio))
        _, noise, _, recovers = spectral(Abs(0.2), ArrayTokens(data.X), data.y, 1 / 16, 1.0, np.random.default_rng(0))
        assert recovers
        assert 1 / (1 + noise) == pytest.approx(overlap, rel=1e-6)


def test_both_signs_of_a_start_give_both_signs_of_the_estimate():
    data = sample(Abs(0.1), 0.9, d=20)
    start = data.S + np.random.default_rng(1).standard_normal(data.S.shape)
    np.testing.assert_array_equal(quiet(data, start=start).S, -quiet(data, start=-start).S)


def test_other_classes_give_the_other_sign():
    data = sample(Sign(0.1), d=20)
    opposite = gamp_rie(data.X, -data.y, 4, channel=Sign(0.1))
    np.testing.assert_allclose(opposite.S, -quiet(data).S, atol=1e-9)


# ---------------------------------------------------------------------------------------------------------------------
# Stability


KINDS = {
    "Sign": lambda rng: Sign(rng.choice([0.0, 0.01, 0.1, 1.0])),
    "ReLU": lambda rng: ReLU(rng.choice([0.0, 0.01, 0.1, 1.0])),
    "Abs": lambda rng: Abs(rng.choice([0.0, 0.01, 0.1, 1.0])),
    "Logistic": lambda rng: Logistic(rng.choice([0.1, 1.0, 3.0])),
    "Poisson": lambda rng: Poisson(rng.choice([0.2, 1.0, 5.0]), rng.choice([0.3, 1.0])),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_no_explosion_and_nothing_wrong_in_silence(kind):
    for seed in range(24):  # tests/benchmarks/gamp_channels.py has more
        rng = np.random.default_rng([seed, list(KINDS).index(kind)])
        alpha, beta, rho = 10 ** rng.uniform(-1.3, 0.4), rng.choice([0.5, 1.0, 2.0]), rng.choice([0.2, 0.5, 1.0, 1.5])
        data = sample(KINDS[kind](rng), alpha, beta, rho, int(rng.integers(9, 17)), rng)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = gamp_rie(data.X, data.y, data.U.shape[1], channel=data.problem.channel, iterations=60)
        assert all(np.max(entries, initial=0) < np.inf for entries in vars(result.history).values())
        assert np.mean(result.S**2) < 2 * max(np.mean(data.S**2), 1)
        assert result.converged or caught
        if not caught:
            assert error_of(result.S, data) < 1.5


@pytest.mark.parametrize("channel", [Sign(0.1), ReLU(), Abs(), Abs(0.1), Logistic()], ids=repr)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda X, y: (X + 5, y),
        lambda X, y: (np.ones_like(X), y),
        lambda X, y: (np.repeat(X[:6], 10, axis=0), y),
        lambda X, y: (X, np.ones_like(y)),
        lambda X, y: (X[:1], y[:1]),
        lambda X, y: (0 * X, y),
        lambda X, y: (X[::-1].copy(), y),
        lambda X, y: (X * np.r_[100, 100, np.ones(23)], y),
    ],
)
def test_bounded_on_data_that_are_not_from_the_model(spoil, channel):
    data = sample(channel, 0.12, 0.8, 0.15, 25)
    X, y = spoil(data.X[:60].astype(np.float64), data.y[:60])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bsr.ConvergenceWarning)
        result = gamp_rie(X, y, 3, channel=channel, iterations=60)
    assert np.isfinite(result.S).all()
    size = np.mean(X**2) or 1.0
    bound = 10 + np.linalg.norm(X.reshape(len(X), -1), 2) ** 2 / (len(X) * size)
    assert np.max(result.history.q, initial=0) * size < 3 * bound


@pytest.mark.slow
def test_moduli_that_are_three_times_too_large_are_noticed():
    for seed in range(4):
        data = sample(Abs(0.1), 1.0, d=20, seed=seed)
        with pytest.warns(bsr.ConvergenceWarning):
            assert not gamp_rie(data.X, 3 * data.y, 4, channel=Abs(0.1)).converged


# ---------------------------------------------------------------------------------------------------------------------
# Units and the interface


@pytest.mark.parametrize("unit", [1e-6, 2.0, 1e8])
@pytest.mark.parametrize("channel", [Sign(0.1), Abs()], ids=repr)
def test_tokens_may_come_in_any_unit(unit, channel):
    data = sample(channel, d=20)
    expected = quiet(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bsr.ConvergenceWarning)
        result = gamp_rie(unit * data.X.astype(np.float64), data.y, 4, channel=channel)
    np.testing.assert_allclose(unit * result.S, expected.S, atol=1e-6)
    assert unit**2 * result.history.noise[3] == pytest.approx(expected.history.noise[3], rel=1e-5)
    assert unit**2 * result.history.signal[-1] == pytest.approx(expected.history.signal[-1])


def test_a_signal_that_is_known_is_in_the_units_of_the_tokens():
    # Teachers twice as large, with noise twice as large, have the same signs.
    data = sample(Sign(0.1), d=20)
    expected, size = quiet(data, signal=1.0), quiet(data).history.signal[-1]
    np.testing.assert_allclose(quiet(data, Sign(0.4), signal=4.0).S, 2 * expected.S, atol=1e-7)
    np.testing.assert_allclose(quiet(data, Sign(0.4), signal=4 * size).S, 2 * quiet(data).S, atol=1e-7)


def test_errors_up_to_the_sign():
    S = np.random.default_rng(0).standard_normal((2, 4, 3))
    assert bsr.mse(-S, S[0], up_to_sign=True)[0] == 0.0
    assert bsr.mse(-S, S[0])[0] == pytest.approx(4 * np.mean(S[0] ** 2))
    assert bsr.mse(S[1], S[0], up_to_sign=True) == min(bsr.mse(S[1], S[0]), bsr.mse(-S[1], S[0]))


@pytest.mark.parametrize(
    ("channel", "options", "message"),
    [
        (Sign(), {"y": np.full(30, 2.0)}, r"y must be -1 or 1 for Sign\(delta=0.0\), got 2.0"),
        (Abs(), {"y": -np.ones(30)}, r"y must be zero or positive, and finite for Abs\(delta=0.0\)"),
        (Poisson(), {"y": np.full(30, 0.5)}, "y must be a whole number"),
        ("Sign", {}, "channel must be None or one of bsr.channels"),
        (Abs(), {"start": "zero"}, r"start must be a matrix, 'spectral' or 'random' for Abs\(delta=0.0\), got 'zero'"),
        (Sign(), {"start": "spectral"}, "start must be a matrix, 'zero' or 'random' for"),
        (None, {"start": "warm"}, "start must be a matrix, 'zero' or 'random' for None, got 'warm'"),
        (Abs(), {"start": np.zeros((4, 5))}, "start must not be zero"),
        (Abs(), {"start": np.ones((5, 4))}, r"start must have the shape \(4, 5\)"),
        (Abs(), {"start": np.full((4, 5), np.nan)}, "start must be finite"),
        (Abs(), {"rng": -1}, "rng must be an integer"),
        (Abs(), {"X": np.full((30, 4, 5), np.nan)}, "X must be finite"),
    ],
)
def test_bad_input_is_named(channel, options, message):
    rng = np.random.default_rng(0)
    good = {"X": rng.standard_normal((30, 4, 5)), "y": np.ones(30), "rank": 2, "start": "random"} | {"channel": channel}
    with pytest.raises(ValueError, match=message):
        gamp_rie(**good | options)
