"""Douglas-Rachford and primal-dual splitting for the nuclear norm, certified: with A S = unit * <X_mu, S>, minimise

    ||S||_* subject to A S = y (lam = 0), or ||y - A S||^2 / 2 + lam ||S||_*.

Both soft-threshold the singular values of a matrix at gamma; what the threshold takes off tends to gamma A^T p, with p
the dual solution.
"""

from functools import partial

import numpy as np
from scipy import linalg

from bsr._denoisers import divergence
from bsr._threads import blas_for
from bsr.denoising import soft_threshold
from bsr.estimators._anderson import Anderson
from bsr.estimators._constraints import FEASIBLE, LeastSquares, largest_eigenvalue, least_norm, orthonormal
from bsr.tokens._array import gathered

__all__ = ["FACTOR_LIMIT", "METHODS", "DouglasRachford", "PrimalDual", "factor_bytes", "iterate"]

FACTOR_LIMIT = 4e9  # bytes that may be spent on factors unless they are asked for

# Measured by tests/benchmarks/nuclear_norm_steps.py
_BALANCE = 1.0  # gamma of Douglas-Rachford, in units of ||S|| / ||A^T p||
_SHARE = 0.35  # gamma of primal-dual for n > dL/4, in units of the threshold with as many degrees of freedom as labels;
_LEAST, _MOST = 0.08, 2.0  # and in those of ||S|| / ||A^T p||, for that threshold is 0 at exact recovery, or infinite
_COMBINED = 10  # steps that the acceleration remembers
_RELAXATION = 1.8

_ADAPT = (5, 10, 20, 40, 80, 160, 320)  # iterations that change gamma: finitely many, so convergence is not at stake
_KEPT = 1.2  # smallest change of gamma for which the acceleration starts anew
_CHECK = 5
_FORCED = 200  # an iteration that tries the certificate whatever its chances: it tells if the labels are contradictory
_SLACK = 0.6  # what residuals add to the gap, in units of the nuclear norm of a matrix of that Frobenius norm
_SAFE = 1.03  # factor on a lower bound of ||A||^2
_ROUNDING = 1e-12  # of A^T q and of singular values, relative


@blas_for(0)  # small decompositions between passes over X
def iterate(splitting, tol, iterations, report):
    """S, the dual point, the gap they certify, iterations done; `report` hears how far it is, and may end it."""
    gate, due = tol, False
    for t in range(1, iterations + 1):
        residual, norm = splitting.evaluate()
        last, forced = t == iterations, t in (_FORCED, iterations)
        if t % _CHECK == 0 or forced:
            guess = splitting.guess()
            stopped = report(t, guess, splitting)
            if guess <= gate or forced or stopped:
                S, dual, gap = splitting.certificate()
                if gap <= tol or last or stopped:
                    return S, dual, gap, t
                gate = max(0.9 * tol / gap * guess, 0.1 * gate)  # what would have been small enough, in proportion
        due |= t in _ADAPT
        if due and splitting.accelerated.accepts(norm):
            due = False
            gamma = splitting.better_gamma()
            if max(gamma / splitting.gamma, splitting.gamma / gamma) > _KEPT:
                splitting.change(gamma)
                splitting.accelerated.restart()
                continue
        splitting.advance(residual, norm)


class DouglasRachford:
    """Iterates R by a least-squares problem, or the projection on the constraints for lam = 0.

    `start` is an R and its gamma; None asks for the usual one. `squares` takes the place of `LeastSquares`.
    """

    def __init__(self, X, y, unit, lam, start=None, squares=None):
        X = gathered(X) if lam == 0.0 else X
        self.X, self.y, self.unit, self.lam = X, y, unit, lam
        n, D = len(X), X.entries
        with blas_for(n * min(n, D) * D):
            if lam > 0.0:
                self._squares = squares or LeastSquares(X, y, unit)
            else:
                self._B, self._target, self._to_data, self._correction = orthonormal(X, y, unit)
        self.accelerated = Anderson(D, _COMBINED, _RELAXATION)
        R, gamma = start or _start(X, y, unit)
        with blas_for(min(n, D) ** 3 / 3):
            self._set_gamma(gamma)
        with blas_for(0):
            self.R = R if start else self._squares(R)[0] if lam > 0.0 else self._correction(y)

    def _set_gamma(self, gamma):
        self.gamma = gamma
        if self.lam > 0.0:
            self._squares.set_shift(self.lam / gamma)

    def evaluate(self):
        self.S, self._sigma = soft_threshold(self.R, self.gamma)
        reflected = 2.0 * self.S - self.R
        if self.lam > 0.0:
            self._moved, self._overlap, self._power = self._squares(reflected)
        else:
            self._q, G = self._B.residual(reflected, self._target)
            self._moved = reflected + G
        self._pulled = self._moved - reflected  # gamma A^T p
        residual = self._moved - self.S
        return residual, linalg.norm(residual)

    def better_gamma(self):
        kept = linalg.norm(np.maximum(self._sigma - self.gamma, 0.0))
        balance = self.gamma * kept / linalg.norm(np.minimum(self._sigma, self.gamma))
        return np.clip(_BALANCE * balance, 0.1 * self.gamma, 10.0 * self.gamma)

    def change(self, gamma):
        self.R = self.S + gamma / self.gamma * (self.R - self.S)
        self._set_gamma(gamma)

    def advance(self, residual, norm):
        step = self.accelerated.step(self.R.ravel(), residual.ravel(), norm)
        self.R = step.reshape(self.R.shape)

    def state(self):
        """R and gamma, from which another may go on."""
        return self.R, self.gamma

    def candidate(self):
        return self.S if self.lam > 0.0 else self._moved

    def guess(self):
        """Gap between the point of the second half and its dual point, exact up to rounding."""
        nuclear, top = linalg.norm(self._moved, "nuc"), linalg.norm(self._pulled, 2)
        if self.lam == 0.0:
            return abs(1.0 - self._q @ self._target / (top * nuclear))
        best = min(self._overlap / self._power, self.gamma / top) if self._power > 0.0 < top else 0.0
        dual = best * self._overlap - 0.5 * best**2 * self._power
        return abs(1.0 - dual / (0.5 * self._power + self.lam * nuclear))

    def certificate(self):
        if self.lam > 0.0:
            return penalised_certificate(self.X, self.y, self.unit, self.lam, self.candidate())
        dual = self._to_data(self._q)
        return interpolation_certificate(self.X, self.y, self.unit, self.candidate(), dual, self._correction)


class PrimalDual:
    """Iterates S, W and q, with W = A^T q -> gamma A^T p, by passes over the data alone."""

    @blas_for(0)
    def __init__(self, X, y, unit, lam):
        self.X, self.y, self.unit, self.lam = X, y, unit, lam
        self.n, self.D = len(X), X.entries
        image = unit * X.adjoint(y)
        self.eta = _SAFE * largest_eigenvalue(X, image, unit)
        self.accelerated = Anderson(2 * self.D + self.n, _COMBINED, _RELAXATION)
        self.S, self.q = np.zeros_like(image), y * (self.D / self.n)
        self.W = image * (self.D / self.n)
        sigma = linalg.svdvals(self.W)
        self._theta = self._threshold(sigma, np.zeros_like(sigma), 1e-3 * sigma[0], sigma[0])
        self.gamma = self._share() * self._theta

    def _share(self):
        return _SHARE * min(1.0, 2.0 * np.sqrt(self.n / self.D))

    def _threshold(self, offset, slope, low, high):
        """The theta in [low, high] with divergence n - lam dL / theta at the singular values offset + theta * slope."""
        for _ in range(25):
            theta = np.sqrt(low * high)
            sigma = offset + theta * slope
            sigma = np.maximum(sigma, _ROUNDING * sigma.max())  # a map of singular values is undefined at zero
            slopes = (sigma > theta).astype(float)
            freedom = divergence(sigma, slopes * (sigma - theta), slopes, max(self.S.shape))
            low, high = (theta, high) if freedom > self.n - self.lam * self.D / theta else (low, theta)
        return np.sqrt(low * high)

    def evaluate(self):
        self._S, self._sigma = soft_threshold(self.S + self.W, self.gamma)
        self._residual, G = self.X.residual(self.unit * (2.0 * self._S - self.S), self.y)
        G *= self.unit
        while True:
            damping = 1.0 / (1.0 + self.lam / (self.eta * self.gamma))
            self._q = damping * (self.q + self._residual / self.eta)
            self._W = damping * (self.W + G / self.eta)
            change = self._S - self.S, self._W - self.W, self._q - self.q
            size, image = linalg.norm(change[2]), linalg.norm(change[1])
            if image <= np.sqrt(self.eta) * size + _ROUNDING * linalg.norm(self.W):
                break
            # eta was below ||A||^2. Each time it grows, and to no more than _SAFE ||A||^2.
            self.eta = _SAFE * (image / size) ** 2
            self.accelerated.restart()
        square = linalg.norm(change[0]) ** 2 + 2.0 * np.vdot(change[0], change[1]) + self.eta * size**2
        return np.concatenate([part.ravel() for part in change]), np.sqrt(max(square, 0.0))

    def better_gamma(self):
        kept, cut = np.maximum(self._sigma - self.gamma, 0.0), np.minimum(self._sigma, self.gamma) / self.gamma
        self._theta = self._threshold(kept, cut, 0.1 * self._theta, 10.0 * self._theta)
        gamma, balance = self._share() * self._theta, linalg.norm(kept) / linalg.norm(cut)
        return np.clip(gamma, _LEAST * balance, _MOST * balance) if balance > 0.0 else gamma

    def change(self, gamma):
        ratio = gamma / self.gamma
        self.S, self.W, self.q, self.gamma = self._S, ratio * self._W, ratio * self._q, gamma

    def advance(self, residual, norm):
        z = np.concatenate([self.S.ravel(), self.W.ravel(), self.q])
        S, W, self.q = np.split(self.accelerated.step(z, residual, norm), [self.D, 2 * self.D])
        self.S, self.W = S.reshape(self.S.shape), W.reshape(self.S.shape)

    def state(self):
        """R and gamma, from which Douglas-Rachford may go on."""
        return self._S + self._W, self.gamma

    def candidate(self):
        return self._S if self.lam > 0.0 else 2.0 * self._S - self.S + self._W - self.W

    def guess(self):
        """What the certificate will say, roughly and without a pass over the data."""
        S, q, residual = self.candidate(), self._q, self._residual
        nuclear, top, error = linalg.norm(S, "nuc"), linalg.norm(self._W, 2), linalg.norm(residual)
        if nuclear == 0.0 or top == 0.0:
            return np.inf
        if self.lam == 0.0:
            return abs(1.0 - q @ self.y / (top * nuclear)) + _SLACK * np.sqrt(min(S.shape)) * error / nuclear
        dual = self.lam / max(top, self.gamma) * q
        return abs(1.0 - (dual @ self.y - 0.5 * dual @ dual) / (0.5 * error**2 + self.lam * nuclear))

    def certificate(self):
        if self.lam > 0.0:
            return penalised_certificate(self.X, self.y, self.unit, self.lam, self.candidate())
        correction = partial(least_norm, self.X, unit=self.unit, stop=0.1 * FEASIBLE * linalg.norm(self.y))
        return interpolation_certificate(self.X, self.y, self.unit, self.candidate(), self._q, correction)


METHODS = {"douglas-rachford": DouglasRachford, "primal-dual": PrimalDual}


def factor_bytes(n, L, d, lam):
    """Memory that Douglas-Rachford needs besides X."""
    return 16 * min(n, L * d) ** 2 + (0 if lam > 0.0 else 8 * n * L * d)


@blas_for(0)
def _start(X, y, unit):
    """A matrix of about the size of the solution, the best multiple of A^T y, and a gamma for it."""
    S = unit * X.adjoint(y)
    S *= (linalg.norm(S) / linalg.norm(unit * X.forward(S))) ** 2
    return S, 0.3 * linalg.norm(S, 2)


def interpolation_certificate(X, y, unit, S, dual, correction):
    """S made feasible, the dual point made feasible, and the gap between their values."""
    top = unit * linalg.norm(X.adjoint(dual), 2)
    dual = dual / top if top > 0.0 else dual
    S = S + correction(y - unit * X.forward(S))
    if linalg.norm(y - unit * X.forward(S)) > FEASIBLE * linalg.norm(y):
        return S, dual, np.inf
    return S, dual, max(float(1.0 - dual @ y / linalg.norm(S, "nuc")), 0.0)


def penalised_certificate(X, y, unit, lam, S):
    """S, its residual scaled to the best feasible dual point, and the gap between their values."""
    residual, G = X.residual(unit * S, y)
    power, top = residual @ residual, unit * linalg.norm(G, 2)
    value = 0.5 * power + lam * linalg.norm(S, "nuc")
    best = min(max(residual @ y / power, 0.0), lam / top) if power > 0.0 < top else 0.0
    dual = best * residual
    return S, dual / lam, max(float(1.0 - (dual @ y - 0.5 * dual @ dual) / value), 0.0)
