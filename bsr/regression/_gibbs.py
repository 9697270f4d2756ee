"""The posterior of a bilinear regression about which nothing is known: rank, noise and every power are learned.

    y = b + <Z, S> + noise,   S = dense + p 1^T + 1 q^T + sum_k u_k v_k^T

with u_k, v_k ~ N(0, 1/tau_k), and dense, p, q ~ N(0, 1/tau) each; in units in which y has variance 1 and each block of
tokens has squares that sum to 1, so that 1/tau_k is the standard deviation of what component k adds to labels, and
1/sqrt(tau) that of another block. tau_k ~ Gamma(1, _RATE/sqrt(K)), the others Gamma(1, _RATE), and the noise has an
inverse-gamma law (1, _RATE): components that labels do not ask for die. Classes are the signs of such labels with noise
1 (probit), which are drawn too (Albert and Chib, 1993). All conditional laws are exact.
"""

from dataclasses import dataclass

import numpy as np
from scipy import linalg
from scipy.special import log_ndtr, ndtri, ndtri_exp

from bsr._threads import blas_for
from bsr.estimators._posterior import draw
from bsr.regression._paths import Directions

__all__ = ["Chain", "run_chain"]


def _half_cauchy(variances):
    """Probabilities, on a grid that is even in the logarithm, of the half-Cauchy law of a standard deviation."""
    density = np.sqrt(variances) / (1.0 + variances)
    return density / density.sum()


_RATE = 0.1
_ABSENT = 0.5  # prior probability that a block is left out
_VARIANCES = np.append(0.0, np.logspace(-4.0, 2.0, 31))
_LOG_PRIOR = np.log(np.append(_ABSENT, (1.0 - _ABSENT) * _half_cauchy(_VARIANCES[1:])))
_MEMORY_BOUND = 4.0  # what an operation on a Gram matrix costs, over one in a product of matrices


@dataclass(frozen=True, eq=False)
class Chain:
    """What one chain has kept, k samples.

    Attributes
    ----------
    S : ndarray, shape (k, L', d')
        For tokens that are bordered if there are main effects.
    intercept, noise : ndarray, shape (k,)
    powers : ndarray, shape (k, K)
        Variance that each component adds to labels if tokens are white, descending.
    """

    S: np.ndarray
    intercept: np.ndarray
    noise: np.ndarray
    powers: np.ndarray


class _Block:
    """Coefficients N(0, v) with a design of their own; v = 0 leaves them out.

    v is drawn from its law given what they have to explain, they being integrated over, then they are drawn given v:
    both in the eigenbasis of their Gram matrix.
    """

    def __init__(self, A):
        self._A, directions = A, Directions(A)
        self._values, self._vectors = directions.values, directions.vectors
        self.x, self.effect = np.zeros(A.shape[1]), np.zeros(len(A))

    def draw(self, target, noise, rng):
        """Anew; `effect` is what they add."""
        if not len(self._values):
            return
        image = (target @ self._A) @ self._vectors
        variance = noise + self._values * _VARIANCES[:, None]
        log_p = _LOG_PRIOR - 0.5 * np.sum(np.log(variance) + image**2 / (self._values * variance), axis=1)
        v = _VARIANCES[np.argmax(log_p + rng.gumbel(size=len(log_p)))]
        x = np.sqrt(v) * rng.standard_normal(len(self.x))  # stays so where the data have no direction
        if v > 0.0:
            precision = self._values / noise + 1.0 / v
            inside = image / noise / precision + rng.standard_normal(len(precision)) / np.sqrt(precision)
            x += self._vectors @ (inside - x @ self._vectors)
        self.x, self.effect = x, self._A @ x


class _Factors:
    """U and V, drawn given each other, and the precisions of their columns."""

    def __init__(self, A, components, rng):
        n, L, d = A.shape
        self._A, K = A, components
        self.tau = np.full(K, np.sqrt(K))
        self.U, self.V = (rng.standard_normal((size, K)) / np.sqrt(self.tau) for size in (L, d))
        by_gram = _MEMORY_BOUND * K * (L * d) ** 2
        self._grams = None
        if by_gram < n * ((max(L, d) * K) ** 2 + L * d * K):
            flat = A.reshape(n, -1)
            G = (flat.T @ flat).reshape(L, d, L, d)
            self._grams = tuple(np.ascontiguousarray(G.transpose(order)) for order in ((0, 2, 1, 3), (1, 3, 0, 2)))

    def draw(self, target, noise, rng):
        """Anew, given what they have to explain."""
        n, L, d = self._A.shape
        if self._grams is None:
            self.U = self._from_design(self._A, self.V, target, noise, rng)
            self.V = self._from_design(self._A.transpose(0, 2, 1), self.U, target, noise, rng)
        else:
            image = np.tensordot(target, self._A, 1)
            self.U = self._from_gram(self._grams[0], image, self.V, noise, rng)
            self.V = self._from_gram(self._grams[1], image.T, self.U, noise, rng)
        K = len(self.tau)
        squares = np.sum(self.U**2, axis=0) + np.sum(self.V**2, axis=0)
        self.tau = rng.gamma(1.0 + 0.5 * (L + d), size=K) / (_RATE / np.sqrt(K) + 0.5 * squares)
        self.effect = self._A.reshape(n, -1) @ self.product().ravel()

    def product(self):
        return self.U @ self.V.T

    def powers(self):
        """Variance that each component adds to labels if tokens are white, descending."""
        return np.sort(np.sum(self.U**2, axis=0) * np.sum(self.V**2, axis=0))[::-1] / (len(self.U) * len(self.V))

    def _from_design(self, A, W, target, noise, rng):
        size = 1.0 / np.sqrt(self.tau)
        H = (A @ (W * size)).reshape(len(A), -1)
        return draw(H, target, noise, rng).reshape(-1, len(size)) * size

    def _from_gram(self, G, image, W, noise, rng):
        first, K = len(G), len(self.tau)
        gram = np.matmul(W.T, G.reshape(first * first, len(W), len(W)) @ W)
        gram = gram.reshape(first, first, K, K).transpose(0, 2, 1, 3).reshape(first * K, first * K) / noise
        gram.flat[:: first * K + 1] += np.tile(self.tau, first)
        factor = linalg.cholesky(gram, check_finite=False)
        mean = linalg.cho_solve((factor, False), (image @ W).ravel() / noise, check_finite=False)
        scatter = linalg.solve_triangular(factor, rng.standard_normal(first * K), check_finite=False)
        return (mean + scatter).reshape(first, K)


def run_chain(A, y, weight, *, main_effects, components, classes, sweeps, burn_in, kept, seed, report=None):
    """One chain.

    Parameters
    ----------
    A : ndarray, shape (n, L', d')
        Tokens of a frame, each row times the root of its weight.
    y : ndarray, shape (n,)
        Numbers, centred and of variance 1, times the roots of their weights; or classes, -1 and 1.
    weight : float
        Number of samples, or sum of the weights.
    main_effects : bool
        Whether A is bordered.
    components, sweeps, burn_in, kept : int
    classes : bool
    seed : numpy.random.SeedSequence
    report : callable, optional
        Called after each sweep.

    Returns
    -------
    Chain
    """
    rng = np.random.default_rng(seed)
    with blas_for(0):
        n, shape, rest = len(A), A.shape[1:], 0.0
        if not classes and n > A[0].size:  # as many rows as entries say all
            Q, R = linalg.qr(A.reshape(n, -1), mode="economic", check_finite=False)
            inside = Q.T @ y
            A, y, rest = R.reshape(-1, *shape), inside, max(y @ y - inside @ inside, 0.0)
        entries = np.ascontiguousarray(A[:, :-1, :-1]) if main_effects else A
        dense = _Block(entries.reshape(len(A), -1))
        blocks = [dense] + ([_Block(A[:, :-1, -1]), _Block(A[:, -1, :-1])] if main_effects else [])
        factors = _Factors(entries, min(components, *entries.shape[1:]), rng)
        noise, intercept, target, f = 1.0, 0.0, y, np.zeros(len(A))
        places = set(np.linspace(burn_in, sweeps - 1, kept).astype(int))
        S, intercepts, noises, powers = [], [], [], []
        for sweep in range(sweeps):
            if classes:
                target, intercept = _labels_behind(y, f, intercept, sweep == 0, rng)
            others = sum(block.effect for block in blocks)
            factors.draw(target - others, noise, rng)
            f = factors.effect + others
            for block in blocks:
                f -= block.effect
                block.draw(target - f, noise, rng)
                f += block.effect
            if not classes:
                noise = (_RATE + 0.5 * (np.sum((target - f) ** 2) + rest)) / rng.gamma(1.0 + 0.5 * weight)
            if sweep in places:
                S.append(_bordered(factors.product(), blocks, shape))
                intercepts.append(intercept)
                noises.append(noise)
                powers.append(factors.powers())
            if report is not None:
                report()
    return Chain(np.array(S), np.array(intercepts), np.array(noises), np.array(powers))


def _labels_behind(y, f, intercept, first, rng):
    """Normal variables around f + intercept of the signs y, less the intercept, which is drawn given those before."""
    if first:
        intercept = float(ndtri(np.mean(y > 0)))
    log_p = log_ndtr(y * (f + intercept)) + np.log(rng.uniform(size=len(y)))
    hidden = f + intercept - y * ndtri_exp(log_p)
    intercept = rng.normal(np.mean(hidden - f), 1.0 / np.sqrt(len(y)))
    return hidden - intercept, intercept


def _bordered(product, blocks, shape):
    S = np.zeros(shape)
    L, d = product.shape
    S[:L, :d] = product + blocks[0].x.reshape(L, d)
    if len(blocks) > 1:
        S[:-1, -1], S[-1, :-1] = blocks[1].x, blocks[2].x
    return S
