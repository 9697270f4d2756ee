"""From a pilot to a plan: what the theory says of errors at other numbers of samples, for what a fit has found."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import linalg
from scipy.optimize import minimize_scalar

from bsr.theory import bayes, nuclear_norm, ridge

__all__ = ["LEARNERS", "Plan", "from_cross_validation", "from_posterior"]

LEARNERS = ("ridge", "nuclear norm", "optimal")
_DRAWS = 8  # noise matrices over which the errors of a spectrum are averaged
_NOISES = np.logspace(-4.0, 4.0, 81)  # of the denoising problem, in units of the mean square of entries
_SHARES = np.linspace(0.01, 0.998, 60) ** 2  # of the noise, in the power of labels
_ALIKE = 0.8  # correlation of held-out errors of ridge and of the nuclear norm, as `experiments/pilot.py` has them
_OFF_BY_FOLDS = 5.5  # log(predicted / actual error) of one plan, times sqrt(n); of the same script
_OFF_BY_POSTERIOR = 3.2  # the same, times n / sqrt(entries)
_THEORY = 0.03  # how far off theory is at sizes that one has


@dataclass(frozen=True, eq=False)
class Plan:
    """A problem as a pilot shows it. Errors are squared errors of new labels, their noise included, in units of y^2.

    Attributes
    ----------
    shape : tuple of int
        (L, d).
    entries : int
        Of them, those that vary.
    signal, noise : float
        Variances of what tokens say of labels, and of the rest.
    rank : float
        That of a product of normal factors that would be learned as well as S; it need not be an integer.
    scatter : float
        Standard deviation of the logarithm of predicted over actual errors, as measured for such plans.
    spectrum : ndarray or None
        Singular values, in any unit, in place of a rank.
    """

    shape: tuple[int, int]
    entries: int
    signal: float
    noise: float
    rank: float
    scatter: float
    spectrum: np.ndarray | None = None

    @property
    def _problem(self):
        L, d = self.shape
        return {"beta": L / d, "rho": max(self.rank, 1) / min(L, d), "delta": self.noise / self.signal}

    def errors(self, n):
        """A column for each learner."""
        n = np.atleast_1d(np.asarray(n, dtype=np.float64))
        alpha, problem = n / self.entries, self._problem
        columns = {"ridge": ridge.mse(alpha, delta=problem["delta"])}
        if self.spectrum is None:
            columns["nuclear norm"] = nuclear_norm.mse(alpha, **problem, lam=None)
            columns["optimal"] = bayes.mmse(alpha, **problem)
        else:
            for name, mse in self._of_spectrum.items():
                columns[name] = np.interp(-np.log(alpha), -np.log(self._alphas(mse)), mse)
        index = pd.Index([int(k) if k == int(k) else k for k in n], name="n")
        table = pd.DataFrame({name: self.noise + self.signal * mse for name, mse in columns.items()}, index=index)
        table.attrs["scatter"], table.attrs["noise"] = self.scatter, self.noise
        return table

    def how_many(self, error):
        """The number of samples at which each learner has this error of new labels; infinite if none has."""
        mse, problem = (error - self.noise) / self.signal, self._problem
        if not 0.0 < mse < 1.0:
            return pd.Series(dict.fromkeys(LEARNERS, np.inf if mse <= 0.0 else 0.0), name="n")
        alpha = {"ridge": ridge.sample_complexity(mse, delta=problem["delta"])}
        if self.spectrum is None:
            alpha["nuclear norm"] = nuclear_norm.sample_complexity(mse, **problem, lam=None)
            alpha["optimal"] = bayes.sample_complexity(mse, **problem)
        else:
            for name, curve in self._of_spectrum.items():
                alpha[name] = np.interp(-mse, -curve[::-1], self._alphas(curve)[::-1], right=np.inf)
        return pd.Series({name: np.ceil(self.entries * value) for name, value in alpha.items()}, name="n")

    def _alphas(self, mse):
        """Where the denoising problem of each noise is that of the data: noise = (delta + mse) / alpha."""
        alpha = (self.noise / self.signal + mse) / _NOISES
        return np.minimum.accumulate(alpha)  # past a jump the larger noise counts

    @cached_property
    def _of_spectrum(self):
        """Errors of two denoisers of diag(spectrum) + noise on the grid of noises, relative to the signal.

        One shrinks each singular value to what it is worth on average, as who knows the spectrum would; the other
        thresholds them at the best level.
        """
        (L, d), m = self.shape, min(self.shape)
        size = np.zeros(m)
        given = np.sort(np.abs(self.spectrum))[::-1][:m]
        size[: len(given)] = given
        size *= np.sqrt(L * d) / linalg.norm(size)
        S = np.zeros((L, d))
        S[:m, :m] = np.diag(size)
        Z = np.random.default_rng(0).standard_normal((_DRAWS, L, d))
        optimal, threshold = [], []
        for noise in _NOISES:
            left, sigma, right = np.linalg.svd(S + np.sqrt(noise) * Z, full_matrices=False)
            overlap = np.einsum("kia,i,kai->ka", left[:, :m], size, right[:, :, :m])
            worth = overlap.mean(axis=0)
            optimal.append(1.0 - worth @ worth / (L * d))

            def loss(level, sigma=sigma, overlap=overlap):
                kept = np.maximum(sigma - level, 0.0)
                return 1.0 + np.mean(np.sum(kept * (kept - 2.0 * overlap), axis=1)) / (L * d)

            threshold.append(minimize_scalar(loss, bounds=(0.0, sigma.max()), method="bounded").fun)
        return {"nuclear norm": np.minimum(threshold, 1.0), "optimal": np.array(optimal)}


def from_cross_validation(shape, entries, n, held, power, losses):
    """A plan from held-out errors of ridge and the nuclear norm that learned from n samples.

    Theory says what both are for each noise and rank. They are means of as many squares as were `held` out, off by
    sqrt(2 / held) and by much the same for both; so noise and rank are averages, weighted by the likelihood and a prior
    for which the noise's share has the density 2 (1 - share), and the logarithm of the rank is uniform.
    """
    alpha, (L, d) = n / entries, shape
    share, ranks = _SHARES[:, None], _some_ranks(min(shape))
    delta = share / (1.0 - share)
    of_nuclear_norm = nuclear_norm.mse(alpha, L / d, ranks / min(shape), delta, lam=None)
    one, other = (
        np.log(losses[name] / power / (share + (1.0 - share) * mse))
        for name, mse in (("ridge", ridge.mse(alpha, delta=delta)), ("nuclear norm", of_nuclear_norm))
    )
    misfit = (one**2 - 2.0 * _ALIKE * one * other + other**2) / (1.0 - _ALIKE**2) / (2.0 / held + _THEORY**2)
    weight = np.sqrt(share) * (1.0 - share) * np.exp(-0.5 * (misfit - misfit.min()))  # even in the root of the share
    weight /= weight.sum()
    noise, rank = power * np.sum(weight * share), np.exp(np.sum(weight * np.log(ranks)))
    return Plan(shape, entries, power - noise, noise, rank, _OFF_BY_FOLDS / np.sqrt(held))


def from_posterior(shape, entries, n, power, noise, error):
    """A plan from the noise and the error that a posterior given n samples expects of its mean.

    The rank is the one at which theory has this error: components of little power and what has full rank count as far
    as they matter.
    """
    (L, d), noise = shape, min(noise, _SHARES[-1] * power)
    signal, ranks = power - noise, _some_ranks(min(shape))
    mse = bayes.mmse(n / entries, L / d, ranks / min(shape), noise / signal)
    rank = np.interp(error / signal, np.maximum.accumulate(mse), ranks)
    return Plan(shape, entries, signal, noise, float(rank), _OFF_BY_POSTERIOR * np.sqrt(entries) / n)


def _some_ranks(largest):
    return np.unique(np.round(np.geomspace(1.0, largest, 16)))
