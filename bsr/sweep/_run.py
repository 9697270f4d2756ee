"""Running the tasks of a sweep on an executor, and keeping what comes back."""

import concurrent.futures as cf
import contextlib
import traceback
import warnings
from collections import deque
from functools import partial
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from bsr._checks import check_integer, check_real
from bsr._memory import available
from bsr._version import __version__
from bsr.sweep._config import Config
from bsr.sweep._store import Store
from bsr.sweep._tasks import execute, git_commit
from bsr.sweep._workers import cores, pool, without_ctrl_c

__all__ = ["Counts", "run"]

_DIED = "the worker process died while this task ran alone; it may have been killed for its memory"


class Counts(NamedTuple):
    """What became of the tasks of a sweep.

    Attributes
    ----------
    done : int
        Tasks with that status in the file after the run.
    failed : int
        Likewise.
    refused : int
        Likewise: they need more memory than a task may take.
    skipped : int
        Those among `done` that had been done before.
    """

    done: int
    failed: int
    refused: int
    skipped: int


def run(
    config: Config | str | PathLike,
    out: str | PathLike,
    *,
    resume: bool = False,
    allow_other_config: bool = False,
    workers: int | None = None,
    executor: cf.Executor | None = None,
    threads: int = 1,
    progress: bool = True,
    memory_limit: float | None = None,
) -> Counts:
    """Run all tasks of a configuration and store each result as it comes.

    Parameters
    ----------
    config : Config, str or pathlib.Path
        What to run, or the TOML file that says it.
    out : str or pathlib.Path
        File of the results, for `load`.
    resume : bool, default False
        Go on with an existing file: skip what is done, repeat what failed or was refused.
    allow_other_config : bool, default False
        Go on even if the file was made with another configuration. Tasks that both share are not repeated.
    workers : int, optional
        Processes. As many as there are cores for `threads` threads each by default. With an `executor`, the number of
        tasks that it runs at a time; needed only to keep a large one busy.
    executor : concurrent.futures.Executor, optional
        Where to run instead: a Dask cluster's `client.get_executor()`, an MPI pool, or a thread. It is not shut down.
    threads : int, default 1
        Threads of BLAS and numba for each task.
    progress : bool, default True
        Show a progress bar with the time left.
    memory_limit : float, optional
        Bytes that a task may take. By default the memory available now, to this machine or to the container around
        it, shared between the workers; with an `executor`, which may be elsewhere, no limit.

    Returns
    -------
    Counts

    Raises
    ------
    ValueError
        If an argument or the configuration is not allowed, or the file is not of this sweep.
    FileExistsError
        If the file exists and `resume` is not set.
    OSError
        If the file cannot be read or written, or another sweep is writing it. What was stored stays.
    RuntimeError
        If the given executor broke or cancelled tasks, or processes of its own cannot start. Tasks that were under way
        are not recorded, and `resume` repeats them.
    KeyboardInterrupt
        On Ctrl-C, after the workers have ended. What was stored stays.

    Warns
    -----
    UserWarning
        If tasks were refused because they need more memory than there is, or failed: they are rows of that status. If
        rows of other versions or commits of the package are kept. If another program that reads the file has to be
        waited for.

    Notes
    -----
    A task's randomness comes from the root seed and the task's own description, so a result depends neither on the
    order of the tasks, nor on the workers, nor on interruptions. It may depend in its last digits on `threads` and on
    the machine.

    A task that raises is a row of status 'failed' with its traceback. If a worker process dies, the tasks that were
    under way are repeated one at a time in a fresh pool; one that kills its worker again when alone has failed. A Dask
    cluster repeats tasks of lost workers by itself.

    A process runs one task at a time, even if its executor has more threads: start Dask's workers with `--nthreads 1`,
    as many as there are cores.

    Processes are spawned, and do not run the caller's main module: a script that calls this needs no
    `if __name__ == "__main__":`, and may come through standard input.

    While a sweep runs, and after it was killed, the newest rows may be in a file beside `out`, of the same name with
    `-wal` at its end: move them together. A run that ends leaves one file.
    """
    if not isinstance(config, Config):
        config = Config.read(config)
    threads = check_integer("threads", threads, 1)
    own = executor is None
    if workers is None:
        workers = max(1, cores() // threads) if own else getattr(executor, "_max_workers", cores())
    workers = check_integer("workers", workers, 1)
    if memory_limit is None:
        memory_limit = available() / workers if own else float("inf")
    elif memory_limit != float("inf"):
        memory_limit = float(check_real("memory_limit", memory_limit, "positive"))

    store = Store(out, config, resume=resume, allow_other_config=allow_other_config)
    with contextlib.closing(store):
        tasks, done = config.tasks(), store.done()
        skipped = sum(task.key in done for task in tasks)
        waiting, counts = deque(), {"done": skipped, "failed": 0, "refused": 0}
        with tqdm(total=len(tasks), initial=skipped, disable=not progress, smoothing=0, unit="task") as bar:

            def record(task, outcome):
                store.write(task, outcome)
                counts[outcome["status"]] += 1
                if outcome["status"] == "failed":
                    failed.append(f"{_name(task)}: {outcome['traceback'].strip().splitlines()[-1]}")
                bar.set_postfix({name: count for name, count in counts.items() if count and name != "done"})
                bar.update()

            failed, refused = [], []
            for task in tasks:
                if task.key in done:
                    continue
                if task.memory <= memory_limit:
                    waiting.append(task)
                    continue
                note = f"needs {task.memory / 1e9:.3g} GB, a task may take {memory_limit / 1e9:.3g} GB"
                refused.append(f"{_name(task)}: {note}")
                record(task, {"status": "refused", "note": note})
            if waiting and (mixed := _mixed(store)):
                warnings.warn(f"{Path(out)}: {mixed}", stacklevel=2)
            if refused:
                warnings.warn(f"{len(refused)} tasks refused; the first: {refused[0]}", stacklevel=2)
            call = partial(execute, threads=threads)
            if own:
                _run_in_processes(call, waiting, workers, record)
            else:
                broken = _drain(executor, call, waiting, 2 * workers, record)
                if broken:
                    raise RuntimeError(
                        f"the executor broke or cancelled {len(broken)} tasks; {counts['done']} of {len(tasks)} are "
                        f"done and stored in {Path(out)}, resume=True repeats the others"
                    )
    if failed:
        warnings.warn(f"{len(failed)} tasks failed; the first: {failed[0]}", stacklevel=2)
    return Counts(**counts, skipped=skipped)


def _mixed(store):
    """What sets the rows that are kept apart from those to come, in words; nothing if nothing does."""
    now, before = (__version__, git_commit()), store.origins()
    others = [" ".join(filter(None, origin)) for origin in sorted(before - {now}, key=str)]
    if others:
        return f"rows made with {', '.join(others)} are kept; new ones are made with {' '.join(filter(None, now))}"
    if before and (now[1] or "").endswith("+"):
        return "rows are kept that were made with uncommitted changes, as are the new ones; the changes may differ"
    return ""


def _name(task):
    return f"{task.estimator.name} at d={task.d}, alpha={task.problem.alpha}"


def _run_in_processes(call, waiting, workers, record):
    """Run the waiting tasks in a pool of processes, and in a fresh one after a worker has died."""
    suspects = deque()
    while waiting or suspects:
        with pool(1 if suspects else workers) as executor:
            if not suspects:
                # One more than there are workers: they need not wait for the coordinator's writing.
                suspects.extend(_drain(executor, call, waiting, workers + 1, record))
                continue
            while suspects:
                task = suspects.popleft()
                if _drain(executor, call, deque([task]), 1, record):
                    record(task, {"status": "failed", "traceback": _DIED})
                    break


def _drain(executor, call, waiting, in_flight, record):
    """Run tasks until none waits or the executor breaks; return those that it lost."""
    running, lost = {}, []
    try:
        while waiting or running:
            while waiting and len(running) < in_flight and not lost:
                task = waiting.popleft()
                try:
                    with without_ctrl_c():
                        running[executor.submit(call, task)] = task
                except cf.BrokenExecutor:
                    lost.append(task)
            if not running:
                break
            for future in cf.wait(running, return_when=cf.FIRST_COMPLETED).done:
                task = running.pop(future)
                error = cf.CancelledError() if future.cancelled() else future.exception()
                if isinstance(error, cf.CancelledError | cf.BrokenExecutor):
                    lost.append(task)
                elif error is not None:  # not the task's own, which `execute` reports
                    trace = "".join(traceback.format_exception(error))
                    record(task, {"status": "failed", "traceback": trace})
                else:
                    record(task, future.result())
    finally:
        for future in running:
            future.cancel()
    return lost
