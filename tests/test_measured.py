"""Pages show what the record of the benchmarks says, and the record keeps what each script left last."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

pytest.importorskip("sphinx")

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "tests" / "benchmarks" / "measured.json"
FOLDER = ROOT / "book" / "_ext"


def module(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture(scope="module")
def measured():
    return module(FOLDER / "measured.py", "measured")


@pytest.fixture(scope="module")
def runner():
    return module(ROOT / "tests" / "benchmarks" / "__main__.py", "benchmarks_runner")


@pytest.mark.parametrize(
    ("value", "unit", "asked", "expected"),
    [
        (0.00571, "s", "", "5.7\xa0ms"),
        (0.00571, "s", "ms", "5.7"),
        (0.00571, "s", "s", "0.0057"),
        (12.34, "s", "", "12\xa0s"),
        (0.1234, "s", "", "0.12\xa0s"),
        (2.5e-10, "s", "", "0.25\xa0ns"),
        (384.4, "s", "", "384\xa0s"),
        ([0.0281, 0.0459], "s", "", "28 to 46\xa0ms"),
        ([1.71, 1.69], "", "", "1.7"),
        (0.786, "", "%", "79"),
        (156, "", "", "156"),
        (0.999, "", "", "1.0"),
        (6.04e-14, "", "", r"$6 \cdot 10^{-14}$"),
        (2.72e-15, "", "", r"$2.7 \cdot 10^{-15}$"),
        (2.88, "GB", "", "2.9\xa0GB"),
    ],
)
def test_numbers_in_words(measured, value, unit, asked, expected):
    assert measured.phrase({"value": value, "unit": unit}, asked) == expected


def test_a_unit_of_another_kind_is_refused(measured):
    with pytest.raises(ValueError, match="unit must be among s, ms, µs, ns, got 'GB'"):
        measured.phrase({"value": 1.0, "unit": "s"}, "GB")


def test_the_record_is_whole(measured, runner):
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    assert set(record["runs"]) <= set(runner.SCRIPTS)
    assert {key.split(".")[0] for key in record["values"]} == set(record["runs"])
    for run in record["runs"].values():
        date.fromisoformat(run["date"])
        assert {"commit", "machine", "threads", "others", "busy", "versions"} <= set(run)
    for key, entry in record["values"].items():
        assert entry["what"], key
        assert re.search(r"\d", measured.phrase(entry)), key


def test_scripts_of_the_runner_are_there(runner):
    for name, _ in runner.SCRIPTS.values():
        text = (ROOT / "tests" / "benchmarks" / f"{name}.py").read_text(encoding="utf-8")
        assert re.search(r"^def measure\(.*\):$", text, re.MULTILINE), name


def test_a_run_replaces_what_its_script_left_and_nothing_else(runner, tmp_path):
    path, about = tmp_path / "measured.json", {"date": "2026-01-01", "busy": False}
    runner.record("gamp", {"pass": (0.123456, "s", "a pass"), "old": (1.0, "", "gone")}, about, path)
    runner.record("gamp_x", {"count": (7, "", "a count"), "range": ([0.5, 1.0], "", "two")}, about, path)
    runner.record("gamp", {"pass": (0.2, "s", "a pass")}, about | {"busy": True}, path)
    record = json.loads(path.read_text())
    assert record["runs"] == {"gamp": about | {"busy": True}, "gamp_x": about}
    values = {key: entry["value"] for key, entry in record["values"].items()}
    assert values == {"gamp.pass": 0.2, "gamp_x.count": 7, "gamp_x.range": [0.5, 1.0]}
    assert isinstance(values["gamp_x.count"], int)


def test_a_script_runs_in_a_process_of_its_own_with_its_threads(runner, tmp_path, monkeypatch):
    """The name of a module that only reports its surroundings, in place of a script."""
    (tmp_path / "surroundings.py").write_text(
        "import os\ndef measure(): return {'threads': (int(os.environ['NUMBA_NUM_THREADS']), '', 'its threads')}"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setitem(runner.SCRIPTS, "gamp", ("surroundings", 1))
    numbers, about = runner.run("gamp")
    assert numbers == {"threads": [1, "", "its threads"]}
    assert about["threads"] == 1
    assert about["machine"].startswith(f"{runner.cores()} cores of ")
    date.fromisoformat(about["date"])


def test_a_summary_of_a_stored_experiment(measured, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(
        "# versions: 1\n# tasks done 12, failed 1, refused 0; 345 s of one worker\nd,seconds\n10,1.5\n20,2.0\n"
    )
    assert measured.summary(path) == ({10, 20}, 12, 345.0)
    path.write_text("seed,seconds\n1,1.5\n2,\n3,2.0\n")
    assert measured.summary(path) == (set(), 2, 3.5)
    path.write_text("d,deviation\n10,1.5\n")
    assert measured.summary(path) == ({10}, 0, 0), "made from other tables"


CONFIGURATION = """
extensions = ["myst_parser", "measured"]
measured_file = "measured.json"
html_theme = "basic"
"""
PAGE = """# Page

A pass takes {measured}`a.pass`, within {measured}`a.error`, or

| ms |
|---|
| {measured}`a.pass ms` |

```{experiments}
one two: here
```
"""


@pytest.mark.slow
def test_a_page_shows_the_record_and_refuses_what_is_not_in_it(tmp_path):
    values = {"a.pass": {"value": 0.0123, "unit": "s"}, "a.error": {"value": 3e-14, "unit": ""}}
    (tmp_path / "conf.py").write_text(CONFIGURATION)
    results = tmp_path / "experiments" / "results"
    results.mkdir(parents=True)
    (results.parent / "one.toml").touch()
    for name, seconds in (("one", 5), ("two", 7)):
        (results / f"{name}.csv").write_text(f"# tasks done 2, failed 0, refused 0; {seconds} s of one worker\nd\n30\n")

    def build(page=PAGE):
        (tmp_path / "measured.json").write_text(json.dumps({"values": values}))
        (tmp_path / "index.md").write_text(page)
        command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", ".", "_build"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        html = (tmp_path / "_build" / "index.html").read_text(encoding="utf-8")
        return done, re.sub(r"<[^>]*>", "", html).replace("\xa0", " ")

    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(FOLDER), os.environ.get("PYTHONPATH", "")])}
    done, text = build()
    assert done.returncode == 0, done.stderr
    assert "A pass takes 12 ms" in text
    assert r"\(3 \cdot 10^{-14}\)" in text
    assert re.search(r"one.toml, two.py\s+30\s+4\s+12\s+here", text)
    values["a.pass"]["value"] = 0.0456
    assert "A pass takes 46 ms" in build()[1], "without an edit of the page"
    for page, message in (
        (PAGE.replace("a.pass ms", "a.gone"), "nothing measured has the key 'a.gone'"),
        (PAGE.replace("a.pass ms", "a.pass GB"), "a.pass: unit must be among s, ms, µs, ns, got 'GB'"),
        (PAGE.replace("one two", "one"), "tables of experiments/results that no line has: two"),
        (PAGE.replace("one two", "one two three"), "no table of experiments/results: three"),
    ):
        done, _ = build(page)
        assert done.returncode != 0
        assert message in done.stderr
