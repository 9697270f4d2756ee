"""What the command `bsr fit` does: a file of tokens and labels in, a report and coefficients out."""

import json
import math
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from bsr.regression._classifier import BilinearClassifier
from bsr.regression._regressor import BilinearRegressor

__all__ = ["fit"]


def fit(args):
    """The report, after it and the coefficients were written."""
    source = Path(args.file)
    if not source.is_file():
        raise ValueError(f"{source} must be a file of NumPy arrays, .npz, and is none")
    out = Path(args.out) if args.out else source.with_name(f"{source.stem}-fit")
    if not out.name or not out.parent.is_dir():
        raise ValueError(f"--out must be a name in a folder that exists, got {str(out)!r}")
    report, coefficients = (out.with_name(out.name + ending) for ending in (".json", ".npz"))
    if not args.overwrite and (there := [str(path) for path in (report, coefficients) if path.exists()]):
        raise ValueError(f"{' and '.join(there)} exist; give --overwrite, or another --out")
    if args.plan and min(args.plan) < 1:
        raise ValueError(f"--plan must be numbers of samples >= 1, got {min(args.plan)}")
    X, y = _read(source, args.tokens, args.target)
    y = y.astype(str) if y.dtype.kind == "S" else y
    classes = args.classes or y.dtype.kind in "OUSb"
    kind = BilinearClassifier if classes else BilinearRegressor
    names = ("method", "scale", "components", "cv", "sweeps")
    options = {name: value for name in names if (value := getattr(args, name)) is not None}
    sides = {"auto": "auto", "yes": True, "no": False}
    shape = tuple(args.shape) if args.shape else None
    model = kind(
        shape=shape, main_effects=sides[args.main_effects], n_jobs=args.jobs, random_state=args.seed, **options
    )
    if args.plan and classes:
        raise ValueError("--plan is for numbers, not for classes")
    model.fit(X, y)
    answer = {"file": source.name, "estimator": kind.__name__, "parameters": model.get_params()} | describe(model)
    if args.plan:
        table = model.plan(args.plan)
        answer["plan"] = [{"n": int(n), **row} for n, row in zip(table.index, table.to_dict("records"), strict=True)]
    report.write_text(json.dumps(plain(answer), indent=2, allow_nan=False) + "\n", encoding="utf-8")
    np.savez(coefficients, **arrays(model))
    return plain(answer) | {"written": [str(report), str(coefficients)]}


def _read(source, tokens, target):
    names = {"--tokens": tokens, "--target": target}
    try:
        with np.load(source) as data:
            there = list(data)
            found = [data[name] for name in names.values() if name in there]
    except (OSError, TypeError, AttributeError, EOFError, ValueError, BadZipFile) as error:
        raise ValueError(f"{source} must be a file of NumPy arrays, .npz: {error}") from None
    for option, name in names.items():
        if name not in there:
            raise ValueError(f"{option} must be one of {', '.join(there)} in {source.name}, got {name!r}")
    return found


def describe(model):
    """All that a fit says of itself, but arrays."""
    names = ("n_samples_", "tokens_shape_", "entries_", "participation_", "chosen_", "rank_", "noise_", "gap_")
    names += ("r_hat_", "effective_sample_size_", "converged_", "classes_")
    said = {name.rstrip("_"): getattr(model, name) for name in names if hasattr(model, name)}
    rows = model.comparison_.to_dict("index")
    return said | {"score": model._score_name, "comparison": rows, "summary": model.summary().splitlines()}


def arrays(model):
    """Coefficients of a fit in the user's units."""
    many = isinstance(model.factors_, list)
    factors = model.factors_ if many else [model.factors_]
    found = {"coef": model.coef_, "intercept": model.intercept_, "additive": model.additive_}
    for k, (U, V) in enumerate(factors):
        ending = f"_{k}" if many else ""
        found |= {f"U{ending}": U, f"V{ending}": V}
    return found | ({"classes": model.classes_} if hasattr(model, "classes_") else {})


def plain(value):
    """As JSON has it: no NaN, no infinity, nothing of NumPy's."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    return float(value) if math.isfinite(value) else None
