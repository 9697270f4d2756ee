"""The nuclear norm for classes: with A S = unit * <X_mu, S> and labels -1 or 1, minimise

    sum_mu log(1 + exp(-y_mu (A S)_mu)) + lam ||S||_*,   lam > 0,

by proximal gradient steps. With p the probabilities of the wrong classes, the loss has the gradient -A^T (y p). Any
probabilities a with ||A^T (y a)||_op <= lam are a dual point, of the value sum_mu H(a_mu), H the entropy of a coin.
"""

import numpy as np
from scipy import linalg
from scipy.special import entr, expit, log_expit, xlog1py

from bsr._threads import blas_for
from bsr.denoising import soft_threshold
from bsr.estimators._anderson import Anderson
from bsr.estimators._constraints import largest_eigenvalue

__all__ = ["ProximalGradient"]

_COMBINED = 20  # steps that the acceleration remembers
_LONG = 1.5  # length of steps, over that for the mean curvature of the loss; those of 2 and more may diverge
_ROUNDING = 1e-10  # of the gradient, relative


class ProximalGradient:
    """Iterates S by a step gamma down the gradient and a soft threshold at gamma lam, two passes over the data each."""

    @blas_for(0)
    def __init__(self, X, y, unit, lam):
        self.X, self.y, self.unit, self.lam = X, y, unit, lam
        self.accelerated = Anderson(X.entries, _COMBINED, 1.0)
        self.S, self._last = np.zeros(X.shape[1:]), None
        self._size = largest_eigenvalue(X, unit * X.adjoint(y), unit)
        self.gamma = _LONG / (0.25 * self._size)

    def _look(self, S):
        """The loss, the probabilities of wrong classes, and minus the gradient."""
        margin = self.y * (self.unit * self.X.forward(S))
        wrong = expit(-margin)
        return -log_expit(margin).sum(), wrong, self.unit * self.X.adjoint(self.y * wrong)

    def evaluate(self):
        self._loss, self._wrong, self._G = self._look(self.S)
        if self._last is not None:
            move, turn = (new - old for new, old in zip((self.S, -self._G), self._last, strict=True))
            power, slope = np.vdot(turn, turn), np.vdot(move, turn)
            if 0.0 < 2.0 * slope < self.gamma * power and np.sqrt(power) > _ROUNDING * linalg.norm(self._G):
                # Steps from both points would end farther apart: the loss is more curved than it seemed.
                self._size = power / (slope * self._curvature())
                self.gamma = self._length()
                self.accelerated.restart()
        self._last = self.S, -self._G
        self._new, self._sigma = soft_threshold(self.S + self.gamma * self._G, self.gamma * self.lam)
        residual = (self._new - self.S).ravel()
        return residual, linalg.norm(residual)

    def _curvature(self):
        """Mean second derivative of the loss by predictions; above zero though all classes be certain."""
        return max(np.mean(self._wrong * (1.0 - self._wrong)), 1e-30)

    def _length(self):
        return _LONG / (self._curvature() * self._size)

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
        return abs(1.0 - _entropy(self._dual(self._wrong, self._G)) / (loss + self.lam * nuclear))

    def certificate(self):
        """The candidate, its dual point in units of lam, and the gap between their values."""
        loss, wrong, G = self._look(self._new)
        share = self._dual(wrong, G)
        gap = 1.0 - _entropy(share) / (loss + self.lam * linalg.norm(self._new, "nuc"))
        return self._new, self.y * share / self.lam, max(float(gap), 0.0)

    def _dual(self, wrong, G):
        top = linalg.norm(G, 2)
        return wrong * min(1.0, self.lam / top) if top > 0.0 else wrong


def _entropy(share):
    return np.sum(entr(share) - xlog1py(1.0 - share, -share))
