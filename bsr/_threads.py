"""When the threads of BLAS are worth having, and who may use numba's at the same time.

The threads of BLAS wait actively for 0.1 s after their work and keep what comes next from its cores: a pass over X by
numba, or the next small product.
"""

import os
import threading
from contextlib import contextmanager
from functools import cache

import scipy.linalg  # noqa: F401  its BLAS must be loaded before the controller looks
from threadpoolctl import OpenBLASController, ThreadpoolController

__all__ = ["blas_for", "forked", "layer"]

_SMALL = 1e8  # multiplications in a product; below this a second thread costs more than it brings

layer = threading.Lock()  # of numba's threads: its `workqueue` layer ends the process when two threads enter it
_blas = threading.Lock()
_holders, _limiter = 0, None
_forked = False


def forked():
    """Whether this process is the fork of one that had numba: its threads did not come along and cannot be started."""
    return _forked


@contextmanager
def blas_for(multiplications):
    """Context, or decorator, in which BLAS has one thread unless products are large enough to pay for more.

    The number of threads belongs to the process, not to the Python thread: the first to come lowers it and the last to
    go restores it, in whatever order they do.
    """
    global _holders, _limiter
    if multiplications >= _SMALL:
        yield
        return
    with _blas:
        if _holders == 0:
            _let_any_thread_control()
            _limiter = _controller().limit(limits=1, user_api="blas")
        _holders += 1
    try:
        yield
    finally:
        with _blas:
            _holders -= 1
            if _holders == 0:
                _let_any_thread_control()
                _limiter.restore_original_limits()
                _let_any_thread_control()


@cache
def _controller():
    return ThreadpoolController()  # looks through all shared libraries: 3 ms, so once


def _let_any_thread_control():
    """Newer versions of threadpoolctl listen to the first Python thread alone, silently; the lock here is enough."""
    if hasattr(OpenBLASController, "clear_controlling_thread"):
        OpenBLASController.clear_controlling_thread(force=True)


def _after_fork():
    """In the child: locks may be held by threads that do not exist here."""
    global layer, _blas, _holders, _forked
    layer, _blas, _forked = threading.Lock(), threading.Lock(), True
    if _holders:
        _let_any_thread_control()
        _limiter.restore_original_limits()
        _holders = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
