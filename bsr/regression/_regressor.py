"""Numbers from labelled matrices."""

from dataclasses import replace

import numpy as np
from scipy import linalg
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from bsr._checks import check_number, check_real, warn_outside
from bsr.regression._base import BilinearBase
from bsr.regression._inputs import read_tokens
from bsr.regression._linear import Labels
from bsr.regression._plan import from_cross_validation, from_posterior
from bsr.regression._plots import plot_learning_curve
from bsr.tokens import MisfitWarning

__all__ = ["BilinearRegressor"]

_ALIKE = 0.5  # least participation number, over that of entries, for which the theory of white tokens may be used


class BilinearRegressor(RegressorMixin, BilinearBase):
    """Predict numbers from sequences of tokens, (n, L, d), by a matrix S of low rank.

    X[:, i, j] is channel j of the token at position i: sensors are channels, times are positions. For classes there is
    `BilinearClassifier`.

    Parameters
    ----------
    method : {"auto", "bayes", "gamp", "gradient_descent"}, default "auto"
        How S is learned, see Notes.
    shape : tuple of int (L, d), optional
        Of the sequences, if X comes in rows of L d entries (the d channels of the first position, then those of the
        second, ...). By default such rows are sequences of one token.
    main_effects : {"auto", True, False}, default "auto"
        Whether positions and channels have coefficients of their own, S_ij = p_i + q_j + ..., for the sums of tokens
        over channels and over positions. "auto" lets cross-validation choose, or the prior of "bayes".
    scale : {"channel", "overall"}, default "channel"
        What entries are divided by, after their means are subtracted: the root mean square of their channel, so that
        units of channels do not matter, or one number for all, as befits letters or pixels.
    components : int, default 6
        Largest rank of "bayes", which finds out how many are needed, and the rank of "gradient_descent".
    cv : int, cross-validation generator or iterable, default 5
        Folds of the choices and of the comparison. An integer stands for so many, shuffled; for "auto" they are drawn
        anew, up to three times, until some 300 samples were held out, because choices from few samples are uncertain.
    compare : bool, default True
        Whether other methods than "auto" are compared with ridge on these folds, which takes as many more fits.
    chains, sweeps, burn_in : int, default 2, 600, 200
        Of "bayes": independent chains, sweeps of each, and how many of them to forget.
    n_jobs : int, optional
        Processes, as of joblib. Results do not depend on it.
    random_state : int, numpy.random.RandomState or None, default 0
        Source of folds, chains and starting points.
    progress : bool, optional
        Whether work that takes longer than a second shows a bar. By default it does on terminals.

    Attributes
    ----------
    coef_ : ndarray, shape (L, d)
        Coefficients in the units of X and y: y is predicted as `<X, coef_> + intercept_`.
    intercept_ : float
    factors_ : tuple of ndarray, shapes (L, rank) and (d, rank)
        U and V of equal norms in each column: U V^T is the part of `coef_` that is no main effect, up to what a
        posterior mean has beyond its rank.
    additive_ : ndarray, shape (L, d)
        The main effects' part of `coef_`, zero if there are none.
    rank_ : int
        Rank of U V^T. For "bayes" the median number of components that have more than 2 % of the power of all; for
        "gamp" that of the prior.
    noise_ : float
        In squared units of y. For "bayes" the variance of the noise, its posterior mean. For others the squared error
        of new labels, from held-out samples or by leaving one out: more than the noise, as it has the error of S in it.
        What "auto" takes for the noise alone is ``plan(n).attrs["noise"]``.
    chosen_ : str
        The model that is returned, by its name in `comparison_`.
    comparison_ : pandas.DataFrame
        For each model the cross-validated `score` (R^2), its `difference` to that of the model returned, and the
        standard `error` of this difference over samples. Where penalties were chosen on the same folds, scores are a
        little too good, all of them. The error is for these training sets: over new data sets of the model differences
        scattered 1.7 times as much.
    participation_ : float
        (tr C)^2 / tr C^2 for the covariance C of the scaled entries: about their number where they are independent and
        of one variance, much less where they all say the same. A low rank saves samples in the first case.
    entries_ : int
        Number of entries that vary.
    gap_ : float
        Of "auto", if the nuclear norm was chosen: the certified relative duality gap.
    r_hat_, effective_sample_size_, converged_ : float, float, bool
        Of "bayes": the largest R-hat, and the median effective number of samples, of predictions for up to 200 of the
        sequences; whether they are at most 1.1, and at least 50.
    n_features_in_ : int
        L d.
    n_samples_ : int
        Those of weight above zero.
    tokens_shape_ : tuple of int
        (L, d).
    feature_names_in_ : ndarray of str
        Names of the columns, where X is a data frame.

    Notes
    -----
    y = intercept + <X, S> + noise. Tokens are centred and scaled; missing entries (NaN) count as their mean. With main
    effects each matrix is bordered by its row sums and its column sums, each border with as much variance as all
    entries together (book, chapter 19).

    "auto" fits ridge and the penalised nuclear norm, `bsr.estimators.nuclear_norm`, with and without main effects,
    along paths of penalties, and returns the one that predicts held-out samples best. On many data that is ridge; then
    a low rank gains nothing, and `summary` says so. Nuclear penalties are in units of the least one for which S = 0.

    "bayes" samples the posterior of all that is unknown, the noise variance included: S is a sum of components, each
    with a precision of its own, so that those that are not needed die; of main effects; and of a matrix of full rank
    that may be absent. `predict` then gives the posterior mean, and tells its standard deviation.

    "gamp" whitens tokens, `bsr.tokens.whiten`, and runs `bsr.estimators.gamp_rie` with the rank that has the least
    leave-one-out error; where it fails, as on tokens far from a product covariance, it refuses. "gradient_descent"
    starts with small factors and stops where the error on a held-out fifth is least; it is there as a reference.

    Examples
    --------
    >>> import bsr
    >>> from bsr.regression import BilinearRegressor
    >>> data = bsr.Problem(alpha=0.7, beta=1.0, rho=0.1, delta=0.1).sample(d=20, rng=0)
    >>> model = BilinearRegressor().fit(data.X, data.y)
    >>> model.chosen_
    'nuclear norm'
    """

    _methods = ("auto", "bayes", "gamp", "gradient_descent")
    _score_name = "R^2"

    def fit(self, X, y, sample_weight=None):
        """Learn from labelled sequences.

        Parameters
        ----------
        X : array_like, shape (n, L, d) or (n, L d)
            Sequences, in any unit; NaN where an entry is missing. Rows of entries need the parameter `shape`.
        y : array_like, shape (n,)
            Labels.
        sample_weight : array_like, shape (n,), optional
            How often each sample counts, zero or more.

        Returns
        -------
        BilinearRegressor
            Itself.

        Raises
        ------
        ValueError
            If X or y have another shape or do not vary, sequences have different lengths, an entry is never there,
            there are too few samples, a parameter is out of range, or "gamp" fails on these tokens.

        Warns
        -----
        ConvergenceWarning
            If the chains of "bayes" do not agree, or the duality gap of "auto" stays above 1e-4.
        """
        self._check_parameters()
        X, y, weights = self._read(X, y, sample_weight, numeric=True)
        y = np.asarray(y, dtype=np.float64)
        labels = Labels(y, weights, False)
        if not np.ptp(y[weights > 0.0]) > 0.0:
            raise ValueError(f"y must vary, got {y[weights > 0.0][0]} for all {self.n_samples_} samples")
        self._power = float(labels.share @ (y - labels.offset) ** 2)
        folds = self._folds(X, y, classifier=False) if self.method == "auto" or self.compare else []
        self._share_learned = np.mean([len(rows) for rows, _ in folds]) / len(X) if folds else np.nan
        self._learn(X, [labels], folds)
        self._take_apart()
        self.noise_ = self._noise(labels)
        if self.method == "bayes":
            used = weights > 0.0
            self._expected_error = self._fits[0].expected_error(X[used], labels[used])
        return self

    def _noise(self, labels):
        if self.method == "bayes":
            return float(self._fits[0].noise.mean())
        if self.chosen_ in self.comparison_.index:
            return self._power * (1.0 - float(self.comparison_.loc[self.chosen_, "score"]))
        return float(self._method_error)

    def _score_of(self, loss, targets):
        return 1.0 - loss / self._power, 1.0 / self._power

    def predict(self, X, return_std=False):
        """Labels of sequences.

        Parameters
        ----------
        X : array_like, shape (n, L, d) or (n, L d)
            Sequences in the units of those that were learned from.
        return_std : bool, default False
            Whether to tell standard deviations too; only "bayes" knows them.

        Returns
        -------
        ndarray, shape (n,)
            Predictions; with `return_std` also the standard deviations of new labels around them, noise included.

        Raises
        ------
        ValueError
            If the shape is another one, or `return_std` is asked of another method.
        """
        check_is_fitted(self)
        X = read_tokens(self, X)
        mean = self._fits[0].decision(X)
        if not return_std:
            return mean
        if self._fitted_method != "bayes":
            raise ValueError(
                f"return_std must be False for method={self._fitted_method!r}: only 'bayes' knows its errors"
            )
        return mean, np.sqrt(self._fits[0].variance(X))

    def _plan(self, spectrum):
        """The problem as this fit has found it."""
        entries = max(self.entries_, round(self.participation_))  # some may not have varied yet
        if self.participation_ < _ALIKE * entries:
            warn_outside(
                f"plans are for independent entries that vary alike; these tokens vary as {self.participation_:.0f} of "
                f"them would, not as {entries}. Do not use what 'auto' plans: its noise, and so its errors, are far "
                "too small. method='bayes' takes the noise from the data",
                MisfitWarning,
            )
        shape, power, n = self.tokens_shape_, self._power, self.n_samples_
        if self._fitted_method == "bayes":
            found = from_posterior(shape, entries, n, power, self.noise_, self._expected_error)
        else:
            table = self.comparison_["score"]
            if self._fitted_method == "auto" and "nuclear norm" not in table:
                raise ValueError("main_effects must be False or 'auto' to plan from method='auto', got True")
            if "nuclear norm" not in table:
                raise ValueError(f"method must be 'auto' or 'bayes' to plan, got {self._fitted_method!r}")
            losses = {name: power * (1.0 - table[name]) for name in ("ridge", "nuclear norm")}
            found = from_cross_validation(shape, entries, n * self._share_learned, n, power, losses)
        if not spectrum:
            return found
        if self._fitted_method != "bayes":
            raise ValueError(f"spectrum must be False for method={self._fitted_method!r}: only 'bayes' knows it")
        units = np.sqrt(self._fits[0].frame.variance.sum(axis=0))  # of channels
        return replace(found, spectrum=linalg.svdvals(self.coef_ * units))

    def plan(self, n, spectrum=False):
        """Predict errors at other numbers of samples, from what this fit has found as a pilot.

        Parameters
        ----------
        n : int or array_like of int
            Numbers of samples.
        spectrum : bool, default False
            Whether to take the singular values of `coef_`, channels in units of their scatter ("bayes" only), in place
            of a rank.

        Returns
        -------
        pandas.DataFrame
            For each n the squared errors of new labels, their noise included, that the theory predicts for ridge, the
            nuclear norm and optimal learning, each with its best penalty. They are in squared units of y: roots are
            errors of labels, and over the variance of y they are 1 - R^2. Its attrs["scatter"] says by how much one
            plan is off: the standard deviation of log(predicted / actual), noise included, see Notes; its
            attrs["noise"] is the noise that the plan has found, below which no error falls.

        Raises
        ------
        ValueError
            If n is not positive, or the fit does not say what is needed.

        Warns
        -----
        bsr.tokens.MisfitWarning
            If `participation_` is less than half the number of entries: the theory is not that of these tokens.

        Notes
        -----
        The theory is that of independent entries of one variance, `bsr.theory`. "bayes" takes the noise from the
        posterior, and the rank for which theory has the error that the posterior expects of its own predictions of new
        sequences like those learned from, be they letters (one-hot) or numbers. "auto" averages over noises and ranks,
        by how likely they make the cross-validated errors of ridge and of the nuclear norm, both without main effects.
        Such a rank need not be an integer.

        On data of the model with 400 entries, errors at four times the size of one pilot were off by a factor of 1.5
        after 0.4 samples an entry; after 0.8 by 1.2 with "bayes", and by 1.35 with "auto". The scatter told is what
        these come to: 3.2 sqrt(entries) / n for "bayes", 5.5 / sqrt(n) for "auto" (book, chapter 20;
        `experiments/pilot.py`). On one-hot letters, 800 sequences of 30 out of 20, ten plans of "bayes" were off by
        14 % at most at the pilot's own size.
        """
        check_is_fitted(self)
        n = check_real("n", n, "positive")
        if np.ndim(n) > 1:
            raise ValueError(f"n must be a number or a sequence of them, got an array of shape {np.shape(n)}")
        return self._plan(spectrum).errors(n)

    def how_many(self, error, spectrum=False):
        """The numbers of samples that a squared error of new labels takes, by the same theory as `plan`.

        Parameters
        ----------
        error : float
            The squared error of new labels (not its root), their noise included, in units of y^2.
        spectrum : bool, default False
            As of `plan`.

        Returns
        -------
        pandas.Series
            For ridge, the nuclear norm and optimal learning; infinite if the error is below the noise, which
            ``plan(n).attrs["noise"]`` tells. To halve what lies above it, ask for half the sum of the two.

        Raises
        ------
        ValueError
            If the error is not positive, or the fit does not say what is needed.
        """
        check_is_fitted(self)
        return self._plan(spectrum).how_many(check_number("error", error, "positive"))

    def plot_learning_curve(self, n=None, spectrum=False, ax=None):
        """Draw the plan, with bands for its scatter, and the held-out errors that this fit has seen.

        Parameters
        ----------
        n : array_like of int, optional
            Numbers of samples; by default from a quarter to eight times those of this fit.
        spectrum : bool, default False
            As of `plan`.
        ax : matplotlib.axes.Axes, optional
            Where; by default in a figure of its own.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ValueError
            As of `plan`.
        """
        check_is_fitted(self)
        return plot_learning_curve(self, n, spectrum, ax)
