"""How the numerical kernels are compiled.

Delete the folders `__pycache__` after a change to a kernel that other files call (the tests do it): numba's cache of a
caller is renewed when the caller's own file changes, and only then.
"""

import numba


def kernel(**options):
    """Decorator that compiles a function, and keeps the result on disk where a folder is writable.

    A division by zero gives infinity, as in NumPy: it shows as a quadrature that did not converge, not as an exception.
    """

    def compiled(function):
        try:
            return numba.njit(cache=True, error_model="numpy", **options)(function)
        except RuntimeError:  # neither the package's folder nor the user's cache is writable
            return numba.njit(error_model="numpy", **options)(function)

    return compiled
