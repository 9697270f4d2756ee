"""What tests of several files need."""

import os
import signal

# One of several workers: two threads of BLAS in each, and in the kernels of chapters, would slow all of them ten times.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numba
import pytest


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
