"""Channels: how a label comes from h = <X, S> / sqrt(dL), and all that theory and algorithms ask of it.

Where h is known as N(omega, V), a label has the density Z(y, omega, V) = E P(y|h). Its score d log Z / d omega moves
the estimate of h; the score's mean square, at V = 1 - q and over labels and omega ~ N(0, q), is the information in a
label at overlap q. Book, chapter 15.
"""

from bsr._checks import check_real
from bsr.channels._channel import Channel
from bsr.channels._functions import Abs, Linear, ReLU, Sign
from bsr.channels._smooth import Custom, Logistic, Poisson

__all__ = ["Abs", "Channel", "Custom", "Linear", "Logistic", "Poisson", "ReLU", "Sign"]

NAMED = {kind.__name__: kind for kind in (Linear, Sign, ReLU, Abs, Logistic, Poisson)}  # those that a text describes


def resolve(delta, channel):
    """`delta` and None for linear labels, of which `delta` is the noise; else `delta`, which is 0, and the channel."""
    if channel is None:
        return delta, None
    if not isinstance(channel, Channel):
        raise ValueError(f"channel must be None or one of bsr.channels, got {channel!r}")
    delta = check_real("delta", delta, "non-negative")
    if delta.any():
        raise ValueError(
            f"delta must be 0 where a channel is given: noise is the channel's, {channel!r}, got {delta!r}"
        )
    return (delta + channel.delta, None) if isinstance(channel, Linear) else (delta, channel)
