"""What gradient descent descends: training errors of predictions, and what they pull at.

A loss takes predictions h, labels and a place for its answer, arrays of one precision and of the shape (m, n) of h; it
returns the mean error of each row. The answer is twice the derivative of n/4 times a squared error by h, or of n times
a log-loss: for linear labels the residual.
"""

import numpy as np
from scipy.special import expit, log_expit

from bsr.channels import Abs, Logistic, ReLU

__all__ = ["loss_of"]


def loss_of(channel):
    """The loss for labels of a channel, linear ones if it is None."""
    if channel is None:
        return _squared
    if isinstance(channel, ReLU):
        return _rectified
    if isinstance(channel, Abs):
        return _modulus
    if isinstance(channel, Logistic):
        return lambda h, y, out: _log_loss(h, y, out, channel.scale)
    raise ValueError(f"channel must be Linear, ReLU, Abs or Logistic for gradient descent, got {channel}")


def _squared(h, y, out):
    np.subtract(h, y, out=out)
    return np.einsum("mn,mn->m", out, out) / h.shape[1]


def _rectified(h, y, out):
    errors = _squared(np.maximum(h, 0), y, out)
    np.multiply(out, h > 0, out=out)
    return errors


def _modulus(h, y, out):
    errors = _squared(abs(h), y, out)
    np.multiply(out, np.sign(h), out=out)
    return errors


def _log_loss(h, y, out, scale):
    slope = y / y.dtype.type(scale)
    margin = h * slope
    np.multiply(expit(-margin), -2 * slope, out=out)
    return -log_expit(margin, out=margin).mean(axis=1)
