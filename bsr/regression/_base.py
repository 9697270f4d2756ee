"""What regression and classification share: checks, cross-validation of all methods, choice, comparison."""

import warnings
from itertools import product

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy import linalg
from sklearn.base import BaseEstimator
from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold, StratifiedKFold, check_cv
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from tqdm import tqdm

from bsr._checks import ConvergenceWarning, check_integer, warn_convergence
from bsr.regression._bayes import effective_size, fit_chain, join, r_hat
from bsr.regression._frame import SCALES
from bsr.regression._inputs import check_equal, check_weights, read_samples
from bsr.regression._iterative import fit_descent, fit_gamp
from bsr.regression._linear import Candidate, candidates, fit_candidate, fold_losses
from bsr.regression._participation import participation
from bsr.regression._plots import plot_comparison, plot_factors
from bsr.regression._words import summary_of

__all__ = ["BilinearBase"]

_WATCHED = 200  # predictions that tell whether chains agree
_HELD, _REPEATS = 300, 3  # folds are drawn so often that about so many samples are held out, but not more often
_R_HAT, _EFFECTIVE = 1.1, 50.0
_KEPT = 400  # samples of a chain, at most
_ALIVE = 0.02  # least share of a component of "bayes" in the power of all: below it, one of the surplus
_NAMES = {"bayes": "bayes", "gamp": "gamp", "gradient_descent": "gradient descent"}
_MAIN_EFFECTS = (True, False, "auto")


class BilinearBase(BaseEstimator):
    """Base of both estimators; its parameters are those that they share."""

    def __init__(
        self,
        method="auto",
        *,
        shape=None,
        main_effects="auto",
        scale="channel",
        components=6,
        cv=5,
        compare=True,
        chains=2,
        sweeps=600,
        burn_in=200,
        n_jobs=None,
        random_state=0,
        progress=None,
    ):
        self.method = method
        self.shape = shape
        self.main_effects = main_effects
        self.scale = scale
        self.components = components
        self.cv = cv
        self.compare = compare
        self.chains = chains
        self.sweeps = sweeps
        self.burn_in = burn_in
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.progress = progress

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        return tags

    def _check_parameters(self):
        if self.method not in self._methods:
            raise ValueError(f"method must be one of {', '.join(map(repr, self._methods))}, got {self.method!r}")
        if not any(self.main_effects is value for value in (True, False)) and self.main_effects != "auto":
            raise ValueError(f"main_effects must be True, False or 'auto', got {self.main_effects!r}")
        if self.scale not in SCALES:
            raise ValueError(f"scale must be one of {', '.join(map(repr, SCALES))}, got {self.scale!r}")
        for name, allowed in (("compare", (True, False)), ("progress", (True, False, None))):
            if not any(getattr(self, name) is value for value in allowed):
                raise ValueError(f"{name} must be one of {', '.join(map(str, allowed))}, got {getattr(self, name)!r}")
        for name, least in (("components", 1), ("chains", 1), ("sweeps", 20), ("burn_in", 0)):
            check_integer(name, getattr(self, name), least)
        if self.sweeps - self.burn_in < 20:
            raise ValueError(f"sweeps must exceed burn_in={self.burn_in} by 20 at least, got {self.sweeps}")

    def _read(self, X, y, sample_weight, numeric):
        """Tokens, labels and weights."""
        X, y = read_samples(self, X, y, numeric)
        weights = check_weights(sample_weight, X)
        used = np.count_nonzero(weights)
        if used < 4:
            raise ValueError(f"X must have 4 samples or more to learn from, got n_samples={used}")
        missing = ~np.isfinite(X).any(axis=0)
        if missing.any():
            i, j = np.argwhere(missing)[0]
            raise ValueError(
                f"X must have a value somewhere for each entry, got NaN only for {missing.sum()} of {missing.size}, "
                f"first for position {i}, channel {j}; leave such out"
            )
        if not np.any(X != X[0], where=np.isfinite(X) & np.isfinite(X[0])):
            raise ValueError(f"X must vary, got {len(X)} equal samples")
        self.n_samples_, self.tokens_shape_ = used, X.shape[1:]
        return X, y, weights

    def _folds(self, X, y, classifier):
        folds = check_cv(self.cv, y, classifier=classifier)
        if not isinstance(self.cv, int | np.integer) or isinstance(self.cv, bool):
            places = np.arange(len(X))
            given = [(places[rows], places[held]) for rows, held in folds.split(X, y)]  # masks become indices
            if not given:
                raise ValueError("cv must give one fold or more, got none; a generator gives its folds only once")
            return given
        if len(X) < folds.get_n_splits():
            raise ValueError(f"X must have {self.cv} samples or more for cv={self.cv}, got n_samples={len(X)}")
        repeated = RepeatedStratifiedKFold if isinstance(folds, StratifiedKFold) else RepeatedKFold
        times = int(np.clip(_HELD // len(X), 1, _REPEATS)) if self.method == "auto" else 1
        state = check_random_state(self.random_state)
        return list(repeated(n_splits=folds.get_n_splits(), n_repeats=times, random_state=state).split(X, y))

    def _side(self):
        """Main effects, where they are not what entries are already."""
        return False if 1 in self.tokens_shape_ else self.main_effects

    def _in_parallel(self, calls, description):
        """Results in order, with a bar if that takes longer than a second."""
        disable = None if self.progress is None else not self.progress  # None: shown on terminals
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # of folds
            results = Parallel(n_jobs=self.n_jobs, return_as="generator")(calls)
            return list(tqdm(results, total=len(calls), desc=description, delay=1.0, disable=disable))

    def _seeds(self, count):
        state = check_random_state(self.random_state)
        return np.random.SeedSequence(int(state.randint(2**31 - 1))).spawn(count)

    def _learn(self, X, targets, folds):
        """Sets _fits, comparison_ and what belongs to them; `targets` has labels for each binary problem."""
        for name in ("gap_", "r_hat_", "effective_sample_size_", "converged_"):  # of a fit before
            vars(self).pop(name, None)
        used = targets[0].weights > 0.0
        self.participation_, self.entries_ = participation(X[used], targets[0][used].share, self.scale)
        linear = candidates(self._side())
        names, losses, places, share = [], [], [], self._shares_held(targets[0], folds)
        if self.method == "auto" or self.compare:
            if self.method != "auto":
                linear = [candidate for candidate in linear if candidate.penalty == "ridge"]
            names, losses, places = self._cross_validate(X, targets, folds, linear, share)
        own = _NAMES.get(self.method)
        if own:
            fits = self._fit_method(X[used], [target[used] for target in targets])
            if self.compare:
                names, losses = [*names, own], [*losses, self._held_out(X, targets, folds)]
        else:
            best = int(np.argmin([share @ loss for loss in losses]))
            own, candidate = names[best], linear[best]
            calls = [delayed(fit_candidate)(X, target, self.scale, candidate, places[best]) for target in targets]
            fits, gaps = zip(*self._in_parallel(calls, "fit"), strict=True)
            self.gap_ = max(gaps)
            if self.gap_ > 1e-4:
                warn_convergence(f"the relative duality gap {self.gap_:.1e} of the fit is above 1e-4")
        self._fits, self.chosen_, self._fitted_method = list(fits), own, self.method
        self._compare(names, losses, targets, share)

    def _cross_validate(self, X, targets, folds, linear, share):
        """Names, losses of held-out samples at the best place of each path, and these places."""
        sides = sorted({candidate.main_effects for candidate in linear})
        penalties = [[c.penalty for c in linear if c.main_effects is side] for side in sides]
        jobs = list(product(range(len(targets)), folds, zip(sides, penalties, strict=True)))
        calls = [
            delayed(fold_losses)(X, targets[k], rows, held, self.scale, side, which)
            for k, (rows, held), (side, which) in jobs
        ]
        curves, times = {}, _times_held(len(X), folds)
        for (_, (_, held), (side, which)), parts in zip(
            jobs, self._in_parallel(calls, "cross-validation"), strict=True
        ):
            for penalty, part in zip(which, parts, strict=True):
                curve = curves.setdefault(Candidate(penalty, side), np.zeros((len(X), part.shape[1])))
                curve[held] += part / times[held, None]
        for curve in curves.values():
            curve[share == 0.0] = 0.0  # infinite where a path ended before
        places = [int(np.argmin(share @ curves[candidate])) for candidate in linear]
        losses = [curves[candidate][:, place] for candidate, place in zip(linear, places, strict=True)]
        return [candidate.name for candidate in linear], losses, places

    @staticmethod
    def _shares_held(labels, folds):
        """Weights, summing to 1, of the samples that are held out in some fold."""
        held = labels.weights * (_times_held(len(labels.y), folds) > 0.0)
        if folds and not held.any():
            raise ValueError("cv must hold out samples of weight above zero, got none")
        return held / held.sum() if folds else labels.share

    def _fit_method(self, X, targets):
        """The fits of a method that is no path of penalties."""
        if self.method == "bayes":
            seeds = self._seeds(len(targets) * self.chains)
            calls = [
                delayed(fit_chain)(X, target, seed=seeds[k * self.chains + chain], **self._chain_options())
                for k, target in enumerate(targets)
                for chain in range(self.chains)
            ]
            done = self._in_parallel(calls, "chains")
            fits = [join(done[i : i + self.chains]) for i in range(0, len(done), self.chains)]
            self._look_at_chains(X, fits)
            return fits
        fits = []
        for target in targets:
            fit, error = self._fit_other(X, target)
            fits.append(fit)
            self._method_error = error
        return fits

    def _chain_options(self):
        options = {name: getattr(self, name) for name in ("scale", "components", "sweeps", "burn_in")}
        kept = min(_KEPT, self.sweeps - self.burn_in)
        return options | {"main_effects": self._side() is not False, "kept": kept}

    def _fit_other(self, X, target):
        """GAMP or gradient descent, and the error that it knows of."""
        seed = self._seeds(1)[0]
        if self.method == "gamp":
            if self._side() is True:
                raise ValueError("main_effects must be False or 'auto' for method='gamp', got True")
            check_equal("method='gamp'", target.weights)
            short = min(self.tokens_shape_)
            ranks = sorted({rank for rank in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32) if rank <= max(1, short // 2)})
            return fit_gamp(X, target, self.scale, ranks, np.random.default_rng(seed))
        sides = (False, True) if self._side() == "auto" else (self._side(),)
        runs = [fit_descent(X, target, self.scale, side, self.components, seed) for side in sides]
        return min(runs, key=lambda run: run[1])

    def _held_out(self, X, targets, folds):
        """Losses of held-out samples of the method, with one chain or run a fold."""
        one = [(k, rows, held) for k in range(len(targets)) for rows, held in folds]
        if self.method == "bayes":
            seeds = self._seeds(len(one) + 1)[1:]
            options = self._chain_options()
            calls = [
                delayed(_held_out_chain)(X, targets[k], rows, held, seed, options)
                for (k, rows, held), seed in zip(one, seeds, strict=True)
            ]
        else:
            calls = [delayed(_held_out_other)(self, X, targets[k], rows, held) for k, rows, held in one]
        losses, times = np.zeros(len(X)), _times_held(len(X), folds)
        for (_, _, held), part in zip(one, self._in_parallel(calls, "cross-validation"), strict=True):
            losses[held] += part / times[held]
        return losses

    def _look_at_chains(self, X, fits):
        """Whether chains agree on predictions of some of the sequences."""
        some = X[:: max(1, len(X) // _WATCHED)][:_WATCHED]
        hats, sizes = [], []
        for fit in fits:
            draws = fit.predictions(some)
            hats.append(r_hat(draws).max())
            sizes.append(np.median(effective_size(draws)))
        self.r_hat_, self.effective_sample_size_ = float(max(hats)), float(min(sizes))
        self.converged_ = self.r_hat_ <= _R_HAT and self.effective_sample_size_ >= _EFFECTIVE
        if not self.converged_:
            warn_convergence(
                f"chains of {self.sweeps} sweeps do not agree: R-hat of predictions is {self.r_hat_:.2f} at most, the "
                f"effective sample size {self.effective_sample_size_:.0f}; {_R_HAT} and {_EFFECTIVE:.0f} are wanted. "
                "More sweeps help"
            )

    def _compare(self, names, losses, targets, share):
        """The table of cross-validated scores."""
        rows = []
        chosen = losses[names.index(self.chosen_)] if names else None
        for loss in losses:
            score, unit = self._score_of(share @ loss, targets)
            gain = chosen - loss
            mean = share @ gain
            rows.append((score, unit * mean, unit * np.sqrt(np.sum(share**2 * (gain - mean) ** 2))))
        columns = ["score", "difference", "error"]
        self.comparison_ = pd.DataFrame(rows, columns=columns, index=pd.Index(names, name="model"))

    def _take_apart(self):
        """coef_, intercept_, factors_ and rank_ in the user's units, one for each fit."""
        parts = []
        for fit in self._fits:
            product_part, additive = fit.frame.entries(fit.S)
            coef = product_part + additive
            parts.append((coef, fit.intercept - np.sum(fit.frame.mean * coef), additive, product_part))
        coefs, intercepts, additives, products = (np.array(part) for part in zip(*parts, strict=True))
        ranks = [self._rank_of(fit, part) for fit, part in zip(self._fits, products, strict=True)]
        factors = [balanced_factors(part, rank) for part, rank in zip(products, ranks, strict=True)]
        single = len(parts) == 1
        self.coef_, self.intercept_ = (coefs[0], float(intercepts[0])) if single else (coefs, intercepts)
        self.additive_ = additives[0] if single else additives
        self.rank_, self.factors_ = (ranks[0], factors[0]) if single else (ranks, factors)

    def _rank_of(self, fit, product_part):
        if self.method == "bayes":
            return int(np.median(np.sum(fit.powers > self._alive(fit), axis=-1)))
        if fit.rank is not None:
            return fit.rank
        top = linalg.norm(product_part, 2)
        return int(np.linalg.matrix_rank(product_part, tol=1e-6 * top)) if top > 0.0 else 0

    @staticmethod
    def _alive(fit):
        """Power from which on a component is not one of the surplus."""
        return _ALIVE * fit.powers.sum(axis=-1, keepdims=True)

    def summary(self):
        """What was compared and what came out, in words.

        Returns
        -------
        str
        """
        check_is_fitted(self)
        return summary_of(self)

    def plot_comparison(self, ax=None):
        """Draw the cross-validated scores of all models compared.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where; by default in a figure of its own.

        Returns
        -------
        matplotlib.axes.Axes
            Bars are the standard errors of differences to the model returned, which has another colour.

        Raises
        ------
        ValueError
            If nothing was compared.
        """
        check_is_fitted(self)
        return plot_comparison(self, ax)

    def plot_factors(self, components=3, positions=None, channels=None):
        """Draw what each component reads: its weights of positions and of channels.

        Parameters
        ----------
        components : int, default 3
            How many at most, the strongest first; of more than two classes those of the first.
        positions, channels : sequence of str, optional
            Their names.

        Returns
        -------
        matplotlib.figure.Figure
            A row for each component, from `factors_`: a component adds to a prediction the sum over positions of its
            weight times the token there, weighed by channels.

        Raises
        ------
        ValueError
            If the rank is zero, or there are not as many names as places.
        """
        check_is_fitted(self)
        return plot_factors(self, check_integer("components", components, 1), positions, channels)


def balanced_factors(S, rank):
    """U (L, rank) and V (d, rank) of equal norms in each column, S = U V^T up to singular values beyond `rank`."""
    left, sigma, right = linalg.svd(S, full_matrices=False)
    root = np.sqrt(sigma[:rank])
    sign = np.where(right[:rank].sum(axis=1) < 0.0, -1.0, 1.0)
    return left[:, :rank] * root * sign, right[:rank].T * root * sign


def _times_held(n, folds):
    """How often each sample is held out."""
    return np.bincount(np.concatenate([np.zeros(0, int), *(np.arange(n)[held] for _, held in folds)]), minlength=n)


def _held_out_chain(X, labels, rows, held, seed, options):
    rows = rows[labels.weights[rows] > 0.0]
    return fit_chain(X[rows], labels[rows], seed=seed, **options).losses(X[held], labels[held])


def _held_out_other(estimator, X, labels, rows, held):
    rows = rows[labels.weights[rows] > 0.0]
    fit, _ = estimator._fit_other(X[rows], labels[rows])
    return fit.losses(X[held], labels[held])
