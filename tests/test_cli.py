"""The command line says what the theory says."""

import concurrent.futures as cf
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import bsr
from bsr import sweep
from bsr.cli import main
from bsr.theory import bayes, limits, nuclear_norm, ridge

ROOT = Path(__file__).parents[1]


def ask(capsys, *arguments):
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_predictions_are_those_of_the_theory(capsys):
    answer = ask(capsys, "predict", "--alpha", "0.3", "1.5", "--beta", "2", "--rho", "0.2", "--delta", "0.1")
    assert answer["problem"] == {"beta": 2.0, "rho": 0.2, "delta": 0.1}
    for row, alpha in zip(answer["error"], (0.3, 1.5), strict=True):
        assert row == {
            "alpha": alpha,
            "bayes_optimal": bayes.mmse(alpha, 2.0, 0.2, 0.1),
            "nuclear_norm_best": nuclear_norm.mse(alpha, 2.0, 0.2, 0.1, lam=None),
            "nuclear_norm_minimal": nuclear_norm.mse(alpha, 2.0, 0.2, 0.1, lam=0.0),
            "ridge_best": ridge.mse(alpha, delta=0.1),
            "least_squares": ridge.mse(alpha, delta=0.1, lam=0.0),
        }
    assert answer["exact_recovery_without_noise"]["bayes_optimal"] == limits.strong_recovery(2.0, 0.2)


def test_the_number_of_samples_reaches_the_error(capsys):
    arguments = ("samples", "--error", "0.1", "--d", "50", "--L", "100", "--r", "10", "--delta", "0.05")
    (row,) = ask(capsys, *arguments)["samples"]
    alpha = row["alpha"]
    assert bayes.mmse(alpha["bayes_optimal"], 2.0, 0.2, 0.05) == pytest.approx(0.1, rel=1e-9)
    assert nuclear_norm.mse(alpha["nuclear_norm_best"], 2.0, 0.2, 0.05, lam=None) == pytest.approx(0.1, rel=1e-8)
    assert nuclear_norm.mse(alpha["nuclear_norm_minimal"], 2.0, 0.2, 0.05, lam=0.0) == pytest.approx(0.1, rel=1e-8)
    assert ridge.mse(alpha["ridge_best"], delta=0.05) == pytest.approx(0.1, rel=1e-12)
    for name, n in row["n"].items():
        assert n - 1 < alpha[name] * 5000 <= n


def test_sizes_stand_for_ratios(capsys):
    by_size = ask(capsys, "predict", "--alpha", "0.3", "--d", "30", "--L", "15", "--r", "3")
    by_ratio = ask(capsys, "predict", "--alpha", "0.3", "--beta", "0.5", "--rho", "0.2")
    assert by_size["error"][0].pop("n") == 135
    assert by_size == by_ratio


def test_infinite_errors_are_null_in_json(capsys):
    (row,) = ask(capsys, "predict", "--alpha", "1", "--delta", "0.1", "--rho", "0.2")["error"]
    assert row["least_squares"] is None


def test_tables_can_be_read(capsys):
    assert main(["predict", "--alpha", "0.3", "0.6", "--rho", "0.2", "--d", "100"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["alpha", "0.3", "0.6"]
    assert lines[1].split() == ["n", "3,000", "6,000"]
    assert lines[2].split() == ["Bayes-optimal", f"{bayes.mmse(0.3, 1.0, 0.2):.6g}", "0"]
    assert main(["samples", "--error", "0.1", "--rho", "0.2"]) == 0
    assert "0.9" in capsys.readouterr().out  # ridge without noise: alpha = 1 - error


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["predict", "--alpha", "-1"], "alpha"),
        (["predict", "--alpha", "0.3", "--rho", "0"], "--rho"),
        (["predict", "--alpha", "0.3", "--delta", "-0.1"], "delta"),
        (["predict", "--alpha", "0.3", "--L", "10"], "--d"),
        (["predict", "--alpha", "0.3", "--d", "10", "--L", "20", "--beta", "2"], "--beta"),
        (["samples", "--error", "1.5"], "error"),
        (["samples", "--error", "0.1", "--d", "0"], "--d"),
        (["samples", "--error", "0.1", "--d", "1" + 400 * "0"], "--d"),
        (["predict", "--alpha", "1e308", "--d", "100"], "--alpha"),
        (["predict", "--alpha", "inf", "--d", "100"], "--alpha"),
        (["predict", "--alpha", "0.3", "--beta", "1e308", "--d", "100"], "beta"),
    ],
)
def test_nonsense_is_refused_by_name(capsys, arguments, name):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("bsr: ")
    assert name in captured.err


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="a closed pipe as POSIX has it")
@pytest.mark.parametrize("command", ["samples --error 0.1", "--help", "sweep-table results.db"])
def test_a_pipe_that_nobody_reads_ends_it_quietly(command, tmp_path):
    if "results.db" in command:
        pytest.importorskip("pandas")
        config = sweep.Config.parse("[sweep]\nd = 6\n[problem]\nalpha = 0.5\n[[estimator]]\nname = 'ridge'\n")
        with cf.ThreadPoolExecutor(1) as executor:
            sweep.run(config, tmp_path / "results.db", executor=executor, progress=False)
    reader, writer = os.pipe()
    os.close(reader)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "BSR_COMPILE_NOTICE": "0"}
    argv = [sys.executable, "-m", "bsr", *command.split()]
    done = subprocess.run(argv, stdout=writer, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment)
    os.close(writer)
    assert done.stderr == ""
    # argparse drops the error of its own writing, which comes early without a buffer.
    assert done.returncode == 128 + signal.SIGPIPE or (command == "--help" and done.returncode == 0)


@pytest.mark.slow
def test_the_module_and_the_command_are_the_same():
    environment = os.environ | {"NUMBA_NUM_THREADS": "1"}
    told = subprocess.run([sys.executable, "-m", "bsr", "--version"], capture_output=True, text=True, env=environment)
    assert told.returncode == 0
    assert told.stdout.strip() == f"bsr {bsr.__version__}"
    (command,) = entry_points(group="console_scripts", name="bsr")
    assert command.load() is main


def test_the_reference_shows_what_is_printed(capsys):
    page = (Path(__file__).parents[1] / "book" / "api.md").read_text(encoding="utf-8")
    (session,) = re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    for shown in session.split("$ ")[1:]:
        command, _, expected = shown.partition("\n")
        assert main(shlex.split(command)[1:]) == 0
        assert capsys.readouterr().out.rstrip() == expected.rstrip()
