"""The estimators, run on data."""

from bsr.estimators.gamp_rie import gamp_rie
from bsr.estimators.gradient_descent import gradient_descent
from bsr.estimators.nuclear_norm import nuclear_norm
from bsr.estimators.posterior import posterior
from bsr.estimators.ridge import ridge

__all__ = ["gamp_rie", "gradient_descent", "nuclear_norm", "posterior", "ridge"]
