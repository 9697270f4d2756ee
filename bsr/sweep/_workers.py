"""Worker processes: they start without the caller's main module, and end with the coordinator."""

import concurrent.futures as cf
import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing import context
from types import ModuleType

__all__ = ["cores", "pool", "without_ctrl_c"]

_STARTING = threading.Lock()
_CANNOT_START = "the worker processes end while they start; what they say themselves is above, on standard error"


class _Process(context.SpawnProcess):
    """A new process, which does not run the caller's main module once more.

    Python does so for functions that are defined there; a task needs none. A script without
    `if __name__ == "__main__":` would begin another sweep in each worker, and what came through standard input cannot
    be read again.
    """

    def start(self):
        with _STARTING:
            main = sys.modules["__main__"]
            sys.modules["__main__"] = ModuleType("__main__")
            try:
                super().start()
            except BrokenPipeError:
                raise RuntimeError(_CANNOT_START) from None
            finally:
                sys.modules["__main__"] = main


class _Context(context.SpawnContext):
    Process = _Process


@contextlib.contextmanager
def pool(workers):
    """An executor of so many processes, which end with the block, and with this process however it ends.

    Raises
    ------
    RuntimeError
        If they cannot start.
    """
    before = set(multiprocessing.active_children())
    executor = cf.ProcessPoolExecutor(workers, mp_context=_Context(), initializer=start_worker)
    try:
        with without_ctrl_c():
            started = [executor.submit(os.getpid)]
            with _silent():  # the first says that it compiles kernels
                started += [executor.submit(os.getpid) for _ in range(workers - 1)]
        try:
            cf.wait(started)
            for future in started:
                future.result()
        except cf.BrokenExecutor:
            raise RuntimeError(_CANNOT_START) from None
        yield executor
    except BaseException:  # Ctrl-C, a full disk: do not wait for tasks that may take hours
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
        raise
    finally:
        executor.shutdown(cancel_futures=True)


@contextlib.contextmanager
def without_ctrl_c():
    """Processes that are started inside never see Ctrl-C, which goes to all: the coordinator ends its workers."""
    mask = getattr(signal, "pthread_sigmask", lambda *_: ())  # Windows has none
    before = mask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        mask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _silent():
    """Processes that are started inside do not say that they compile kernels."""
    before = os.environ.get("BSR_COMPILE_NOTICE")
    os.environ["BSR_COMPILE_NOTICE"] = "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ["BSR_COMPILE_NOTICE"]
        else:
            os.environ["BSR_COMPILE_NOTICE"] = before


def start_worker():
    """Prepare a worker: the first thing that it does."""
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent():
    """End with the parent, even if it was killed and could not tell."""
    multiprocessing.parent_process().join()
    os._exit(1)


def cores():
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
