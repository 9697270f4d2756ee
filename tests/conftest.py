"""What tests of several files need."""

import signal

import pytest


@pytest.fixture
def ctrl_c():
    """Python's own reaction to Ctrl-C; a shell's background jobs ignore it."""
    theirs = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, theirs)
