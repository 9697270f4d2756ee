"""From a pilot to a plan: theory, its inverse, what a fit is taken for; pictures; the command `bsr fit`."""

import json

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

import bsr
from bsr.cli import main
from bsr.regression import BilinearClassifier, BilinearRegressor
from bsr.regression._plan import Plan, from_cross_validation, from_posterior
from bsr.theory import bayes, nuclear_norm, ridge
from bsr.tokens import MisfitWarning

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.filterwarnings("ignore::bsr.ConvergenceWarning")]


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def data():
    return bsr.Problem(1.2, 1.0, 1 / 10, 0.2).sample(10, rng=1)


@pytest.fixture(scope="module")
def auto(data):
    return BilinearRegressor(main_effects=False).fit(data.X, 3.0 * data.y + 1.0)


@pytest.fixture(scope="module")
def posterior(data):
    return BilinearRegressor("bayes", compare=False, sweeps=220).fit(data.X, 3.0 * data.y + 1.0)


# Theory


def test_errors_are_those_of_the_theory():
    """In units of labels, with fewer entries than L d, and their noise."""
    plan = Plan((20, 10), 150, 4.0, 0.5, 2, 0.3)
    table = plan.errors([60, 150, 400])
    assert list(table.index) == [60, 150, 400]
    alpha, delta = np.array([60, 150, 400]) / 150, 0.125
    np.testing.assert_allclose(table["ridge"], 0.5 + 4.0 * ridge.mse(alpha, delta=delta), rtol=1e-12)
    best = nuclear_norm.mse(alpha, 2.0, 0.2, delta, lam=None)
    np.testing.assert_allclose(table["nuclear norm"], 0.5 + 4.0 * best, rtol=1e-9)
    np.testing.assert_allclose(table["optimal"], 0.5 + 4.0 * bayes.mmse(alpha, 2.0, 0.2, delta), rtol=1e-9)
    assert table.attrs["scatter"] == 0.3
    assert np.all(table["optimal"] <= table["nuclear norm"])
    assert np.all(table["nuclear norm"] <= table["ridge"])


@pytest.mark.parametrize("spectrum", [None, np.ones(3), np.array([3.0, 2.0, 1.0, 0.5])])
@pytest.mark.parametrize("error", [1.3, 3.5])
def test_how_many_is_the_inverse(spectrum, error):
    plan = Plan((15, 15), 225, 4.0, 1.0, 3, 0.3, spectrum)
    for name, n in plan.how_many(error).items():
        at, before = plan.errors([n, n - 1])[name]
        assert at <= error * (1.0 + 2e-3)
        assert before >= error * (1.0 - 2e-3)


def test_errors_that_no_number_of_samples_has():
    plan = Plan((15, 15), 225, 4.0, 1.0, 3, 0.3)
    assert np.all(np.isinf(plan.how_many(1.0)))
    assert np.all(np.isinf(plan.how_many(0.5)))
    assert np.all(plan.how_many(5.0) == 0.0)


def test_equal_singular_values_are_a_rank():
    """At d = 60; theory is that of random ones, not equal, which matters little. Measured: 4 % at most."""
    equal, theory = (Plan((60, 60), 3600, 1.0, 0.1, 6, 1000, spectrum) for spectrum in (np.ones(6), None))
    n = [900, 1800, 3600, 7200]
    np.testing.assert_allclose(equal.errors(n)["ridge"], theory.errors(n)["ridge"], rtol=1e-12)
    for name in ("nuclear norm", "optimal"):
        np.testing.assert_allclose(equal.errors(n)[name], theory.errors(n)[name], rtol=0.08)


@pytest.mark.parametrize(("delta", "rank"), [(0.1, 1), (0.1, 4), (0.5, 2), (1.0, 1)])
@pytest.mark.parametrize("unit", [1.0, 1e6])
def test_exact_errors_give_noise_and_rank_back(delta, rank, unit):
    """From so many held-out samples that the prior and theory's own error matter little."""
    L = d = 20
    n, entries, power = 480, 400, unit * (1.0 + delta)
    losses = {
        "ridge": unit * (delta + ridge.mse(1.2, delta=delta)),
        "nuclear norm": unit * (delta + nuclear_norm.mse(1.2, 1.0, rank / d, delta, lam=None)),
    }
    plan = from_cross_validation((L, d), entries, n, 100_000, power, losses)
    assert plan.noise == pytest.approx(unit * delta, rel=0.35)
    assert plan.signal + plan.noise == pytest.approx(power)
    assert plan.rank == pytest.approx(rank, rel=0.6)
    found = plan.errors([480])
    for name, loss in losses.items():
        assert found[name].iloc[0] == pytest.approx(loss, rel=0.05)


@pytest.mark.parametrize(("delta", "rank"), [(0.1, 1), (0.1, 4), (0.5, 2)])
def test_the_expected_error_of_a_posterior_gives_the_rank_back(delta, rank):
    error = 3.0 * bayes.mmse(0.9, 1.0, rank / 20, delta)
    plan = from_posterior((20, 20), 400, 360, 3.0 * (1.0 + delta), 3.0 * delta, error)
    assert plan.rank == pytest.approx(rank, rel=0.05)
    assert plan.errors([360])["optimal"].iloc[0] == pytest.approx(3.0 * delta + error, rel=0.03)


# What fits say


@pytest.mark.slow
def test_a_fit_plans_in_units_of_its_labels(data, auto, posterior):
    """Theory at the truth; one pilot is off by so much."""
    truth = Plan((10, 10), 100, 9.0 * np.mean(data.S**2), 1.8, 1, 120).errors([120, 480])
    for model in (auto, posterior):
        found = model.plan([120, 480])
        np.testing.assert_allclose(found, truth, rtol=0.5)
        assert list(found.columns) == ["ridge", "nuclear norm", "optimal"]
        scaled = model.plan(120)
        np.testing.assert_allclose(scaled.to_numpy()[0], found.to_numpy()[0])
        n = model.how_many(float(found["optimal"].iloc[1]))
        assert n["optimal"] == pytest.approx(480, abs=2)
        assert n["optimal"] <= n["nuclear norm"] <= n["ridge"]
    by_spectrum = posterior.plan([120, 480], spectrum=True)
    np.testing.assert_allclose(by_spectrum, posterior.plan([120, 480]), rtol=0.5)


def test_what_cannot_be_planned(data, auto):
    for call, said in (
        (lambda: auto.plan(0), "n must be positive and finite, got 0"),
        (lambda: auto.plan([-5]), "n must be positive and finite, got -5"),
        (lambda: auto.plan([[1, 2]]), r"n must be a number or a sequence of them, got an array of shape \(1, 2\)"),
        (lambda: auto.plan("many"), "n must be a real number"),
        (lambda: auto.how_many(-1.0), "error must be positive and finite, got -1"),
        (lambda: auto.how_many([0.1, 0.2]), "error must be a single number"),
        (lambda: auto.plan(100, spectrum=True), "spectrum must be False for method='auto'"),
    ):
        with pytest.raises(ValueError, match=said):
            call()
    model = BilinearRegressor("gradient_descent", compare=False, main_effects=False).fit(data.X, data.y)
    with pytest.raises(ValueError, match="method must be 'auto' or 'bayes' to plan, got 'gradient_descent'"):
        model.plan(100)
    model = BilinearRegressor(main_effects=True, cv=2).fit(data.X, data.y)
    with pytest.raises(ValueError, match="main_effects must be False or 'auto' to plan from method='auto', got True"):
        model.plan(100)


def test_a_spectrum_is_not_one_of_units(data, posterior):
    units = np.geomspace(1e-3, 1e3, 10)
    model = BilinearRegressor("bayes", compare=False, sweeps=220).fit(data.X * units, 3.0 * data.y + 1.0)
    np.testing.assert_allclose(model.plan(480, spectrum=True), posterior.plan(480, spectrum=True), rtol=1e-3)


def test_plans_warn_of_tokens_that_are_not_white():
    root = np.linalg.cholesky(0.9 ** np.abs(np.subtract.outer(np.arange(8), np.arange(8))))
    rng = np.random.default_rng(0)
    X = root @ rng.standard_normal((80, 8, 8)) @ root.T
    model = BilinearRegressor(main_effects=False).fit(X, X[:, 0, 0] + rng.standard_normal(80))
    with pytest.warns(MisfitWarning, match="not as 64"):
        model.plan(200)


# Pictures


def test_factors_are_drawn_with_their_names(auto):
    figure = auto.plot_factors(components=2, positions=[f"p{k}" for k in range(10)], channels="ACDEFGHIKL")
    rows = min(2, auto.rank_)
    assert len(figure.axes) == 2 * rows
    assert figure.axes[0].get_ylabel() == "component 1"
    assert (figure.axes[-2].get_xlabel(), figure.axes[-1].get_xlabel()) == ("position", "channel")
    assert [tick.get_text() for tick in figure.axes[-1].get_xticklabels()] == list("ACDEFGHIKL")
    U, V = auto.factors_
    for ax, factor in zip(figure.axes[:2], (U, V), strict=True):
        np.testing.assert_allclose([bar.get_height() for bar in ax.patches], factor[:, 0])
    with pytest.raises(ValueError, match="a name for each of 10 places, got 3"):
        auto.plot_factors(positions="abc")
    with pytest.raises(ValueError, match="components must be an integer >= 1, got 0"):
        auto.plot_factors(0)


def test_nothing_is_drawn_of_rank_zero():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 4, 4))
    model = BilinearRegressor("bayes", compare=False, sweeps=60, burn_in=20).fit(X, rng.standard_normal(40))
    model.rank_, model.factors_ = 0, tuple(factor[:, :0] for factor in model.factors_)
    with pytest.raises(ValueError, match="no components to plot: the model returned is 'bayes', of rank 0"):
        model.plot_factors()


def test_the_comparison_is_drawn(auto):
    _, given = plt.subplots()
    ax = auto.plot_comparison(given)
    assert ax is given
    assert ax.get_xlabel() == "cross-validated R^2"
    table = auto.comparison_.sort_values("score")
    assert [tick.get_text() for tick in ax.get_yticklabels()] == list(table.index)
    drawn = [box.lines[0].get_xdata()[0] for box in ax.containers]
    np.testing.assert_allclose(drawn, table["score"])
    for box, error in zip(ax.containers, table["error"], strict=True):
        ends = box.lines[2][0].get_segments()[0][:, 0]
        assert np.ptp(ends) == pytest.approx(2.0 * error, abs=1e-12)


def test_the_learning_curve_is_drawn(auto, posterior):
    ax = auto.plot_learning_curve()
    labels = ax.get_legend_handles_labels()[1]
    names = ["ridge", "nuclear norm", "optimal", "ridge, held out", "nuclear norm, held out", "noise"]
    assert sorted(labels) == sorted(names)
    assert ax.get_xlabel() == "number of samples $n$"
    assert ax.get_ylabel() == "squared error of new labels"
    assert ax.get_xscale() == "log"
    lines = dict(zip(labels, ax.get_legend_handles_labels()[0], strict=True))
    assert lines["ridge, held out"].get_xdata()[0] == pytest.approx(0.8 * auto.n_samples_)
    score = auto.comparison_.loc["ridge", "score"]
    power = np.var(3.0 * bsr.Problem(1.2, 1.0, 1 / 10, 0.2).sample(10, rng=1).y)
    assert lines["ridge, held out"].get_ydata()[0] == pytest.approx(power * (1.0 - score))
    ax = posterior.plot_learning_curve(n=[50, 100, 200])
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), [50, 100, 200])
    np.testing.assert_allclose(ax.lines[2].get_ydata(), posterior.plan([50, 100, 200])["optimal"])


# The command


@pytest.fixture
def file(tmp_path, data):
    path = tmp_path / "data.npz"
    np.savez(path, X=data.X, y=data.y, named=np.where(data.y > 0, "up", "down"), rows=data.X.reshape(len(data.y), -1))
    return path


@pytest.mark.slow
def test_the_command_writes_a_report_and_coefficients(file, data, capsys):
    assert main(["fit", str(file), "--cv", "3", "--plan", "100", "400"]) == 0
    model = BilinearRegressor(cv=3).fit(data.X, data.y)
    printed = capsys.readouterr().out
    assert model.summary() in printed
    assert "Predicted squared error of new labels:" in printed
    report = json.loads((file.parent / "data-fit.json").read_text())
    assert report["chosen"] == model.chosen_
    assert report["rank"] == model.rank_
    assert report["estimator"] == "BilinearRegressor"
    assert report["parameters"]["cv"] == 3
    assert report["n_samples"] == 120
    assert report["tokens_shape"] == [10, 10]
    for name, row in model.comparison_.iterrows():
        assert report["comparison"][name] == pytest.approx(dict(row), abs=1e-12)
    assert [row["n"] for row in report["plan"]] == [100, 400]
    assert report["plan"][1]["optimal"] == pytest.approx(model.plan(400)["optimal"].iloc[0])
    with np.load(file.parent / "data-fit.npz") as found:
        np.testing.assert_allclose(np.tensordot(data.X, found["coef"], 2) + found["intercept"], model.predict(data.X))
        np.testing.assert_allclose(found["U"] @ found["V"].T + found["additive"], found["coef"], atol=1e-5)
    assert main(["fit", str(file)]) != 0
    assert "exist; give --overwrite, or another --out" in capsys.readouterr().err
    assert main(["fit", str(file), "--overwrite", "--cv", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"]["cv"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("options", [["--target", "named"], ["--target", "named", "--classes"]])
def test_the_command_takes_classes(file, data, capsys, options):
    assert main(["fit", str(file), *options, "--cv", "2", "--main-effects", "no", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["estimator"] == "BilinearClassifier"
    assert report["classes"] == ["down", "up"]
    model = BilinearClassifier(cv=2, main_effects=False).fit(data.X, np.where(data.y > 0, "up", "down"))
    with np.load(file.parent / "data-fit.npz") as found:
        decision = np.tensordot(data.X, found["coef"], 2) + found["intercept"]
        assert list(found["classes"]) == ["down", "up"]
    np.testing.assert_allclose(decision, model.decision_function(data.X), atol=1e-9 * np.abs(decision).max())


def test_the_command_takes_bytes_for_classes(tmp_path, data):
    np.savez(tmp_path / "data.npz", X=data.X, y=np.where(data.y > 0, b"up", b"down"))
    assert main(["fit", str(tmp_path / "data.npz"), "--cv", "2", "--main-effects", "no"]) == 0
    assert json.loads((tmp_path / "data-fit.json").read_text())["classes"] == ["down", "up"]


def test_the_command_takes_rows_and_options(file, data, capsys):
    options = ["--tokens", "rows", "--shape", "10", "10", "--method", "bayes", "--sweeps", "240", "--seed", "3"]
    out = file.parent / "other.v1"
    assert main(["fit", str(file), *options, "--cv", "2", "--scale", "overall", "--out", str(out)]) == 0
    report = json.loads((file.parent / "other.v1.json").read_text())
    assert report["parameters"]["method"] == "bayes"
    assert report["parameters"]["shape"] == [10, 10]
    assert report["parameters"]["random_state"] == 3
    assert report["parameters"]["scale"] == "overall"
    assert report["r_hat"] > 0.0
    assert (file.parent / "other.v1.npz").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--target", "z"], "--target must be one of X, y, named, rows in data.npz, got 'z'"),
        (["--tokens", "z"], "--tokens must be one of X, y, named, rows in data.npz, got 'z'"),
        (["--classes"], "Unknown label type: continuous"),
        (["--target", "named", "--plan", "100"], "--plan is for numbers, not for classes"),
        (["--method", "magic"], "method must be one of"),
        (["--cv", "1"], "n_splits=1"),
        (["--plan", "100", "0"], "--plan must be numbers of samples >= 1, got 0"),
        (["--out", "nowhere/fit"], "--out must be a name in a folder that exists, got 'nowhere"),
        (["--out", "."], "--out must be a name in a folder that exists, got '.'"),
        (["--tokens", "named"], "X must be real numbers, got text"),
    ],
)
def test_the_command_refuses(file, capsys, options, said):
    assert main(["fit", str(file), *options]) != 0
    assert said in capsys.readouterr().err
    assert list(file.parent.iterdir()) == [file]  # nothing is written


@pytest.mark.parametrize("kind", ["absent", "text", "npy", "zip", "objects", "folder"])
def test_the_command_refuses_other_files(tmp_path, capsys, kind):
    path = tmp_path / "data.npz"
    if kind == "text":
        path.write_text("1, 2, 3")
    if kind == "npy":
        with open(path, "wb") as stream:
            np.save(stream, np.ones(3))
    if kind == "zip":
        path.write_bytes(b"PK\x03\x04 cut off")
    if kind == "objects":
        np.savez(path, X=np.array([{}, None]), y=np.ones(2))
    if kind == "folder":
        path.mkdir()
    assert main(["fit", str(path)]) != 0
    assert "data.npz" in (said := capsys.readouterr().err)
    assert "must be a file of NumPy arrays, .npz" in said
