"""The example of the README runs as it is written."""

import ast
import re
from pathlib import Path

import pytest

import bsr

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_example_runs_and_the_algorithm_is_near_the_optimum():
    (source,) = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    tree = ast.parse(source)
    names, values = {}, []
    for node in tree.body:
        if isinstance(node, ast.Expr):  # a line that shows a number
            values.append(eval(compile(ast.Expression(node.value), "README.md", "eval"), names))
        else:
            exec(compile(ast.Module([node], []), "README.md", "exec"), names)
    optimum, error = values
    p = names["data"].problem  # its ratios are exact at this size
    assert optimum == bsr.theory.bayes.mmse(p.alpha, p.beta, p.rho, p.delta)
    assert error == pytest.approx(optimum, rel=0.3)  # one draw at d = 60
