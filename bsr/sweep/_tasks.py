"""One task of a sweep: a problem, a size, an estimator and a data set; what it needs and what it measures."""

import hashlib
import inspect
import json
import platform
import subprocess
import threading
import time
import traceback
import warnings
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numba
import numpy as np
from threadpoolctl import threadpool_limits

from bsr import estimators
from bsr._version import __version__
from bsr.ensembles import Ensemble
from bsr.model import Problem, mse, predict
from bsr.theory import nuclear_norm
from bsr.tokens import Whitened, whiten

__all__ = ["ESTIMATORS", "FINISHERS", "VIEWS", "Estimator", "Task", "execute"]

_FUNCTIONS = {
    name: getattr(estimators, name) for name in estimators.__all__ if hasattr(getattr(estimators, name), "memory")
}
FINISHERS = {name: f for name, f in _FUNCTIONS.items() if hasattr(f, "follows")}
ESTIMATORS = {name: f for name, f in _FUNCTIONS.items() if name not in FINISHERS}

VIEWS = ("known", "whitened")  # by the factors of the tokens' law, by covariances estimated from the data set
_INTERPRETER = 3e8  # bytes of a worker before it has any data
_FRESH = 4000  # sequences that measure how an estimate generalises
_LOCK = threading.Lock()  # a process has one number of threads, that of the task which it runs


def canonical(value):
    """JSON that is the same for the same content."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, eq=False)
class Estimator:
    """An estimator and its options. Two are equal if their tasks are the same.

    Parameters
    ----------
    name : str
        A function of `bsr.estimators`.
    options : dict, default {}
        Its keyword arguments. Where it needs them and they are not given, `rank` is the teacher's, and `delta` and
        `lam` are the problem's delta; `nuclear_norm` may have "best" for `lam`, the best one of the theory. `then`, a
        dict with a `name` and options, is what takes the result further: `interpolate` after gradient descent. `view`
        is what the estimator sees instead of the tokens: "whitened" by `bsr.tokens.whiten`, or whitened by the
        "known" factors of their law.

    Raises
    ------
    ValueError
        If an option is not a number, a text, true or false, or nothing, or a list or dict of these.
    """

    name: str
    options: dict = field(default_factory=dict)

    def __post_init__(self):
        try:
            plain = dict(self.options)
            plain |= {key: value.item() for key, value in plain.items() if isinstance(value, np.generic)}
            canonical(plain)
        except (TypeError, ValueError, AttributeError):
            raise ValueError(f"options must be a dict of numbers and texts, got {self.options!r}") from None
        object.__setattr__(self, "options", plain)

    @property
    def _text(self):
        return canonical([self.name, self.options])

    def __eq__(self, other):
        return self._text == other._text if isinstance(other, Estimator) else NotImplemented

    def __hash__(self):
        return hash(self._text)


@dataclass(frozen=True)
class Task:
    """One run of one estimator on one data set.

    Parameters
    ----------
    problem : bsr.Problem
    d : int
        Token dimension.
    estimator : Estimator
    index : int
        Which of the data sets of this problem and size.
    seed : int
        Root of all randomness.
    dtype : str
        Type of the tokens.
    tokens : bsr.ensembles.Ensemble, optional
        Their law. Data sets of one index have the same teacher, whatever it is.
    """

    problem: Problem
    d: int
    estimator: Estimator
    index: int
    seed: int = 0
    dtype: str = "float32"
    tokens: Ensemble | None = None

    @property
    def _data_name(self):
        problem = {name: getattr(self.problem, name) for name in ("alpha", "beta", "rho", "delta")}
        if self.problem.channel is not None:
            problem["channel"] = repr(self.problem.channel)
        return {"problem": problem, "d": self.d, "index": self.index}

    @property
    def key(self):
        """SHA-256 of all that determines the result."""
        whole = {
            **self._data_name,
            "estimator": self.estimator.name,
            "options": self.estimator.options,
            "seed": self.seed,
            "dtype": self.dtype,
        }
        if self.tokens is not None:
            whole["tokens"] = repr(self.tokens)
        return hashlib.sha256(canonical(whole).encode()).hexdigest()

    def generators(self):
        """Sources of randomness for the data and for the estimator.

        Both are children of the root seed, found by their names and not by counting: results do not depend on which
        tasks there are, or on their order. The names leave out the estimator: all estimators get the same data, and
        start from the same draws, whatever their options. They leave out the law of the tokens, which are drawn after
        the teacher.
        """
        digests = (
            hashlib.sha256(canonical(name).encode()).hexdigest()
            for name in (self._data_name, {**self._data_name, "for": "estimator"})
        )
        words = (tuple(int(digest[i : i + 8], 16) for i in range(0, 64, 8)) for digest in digests)
        return tuple(np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key)) for key in words)

    def arguments(self, function, **more):
        """What a function takes of what is known: of the model where it has no default, `channel` and `more` always."""
        _, _, r = self.problem.sizes(self.d)
        model = {"rank": r, "delta": self.problem.delta, "lam": self.problem.delta}
        wanted = inspect.signature(function).parameters
        needed = {
            name: value for name, value in model.items() if name in wanted and wanted[name].default is inspect._empty
        }
        more |= {"delta": self.problem.delta} if self.problem.channel is None else {"channel": self.problem.channel}
        return needed | {name: value for name, value in more.items() if name in wanted}

    @property
    def options(self):
        """Options of the estimator's function, in numbers, and what `then` and `view` say."""
        options = dict(self.estimator.options)
        then, view = options.pop("then", None), options.pop("view", None)
        if view == "known" and not hasattr(self.tokens, "factors"):
            raise ValueError(f"view may be 'known' for tokens that have factors only, got {self.tokens}")
        if options.get("lam") == "best":
            if self.problem.channel is not None:
                raise ValueError(f"lam may be 'best' for linear labels only, got {self.problem.channel}")
            n, L, r = self.problem.sizes(self.d)
            ratios = n / (self.d * L), L / self.d, r / min(self.d, L)
            options["lam"] = float(nuclear_norm.optimal_lam(*ratios, self.problem.delta))
        return options, then, view

    @property
    def memory(self):
        """Estimate of the bytes that a worker needs for this task, itself included.

        Raises
        ------
        ValueError
            If the estimator does not take the options.
        """
        n, L, _ = self.problem.sizes(self.d)
        options, then, view = self.options
        shape, function = (n, L, self.d), ESTIMATORS[self.estimator.name]
        extra = function.memory(shape, self.dtype, **self.arguments(function) | options)
        if then:
            extra = max(extra, FINISHERS[then["name"]].memory(shape, self.dtype))
        sequence = L * self.d * np.dtype(self.dtype).itemsize
        if view:
            extra += n * sequence
        if self.tokens is not None:
            extra = max(extra, _FRESH * sequence)
        return _INTERPRETER + n * sequence + extra


def execute(task, threads=1):
    """Run a task in this process.

    Parameters
    ----------
    task : Task
    threads : int, default 1
        Threads of BLAS and numba. The same number gives the same result to the last bit.

    Returns
    -------
    dict
        `status` ('done' or 'failed'), `metrics`, `seconds`, `note` (warnings), `traceback`, and what ran it where.
    """
    metrics, trace = {}, None
    # One task at a time in a process, even if its executor has more threads.
    with _LOCK, threadpool_limits(limits=threads), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
        start = time.perf_counter()
        try:
            metrics = _measure(task)
        except Exception:  # whatever it is: it belongs in the table, and the sweep goes on
            trace = traceback.format_exc()
        seconds = time.perf_counter() - start
    return {
        "status": "done" if trace is None else "failed",
        "metrics": metrics,
        "seconds": seconds,
        "note": "\n".join(dict.fromkeys(str(warning.message) for warning in caught)) or None,
        "traceback": trace,
        "version": __version__,
        "git_commit": git_commit(),
        "machine": f"{platform.node()} ({platform.machine()}, {platform.system()})",
    }


@cache
def git_commit():
    """The commit of the package's checkout, with a plus if files have changed since; None outside one."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        head, changed = (
            subprocess.run(["git", "-C", root, *command], capture_output=True, text=True, check=True, timeout=20).stdout
            for command in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no", "--", "bsr"))
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return head.strip() + ("+" if changed.strip() else "")


def _measure(task):
    """The numbers of one task."""
    data_rng, rng = task.generators()
    data = task.problem.sample(task.d, data_rng, task.dtype, tokens=task.tokens)
    function, (options, then, view) = ESTIMATORS[task.estimator.name], task.options
    X = _seen(data.X, task.tokens, view)
    errors = estimators.TeacherError(data.S, up_to_sign=task.problem.channel is not None and task.problem.channel.even)
    given = task.arguments(function, signal=1.0, rng=rng, callback=errors)
    if view:  # states are those of the view's matrix
        given.pop("callback", None)
    result = function(X, data.y, **given | options)
    if then:
        then = dict(then)
        result = FINISHERS[then.pop("name")](X, data.y, result, **then)
    found = {
        "power": np.mean(data.S**2),
        "train_error": _mean_finite(np.mean((data.y - result.predict(data.X)) ** 2, axis=-1)),
        **(_metrics_of_tokens(result, data.S) if view else result.metrics(data.S)),
    }
    if "callback" in given:
        found["error_stopped"] = _mean_finite(errors.error.min(axis=0, initial=np.inf))
    if task.tokens is not None:
        fresh = task.tokens.sample((_FRESH, *data.S.shape), data_rng, task.dtype)
        found["signal"] = np.mean(predict(fresh, data.S) ** 2)
        found["excess"] = _mean_finite(np.mean((result.predict(fresh) - predict(fresh, data.S)) ** 2, axis=-1))
    return {key: float(value) if np.isfinite(value) else None for key, value in found.items()}


def _seen(X, tokens, view):
    """The tokens as the estimator sees them."""
    if view is None:
        return X
    if view == "whitened":
        return whiten(X)
    factors = tokens.factors(*X.shape[1:])
    return Whitened(X, *(np.linalg.pinv(factor, len(factor) * np.finfo(np.float64).eps) for factor in factors))


def _metrics_of_tokens(result, teacher):
    """Some of the metrics, of a result that was learned from a view: its matrix for the tokens themselves."""
    error = _mean_finite(mse(result.raw.S, teacher, up_to_sign=result.up_to_sign))
    return {"error": error, "iterations": result.iterations, "converged": result.converged}


def _mean_finite(values):
    """Mean over the replicas that did not diverge."""
    values = np.atleast_1d(values)
    values = values[np.isfinite(values)]
    return values.mean() if len(values) else np.nan
