"""The command `bsr`: predictions of the theory as a table or as JSON, and fits of data in a file.

One function a subcommand, each with its parser beside it; `main` only dispatches.
"""

import argparse
import contextlib
import json
import math
import os
import sys
import warnings
from dataclasses import fields

from scipy.optimize import bisect

from bsr import channels
from bsr._version import __version__
from bsr.sweep import _cli as sweep_commands
from bsr.theory import bayes, limits, nuclear_norm, ridge

_LARGEST = 2**53
_CLOSED_PIPE = 141  # 128 + SIGPIPE, as a shell has it
_EPILOG = """\
Units. alpha = n/(dL) counts samples per entry of the teacher, beta = L/d, rho = r/min(d, L), and delta is the variance
of the noise on a label whose signal has variance 1. Errors are per entry: 1 is the error of the estimate 0. For moduli,
which lose the sign, they are up to the sign. With --channel, errors of new labels are told too: the probability of the
wrong class, or the squared error of the label, noise included. In a hard phase an error may be passed by a jump.
"""
_CHANNELS = {name.lower(): kind for name, kind in channels.NAMED.items()}
_CURVES = {"bayes_optimal": bayes.mmse, "message_passing": bayes.algorithmic_mmse}


def _add_problem(parser):
    parser.add_argument("--beta", type=float, help="aspect ratio L/d (default 1, or from --L and --d)")
    parser.add_argument("--rho", type=float, help="rank per dimension r/min(d, L) (default 1, or from --r)")
    parser.add_argument("--delta", type=float, default=0.0, help="variance of the label noise (default 0)")
    parser.add_argument("--channel", default="linear", help=f"what labels are: {', '.join(_CHANNELS)} (default linear)")
    parser.add_argument("--scale", type=float, help="of logistic classes, the unit of the signal (default 1)")
    parser.add_argument("--rate", type=float, help="of Poisson counts, their mean where the signal is 0 (default 1)")
    parser.add_argument("--gain", type=float, help="of Poisson counts, the slope of the mean's logarithm (default 1)")
    parser.add_argument("--d", type=int, help="dimension of a token: also gives numbers of samples")
    parser.add_argument("--L", type=int, help="length of a sequence (needs --d)")
    parser.add_argument("--r", type=int, help="rank of the teacher (needs --d)")
    parser.add_argument("--json", action="store_true", help="print JSON, with all digits; null is infinite or none")


def _shape(args):
    """beta, rho and the number of entries of the teacher (None without --d)."""
    for name in ("d", "L", "r"):
        value = getattr(args, name)
        if value is not None and not 1 <= value <= _LARGEST:
            raise ValueError(f"--{name} must be at least 1 and at most 2**53, got {value}")
    if args.d is None:
        if args.L is not None or args.r is not None:
            raise ValueError("--L and --r need --d")
        return _given("--beta", args.beta, 1.0), _given("--rho", args.rho, 1.0), None
    for name, ratio, size in (("--beta", args.beta, args.L), ("--rho", args.rho, args.r)):
        if ratio is not None and size is not None:
            raise ValueError(f"{name} and the size that it follows from cannot both be given")
    L = args.L if args.L is not None else max(1, _whole(args.d * _given("--beta", args.beta, 1.0), "L = beta d"))
    short = min(args.d, L)
    rho = args.r / short if args.r is not None else _given("--rho", args.rho, 1.0)
    return L / args.d, rho, args.d * L


def _whole(value, name, rounded=round):
    """A size that follows from a ratio. A float has integers up to 2**53 only."""
    if not value <= _LARGEST:
        raise ValueError(f"{name} must be at most 2**53, got {value:g}")
    return rounded(value)


def _given(name, value, default=None):
    if value is None:
        return default
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be positive and finite, got {value}")
    return value


def _channel(args):
    """The channel, and the options that say so; None for linear labels."""
    if args.channel not in _CHANNELS:
        raise ValueError(f"--channel must be one of {', '.join(_CHANNELS)}, got {args.channel!r}")
    make = _CHANNELS[args.channel]
    takes = [field.name for field in fields(make)]
    given = {name: value for name in ("delta", "scale", "rate", "gain") if (value := getattr(args, name)) is not None}
    for name, value in given.items():
        if name not in takes and not (name == "delta" and value == 0.0):
            raise ValueError(f"--{name} means nothing for --channel {args.channel}, got {value}")
    if args.channel == "linear":
        return None, None
    try:
        channel = make(**{name: value for name, value in given.items() if name in takes})
    except ValueError as error:  # which begins with the name
        raise ValueError(f"--{error}") from None
    return channel, {"channel": args.channel, **{name: getattr(channel, name) for name in takes}}


def _sample_size(alpha, entries):
    """Beginning of a row: alpha, and the number of samples if sizes are known."""
    row = {"alpha": _given("--alpha", alpha)}
    if entries is not None:
        row["n"] = _whole(alpha * entries, f"n = alpha L d, with --alpha {alpha:g},")
    return row


def predict(args):
    """Errors of all estimators at given numbers of samples."""
    beta, rho, entries = _shape(args)
    channel, described = _channel(args)
    if channel is not None:
        return _predict_channel(args.alpha, beta, rho, entries, channel, described)
    rows = []
    for alpha in args.alpha:
        row = _sample_size(alpha, entries)
        row["bayes_optimal"] = bayes.mmse(alpha, beta, rho, args.delta)
        row["nuclear_norm_best"] = nuclear_norm.mse(alpha, beta, rho, args.delta, lam=None)
        row["nuclear_norm_minimal"] = nuclear_norm.mse(alpha, beta, rho, args.delta, lam=0.0)
        row["ridge_best"] = ridge.mse(alpha, delta=args.delta)
        row["least_squares"] = ridge.mse(alpha, delta=args.delta, lam=0.0)
        rows.append(row)
    recovery = {
        "bayes_optimal": limits.strong_recovery(beta, rho),
        "nuclear_norm": nuclear_norm.recovery_threshold(beta, rho),
        "ridge": 1.0,
    }
    problem = {"beta": beta, "rho": rho, "delta": args.delta}
    return {"problem": problem, "error": rows, "exact_recovery_without_noise": recovery}


def _predict_channel(alphas, beta, rho, entries, channel, described):
    """What there is for channels: the optimal error, that of message passing where it is another, and new labels."""
    rows = []
    for alpha in alphas:
        row = _sample_size(alpha, entries)
        row |= {name: curve(alpha, beta, rho, channel=channel) for name, curve in _CURVES.items()}
        rows.append(row)
    hard = any(row["message_passing"] != row["bayes_optimal"] for row in rows)
    for row in rows:
        if not hard:
            del row["message_passing"]
        row["label"] = {name: _label_error(row[name], channel) for name in _CURVES if name in row}
    return {
        "problem": {"beta": beta, "rho": rho, **described},
        "error": rows,
        "label_error": _unit(channel),
        "thresholds": vars(bayes.thresholds(beta, rho, channel)),
    }


def _label_error(error, channel):
    """Error of new labels, not known where that of the matrix was not found."""
    return channel.test_error(error=error) if math.isfinite(error) else error


def _unit(channel):
    """What an error of new labels is."""
    return "wrong class" if isinstance(channel, channels.Sign | channels.Logistic) else "squared error of the label"


def samples(args):
    """Numbers of samples at which each estimator reaches given errors."""
    beta, rho, entries = _shape(args)
    channel, described = _channel(args)
    rows = []
    for error in args.error:
        rows.append({"error": error})
        if channel is not None:
            alphas, jumps = _reaching(error, beta, rho, channel)
            rows[-1] |= {"label": channel.test_error(error=error), "jumps": jumps}
        else:
            alphas = {
                "bayes_optimal": bayes.sample_complexity(error, beta, rho, args.delta),
                "nuclear_norm_best": nuclear_norm.sample_complexity(error, beta, rho, args.delta, lam=None),
                "nuclear_norm_minimal": nuclear_norm.sample_complexity(error, beta, rho, args.delta, lam=0.0),
                "ridge_best": ridge.sample_complexity(error, delta=args.delta),
            }
        rows[-1]["alpha"] = alphas
        if entries is not None:
            rows[-1]["n"] = {
                name: _whole(alpha * entries, "the number of samples", math.ceil) if math.isfinite(alpha) else alpha
                for name, alpha in alphas.items()
            }
    answer = {"problem": {"beta": beta, "rho": rho, **(described or {"delta": args.delta})}, "samples": rows}
    return answer if channel is None else answer | {"label_error": _unit(channel)}


def _reaching(error, beta, rho, channel):
    """The least alpha at which the optimal error, and that of message passing, is as small; those that jump past it."""
    start = bayes.sample_complexity(error, beta, rho, channel=channel)  # where it is a fixed point, stable or not
    if not math.isfinite(start):
        return dict.fromkeys(_CURVES, start), []
    known = bayes.thresholds(beta, rho, channel)
    jumps = [alpha for alpha in (known.information, known.algorithmic, known.weak) if not math.isnan(alpha)]

    def first(curve):
        return _first(lambda alpha: curve(alpha, beta, rho, channel=channel) - error, start, jumps, 1e-9 * error)

    alphas = {name: first(curve) for name, curve in _CURVES.items()}
    return alphas, [name for name, alpha in alphas.items() if alpha != start]


def _first(excess, start, jumps, tol):
    """Where a falling function changes sign: at the start, within tol, where it is known to jump, or elsewhere."""
    if not abs(excess(start)) > tol:
        return start
    for alpha in jumps:
        if excess(alpha * (1.0 - 1e-9)) > 0.0 > excess(alpha * (1.0 + 1e-9)):
            return alpha
    low = high = start
    while excess(low) < 0.0:
        low /= 2.0
    while excess(high) > 0.0:
        high *= 2.0
    return bisect(excess, low, high, xtol=1e-15 * low, rtol=1e-14)


_NAMES = {
    "bayes_optimal": "Bayes-optimal",
    "message_passing": "message passing",
    "nuclear_norm_best": "nuclear norm, best penalty",
    "nuclear_norm_minimal": "nuclear norm, interpolation",
    "nuclear_norm": "nuclear norm",
    "ridge_best": "ridge, best penalty",
    "least_squares": "least squares of minimal norm",
    "ridge": "linear regression",
}

_THRESHOLDS = {
    "weak": "weak recovery",
    "spinodals": "spinodals",
    "algorithmic": "jump of message passing",
    "information": "jump of the optimal error",
    "strong": "exact recovery",
}


def _table(rows):
    """Text columns, the first to the left, the others to the right."""
    first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
    lines = ("  ".join([row[0].ljust(first), *map(str.rjust, row[1:], others)]) for row in rows)
    return "\n".join(lines)


def _print_predict(answer):
    rows = answer["error"]
    table = [["alpha", *(f"{row['alpha']:g}" for row in rows)]]
    if "n" in rows[0]:
        table.append(["n", *(f"{row['n']:,}" for row in rows)])
    table += [[name, *(f"{row[key]:.6g}" for row in rows)] for key, name in _NAMES.items() if key in rows[0]]
    for key in rows[0].get("label", ()):
        table.append([f"{answer['label_error']}, {_NAMES[key]}", *(f"{row['label'][key]:.6g}" for row in rows)])
    print(_table(table))
    if "thresholds" in answer:
        print("\nthresholds, at alpha =")
        print(_table([[name, _threshold(answer["thresholds"][key])] for key, name in _THRESHOLDS.items()]))
        return
    print("\nexact recovery without noise, from alpha =")
    print(_table([[_NAMES[key], f"{value:.6g}"] for key, value in answer["exact_recovery_without_noise"].items()]))


def _threshold(value):
    """One number or several, or none."""
    values = [value] if isinstance(value, float) else value
    return ", ".join(f"{v:.6g}" for v in values if not math.isnan(v)) or "none"


def fit(args):
    """Fit labelled sequences from a file of NumPy arrays; write a report and the coefficients."""
    try:
        from bsr.regression import _command
    except ImportError as error:
        raise ValueError(str(error)) from None
    return _command.fit(args)


def _add_fit(parser):
    parser.add_argument("file", help="an .npz file with the sequences and the labels")
    parser.add_argument("--target", default="y", help="name of the labels in it (default y)")
    parser.add_argument("--tokens", default="X", help="name of the sequences, of shape (n, L, d) (default X)")
    parser.add_argument("--shape", type=int, nargs=2, metavar=("L", "D"), help="if they come as rows of L d entries")
    parser.add_argument("--classes", action="store_true", help="labels are classes, as strings and booleans always are")
    parser.add_argument("--method", help="auto (default), bayes, gamp or gradient_descent")
    parser.add_argument("--main-effects", choices=("auto", "yes", "no"), default="auto", help="default auto")
    parser.add_argument("--scale", help="channel (default) or overall: what shares a unit")
    parser.add_argument("--components", type=int, help="largest rank of bayes, rank of gradient_descent (default 6)")
    parser.add_argument("--cv", type=int, help="folds of cross-validation (default 5)")
    parser.add_argument("--sweeps", type=int, help="of the chains of bayes (default 600)")
    parser.add_argument("--plan", type=int, nargs="+", metavar="N", help="predict errors at these numbers of samples")
    parser.add_argument("--jobs", type=int, help="processes (default 1; -1 for all cores)")
    parser.add_argument("--seed", type=int, default=0, help="of folds and chains (default 0)")
    parser.add_argument("--out", help="what is written is OUT.json and OUT.npz (default FILE-fit, beside the file)")
    parser.add_argument("--overwrite", action="store_true", help="if these exist")
    parser.add_argument("--json", action="store_true", help="print the report, in place of its summary")


def _print_fit(answer):
    print("\n".join(answer["summary"]))
    if "plan" in answer:
        names = [name for name in answer["plan"][0] if name != "n"]
        print("\nPredicted squared error of new labels:")
        head = ["n", *(f"{row['n']:,}" for row in answer["plan"])]
        print(_table([head, *([name, *(f"{row[name]:.4g}" for row in answer["plan"])] for name in names)]))
    print(f"\nWritten: {', '.join(answer['written'])}")


def _print_samples(answer):
    rows = answer["samples"]
    if "label_error" in answer:
        label = [answer["label_error"], *(f"{row['label']:.6g}" for row in rows)]
        print(_table([["error", *(f"{row['error']:g}" for row in rows)], label]))
    for unit, form in (("alpha", "{:.6g}"), ("n", "{:,}")):
        if unit in rows[0]:
            table = [[f"{unit} for an error of", *(f"{row['error']:g}" for row in rows)]]
            table += [[_NAMES[key], *(form.format(row[unit][key]) for row in rows)] for key in rows[0][unit]]
            print(_table(table))
    for name in _CURVES:
        if passed := [f"{row['error']:g}" for row in rows if name in row.get("jumps", ())]:
            print(f"{_NAMES[name]} jumps at this alpha, past an error of {', '.join(passed)}")


def _finite(value):
    """JSON has no infinity and no NaN."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value if value is None or isinstance(value, int | str) else float(value) if math.isfinite(value) else None


def _parser():
    parser = argparse.ArgumentParser(prog="bsr", description="Bilinear sequence regression: theory, experiments.")
    parser.add_argument("--version", action="version", version=f"bsr {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("predict", help=predict.__doc__, description=predict.__doc__, epilog=_EPILOG)
    command.add_argument("--alpha", type=float, nargs="+", required=True, help="samples per entry, n/(dL)")
    _add_problem(command)
    command.set_defaults(run=predict, show=_print_predict)

    command = commands.add_parser("samples", help=samples.__doc__, description=samples.__doc__, epilog=_EPILOG)
    command.add_argument("--error", type=float, nargs="+", required=True, help="target error per entry, below 1")
    _add_problem(command)
    command.set_defaults(run=samples, show=_print_samples)

    command = commands.add_parser("fit", help=fit.__doc__, description=fit.__doc__)
    _add_fit(command)
    command.set_defaults(run=fit, show=_print_fit)

    for name, add, run in (
        ("sweep", sweep_commands.add_arguments, sweep_commands.main),
        ("sweep-table", sweep_commands.add_table_arguments, sweep_commands.table),
    ):
        command = commands.add_parser(name, help=add.__doc__, description=add.__doc__)
        add(command)
        command.set_defaults(status=run)
    return parser


def main(arguments=None):
    """Run the command line; return its exit status.

    Parameters
    ----------
    arguments : list of str, optional
        Those of the process by default.

    Returns
    -------
    int
        0, or 2 after a message on standard error if an argument is out of range. A sweep that left tasks undone gives
        1, one that was interrupted 130. If nobody reads the output to its end, 141 without a message.
    """
    try:
        try:
            return _run(arguments)
        finally:  # --help too, which raises SystemExit
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            _forget_unread(stream)
        return _CLOSED_PIPE


def _forget_unread(stream):
    """What a closed pipe left in the buffer must not fail once more when Python ends."""
    try:
        stream.flush()
    except BrokenPipeError:
        with contextlib.suppress(OSError), open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), stream.fileno())


def _run(arguments):
    args = _parser().parse_args(arguments)
    if hasattr(args, "status"):
        args.given = sys.argv[1:] if arguments is None else arguments
        return args.status(args)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            answer = args.run(args)
    except ValueError as error:
        print(f"bsr: {error}", file=sys.stderr)
        return 2
    for warning in caught:
        print(f"bsr: {warning.category.__name__}: {warning.message}", file=sys.stderr)
    if args.json:
        print(json.dumps(_finite(answer), indent=2, allow_nan=False))
    else:
        args.show(answer)
    return 0
