"""Regression and classification of labelled matrices, with the habits of scikit-learn.

`BilinearRegressor` and `BilinearClassifier` take sequences of tokens of any kind, in any unit, and say whether a low
rank predicts better than ridge does. Book, chapters 19 and 20.
"""

try:
    import joblib  # noqa: F401
    import pandas  # noqa: F401
    import sklearn  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"bsr.regression needs {error.name}: install bilinear-sequence-regression[learn]", name=error.name
    ) from error

from bsr.regression._classifier import BilinearClassifier
from bsr.regression._participation import participation_number
from bsr.regression._regressor import BilinearRegressor

__all__ = ["BilinearClassifier", "BilinearRegressor", "participation_number"]
