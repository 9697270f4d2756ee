"""Sweeps: results that depend on nothing but the task, and a file that survives what happens to its writer."""

import concurrent.futures as cf
import contextlib
import dataclasses
import functools
import itertools
import os
import pickle
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
import tracemalloc
import warnings
from pathlib import Path

import numba
import numpy as np
import pytest
import threadpoolctl

import bsr
from bsr import _memory, cli, sweep
from bsr.sweep import _cli, _run, _store, _tasks, _workers

pd = pytest.importorskip("pandas")
CONFIG = """
[sweep]
seeds = 2
d = [8, 10]
[problem]
alpha = [0.5, 0.8]
rho = 0.2
delta = 0.1
[[estimator]]
name = "gamp_rie"
iterations = 40
[[estimator]]
name = "gradient_descent"
replicas = 3
steps = 100
grid = {lr = [0.1, 0.3]}
[[estimator]]
name = "nuclear_norm"
[[estimator]]
name = "ridge"
"""
# What a run may change: the time that a task took and where.
TIMES = ["seconds", "finished_at", "machine", "git_commit"]
ROOT = Path(__file__).parents[1]


def raw(path):
    return sweep.load(path, raw=True)


def assert_same(first, second):
    pd.testing.assert_frame_equal(raw(first).drop(columns=TIMES), raw(second).drop(columns=TIMES), check_exact=True)


@pytest.fixture(scope="module")
def config():
    return sweep.Config.parse(CONFIG)


@pytest.fixture(scope="module")
def reference(config, tmp_path_factory):
    """The results of one process, one task after the other."""
    path = tmp_path_factory.mktemp("sweep") / "reference.db"
    with cf.ThreadPoolExecutor(1) as executor:
        counts = sweep.run(config, path, executor=executor, progress=False)
    assert counts == (40, 0, 0, 0)
    return path


def in_thread(config, path, **options):
    with cf.ThreadPoolExecutor(1) as executor:
        return sweep.run(config, path, executor=executor, progress=False, **options)


# Results


@pytest.mark.slow
def test_results_do_not_depend_on_the_order(config, reference, tmp_path, monkeypatch):
    tasks = config.tasks()
    random.Random(1).shuffle(tasks)
    monkeypatch.setattr(sweep.Config, "tasks", lambda self: tasks)
    monkeypatch.setattr(sweep.Config, "hash", "other")
    in_thread(config, tmp_path / "shuffled.db")
    assert_same(tmp_path / "shuffled.db", reference)


@pytest.mark.slow
def test_two_workers_give_what_one_process_gives(config, reference, tmp_path, monkeypatch):
    start, notices = _workers._Process.start, []
    monkeypatch.delenv("BSR_COMPILE_NOTICE", raising=False)

    def watched(process):
        notices.append(os.environ.get("BSR_COMPILE_NOTICE"))
        start(process)

    monkeypatch.setattr(_workers._Process, "start", watched)
    sweep.run(config, tmp_path / "two.db", workers=2, progress=False)
    assert_same(tmp_path / "two.db", reference)
    assert notices == [None, "0"]  # one worker says that it compiles
    assert "BSR_COMPILE_NOTICE" not in os.environ


def test_estimators_see_the_same_data_and_data_sets_differ(reference):
    powers = raw(reference).groupby(["alpha", "d", "data_set"]).power
    assert (powers.nunique() == 1).all()
    assert powers.first().nunique() == 8


def test_channels_are_part_of_a_problem(tmp_path):
    text = """
        [sweep]
        d = 8
        [problem]
        alpha = 0.5
        channel = CHANNEL
        [[estimator]]
        name = "ridge"
        lam = 0.1
    """
    linear = sweep.Config.parse(text.replace("CHANNEL", '{name = "Linear", delta = 0.1}'))
    assert linear.hash == sweep.Config.parse(text.replace("channel = CHANNEL", "delta = 0.1")).hash
    both = sweep.Config.parse(text.replace("CHANNEL", '[{name = "Sign", delta = 0.1}, {name = "Poisson", gain = 0.5}]'))
    assert {task.problem.channel for task in both.tasks()} == {bsr.channels.Sign(0.1), bsr.channels.Poisson(1.0, 0.5)}
    in_thread(both, tmp_path / "both.db")
    table = sweep.load(tmp_path / "both.db")
    assert set(table.option_channel) == {"Sign(delta=0.1)", "Poisson(rate=1.0, gain=0.5)"}
    for bad, message in (
        ('{name = "Softmax"}', "name of channel in .problem. must be one of Linear, Sign, .*, got 'Softmax'"),
        ('{name = "Sign", scale = 1}', "unknown key 'scale' in channel Sign; allowed are delta"),
        ('{name = "Sign", delta = -1}', "delta must be zero or positive"),
        ("0.1", "channel in .problem. must be a table"),
        ("[]", "channel in .problem. must not be empty"),
    ):
        with pytest.raises(ValueError, match=message):
            sweep.Config.parse(text.replace("CHANNEL", bad))


TOKENS = """
    [sweep]
    d = 8
    tokens = TOKENS
    [problem]
    alpha = 0.5
    rho = 0.25
    delta = 0.1
    [[estimator]]
    name = "ridge"
    [[estimator]]
    name = "nuclear_norm"
    lam = "best"
"""


def test_laws_of_tokens_are_an_axis_of_the_grid(tmp_path):
    plain = sweep.Config.parse(TOKENS.replace("tokens = TOKENS", ""))
    laws = sweep.Config.parse(
        TOKENS.replace("TOKENS", '[{name = "Gaussian"}, {name = "Correlated", left = 0.5, right = 0.8}]')
    )
    assert len(laws.tasks()) == 2 * len(plain.tasks()) == 4
    assert not {task.key for task in laws.tasks()} & {task.key for task in plain.tasks()}
    in_thread(plain, tmp_path / "plain.db")
    in_thread(laws, tmp_path / "laws.db")
    rows = raw(tmp_path / "laws.db")
    assert set(sweep.load(tmp_path / "laws.db").option_tokens) == {"Gaussian()", "Correlated(left=0.5, right=0.8)"}
    assert rows.power.nunique() == 1  # the same teacher
    gaussian = rows[rows.option_tokens == "Gaussian()"]
    np.testing.assert_array_equal(gaussian.error, raw(tmp_path / "plain.db").error)
    # White tokens generalise by the error of the estimate; 4000 squares of normal numbers scatter by 2.2 %.
    np.testing.assert_allclose(gaussian.excess, gaussian.error, rtol=0.1)
    np.testing.assert_allclose(gaussian.signal, gaussian.power, rtol=0.1)
    other = rows[rows.option_tokens != "Gaussian()"]
    task = next(task for task in laws.tasks() if task.key == other.key.iloc[0])
    data = task.problem.sample(8, task.generators()[0], tokens=bsr.ensembles.Correlated(0.5, 0.8))
    A, B = bsr.ensembles.Correlated(0.5, 0.8).factors(8, 8)
    np.testing.assert_allclose(other.signal, np.mean((A.T @ data.S @ B.T) ** 2), rtol=0.1)
    ridge = bsr.estimators.ridge(data.X, data.y, 0.1).S - data.S
    excess = other.excess[other.estimator == "ridge"]
    np.testing.assert_allclose(excess, np.mean((A.T @ ridge @ B.T) ** 2), rtol=0.1)


def test_the_best_penalty_is_that_of_the_theory():
    (task,) = (
        t for t in sweep.Config.parse(TOKENS.replace("tokens = TOKENS", "")).tasks() if "lam" in t.estimator.options
    )
    n, L, r = task.problem.sizes(8)
    best = bsr.theory.nuclear_norm.optimal_lam(n / 64, L / 8, r / 8, 0.1)
    given = dataclasses.replace(task, estimator=sweep.Estimator("nuclear_norm", {"lam": float(best)}))
    assert _tasks.execute(task)["metrics"] == _tasks.execute(given)["metrics"]
    assert task.key != given.key
    for name in ("ridge", "nuclear_norm"):
        with pytest.raises(ValueError, match=f"option 'lam' of estimator {name} must be a number"):
            sweep.Config(
                (task.problem,), (8,), (sweep.Estimator(name, {"lam": "best" if name == "ridge" else "worst"}),)
            )
    with pytest.raises(ValueError, match="lam may be 'best' for linear labels only, got Sign"):
        sweep.Config((bsr.Problem(0.5, channel=bsr.channels.Sign(0.1)),), (8,), (task.estimator,))


@pytest.mark.parametrize("view", ["known", "whitened"])
def test_an_estimator_may_see_whitened_tokens(view):
    law = bsr.ensembles.Correlated(0.5, 0.8)
    task = _tasks.Task(bsr.Problem(1.5, 1.0, 0.25, 0.1), 8, sweep.Estimator("ridge", {"view": view}), 0, tokens=law)
    found = _tasks.execute(task)["metrics"]
    data = task.problem.sample(8, task.generators()[0], tokens=law)
    maps = [np.linalg.inv(factor) for factor in law.factors(8, 8)]
    if view == "whitened":
        whitened = bsr.tokens.whiten(data.X)
        maps, data.X[...] = [whitened.P, whitened.Q], data.X - data.X.mean(axis=0)
    S = bsr.estimators.ridge(maps[0] @ data.X @ maps[1], data.y - (view == "whitened") * data.y.mean(), 0.1).S
    S = maps[0].T @ S @ maps[1].T
    assert found["error"] == pytest.approx(np.mean((S - data.S) ** 2), rel=1e-3)
    A, B = law.factors(8, 8)
    assert found["excess"] == pytest.approx(np.mean((A.T @ (S - data.S) @ B.T) ** 2), rel=0.15)
    plain = dataclasses.replace(task, estimator=sweep.Estimator("ridge"))
    assert task.key != plain.key
    assert task.memory >= plain.memory


def test_directions_without_variance_are_left_out_of_known_factors():
    law, rng = bsr.ensembles.Codebook(4), np.random.default_rng(0)
    X = law.sample((200, 3, 9), rng, np.float64)
    seen = _tasks._seen(X, law, "known")
    np.testing.assert_allclose(np.mean(seen.dense() ** 2), 3 / 9, rtol=0.1)  # white in three channels of nine
    assert np.linalg.norm(seen.Q, 2) < 1e3


def test_views_are_checked():
    problem, law = bsr.Problem(0.5), (bsr.ensembles.Uniform(),)
    for view, message in (("known", "tokens that have factors only, got Uniform"), ("white", "one of known, whitened")):
        with pytest.raises(ValueError, match=f"view.*{message}"):
            sweep.Config((problem,), (8,), (sweep.Estimator("ridge", {"view": view}),), tokens=law)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ('{name = "Cauchy"}', "name of tokens in .sweep. must be one of Gaussian, Rademacher, .*, got 'Cauchy'"),
        ('{name = "Student"}', "key 'df' is missing in tokens Student"),
        ('{name = "Uniform", df = 3}', "unknown key 'df' in tokens Uniform; allowed are none"),
        ('{name = ["Uniform"]}', "name of tokens in .* must be one of Gaussian, .*, got"),
        ('{name = "Student", df = 1}', "df must be above 2"),
        ('"Student"', "tokens in .sweep. must be a table"),
        ("[]", "tokens in .sweep. must not be empty"),
    ],
)
def test_laws_of_tokens_are_checked(tokens, message):
    with pytest.raises(ValueError, match=message):
        sweep.Config.parse(TOKENS.replace("TOKENS", tokens))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gamp_rie", {"start": "random"}),
        ("posterior", {"sweeps": 40, "burn_in": 10, "min_effective": 0.0}),
        ("gradient_descent", {"steps": 20, "init_scale": 0.01, "tol": 0.0}),
    ],
)
def test_estimators_that_take_channels_get_them(name, options):
    channel = bsr.channels.Abs(0.5)
    task = _tasks.Task(bsr.Problem(3.0, 1.0, 0.3, channel=channel), 8, sweep.Estimator(name, options), 0)
    outcome = _tasks.execute(task)
    assert outcome["status"] == "done"
    data_rng, rng = task.generators()
    data = task.problem.sample(8, data_rng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bsr.ConvergenceWarning)
        result = getattr(bsr.estimators, name)(data.X, data.y, 2, channel=channel, rng=rng, **options)
    assert outcome["metrics"]["error"] == pytest.approx(bsr.mse(result.S, data.S, up_to_sign=True), rel=0.02)  # threads
    assert outcome["metrics"]["error_stopped"] <= 1.001 * outcome["metrics"]["power"]  # that of the estimate 0
    assert task.memory > 0


def test_data_and_estimators_have_random_numbers_of_their_own(config):
    task = config.tasks()[0]
    tasks = [task] + [dataclasses.replace(task, **change) for change in ({"seed": 1}, {"index": 7}, {"d": 11})]
    drawn = [tuple(rng.integers(2**32, size=4)) for task in tasks for rng in task.generators()]
    assert len(set(drawn)) == 8


def test_a_result_is_what_a_direct_call_gives(config, reference):
    task = next(task for task in config.tasks() if task.estimator.name == "ridge")
    data_rng, _ = task.generators()
    data = task.problem.sample(task.d, data_rng)
    S = bsr.estimators.ridge(data.X, data.y, 0.1).S
    predicted = np.einsum("nld,ld->n", data.X, S) / np.sqrt(S.size)
    lengths = [np.linalg.svd(matrix, compute_uv=False).sum() for matrix in (S, data.S)]
    expected = {
        "error": np.mean((S - data.S) ** 2),
        "power": np.mean(data.S**2),
        "train_error": np.mean((data.y - predicted) ** 2),
        "nuclear_ratio": lengths[0] / lengths[1],
        "recovered": 0.0,
    }
    row = raw(reference).set_index("key").loc[task.key]
    assert dict(row[list(expected)]) == pytest.approx(expected, rel=1e-6)


def test_the_table_has_means_and_standard_errors(reference):
    table, rows = sweep.load(reference), raw(reference)
    assert len(table) == 20
    row = table[(table.estimator == "ridge") & (table.d == 8)].iloc[0]
    errors = rows[(rows.estimator == "ridge") & (rows.d == 8) & (rows.n == row.n)].error
    assert row.error == pytest.approx(errors.mean())
    assert row.error_se == pytest.approx(abs(np.subtract(*errors)) / 2)
    assert (row.error_count, row.done, row.failed) == (2, 2, 0)
    assert row.rho == 2 / 8  # of the rank used, not of the 0.2 asked for
    descent = table[table.estimator == "gradient_descent"]
    assert set(descent.option_lr) == {0.1, 0.3}
    # Averaging m replicas: error of the mean = error - (norm - overlap)(m - 1)/m.
    gain = (descent.norm - descent.overlap_replicas) * 2 / 3
    np.testing.assert_allclose(descent.error_averaged, descent.error - gain, rtol=1e-9)
    # Errors relative to each teacher's power are divided before they are averaged.
    rows = rows[rows.estimator == "gradient_descent"]
    for kind in ("error", "error_averaged"):
        ratio = rows[kind] / rows.power
        np.testing.assert_allclose(rows[f"relative_{kind}"], ratio, rtol=1e-9)


@pytest.mark.slow
def test_workers_do_not_use_more_threads_than_they_are_given(config, tmp_path, monkeypatch):
    seen, running = [], []

    def look(X, y, lam):
        running.append(1)
        time.sleep(0.01)
        pools = {pool["num_threads"] for pool in threadpoolctl.threadpool_info()}
        seen.append((len(running), pools, numba.get_num_threads()))
        running.pop()
        return bsr.estimators.ridge(X, y, lam)

    look.memory = bsr.estimators.ridge.memory
    monkeypatch.setitem(_tasks.ESTIMATORS, "ridge", look)
    with cf.ThreadPoolExecutor(3) as executor:
        sweep.run(config, tmp_path / "out.db", executor=executor, progress=False)
    assert seen == 8 * [(1, {1}, 1)]  # one task at a time in a process, with one thread


def test_metrics_of_replicas_and_of_samples():
    problem = bsr.Problem(0.6, 1.0, 0.3, 0.1)
    options = {"replicas": 3, "steps": 400, "lr": 0.3, "tol": 0.0}
    task = _tasks.Task(problem, 10, sweep.Estimator("gradient_descent", options), 0)
    found = _tasks.execute(task)["metrics"]
    data_rng, rng = task.generators()
    data = problem.sample(10, data_rng)
    watch = bsr.estimators.TeacherError(data.S)
    result = bsr.estimators.gradient_descent(data.X, data.y, 3, rng=rng, callback=watch, **options)
    best = [min(bsr.mse(result.S[k], data.S), *watch.error[:, k]) for k in range(3)]
    assert found["error_stopped"] == pytest.approx(np.mean(best), rel=1e-6)
    assert found["error_stopped"] < 0.99 * found["error"]
    pairs = [np.mean(result.S[a] * result.S[b]) for a, b in itertools.combinations(range(3), 2)]
    assert found["overlap_replicas"] == pytest.approx(np.mean(pairs), rel=1e-6)
    assert found["overlap_teacher"] == pytest.approx(np.mean(result.S * data.S), rel=1e-6)
    assert found["norm"] == pytest.approx(np.mean(result.S**2), rel=1e-6)

    options = {"sweeps": 60, "burn_in": 10, "min_effective": 0.0}
    task = _tasks.Task(problem, 10, sweep.Estimator("posterior", options), 0)
    found = _tasks.execute(task)["metrics"]
    data_rng, rng = task.generators()
    data = problem.sample(10, data_rng)
    result = bsr.estimators.posterior(data.X, data.y, 3, 0.1, rng=rng, **options)
    assert found["error_sample"] == pytest.approx(np.mean((result.samples - data.S) ** 2), rel=1e-6)
    assert found["spread"] == pytest.approx(result.spread, rel=1e-6)


@pytest.mark.parametrize(("delta", "recovered"), [(0.001, 1.0), (0.04, 0.0)])
def test_a_teacher_is_recovered_below_an_error_of_one_per_cent(delta, recovered):
    """Least squares with twice as many samples as entries has the error delta / (alpha - 1)."""
    estimator = sweep.Estimator("ridge", {"lam": 0.0})
    found = _tasks.execute(_tasks.Task(bsr.Problem(2.0, 1.0, 0.3, delta), 12, estimator, 0))["metrics"]
    assert found["error"] == pytest.approx(delta, rel=0.4)
    assert found["recovered"] == recovered


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gamp_rie", {"iterations": 3, "tol": 9.0}),
        ("gradient_descent", {"steps": 3, "replicas": 4, "switch": 1e9}),
        ("nuclear_norm", {"iterations": 3}),
        ("posterior", {"sweeps": 12, "burn_in": 2}),
        ("ridge", {}),
    ],
)
def test_a_task_takes_no_more_memory_than_it_says(name, options):
    task = _tasks.Task(bsr.Problem(0.5, 1.0, 0.1, 0.1), 60, sweep.Estimator(name, options), 0)
    _tasks.execute(dataclasses.replace(task, d=10))  # compiled
    tracemalloc.start()
    try:
        _tasks.execute(task)
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    said = task.memory - _tasks._INTERPRETER
    assert taken < 1.15 * said + 1e7
    assert said < 5 * taken


def test_all_estimators_run():
    text = "[sweep]\nd = 8\n[problem]\nalpha = 0.6\nrho = 0.3\ndelta = 0.1\n"
    more = {"posterior": "sweeps = 40\nburn_in = 10", "gradient_descent": 'init = "nuclear_norm"\nsteps = 5'}
    text += "".join(f'[[estimator]]\nname = "{name}"\n{more.get(name, "")}\n' for name in _tasks.ESTIMATORS)
    for task in sweep.Config.parse(text).tasks():
        outcome = _tasks.execute(task)
        assert outcome["status"] == "done", outcome["traceback"]
        assert 0 < outcome["metrics"]["error"] < 2.5
    assert {*_tasks.ESTIMATORS, *_tasks.FINISHERS} <= set(bsr.estimators.__all__)


def test_a_result_may_be_taken_further():
    problem, options = bsr.Problem(0.3, 1.0, 0.2), {"replicas": 2, "tol": 1e-4}
    then = {"name": "interpolate", "tol": 1e-10}
    task = _tasks.Task(problem, 15, sweep.Estimator("gradient_descent", options | {"then": then}), 0)
    found = _tasks.execute(task)["metrics"]
    data_rng, rng = task.generators()
    data = problem.sample(15, data_rng)
    result = bsr.estimators.gradient_descent(data.X, data.y, 3, rng=rng, **options)
    result = bsr.estimators.interpolate(data.X, data.y, result, tol=1e-10)
    assert found["landed"] == 1.0
    assert found["error"] == pytest.approx(np.mean(bsr.mse(result.S, data.S)), rel=1e-6)
    assert found["train_error"] < 1e-10
    alone = dataclasses.replace(task, estimator=sweep.Estimator("gradient_descent", options))
    assert task.key != alone.key
    assert task.memory > alone.memory - 1


def test_options_do_not_change_what_is_drawn(config):
    """So that two step sizes start from the same point."""
    starts = {}
    for task in config.tasks():
        name = (task.problem, task.d, task.index)
        starts.setdefault(name, set()).add(task.generators()[1].integers(2**62))
    assert {len(found) for found in starts.values()} == {1}
    assert len(set.union(*starts.values())) == len(starts)


# Interruptions

# A worker hangs while it starts, before any task, or in its fifth task: the signal meets it there, whatever the machine
# is busy with. It says so by making a file.
HANGING = """
import os
import signal
import time
from pathlib import Path
from bsr.sweep import _tasks

done = 0

def hang():
    signal.raise_signal(signal.SIGINT)  # a terminal sends Ctrl-C to the workers too; they do not notice
    Path(os.environ["MARK"]).touch()
    time.sleep(600)

def execute(task, threads=1):
    global done
    if done == 4:
        hang()
    done += 1
    return _tasks.execute(task, threads)
"""
COORDINATOR = """
import signal
import sys
import hanging
from bsr import cli
from bsr.sweep import _run, _workers

source, results, moment = sys.argv[1:]
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
if moment == "at the start":
    _workers.start_worker = hanging.hang
else:
    _run.execute = hanging.execute
sys.exit(cli.main(["sweep", source, "--out", results, "--workers", "1"]))
"""


def wait_for(mark, process):
    for _ in range(3000):
        if mark.exists():
            return
        assert process.poll() is None, "ended too early"
        time.sleep(0.05)
    raise AssertionError("the worker did not get there")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "how"),
    [
        ("in a task", signal.SIGKILL),
        ("in a task", signal.SIGINT),
        ("in a task", signal.SIGTERM),
        ("at the start", signal.SIGINT),
    ],
)
def test_killed_in_the_middle_and_resumed(config, reference, tmp_path, moment, how):
    source, script, path, mark = (tmp_path / name for name in ("c.toml", "c.py", "killed.db", "mark"))
    source.write_text(CONFIG)
    script.write_text(COORDINATOR)
    (tmp_path / "hanging.py").write_text(HANGING)
    process = subprocess.Popen(
        [sys.executable, script, source, path, moment],
        env=os.environ | {"PYTHONPATH": str(ROOT), "MARK": str(mark)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        wait_for(mark, process)
        process.send_signal(how)
        _, messages = process.communicate(timeout=120)  # when the workers have ended too
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    before = len(raw(path))
    assert before in ((3, 4) if moment == "in a task" else (0,))  # the fourth may be on its way
    if how != signal.SIGKILL:
        assert process.returncode == 130
        assert f"bsr sweep {source} --out {path} --workers 1 --resume" in messages
        assert "Traceback" not in messages
        assert not list(tmp_path.glob("*-*"))  # no lock, no journal
    counts = in_thread(config, path, resume=True)
    assert counts.skipped == before
    assert not list(tmp_path.glob("*-*"))
    assert_same(path, reference)


SCRIPT = f"""
from bsr import sweep
print(tuple(sweep.run(sweep.Config.parse({CONFIG!r}), "out.db", workers=1, progress=False)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["a script without a guard", "standard input"])
def test_a_sweep_may_be_started_from(how, reference, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    name, text = ("-", SCRIPT) if how == "standard input" else ("script.py", "")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "BSR_COMPILE_NOTICE": "0"}
    argv = [sys.executable, name]
    done = subprocess.run(argv, input=text, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == ("(40, 0, 0, 0)\n", "", 0)
    assert_same(tmp_path / "out.db", reference)


def end_at_once():
    os._exit(3)


@pytest.mark.slow
def test_workers_that_cannot_start_are_an_error_and_no_failed_task(config, tmp_path, monkeypatch):
    monkeypatch.setattr(_workers, "start_worker", end_at_once)
    main = sys.modules["__main__"]
    with pytest.raises(RuntimeError, match="worker processes end while they start"):
        sweep.run(config, tmp_path / "out.db", workers=1, progress=False)
    assert len(raw(tmp_path / "out.db")) == 0
    assert sys.modules["__main__"] is main


def die(task, threads=1, *, mark, always=None):
    """End the worker: the first time for one task, each time for another."""
    if task.key == always or (task.estimator.name == "ridge" and task.d == 8 and not os.path.exists(mark)):
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return _tasks.execute(task, threads)


@pytest.mark.slow
def test_a_worker_that_dies_loses_nothing(config, reference, tmp_path, monkeypatch):
    guilty = next(task for task in config.tasks() if task.estimator.name == "nuclear_norm")
    monkeypatch.setattr(_run, "execute", functools.partial(die, mark=str(tmp_path / "mark"), always=guilty.key))
    path = tmp_path / "died.db"
    with pytest.warns(UserWarning, match="1 tasks failed; the first: nuclear_norm at d=.*worker process died"):
        counts = sweep.run(config, path, workers=2, progress=False)
    assert (tmp_path / "mark").exists()
    assert counts == (39, 1, 0, 0)  # the guilty and nobody else
    rows = raw(path)
    failed = rows[rows.status == "failed"]
    assert list(failed.key) == [guilty.key]
    assert failed.traceback.str.contains("worker process died").all()
    monkeypatch.undo()
    assert in_thread(config, path, resume=True) == (40, 0, 0, 39)
    assert_same(path, reference)


@pytest.mark.slow
def test_dask_gives_the_same_and_survives_a_worker(config, reference, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(_run, "execute", functools.partial(die, mark=str(tmp_path / "mark")))
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with (
        distributed.LocalCluster(**options, silence_logs=50) as cluster,
        distributed.Client(cluster) as client,
    ):
        client.run(sys.path.insert, 0, str(Path(__file__).parent))
        counts = sweep.run(config, tmp_path / "out.db", executor=client.get_executor(), workers=2, progress=False)
    assert (tmp_path / "mark").exists()
    assert counts == (40, 0, 0, 0)
    assert_same(tmp_path / "out.db", reference)


@pytest.mark.slow
def test_a_task_that_fails_is_a_row_and_the_sweep_goes_on(config, reference, tmp_path, monkeypatch):
    def fail(X, y, lam):
        raise FloatingPointError("out of luck")

    fail.memory = bsr.estimators.ridge.memory
    monkeypatch.setitem(_tasks.ESTIMATORS, "ridge", fail)
    path = tmp_path / "failed.db"
    with pytest.warns(UserWarning, match="8 tasks failed; the first: ridge at d=.*: FloatingPointError: out of luck"):
        assert in_thread(config, path) == (32, 8, 0, 0)
    rows = raw(path)
    failed = rows[rows.status == "failed"]
    assert set(failed.estimator) == {"ridge"}
    assert failed.traceback.str.contains("FloatingPointError: out of luck").all()
    assert (failed.version == bsr.__version__).all()
    table = sweep.load(path)
    table = table[table.estimator == "ridge"]
    assert (table.failed == 2).all()
    assert table.seconds.isna().all()  # the mean of those done
    monkeypatch.undo()
    assert in_thread(config, path, resume=True) == (40, 0, 0, 32)
    assert_same(path, reference)


@pytest.mark.slow
def test_what_cannot_fit_is_refused_with_the_estimate(config, tmp_path):
    sizes = sorted(task.memory for task in config.tasks())
    path = tmp_path / "small.db"
    with pytest.warns(UserWarning, match=r"tasks refused; the first: .* needs [\d.]+ GB"):
        counts = in_thread(config, path, memory_limit=sizes[20])
    assert counts.refused == sum(size > sizes[20] for size in sizes) > 0
    rows = raw(path)
    assert rows[rows.status == "refused"].note.str.contains(r"needs [\d.]+ GB").all()
    assert in_thread(config, path, resume=True).done == 40


# The file


def test_a_full_disk_is_an_error_that_keeps_the_rows(config, reference, tmp_path, monkeypatch):
    connect, path = _store._connect, tmp_path / "full.db"

    def small(path, read_only=False):
        connection = connect(path, read_only)
        connection.execute("PRAGMA max_page_count = 8")
        return connection

    monkeypatch.setattr(_store, "_connect", small)
    with pytest.raises(OSError, match="disk is full"):
        in_thread(config, path)
    monkeypatch.undo()
    rows = len(raw(path))
    assert 0 < rows < 40
    assert in_thread(config, path, resume=True).skipped == rows
    assert_same(path, reference)


def unfinished(path):
    """The cursor of a program that looks at the first row and leaves it at that."""
    reader = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, check_same_thread=False)
    cursor = reader.execute("SELECT * FROM results")
    assert cursor.fetchone()
    return cursor


def release(cursor):
    connection = cursor.connection
    cursor.close()
    connection.close()


def outcomes(config, count):
    done = {"status": "done", "version": bsr.__version__, "git_commit": _tasks.git_commit()}
    return [(task, done) for task in config.tasks()[:count]]


def write(store, rows):
    for row in rows:
        store.write(*row)


@pytest.mark.filterwarnings("error")  # that it waits
def test_a_reader_does_not_hold_up_a_sweep(config, tmp_path, monkeypatch):
    monkeypatch.setattr(_store, "_is_local", lambda path: True)
    path = tmp_path / "out.db"
    with contextlib.closing(_store.Store(path, config)) as store:
        rows = outcomes(config, 8)
        write(store, rows[:3])
        cursor = unfinished(path)
        write(store, rows[3:])
        assert len(raw(path)) == 8
        release(cursor)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes()[18:20] == b"\1\1"  # no log: it can be read where nothing can be written


@pytest.mark.filterwarnings("error")
def test_a_program_that_keeps_the_file_open_leaves_no_rows_in_the_log(config, tmp_path, monkeypatch):
    monkeypatch.setattr(_store, "_is_local", lambda path: True)
    monkeypatch.setattr(_store, "_PATIENCE", 50)
    path = tmp_path / "out.db"
    store = _store.Store(path, config)
    with contextlib.closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT count(*) FROM results").fetchall() == [(0,)]
        write(store, outcomes(config, 8))
        store.close()
    assert len(raw(path)) == 8


def test_a_reader_that_outlasts_the_sweep_is_named_and_loses_nothing(config, tmp_path, monkeypatch):
    monkeypatch.setattr(_store, "_is_local", lambda path: True)
    monkeypatch.setattr(_store, "_PATIENCE", 50)
    path = tmp_path / "out.db"
    store = _store.Store(path, config)
    rows = outcomes(config, 8)
    write(store, rows[:3])
    cursor = unfinished(path)
    write(store, rows[3:])
    with pytest.warns(UserWarning, match="is being read by another program.*out.db-wal"):
        store.close()
    assert len(raw(path)) == 8
    release(cursor)
    assert len(raw(path)) == 8
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_without_a_log_the_sweep_waits_for_a_reader_and_says_so(config, tmp_path, monkeypatch):
    monkeypatch.setattr(_store, "_is_local", lambda path: False)
    monkeypatch.setattr(_store, "_PATIENCE", 50)
    path = tmp_path / "out.db"
    with contextlib.closing(_store.Store(path, config)) as store, cf.ThreadPoolExecutor(1) as thread:
        rows = outcomes(config, 8)
        write(store, rows[:3])
        assert not Path(f"{path}-wal").exists()
        cursor = unfinished(path)
        released = thread.submit(lambda: (time.sleep(0.5), release(cursor)))
        with pytest.warns(UserWarning, match="is being read by another program; the sweep waits") as told:
            write(store, rows[3:])
        released.result()
        assert len(told) == 1
    assert len(raw(path)) == 8


def test_a_look_from_inside_does_not_let_go_of_the_file(config, tmp_path, monkeypatch):
    """POSIX ends a process's locks on a file when it closes it once; then the next reader would take the log away."""
    monkeypatch.setattr(_store, "_is_local", lambda path: True)
    path = tmp_path / "out.db"
    with contextlib.closing(_store.Store(path, config)) as store:
        rows = outcomes(config, 8)
        write(store, rows[:3])
        assert len(raw(path)) == 3
        with pytest.raises(BlockingIOError):
            _store.Store(path, config, resume=True)
        look = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM results').fetchall()"
        subprocess.run([sys.executable, "-c", look, path], check=True)
        write(store, rows[3:])
        assert len(raw(path)) == 8


def test_rows_of_another_commit_are_named_when_a_sweep_goes_on(config, tmp_path, monkeypatch):
    path = tmp_path / "out.db"
    monkeypatch.setattr(_run, "git_commit", lambda: "new")
    with contextlib.closing(_store.Store(path, config)) as store:
        for task, outcome in outcomes(config, 20):
            store.write(task, outcome | {"git_commit": "new"})
        assert _run._mixed(store) == ""
        task, outcome = outcomes(config, 1)[0]
        store.write(task, outcome | {"git_commit": "old"})
    message = f"rows made with {bsr.__version__} old are kept; new ones are made with {bsr.__version__} new"
    with pytest.warns(UserWarning, match=message):
        in_thread(config, path, resume=True)
    with contextlib.closing(_store.Store(tmp_path / "edited.db", config)) as store:
        monkeypatch.setattr(_run, "git_commit", lambda: "new+")
        assert _run._mixed(store) == ""
        store.write(task, outcome | {"git_commit": "new+"})
        assert "uncommitted changes" in _run._mixed(store)


# Memory


def group(root, path, files, statistics=""):
    folder = root / "sys" / "fs" / "cgroup" / path
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (*files.items(), ("memory.stat", statistics)):
        (folder / name).write_text(f"{text}\n")


def belongs_to(root, lines):
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "self" / "cgroup").write_text(lines)


def test_memory_is_what_the_container_has_left(tmp_path):
    machine = _memory.available(tmp_path)  # no groups at all
    assert machine > 10**8
    belongs_to(tmp_path, "0::/job/step\n")
    group(tmp_path, "job/step", {"memory.max": "max", "memory.current": 10})
    group(tmp_path, "job", {"memory.max": 900, "memory.current": 500}, "anon 300\ninactive_file 100\nslab 7")
    group(tmp_path, "", {})
    assert _memory.available(tmp_path) == 900 - 500 + 100  # the parent's limit; idle pages of files are given back
    group(tmp_path, "job/step", {"memory.max": 60, "memory.current": 70})
    assert _memory.available(tmp_path) == 0


def test_memory_in_a_container_of_the_first_version_that_sees_the_path_outside(tmp_path):
    belongs_to(tmp_path, "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/\n")
    files = {"memory.limit_in_bytes": 900, "memory.usage_in_bytes": 500}
    group(tmp_path, "memory", files, "inactive_file 1\ntotal_inactive_file 20")
    assert _memory.available(tmp_path) == 420


def test_a_limit_beyond_that_of_the_machine_is_none(tmp_path):
    belongs_to(tmp_path, "4:memory:/\n")
    group(tmp_path, "memory", {"memory.limit_in_bytes": 2**63 - 4096, "memory.usage_in_bytes": 500})
    assert _memory.available(tmp_path) < 2**50


def test_a_task_larger_than_the_container_is_refused(tmp_path, monkeypatch):
    group(tmp_path, "", {"memory.max": 450_000_000, "memory.current": 20_000_000})
    belongs_to(tmp_path, "0::/\n")
    monkeypatch.setattr(_run, "available", functools.partial(_memory.available, tmp_path))
    large = CONFIG[: CONFIG.index("[[estimator]]")] + '[[estimator]]\nname = "ridge"\n'
    config = sweep.Config.parse(large.replace("d = [8, 10]", "d = 100").replace("seeds = 2", "seeds = 1"))
    with pytest.warns(UserWarning, match=r"2 tasks refused; .* needs [\d.]+ GB, a task may take 0.43 GB"):
        assert sweep.run(config, tmp_path / "out.db", workers=1, progress=False) == (0, 0, 2, 0)


def test_workers_share_the_memory(config, tmp_path, monkeypatch):
    monkeypatch.setattr(_run, "available", lambda: 1.9 * min(task.memory for task in config.tasks()))
    with pytest.warns(UserWarning, match="40 tasks refused"):
        assert sweep.run(config, tmp_path / "out.db", workers=2, progress=False) == (0, 0, 40, 0)


def test_a_file_that_cannot_be_made_is_an_error(config, tmp_path):
    for path in (tmp_path / "nowhere" / "out.db", Path("/proc/out.db")):
        with pytest.raises(FileNotFoundError, match=str(path)):
            in_thread(config, path)
        assert not path.exists()


def test_a_disk_that_is_full_from_the_start_is_left_empty(config, tmp_path, monkeypatch):
    connect = _store._connect

    def small(path, read_only=False):
        connection = connect(path, read_only)
        connection.execute("PRAGMA max_page_count = 2")
        return connection

    monkeypatch.setattr(_store, "_connect", small)
    with pytest.raises(OSError, match="disk is full"):
        in_thread(config, tmp_path / "full.db")
    assert not list(tmp_path.iterdir())


def test_a_read_only_file_is_an_error(config, reference, tmp_path, monkeypatch):
    path = tmp_path / "copy.db"
    path.write_bytes(reference.read_bytes())
    path.chmod(0o444)
    if os.geteuid() == 0:  # root may write everywhere, except in a file system that is read-only
        monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    with pytest.raises(PermissionError):
        in_thread(config, path, resume=True)
    assert path.read_bytes() == reference.read_bytes()


def foreign(path, reference):
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")  # which makes more files when it is read
        connection.execute("CREATE TABLE results (key, status)")


def text(path, reference):
    path.write_text("important notes")


def empty(path, reference):
    path.touch()


def truncated(path, reference):
    path.write_bytes(reference.read_bytes()[:-5000])


def edited(statement, path, reference):
    path.write_bytes(reference.read_bytes())
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


nameless = functools.partial(edited, "DELETE FROM meta WHERE name = 'config_hash'")
narrow = functools.partial(edited, "ALTER TABLE results DROP COLUMN note")
newer = functools.partial(edited, "PRAGMA user_version = 2")


def damaged(page, path, reference):
    content = bytearray(reference.read_bytes())
    start = page * 4096 % len(content)
    content[start : start + 4096] = random.Random(0).randbytes(4096)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (foreign, "not the result of a sweep"),
        (text, "not the result of a sweep"),
        (empty, "not the result of a sweep"),
        (truncated, "damaged"),
        (nameless, "damaged"),
        (narrow, "damaged: no such column: note"),
        (newer, "layout 2 of another version of bsr"),
        (functools.partial(damaged, 1), "damaged"),
        (functools.partial(damaged, -2), "damaged"),
    ],
)
def test_foreign_and_damaged_files_are_left_as_they_are(config, reference, tmp_path, make, message):
    path = tmp_path / "file.db"
    make(path, reference)
    before = path.read_bytes()
    for attempt in (
        lambda: in_thread(config, path, resume=True),
        lambda: in_thread(config, path, resume=True, allow_other_config=True),
        lambda: sweep.load(path),
    ):
        with pytest.raises(ValueError, match=message):
            attempt()
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]


def test_existing_results_are_not_overwritten(config, reference, monkeypatch):
    before = reference.read_bytes()
    with pytest.raises(FileExistsError, match="--resume"):
        in_thread(config, reference)
    monkeypatch.setattr(Path, "exists", lambda self: False)  # somebody makes the file in the last moment
    with pytest.raises(FileExistsError):
        in_thread(config, reference, resume=True)
    assert reference.read_bytes() == before


@pytest.mark.slow
def test_two_sweeps_do_not_write_one_file(config, tmp_path):
    path = tmp_path / "out.db"
    with contextlib.closing(_store.Store(path, config)):
        before = path.read_bytes()
        with pytest.raises(BlockingIOError, match="another sweep is writing"):
            in_thread(config, path, resume=True)
        assert path.read_bytes() == before
        assert len(raw(path)) == 0  # reading is fine
    assert list(tmp_path.iterdir()) == [path]
    assert in_thread(config, path, resume=True) == (40, 0, 0, 0)


def test_an_empty_sweep_is_an_empty_table(config, tmp_path, capsys):
    path = tmp_path / "empty.db"
    _store.Store(path, config).close()
    for table in (sweep.load(path), raw(path)):
        assert len(table) == 0
        assert {"alpha", "d", "estimator"} <= set(table)
    assert cli.main(["sweep-table", str(path)]) == 0
    assert cli.main(["sweep-table", str(path), "--csv", str(tmp_path / "empty.csv")]) == 0
    assert "tasks done 0, failed 0, refused 0" in (tmp_path / "empty.csv").read_text()


def test_results_of_another_configuration_are_refused_unless_told(config, reference, tmp_path):
    path = tmp_path / "copy.db"
    path.write_bytes(reference.read_bytes())
    other = sweep.Config.parse(CONFIG.replace("seeds = 2", "seeds = 3"))
    with pytest.raises(ValueError, match="another configuration"):
        in_thread(other, path, resume=True)
    assert path.read_bytes() == reference.read_bytes()
    assert in_thread(other, path, resume=True, allow_other_config=True) == (60, 0, 0, 40)
    again = '[[estimator]]\nname = "ridge"\n'
    same = sweep.Config.parse("# a comment\n" + CONFIG.replace("[0.5, 0.8]", "[0.8, 0.5]") + again)
    assert len(same.tasks()) == 40
    assert same.hash == config.hash != other.hash


# Configurations


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("alpha =", "alhpa ="), r"unknown key 'alhpa' in \[problem\]; allowed are alpha, beta, rho, delta"),
        (("seeds =", "seed_count ="), r"unknown key 'seed_count' in \[sweep\]"),
        (("d = [8, 10]", ""), r"key 'd' is missing in \[sweep\]"),
        (("steps =", "stpes ="), "unknown option 'stpes' of estimator gradient_descent; allowed are rank, replicas"),
        (("steps = 100", 'steps = "many"'), "'steps' of estimator gradient_descent must be an integer"),
        (("steps = 100", "steps = 1e3"), "'steps' of estimator gradient_descent must be an integer, got 1000.0"),
        (("steps = 100", "steps = [100]"), r"'steps' .* must be an integer, got \[100\]; grid = {steps = \[...\]}"),
        (("steps = 100", "tol = nan"), "'tol' of estimator gradient_descent must be a number, got nan"),
        (("steps = 100", 'then = "interpolate"'), "'then' of estimator gradient_descent must be a table with a name"),
        (("steps = 100", 'then = {name = "ridge"}'), "unknown then 'ridge'; allowed are interpolate"),
        (("steps = 100", 'then = {name = "interpolate", lr = 1.0}'), "unknown option 'lr' of then interpolate"),
        (('"ridge"', '"ridge"\nthen = {name = "interpolate"}'), "follows gradient_descent, got it for ridge"),
        (("iterations = 40", "rank = [2]"), "'rank' of estimator gamp_rie must be an integer"),
        (("alpha = [0.5, 0.8]", 'alpha = ["0.5"]'), r"alpha in \[problem\] must be a number or a list of them"),
        (("alpha = [0.5, 0.8]", "alpha = true"), r"alpha in \[problem\] must be a number or a list of them"),
        (("alpha = [0.5, 0.8]", "alpha = []"), r"alpha in \[problem\] must be a number or a list of them"),
        (("d = [8, 10]", "d = []"), "d must not be empty"),
        (('"ridge"', '["ridge"]'), "unknown estimator .*; allowed are gamp_rie"),
        (("steps = 100", "lr = 0.2"), "lr in .* must be either an option or in grid, got both"),
        (("steps = 100", 'init = "zero"'), "init must be 'nuclear_norm' or 'ridge', a matrix"),
        (("steps = 100", 'init = "nuclear_norm"\ninit_scale = 0.1'), "init and init_scale exclude each other"),
        (('"ridge"', '"posterior"\ndelta = 0.0'), "estimator posterior at d = 8, .*: delta must be positive"),
        (("replicas =", "rng ="), "unknown option 'rng'"),
        (('"ridge"', '"rigde"'), "unknown estimator 'rigde'; allowed are gamp_rie"),
        (('"ridge"', '"ridge"\ninit = "nuclear_norm"'), "unknown option 'init' of estimator ridge"),
        (("delta = 0.1", "delta = -0.1"), "delta must be zero or positive"),
        (("seeds = 2", "seeds = 0"), "seeds must be an integer >= 1"),
        (("rho = 0.2", "rho = 0.001"), "d=8 is too small for rho=0.001"),
        (("d = [8, 10]", "d = ["), "not valid TOML"),
        (("iterations = 40", "grid = {iterations = 40}"), "grid in .* must be a table of non-empty lists"),
    ],
)
def test_bad_configurations_are_named(change, message):
    assert change[0] in CONFIG
    with pytest.raises(ValueError, match=f"bad.toml: .*{message}"):
        sweep.Config.parse(CONFIG.replace(*change), name="bad.toml")


def test_a_mark_that_an_editor_puts_first_is_no_part_of_the_text(config, tmp_path):
    path = tmp_path / "windows.toml"
    path.write_bytes(b"\xef\xbb\xbf" + CONFIG.replace("\n", "\r\n").encode())
    assert sweep.Config.read(path) == config
    path.write_bytes(CONFIG.encode("utf-16"))
    with pytest.raises(ValueError, match=r"windows\.toml: not a text in UTF-8"):
        sweep.Config.read(path)


def test_a_configuration_is_made_of_tuples():
    problem, estimator = bsr.Problem(0.5, rho=0.5), sweep.Estimator("ridge")
    assert sweep.Config([problem], [np.int64(8), 9], [estimator]).tasks()[0].key
    for wrong in (((problem,), 8, (estimator,)), (0.5, (8,), (estimator,)), ((problem,), (8,), ("ridge",))):
        with pytest.raises(ValueError, match=r"(problems|d|estimators) must be a tuple"):
            sweep.Config(*wrong)


def test_equal_means_the_same_tasks():
    first, second = sweep.Config.parse(CONFIG), sweep.Config.parse("# a comment\n" + CONFIG, name="other")
    assert first == second
    assert hash(first) == hash(second)
    assert first == sweep.Config.parse("\ufeff" + CONFIG)  # a byte-order mark
    assert first != sweep.Config.parse(CONFIG.replace("lr = [0.1, 0.3]", "lr = [0.1, 0.2]"))
    tasks, copies = first.tasks(), pickle.loads(pickle.dumps(first)).tasks()
    assert tasks == copies
    assert set(tasks) == set(copies)
    assert len(set(tasks)) == 40
    assert len({task.estimator for task in tasks}) == 5
    assert tasks[7] in copies[7:]
    assert tasks[7] not in copies[8:]
    ridge = sweep.Estimator("ridge", {"lam": 1.0})
    assert ridge == sweep.Estimator("ridge", {"lam": np.float64(1.0)})
    assert ridge != sweep.Estimator("ridge", {"lam": 1})  # another key
    assert ridge != sweep.Estimator("gamp_rie", {"lam": 1.0})
    assert ridge != "ridge"
    options = {"lam": 1.0}
    kept = sweep.Estimator("ridge", options)
    options["lam"] = 2.0
    assert kept == ridge
    with pytest.raises(ValueError, match="options must be a dict of numbers and texts"):
        sweep.Estimator("ridge", {"lam": np.ones(2)})


@pytest.mark.parametrize("path", sorted((ROOT / "experiments").glob("*.toml")), ids=lambda path: path.stem)
def test_experiments_are_valid_and_say_how_many_tasks_they_have(path):
    config = sweep.Config.read(path)
    assert f"{len(config.tasks())} tasks" in config.text
    assert max(task.memory for task in config.tasks()) < 8e9


SCRIPTS = {path.stem for path in (ROOT / "experiments").glob("*.py")}
TABLES = sorted(path for path in (ROOT / "experiments" / "results").glob("*.csv") if path.stem not in SCRIPTS)


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_tables_of_experiments_are_those_of_the_present_configurations(path):
    config = sweep.Config.read(ROOT / "experiments" / f"{path.stem}.toml")
    head = path.read_text()
    assert f"hash {config.hash[:16]}" in head
    assert f"tasks done {len(config.tasks())}, failed 0, refused 0" in head


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fig3", "fig5", "fig6_noise_50", "fig7"])
def test_the_cheapest_point_of_a_table_comes_out_again(name):
    """Numbers that a figure of the book shows, made once by an earlier version.

    It may have stopped a step later; and it took the variance of the tokens, which GAMP-RIE now measures, for 1.
    """
    table = pd.read_csv(ROOT / "experiments" / "results" / f"{name}.csv", comment="#")
    row = table.loc[(table.seconds * table.done).idxmin()]
    point = [row.d, row.n, row.L, row.r, row.delta, row.estimator, row.options]
    metrics = []
    for task in sweep.Config.read(ROOT / "experiments" / f"{name}.toml").tasks():
        sizes, options = task.problem.sizes(task.d), _tasks.canonical(task.estimator.options)
        if [task.d, *sizes, task.problem.delta, task.estimator.name, options] == point:
            metrics.append(_tasks.execute(task)["metrics"])
    assert len(metrics) == row.done >= 4
    found = pd.DataFrame(metrics, dtype=float).mean()
    names = {"power", "error", "nuclear_ratio", "norm", "error_averaged"} & set(table)
    assert found[sorted(names)].to_dict() == pytest.approx(
        row[sorted(names)].to_dict(), rel=1e-3 if row.estimator == "gamp_rie" else 1e-4
    )


def test_a_table_says_what_it_cost(reference, tmp_path):
    table = sweep.load(reference)
    assert table.seconds.mul(table.done).sum() == pytest.approx(raw(reference).seconds.sum())
    table["seconds"] = 10.0  # the mean of two tasks each
    _cli.write_csv(table, tmp_path / "out.csv")
    assert "# tasks done 40, failed 0, refused 0; 400 s of one worker\n" in (tmp_path / "out.csv").read_text()


# The command line


@pytest.mark.slow
def test_the_commands(tmp_path, capsys):
    source, out, csv = tmp_path / "c.toml", tmp_path / "out.db", tmp_path / "out.csv"
    source.write_text(CONFIG)
    assert cli.main(["sweep", str(source), "--dry-run"]) == 0
    assert "40 tasks" in capsys.readouterr().out
    assert not out.exists()
    assert cli.main(["sweep", str(source)]) == 2
    assert "--out is needed" in capsys.readouterr().err
    assert cli.main(["sweep", str(source), "--out", str(out), "--workers", "2", "--memory", "0.01"]) == 1
    told = capsys.readouterr()
    assert "refused 40" in told.out
    assert "bsr sweep: warning: 40 tasks refused" in told.err
    assert "a task may take 0.01 GB" in told.err
    assert cli.main(["sweep", str(source), "--out", str(out), "--workers", "2", "--resume"]) == 0
    told = capsys.readouterr()
    assert "done 40" in told.out
    assert re.search(r"100%.* 40/40 \[00:\d\d<00:00", told.err)  # the time left
    assert cli.main(["sweep", str(source), "--out", str(out)]) == 2
    assert "--resume" in capsys.readouterr().err
    assert cli.main(["sweep-table", str(out)]) == 0
    assert "gamp_rie" in capsys.readouterr().out
    assert cli.main(["sweep-table", str(out), "--csv", str(csv)]) == 0
    pd.testing.assert_frame_equal(
        pd.read_csv(csv, comment="#")[["n", "error", "error_se"]],
        sweep.load(out)[["n", "error", "error_se"]],
        rtol=1e-7,
    )
    assert cli.main(["sweep-table", str(out), "--raw"]) == 0
    assert "data_set" in capsys.readouterr().out
    assert cli.main(["sweep-table", str(out), "--raw", "--csv", str(csv)]) == 0
    rows, columns = pd.read_csv(csv, comment="#"), ["data_set", "status", "error"]
    pd.testing.assert_frame_equal(rows[columns], sweep.load(out, raw=True)[columns], rtol=1e-7)
    assert "tasks done 40, failed 0" in csv.read_text()
    assert "machine" not in rows


@pytest.mark.slow
def test_the_command_runs_in_any_thread(tmp_path):
    source = tmp_path / "c.toml"
    source.write_text("[sweep]\nd = 6\n[problem]\nalpha = 0.5\n[[estimator]]\nname = 'ridge'\n")
    command = ["sweep", str(source), "--out", str(tmp_path / "out.db"), "--workers", "1"]
    with cf.ThreadPoolExecutor(1) as thread:
        assert thread.submit(cli.main, command).result() == 0
    assert len(raw(tmp_path / "out.db")) == 1


def test_what_is_not_installed_is_named_with_its_extra(reference, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert cli.main(["sweep-table", str(reference)]) == 2
    told = capsys.readouterr().err
    assert "pandas" in told
    assert "install bilinear-sequence-regression[sweep]" in told
