"""Channels: scores, information and evidence against high-precision arithmetic, samples, and what is refused."""

import json
import pickle

import channel_oracle
import mpmath as mp
import numpy as np
import pytest
from channel_oracle import CHANNELS
from scipy.integrate import quad
from scipy.special import erf

import bsr
from bsr.channels import Abs, Custom, Linear, Logistic, Poisson, ReLU, Sign

FAMILY = [name for name, channel in CHANNELS.items() if isinstance(channel, Linear | Sign | ReLU | Abs)]
SMOOTH = [name for name in CHANNELS if name not in FAMILY]
TABLE = json.loads(channel_oracle.TABLE.read_text())


def possible(channel):
    """Some labels."""
    if isinstance(channel, Poisson):
        return [0.0, 1.0, 7.0]
    if isinstance(channel, Custom):
        return [-1.0, 0.0, 1.0]
    if isinstance(channel, Sign | Logistic):
        return [-1.0, 1.0]
    return [0.3, 1.7] + [0.0] * isinstance(channel, ReLU) + [-2.0] * isinstance(channel, Linear)


def density(channel, y, omega, V):
    """Z(y, omega, V) in mpmath."""
    if not isinstance(channel, Logistic | Poisson | Custom):
        return channel_oracle.density(channel, y, omega, mp.mpf(V))
    root, step = mp.sqrt(V), mp.mpf("0.05")  # of the trapezoidal rule
    grid = [k * step for k in range(-200, 201)]
    return step * mp.fsum(mp.npdf(z) * channel_oracle.likelihood(channel, y, omega + root * z) for z in grid)


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANNELS)
def test_the_score_is_the_slope_of_the_log_density(name):
    channel = CHANNELS[name]
    tol = 1e-13 if name in FAMILY else 1e-10
    with mp.workdps(25):
        for y in possible(channel):
            for omega, V in ((-1.3, 0.2), (0.4, 0.9)):
                g, slope = channel.score(y, omega, V)
                log_z = lambda w: mp.log(density(channel, y, w, V))  # noqa: B023, E731
                assert g == pytest.approx(float(mp.diff(log_z, omega)), rel=tol, abs=tol)
                assert slope == pytest.approx(float(mp.diff(log_z, omega, 2)), rel=10 * tol, abs=10 * tol)


@pytest.mark.parametrize("name", ["Sign", "ReLU", "Abs"])
@pytest.mark.parametrize("u", [-1e5, -300.0, -51.0, -49.0, -20.0, 20.0, 300.0])
def test_scores_keep_their_digits_in_the_tails(name, u):
    channel, V = CHANNELS[name], 1e-4
    y = 1.0 if name == "Sign" else 0.0 if name == "ReLU" else abs(0.01 * u) + 0.02
    omega = 0.01 * u
    with mp.workdps(40):
        log_z = lambda w: mp.log(density(channel, y, w, V))  # noqa: E731
        if name == "Sign" and u < -40:  # mpmath has no digits left: the series of erfc
            x = mp.mpf(-omega) / mp.sqrt(mp.mpf(V))
            ratio = 1 / mp.nsum(lambda k: (-1) ** int(k) * mp.fac2(2 * k - 1) / x ** (2 * k + 1), [0, 20])
            expected = ratio / mp.sqrt(mp.mpf(V)), -ratio * (ratio - x) / mp.mpf(V)
        else:
            expected = mp.diff(log_z, mp.mpf(omega)), mp.diff(log_z, mp.mpf(omega), 2)
    g, slope = channel.score(y, omega, V)
    assert g == pytest.approx(float(expected[0]), rel=1e-12, abs=1e-12)
    assert slope == pytest.approx(float(expected[1]), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("channel", [Logistic(0.05), Logistic(), Poisson(1.0, 1.0)], ids=repr)
@pytest.mark.parametrize("V", [0.9, 0.01])
def test_scores_of_many_labels_are_those_of_each(channel, V):
    """Of labels that share a value and a variance, scores are a series in omega."""
    rng = np.random.default_rng(1)
    omega = np.sqrt(1.0 - V) * rng.standard_normal(3000)
    y = channel.sample(omega + np.sqrt(V) * rng.standard_normal(3000), rng)
    few = [channel.score(*part, V) for part in zip(np.split(y, 30), np.split(omega, 30), strict=True)]
    for many, each in zip(channel.score(y, omega, V), map(np.concatenate, zip(*few, strict=True)), strict=True):
        assert many == pytest.approx(each, abs=1e-10 * abs(each).max())


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANNELS)
def test_scores_have_mean_zero_and_minus_their_slope_for_a_variance(name):
    channel, omega, V = CHANNELS[name], 0.6, 0.3

    def moments(y):
        g, slope = channel.score(y, omega, V)
        return float(density(channel, y, omega, V)) * np.array([1.0, g, g * g + slope, g * g])

    if isinstance(channel, Linear | ReLU | Abs):
        low, high = (-8.0 if isinstance(channel, Linear) else 1e-300), 9.0
        total = np.array([quad(lambda y: moments(y)[i], low, high, points=[0.6], limit=200)[0] for i in range(4)])  # noqa: B023
        total += moments(0.0) if isinstance(channel, ReLU) else 0.0
    else:
        labels = range(25) if isinstance(channel, Poisson) else channel_oracle.labels(channel)
        total = sum(moments(float(y)) for y in labels)
    assert total[:3] == pytest.approx([1.0, 0.0, 0.0], abs=1e-8 if name in FAMILY else 1e-10)
    assert total[3] > 0.05


@pytest.mark.parametrize("name", CHANNELS)
def test_information_and_evidence_against_integrals_in_mpmath(name):
    rows = [row for row in TABLE if row["channel"] == name]
    assert len(rows) >= 3
    for row in rows:
        tol = 1e-13 if name in FAMILY else 1e-11  # 4e-15 and 1e-12 measured
        for key in ("information", "log_evidence"):
            assert getattr(CHANNELS[name], key)(row["q"]) == pytest.approx(float(row[key]), rel=tol, abs=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Sign", "Logistic"])
def test_the_oracle_run_now(name):
    with mp.workdps(20):
        expected = channel_oracle.averages(CHANNELS[name], 0.55)
    found = CHANNELS[name].information(0.55), CHANNELS[name].log_evidence(0.55)
    assert found == pytest.approx([float(value) for value in expected], rel=1e-11)


@pytest.mark.parametrize("name", CHANNELS)
def test_the_evidence_rises_by_half_the_information(name):
    channel, h = CHANNELS[name], 2e-3
    for q in (0.01, 0.5, 0.97):
        slope = channel.log_evidence(q + h * np.array([-2, -1, 1, 2])) @ np.array([1, -8, 8, -1]) / (12 * h)
        assert slope == pytest.approx(0.5 * channel.information(q), rel=2e-5)
        steps = 10 * h * np.array([-1, 0, 1]) * (q == 0.5)
        assert (np.diff(channel.information(q + steps)) >= 0).all()


def test_what_a_first_label_tells():
    for delta in (0.0, 0.3):
        assert Linear(delta).information(0.0) == pytest.approx(1 / (1 + delta), rel=1e-15)
        assert Sign(delta).information(0.0) == pytest.approx(2 / (np.pi * (1 + delta)), rel=1e-14)
        assert ReLU(delta).information(0.0) == pytest.approx((0.5 + 1 / np.pi) / (1 + delta), rel=1e-14)
        assert Abs(delta).information(0.0) == 0.0
        assert Abs(delta).information(1e-12) == pytest.approx(2e-12 / (1 + delta) ** 2, rel=1e-11)
        # and as densities: of a normal variable, of a fair coin, of half of each, of a normal variable but for its sign
        normal = -0.5 * np.log(2 * np.pi * np.e * (1 + delta))
        evidence = [channel(delta).log_evidence(0.0) for channel in (Linear, Sign, ReLU, Abs)]
        expected = [normal, -np.log(2), 0.5 * (normal - np.log(2)), normal + np.log(2)]
        assert evidence == pytest.approx(expected, rel=1e-14)
    assert Logistic().information(0.0) == pytest.approx(0.1708, abs=5e-5)
    mean = quad(lambda h: h / np.sqrt(2 * np.pi) * np.exp(-h * h / 2) / (1 + np.exp(-h)), -12, 12)[0]
    assert Logistic().information(0.0) == pytest.approx(4 * mean**2, rel=1e-11)


def test_what_the_last_label_tells():
    error = np.array([1e-6, 1e-9, 1e-12, 1e-200])
    constant = (
        4 / np.sqrt(2 * np.pi) * quad(lambda u: np.exp(-u * u) / (np.pi * (1 - erf(u / np.sqrt(2)) ** 2)), 0, 7)[0]
    )
    assert np.sqrt(error[1:]) * Sign().information(error=error[1:]) == pytest.approx([constant] * 3, rel=1e-8)
    for channel in (Linear(), ReLU(), Abs()):
        assert error[1:] * channel.information(error=error[1:]) == pytest.approx([channel.exact] * 3, rel=1e-4)
        assert channel.information(1.0) == np.inf
    assert (Linear().exact, ReLU().exact, Abs().exact, Sign().exact, ReLU(0.1).exact) == (1.0, 0.5, 1.0, 0.0, 0.0)
    assert Sign().log_evidence(1.0) == pytest.approx(0.0, abs=1e-15)
    assert Abs(0.1).log_evidence(1.0) > Linear(0.1).log_evidence(1.0)
    # Labels without noise know the sign as soon as they know the number.
    assert Abs().log_evidence(error=1e-12) == pytest.approx(Linear().log_evidence(error=1e-12), abs=1e-5)


@pytest.mark.parametrize(("rate", "gain"), [(0.7, 0.5), (1.5, -0.6), (10.0, 0.4)])
def test_counts_at_a_known_mean(rate, gain):
    # Fisher information of a count about h is gain^2 times the mean; up to 400 counts for the last
    expected = gain**2 * rate * np.exp(gain**2 / 2)
    assert Poisson(rate, gain).information(1.0) == pytest.approx(expected, rel=1e-11)


def test_one_function_of_an_angle_serves_all_noises():
    q = np.linspace(0, 1, 7)
    for channel in (Linear, Sign, ReLU, Abs):
        expected = channel(0.0).information(q / 1.4) / 1.4
        assert channel(0.4).information(q) == pytest.approx(expected, rel=1e-13, abs=1e-15)


def test_a_rectified_label_is_half_a_number_and_half_a_sign():
    q = np.array([0.0, 0.3, 0.8, 0.99])
    for row in (row for row in TABLE if row["channel"] == "ReLU"):  # the oracle knows nothing of halves
        halves = [channel().information(row["q"]) for channel in (Linear, Sign)]
        assert float(row["information"]) == pytest.approx(np.mean(halves), rel=1e-13)
    assert (ReLU(0.1).information(q) < Linear(0.1).information(q)).all()
    assert (Abs(0.1).information(q) < Linear(0.1).information(q)).all()
    assert (Sign(0.1).information(q) < ReLU(0.1).information(q)).all()


def test_a_likelihood_of_ones_own_is_that_of_the_package():
    q, y, omega = np.linspace(0, 1, 6), np.array([[-1.0], [1.0]]), np.linspace(-3, 3, 5)
    logistic = Custom(lambda y, h: -np.logaddexp(0.0, -y * h), [-1, 1])
    assert logistic.information(q) == pytest.approx(Logistic().information(q), rel=1e-13)
    assert logistic.score(y, omega, 0.4)[0] == pytest.approx(Logistic().score(y, omega, 0.4)[0], rel=1e-12)
    nodes, weights = np.polynomial.legendre.leggauss(200)
    gauss = Custom(lambda y, h: -((y - h) ** 2) - 0.5 * np.log(np.pi), 16 * nodes, 16 * weights)
    assert gauss.information(q) == pytest.approx(Linear(0.5).information(q), rel=1e-10)
    assert gauss.log_evidence(q) == pytest.approx(Linear(0.5).log_evidence(q), rel=1e-10)
    assert gauss.test_error(q) == pytest.approx(Linear(0.5).test_error(q), rel=1e-9)
    assert gauss.predict(omega, 0.3) == pytest.approx(omega, abs=1e-10)
    even = Custom(channel_oracle.outside, [-1, 1])
    assert even.even
    assert not gauss.even
    assert even.information(0.0) == 0.0
    assert even.information(1e-6) == pytest.approx(1e-6 * even.information(1e-9) / 1e-9, rel=1e-4)


# Samples


@pytest.mark.parametrize("name", CHANNELS)
def test_the_error_of_the_best_prediction(name):
    channel, n, rng = CHANNELS[name], 200_000, np.random.default_rng(5)
    for q in (0.0, 0.4, 0.95):
        omega = np.sqrt(q) * rng.standard_normal(n)
        y = channel.sample(omega + np.sqrt(1 - q) * rng.standard_normal(n), rng)
        assert channel.check_labels(y).shape == (n,)
        best = channel.predict(omega, 1 - q) if not isinstance(channel, Custom) else predictions(channel, omega, 1 - q)
        loss = y != best if isinstance(channel, Sign | Logistic) else (y - best) ** 2
        assert loss.mean() == pytest.approx(channel.test_error(q), abs=4 * loss.std() / np.sqrt(n))


def predictions(channel, omega, V):
    """By interpolation: a quadrature for each takes long."""
    grid = np.linspace(-6, 6, 200)
    return np.interp(omega, grid, channel.predict(grid, V))


def test_errors_of_prediction_next_to_certainty():
    error = np.array([1e-3, 1e-8, 1e-14])
    assert Sign().test_error(error=error) == pytest.approx(np.sqrt(error) / np.pi, rel=1e-3)
    assert ReLU().test_error(error=error) == pytest.approx(error / 2, rel=0.05)
    assert Abs().test_error(error=error[1:]) == pytest.approx(error[1:], rel=1e-3)
    square = Poisson(2.0, 0.3).test_error(1.0)
    assert square == pytest.approx(2 * np.exp(0.045), rel=1e-14)


@pytest.mark.parametrize("channel", [Linear(0.2), Sign(0.2), ReLU(0.2), Abs(0.2)], ids=repr)
def test_augmented_labels_are_those_before_the_nonlinearity(channel):
    rng = np.random.default_rng(1)
    h = np.repeat([-1.5, -0.2, 0.0, 0.4, 2.5], 40_000)
    y = channel.sample(h, rng)
    t = channel.augment(y, h, rng)
    made = {Linear: lambda t: t, Sign: np.sign, ReLU: lambda t: np.maximum(t, 0), Abs: abs}[type(channel)](t)
    np.testing.assert_array_equal(made, y)
    z = ((t - h) / np.sqrt(0.2)).reshape(5, -1)  # at given h: normal, whatever the label was
    for k, moment in ((1, 0), (2, 1), (3, 0), (4, 3)):
        assert (abs(np.mean(z**k, axis=1) - moment) < 4.5 * np.std(z**k, axis=1) / 200).all()


def test_augmented_labels_far_in_the_tails():
    h = np.array([-40.0, 40.0])
    t = Sign(1.0).augment([1, -1], h, 0)
    assert (np.sign(t) == [1, -1]).all()
    assert (abs(t) < 1).all()  # within some 1/40 of 0
    assert np.isfinite(Abs(1e-3).augment([3.0, 3.0], h, 0)).all()


# What is refused


@pytest.mark.parametrize(
    ("channel", "bad", "allowed"),
    [
        (Linear(0.1), np.nan, "finite"),
        (Sign(), 0.0, "-1 or 1"),
        (Sign(0.1), 2.0, "-1 or 1"),
        (ReLU(), -0.1, "zero or positive"),
        (Abs(), -0.1, "zero or positive"),
        (Logistic(), 0.0, "-1 or 1"),
        (Poisson(), -1.0, "a whole number"),
        (Poisson(), 1.5, "a whole number"),
        (CHANNELS["Custom"], 2.0, "one of the outputs"),
    ],
    ids=repr,
)
def test_impossible_labels_are_named_with_their_channel(channel, bad, allowed):
    with pytest.raises(ValueError, match=f"^y must be {allowed}") as refusal:
        channel.score([possible(channel)[0], bad], 0.0, 0.5)
    assert repr(channel) in str(refusal.value)
    assert str(bad) in str(refusal.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Sign(-0.1), "delta must be zero or positive"),
        (lambda: Linear(np.inf), "delta must be zero or positive"),
        (lambda: Abs([0.1, 0.2]), "delta must be a single number"),
        (lambda: Logistic(0.0), "scale must be positive"),
        (lambda: Poisson(0.0), "rate must be positive"),
        (lambda: Poisson(1.0, 0.0), "gain must not be zero"),
        (lambda: Poisson(1.0, 3.0).information(0.5), "rate and gain must give counts below"),
        (lambda: Custom(1.0, [0, 1]), "log_likelihood must be a function"),
        (lambda: Custom(lambda y, h: 0 * (y + h), [[0, 1]]), "outputs must be a list of numbers"),
        (lambda: Sign(0.1).test_error(0.2, error=0.1), "error must be 1 - q where both are given, got 0.1 and 0.2"),
        (lambda: Custom(lambda y, h: 0 * (y + h), [0, 1]), "log_likelihood must have probabilities that add up to 1"),
        (lambda: Custom(lambda y, h: 0 * (y + h), [0, 1], [0.5]), "weights must have the length 2"),
        (lambda: Sign().information(1.5), "q must be in"),
        (lambda: Sign().information(), "q must be given"),
        (lambda: Sign().information(error=-0.1), "error must be in"),
        (lambda: Sign().score(1.0, 0.0, 0.0), "V must be positive for Sign"),
        (lambda: Sign(0.1).score(1.0, 0.0, -1.0), "V must be zero or positive"),
        (lambda: Abs().predict(np.nan, 0.1), "omega must be finite"),
        (lambda: Sign().sample([np.nan]), "h must be finite"),
        (lambda: Sign().augment([1.0], [0.0]), "delta must be positive to sample"),
        (lambda: Logistic().augment([1.0], [0.0]), "channel must be Linear, Sign, ReLU or Abs to be augmented"),
        (lambda: bsr.Problem(0.5, channel="Sign"), "channel must be None or one of bsr.channels"),
        (lambda: bsr.Problem(0.5, delta=0.1, channel=Sign(0.1)), "delta must be 0 where a channel is given"),
        (lambda: bsr.theory.bayes.mmse(0.5, delta=0.1, channel=Sign()), "delta must be 0 where a channel is given"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        call()


def test_a_likelihood_that_cannot_be_resolved_is_said():
    with pytest.warns(bsr.ConvergenceWarning, match="varies too fast"):
        assert np.isnan(Logistic(1e-5).information(0.999))


def test_channels_are_small_frozen_and_shown_in_a_line():
    assert repr(Sign(0.1)) == "Sign(delta=0.1)"
    assert repr(Poisson(2, 0.5)) == "Poisson(rate=2.0, gain=0.5)"
    assert repr(CHANNELS["Custom"]) == "Custom(three_classes, <3 outputs>)"
    for name, channel in CHANNELS.items():
        channel.information(0.5)
        copy = pickle.loads(pickle.dumps(channel))
        assert copy == channel
        assert hash(copy) == hash(channel)
        assert copy.information(0.5) == channel.information(0.5)
        assert "\n" not in repr(channel)
        assert channel.even == name.endswith("Abs")
        field = next(iter(channel.__dataclass_fields__))
        with pytest.raises(AttributeError):
            setattr(channel, field, 1.0)


# Problems


def test_linear_channels_are_what_delta_means():
    problem, other = bsr.Problem(0.5, 1.0, 0.2, delta=0.1), bsr.Problem(0.5, 1.0, 0.2, channel=Linear(0.1))
    assert problem == other
    assert repr(problem) == repr(other) == "Problem(alpha=0.5, beta=1.0, rho=0.2, delta=0.1)"
    data = problem.sample(20, rng=3)
    h = bsr.predict(data.X, data.S)
    noise = np.random.default_rng(3)
    (
        noise.standard_normal((20, 4)),
        noise.standard_normal((20, 4)),
        noise.standard_normal(data.X.shape, dtype=np.float32),
    )
    np.testing.assert_array_equal(data.y, h + np.sqrt(0.1) * noise.standard_normal(len(h)))


@pytest.mark.parametrize("name", CHANNELS)
def test_problems_draw_labels_from_their_channel(name):
    channel = CHANNELS[name]
    problem = bsr.Problem(0.5, 1.0, 0.2, channel=channel)
    data = problem.sample(20, rng=3)
    assert data.problem.channel == problem.channel
    h = bsr.predict(data.X, data.S)
    channel.check_labels(data.y)
    expected = {"Sign": np.sign(h), "ReLU": np.maximum(h, 0), "Abs": abs(h)}
    if name in expected:
        np.testing.assert_array_equal(data.y, expected[name])
    if not isinstance(channel, Linear):
        assert repr(problem) == f"Problem(alpha=0.5, beta=1.0, rho=0.2, delta=0.0, channel={channel!r})"
