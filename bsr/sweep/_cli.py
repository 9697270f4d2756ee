"""The subcommands `bsr sweep` and `bsr sweep-table`."""

import contextlib
import shlex
import signal
import sys
import threading
import warnings
from pathlib import Path

from tqdm import tqdm

from bsr.sweep._config import Config
from bsr.sweep._run import run
from bsr.sweep._store import load

__all__ = ["add_arguments", "add_table_arguments", "main", "table"]

_OF_A_TASK = ["key", "machine", "finished_at", "note", "traceback"]  # of no use to a reader of the table
_INTERRUPTED = 130  # 128 + SIGINT, as a shell has it


def add_arguments(parser):
    """Run experiments on a grid; a row a task in one file, resumable."""
    parser.add_argument("config", metavar="CONFIG.toml", help="what to run; see the folder experiments")
    parser.add_argument("--out", metavar="RESULTS.db", help="file of the results")
    parser.add_argument("--resume", action="store_true", help="go on with an existing file; repeat what failed")
    parser.add_argument(
        "--force", action="store_true", help="with --resume: even if the file has another configuration"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--workers", type=int, metavar="N", help="processes (default: one for each T cores)")
    where.add_argument("--dask", metavar="ADDRESS", help="run on a Dask cluster, say tcp://host:8786; a task a worker")
    parser.add_argument("--threads", type=int, default=1, metavar="T", help="threads of each task (default: 1)")
    parser.add_argument("--memory", type=float, metavar="GB", help="what a task may take (default: a worker's share)")
    parser.add_argument("--dry-run", action="store_true", help="count the tasks and estimate their memory only")


def add_table_arguments(parser):
    """Show the results of a sweep: mean and standard error by point."""
    parser.add_argument("results", metavar="RESULTS.db", help="file of the results; its sweep may be running")
    parser.add_argument("--csv", metavar="FILE", help="write all columns there instead of the first few here")
    parser.add_argument("--raw", action="store_true", help="a row for each task, not for each point")


def main(args):
    """Run a sweep; return the exit status: 0 if all is done, 1 if not, 2 for bad input, 130 if interrupted."""
    try:
        config = Config.read(args.config)
        if args.dry_run:
            _describe(config)
            return 0
        if args.out is None:
            raise ValueError("--out is needed, a file for the results (or --dry-run)")
        options = {"resume": args.resume, "allow_other_config": args.force, "threads": args.threads}
        options["memory_limit"] = None if args.memory is None else 1e9 * args.memory
        with warnings.catch_warnings(), _sigterm_as_ctrl_c():
            warnings.showwarning = lambda message, *_: tqdm.write(f"bsr sweep: warning: {message}", file=sys.stderr)
            counts = (
                _run_on_dask(config, args, options)
                if args.dask
                else run(config, args.out, workers=args.workers, **options)
            )
    except KeyboardInterrupt:
        command = shlex.join(["bsr", *args.given, *([] if args.resume else ["--resume"])])
        print(f"\nInterrupted. What was done is stored; go on with: {command}", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:  # of the output
        raise
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        print(f"bsr sweep: {_message(error)}", file=sys.stderr)
        return 1 if isinstance(error, RuntimeError) else 2
    print(f"done {counts.done} (before: {counts.skipped}), failed {counts.failed}, refused {counts.refused}")
    return 0 if counts.failed == counts.refused == 0 else 1


@contextlib.contextmanager
def _sigterm_as_ctrl_c():
    """Batch systems end a job with SIGTERM."""
    if threading.current_thread() is not threading.main_thread():  # no other may set handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _message(error):
    """The message of an error, without the number of those of the operating system."""
    named = isinstance(error, OSError) and error.filename is not None
    return f"{error.filename}: {error.strerror}" if named else str(error)


def _describe(config):
    tasks = config.tasks()
    largest = max(tasks, key=lambda task: task.memory)
    n, L, _ = largest.problem.sizes(largest.d)
    print(f"{len(tasks)} tasks: {len(config.problems)} problems, {len(config.d)} sizes, ", end="")
    print(f"{len(config.estimators)} estimators, {config.seeds} data sets each")
    print(f"largest: {largest.estimator.name} at d = {largest.d}, L = {L}, n = {n}: {largest.memory / 1e9:.2f} GB")


def _run_on_dask(config, args, options):
    try:
        from distributed import Client
    except ImportError:
        raise ImportError("--dask needs Dask: install bilinear-sequence-regression[cluster]") from None
    with Client(args.dask) as client:
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        if not workers:
            raise RuntimeError(f"the Dask cluster {args.dask} has no workers")
        if options["memory_limit"] is None:
            # A worker process runs one task at a time; it may hold the data of one only.
            limits = [worker["memory_limit"] for worker in workers if worker["memory_limit"]]
            options["memory_limit"] = min(limits, default=float("inf"))
        return run(config, args.out, executor=client.get_executor(), workers=len(workers), **options)


def table(args):
    """Show or write the table of a sweep; return the exit status."""
    try:
        frame = load(args.results, raw=args.raw)
        if args.csv:
            write_csv(frame, args.csv)
        else:
            counts = ["data_set", "status"] if args.raw else ["done", "failed", "refused"]
            columns = ["estimator", "alpha", "rho", "delta", "d", *counts, "seconds"]
            options = [name for name in frame if name.startswith("option_") and frame[name].astype(str).nunique() > 1]
            shown = [name for name in (*columns, *options, "error", "error_se") if name in frame]
            print(frame[shown].to_string(index=False, float_format=lambda value: f"{value:.4g}"))
    except BrokenPipeError:
        raise
    except (ValueError, OSError, ImportError) as error:
        print(f"bsr sweep-table: {_message(error)}", file=sys.stderr)
        return 2
    return 0


def write_csv(frame, path):
    """Write a table of `load`, raw or not, as CSV, after lines that begin with # and say where it comes from."""
    if "status" in frame:
        frame = frame.rename(columns={"version": "versions", "git_commit": "commits"}).drop(columns=_OF_A_TASK)
        done, failed, refused = (int((frame.status == status).sum()) for status in ("done", "failed", "refused"))
        cost = frame.seconds[frame.status == "done"].sum()
    else:
        done, failed, refused = (int(frame[status].sum()) for status in ("done", "failed", "refused"))
        cost = (frame.seconds * frame.done).sum() if len(frame) else 0.0
    constant = [name for name in ("versions", "commits") if name in frame and frame[name].nunique() == 1]
    head = [
        f"config: {frame.attrs['config_name']}, hash {frame.attrs['config_hash'][:16]}",
        *(f"{name}: {frame[name].iloc[0]}" for name in constant),
        f"tasks done {done}, failed {failed}, refused {refused}; {cost:.0f} s of one worker",
    ]
    text = "".join(f"# {line}\n" for line in head)
    body = frame.drop(columns=constant).to_csv(index=False, float_format="%.8g", lineterminator="\n")
    Path(path).write_text(text + body, encoding="utf-8")
