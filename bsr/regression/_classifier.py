"""Classes from labelled matrices."""

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from bsr.regression._base import BilinearBase
from bsr.regression._inputs import check_equal, read_tokens
from bsr.regression._linear import Labels

__all__ = ["BilinearClassifier"]


class BilinearClassifier(ClassifierMixin, BilinearBase):
    """Predict classes from sequences of tokens, (n, L, d), by a matrix S of low rank.

    X[:, i, j] is channel j of the token at position i: sensors are channels, times are positions. For numbers there is
    `BilinearRegressor`.

    Parameters
    ----------
    method : {"auto", "bayes", "gradient_descent"}, default "auto"
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
    coef_ : ndarray, shape (L, d) or (classes, L, d)
        Coefficients in the units of X and y: log-odds of the second of two classes, or its probit, are `<X, coef_> +
        intercept_`; of more classes those of each against the rest, and so for the attributes below.
    intercept_ : float, or ndarray of shape (classes,)
    factors_ : tuple of ndarray, shapes (L, rank) and (d, rank)
        U and V of equal norms in each column: U V^T is the part of `coef_` that is no main effect, up to what a
        posterior mean has beyond its rank.
    additive_ : ndarray, shape (L, d)
        The main effects' part of `coef_`, zero if there are none.
    rank_ : int
        Rank of U V^T. For "bayes" the median number of components that have more than 2 % of the power of all.
    classes_ : ndarray
        The labels, sorted.
    chosen_ : str
        The model that is returned, by its name in `comparison_`.
    comparison_ : pandas.DataFrame
        For each model the cross-validated `score` (minus the mean log-loss, summed over classes if there are more than
        two), its `difference` to that of the model returned, and the standard `error` of this difference over samples.
        Where penalties were chosen on the same folds, scores are a little too good, all of them. The error is for these
        training sets: over new data sets of the model differences scattered 1.7 times as much.
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
    Tokens, main effects and the comparison are as in `BilinearRegressor`. Of more than two classes each is told from
    the rest, and probabilities are divided by their sum.

    "auto" minimises the log-loss sum_mu log(1 + exp(-y_mu (<X_mu, S> + intercept))) with a ridge or a nuclear penalty
    on S; the intercept is free. "bayes" takes a class for the sign of <X, S> + intercept + xi with xi normal, of
    variance 1 (probit), and samples the posterior; `coef_` is in that unit. "gradient_descent" descends the log-loss
    from a small start, and stops where a held-out fifth is predicted best.
    """

    _methods = ("auto", "bayes", "gradient_descent")
    _score_name = "log-loss, its negative"

    def fit(self, X, y, sample_weight=None):
        """Learn from labelled sequences.

        Parameters
        ----------
        X : array_like, shape (n, L, d) or (n, L d)
            Sequences, in any unit; NaN where an entry is missing. Rows of entries need the parameter `shape`.
        y : array_like, shape (n,)
            Classes, as numbers or strings.
        sample_weight : array_like, shape (n,), optional
            How often each sample counts, zero or more; for "bayes" zeros and equal weights only.

        Returns
        -------
        BilinearClassifier
            Itself.

        Raises
        ------
        ValueError
            If X or y have another shape, sequences have different lengths, an entry is never there, there is one class
            only, or one sample of a class, or a parameter is out of range.

        Warns
        -----
        ConvergenceWarning
            If the chains of "bayes" do not agree, or the duality gap of "auto" stays above 1e-4.
        """
        self._check_parameters()
        X, y, weights = self._read(X, y, sample_weight, numeric=False)
        check_classification_targets(y)
        self.classes_ = np.unique(y[weights > 0.0])
        place = np.searchsorted(self.classes_, y)
        if not np.isin(y, self.classes_).all():  # only among samples of weight zero
            known = np.isin(y, self.classes_)
            X, y, weights, place = X[known], y[known], weights[known], place[known]
        counts = np.bincount(place[weights > 0.0], minlength=len(self.classes_))
        if len(self.classes_) < 2:
            raise ValueError(f"y must have two classes or more, got one class only: {self.classes_.tolist()[0]!r}")
        if counts.min() < 2:
            rare = self.classes_.tolist()[np.argmin(counts)]
            raise ValueError(f"y must have two samples of each class or more, got one of {rare!r}")
        if self.method == "bayes":
            check_equal("classes and method='bayes'", weights)
        chosen = [1] if len(self.classes_) == 2 else range(len(self.classes_))
        targets = [Labels(np.where(place == k, 1.0, -1.0), weights, True) for k in chosen]
        folds = self._folds(X, place, classifier=True) if self.method == "auto" or self.compare else []
        self._learn(X, targets, folds)
        self._take_apart()
        return self

    def _score_of(self, loss, targets):
        return -loss, 1.0

    def decision_function(self, X):
        """What tells the classes apart.

        Parameters
        ----------
        X : array_like, shape (n, L, d) or (n, L d)
            Sequences in the units of those that were learned from.

        Returns
        -------
        ndarray, shape (n,) or (n, classes)
            Log-odds, or probits, of the second of two classes, or of each class against the rest.

        Raises
        ------
        ValueError
            If the shape is another one.
        """
        check_is_fitted(self)
        X = read_tokens(self, X)
        decisions = np.array([fit.decision(X) for fit in self._fits])
        return decisions[0] if len(decisions) == 1 else decisions.T

    def predict_proba(self, X):
        """Probabilities of classes.

        Parameters
        ----------
        X : array_like, shape (n, L, d) or (n, L d)
            Sequences in the units of those that were learned from.

        Returns
        -------
        ndarray, shape (n, classes)
            In the order of `classes_`; they sum to 1.

        Raises
        ------
        ValueError
            If the shape is another one.
        """
        check_is_fitted(self)
        X = read_tokens(self, X)
        p = np.array([fit.probability(X) for fit in self._fits])
        if len(p) == 1:
            return np.column_stack([1.0 - p[0], p[0]])
        p = np.maximum(p, np.finfo(float).tiny)  # far from all that was learned each may be zero
        return (p / p.sum(axis=0)).T

    def predict(self, X):
        """Classes of sequences.

        Parameters
        ----------
        X : array_like, shape (n, L, d) or (n, L d)
            Sequences in the units of those that were learned from.

        Returns
        -------
        ndarray, shape (n,)
            The most probable class of each.

        Raises
        ------
        ValueError
            If the shape is another one.
        """
        check_is_fitted(self)
        return self.classes_[np.argmax(self.predict_proba(X), axis=1)]

    def score(self, X, y, sample_weight=None):
        """Share of sequences whose class is predicted.

        Parameters
        ----------
        X : array_like, shape (n, L, d) or (n, L d)
            Sequences in the units of those that were learned from.
        y : array_like, shape (n,)
            Their classes.
        sample_weight : array_like, shape (n,), optional
            How much each counts.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If the shape is another one, or a class is none of those that were learned.
        """
        check_is_fitted(self)
        if unknown := sorted(set(np.asarray(y).ravel().tolist()) - set(self.classes_.tolist()), key=str):
            raise ValueError(f"y must have classes among those learned, {self.classes_.tolist()}, got {unknown[0]!r}")
        return super().score(X, y, sample_weight)
