"""What the explorer's scripts need from the package: series of what labels tell, and tables of experiments.

They are written into the built book as a script, because a page that is opened as a file may not fetch data. The scripts themselves
go to the pages that hold an explorer, and to no other.
"""

import csv
import json
import math
from pathlib import Path

import numpy as np
from numpy.polynomial import Chebyshev

from bsr.channels import Abs, Sign

DIGITS = 9
RIGHT_ANGLE = 0.5 * math.pi


def series(function):
    """Chebyshev series in the angle theta, sin(theta)^2 = q, of a function of q and 1 - q: its coefficients and domain."""
    fitted = Chebyshev.interpolate(
        lambda theta: function(np.sin(theta) ** 2, np.cos(theta) ** 2), 32, [0.0, RIGHT_ANGLE]
    ).trim(1e-10)
    return {"coefficients": fitted.coef.round(DIGITS + 2).tolist(), "low": 0.0, "high": RIGHT_ANGLE}


def channels():
    """Series of the information in a sign and in a modulus, with the factors of `bsr.channels` taken out."""
    sign, modulus = Sign(), Abs()
    return {
        "sign": series(lambda q, error: sign.information(error=error) * np.sqrt(error)),
        "modulus": series(lambda q, error: modulus.information(error=error) * error / q),
    }
