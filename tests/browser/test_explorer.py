"""The explorer of chapter 18 in the browser: its numbers against the package, its controls, its address, its weight."""

import contextlib
import io
import json
import math
import re

import links
import numpy as np
import pytest
from pages import BOOK, missing
from scipy.optimize import brentq

import bsr
from bsr import channels, cli, denoising, estimators, spectrum
from bsr.theory import bayes, limits, nuclear_norm, ridge

PAGE = "book/18_explorers.html"
LIGHT = 300e3  # bytes of scripts, style and data
POINTS = 200
CLOSE = 1e-5  # of errors and of numbers of samples; the largest difference of 400 points was 1e-6
JUMPS = 1e-3  # of the place of a jump of the optimum, an integral over the curve
KINDS = "linear", "linear", "linear", "sign", "relu", "abs", "logistic", "poisson"
PARAMETERS = {"logistic": ("scale",), "poisson": ("rate", "gain")}
SERIES = 6  # different logistic and Poisson channels, whose averages the package makes in up to seconds

the_explorer = pytest.mark.parametrize("visit", [PAGE], indirect=True)
EVALUATE = """state => {
  const {rows, thresholds, outside} = bsr.explorer.evaluate(state);
  const plain = x => Number.isFinite(x) ? x : String(x);
  return {outside, thresholds: thresholds.map(t => [t[1], plain(t[2])]), rows: Object.fromEntries(rows.map(
    ({method, ...row}) => [method.key, Object.fromEntries(
      [...["error", "test", "unexplained", "needs", "scatter"].map(key => [key, plain(row[key])]),
        ["bytes", row.cost?.bytes]])]))};
}"""


def log_uniform(rng, low, high):
    return float(np.exp(rng.uniform(math.log(low), math.log(high))))


def random_states():
    """Problems inside the box that the explorer claims, with and without noise, of all kinds of labels."""
    rng, states = np.random.default_rng(20), []
    smooth = [
        {"scale": log_uniform(rng, 0.05, 3), "rate": log_uniform(rng, 0.1, 10), "gain": float(rng.uniform(0.1, 1))}
        for _ in range(SERIES)
    ]
    while len(states) < POINTS:
        kind = KINDS[len(states) % len(KINDS)]
        d = round(log_uniform(rng, 10, 1000))
        L = d if rng.random() < 0.3 else round(d * log_uniform(rng, 0.02, 50))
        r = round(min(d, max(L, 1)) * log_uniform(rng, 0.01, 3))
        if not (L and r and 0.01 <= L / d <= 100 and 0.002 <= r / min(d, L) <= 4):
            continue
        state = {"d": d, "L": L, "r": r, "channel": kind, "n": math.ceil(d * L * log_uniform(rng, 0.004, 50))}
        state |= {
            "error": log_uniform(rng, 1e-4, 0.97),
            "delta": 0.0 if rng.random() < 0.3 else log_uniform(rng, 1e-3, 10),
        }
        states.append(state | smooth[len(states) % SERIES])
    return states


def channel_of(state):
    kind = channels.NAMED[{"relu": "ReLU"}.get(state["channel"], state["channel"].capitalize())]
    return kind(*(state[name] for name in PARAMETERS.get(state["channel"], ("delta",))))


def expected(state):
    """Errors, errors of labels and numbers of samples by the package, as far as both have them."""
    entries, error = state["d"] * state["L"], state["error"]
    alpha, beta, rho = state["n"] / entries, state["L"] / state["d"], state["r"] / min(state["d"], state["L"])
    if state["channel"] != "linear":
        channel = channel_of(state)
        optimal = bayes.mmse(alpha, beta, rho, channel=channel)
        passing = bayes.algorithmic_mmse(alpha, beta, rho, channel=channel)
        found = {"bayes": {"error": optimal, "test": channel.test_error(error=optimal)}}
        if not isinstance(channel, (channels.Sign, channels.Logistic)):  # over the variance of labels
            found["bayes"]["unexplained"] = found["bayes"]["test"] / channel.test_error(error=1.0)
        needs = bayes.sample_complexity(error, beta, rho, channel=channel)
        if distance(bayes.mmse(needs, beta, rho, channel=channel), error) < 1e-6:  # else a jump passes this error
            found["bayes"]["needs"] = entries * needs
        if passing != optimal:
            found["algorithmic"] = {"error": passing, "test": channel.test_error(error=passing)}
        return found
    noise = state["delta"]
    found = {
        "bayes": (bayes.mmse(alpha, beta, rho, noise), bayes.sample_complexity(error, beta, rho, noise)),
        "ridge": (ridge.mse(alpha, delta=noise), ridge.sample_complexity(error, delta=noise)),
    }
    for name, lam in (("best", None), ("minimal", 0.0)):
        found[name] = (
            nuclear_norm.mse(alpha, beta, rho, noise, lam=lam),
            nuclear_norm.sample_complexity(error, beta, rho, noise, lam=lam),
        )
    return {
        key: {"error": e, "test": e + noise, "unexplained": (e + noise) / (1.0 + noise), "needs": entries * a}
        for key, (e, a) in found.items()
    }


def distance(shown, value):
    shown = {"Infinity": math.inf, "NaN": math.nan}.get(shown, shown)
    if shown == value:
        return 0.0
    return abs(shown / value - 1.0) if value else abs(shown)


@the_explorer
def test_numbers_are_those_of_the_package(visit):
    far, left_out = [], 0
    for state in random_states():
        shown = visit.page.evaluate(EVALUATE, state)
        if shown["outside"]:  # within two per cent of a threshold
            left_out += 1
            continue
        known = expected(state)
        assert set(known) <= set(shown["rows"])
        for method, numbers in known.items():
            for name, value in numbers.items():
                if not distance(shown["rows"][method][name], value) <= CLOSE:
                    far.append((method, name, shown["rows"][method][name], value, state))
    assert far == []
    assert left_out < 0.1 * POINTS


@the_explorer
def test_numbers_where_two_bulks_meet(visit):
    """There the law of the singular values needs most nodes."""
    for L, r, delta in ((100, 20, 0.1), (200, 30, 0.01), (100, 5, 0.5)):
        beta, rho = L / 100, r / 100
        met = brentq(lambda log: len(spectrum.edges(beta, rho, math.exp(log))) - 3, -12, 12, xtol=1e-12)  # noqa: B023
        for factor in (1 - 1e-3, 1 - 1e-6, 1 + 1e-6, 1 + 1e-3):
            noise = factor * math.exp(met)
            alpha = (delta + denoising.mmse(noise, beta, rho)) / noise
            state = {"d": 100, "L": L, "r": r, "channel": "linear", "delta": delta, "error": 0.1}
            state["n"] = float(alpha * 100 * L)  # not whole, to be where they meet
            shown = visit.page.evaluate(EVALUATE, state)["rows"]
            for method, numbers in expected(state).items():
                assert distance(shown[method]["error"], numbers["error"]) < CLOSE, (method, state)


@the_explorer
def test_thresholds_are_those_of_the_package(visit):
    names = {"w": "weak", "alg": "algorithmic", "IT": "information", "s": "strong"}
    for state in (
        {"channel": "abs", "delta": 0.1},
        {"channel": "abs", "delta": 0.0},
        {"channel": "relu", "delta": 0.0},
    ):
        state = {"d": 100, "L": 200, "r": 20, "n": 10_000, "error": 0.1, **state}
        shown = dict(visit.page.evaluate(EVALUATE, state)["thresholds"])
        known = bayes.thresholds(2.0, 0.2, channel_of(state))
        for symbol, name in names.items():
            value = getattr(known, name)
            assert (symbol in shown) == math.isfinite(value), name
            assert symbol not in shown or distance(shown[symbol], value) < JUMPS
    for L, r in ((100, 20), (200, 20), (30, 3), (100, 150)):
        state = {"d": 100, "L": L, "r": r, "channel": "linear", "delta": 0.0, "n": 10_000, "error": 0.1}
        ratios = L / 100, r / min(L, 100)
        shown = dict(visit.page.evaluate(EVALUATE, state)["thresholds"])
        assert distance(shown["s"], limits.strong_recovery(*ratios)) < CLOSE
        assert distance(shown["NN"], nuclear_norm.recovery_threshold(*ratios)) < CLOSE
        assert visit.page.evaluate(EVALUATE, state | {"delta": 0.1})["thresholds"] == []


@the_explorer
def test_the_scatter_is_the_law_of_the_chapter(visit):
    state = {"d": 100, "L": 200, "r": 20, "channel": "linear", "n": 8000, "error": 0.1}
    parameters, size = 20 * 280, 2 * 300 / (20 * 100 * 200)

    def slope(f):
        return math.log(f(math.exp(0.01)) / f(math.exp(-0.01))) / 0.02

    for noise, n in ((0.0, 4000), (0.1, 8000)):
        shown = visit.page.evaluate(EVALUATE, state | {"delta": noise, "n": n})["rows"]
        alpha = n / 20_000
        s = -slope(lambda factor: bayes.mmse(alpha * factor, 2.0, 0.2, noise))  # noqa: B023
        c = slope(lambda factor: bayes.mmse(alpha, 2.0, 0.2, noise * factor)) if noise else 0.0  # noqa: B023
        assert shown["bayes"]["scatter"] == pytest.approx(math.sqrt(4 * s / parameters + c * c * size), rel=1e-3)
        assert (shown["minimal"]["scatter"] == "NaN") == (noise > 0)
    few = visit.page.evaluate(EVALUATE, state | {"delta": 0.1, "n": 500})["rows"]
    assert few["bayes"]["scatter"] == "NaN"  # a flat curve


@the_explorer
def test_memory_is_what_the_estimators_ask_for(visit):
    for d, L, r, n in (
        (20, 20, 4, 200),
        (100, 100, 20, 5000),
        (100, 100, 20, 9000),
        (50, 800, 10, 20_000),
        (300, 300, 30, 60_000),
    ):
        state = {"d": d, "L": L, "r": r, "channel": "linear", "delta": 0.1, "n": n, "error": 0.1}
        shown = visit.page.evaluate(EVALUATE, state)["rows"]
        labels = visit.page.evaluate(EVALUATE, state | {"channel": "sign"})["rows"]
        shape, X = (n, L, d), 4 * n * L * d
        assert shown["bayes"]["bytes"] == X + estimators.gamp_rie.memory(shape)
        assert labels["bayes"]["bytes"] == X + estimators.gamp_rie.memory(shape, channel=channels.Sign(0.1))
        assert shown["best"]["bytes"] == X + estimators.nuclear_norm.memory(shape, lam=0.1)
        assert shown["minimal"]["bytes"] == X + estimators.nuclear_norm.memory(shape)
        assert shown["ridge"]["bytes"] == X + estimators.ridge.memory(shape)


@the_explorer
def test_a_hard_phase_has_no_fast_method(visit):
    state = {"d": 100, "L": 100, "r": 20, "channel": "abs", "delta": 0.1, "n": 6750, "error": 0.5}
    shown = visit.page.evaluate(EVALUATE, state)["rows"]
    assert "bytes" not in shown["bayes"] or shown["bayes"]["bytes"] is None
    assert shown["algorithmic"]["bytes"] > 0
    assert shown["bayes"]["error"] < 0.6 < shown["algorithmic"]["error"]


@the_explorer
def test_it_says_where_it_was_not_tested(visit):
    inside = {"d": 100, "L": 100, "r": 20, "channel": "linear", "delta": 0.1, "n": 5000, "error": 0.1}
    assert visit.page.evaluate(EVALUATE, inside)["outside"] == []
    for change, word in (
        ({"L": 20_000}, "β"),
        ({"n": 3}, "α"),
        ({"delta": 100.0}, "Δ"),
        ({"delta": 0.0, "n": 3610}, "2 %"),
    ):
        assert any(word in told for told in visit.page.evaluate(EVALUATE, inside | change)["outside"])


def row_of(visit, name):
    cells = visit.page.locator(f".bsr-explorer tbody tr:has(th:has-text('{name}')) td").all_inner_texts()
    return [cell.split("\n")[0] for cell in cells]


@the_explorer
def test_a_view_is_an_address(visit):
    page = visit.page
    page.goto(re.sub("#.*", "", page.url) + "#d=50&L=800&r=10&delta=0.1&n=20000&error=0.1")
    page.reload()
    page.locator(".bsr-explorer caption:has-text('n = 20,000')").wait_for()
    assert page.get_by_label("tokens in a sequence, L", exact=True).first.input_value() == "800"
    assert row_of(visit, "Bayes-optimal")[2] == "15,079"  # as the chapter prints
    assert "α = 0.5, β = 16, ρ = 0.2" in page.locator(".bsr-explorer caption").inner_text()
    page.get_by_label("rank of the teacher, r", exact=True).first.fill("20")
    page.locator(".bsr-explorer caption:has-text('ρ = 0.4')").wait_for()
    assert "r=20" in page.url
    page.get_by_role("button", name="the lost sign").click()
    page.locator(".bsr-explorer tbody tr:has-text('message passing')").first.wait_for()
    assert "channel=abs" in page.url


@the_explorer
def test_it_works_by_keyboard_and_refuses_nonsense(visit):
    page = visit.page
    page.get_by_role("button", name="the same with noise").click()
    page.locator(".bsr-explorer caption:has-text('n = 5,000')").wait_for()
    before = row_of(visit, "ridge")
    slider = page.get_by_role("slider", name="labelled sequences, n")
    slider.focus()
    page.keyboard.press("PageUp")
    page.locator(".bsr-explorer caption:not(:has-text('n = 5,000'))").wait_for()
    after = row_of(visit, "ridge")
    assert float(after[0]) < float(before[0])
    assert slider.get_attribute("aria-valuetext") in re.sub("[?#]", "&", page.url)
    box = page.locator("#explorer-delta")
    box.fill("-1")
    assert page.locator("#explorer-delta-problem").inner_text().startswith("must be zero or positive")
    assert box.get_attribute("aria-invalid") == "true"
    assert row_of(visit, "ridge") == after
    box.fill("0.25")
    share = page.locator("#explorer-share")
    assert share.input_value() == "0.8"
    share.fill("7")
    assert share.get_attribute("aria-invalid") == "true"
    share.fill("0.5")
    assert box.input_value() == "1"


@the_explorer
def test_each_press_of_an_arrow_changes_a_whole_number(visit):
    page = visit.page
    page.get_by_role("button", name="few tokens, low rank").click()
    page.get_by_role("slider", name="rank of the teacher, r").focus()
    ranks = []
    for _ in range(4):
        page.keyboard.press("ArrowRight")
        ranks.append(page.locator("#explorer-r").input_value())
    assert ranks == ["2", "3", "4", "5"]


@the_explorer
def test_a_wrong_address_is_told(visit):
    page = visit.page
    page.goto(re.sub("#.*", "", page.url) + "#d=-5&L=30&channel=foo&n=900")
    page.reload()
    page.locator(".bsr-explorer caption:has-text('n = 900')").wait_for()
    told = page.locator(".bsr-explorer .notice").inner_text()
    assert "d = -5" in told
    assert "channel = foo" in told
    page.get_by_role("button", name="the same with noise").click()
    page.locator(".bsr-explorer caption:has-text('n = 5,000')").wait_for()
    assert page.locator(".bsr-explorer .notice").inner_text() == ""


@the_explorer
def test_every_control_has_a_name(visit):
    nameless = """() => [...document.querySelectorAll(".bsr-explorer :is(input, select)")]
      .filter(e => !e.labels.length && !e.getAttribute("aria-label")).map(e => e.outerHTML)"""
    assert visit.page.evaluate(nameless) == []
    picture = visit.page.locator(".bsr-explorer .picture svg")
    assert picture.get_attribute("role") == "img"
    assert "Bayes-optimal" in picture.get_attribute("aria-label")


@the_explorer
@pytest.mark.parametrize("preset", ["few tokens, low rank", "counts", "the lost sign"])
def test_the_code_that_it_offers_gives_its_numbers(visit, preset):
    page = visit.page
    page.get_by_role("button", name=preset).click()
    page.wait_for_timeout(300)
    shell, python = page.locator(".bsr-explorer .code pre").all_text_contents()
    state = {**page.evaluate("document.querySelector('.bsr-explorer').explorer.state")}
    shown = page.evaluate(EVALUATE, state)["rows"]["bayes"]
    answers = []
    for line in shell.splitlines():
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            cli.main([*line.split()[1:], "--json"])
        answers.append(json.loads(printed.getvalue()))
    assert distance(shown["error"], answers[0]["error"][0]["bayes_optimal"]) < CLOSE
    assert math.ceil(shown["needs"]) == answers[1]["samples"][0]["n"]["bayes_optimal"]
    assert row_of(visit, "Bayes-optimal")[2] == f"{math.ceil(shown['needs']):,}"
    theory = python.split("# the same on data")[0]
    names, values = {}, []
    names["print"] = values.append
    exec(theory, names)
    assert distance(shown["error"], values[0]) < CLOSE
    assert distance(shown["needs"], values[-1]) < CLOSE
    if state["n"] * state["d"] * state["L"] < 1e6:
        exec(python, names)
        assert isinstance(names["fit"], bsr.estimators.GampRie)


@the_explorer
def test_without_scripts_a_figure_stands_there(visit):
    assert visit.page.locator("#fig-18-errors").is_hidden()
    with visit.context.browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(re.sub("#.*", "", visit.page.url), wait_until="commit")
        page.locator("#fig-18-errors img").wait_for()
        assert "explorer" in page.locator("#fig-18-errors figcaption").inner_text()


@the_explorer
def test_nothing_complains(visit):
    # A page that is loaded again gives up the request for its icon.
    assert [complaint for complaint in visit.complaints if not complaint.endswith("favicon.svg")] == []


def test_it_is_light():
    page = BOOK / PAGE
    if not page.exists():
        missing(f"no built book in {BOOK}")
    sources = links.Page(page.read_text(encoding="utf-8")).sources
    files = {links.target(page, source)[0] for source in sources if "explorer/" in source}
    assert len(files) == 5
    assert sum(file.stat().st_size for file in files) < LIGHT
