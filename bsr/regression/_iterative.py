"""Methods "gamp" and "gradient_descent": the book's estimators on the user's data."""

import warnings

import numpy as np

from bsr._checks import ConvergenceWarning
from bsr.channels import Logistic
from bsr.estimators import gamp_rie, gradient_descent
from bsr.regression._frame import Frame
from bsr.regression._linear import Fit
from bsr.tokens import MisfitWarning, whiten

__all__ = ["fit_descent", "fit_gamp"]

_WORSE = 1.3  # leave-one-out error over the least so far, from which on larger ranks are not tried
_HELD_OUT = 0.2  # share of the samples that tells when to stop
_START = 1e-2  # standard deviation of factors at the start, labels having variance 1
_STEPS, _EVERY, _PATIENCE = 20_000, 10, 1.3  # it ends at this many times the step of its least held-out loss,
_LEAST_STEPS = 3000  # and not before


def fit_gamp(X, labels, scale, ranks, seed):
    """GAMP-RIE on whitened tokens, of the rank that has the least leave-one-out error; that error."""
    frame = Frame(X, labels.share, scale, False)
    Z, n = frame.tokens(X), len(X)
    power = np.var(labels.y)
    runs, said = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # its flag is looked at
        warnings.simplefilter("ignore", MisfitWarning)  # what comes of it is
        W = whiten(Z)
        white, y = W.dense(), labels.y - labels.offset
        for rank in ranks:
            for damping in (0.0, 0.3):
                result = gamp_rie(white, y, rank, damping=damping, rng=seed)
                if result.converged:
                    break
            error = result.noise * n / W.entries / power
            fine = result.converged and error < 1.0
            said.append(f"rank {rank}: {error:.2g}" + ("" if result.converged else ", not converged"))
            if fine:
                runs.append((error, rank, result.S))
            if runs and error > _WORSE * min(runs)[0]:
                break
    if not runs:
        raise ValueError(
            "method 'gamp' failed on these tokens: its leave-one-out errors, over the variance of y, are "
            f"{'; '.join(said)}. The misfit of whitening is {W.misfit:.1f} standard deviations. Use method='auto' or "
            "'bayes', which take tokens of any kind"
        )
    error, rank, S = min(runs, key=lambda run: run[0])
    fit = Fit(frame, W.raw(S) / np.sqrt(Z[0].size), labels.offset + float(W.shift(S)), rank=rank)
    return fit, error * power


def fit_descent(X, labels, scale, main_effects, components, seed):
    """Descent from a small start, stopped where the error on a held-out share is least; that error."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(X))
    cut = max(1, round(_HELD_OUT * len(X)))
    held, rows = order[:cut], order[cut:]
    train, test = labels[rows], labels[held]
    if labels.classes and abs(train.y.sum()) == len(rows):
        raise ValueError(f"y must have classes of more samples: all of one fell into the held-out {cut} of {len(X)}")
    frame = Frame(X[rows], train.share, scale, main_effects)
    Z, Z_held = (_with_constant(frame.tokens(X[part]), labels.classes) for part in (rows, held))
    D = Z[0].size
    unit = 1.0 if labels.classes else np.sqrt(train.share @ (train.y - train.offset) ** 2) or 1.0
    offset = train.offset
    root = np.ones(len(rows)) if labels.classes else np.sqrt(train.weights / train.weights.mean())
    tokens, y = root[:, None, None] * Z * np.sqrt(D), root * (train.y - offset) / unit
    flat = tokens.reshape(len(rows), -1) / np.sqrt(D)
    largest = np.linalg.norm(flat, 2) ** 2 or 1.0
    best, least, at = np.zeros(Z.shape[1:]), np.inf, 0

    def look(state):
        nonlocal best, least, at
        loss = test.weights @ test.losses(unit * np.tensordot(Z_held, state.S[0], 2) + offset)
        if loss < least:
            best, least, at = state.S[0], loss, state.iteration
        return state.iteration > max(_LEAST_STEPS, _PATIENCE * at)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is stopped before it has converged
        gradient_descent(
            tokens,
            y,
            components,
            channel=Logistic() if labels.classes else None,
            steps=_STEPS,
            lr=np.sqrt(components) / (largest * np.sqrt(D)),
            init_scale=_START,
            record=range(0, _STEPS, _EVERY),
            tol=0.0,
            switch=np.inf,
            callback=look,
            rng=rng,
        )
    S, intercept = unit * best, offset
    if labels.classes:
        S, intercept = S[:-1, :-1], float(S[-1, -1])
    return Fit(frame, S, intercept, labels.classes), least / test.weights.sum()


def _with_constant(Z, classes):
    """For classes, bordered once more by an entry that is always 1: its coefficient is the intercept."""
    if not classes:
        return Z
    out = np.pad(Z, ((0, 0), (0, 1), (0, 1)))
    out[:, -1, -1] = 1.0
    return out
