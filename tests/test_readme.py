"""The example and the commands of the README run as they are written."""

import ast
import re
import shlex
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import bsr
from bsr import cli, sweep

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_advice_to_install_names_this_distribution_and_an_extra_of_it():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = [requirement for extra in extras.values() for requirement in extra]
    texts = [path.read_text(encoding="utf-8") for path in Path(bsr.__file__).parent.rglob("*.py")]
    advised = re.findall(r"install ([\w-]+\[\w+\])", " ".join(texts))
    own = [*advised, *(requirement for requirement in asked if requirement.startswith(("bsr", project["name"])))]
    assert len(advised) >= 3
    for name, _, chosen in (requirement.removesuffix("]").partition("[") for requirement in own):
        assert name == project["name"]
        assert set(chosen.split(",")) <= set(extras)


def test_the_front_page_of_the_book_has_the_same_commands():
    (commands,) = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    front = (ROOT / "book" / "index.md").read_text(encoding="utf-8")
    assert f"```sh\n{commands}```" in front
    assert "pip install .  " in front
    assert "pip install '.[learn]'" in front


EXAMPLES = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def shown(source, names):
    """What the lines that are not assignments give."""
    values = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.Expr):
            values.append(eval(compile(ast.Expression(node.value), "README.md", "eval"), names))
        else:
            exec(compile(ast.Module([node], []), "README.md", "exec"), names)
    return values


def test_the_example_runs_and_the_algorithm_is_near_the_optimum():
    names = {}
    optimum, error, labels = shown(EXAMPLES[0], names)
    assert np.corrcoef(labels, names["data"].y)[0, 1] > 0.8
    p = names["data"].problem  # its ratios are exact at this size
    assert optimum == bsr.theory.bayes.mmse(p.alpha, p.beta, p.rho, p.delta)
    assert error == pytest.approx(optimum, rel=0.3)  # one draw at d = 60


@pytest.mark.slow
def test_the_example_of_regression_says_that_a_low_rank_gains():
    pytest.importorskip("sklearn")
    names = {"bsr": bsr}
    summary, labels = shown(EXAMPLES[1], names)
    assert "A low rank gains" in summary
    assert np.corrcoef(labels, names["data"].y)[0, 1] > 0.8
    assert len(EXAMPLES) == 2


@pytest.mark.slow
@pytest.mark.parametrize("command", re.findall(r"`(bsr [^`]*)`", README))
def test_the_commands_run(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    words = shlex.split(command)[1:]
    if words[0] == "sweep-table":  # of the same experiment, but smaller
        monkeypatch.chdir(tmp_path)
        text = (ROOT / "experiments" / f"{Path(words[1]).stem}.toml").read_text("utf-8")
        for name, value in {"d": 6, "seeds": 2, "steps": 20, "replicas": 3, "alpha": 0.2}.items():
            text = re.sub(rf"^{name} = .*", f"{name} = {value}", text, flags=re.MULTILINE)
        with ThreadPoolExecutor(1) as executor:
            assert sweep.run(sweep.Config.parse(text), words[1], executor=executor, progress=False).done == 4
    if words[0] == "fit":
        monkeypatch.chdir(tmp_path)
        data = bsr.Problem(0.7, 1.0, 0.2).sample(10, 0)
        np.savez(words[1], X=data.X, y=data.y)
    assert cli.main([*words, "--dry-run"] if words[0] == "sweep" else words) == 0
    assert capsys.readouterr().out
