"""Learning curves on labelled matrices: `bsr.regression` and its rivals, on the same rows.

    python experiments/proteins.py run --data gb1 --methods ridge,pls --n 100,200 --splits 10 --out rows.csv
    python experiments/proteins.py table rows.csv --data gb1 --of bsr-auto

`run` appends one row for each (data, method, n, split) to `--out` and skips those that are there: stop it with Ctrl-C
and call it again, or let two of them write two files. Training and test rows of a split depend on data, n and split
only, so that methods can be compared in pairs, which `table --of` does. The stored table, `results/proteins.csv`, comes
from

    python experiments/proteins.py run --out experiments/results/proteins.csv

with one thread (OPENBLAS_NUM_THREADS=1); methods that are slow at large n have fewer than 10 splits there, or none:
`table` counts them, and the same command adds the rest. Besides the package and its extra `learn`, methods named cp and
tucker and the data of serology need tensorly (`pip install tensorly`), on which the package does not depend.

Data. gb1: book/data/README.md; 1500 test rows. serology: 438 samples x 6 antigens x 11 receptors, y = 0, 1, 2, 3, 4 for
negative, mild, moderate, severe, deceased (`tensorly.datasets.load_covid19_serology`); a third are test rows; samples
of one patient cannot be told apart, hence splits are optimistic. digits: 8 x 8 pixels, y = 1 for odd and -1 for even
ones; 500 test rows. ar9: model data, L = d = 20, rank 3, noise 0.1, positions and channels correlated as .9^|i-j|, a
new teacher each split, 2000 test rows.

Scores: r2 on the test rows, for digits also auc; classifiers have auc only. seconds: fit with its choice of
hyperparameters, on one core.

All choices are made by cross-validation on the training rows: leave-one-out for ridge, 3 folds for cp and tucker, 5
for the rest. Names that end in as-it-is give tensorly what a new user would: raw X and y, rank 2, its default penalty
of 1. Sums are those over positions and over channels; bordered sequences have them as one more row and column.
Penalties of ridge end at 0.001 where less of it does not matter: for gb1 at n = 100 anything up to 10 gives the same.
"""

import argparse
import json
import re
import time
import warnings
import zlib
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from sklearn.cross_decomposition import PLSRegression
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import bsr

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = ["data", "method", "n", "split", "r2", "auc", "seconds", "chosen"]
PENALTIES = np.logspace(-3, 7, 41)


# ---- data: name -> (sample sizes, function of n and a generator that gives X, y of training and of test)


def split_rows(load, test):
    """Random training rows and `test` others."""

    def sample(n, rng):
        X, y = load()
        rows = rng.permutation(len(y))[: n + test]
        return X[rows[:n]], y[rows[:n]], X[rows[n:]], y[rows[n:]]

    return sample


def gb1():
    table = pd.read_csv(ROOT / "book" / "data" / "gb1.csv")
    X, rows = np.zeros((len(table), 55, 20)), np.arange(len(table))
    for mutation in (table["first"], table["second"]):
        X[rows, mutation.str[1:-1].astype(int) - 2, mutation.str[-1].map("ACDEFGHIKLMNPQRSTVWY".index)] = 1
    return X, table.score.to_numpy()


def serology():
    from tensorly.datasets import load_covid19_serology

    data = load_covid19_serology()
    grade = {"Negative": 0, "Mild": 1, "Moderate": 2, "Severe": 3, "Deceased": 4}
    return np.asarray(data.tensor), np.array([float(grade[label]) for label in data.ticks[0]])


def digits():
    images, digit = load_digits(return_X_y=True)
    return images.reshape(-1, 8, 8), np.where(digit % 2, 1.0, -1.0)


def ar9(n, rng, test=2000, size=20):
    problem = bsr.Problem((n + test) / size**2, 1.0, 3 / size, 0.1)
    data = problem.sample(size, rng, np.float64, tokens=bsr.ensembles.Correlated(0.9, 0.9))
    return data.X[:n], data.y[:n], data.X[n:], data.y[n:]


DATA = {
    "gb1": ((100, 200, 400, 800, 1600, 3200), split_rows(gb1, 1500)),
    "serology": ((20, 60, 250), split_rows(serology, 146)),
    "digits": ((30, 100, 400), split_rows(digits, 500)),
    "ar9": ((200, 400), ar9),
}


def draw(data, n, split):
    return DATA[data][1](n, np.random.default_rng([zlib.crc32(data.encode()), n, split]))


# ---- what the methods are made of


def flatten(X):
    return X.reshape(len(X), -1)


def both_sums(X):
    """Sums over channels, one for each position, and sums over positions."""
    return np.hstack([X.sum(2), X.sum(1)])


def border(X):
    """Both sums as one more column and one more row, with a 1 in the corner: S gets an additive part."""
    bordered = np.zeros((len(X), X.shape[1] + 1, X.shape[2] + 1))
    bordered[:, :-1, :-1], bordered[:, :-1, -1], bordered[:, -1, :-1] = X, X.sum(2), X.sum(1)
    return bordered


class OneScale(TransformerMixin, BaseEstimator):
    """Centre each entry, and divide all by one number, so that their mean square is 1."""

    def fit(self, X, y=None):
        self.mean_ = X.mean(0)
        self.scale_ = np.sqrt(np.mean((X - self.mean_) ** 2)) or 1.0
        return self

    def transform(self, X):
        return (X - self.mean_) / self.scale_


class Tensorly(RegressorMixin, BaseEstimator):
    """CPRegressor or TuckerRegressor, with the intercept and the unit of y that they lack."""

    def __init__(self, kind, rank=1, penalty=1.0, seed=0, centre=True):
        self.kind, self.rank, self.penalty, self.seed, self.centre = kind, rank, penalty, seed, centre

    def fit(self, X, y):
        from tensorly.regression import CPRegressor, TuckerRegressor

        model, rank = (CPRegressor, self.rank) if self.kind == "cp" else (TuckerRegressor, [self.rank] * 2)
        self.mean_, self.scale_ = (y.mean(), y.std()) if self.centre else (0.0, 1.0)
        self.model_ = model(rank, reg_W=self.penalty, random_state=self.seed, verbose=0)
        self.model_.fit(X, (y - self.mean_) / self.scale_)
        return self

    def predict(self, X):
        return self.mean_ + self.scale_ * self.model_.predict(X)


class Blocks(RegressorMixin, BaseEstimator):
    """Ridge regression on position sums, channel sums and, if asked, entries; the weights of the first blocks, and the
    penalty, by the same 5 folds. The last block has weight 1.
    """

    def __init__(self, entries, weights, seed=0):
        self.entries, self.weights, self.seed = entries, weights, seed

    def blocks(self, X):
        parts = [X.sum(2), X.sum(1)]
        return [*parts, flatten(X)] if self.entries else parts

    def fit(self, X, y):
        self.means_ = [part.mean(0) for part in self.blocks(X)]
        self.parts_ = [part - mean for part, mean in zip(self.blocks(X), self.means_, strict=True)]
        fold = np.random.default_rng(self.seed).permutation(len(y)) % 5
        best = np.inf
        for weights in product(self.weights, repeat=len(self.parts_) - 1):
            kernel = sum(w * part @ part.T for w, part in zip((*weights, 1.0), self.parts_, strict=True))
            errors = 0.0
            for k in range(5):
                some, held = fold != k, fold == k
                solved = self.solve(kernel[np.ix_(some, some)], kernel[np.ix_(held, some)], y[some])
                errors = errors + np.sum((solved - y[held, None]) ** 2, axis=0)
            if errors.min() < best:
                best, self.weights_, self.alpha_ = errors.min(), weights, PENALTIES[np.argmin(errors)]
                self.kernel_, self.y_ = kernel, y
        return self

    @staticmethod
    def solve(kernel, held, y, penalties=None):
        """Predictions for all penalties: kernel ridge regression with a free intercept."""
        penalties, means = PENALTIES if penalties is None else penalties, kernel.mean(0)
        values, vectors = np.linalg.eigh(kernel - means - means[:, None] + means.mean())
        projected = (held - held.mean(1, keepdims=True) - means + means.mean()) @ vectors
        inside = (vectors.T @ (y - y.mean()))[:, None] / (np.maximum(values, 0.0)[:, None] + penalties)
        return y.mean() + projected @ inside

    def predict(self, X):
        parts = [part - mean for part, mean in zip(self.blocks(X), self.means_, strict=True)]
        held = sum(w * a @ b.T for w, a, b in zip((*self.weights_, 1.0), parts, self.parts_, strict=True))
        return self.solve(self.kernel_, held, self.y_, np.array([self.alpha_]))[:, 0]


# ---- methods: name -> function of a seed that gives an estimator for X of shape (n, L, d)

FLAT, SUMS, BORDER = FunctionTransformer(flatten), FunctionTransformer(both_sums), FunctionTransformer(border)


def ridge(*steps):
    return make_pipeline(*steps, RidgeCV(PENALTIES, gcv_mode="svd"))


def search(model, grid, seed, folds=5, **options):
    return GridSearchCV(model, grid, cv=KFold(folds, shuffle=True, random_state=seed), **options)


def ridge_by_folds(seed):
    """For small n, where leave-one-out is a noisy guide; slow for large n."""
    return search(make_pipeline(FLAT, StandardScaler(), Ridge()), {"ridge__alpha": PENALTIES[::2]}, seed)


def sums_and_entries(Scaler):
    """Each block scaled, before the ridge regression that they share. FunctionTransformer leaves them as they are."""
    parts = [("sums", make_pipeline(SUMS, Scaler())), ("entries", make_pipeline(FLAT, Scaler()))]
    return Pipeline([("parts", FeatureUnion(parts)), ("ridge", RidgeCV(PENALTIES, gcv_mode="svd"))])


def weighted_sums_and_entries(seed):
    """A second penalty: sums of mean square weight^2, entries of mean square 1."""
    weights = [{"sums": weight} for weight in (1.0, 2.0, 4.0, 8.0, 16.0)]
    return search(sums_and_entries(OneScale), {"parts__transformer_weights": weights}, seed, folds=3)


def weighted_by_folds(seed):
    """Both penalties by the same folds: the strongest of them for small n, slow for large n."""
    weights = [{"sums": weight} for weight in (2.0, 4.0, 8.0, 16.0, 32.0)]
    grid = {"parts__transformer_weights": weights, "ridge__alpha": PENALTIES[::2]}
    return search(sums_and_entries(OneScale).set_params(ridge=Ridge()), grid, seed)


def pls(seed):
    grid = {"plsregression__n_components": range(1, 16), "plsregression__scale": [True, False]}
    return search(make_pipeline(FLAT, PLSRegression()), grid, seed)


def logistic(seed):
    model = make_pipeline(FLAT, StandardScaler(), LogisticRegression(max_iter=2000))
    grid, folds = {"logisticregression__C": np.logspace(-6, 3, 19)}, StratifiedKFold(5, shuffle=True, random_state=seed)
    return GridSearchCV(model, grid, scoring="neg_log_loss", cv=folds)


def tensorly(kind, *steps):
    grid = {"tensorly__rank": [1, 2, 3, 5], "tensorly__penalty": [1.0, 3.0, 10.0, 30.0, 100.0]}
    return lambda seed: search(make_pipeline(*steps, OneScale(), Tensorly(kind, seed=seed)), grid, seed, folds=3)


def ours(name, seed, scale="overall", **options):
    from bsr import regression

    return getattr(regression, f"Bilinear{name}")(scale=scale, random_state=seed, **options)


METHODS = {
    "ridge": lambda seed: ridge(FLAT, StandardScaler()),
    "ridge-one-scale": lambda seed: ridge(FLAT, OneScale()),
    "ridge-by-folds": ridge_by_folds,
    "pls": pls,
    "cp": tensorly("cp"),
    "tucker": tensorly("tucker"),
    "cp-bordered": tensorly("cp", BORDER),
    "tucker-bordered": tensorly("tucker", BORDER),
    "cp-as-it-is": lambda seed: Tensorly("cp", 2, seed=seed, centre=False),
    "tucker-as-it-is": lambda seed: Tensorly("tucker", 2, seed=seed, centre=False),
    "additive": lambda seed: ridge(SUMS, StandardScaler()),
    "additive+entries": lambda seed: sums_and_entries(StandardScaler),
    "additive+entries-one-scale": lambda seed: sums_and_entries(OneScale),
    "additive+entries-as-they-are": lambda seed: sums_and_entries(FunctionTransformer),
    "additive+entries-weighted": weighted_sums_and_entries,
    "additive+entries-by-folds": weighted_by_folds,
    "additive-by-blocks": lambda seed: Blocks(False, np.logspace(-1.2, 2.4, 7), seed),
    "additive+entries-by-blocks": lambda seed: Blocks(True, np.array([1.0, 4.0, 16.0, 64.0]), seed),
    "bsr-auto": lambda seed: ours("Regressor", seed, method="auto"),
    "bsr-bayes": lambda seed: ours("Regressor", seed, method="bayes", compare=False),
    "bsr-auto-no-main": lambda seed: ours("Regressor", seed, method="auto", main_effects=False),
    "bsr-bayes-no-main": lambda seed: ours("Regressor", seed, method="bayes", main_effects=False, compare=False),
    "bsr-auto-channel": lambda seed: ours("Regressor", seed, method="auto", scale="channel"),
    "bsr-bayes-channel": lambda seed: ours("Regressor", seed, method="bayes", scale="channel", compare=False),
    "bsr-gamp": lambda seed: ours("Regressor", seed, method="gamp", compare=False),
    "bsr-gradient-descent": lambda seed: ours("Regressor", seed, method="gradient_descent", compare=False),
}
CLASSIFIERS = {
    "logistic": logistic,
    "bsr-classifier-auto": lambda seed: ours("Classifier", seed, method="auto"),
    "bsr-classifier-bayes": lambda seed: ours("Classifier", seed, method="bayes", compare=False),
}
RIVALS = [name for name in {**METHODS, **CLASSIFIERS} if not name.startswith("bsr-")]


def chosen(model):
    """What has been chosen on the training rows, in few words."""
    if isinstance(model, GridSearchCV):
        best = {key.split("__")[-1].removeprefix("transformer_"): value for key, value in model.best_params_.items()}
        return best | chosen(model.best_estimator_)
    if isinstance(model, Pipeline):
        return chosen(model[-1])
    names = [name for name in ("alpha_", "rank_", "chosen_", "converged_") if hasattr(model, name)]
    return {name.rstrip("_"): getattr(model, name) for name in names}


def short(value):
    if isinstance(value, dict):
        return {key: short(each) for key, each in value.items()}
    return float(f"{value:.3g}") if isinstance(value, float) else value


# ---- commands


def fit(data, method, n, split):
    X, y, X_test, y_test = draw(data, n, split)
    classify = method in CLASSIFIERS
    model = (CLASSIFIERS if classify else METHODS)[method](split)
    with warnings.catch_warnings():
        for known in (dict(category=ConvergenceWarning), dict(module="tensorly"), dict(message="y residual is const")):
            warnings.filterwarnings("ignore", **known)
        start = time.perf_counter()
        model.fit(X, y)
        seconds = time.perf_counter() - start
    guess = model.predict_proba(X_test)[:, 1] if classify else model.predict(X_test)
    r2 = "" if classify else round(r2_score(y_test, guess), 5)
    auc = round(roc_auc_score(y_test, guess), 5) if data == "digits" else ""
    words = json.dumps(short(chosen(model)), default=str)
    return [data, method, n, split, r2, auc, float(f"{seconds:.3g}"), words]


def run(args):
    done = set()
    if args.out.exists():
        done = set(pd.read_csv(args.out)[COLUMNS[:4]].itertuples(index=False, name=None))
    else:
        pd.DataFrame(columns=COLUMNS).to_csv(args.out, index=False)
    for data in args.data:
        for n in args.n or DATA[data][0]:
            for split in range(args.splits):
                for method in args.methods:
                    if (data, method, n, split) in done or (method in CLASSIFIERS and data != "digits"):
                        continue
                    row = pd.DataFrame([fit(data, method, n, split)], columns=COLUMNS)
                    row.to_csv(args.out, mode="a", header=False, index=False)
                    if not args.quiet:
                        print(*row.iloc[0], flush=True)


def mean_and_error(values):
    """0.123(4): mean over splits and its standard error."""
    mean, error = values.mean(), values.std(ddof=1) / np.sqrt(len(values))
    return f"{mean:.4f} ± {error:.4f}" if len(values) > 1 else f"{mean:.4f}"


def table(args):
    rows = pd.read_csv(args.file)
    for data, part in rows.groupby("data", sort=False):
        if args.data and data not in args.data:
            continue
        for score in ("r2", "auc"):
            if part[score].isna().all():
                continue
            wide = part.pivot(index=["n", "split"], columns="method", values=score)
            wide = wide[[name for name in {**METHODS, **CLASSIFIERS} if name in wide and wide[name].notna().any()]]
            means = {
                n: {name: mean_and_error(of_n[name].dropna()) for name in wide if of_n[name].notna().any()}
                for n, of_n in wide.groupby("n")
            }
            print(f"\n{data}: {score}, mean ± standard error over splits\n")
            print(pd.DataFrame(means).reindex(wide.columns).astype(object).fillna("").to_string())
            if args.of in wide:
                gains = wide[[args.of]].to_numpy() - wide.drop(columns=args.of)
                pairs = {
                    n: {name: mean_and_error(of_n[name].dropna()) for name in gains if of_n[name].notna().any()}
                    for n, of_n in gains.groupby("n")
                }
                print(f"\n{data}: {score} of {args.of} minus that of the others, in pairs\n")
                print(pd.DataFrame(pairs).reindex(gains.columns).astype(object).fillna("").to_string())
        seconds = part.pivot_table(index="method", columns="n", values="seconds", sort=False)
        splits = part.pivot_table(index="method", columns="n", values="split", aggfunc="count", sort=False)
        print(f"\n{data}: seconds a fit, and splits\n")
        print(seconds.map("{:.3g}".format).add(" / ").add(splits.astype("Int64").astype(str)).to_string())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)

    def words(text):
        return [word for word in re.split(r"[,\s]+", text) if word]

    def known(names):
        def check(text):
            unknown = sorted(set(words(text)) - set(names))
            if unknown:
                raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not one of {', '.join(names)}")
            return words(text)

        return check

    command = commands.add_parser("run", help="fit, and append rows to a table")
    command.add_argument("--data", type=known(DATA), default=list(DATA), help=", ".join(DATA))
    every = list({**METHODS, **CLASSIFIERS})
    command.add_argument("--methods", type=known(every), default=RIVALS, help=", ".join(every) + "; default: rivals")
    command.add_argument("--n", type=lambda text: [int(word) for word in words(text)], help="training rows")
    command.add_argument("--splits", type=int, default=10)
    command.add_argument("--out", type=Path, required=True)
    command.add_argument("--quiet", action="store_true")
    command.set_defaults(run=run)

    command = commands.add_parser("table", help="means over splits and paired differences")
    command.add_argument("file", type=Path)
    command.add_argument("--data", type=known(DATA))
    command.add_argument("--of", help="the method whose differences to all others are shown")
    command.set_defaults(run=table)

    args = parser.parse_args()
    try:
        args.run(args)
    except KeyboardInterrupt:
        print("stopped; call again to go on")


if __name__ == "__main__":
    main()
