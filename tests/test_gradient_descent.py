"""Gradient descent: its gradient and symmetries, replicas that leave each other alone, landing, and what it learns."""

import warnings

import numpy as np
import pytest
from scipy.optimize import minimize

import bsr
from bsr.channels import Abs, Linear, Logistic, Poisson, ReLU, Sign
from bsr.estimators import TeacherError, _gradient_descent, gradient_descent, interpolate
from bsr.estimators._interpolate import _land, _minimal_norm_step

IN_DOUBLE = {"switch": np.inf, "tol": 0.0}


@pytest.fixture(scope="module")
def data():
    """19 samples of a teacher with d = 6, L = 8, r = 2, that is 2 (6 + 8 - 2) = 24 parameters: many interpolate."""
    return bsr.Problem(alpha=0.4, beta=4 / 3, rho=1 / 3).sample(6, rng=1, dtype=np.float64)


@pytest.fixture
def factors():
    """Starting points of three replicas."""
    rng = np.random.default_rng(2)
    return rng.standard_normal((3, 8, 2)), rng.standard_normal((3, 6, 2))


def training_error(X, y, S):
    return np.mean((np.einsum("nld,ld->n", X, S) / np.sqrt(S.size) - y) ** 2)


def loss(X, y, U, V, weight_decay):
    """The loss of one replica as the paper writes it."""
    S = U @ V.T / np.sqrt(U.shape[1])
    return len(y) / 4 * training_error(X, y, S) + weight_decay / 2 * (np.sum(U**2) + np.sum(V**2))


def slopes(f, factors, which, h):
    """Central differences of f by the entries of one of two factors."""
    gradient = np.empty_like(factors[which])
    for entry in np.ndindex(gradient.shape):
        values = []
        for sign in (1, -1):
            moved = [factor.copy() for factor in factors]
            moved[which][entry] += sign * h
            values.append(f(*moved))
        gradient[entry] = (values[0] - values[1]) / (2 * h)
    return gradient


@pytest.mark.parametrize("weight_decay", [0.0, 0.7])
def test_one_step_is_minus_lr_times_the_gradient_of_the_loss(data, factors, weight_decay):
    lr, h = 0.3, 1e-5
    U, V = factors[0][0], factors[1][0]
    result = gradient_descent(data.X, data.y, 2, init=(U, V), steps=1, lr=lr, weight_decay=weight_decay, **IN_DOUBLE)
    for which, new in enumerate((result.U[0], result.V[0])):
        old = (U, V)[which]
        gradient = slopes(lambda *factors: loss(data.X, data.y, *factors, weight_decay), (U, V), which, h)
        np.testing.assert_allclose((old - new) / lr, gradient, rtol=1e-6, atol=1e-8)


def test_rotating_the_factors_does_not_change_the_estimate(data, factors):
    U, V = factors
    rotation = np.linalg.qr(np.random.default_rng(3).standard_normal((2, 2)))[0]
    plain = gradient_descent(data.X, data.y, 2, init=(U, V), steps=60, **IN_DOUBLE)
    rotated = gradient_descent(data.X, data.y, 2, init=(U @ rotation, V @ rotation), steps=60, **IN_DOUBLE)
    np.testing.assert_allclose(rotated.S, plain.S, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(rotated.U, plain.U @ rotation, rtol=1e-10, atol=1e-12)


def test_transposing_the_sequences_transposes_the_estimate(data, factors):
    U, V = factors
    plain = gradient_descent(data.X, data.y, 2, init=(U, V), steps=60, **IN_DOUBLE)
    other = gradient_descent(data.X.transpose(0, 2, 1), data.y, 2, init=(V, U), steps=60, **IN_DOUBLE)
    np.testing.assert_allclose(other.S.transpose(0, 2, 1), plain.S, rtol=1e-10, atol=1e-12)


def test_imbalance_of_the_factors_is_conserved_up_to_the_step_size(data, factors):
    """The gradient flow conserves U^T U - V^T V; a step changes it by O(lr^2), so 1/lr of them by O(lr)."""
    U, V = factors[0][0], factors[1][0]
    drift = []
    for lr in (0.02, 0.01, 0.005):
        result = gradient_descent(data.X, data.y, 2, init=(U, V), steps=round(4 / lr), lr=lr, **IN_DOUBLE)
        drift.append(np.linalg.norm(result.U[0].T @ result.U[0] - result.V[0].T @ result.V[0] - U.T @ U + V.T @ V))
    assert drift[0] < 0.1
    assert drift[0] / drift[1] == pytest.approx(2, abs=0.15)
    assert drift[1] / drift[2] == pytest.approx(2, abs=0.08)


def test_weight_decay_balances_the_factors_and_shrinks_the_estimate(data, factors):
    """d/dt (U^T U - V^T V) = -2 wd (U^T U - V^T V); and a penalty can only lower the norm that it penalises."""
    free = gradient_descent(data.X, data.y, 2, init=factors, steps=4000, **IN_DOUBLE)
    norms = [np.sum(free.U**2, axis=(1, 2)) + np.sum(free.V**2, axis=(1, 2))]
    for weight_decay in (0.02, 0.1):
        held = gradient_descent(data.X, data.y, 2, init=factors, steps=4000, weight_decay=weight_decay, **IN_DOUBLE)
        norms.append(np.sum(held.U**2, axis=(1, 2)) + np.sum(held.V**2, axis=(1, 2)))
        imbalance = held.U.transpose(0, 2, 1) @ held.U - held.V.transpose(0, 2, 1) @ held.V
        assert np.abs(imbalance).max() < 1e-5
    assert np.all(norms[0] > norms[1])
    assert np.all(norms[1] > norms[2])


def test_replicas_do_not_notice_each_other_or_their_order(data, factors):
    U, V = factors
    lr = np.array([0.1, 0.2, 0.05])
    together = gradient_descent(data.X, data.y, 2, init=(U, V), steps=100, lr=lr, **IN_DOUBLE)
    for k in range(3):
        alone = gradient_descent(data.X, data.y, 2, init=(U[k], V[k]), steps=100, lr=lr[k], **IN_DOUBLE)
        np.testing.assert_allclose(together.S[k], alone.S[0], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(together.history.train_error[:, k], alone.history.train_error[:, 0], rtol=1e-9)


@pytest.mark.slow
def test_replicas_that_have_reached_the_aim_rest_while_others_go_on(data, factors):
    options = dict(lr=0.2, tol=1e-10, switch=1e-4)
    alone = [gradient_descent(data.X, data.y, 2, init=pair, **options) for pair in zip(*factors, strict=True)]
    together = gradient_descent(data.X, data.y, 2, init=factors, **options)
    taken = [result.iterations for result in alone]
    assert min(taken) < max(taken) == together.iterations
    assert together.converged
    assert np.all(together.train_error <= 1e-10)
    for k in range(3):
        np.testing.assert_allclose(together.S[k], alone[k].S[0], atol=1e-3)
        assert training_error(data.X, data.y, together.S[k]) == pytest.approx(together.train_error[k], rel=1e-6)


def test_random_replicas_are_those_of_a_smaller_number_first(data):
    many = gradient_descent(data.X, data.y, 2, replicas=5, steps=0, tol=0.0, rng=9)
    few = gradient_descent(data.X, data.y, 2, replicas=2, steps=0, tol=0.0, rng=9, init_scale=[1.0, 1e-3])
    np.testing.assert_allclose(few.U, many.U[:2] * np.array([1.0, 1e-3])[:, None, None])
    assert np.std(np.concatenate([many.U, many.V], axis=1)) == pytest.approx(1, abs=0.2)
    assert not np.allclose(many.U[0], many.U[1])


@pytest.mark.parametrize("switch", [0.0, np.inf])
@pytest.mark.parametrize("too_large", [30.0, 1e30])
def test_a_diverging_replica_is_taken_out_and_harms_nobody(data, factors, switch, too_large):
    lr, watch, other_watch = np.array([0.1, too_large, 0.1]), TeacherError(data.S), TeacherError(data.S)
    options = dict(steps=200, switch=switch, tol=0.0)
    with pytest.warns(bsr.ConvergenceWarning, match="1 of 3 replicas diverged"):
        result = gradient_descent(data.X, data.y, 2, init=factors, lr=lr, callback=watch, **options)
    assert result.diverged.tolist() == [False, True, False]
    assert not result.converged
    assert np.isnan(result.S[1]).all()
    assert result.train_error[1] == np.inf
    assert watch.error[-1, 1] == np.inf
    kept = [factor[[0, 2]] for factor in factors]
    others = gradient_descent(data.X, data.y, 2, init=tuple(kept), callback=other_watch, **options)
    np.testing.assert_allclose(result.S[[0, 2]], others.S, atol=1e-9 if switch else 1e-4)
    np.testing.assert_allclose(result.S_mean, result.S[[0, 2]].mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(watch.mean_error[-1], other_watch.mean_error[-1], rtol=1e-3)


def test_all_replicas_may_diverge(data):
    with pytest.warns(bsr.ConvergenceWarning, match="2 of 2 replicas diverged"):
        result = gradient_descent(data.X, data.y, 2, replicas=2, steps=500, lr=100.0)
    assert result.iterations < 50
    assert np.isnan(result.S_mean).all()


@pytest.mark.parametrize("start", [0.01, 4.0])
def test_a_replica_has_diverged_above_the_limit_times_its_first_error_or_the_labels(data, factors, start, monkeypatch):
    """The larger of the two: the first error is 3e-4 mean(y^2) at one start and 600 mean(y^2) at the other."""
    U, V = (start * factor[0] for factor in factors)
    if start < 1.0:
        U, V = data.U + U, data.V + V
    options = dict(init=(U, V), lr=30.0 if start < 1.0 else 3.0, record=range(20), **IN_DOUBLE)
    monkeypatch.setattr(_gradient_descent, "_EXPLODED", 1e250)
    with pytest.warns(bsr.ConvergenceWarning, match="diverged"):
        errors = gradient_descent(data.X, data.y, 2, steps=6, **options).history.train_error[:, 0]
    reference = max(errors[0], np.mean(data.y**2))
    assert not 0.1 < errors[0] / np.mean(data.y**2) < 10
    step = np.flatnonzero(errors > 10 * reference)[0]
    for factor, end in ((0.9, step), (1.1, step + 1)):
        monkeypatch.setattr(_gradient_descent, "_EXPLODED", factor * errors[step] / reference)
        with pytest.warns(bsr.ConvergenceWarning, match="1 of 1 replicas diverged"):
            result = gradient_descent(data.X, data.y, 2, steps=6, **options)
        assert result.iterations == end


@pytest.mark.slow
def test_float32_follows_float64_and_finishes_in_it(data, factors):
    options = dict(init=factors, lr=0.2, tol=1e-15)
    double = gradient_descent(data.X, data.y, 2, switch=np.inf, **options)
    mixed = gradient_descent(data.X.astype(np.float32), data.y, 2, **options)
    assert double.converged
    assert mixed.converged
    np.testing.assert_allclose(mixed.S, double.S, atol=1e-3)
    with pytest.warns(bsr.ConvergenceWarning, match="3 of 3 replicas have a training error above tol"):
        single = gradient_descent(data.X, data.y, 2, switch=0.0, steps=10_000, **options)
    assert np.all(single.train_error < 1e-10)


@pytest.mark.slow
def test_small_initialisation_finds_a_low_rank_teacher_with_too_wide_a_student():
    """65 samples, 23 parameters in the teacher, 80 in the student: of all that interpolate, the simple one."""
    data = bsr.Problem(alpha=0.45, beta=1.0, rho=1 / 12).sample(12, rng=0)
    scales = [1e-4, 1.0, 1.0, 1.0, 1.0, 1.0]
    result = gradient_descent(data.X, data.y, 4, replicas=6, init_scale=scales, tol=0.0, steps=10_000, rng=1)
    assert np.all(result.train_error < 1e-5)
    small, *prior = bsr.mse(result.S, data.S)
    assert small < 1e-5
    assert np.median(prior) > 1e-2


def test_more_samples_than_parameters_recover_the_teacher_from_the_prior():
    data = bsr.Problem(alpha=1.5, beta=2.0, rho=0.2).sample(10, rng=0)
    result = gradient_descent(data.X, data.y, 2, replicas=3, lr=0.1, tol=1e-16)
    assert np.all(bsr.mse(result.S, data.S) < 1e-14)
    assert result.history.overlap[-1] == pytest.approx(np.mean(data.S**2), rel=1e-6)


def test_a_student_narrower_than_the_teacher_cannot_fit_many_samples():
    data = bsr.Problem(alpha=3.0, beta=1.0, rho=0.5).sample(8, rng=0)
    narrow, equal, wide = (
        gradient_descent(data.X, data.y, width, lr=0.05, steps=3000, tol=0.0, rng=2).train_error[0]
        for width in (2, 4, 6)
    )
    best_of_rank_2 = np.sum(np.linalg.svd(data.S)[1][2:] ** 2) / data.S.size
    assert narrow > 0.5 * best_of_rank_2
    assert max(equal, wide) < 1e-3 * best_of_rank_2


def test_a_matrix_to_start_from_is_factorised_evenly(data):
    rng = np.random.default_rng(4)
    S = rng.standard_normal((2, 8, 6))
    result = gradient_descent(data.X, data.y, 6, init=S, steps=0, tol=0.0)
    np.testing.assert_allclose(result.S, S, atol=1e-12)
    np.testing.assert_allclose(
        result.U.transpose(0, 2, 1) @ result.U, result.V.transpose(0, 2, 1) @ result.V, atol=1e-12
    )
    left, sigma, right = np.linalg.svd(S[0])
    cut = gradient_descent(data.X, data.y, 2, init=S[0], steps=0, tol=0.0, replicas=3)
    np.testing.assert_allclose(cut.S[2], (left[:, :2] * sigma[:2]) @ right[:2], atol=1e-12)
    wide = gradient_descent(data.X, data.y, 9, init=S[0], steps=0, tol=0.0)
    assert wide.U.shape == (1, 8, 9)
    np.testing.assert_allclose(wide.S[0], S[0], atol=1e-12)


def test_descent_starting_at_a_solution_stays(data):
    result = gradient_descent(data.X, data.y, 2, init=(data.U, data.V), tol=1e-25)
    assert result.converged
    assert result.iterations == 0
    np.testing.assert_allclose(result.S[0], data.S, atol=1e-12)


def test_history_says_what_the_states_say(data, factors):
    watch = TeacherError(data.S)
    whole = gradient_descent(
        data.X, data.y, 2, init=factors, steps=40, record=[7, 20, 999], callback=watch, **IN_DOUBLE
    )
    history = whole.history
    assert history.step.tolist() == watch.iteration.tolist() == [0, 7, 20, 40]
    assert history.train_error.shape == watch.error.shape == (4, 3)
    assert watch.mean_error.shape == history.overlap.shape == (4,)
    for index, steps in enumerate((0, 7, 20, 40)):
        result = gradient_descent(data.X, data.y, 2, init=factors, steps=steps, **IN_DOUBLE)
        S = result.S
        np.testing.assert_allclose(history.train_error[index], [training_error(data.X, data.y, s) for s in S])
        np.testing.assert_allclose(watch.error[index], bsr.mse(S, data.S))
        np.testing.assert_allclose(watch.mean_error[index], bsr.mse(S.mean(axis=0), data.S))
        pairs = [np.mean(S[a] * S[b]) for a, b in ((0, 1), (0, 2), (1, 2))]
        assert history.overlap[index] == pytest.approx(np.mean(pairs), rel=1e-9)
    assert whole.iterations == 40
    np.testing.assert_allclose(whole.S_mean, whole.S.mean(axis=0))


def test_recorded_steps_are_spaced_logarithmically(data):
    result = gradient_descent(data.X, data.y, 2, steps=2000, record=4, tol=0.0)
    expected = [0, 1, 2, 3, 6, 10, 18, 32, 56, 100, 178, 316, 562, 1000, 1778, 2000]
    assert result.history.step.tolist() == expected
    assert np.isnan(result.history.overlap).all()


def test_interpolation_takes_a_short_cut_to_the_end_of_the_descent():
    data = bsr.Problem(alpha=0.2, beta=1.0, rho=0.2).sample(20, rng=0)
    options = dict(replicas=4, lr=0.1, rng=3)
    walked = gradient_descent(data.X, data.y, 4, tol=1e-16, **options)
    short = gradient_descent(data.X, data.y, 4, tol=1e-4, **options)
    landed = interpolate(data.X, data.y, short, tol=1e-16)
    assert landed.landed.all()
    assert landed.converged
    assert short.iterations < walked.iterations / 2
    start = gradient_descent(data.X, data.y, 4, steps=0, tol=0.0, **options)
    gap = np.sum((landed.S - walked.S) ** 2, axis=(1, 2))
    assert np.all(gap < 1e-6 * np.sum((start.S - walked.S) ** 2, axis=(1, 2)))
    assert [training_error(data.X, data.y, S) for S in landed.S] == pytest.approx(landed.train_error, abs=1e-17)
    np.testing.assert_allclose(landed.S_mean, landed.S.mean(axis=0))
    assert landed.history is short.history


@pytest.mark.parametrize(("rank", "parameters"), [(2, 2 * (8 + 6 - 2)), (5, 5 * (8 + 6 - 5)), (6, 48), (7, 48)])
def test_interpolation_is_for_fewer_samples_than_parameters(rank, parameters):
    rng = np.random.default_rng(0)
    for n in (parameters - 1, parameters):
        X, y = rng.standard_normal((n, 8, 6)), rng.standard_normal(n)
        descent = gradient_descent(X, y, rank, steps=1, tol=0.0)
        what = "replicas are still above tol" + ("" if n < parameters else f".*not fewer than the {parameters} param")
        with pytest.warns(bsr.ConvergenceWarning, match=what):
            result = interpolate(X, y, descent, reach=1e-9)
        np.testing.assert_array_equal(result.S, descent.S)
        assert not result.converged
        assert not result.landed.any()


def test_replicas_that_diverged_or_have_arrived_stay(data, factors):
    with pytest.warns(bsr.ConvergenceWarning, match="1 of 3 replicas diverged"):
        descent = gradient_descent(data.X, data.y, 2, init=factors, lr=[0.2, 30.0, 0.2], tol=1e-4)
    half = interpolate(data.X, data.y, descent, tol=1e-8)
    assert half.landed.tolist() == [True, False, True]
    assert not half.converged
    assert np.isnan(half.S[1]).all()
    assert np.isfinite(half.S_mean).all()
    np.testing.assert_array_equal(interpolate(data.X, data.y, half, tol=1e-8).S, half.S)


def test_interpolation_measures_on_the_data_that_it_is_given(data):
    """Whatever the descent has met, other labels are not."""
    descent = gradient_descent(data.X, data.y, 2, tol=1e-8)
    with pytest.warns(bsr.ConvergenceWarning, match="1 of 1 replicas are still above"):
        result = interpolate(data.X, -data.y, descent, tol=1e-8, reach=1e-9)
    assert not result.converged
    assert result.train_error == pytest.approx(training_error(data.X, -data.y, result.S[0]))


def test_interpolation_stays_where_both_factors_are_zero(data):
    descent = gradient_descent(data.X, data.y, 2, init_scale=0.0, steps=1, tol=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", bsr.ConvergenceWarning)
        result = interpolate(data.X, data.y, descent)
    assert not result.S.any()
    assert not result.converged


def test_conjugate_gradients_find_the_smallest_of_all_steps(data, factors):
    """In exact arithmetic n iterations give the pseudo-inverse of the derivative of the predictions."""
    U, V = factors
    X = data.X.reshape(19, 48)
    residual = np.random.default_rng(5).standard_normal((3, 19))
    steps = _minimal_norm_step(X, U, V, residual, 1e-12, 40)
    for k in range(3):
        by_U = np.einsum("nld,dr->nlr", data.X, V[k]).reshape(19, 16)
        by_V = np.einsum("nld,lr->ndr", data.X, U[k]).reshape(19, 12)
        exact = np.linalg.pinv(np.hstack([by_U, by_V])) @ residual[k]
        np.testing.assert_allclose(np.concatenate([step[k].ravel() for step in steps]), exact, rtol=1e-8, atol=1e-10)


def test_a_landing_out_of_reach_is_undone(data, factors):
    descent = gradient_descent(data.X, data.y, 2, init=factors, lr=0.2, tol=1e-4, switch=np.inf)
    with pytest.warns(bsr.ConvergenceWarning, match="3 of 3 replicas are still above tol=1e-08"):
        tried = interpolate(data.X, data.y, descent, tol=1e-8, reach=1e-9)
    assert not tried.landed.any()
    np.testing.assert_array_equal(tried.S, descent.S)
    np.testing.assert_allclose(tried.train_error, descent.train_error, rtol=1e-12)


def test_reach_is_relative_to_the_norm_of_both_factors(data):
    X, rng = data.X.reshape(19, 48) / np.sqrt(2 * 48), np.random.default_rng(6)
    U, V = (factor + 0.01 * rng.standard_normal((3, *factor.shape)) for factor in (data.U, data.V))
    for balance in (0.5, 2.0):  # the prediction is the same
        start = balance * U, V / balance
        landed, *end, _ = _land(X, data.y, *start, 1e-16, reach=np.inf)
        assert landed.all()
        ways = sum(np.sum((new - old) ** 2, axis=(1, 2)) for new, old in zip(end, start, strict=True))
        ways = np.sqrt(ways / sum(np.sum(factor**2, axis=(1, 2)) for factor in start))
        assert 0.001 < ways.min() < ways.max() < 0.1
        for k, way in enumerate(ways):
            assert not _land(X, data.y, *start, 1e-16, reach=0.9 * way)[0][k]
            assert _land(X, data.y, *start, 1e-16, reach=1.1 * way)[0][k]


def test_one_step_may_reach_the_labels_and_yet_lead_too_far(data):
    X, rng = data.X.reshape(19, 48) / np.sqrt(2 * 48), np.random.default_rng(6)
    U, V = (factor + 0.01 * rng.standard_normal((1, *factor.shape)) for factor in (data.U, data.V))
    before = np.mean(((U @ V.transpose(0, 2, 1)).reshape(1, -1) @ X.T - data.y) ** 2)
    assert _land(X, data.y, U, V, 0.1 * before)[0]
    assert not _land(X, data.y, U, V, 0.1 * before, reach=1e-6)[0]


def test_with_as_many_samples_as_parameters_nothing_moves_though_it_could():
    for alpha, moves in ((23 / 48, True), (24 / 48, False)):
        data = bsr.Problem(alpha, beta=4 / 3, rho=1 / 3).sample(6, rng=1, dtype=np.float64)
        start = tuple(factor + 1e-3 * np.ones_like(factor) for factor in (data.U, data.V))
        near = gradient_descent(data.X, data.y, 2, init=start, steps=0, tol=0.0)
        if moves:
            assert interpolate(data.X, data.y, near).landed.all()
        else:
            with pytest.warns(bsr.ConvergenceWarning, match="24 samples are not fewer than the 24 parameters"):
                assert not interpolate(data.X, data.y, near).landed.any()


def test_who_has_landed_stays_while_others_go_on(data):
    X, rng = data.X.reshape(19, 48) / np.sqrt(2 * 48), np.random.default_rng(6)
    far = np.array([1e-4, 0.03])[:, None, None]
    U, V = (factor + far * rng.standard_normal((2, *factor.shape)) for factor in (data.U, data.V))
    landed, new_U, new_V, _ = _land(X, data.y, U, V, 1e-6)
    assert landed.all()
    assert not np.allclose(new_U[1], U[1], atol=1e-3)
    np.testing.assert_array_equal(new_U[0], U[0])
    np.testing.assert_array_equal(new_V[0], V[0])


def test_an_interrupt_is_raised(monkeypatch, data, factors):
    def interrupted(data, teams):
        raise KeyboardInterrupt

    monkeypatch.setattr(_gradient_descent, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        gradient_descent(data.X, data.y, 2, init=factors, steps=100, **IN_DOUBLE)


def test_a_descent_in_legs_is_the_same_descent(data, factors):
    whole = gradient_descent(data.X, data.y, 2, init=factors, steps=60, **IN_DOUBLE)
    leg = gradient_descent(data.X, data.y, 2, init=factors, steps=25, **IN_DOUBLE)
    rest = gradient_descent(data.X, data.y, 2, init=(leg.U, leg.V), steps=35, **IN_DOUBLE)
    np.testing.assert_allclose(rest.S, whole.S, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(rest.train_error, whole.train_error, rtol=1e-9)


@pytest.mark.parametrize(
    ("X_unit", "y_unit"), [(1, 1e-8), (1, 1e-28), (1, 1e28), (1e-6, 1), (1e-29, 1e6), (1e28, 1e-6)]
)
@pytest.mark.parametrize("landing", [False, True])
def test_the_descent_follows_the_units_of_the_data(data, factors, X_unit, y_unit, landing):
    """The loss in the new units, started at the same place, with a step of the same length."""
    unit = y_unit / X_unit
    options = dict(lr=0.2, tol=1e-4 if landing else 1e-8)
    for precision, accuracy in ((np.float32, 1e-3), (np.float64, 1e-5)):
        X = data.X.astype(precision)
        expected = gradient_descent(X, data.y, 2, init=factors, **options)
        start = tuple(unit**0.5 * factor for factor in factors)
        options_there = options | {"lr": 0.2 / (X_unit * y_unit)}
        scaled = precision(X_unit) * X
        assert scaled.dtype == precision
        result = gradient_descent(scaled, y_unit * data.y, 2, init=start, **options_there)
        if landing:
            expected, result = (
                interpolate(X, data.y, expected, tol=1e-8),
                interpolate(scaled, y_unit * data.y, result, tol=1e-8),
            )
        assert result.converged
        assert expected.converged
        assert result.landed.tolist() == expected.landed.tolist()
        np.testing.assert_allclose(result.S / unit, expected.S, atol=accuracy)
        assert np.all(result.train_error <= 1e-8 * y_unit**2 * np.mean(data.y**2))
        for name, value in vars(expected.history).items():
            power = {"step": 0, "train_error": y_unit**2}.get(name, unit**2)
            there = getattr(result.history, name)[:5]
            np.testing.assert_allclose(there / power if power else there, value[:5], rtol=1e-3)


def test_tolerances_are_relative_to_the_labels(data, factors):
    """Labels in another unit used to end the descent at once, or never."""
    small = gradient_descent(data.X, 1e-8 * data.y, 2, init=tuple(1e-4 * f for f in factors), lr=0.2 * 1e8, tol=1e-10)
    assert small.iterations > 100
    np.testing.assert_allclose(bsr.sensing.forward(data.X, small.S[0]) / 48**0.5, 1e-8 * data.y, rtol=0, atol=1e-12)


def test_the_change_to_double_precision_is_relative_to_the_labels(data, factors):
    """It ends where single precision could not."""
    result = gradient_descent(data.X, 1e6 * data.y, 2, init=tuple(1e3 * f for f in factors), lr=0.2e-6, tol=1e-15)
    assert result.converged


def test_without_labels_tolerances_are_relative_to_the_start(data, factors):
    start = tuple(1e-3 * factor for factor in factors)
    result = gradient_descent(data.X, np.zeros(19), 2, init=start, lr=0.2e6, tol=1e-6, steps=20_000)
    assert result.converged
    assert result.iterations > 10
    assert np.all(result.train_error <= 1e-6 * result.history.train_error[0].max())


def test_progress_is_shown_on_request(data, capsys):
    gradient_descent(data.X, data.y, 2, steps=20, tol=0.0)
    assert capsys.readouterr().err == ""
    gradient_descent(data.X, data.y, 2, steps=20, tol=0.0, progress=True)
    assert "20/20" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, "rank must be an integer >= 1, got 0"),
        ({"replicas": 0}, "replicas must be an integer >= 1, got 0"),
        ({"steps": -1}, "steps must be an integer >= 0, got -1"),
        ({"lr": 0.0}, "lr must be positive"),
        ({"lr": [0.1, 0.2, 0.3]}, r"lr must be one number or 2, one for each replica, got shape \(3,\)"),
        ({"init_scale": -1.0}, "init_scale must be zero or positive"),
        ({"init_scale": [1.0]}, "init_scale must be one number or 2"),
        ({"weight_decay": -0.1}, "weight_decay must be zero or positive"),
        ({"weight_decay": 10.0}, r"weight_decay must be below 1/lr = 10.0, got 10.0"),
        ({"weight_decay": [0.1, 0.1]}, "weight_decay must be a single number"),
        ({"tol": -1.0}, "tol must be zero or positive"),
        ({"tol": np.nan}, "tol must be zero or positive"),
        ({"switch": -1.0}, "switch must be zero or positive"),
        ({"record": 0}, "record must be an integer >= 1"),
        ({"record": [3, -1]}, "record must be an integer >= 0, got -1"),
        ({"callback": "print"}, "callback must be a function of one argument or None, got 'print'"),
        ({"init": "zero"}, "init must be 'nuclear_norm' or 'ridge', a matrix or a pair of factors, got 'zero'"),
        ({"init": np.zeros((8, 6)), "init_scale": 0.1}, "init and init_scale exclude each other"),
        ({"init": np.zeros((6, 8))}, r"init must have shape \(8, 6\)"),
        ({"init": np.full((8, 6), np.nan)}, "init must be finite"),
        ({"init": (np.zeros((8, 2)),)}, "init must be a pair"),
        ({"init": (np.zeros((8, 2)), np.zeros((6, 3)))}, r"init must have shapes \(8, 2\) and \(6, 2\)"),
        ({"init": (np.zeros((3, 8, 2)), np.zeros((3, 6, 2)))}, "an axis of 2 replicas"),
        ({"init": (np.zeros((2, 8, 2)), np.zeros((6, 2)))}, "init must have shapes"),
    ],
)
def test_bad_arguments_are_named(data, options, message):
    options = {"rank": 2, "replicas": 2} | options
    with pytest.raises(ValueError, match=message):
        gradient_descent(data.X, data.y, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tol": 0.0}, "tol must be positive"),
        ({"reach": 0.0}, "reach must be positive"),
        ({"newton_steps": 0}, "newton_steps must be an integer >= 1"),
        ({"cg_tol": 1.0}, "cg_tol must be strictly between 0 and 1"),
        ({"cg_iterations": 0}, "cg_iterations must be an integer >= 1"),
        ({"descent": 3}, "descent must be a result of gradient_descent, got 3"),
        ({"X": np.ones((19, 6, 8))}, r"descent must be of shape \(6, 8\) to match X, got \(8, 6\)"),
    ],
)
def test_bad_arguments_of_interpolate_are_named(data, options, message):
    good = {"X": data.X, "y": data.y, "descent": gradient_descent(data.X, data.y, 2, steps=0, tol=0.0)}
    with pytest.raises(ValueError, match=message):
        interpolate(**good | options)


def test_a_descent_may_start_from_the_nuclear_norm(data):
    by_name = gradient_descent(data.X, data.y, 2, init="nuclear_norm", steps=5, tol=0.0)
    by_matrix = gradient_descent(
        data.X, data.y, 2, init=bsr.estimators.nuclear_norm(data.X, data.y).S, steps=5, tol=0.0
    )
    np.testing.assert_array_equal(by_name.S, by_matrix.S)


def test_an_anchor_pulls_to_a_point(data, factors):
    """A step from (U, V) moves by -lr times the gradient of the loss and of weight_decay ||U - U1||^2 / 2."""
    U, V = factors
    lr, decay = 0.2, 0.7
    towards = (0.3 * U[::-1], V[0])
    plain = gradient_descent(data.X, data.y, 2, init=(U, V), steps=1, lr=lr, **IN_DOUBLE)
    pulled = gradient_descent(
        data.X, data.y, 2, init=(U, V), steps=1, lr=lr, weight_decay=decay, anchor=towards, **IN_DOUBLE
    )
    np.testing.assert_allclose(pulled.U - plain.U, -lr * decay * (U - towards[0]), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(pulled.V - plain.V, -lr * decay * (V - towards[1]), rtol=1e-9, atol=1e-12)


def test_an_anchor_at_the_start_does_nothing_in_the_first_step(data, factors):
    options = {"init": factors, "lr": 0.2, **IN_DOUBLE}
    plain, anchored = (
        gradient_descent(data.X, data.y, 2, steps=1, **more, **options)
        for more in ({}, {"weight_decay": 0.7, "anchor": "init"})
    )
    np.testing.assert_allclose(anchored.S, plain.S, rtol=1e-12)


def test_each_replica_may_have_its_own_labels(data, factors):
    labels = data.y + np.random.default_rng(4).standard_normal((3, len(data.y)))
    options = {"steps": 40, "lr": 0.2, **IN_DOUBLE}
    together = gradient_descent(data.X, labels, 2, init=factors, **options)
    for k, own in enumerate(labels):
        alone = gradient_descent(data.X, own, 2, init=(factors[0][k], factors[1][k]), **options)
        np.testing.assert_allclose(together.S[k], alone.S[0], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(together.train_error[k], alone.train_error[0], rtol=1e-9)
    assert len(gradient_descent(data.X, labels, 2, steps=1, tol=0.0).S) == 3


def test_replicas_with_their_own_labels_start_from_their_own_nuclear_norms(data):
    labels = np.array([data.y, 2 * data.y])
    S = gradient_descent(data.X, labels, 6, init="nuclear_norm", steps=0, tol=0.0).S
    np.testing.assert_allclose(S[1], 2 * S[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(S[0], bsr.estimators.nuclear_norm(data.X, data.y).S, atol=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"anchor": "init"}, "weight_decay=0"),
        ({"anchor": "start", "weight_decay": 0.1}, "'init' or a pair"),
        ({"anchor": np.ones((8, 2)), "weight_decay": 0.1}, "a pair"),
        ({"anchor": (np.ones((8, 3)), np.ones((6, 2))), "weight_decay": 0.1}, "anchor must have factors"),
        ({"anchor": (np.full((8, 2), np.nan), np.ones((6, 2))), "weight_decay": 0.1}, "anchor must be finite"),
        ({"replicas": 4}, "y must have shape"),
        ({"replicas": 1, "stack": 0}, "y must have shape"),
    ],
)
def test_bad_anchors_and_labels_are_refused(data, options, message):
    options = dict(options)
    rows = options.pop("stack", 3)
    y = np.ones((rows, len(data.y))) if "replicas" in options else data.y
    with pytest.raises(ValueError, match=message):
        gradient_descent(data.X, y, 2, steps=1, **options)


def test_a_start_from_least_squares_keeps_its_largest_singular_values(data):
    S = bsr.estimators.ridge(data.X, data.y, lam=0.0).S
    left, sigma, right = np.linalg.svd(S)
    start = gradient_descent(data.X, data.y, 2, init="ridge", steps=0, tol=0.0)
    np.testing.assert_allclose(start.S[0], left[:, :2] * sigma[:2] @ right[:2], rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match="'nuclear_norm' or 'ridge'"):
        gradient_descent(data.X, data.y, 2, init="lasso")


# Labels of other kinds

LOSSES = {
    "ReLU": (ReLU(0.3), lambda h, y: np.sum((np.maximum(h, 0.0) - y) ** 2) / 4),
    "Abs": (Abs(), lambda h, y: np.sum((np.abs(h) - y) ** 2) / 4),
    "Logistic": (Logistic(0.7), lambda h, y: np.sum(np.log(1.0 + np.exp(-y * h / 0.7)))),
}


def labelled(data, channel):
    return channel.sample(bsr.predict(data.X, data.S), 5)


def channel_loss(name, X, y, U, V):
    S = U @ V.T / np.sqrt(U.shape[1])
    return LOSSES[name][1](np.einsum("nld,ld->n", X, S) / np.sqrt(S.size), y)


@pytest.mark.parametrize("name", LOSSES)
def test_a_step_goes_down_the_gradient_of_the_channels_loss(data, factors, name):
    channel, (U, V) = LOSSES[name][0], (factor[0] for factor in factors)
    y, lr, h = labelled(data, channel), 1e-3, 1e-6
    result = gradient_descent(data.X, y, 2, channel=channel, init=(U, V), steps=1, lr=lr, **IN_DOUBLE)
    start = channel_loss(name, data.X, y, U, V)
    factor = 1.0 if name == "Logistic" else 0.25
    assert result.history.train_error[0, 0] == pytest.approx(start / len(y) / factor, rel=1e-12)
    for which, new in enumerate((result.U[0], result.V[0])):
        old = (U, V)[which]
        new = new if np.sum(new * old) > 0.0 else -new
        gradient = slopes(lambda *factors: channel_loss(name, data.X, y, *factors), (U, V), which, h)
        np.testing.assert_allclose((old - new) / lr, gradient, rtol=1e-6, atol=1e-7)


def test_linear_labels_with_noise_are_linear_labels(data, factors):
    plain, named = (
        gradient_descent(data.X, data.y, 2, init=factors, steps=30, channel=channel, **IN_DOUBLE)
        for channel in (None, Linear(0.4))
    )
    np.testing.assert_array_equal(named.S, plain.S)
    assert named.channel is plain.channel is None


@pytest.mark.parametrize("name", LOSSES)
def test_replicas_of_any_channel_keep_to_themselves_and_to_their_labels(data, factors, name):
    channel, (U, V) = LOSSES[name][0], factors
    labels = np.array([channel.sample(bsr.predict(data.X, data.S), seed) for seed in range(3)])
    options = dict(channel=channel, steps=50, lr=0.05, **IN_DOUBLE)
    for y in (labels, labels[0]):
        together = gradient_descent(data.X, y, 2, init=(U, V), **options)
        for k in range(3):
            own = y[k] if y.ndim == 2 else y
            alone = gradient_descent(data.X, own, 2, init=(U[k], V[k]), **options)
            sign = np.sign(np.sum(alone.S[0] * together.S[k])) if channel.even else 1.0
            np.testing.assert_allclose(together.S[k], sign * alone.S[0], rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(together.train_error[k], alone.train_error[0], rtol=1e-9)
    single = gradient_descent(data.X.astype(np.float32), labels, 2, init=(U, V), **options | {"switch": 0.0})
    several = gradient_descent(data.X, labels, 2, init=(U, V), **options)
    np.testing.assert_allclose(single.S, several.S, atol=1e-4)


@pytest.mark.slow
def test_moduli_are_learned_up_to_a_sign_that_all_replicas_share(data):
    """From both sides of the teacher to it, and to a mean that is it too."""
    sides = np.array([1.0, -1.0, -1.0])[:, None, None]
    y, watch = np.abs(data.y), TeacherError(data.S, up_to_sign=True)
    noise = 0.05 * np.random.default_rng(3).standard_normal(data.S.shape)
    start = sides * (data.S + noise)
    result = gradient_descent(data.X, y, 2, channel=Abs(), init=start, lr=0.2, tol=1e-12, callback=watch)
    assert result.up_to_sign
    assert result.converged
    np.testing.assert_allclose(bsr.predict(data.X, result.S), np.broadcast_to(data.y, (3, 19)), atol=1e-5)
    np.testing.assert_allclose(result.S, result.U @ result.V.transpose(0, 2, 1) / np.sqrt(2), atol=1e-12)
    found = bsr.mse(result.S, data.S)
    assert found.max() < 0.05
    assert watch.mean_error[-1] < 0.05
    assert result.history.overlap[-1] == pytest.approx(np.mean(data.S**2), rel=0.1)
    told, negative = result.metrics(data.S), result.metrics(-data.S)
    assert told == negative
    assert told["error"] == pytest.approx(found.mean())
    assert told["error_averaged"] < 0.05
    assert told["overlap_teacher"] > 0.0
    mirrored = gradient_descent(data.X, y, 2, channel=Abs(), init=-start, lr=0.2, tol=1e-12)
    np.testing.assert_allclose(mirrored.S, -result.S, atol=1e-6)


def test_classes_that_can_be_separated_are_descended_without_end(data):
    y = np.sign(data.y)
    options = dict(channel=Logistic(), lr=0.2, init_scale=0.1, record=1)
    low = gradient_descent(data.X, y, 4, tol=1e-2, **options)
    lower = gradient_descent(data.X, y, 4, tol=1e-3, **options)
    assert low.converged
    assert lower.converged
    assert 1 < lower.iterations / low.iterations < 100
    assert np.linalg.norm(lower.S) > 1.2 * np.linalg.norm(low.S)
    h = bsr.predict(data.X, lower.S[0])
    assert np.all(np.sign(h) == y)
    assert lower.train_error[0] == pytest.approx(np.mean(np.log1p(np.exp(-y * h))), rel=1e-5)
    with pytest.warns(bsr.ConvergenceWarning, match=r"above tol=1e-12"):
        unfinished = gradient_descent(data.X, y, 4, steps=200, **options)
    assert not unfinished.converged
    assert not unfinished.diverged.any()


def test_classes_that_cannot_be_separated_end_at_a_positive_loss():
    rng = np.random.default_rng(8)
    X, y = rng.standard_normal((60, 3, 4)), np.where(rng.random(60) < 0.5, -1.0, 1.0)
    result = gradient_descent(X, y, 3, channel=Logistic(), steps=5000, lr=0.05, init_scale=0.3, tol=0.0)
    A = X.reshape(60, 12) / np.sqrt(12)
    best = minimize(lambda s: np.mean(np.log1p(np.exp(-y * (A @ s)))), np.zeros(12), tol=1e-9)
    np.testing.assert_allclose(result.S[0].ravel(), best.x, atol=1e-3)
    assert not result.converged


def test_rectified_labels_find_the_teacher():
    data = bsr.Problem(3.0, 1.0, 0.25, channel=ReLU()).sample(8, rng=0)
    result = gradient_descent(data.X, data.y, 2, channel=ReLU(), lr=0.05, init_scale=0.3, replicas=4, tol=1e-12)
    assert bsr.mse(result.S, data.S).min() < 1e-9


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("c", [1e-3, 1e4])
def test_units_of_channels(data, factors, name, c):
    """Tokens X / c; then labels c y, or a scale c times as large."""
    channel, (U, V) = LOSSES[name][0], factors
    y = labelled(data, channel)
    options = dict(steps=60, weight_decay=0.02, **IN_DOUBLE)
    expected = gradient_descent(data.X, y, 2, channel=channel, init=factors, lr=0.05, **options).S
    start = np.sqrt(c) * U, np.sqrt(c) * V
    other = options | {"init": start, "weight_decay": 0.02 / c, "lr": 0.05 * c}
    tokens = gradient_descent(data.X / c, y, 2, channel=channel, **other).S
    np.testing.assert_allclose(tokens / c, expected, rtol=1e-9, atol=1e-11)
    if name == "Logistic":
        scaled = gradient_descent(data.X, y, 2, channel=Logistic(0.7 * c), **other).S
    else:
        scaled = gradient_descent(
            data.X, c * y, 2, channel=channel, init=start, lr=0.05 / c, **options | {"weight_decay": 0.02 * c}
        ).S
    np.testing.assert_allclose(scaled / c, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    ("channel", "message"),
    [
        (Sign(0.1), r"channel must be Linear, ReLU, Abs or Logistic for gradient descent, got Sign\(delta=0.1\)"),
        (Poisson(), "channel must be Linear, ReLU, Abs or Logistic"),
        ("Abs", "channel must be None or one of bsr.channels"),
        (Logistic(2.0), r"y must be -1 or 1 for Logistic\(scale=2.0\), got"),
        (ReLU(), r"y must be zero or positive, and finite for ReLU\(delta=0.0\), got -"),
        (Abs(), r"y must be zero or positive, and finite for Abs"),
    ],
)
def test_channels_and_labels_that_have_no_loss_are_refused(data, channel, message):
    with pytest.raises(ValueError, match=message):
        gradient_descent(data.X, data.y, 2, channel=channel, steps=1)
    if isinstance(channel, Abs | ReLU | Logistic):
        with pytest.raises(ValueError, match=message):
            gradient_descent(data.X, np.array([np.ones(19), data.y]), 2, channel=channel, steps=1)


def test_interpolation_is_for_linear_labels(data):
    descent = gradient_descent(data.X, np.abs(data.y), 2, channel=Abs(), steps=1, tol=0.0)
    with pytest.raises(ValueError, match=r"descent must be for linear labels, got one for Abs"):
        interpolate(data.X, np.abs(data.y), descent)


def test_memory_counts_what_channels_make_of_predictions():
    more = gradient_descent.memory((1000, 3, 4), channel=Abs(), replicas=5)
    assert more > gradient_descent.memory((1000, 3, 4), replicas=5)
