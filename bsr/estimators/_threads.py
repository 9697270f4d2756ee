"""When the threads of BLAS are worth having.

They wait actively for 0.1 s after their work and keep what comes next from its cores: a pass over X by numba, or the
next small product.
"""

from contextlib import contextmanager

from threadpoolctl import threadpool_limits

__all__ = ["blas_for"]

_SMALL = 1e8  # multiplications in a product; below this a second thread costs more than it brings


@contextmanager
def blas_for(multiplications):
    """Context, or decorator, in which BLAS has one thread unless products are large enough to pay for more."""
    with threadpool_limits(limits=1 if multiplications < _SMALL else None, user_api="blas"):
        yield
