"""Oracle of channels: the information in a label and its log-evidence, by integrals over omega and y in mpmath.

The density of a label is written down anew, and differentiated by mpmath. Nothing here knows the angle theta, the
function F or a Chebyshev series.

    python tests/channel_oracle.py

writes data/channel_oracle.json anew, in some minutes.
"""

import json
from itertools import pairwise
from pathlib import Path

import mpmath as mp
import numpy as np
from scipy.special import log_expit

from bsr.channels import Abs, Custom, Linear, Logistic, Poisson, ReLU, Sign

TABLE = Path(__file__).parent / "data" / "channel_oracle.json"


def three_classes(y, h):
    """log P(y|h) of labels -1, 0 and 1, of which 0 says that a logistic variable around h is in (-1, 1)."""
    upper, lower = log_expit(h - 1.0), log_expit(-h - 1.0)
    middle = log_expit(h + 1.0) + log_expit(1.0 - h) + np.log1p(-np.exp(-2.0))
    return np.where(y > 0, upper, np.where(y < 0, lower, middle))


def outside(y, h):
    """log P(y|h) of labels -1 and 1 that ask whether h^2 is above 1, roughly."""
    return log_expit(y * (h**2 - 1.0))


CHANNELS = {
    "Linear": Linear(0.1),
    "Sign": Sign(),
    "noisy Sign": Sign(0.1),
    "ReLU": ReLU(),
    "noisy ReLU": ReLU(0.3),
    "Abs": Abs(),
    "noisy Abs": Abs(0.1),
    "Logistic": Logistic(),
    "steep Logistic": Logistic(0.2),
    "Poisson": Poisson(0.5, 0.4),
    "Custom": Custom(three_classes, [-1, 0, 1]),
}


NODES = [(mp.mpf(x), mp.mpf(w)) for x, w in zip(*np.polynomial.legendre.leggauss(40), strict=True)]


def integral(f, ends):
    """Of a vector, by Gauss's rule between ends."""
    ends = sorted(set(ends))
    total = mp.zeros(2, 1)
    for low, high in pairwise(ends):
        half = (high - low) / 2
        for x, weight in NODES:
            total += half * weight * f(low + half * (1 + x))
    return total


def sigmoid(x):
    return 1 / (1 + mp.exp(-x))


def likelihood(channel, y, h):
    """P(y|h) of channels that are smooth in h."""
    match channel:
        case Logistic():
            return sigmoid(y * h / channel.scale)
        case Poisson():
            mean = channel.rate * mp.exp(channel.gain * h)
            return mean**y * mp.exp(-mean) / mp.factorial(y)
        case Custom():
            outer = {1: sigmoid(h - 1), -1: sigmoid(-h - 1)}
            return outer.get(y) or 1 - outer[1] - outer[-1]


def labels(channel):
    return range(60) if isinstance(channel, Poisson) else (-1, 0, 1) if isinstance(channel, Custom) else (-1, 1)


def density(channel, y, omega, V):
    """Z(y, omega, V) where it is elementary."""
    root = mp.sqrt(V + mp.mpf(channel.delta))
    match channel:
        case Linear():
            return mp.npdf(y, omega, root)
        case Sign():
            return mp.ncdf(y * omega / root)
        case ReLU():
            return mp.npdf(y, omega, root) if y > 0 else mp.ncdf(-omega / root)
        case Abs():
            return mp.npdf(y, omega, root) + mp.npdf(-y, omega, root)


def score_terms(channel, y, omega, V):
    """Z (d log Z / d omega)^2 and Z log Z."""
    Z = density(channel, y, omega, V)
    return mp.matrix([mp.diff(lambda w: density(channel, y, w, V), omega) ** 2 / Z, Z * mp.log(Z)])


def over_labels(channel, omega, V):
    """Both summed over labels, and integrated over those that are a continuum."""
    if isinstance(channel, Sign):
        return sum((score_terms(channel, y, omega, V) for y in (-1, 1)), mp.zeros(2, 1))
    root = mp.sqrt(V + mp.mpf(channel.delta))
    middle = abs(omega) if isinstance(channel, Abs) else omega
    ends = [middle + k * root for k in (-10, -4, 0, 4, 10)]
    if isinstance(channel, ReLU | Abs):
        ends = [mp.mpf(0), *(end for end in ends if end > 0)]
    total = integral(lambda y: score_terms(channel, y, omega, V), ends)
    return total + score_terms(channel, 0, omega, V) if isinstance(channel, ReLU) else total


def smooth_averages(channel, q, V):
    """Both averages by the trapezoidal rule, for channels that are smooth in h."""
    step = mp.mpf(channel.scale if isinstance(channel, Logistic) else 1) * mp.mpf("0.25")
    grid = [k * step for k in range(-int(10.5 / step), int(10.5 / step) + 1)]
    total = mp.zeros(2, 1)
    for x in grid:
        h = [mp.sqrt(q) * x + mp.sqrt(V) * z for z in grid]
        for y in labels(channel):
            P = [step * mp.npdf(z) * likelihood(channel, y, hz) for z, hz in zip(grid, h, strict=True)]
            Z, slope = mp.fsum(P), mp.fsum(p * z for p, z in zip(P, grid, strict=True)) / mp.sqrt(V)
            if Z > 0:
                total += step * mp.npdf(x) * mp.matrix([slope**2 / Z, Z * mp.log(Z)])
    return total


def averages(channel, q):
    """Information and log-evidence at overlap q."""
    q = mp.mpf(q)
    V = 1 - q
    if isinstance(channel, Logistic | Poisson | Custom):
        return smooth_averages(channel, q, V)
    if q == 0:
        return over_labels(channel, mp.mpf(0), V)
    root, wide = mp.sqrt(V + mp.mpf(channel.delta)), mp.sqrt(q)
    ends = [mp.mpf(k) * scale for k in (0, 1, 3, 6, 10) for scale in (min(root, wide), wide)]
    if isinstance(channel, ReLU):
        ends += [-end for end in ends]
    total = integral(
        lambda w: mp.npdf(w, 0, wide) * over_labels(channel, w, V), [e for e in ends if abs(e) <= 10 * wide]
    )
    return total if isinstance(channel, ReLU) else 2 * total


if __name__ == "__main__":
    mp.mp.dps = 20
    rows = []
    for name, channel in CHANNELS.items():
        for q in (1e-6, 0.3, 0.99, 0.9999) if channel.exact or channel.delta or name == "Sign" else (0.05, 0.6, 0.99):
            information, evidence = averages(channel, q)
            rows.append(
                {
                    "channel": name,
                    "q": q,
                    "information": mp.nstr(information, 16),
                    "log_evidence": mp.nstr(evidence, 16),
                }
            )
            print(
                rows[-1],
                mp.nstr(information / channel.information(q) - 1, 3),
                mp.nstr(evidence - channel.log_evidence(q), 3),
                flush=True,
            )
    TABLE.write_text("[\n" + ",\n".join(f" {json.dumps(row)}" for row in rows) + "\n]\n")
