"""Random problems of every channel: does GAMP-RIE explode, or give, without a word, one that is worse than none?

python tests/benchmarks/gamp_channels.py [problems a channel, 200 by default]

A row a channel: problems; means, over problems, of the error over ||teacher||^2/(dL) and of what theory says of message
passing; its largest value; share of converged runs; runs with an estimate that is not finite or larger than twice the
teacher; those and runs with an error above 1.5, without a warning.
"""

import sys
import warnings

import numpy as np

import bsr
from bsr import channels
from bsr.estimators import gamp_rie
from bsr.theory import bayes

KINDS = {
    "Sign": lambda rng: channels.Sign(rng.choice([0.0, 0.01, 0.1, 1.0])),
    "ReLU": lambda rng: channels.ReLU(rng.choice([0.0, 0.01, 0.1, 1.0])),
    "Abs": lambda rng: channels.Abs(rng.choice([0.0, 0.01, 0.1, 1.0])),
    "Logistic": lambda rng: channels.Logistic(rng.choice([0.1, 1.0, 3.0])),
    "Poisson": lambda rng: channels.Poisson(rng.choice([0.2, 1.0, 5.0]), rng.choice([0.3, 1.0])),
}


def problem(kind, seed):
    """A problem's sample, of any ratios, with d from 9 to 25."""
    rng = np.random.default_rng([seed, list(KINDS).index(kind)])
    alpha, beta, rho = 10 ** rng.uniform(-1.3, 0.4), rng.choice([0.5, 1.0, 2.0]), rng.choice([0.2, 0.5, 1.0, 1.5])
    channel = KINDS[kind](rng)
    return bsr.Problem(alpha, beta, rho, channel=channel).sample(int(rng.integers(9, 26)), rng)


def run(data, **options):
    """Error of the estimate over ||teacher||^2, its size in units of the model, if it converged, and if it warned."""
    channel, power = data.problem.channel, np.mean(data.S**2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = gamp_rie(data.X, data.y, data.U.shape[1], channel=channel, **options)
    error = bsr.mse(result.S, data.S, up_to_sign=channel.even)
    return error / power, np.mean(result.S**2) / max(power, 1.0), result.converged, bool(caught)


def bench(count):
    """Rows of all channels and starts: runs, explosions, silent ones, and silent errors above 1.5."""
    found = []
    for kind in KINDS:
        for start in ("spectral", "random") if kind == "Abs" else (None,):
            rows, theory = [], []
            for seed in range(count):
                data = problem(kind, seed)
                p = data.problem
                rows.append(run(data, start=start))
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    theory.append(bayes.algorithmic_mmse(p.alpha, p.beta, p.rho, channel=p.channel))
            error, size, converged, warned = np.array(rows).T
            exploded = ~np.isfinite(error) | (size > 2)
            silent = (error > 1.5) & (warned == 0)
            found.append((count, exploded.sum(), (exploded & (warned == 0)).sum(), silent.sum()))
            print(
                f"{kind:9} {start or 'zero':9} {count} error {error.mean():.3f} theory {np.mean(theory):.3f} "
                f"largest {error.max():.2f} converged {converged.mean():.2f} exploded {found[-1][1]}, "
                f"silently {found[-1][2]}; silent errors above 1.5: {found[-1][3]}",
                flush=True,
            )
    return found


def measure():
    runs, exploded, silently, silent = map(int, np.sum(bench(200), axis=0))
    return {
        "runs": (runs, "", "runs of GAMP-RIE on random problems of five channels, d from 9 to 25"),
        "exploded": (exploded, "", "of these, estimates that are not finite or larger than twice the teacher"),
        "silently": (silently, "", "of these, without a warning"),
        "silent_errors": (silent, "", "runs with an error above 1.5 without a warning"),
    }


if __name__ == "__main__":
    bench(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
