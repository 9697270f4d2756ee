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
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
from threadpoolctl import threadpool_limits

import bsr
from bsr import estimators
from bsr.estimators._splitting import FACTOR_LIMIT, factor_bytes
from bsr.estimators.posterior import posterior_bytes
from bsr.model import Problem, mse
from bsr.sensing import forward

__all__ = ["ADAPTERS", "Estimator", "Task", "execute"]

RECOVERED = 0.01  # error below which the teacher counts as recovered, as in the book
_INTERPRETER = 3e8  # bytes of a worker before it has any data
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
        Its keyword arguments. The rank, the noise variance and the penalty of ridge regression are the teacher's rank
        and the problem's delta unless given. `init="nuclear_norm"` starts gradient descent at that solution.

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
    """

    problem: Problem
    d: int
    estimator: Estimator
    index: int
    seed: int = 0
    dtype: str = "float32"

    @property
    def _data_name(self):
        problem = {name: getattr(self.problem, name) for name in ("alpha", "beta", "rho", "delta")}
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
        return hashlib.sha256(canonical(whole).encode()).hexdigest()

    def generators(self):
        """Sources of randomness for the data and for the estimator.

        Both are children of the root seed, found by their names and not by counting: results do not depend on which
        tasks there are, or on their order. The data's name leaves out the estimator, so all estimators get the same.
        """
        names = hashlib.sha256(canonical(self._data_name).encode()).hexdigest(), self.key
        words = (tuple(int(name[i : i + 8], 16) for i in range(0, 64, 8)) for name in names)
        return tuple(np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key)) for key in words)

    @property
    def memory(self):
        """Estimate of the bytes that a worker needs for this task, itself included."""
        n, L, r = self.problem.sizes(self.d)
        itemsize, options = np.dtype(self.dtype).itemsize, self.estimator.options
        extra = ADAPTERS[self.estimator.name].memory(n, L, self.d, int(options.get("rank", r)), itemsize, options)
        return _INTERPRETER + n * L * self.d * itemsize + extra


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
        "version": bsr.__version__,
        "git_commit": git_commit(),
        "machine": f"{platform.node()} ({platform.machine()}, {platform.system()})",
    }


@cache
def git_commit():
    """The commit of the package's checkout, with a plus if files have changed since; None outside one."""
    root = Path(bsr.__file__).parents[1]
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
    data = task.problem.sample(task.d, data_rng, task.dtype)
    adapter, options = ADAPTERS[task.estimator.name], dict(task.estimator.options)
    delta = data.problem.delta
    supplied = {"rank": data.U.shape[1], "delta": delta, "signal": 1.0, "lam": delta, "rng": rng, "teacher": data.S}
    wanted = inspect.signature(adapter.function).parameters
    given = {key: supplied[key] for key in (*adapter.supplied, *({"rng", "teacher"} & set(wanted)))}
    if options.get("init") == "nuclear_norm":
        options["init"] = estimators.nuclear_norm(data.X, data.y).S
    result = adapter.function(data.X, data.y, **given | options)
    found = {**_common(result, data), **adapter.metrics(result, data)}
    return {key: float(value) if np.isfinite(value) else None for key, value in found.items()}


def _common(result, data):
    """What all estimators are asked; means over the replicas that did not diverge."""
    stack = result.S.reshape(-1, *data.S.shape)
    stack = stack[np.isfinite(stack).all(axis=(1, 2))]
    nothing = np.full(1, np.nan)
    errors = mse(stack, data.S) if len(stack) else nothing
    lengths = np.linalg.norm(stack, "nuc", axis=(1, 2)) if len(stack) else nothing
    return {
        "error": np.mean(errors),
        "power": np.mean(data.S**2),
        "recovered": np.mean(errors < RECOVERED),
        "nuclear_ratio": np.mean(lengths) / np.linalg.norm(data.S, "nuc"),
        "train_error": _train_error(result, data),
        "iterations": result.iterations,
        "converged": result.converged,
    }


def _train_error(result, data):
    if result.S.ndim == 3:  # replicas, whose errors are known
        return np.mean(result.train_error[~result.diverged]) if not result.diverged.all() else np.nan
    return np.mean((data.y - forward(data.X, result.S) / np.sqrt(result.S.size)) ** 2)


def _descent_metrics(result, data):
    fine = ~result.diverged
    m = int(fine.sum())
    norm, mean_norm = np.mean(result.S[fine] ** 2) if m else np.nan, np.mean(result.S_mean**2)
    history = result.history.error[:, fine]
    return {
        "error_averaged": mse(result.S_mean, data.S),
        "error_stopped": history.min(axis=0).mean() if m else np.nan,
        "norm": norm,
        "overlap_replicas": (m * mean_norm - norm) / (m - 1) if m > 1 else np.nan,
        "overlap_teacher": np.mean(result.S_mean * data.S),
        "landed": np.mean(result.landed),
        "diverged": np.mean(result.diverged),
    }


def _posterior_metrics(result, data):
    return {
        "error_sample": np.mean([mse(S, data.S) for S in result.samples]),
        "spread": result.spread,
        "effective_sample_size": result.effective_sample_size,
    }


def _descent_memory(n, L, d, r, itemsize, options):
    # X in the other precision too; teams of both precisions at the change; estimates in float64 at the end.
    m = options.get("replicas", 1)
    start = _nuclear_memory(n, L, d, r, itemsize, {}) if "init" in options else 0
    run = (12 - itemsize) * n * L * d + 12 * m * (2 * n + 2 * L * d + 2 * r * (L + d)) + 32 * m * L * d
    return max(start, run)


def _nuclear_memory(n, L, d, r, itemsize, options):
    method, factors = options.get("method"), factor_bytes(n, L, d, options.get("lam", 0.0))
    return 0 if method == "primal-dual" or (method is None and factors > FACTOR_LIMIT) else factors


def _ridge_memory(n, L, d, r, itemsize, options):
    return 16 * n * L * d + 16 * min(n, L * d) ** 2


def _posterior_memory(n, L, d, r, itemsize, options):
    kept = (options.get("sweeps", 400) - options.get("burn_in", 100)) // options.get("thin", 1)
    return posterior_bytes(n, L, d, r, max(kept, 0), itemsize)


class Adapter(NamedTuple):
    """How a sweep talks to an estimator."""

    function: Callable
    supplied: tuple = ()  # arguments that come from the data unless the options set them
    metrics: Callable = lambda result, data: {}  # beyond the common ones
    memory: Callable = lambda n, L, d, r, itemsize, options: 0  # bytes beyond X


ADAPTERS = {
    "gamp_rie": Adapter(estimators.gamp_rie, ("rank", "delta", "signal")),
    "posterior": Adapter(estimators.posterior, ("rank", "delta"), _posterior_metrics, _posterior_memory),
    "nuclear_norm": Adapter(estimators.nuclear_norm, (), lambda result, data: {"gap": result.gap}, _nuclear_memory),
    "ridge": Adapter(estimators.ridge, ("lam",), memory=_ridge_memory),
    "gradient_descent": Adapter(estimators.gradient_descent, ("rank",), _descent_metrics, _descent_memory),
}
