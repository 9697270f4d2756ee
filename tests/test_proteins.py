"""The proteins of the book, and the script that compares methods on them."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")
pd = pytest.importorskip("pandas")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def proteins():
    spec = importlib.util.spec_from_file_location("proteins", ROOT / "experiments" / "proteins.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_variants_are_double_mutants_of_one_wild_type(proteins):
    table = pd.read_csv(ROOT / "book" / "data" / "gb1.csv")
    first, second = (table[name].str.extract(r"^([A-Y])(\d+)([A-Y])$") for name in ("first", "second"))
    assert (first[1].astype(int) < second[1].astype(int)).all()
    both = pd.concat([first, second])
    wild_type = both.groupby(both[1].astype(int))[0].unique()
    assert wild_type.index.tolist() == list(range(2, 57))
    assert (
        "".join(letter for (letter,) in wild_type) in (ROOT / "book" / "data" / "README.md").read_text("utf-8").split()
    )
    assert (both[0] != both[2]).all()
    assert not table.duplicated(["first", "second"]).any()
    X, y = proteins.gb1()
    assert X.shape == (len(y), 55, 20) == (12_000, 55, 20)
    assert (X.sum((1, 2)) == 2).all()
    assert (X.sum(2) <= 1).all()


@pytest.mark.slow
def test_the_loader_of_the_readme_is_the_script_s(proteins, monkeypatch):
    monkeypatch.chdir(ROOT / "book")
    (code,) = re.findall(r"```python\n(.*?)```", Path("data/README.md").read_text("utf-8"), re.DOTALL)
    names = {"pd": pd, "np": np}
    exec(code, names)
    for found, expected in zip((names["X"], names["y"]), proteins.gb1(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_run_goes_on_where_it_stopped(proteins, tmp_path, monkeypatch, capsys):
    out = tmp_path / "rows.csv"
    run = ["proteins.py", "run", "--data", "digits", "--n", "30", "--out", str(out), "--methods"]
    monkeypatch.setattr("sys.argv", [*run, "ridge", "--splits", "1"])
    proteins.main()
    first = out.read_text()
    monkeypatch.setattr("sys.argv", [*run, "ridge,additive,additive+entries", "--splits", "2"])
    proteins.main()
    assert out.read_text().startswith(first)
    rows = pd.read_csv(out)
    assert len(rows) == 6
    assert not rows.duplicated(["method", "split"]).any()
    assert rows.auc.between(0.6, 1).all()
    assert rows.columns.tolist() == proteins.COLUMNS
    monkeypatch.setattr("sys.argv", ["proteins.py", "table", str(out), "--of", "ridge"])
    proteins.main()
    assert "in pairs" in capsys.readouterr().out


def test_the_stored_table_has_one_row_for_each_fit_of_a_known_method(proteins):
    rows = pd.read_csv(ROOT / "experiments" / "results" / "proteins.csv")
    assert rows.columns.tolist() == proteins.COLUMNS
    assert not rows.duplicated(proteins.COLUMNS[:4]).any()
    assert set(rows.method) <= {*proteins.METHODS, *proteins.CLASSIFIERS}
    assert {(row.data, row.n) for row in rows.itertuples()} == {
        (d, n) for d, (ns, _) in proteins.DATA.items() for n in ns
    }
    row = rows[(rows.data == "gb1") & (rows.n == 100) & (rows.method == "additive")].iloc[0]
    assert proteins.fit("gb1", "additive", 100, int(row.split))[4] == pytest.approx(row.r2, abs=1e-4)


def test_each_method_of_a_split_sees_the_same_rows(proteins):
    X, _, X_test, _ = proteins.draw("digits", 30, 1)
    np.testing.assert_array_equal(X, proteins.draw("digits", 30, 1)[0])
    assert not (X == proteins.draw("digits", 30, 2)[0]).all()
    flat = {row.tobytes() for row in X}
    assert len(X_test) == 500
    assert not any(row.tobytes() in flat for row in X_test), "a test row is a training row"
