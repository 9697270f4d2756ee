"""Ridge and the nuclear norm, with and without main effects: cross-validation over their paths, and the fit of one."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import expit

from bsr._threads import blas_for
from bsr.regression._frame import Frame
from bsr.regression._paths import Classes, Numbers

__all__ = ["RATIOS", "Candidate", "Fit", "Labels", "candidates", "fit_candidate", "fold_losses", "ridge_penalties"]

RATIOS = np.logspace(0.0, -4.0, 25)  # nuclear penalties, over the largest useful one
_COARSE, _FINE = 1e-3, 1e-6  # relative duality gaps: on the way to a choice, and of what is returned
_STRIDE = 4  # of the path down to a penalty for classes: from afar, small ones are not always reached
_HOPELESS = 1.5  # a path ends where its held-out loss has become this many times its least


@dataclass(frozen=True)
class Candidate:
    """A penalty, and whether there are main effects."""

    penalty: str
    main_effects: bool

    @property
    def name(self):
        """As `comparison_` says it."""
        return self.penalty + (" + main effects" if self.main_effects else "")


def candidates(main_effects, penalties=("ridge", "nuclear norm")):
    """The candidates for main effects that are off, on or to be chosen; ridge without them is always there."""
    sides = {False: (False,), True: (True,), "auto": (False, True)}[main_effects]
    plain = Candidate("ridge", False)
    return [plain] + [c for side in sides for p in penalties if (c := Candidate(p, side)) != plain]


@dataclass(frozen=True, eq=False)
class Labels:
    """Numbers, or classes as -1 and 1, with weights that sum to the effective number of samples."""

    y: np.ndarray
    weights: np.ndarray
    classes: bool

    def __getitem__(self, rows):
        return Labels(self.y[rows], self.weights[rows], self.classes)

    @cached_property
    def share(self):
        """Weights that sum to 1."""
        return self.weights / self.weights.sum()

    def objective(self, Z):
        """What is minimised for centred tokens Z, in units in which a unit of weight is one sample."""
        if self.classes:
            return Classes(Z, self.y, self.weights)
        root = np.sqrt(self.weights)
        return Numbers(root[:, None, None] * Z, root * (self.y - self.share @ self.y))

    @property
    def offset(self):
        """What predictions of centred tokens lack."""
        return 0.0 if self.classes else self.share @ self.y

    def losses(self, prediction):
        """Squared errors, or log-losses of log-odds."""
        return np.logaddexp(0.0, -self.y * prediction) if self.classes else (self.y - prediction) ** 2


@dataclass(frozen=True, eq=False)
class Fit:
    """A matrix for the tokens of a frame; predictions are <Z, S> + intercept, numbers or log-odds.

    Of a posterior mean, which has no rank of its own, `rank` is that of the prior.
    """

    frame: Frame
    S: np.ndarray
    intercept: float
    classes: bool = False
    rank: int | None = None

    def decision(self, X):
        """Predicted numbers, or what tells the classes apart."""
        return np.tensordot(self.frame.tokens(X), self.S, 2) + self.intercept

    def probability(self, X):
        """Of class 1."""
        return expit(self.decision(X))

    def losses(self, X, labels):
        """Squared errors, or log-losses."""
        return labels.losses(self.decision(X))


def ridge_penalties(weight, classes):
    """From next to none to more than the largest eigenvalue of the data, which is at most their number."""
    return np.logspace(np.log10(100.0 * weight), -5.0 if not classes else -3.0, 24 if classes else 48)


def fold_losses(X, labels, rows, held, scale, main_effects, penalties):
    """Held-out losses (held, penalties) of each path in turn; infinite where a path was not followed to its end."""
    train, test = labels[rows], labels[held]
    if train.classes and abs(train.share @ train.y) > 1.0 - 1e-12:
        raise ValueError("cv must leave samples of all classes in each training set; folds that are stratified do")
    with blas_for(0):  # the same at any number of processes
        frame = Frame(X[rows], train.share, scale, main_effects)
        objective = train.objective(frame.tokens(X[rows]))
        Z = frame.tokens(X[held]).reshape(len(held), -1)
        out = []
        for penalty in penalties:
            if penalty == "ridge":
                grid = ridge_penalties(train.weights.sum(), train.classes)
                path = objective.ridge(grid)
            else:
                grid, path = RATIOS, objective.nuclear(objective.largest * RATIOS, _COARSE)
            losses, least = np.full((len(held), len(grid)), np.inf), np.inf
            for k, (S, intercept, *_) in enumerate(path):
                losses[:, k] = test.losses(Z @ S.ravel() + intercept + train.offset)
                loss = test.weights @ losses[:, k]
                least = min(least, loss)
                if loss > _HOPELESS * least:
                    break
            out.append(losses)
    return out


def fit_candidate(X, labels, scale, candidate, index):
    """The fit of a candidate at a place of its path, and the gap that certifies it."""
    frame = Frame(X, labels.share, scale, candidate.main_effects)
    objective, gap = labels.objective(frame.tokens(X)), 0.0
    if candidate.penalty == "ridge":
        penalties = ridge_penalties(labels.weights.sum(), labels.classes)[index : index + 1]
        S, intercept = next(objective.ridge(penalties))
    else:
        ratios = RATIOS[index % _STRIDE : index + 1 : _STRIDE] if labels.classes else RATIOS[index : index + 1]
        *_, (S, intercept, gap) = objective.nuclear(objective.largest * ratios, _FINE)
    return Fit(frame, S, intercept + labels.offset, labels.classes), gap
