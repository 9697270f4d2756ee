"""Method "bayes": chains of the sampler in the user's units, whether they agree, and intervals."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from bsr.regression._frame import Frame
from bsr.regression._gibbs import run_chain

__all__ = ["BayesFit", "effective_size", "fit_chain", "join", "r_hat"]

_BLOCK = 2**22  # predictions of samples that are held at once


@dataclass(frozen=True, eq=False)
class BayesFit:
    """Samples of all chains in the user's units; predictions are <Z, S> + intercept, numbers or probits.

    Attributes
    ----------
    frame : Frame
    samples : ndarray, shape (chains, k, L', d')
    intercepts, noise : ndarray, shape (chains, k)
    powers : ndarray, shape (chains, k, K)
        Variance of what each component adds to labels, over that of labels.
    classes : bool
    """

    frame: Frame
    samples: np.ndarray
    intercepts: np.ndarray
    noise: np.ndarray
    powers: np.ndarray
    classes: bool

    @property
    def S(self):
        """Posterior mean."""
        return self.samples.mean(axis=(0, 1))

    @property
    def intercept(self):
        return float(self.intercepts.mean())

    def decision(self, X):
        """Predicted numbers, or probits."""
        return np.tensordot(self.frame.tokens(X), self.S, 2) + self.intercept

    def _blocks(self, X):
        """Predictions of samples, some sequences at a time: (chains, k, m)."""
        chains, k = self.noise.shape
        samples = self.samples.reshape(chains * k, -1)
        step = max(1, _BLOCK // len(samples))
        for i in range(0, len(X), step):
            Z = self.frame.tokens(X[i : i + step])
            yield (samples @ Z.reshape(len(Z), -1).T).reshape(chains, k, -1) + self.intercepts[..., None]

    def predictions(self, X):
        """Those of all samples, (chains, k, n)."""
        return np.concatenate(list(self._blocks(X)), axis=2)

    def spread(self, X):
        """Variance of samples' predictions."""
        return np.concatenate([part.var(axis=(0, 1)) for part in self._blocks(X)])

    def variance(self, X):
        """Of a new label: of the samples, and the noise."""
        return self.spread(X) + self.noise.mean()

    def expected_error(self, X, labels):
        """Squared error that the posterior mean adds to labels of new sequences like X, those that it learned from.

        It is the spread of predictions, not of coefficients, as tokens may not see all of these. A sequence's own label
        has narrowed that: for a normal law 1/spread = 1/error + weight/noise, which is solved in the mean.
        """
        spread = float(labels.share @ self.spread(X))
        left = 1.0 - spread * labels.weights.mean() / self.noise.mean()
        return spread / left if left > 0.0 else np.inf  # nothing but labels themselves tells them

    def probability(self, X):
        """Of class 1, the mean over samples."""
        return np.concatenate([ndtr(part).mean(axis=(0, 1)) for part in self._blocks(X)])

    def losses(self, X, labels):
        """Squared errors, or log-losses."""
        if not self.classes:
            return labels.losses(self.decision(X))
        p = ndtr(labels.y * self.predictions(X)).mean(axis=(0, 1))
        return -np.log(np.maximum(p, np.finfo(float).tiny))


def fit_chain(X, labels, scale, main_effects, components, sweeps, burn_in, kept, seed, report=None):
    """One chain, as a fit of its own."""
    frame = Frame(X, labels.share, scale, main_effects)
    y, unit = labels.y, 1.0
    A = frame.tokens(X)
    if not labels.classes:
        unit = np.sqrt(labels.share @ (labels.y - labels.offset) ** 2) or 1.0
        root = np.sqrt(labels.weights)
        A *= root[:, None, None]
        y = root * (labels.y - labels.offset) / unit
    weight = labels.weights.sum()
    options = {"sweeps": sweeps, "burn_in": burn_in, "kept": kept, "seed": seed, "report": report}
    chain = run_chain(A, y, weight, main_effects=main_effects, components=components, classes=labels.classes, **options)
    intercepts = chain.intercept
    if not labels.classes:  # tokens are centred, so the mean label is the intercept's, to within this
        rng = np.random.default_rng(seed.spawn(1)[0])
        intercepts = labels.offset + unit * np.sqrt(chain.noise / weight) * rng.standard_normal(len(chain.noise))
    return BayesFit(
        frame,
        unit * chain.S[None],
        intercepts[None],
        unit**2 * chain.noise[None],
        chain.powers[None],
        labels.classes,
    )


def join(fits):
    """Chains of the same data as one fit."""
    parts = (
        np.concatenate([getattr(fit, name) for fit in fits]) for name in ("samples", "intercepts", "noise", "powers")
    )
    return BayesFit(fits[0].frame, *parts, fits[0].classes)


def r_hat(draws):
    """Split R-hat of draws (chains, k, ...), as of Gelman and others, Bayesian Data Analysis (2013), section 11.4."""
    half = draws.shape[1] // 2
    parts = np.concatenate([draws[:, :half], draws[:, -half:]])
    within, between = parts.var(axis=1, ddof=1).mean(axis=0), parts.mean(axis=1).var(axis=0, ddof=1)
    spread = np.divide(between, within, out=np.zeros_like(within), where=within > 0.0)
    return np.sqrt(1.0 - 1.0 / half + spread)


def effective_size(draws):
    """Effective number of independent draws (chains, k, ...), by the initial positive sequence of Geyer (1992)."""
    chains, k = draws.shape[:2]
    centred = draws - draws.mean(axis=1, keepdims=True)
    spectrum = np.abs(np.fft.rfft(centred, 2 * k, axis=1)) ** 2
    covariance = np.fft.irfft(spectrum, axis=1)[:, :k].mean(axis=0) / k
    within = covariance[0] * k / (k - 1.0)
    total = covariance[0] + (draws.mean(axis=1).var(axis=0, ddof=1) if chains > 1 else 0.0)
    safe = np.where(total > 0.0, total, 1.0)
    rho = 1.0 - (within - covariance) / safe
    rho[0] = 1.0
    pairs = rho[: k // 2 * 2].reshape(k // 2, 2, *rho.shape[1:]).sum(axis=1)
    pairs = np.where(np.cumprod(pairs > 0.0, axis=0), pairs, 0.0)
    time = np.maximum(2.0 * pairs.sum(axis=0) - 1.0, 1.0 / np.log10(chains * k + 10.0))
    return np.where(total > 0.0, chains * k / time, float(chains * k))
