"""How far the theory is from its oracles: the tables of 40 digits in tests/data, and integrals.

    python tests/benchmarks accuracy

The tests of the same names assert bounds; here are the largest differences themselves.
"""

import json
import sys
from pathlib import Path

import numpy as np

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))

import channel_oracle  # noqa: E402
import test_channels  # noqa: E402
import test_free_entropy  # noqa: E402

from bsr import denoising  # noqa: E402
from bsr.theory import bayes  # noqa: E402

ORACLE = json.loads((TESTS / "data" / "mmse_oracle.json").read_text())


def differences(function, key, names):
    """From the table of that name."""
    *arguments, expected = np.array([[float(row[name]) for row in ORACLE[key]] for name in (*names, "mmse")])
    return abs(function(*arguments) - expected)


def free_entropy():
    """Against an integral, at some overlaps of each point."""
    pairs = [test_free_entropy.both_sides(*point) for point in test_free_entropy.points() + test_free_entropy.EXTREME]
    return np.concatenate([abs(found - expected) for found, expected in pairs])


def information():
    """Relative differences, of functions of a noisy number, and of quadratures."""
    found = {True: [], False: []}
    for row in json.loads(channel_oracle.TABLE.read_text()):
        channel = channel_oracle.CHANNELS[row["channel"]]
        for name in ("information", "log_evidence"):
            expected = float(row[name])
            difference = abs(getattr(channel, name)(row["q"]) - expected) / max(abs(expected), 1e-3)
            found[row["channel"] in test_channels.FAMILY].append(float(difference))
    return found


def measure():
    numbers = {}
    for key, what, values in (
        ("denoising", "`bsr.denoising.mmse`", differences(denoising.mmse, "denoising_mmse", ("noise", "beta", "rho"))),
        ("bayes", "`bsr.theory.bayes.mmse`", differences(bayes.mmse, "bayes_mmse", ("alpha", "beta", "rho", "delta"))),
        ("free_entropy", "`bsr.theory.bayes.free_entropy`", free_entropy()),
    ):
        against = "the integral of the MMSE" if key == "free_entropy" else "40-digit arithmetic"
        numbers[key] = float(max(values)), "", f"{what} against {against}, largest difference"
        numbers[f"{key}_points"] = len(values), "", f"points at which {what} is compared"
    family, quadratures = (information()[kind] for kind in (True, False))
    numbers["channels"] = (
        max(family),
        "",
        "information and evidence of labels that are functions of a noisy number, against mpmath, relative",
    )
    numbers["quadratures"] = max(quadratures), "", "the same of other labels, by quadrature, relative"
    for key, (value, _, what) in numbers.items():
        print(f"{key:20} {value:10.2g}  {what}")
    return numbers


if __name__ == "__main__":
    measure()
