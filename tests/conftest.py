"""What tests of several files need."""

import os
import signal

import numba
import pytest


def pytest_configure(config):
    """Workers inherit it, and so do chapters that run in them; with more threads they would wait for one another."""
    if config.getoption("numprocesses", None):
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@pytest.fixture
def ctrl_c():
    """Python's own reaction to Ctrl-C; a shell's background jobs ignore it."""
    theirs = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, theirs)


@pytest.fixture(scope="module")
def one_thread():
    """Many small problems: numba's threads would wait for one another."""
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(threads)
