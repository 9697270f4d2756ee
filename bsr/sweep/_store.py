"""Results of a sweep in one SQLite file: written by the coordinator alone, a row a task, each committed at once."""

import contextlib
import errno
import json
import os
import sqlite3
import warnings
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from bsr._version import __version__
from bsr.model import Problem
from bsr.sweep._tasks import canonical, git_commit

if TYPE_CHECKING:
    import pandas

__all__ = ["Store", "load"]

APPLICATION_ID = 0x62737277  # "bsrw"; at byte 68 of the file, so that it can be told without opening a database
SCHEMA_VERSION = 1
_MAGIC = b"SQLite format 3\x00"
_POINT = ("alpha", "beta", "rho", "delta", "d", "estimator", "options")
_COLUMNS = {
    "key": "TEXT PRIMARY KEY",
    "alpha": "REAL",
    "beta": "REAL",
    "rho": "REAL",
    "delta": "REAL",
    "d": "INTEGER",
    "estimator": "TEXT",
    "options": "TEXT",
    "data_set": "INTEGER",
    "seed": "INTEGER",
    "dtype": "TEXT",
    "n": "INTEGER",
    "L": "INTEGER",
    "r": "INTEGER",
    "status": "TEXT CHECK (status IN ('done', 'failed', 'refused'))",
    "metrics": "TEXT",
    "seconds": "REAL",
    "note": "TEXT",
    "traceback": "TEXT",
    "version": "TEXT",
    "git_commit": "TEXT",
    "machine": "TEXT",
    "finished_at": "TEXT",
}
# Write-ahead logging lets others read while a row is written, but all of them must share this machine's memory. Only a
# file system of its own is sure of that.
_LOCAL = {"apfs", "bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "hfs", "jfs", "ntfs", "overlay", "ramfs"}
_LOCAL |= {"reiserfs", "tmpfs", "ufs", "xfs", "zfs"}
_PATIENCE = 2000  # milliseconds until a reader in the way is worth a warning; Ctrl-C may take as long
_WRITTEN_HERE = set()  # files that this process writes: to open and close them in another way would end their locks
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM results"


class Store:
    """The file of a sweep, open for writing.

    Parameters
    ----------
    path : str or pathlib.Path
    config : Config
    resume : bool
        Whether to go on with an existing file. Without it, there must be none; with it, there may be none.
    allow_other_config : bool
        Whether that file may be of another configuration, which this one then replaces in it.

    Raises
    ------
    OSError
        If there is a file and no `resume` (FileExistsError), another sweep is writing it (BlockingIOError), or it
        cannot be written.
    ValueError
        If the file is damaged, not the result of a sweep, or of another configuration. It is left as it was.
    """

    def __init__(self, path, config, *, resume=False, allow_other_config=False):
        self.path = Path(path)
        self._connection = self._lock = None
        exists = resume and self.path.exists()
        if exists:
            meta = _inspect(self.path)
            if meta["config_hash"] != config.hash and not allow_other_config:
                raise ValueError(
                    f"{self.path} holds the results of another configuration ({meta['config_name']}, hash "
                    f"{meta['config_hash'][:12]}) than {config.name} (hash {config.hash[:12]}); choose another file, "
                    "or allow_other_config=True (--force) to add to this one"
                )
            if not (os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)):
                raise PermissionError(errno.EACCES, "it or its folder cannot be written", str(self.path))
        else:
            try:
                self.path.open("xb").close()
            except FileExistsError as error:
                error.strerror = "exists already; resume=True (--resume) goes on with the results of a sweep"
                raise
        self._warned = False
        try:
            self._lock = _lock(self.path)
            _WRITTEN_HERE.add(self.path.resolve())
            self._connection = _connect(self.path)
            self._connection.execute(f"PRAGMA busy_timeout = {_PATIENCE}")
            self._commit(self._begin, config, exists)
            with contextlib.suppress(sqlite3.OperationalError):  # not possible: commits wait for readers
                self._connection.execute(f"PRAGMA journal_mode = {'WAL' if _is_local(self.path) else 'DELETE'}")
        except BaseException as error:  # Ctrl-C too
            self.close()
            if not exists:
                for left in (self.path, *_beside(self.path)):
                    left.unlink(missing_ok=True)
            if isinstance(error, sqlite3.Error):
                raise self._failure(error) from error
            raise

    def _begin(self, config, exists):
        self._connection.execute("BEGIN IMMEDIATE")
        if not exists:
            self._create()
        self._describe(config)

    def _commit(self, change, *arguments):
        """Make a change in one transaction; wait for readers that are in its way."""
        while True:
            try:
                with self._connection:
                    return change(*arguments)
            except sqlite3.Error as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY:
                    raise self._failure(error) from error
            if not self._warned:
                warnings.warn(
                    f"{self.path} is being read by another program; the sweep waits until that is over", stacklevel=3
                )
                self._warned = True

    def _create(self):
        columns = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
        self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        self._connection.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT)")
        self._connection.execute(f"CREATE TABLE results ({columns})")
        self._write_meta(created=_now(), bsr_version=__version__, git_commit=git_commit())

    def _describe(self, config):
        self._write_meta(config=config.text, config_name=Path(config.name).name, config_hash=config.hash)

    def _write_meta(self, **entries):
        self._connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(entries.items()))

    def _failure(self, error):
        number = errno.ENOSPC if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL else errno.EIO
        return OSError(number, f"results cannot be written: {error}; rows written before are safe", str(self.path))

    def done(self):
        """Keys of the tasks that are done."""
        return {key for (key,) in self._connection.execute("SELECT key FROM results WHERE status = 'done'")}

    def origins(self):
        """Pairs (version, commit) of the package that did the tasks that are done."""
        return set(self._connection.execute("SELECT DISTINCT version, git_commit FROM results WHERE status = 'done'"))

    def write(self, task, outcome):
        """Write a row and commit it.

        Raises
        ------
        OSError
            If it cannot be written, say because the disk is full. Earlier rows are safe.
        """
        n, L, r = task.problem.sizes(task.d)
        given = {"channel": task.problem.channel, "tokens": task.tokens}
        given = {name: repr(value) for name, value in given.items() if value is not None}
        row = {
            "key": task.key,
            **{name: getattr(task.problem, name) for name in ("alpha", "beta", "rho", "delta")},
            **{"d": task.d, "estimator": task.estimator.name, "options": canonical(given | task.estimator.options)},
            **{"data_set": task.index, "seed": task.seed, "dtype": task.dtype, "n": n, "L": L, "r": r},
            **{name: outcome.get(name) for name in ("status", "seconds", "note", "traceback")},
            **{name: outcome.get(name) for name in ("version", "git_commit", "machine")},
            "metrics": canonical(outcome.get("metrics", {})),
            "finished_at": _now(),
        }
        marks = ", ".join("?" * len(_COLUMNS))
        values = [row[name] for name in _COLUMNS]
        self._commit(self._connection.execute, f"INSERT OR REPLACE INTO results VALUES ({marks})", values)

    def close(self):
        """Leave one file, close it and let others write it."""
        if self._connection:
            with contextlib.suppress(sqlite3.Error):  # a reader, a full disk
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                self._connection.execute("PRAGMA journal_mode = DELETE")
            self._connection.close()
            log = Path(f"{self.path}-wal")
            if log.exists() and log.stat().st_size:
                warnings.warn(
                    f"{self.path} is being read by another program, or the disk is full: its newest rows are in {log}, "
                    "which must stay beside it until it is read or resumed",
                    stacklevel=2,
                )
        if self._lock:
            _WRITTEN_HERE.discard(self.path.resolve())
            _lock_file(self.path).unlink(missing_ok=True)
            self._lock.close()


def load(path: str | PathLike, raw: bool = False) -> "pandas.DataFrame":
    """Read the results of a sweep as a table.

    A sweep may be running meanwhile.

    Parameters
    ----------
    path : str or pathlib.Path
    raw : bool, default False
        Whether to return a row for each task instead of one for each point.

    Returns
    -------
    pandas.DataFrame
        One row for each problem, size and estimator with its options, sorted. `alpha`, `beta` and `rho` are those of
        the integers n, L and r used: compare theory at these. `options` is JSON; each option is also a column,
        `option_lr` for `lr`, as are the problem's channel, `option_channel`, where labels are not linear, and the
        tokens' law, `option_tokens`, where it was named. `done`, `failed` and `refused` count tasks, `seconds`
        is the mean time of those done, and `commits` and `versions` name what they ran with. For each metric, say
        `error`: its mean `error`, the standard error of that mean `error_se` (NaN for one data set) and the number of
        data sets `error_count` with a finite value. With `raw`, the columns are those of the file, with a column for
        each metric. `attrs` of the table has the configuration (`config`, `config_name`, `config_hash`) and when and
        with what the file was made.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged or not the result of a sweep.
    ImportError
        If pandas is not installed.

    Notes
    -----
    Metrics of all estimators: `error`, ||S_hat - S||^2/(dL); `power`, ||S||^2/(dL) of the teacher, whose fluctuations
    are most of the error's at small sizes; `relative_error`, their ratio; `train_error`, the mean square of y - h, of
    use for linear labels; `recovered`, the fraction of estimates whose error is below 0.01; `nuclear_ratio`, the
    nuclear norm over the teacher's; `iterations`; `converged`, a fraction; of those that iterate, `error_stopped`, the
    least error on the way. Means over the replicas of gradient descent that did not diverge, which adds
    `error_averaged` and `relative_error_averaged` of their mean, `norm` ||S_hat||^2/(dL), `overlap_replicas` <S_a,
    S_b>/(dL), `overlap_teacher` <S_hat, S>/(dL), and the fractions `landed` and `diverged`. The posterior adds
    `error_sample` of a single sample, `spread` and `effective_sample_size`, the nuclear norm its certified `gap`. Where
    a law of tokens was named, `excess` is the mean of <X, S_hat - S>^2/(dL) over 4000 fresh sequences of it, and
    `signal` that of <X, S>^2/(dL). Of what was learned from a view there is no more than `error`, `power`,
    `train_error`, `iterations`, `converged` and these, all for the tokens themselves.
    """
    try:
        import pandas as pd
    except ImportError:
        raise ImportError("pandas makes the table: install bilinear-sequence-regression[sweep]") from None

    path = Path(path)
    meta = _inspect(path)
    with contextlib.closing(_connect(path, read_only=True)) as connection:
        rows = connection.execute(_SELECT).fetchall()
    frame = pd.DataFrame(rows, columns=list(_COLUMNS))
    metrics = pd.DataFrame([json.loads(text) for text in frame.metrics], index=frame.index, dtype=float)
    for name in {"error", "error_averaged"} & set(metrics):
        metrics[f"relative_{name}"] = metrics[name] / metrics.power
    metrics = metrics.sort_index(axis=1)
    options = pd.DataFrame([json.loads(text) for text in frame.options], index=frame.index)
    options = options.sort_index(axis=1).add_prefix("option_")
    frame = pd.concat([frame.drop(columns="metrics"), options, metrics], axis=1)
    names = [*_POINT, "seed", "dtype"]
    frame = frame.sort_values([*names, "data_set"]).reset_index(drop=True)
    if not raw:
        points = [_point(group, metrics.columns, options.columns) for _, group in frame.groupby(names)]
        frame = pd.DataFrame(points, columns=None if points else [*_POINT, "done", "failed", "refused", "seconds"])
    frame.attrs.update(meta)
    return frame


def _point(group, metrics, options):
    """Means over the data sets of one problem, size and estimator."""
    first, done = group.iloc[0], group[group.status == "done"]
    d, n, L, r = (int(first[name]) for name in ("d", "n", "L", "r"))
    problem = Problem(n / (d * L), L / d, r / min(d, L), first.delta)
    row = {name: getattr(problem, name) for name in ("alpha", "beta", "rho", "delta")}
    row |= {"d": d, "n": n, "L": L, "r": r, "estimator": first.estimator, "options": first.options}
    row |= {name: first[name] for name in options}
    row |= {status: int((group.status == status).sum()) for status in ("done", "failed", "refused")}
    row |= {"seconds": done.seconds.mean()}
    for name, column in (("versions", "version"), ("commits", "git_commit")):
        row[name] = " ".join(sorted(set(done[column].dropna())))
    for name in metrics:
        values = done[name].dropna()
        row |= {name: values.mean(), f"{name}_se": values.sem(), f"{name}_count": len(values)}
    return row


def _inspect(path):
    """What the file says of itself, once it is known to be ours and sound; nothing is written.

    Except what SQLite repairs in our own file, after a process that left a journal or a log.
    """
    if path.resolve() not in _WRITTEN_HERE and not _is_ours(path):
        raise ValueError(f"{path} is not the result of a sweep; it is left as it was")
    try:
        left = _left_behind(path)
        with contextlib.closing(_connect(path, read_only=not left)) as connection:
            if left:
                with contextlib.suppress(sqlite3.OperationalError):  # somebody reads it
                    connection.execute("PRAGMA journal_mode = DELETE")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version != SCHEMA_VERSION:
                raise ValueError(
                    f"{path} has the layout {version} of another version of bsr, this one reads {SCHEMA_VERSION}"
                )
            (state,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if state != "ok":
                raise sqlite3.DatabaseError(state)
            meta = dict(connection.execute("SELECT name, value FROM meta"))
            if not {"config", "config_name", "config_hash"} <= set(meta):
                raise sqlite3.DatabaseError("it does not name its configuration")
            connection.execute(f"{_SELECT} LIMIT 1").fetchall()
    except sqlite3.OperationalError as error:
        if "no such" not in str(error):
            raise OSError(errno.EIO, f"results cannot be read: {error}", str(path)) from error
        raise ValueError(f"{path} is damaged: {error}; it is left as it was") from error
    except sqlite3.DatabaseError as error:
        raise ValueError(f"{path} is damaged: {error}; it is left as it was") from error
    return meta


def _is_ours(path):
    with path.open("rb") as file:
        head = file.read(100)
    return head[:16] == _MAGIC and int.from_bytes(head[68:72], "big") == APPLICATION_ID


def _left_behind(path):
    """Whether there are files beside this one that no running sweep needs."""
    journal, *log = _beside(path)
    return journal.exists() or (any(map(Path.exists, log)) and not _lock_file(path).exists())


def _beside(path):
    """Files that SQLite keeps next to this one."""
    return [Path(f"{path}-{name}") for name in ("journal", "wal", "shm")]


def _is_local(path):
    kinds = {Path(mount.mountpoint): mount.fstype.lower() for mount in psutil.disk_partitions(all=True)}
    return next((kinds[folder] for folder in path.resolve().parents if folder in kinds), None) in _LOCAL


def _connect(path, read_only=False):
    mode = "ro" if read_only else "rw"
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=60)


def _lock_file(path):
    return Path(f"{path}-lock")


def _lock(path):
    """Keep other sweeps from writing the file. A transaction that never writes does it, and ends with the process."""
    lock = sqlite3.connect(_lock_file(path), timeout=0, isolation_level=None)
    try:
        lock.execute("PRAGMA journal_mode = MEMORY")
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        lock.close()
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        raise BlockingIOError(errno.EAGAIN, "another sweep is writing these results", str(path)) from None
    return lock


def _now():
    return datetime.now(UTC).isoformat(timespec="seconds")
