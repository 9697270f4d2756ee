"""The nuclear norm for classes: with A S = unit * <X_mu, S> and labels -1 or 1, minimise

    sum_mu w_mu log(1 + exp(-y_mu (A S + b)_mu)) + lam ||S||_*,   lam > 0,

by proximal gradient steps in S, or by Douglas-Rachford splitting. b is zero, or an intercept: at each S the best one.
Weights w are one, or given. With p the probabilities of the wrong classes, the loss has the gradient -A^T (w y p). Any
probabilities a with ||A^T (w y a)||_op <= lam are a dual point, of the value sum_mu w_mu H(a_mu), H the entropy of a
coin; if there is an intercept, those with sum_mu w_mu y_mu a_mu = 0, as is true of p at the best one.
"""

import numpy as np
from scipy import linalg
from scipy.optimize import brentq
from scipy.special import entr, expit, log_expit, xlog1py

from bsr._threads import blas_for
from bsr.denoising import soft_threshold
from bsr.estimators._anderson import Anderson
from bsr.estimators._constraints import largest_eigenvalue

__all__ = ["GraphSplitting", "ProximalGradient", "best_intercept"]

_COMBINED = 20  # steps that the acceleration remembers
_LONG = 1.5  # length of steps, over that for the mean curvature of the loss; those of 2 and more may diverge
_ROUNDING = 1e-10  # of the gradient, relative
_RELAXATION = 1.8
_NEWTON, _EXACT = 50, 1e-13  # steps and accuracy of proximal steps of the loss


class _LogLoss:
    """The problem, and the certificate of a candidate."""

    def __init__(self, X, y, unit, lam, intercept, weights):
        self.X, self.y, self.unit, self.lam = X, y, unit, lam
        self.intercept = 0.0 if intercept else None
        self.weights = np.ones(len(X)) if weights is None else weights

    def _look(self, S):
        """The loss, the probabilities of wrong classes, and minus the gradient."""
        prediction = self.unit * self.X.forward(S)
        if self.intercept is not None:
            self.intercept = best_intercept(prediction, self.y, self.weights)
            prediction += self.intercept
        margin = self.y * prediction
        wrong = expit(-margin)
        return -(self.weights @ log_expit(margin)), wrong, self.unit * self.X.adjoint(self.weights * self.y * wrong)

    def certificate(self):
        """The candidate, its dual point in units of lam, and the gap between their values."""
        S = self.candidate()
        loss, wrong, G = self._look(S)
        share = self._dual(wrong, G)
        gap = 1.0 - self._entropy(share) / (loss + self.lam * linalg.norm(S, "nuc"))
        return S, self.weights * self.y * share / self.lam, max(float(gap), 0.0)

    def _dual(self, wrong, G):
        top = linalg.norm(G, 2)
        return wrong * min(1.0, self.lam / top) if top > 0.0 else wrong

    def _entropy(self, share):
        return self.weights @ (entr(share) - xlog1py(1.0 - share, -share))

    def _curvature(self, wrong):
        """Mean second derivative of the loss by predictions; above zero though all classes be certain."""
        return max(np.mean(self.weights * wrong * (1.0 - wrong)), 1e-30)


class ProximalGradient(_LogLoss):
    """Iterates S by a step gamma down the gradient and a soft threshold at gamma lam, two passes over the data each."""

    @blas_for(0)
    def __init__(self, X, y, unit, lam):
        super().__init__(X, y, unit, lam, False, None)
        self.accelerated = Anderson(X.entries, _COMBINED, 1.0)
        self.S, self._last = np.zeros(X.shape[1:]), None
        self._size = largest_eigenvalue(X, unit * X.adjoint(y), unit)
        self.gamma = _LONG / (0.25 * self._size)

    def evaluate(self):
        self._loss, self._wrong, self._G = self._look(self.S)
        if self._last is not None:
            move, turn = (new - old for new, old in zip((self.S, -self._G), self._last, strict=True))
            power, slope = np.vdot(turn, turn), np.vdot(move, turn)
            if 0.0 < 2.0 * slope < self.gamma * power and np.sqrt(power) > _ROUNDING * linalg.norm(self._G):
                # Steps from both points would end farther apart: the loss is more curved than it seemed.
                self._size = power / (slope * self._curvature(self._wrong))
                self.gamma = self._length()
                self.accelerated.restart()
        self._last = self.S, -self._G
        self._new, self._sigma = soft_threshold(self.S + self.gamma * self._G, self.gamma * self.lam)
        residual = (self._new - self.S).ravel()
        return residual, linalg.norm(residual)

    def _length(self):
        return _LONG / (self._curvature(self._wrong) * self._size)

    def better_gamma(self):
        return np.clip(self._length(), 0.1 * self.gamma, 10.0 * self.gamma)

    def change(self, gamma):
        self.gamma = gamma

    def advance(self, residual, norm):
        self.S = self.accelerated.step(self.S.ravel(), residual, norm).reshape(self.S.shape)

    def candidate(self):
        return self._new

    def guess(self):
        """What the certificate will say, roughly and without a pass over the data."""
        move = self._new - self.S
        loss = self._loss - np.vdot(self._G, move) + 0.5 * np.vdot(move, move) / self.gamma
        nuclear = np.maximum(self._sigma - self.gamma * self.lam, 0.0).sum()
        return abs(1.0 - self._entropy(self._dual(self._wrong, self._G)) / (loss + self.lam * nuclear))


class GraphSplitting(_LogLoss):
    """Douglas-Rachford on predictions h and S, which are tied by h = A S + b: the loss of h, the norm of S.

    Iterates R by proximal steps of both, and the projection of (h, S) on what is tied, in the metric
    gamma c ||h||^2 + ||S||^2, with c about the curvature of the loss. There is an intercept.

    Parameters
    ----------
    X, y, unit, lam, weights :
        The problem.
    values, vectors : ndarray, shapes (k,) and (dL, k)
        Eigenvalues and eigenvectors of A^T A, A being less its mean over the rows.
    start : ndarray, shape (L, d)
        An S to start from.
    gamma : float, optional
        That of a run before.
    """

    def __init__(self, X, y, unit, lam, weights, values, vectors, start, gamma=None):
        super().__init__(X, y, unit, lam, True, weights)
        self._values, self._vectors = values, vectors
        self.accelerated = Anderson(len(X) + X.entries, _COMBINED, _RELAXATION)
        _, wrong, G = self._look(start)
        self._c, slope = self._curvature(wrong), self.weights * y * wrong
        self.gamma = gamma or 0.3 * (linalg.norm(start) or 1.0 / linalg.norm(G, 2)) / linalg.norm(G)
        self._R = unit * X.forward(start) + self.intercept - slope / self._c, start + self.gamma * G
        self._h = self._R[0] + slope / self._c

    def evaluate(self):
        h, S = self._R
        self.S, self._sigma = soft_threshold(S, self.gamma * self.lam)
        self._h = self._proximal(h)
        a, B = 2.0 * self._h - h, 2.0 * self.S - S
        # The projection: h = A S' + b, b the mean of a - A S'; S' by the eigenbasis.
        weight = self.gamma * self._c
        pull = self.unit * self.X.adjoint(a - a.mean()) - self._tied(B)
        inside = weight / (1.0 + weight * self._values) * (pull.ravel() @ self._vectors)
        moved = B + (self._vectors @ inside).reshape(B.shape)
        prediction = self.unit * self.X.forward(moved)
        prediction += a.mean() - prediction.mean()
        residual = np.concatenate([np.sqrt(weight) * (prediction - self._h), (moved - self.S).ravel()])
        return residual, linalg.norm(residual)

    def _tied(self, S):
        """A^T A S, A less its mean."""
        return (self._vectors @ (self._values * (S.ravel() @ self._vectors))).reshape(S.shape)

    def _proximal(self, target):
        """argmin over h of w log(1 + exp(-y h)) / c + (h - target)^2 / 2, by Newton steps within the bracket."""
        size, y = self.weights / self._c, self.y
        low, high = np.minimum(target, target + size * y), np.maximum(target, target + size * y)
        h = np.clip(self._h, low, high)
        for _ in range(_NEWTON):
            wrong = expit(-y * h)
            error = h - target - size * y * wrong
            low, high = np.where(error < 0.0, h, low), np.where(error > 0.0, h, high)
            new = h - error / (1.0 + size * wrong * (1.0 - wrong))
            new = np.where((new >= low) & (new <= high), new, 0.5 * (low + high))
            moved, h = np.abs(new - h).max(), new
            if moved <= _EXACT * (1.0 + np.abs(h).max()):
                break
        return h

    def better_gamma(self):
        level = self.gamma * self.lam
        kept, cut = linalg.norm(np.maximum(self._sigma - level, 0.0)), linalg.norm(np.minimum(self._sigma, level))
        return np.clip(self.gamma * kept / cut, 0.1 * self.gamma, 10.0 * self.gamma)

    def change(self, gamma):
        h, S = self._R
        self._R = h, self.S + gamma / self.gamma * (S - self.S)
        self.gamma = gamma

    def advance(self, residual, norm):
        h, S = self._R
        root = np.sqrt(self.gamma * self._c)
        z = self.accelerated.step(np.concatenate([root * h, S.ravel()]), residual, norm)
        self._R = z[: len(h)] / root, z[len(h) :].reshape(S.shape)

    def candidate(self):
        return self.S

    def guess(self):
        """The gap itself."""
        return self.certificate()[2]


def best_intercept(prediction, y, weights):
    """The b of least sum_mu w_mu log(1 + exp(-y_mu (prediction_mu + b))), for labels of both signs."""
    excess = prediction.max() - prediction.min() + abs(np.log(weights[y > 0].sum() / weights[y < 0].sum()))
    middle = 0.5 * (prediction.max() + prediction.min())

    def pull(b):  # falls with b
        return (weights * y) @ expit(-y * (prediction + b))

    return brentq(pull, -middle - excess - 1.0, -middle + excess + 1.0, xtol=1e-13 * (1.0 + excess), rtol=1e-14)
