"""The physics of the stored tables, replayed at small size: a change of it turns these red; redo the tables named.

Each configuration in `experiments/` whose table is stored gives one task for each of its estimators, cut down to a few
tokens and steps. Its numbers were written by ``python tests/test_replay.py``; run that again only on purpose, and run
the sweeps again then too, or say why the tables stand.
"""

import json
import sys
from pathlib import Path

import pytest

sweep = pytest.importorskip("bsr.sweep")

ROOT = Path(__file__).parents[1]
STORED = Path(__file__).parent / "data" / "replay.json"
SCRIPTS = {path.stem for path in (ROOT / "experiments").glob("*.py")}  # their tables are not those of a sweep
TABLES = sorted({path.stem for path in (ROOT / "experiments" / "results").glob("*.csv")} - SCRIPTS)
LESS = {
    "gamp_rie": {"iterations": 20},
    "gradient_descent": {"steps": 12, "replicas": 2},  # after more, long steps differ between processors
    "posterior": {"sweeps": 60, "burn_in": 20, "thin": 1},
    "randomised_map": {"steps": 40, "replicas": 2},
}


def tasks(name):
    """One for each estimator, at the middle sample size, with the middle law of tokens and in float64."""
    config = sweep.Config.read(ROOT / "experiments" / f"{name}.toml")
    problem, tokens = (several[len(several) // 2] for several in (config.problems, config.tokens))
    for estimator in config.estimators:
        small = sweep.Estimator(estimator.name, {**estimator.options, **LESS.get(estimator.name, {})})
        yield sweep.Task(problem, 12, small, 0, config.seed, "float64", tokens)


def numbers(task):
    from bsr.sweep._tasks import execute

    done = execute(task)
    assert done["status"] == "done", done["traceback"]
    return {key: value for key, value in done["metrics"].items() if value is not None}


def label(task):
    return json.dumps([task.problem.alpha, task.estimator.name, task.estimator.options], sort_keys=True)


@pytest.mark.parametrize("name", TABLES)
def test_a_small_task_gives_the_stored_numbers(name):
    stored = json.loads(STORED.read_text("utf-8"))[name]
    found = {label(task): numbers(task) for task in tasks(name)}
    assert list(found) == list(stored)
    for task, expected in stored.items():
        rounded = 1e-3 if "gradient_descent" in task else 1e-6  # float32: 7e-5 measured between processors
        assert found[task] == pytest.approx(expected, rel=rounded, abs=1e-9), task


def test_every_table_is_replayed():
    assert sorted(json.loads(STORED.read_text("utf-8"))) == TABLES


if __name__ == "__main__":
    rows = {name: {label(task): numbers(task) for task in tasks(name)} for name in TABLES}
    STORED.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{sum(map(len, rows.values()))} tasks of {len(rows)} tables\n")
