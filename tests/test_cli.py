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

import numpy as np
import pytest

import bsr
from bsr import channels, sweep
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


CHANNELS = {
    "sign": (["--delta", "0.1"], channels.Sign(0.1), {"delta": 0.1}),
    "relu": ([], channels.ReLU(), {"delta": 0.0}),
    "abs": (["--delta", "0.1"], channels.Abs(0.1), {"delta": 0.1}),
    "logistic": (["--scale", "0.5"], channels.Logistic(0.5), {"scale": 0.5}),
    "poisson": (["--rate", "2", "--gain", "0.5"], channels.Poisson(2.0, 0.5), {"rate": 2.0, "gain": 0.5}),
}


@pytest.mark.parametrize("name", CHANNELS)
def test_predictions_for_channels_are_those_of_the_theory(capsys, name):
    options, channel, described = CHANNELS[name]
    answer = ask(capsys, "predict", "--alpha", "0.67", "2", "--rho", "0.2", "--channel", name, *options)
    assert answer["problem"] == {"beta": 1.0, "rho": 0.2, "channel": name, **described}
    assert answer["label_error"] == ("wrong class" if name in ("sign", "logistic") else "squared error of the label")
    for row, alpha in zip(answer["error"], (0.67, 2.0), strict=True):
        expected = {"bayes_optimal": bayes.mmse(alpha, 1.0, 0.2, channel=channel)}
        if name == "abs":  # its hard phase: 0.663 to 0.687
            expected["message_passing"] = bayes.algorithmic_mmse(alpha, 1.0, 0.2, channel=channel)
        label = {key: channel.test_error(error=error) for key, error in expected.items()}
        assert row == {"alpha": alpha, **expected, "label": label}
    found = bayes.thresholds(1.0, 0.2, channel)
    numbers = {key: None if value != value else value for key, value in vars(found).items()}
    assert answer["thresholds"] == numbers | {"spinodals": list(found.spinodals)}


def test_linear_labels_may_be_asked_for_by_name(capsys):
    for command in (["predict", "--alpha", "0.4"], ["samples", "--error", "0.2"]):
        plain = ask(capsys, *command, "--delta", "0.1")
        assert ask(capsys, *command, "--delta", "0.1", "--channel", "linear") == plain


def test_an_error_that_is_not_found_is_null_and_warned_of(capsys):
    arguments = ("predict", "--alpha", "1", "--channel", "logistic", "--scale", "1e-6")
    assert main(arguments) == 0
    assert "ConvergenceWarning: the information of Logistic" in capsys.readouterr().err
    (row,) = ask(capsys, *arguments)["error"]
    assert row["label"]["bayes_optimal"] is row["bayes_optimal"] is None


@pytest.mark.slow
def test_the_optimal_error_may_jump_twice(capsys):
    """Moduli of long sequences: the thresholds name the first jump, a later one passes small errors."""
    channel, shape = channels.Abs(1e-5), ("--beta", "800", "--rho", "0.17", "--channel", "abs", "--delta", "1e-5")
    (row,) = ask(capsys, "samples", "--error", "0.008", *shape)["samples"]
    alpha = row["alpha"]["bayes_optimal"]
    before, after = bayes.mmse([alpha * (1 - 1e-8), alpha * (1 + 1e-8)], 800.0, 0.17, channel=channel)
    assert after < 0.001 < 0.1 < before
    assert bayes.thresholds(800.0, 0.17, channel).information < 0.9 * alpha
    assert row["jumps"] == ["bayes_optimal", "message_passing"]


@pytest.mark.parametrize("name", CHANNELS)
def test_from_these_alphas_on_an_error_is_reached(capsys, name):
    options, channel, _ = CHANNELS[name]
    arguments = ["samples", "--error", "0.97", "0.5", "0.1", "--rho", "0.2", "--d", "50", "--channel", name, *options]
    answer = ask(capsys, *arguments)
    assert answer["label_error"] == ("wrong class" if name in ("sign", "logistic") else "squared error of the label")
    for row in answer["samples"]:
        assert row["label"] == channel.test_error(error=row["error"])
        for key, curve in (("bayes_optimal", bayes.mmse), ("message_passing", bayes.algorithmic_mmse)):
            alpha = row["alpha"][key]
            before, after = (curve(alpha * (1 + step), 1.0, 0.2, channel=channel) for step in (-1e-6, 1e-6))
            assert after <= row["error"] < before
            assert (key in row["jumps"]) == (before - after > 1e-2)
            assert row["n"][key] - 1 < alpha * 2500 <= row["n"][key]


@pytest.mark.slow
def test_in_a_hard_phase_an_error_has_two_numbers_of_samples(capsys):
    """Between the jumps of both curves, at 0.66311 and 0.68686, whatever an error on the branches that jump."""
    at = bayes.thresholds(1.0, 0.2, channels.Abs(0.1))
    arguments = ("samples", "--rho", "0.2", "--channel", "abs", "--delta", "0.1", "--error")
    one, two, three = (row["alpha"] for row in ask(capsys, *arguments, "0.98", "0.7", "0.3")["samples"])
    assert one["bayes_optimal"] == one["message_passing"] < at.information  # before both
    assert two == {"bayes_optimal": at.information, "message_passing": at.algorithmic}  # jumped over by both
    assert three["bayes_optimal"] == three["message_passing"] > at.algorithmic  # behind both
    (exact,) = ask(capsys, "samples", "--rho", "0.2", "--channel", "abs", "--error", "0.5")["samples"]
    assert exact["alpha"]["bayes_optimal"] == pytest.approx(limits.strong_recovery(1.0, 0.2), rel=1e-12)
    assert exact["alpha"]["message_passing"] == pytest.approx(0.57249, abs=1e-5)


def test_tables_of_channels_can_be_read(capsys):
    assert main(["predict", "--alpha", "0.4", "0.6", "--rho", "0.2", "--channel", "abs", "--d", "50"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["n", "1,000", "1,500"]
    assert lines[2].split() == ["Bayes-optimal", "0", "0"]
    assert lines[3].split() == ["message", "passing", "1", "0"]
    assert lines[4].split()[-2:] == ["0", "0"]
    assert lines[5].startswith("squared error of the label, message passing")
    assert lines[-5:][0].split() == ["weak", "recovery", "0.5"]
    assert lines[-2].split()[-1] == lines[-1].split()[-1] == "0.36"
    assert main(["predict", "--alpha", "0.4", "--rho", "0.2", "--channel", "sign"]) == 0
    text = capsys.readouterr().out
    assert "message passing " not in text.split("thresholds")[0]
    assert "wrong class, Bayes-optimal" in text
    assert text.split("thresholds")[1].count("none") == 5
    assert main(["samples", "--error", "0.5", "0.05", "--rho", "0.2", "--channel", "abs", "--delta", "0.1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("squared error of the label  ")
    assert lines[-1] == "message passing jumps at this alpha, past an error of 0.5"
    assert not any(line.startswith("Bayes-optimal jumps") for line in lines)


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
        (["predict", "--alpha", "0.3", "--channel", "softmax"], "--channel must be one of linear, sign, relu"),
        (["samples", "--error", "0.3", "--channel", "sign", "--delta", "-0.1"], "--delta must be zero or positive"),
        (["samples", "--error", "0.3", "--channel", "logistic", "--scale", "0"], "--scale must be positive"),
        (["predict", "--alpha", "0.3", "--channel", "poisson", "--rate", "-1"], "--rate must be positive"),
        (["predict", "--alpha", "0.3", "--channel", "poisson", "--gain", "0"], "--gain must not be zero"),
        (["predict", "--alpha", "0.3", "--channel", "logistic", "--delta", "0.1"], "--delta means nothing"),
        (["predict", "--alpha", "0.3", "--channel", "sign", "--scale", "2"], "--scale means nothing"),
        (["predict", "--alpha", "0.3", "--rate", "2"], "--rate means nothing for --channel linear"),
        (["predict", "--alpha", "0", "--channel", "sign"], "--alpha"),
        (["samples", "--error", "1", "--channel", "sign"], "error"),
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


@pytest.mark.slow
def test_the_reference_shows_what_a_fit_prints(capsys, tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    page = (Path(__file__).parents[1] / "book" / "api.md").read_text(encoding="utf-8")
    (session,) = re.findall(r"^```text\n\$ (bsr fit .*?)^```", page, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    data = bsr.Problem(alpha=0.7, beta=1.0, rho=0.1, delta=0.1).sample(d=20, rng=0)
    np.savez("pilot.npz", X=data.X, y=data.y)
    command, _, expected = session.partition("\n")
    assert main(shlex.split(command)[1:]) == 0
    number = r"-?\d[\d,]*\.?\d*"
    shown, printed = expected.rstrip(), capsys.readouterr().out.rstrip()
    assert re.sub(number, "#", printed) == re.sub(number, "#", shown)
    values = ([float(v.replace(",", "")) for v in re.findall(number, text)] for text in (printed, shown))
    assert next(values) == pytest.approx(next(values), rel=0.02)
