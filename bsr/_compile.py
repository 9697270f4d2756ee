"""The one decorator of numerical kernels: where their machine code is kept, and what a first call says.

numba renews the cached code of a kernel when the kernel's own file changes, not when a file does whose kernels or
constants it uses. Here all kernels share a folder named after the contents of every file that holds kernels, so code of
other sources is never found. Kernels therefore live in files of their own: an edit elsewhere recompiles nothing.
"""

import hashlib
import os
import platform
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import llvmlite.binding
import numba
import numba.core.caching
import numba.core.event
import platformdirs

__all__ = ["in_chunks", "kernel", "kernel_files"]

_PACKAGE = Path(__file__).parent
_PREFIX = "bsr-kernels-"
_KEPT_FOR = 86_400.0  # seconds since its last use after which a folder of other sources is removed
_CHUNK = 64  # points between which Ctrl-C is heard: a few milliseconds each at worst


class _Cache(numba.core.caching.FunctionCache):
    """Machine code on disk, a convenience: what cannot be read is compiled anew, what cannot be written is not kept."""

    def load_overload(self, sig, target_context):
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # a file cut short, by a crash or a full disk: unpickling raises what it likes
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig, data):
        with suppress(OSError):  # the disk is full, or the folder is gone
            super().save_overload(sig, data)


def kernel(**options):
    """Decorator that compiles a function, and keeps the result on disk where a folder is writable.

    A division of real numbers by zero gives infinity, as in NumPy: it shows as a quadrature that did not converge, not
    as an exception. (A complex one raises.) Other Python threads run meanwhile.
    """

    def compiled(function):
        dispatcher = numba.njit(error_model="numpy", nogil=True, **options)(function)
        if _FOLDER is not None and not numba.config.DISABLE_JIT:
            theirs, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(_FOLDER)
            try:
                dispatcher._cache = _Cache(function)  # where numba's own `cache=True` puts a less forgiving one
            except RuntimeError:  # numba finds no way to cache after all
                pass
            finally:
                numba.config.CACHE_DIR = theirs
        return dispatcher

    return compiled


def in_chunks(kernel, inputs, outputs, *parameters):
    """Call a kernel that works point by point on flat arrays of one length, so that Ctrl-C need not wait for the end.

    The kernel takes the inputs, the parameters and the outputs, which it fills, and returns whether it converged. (What
    Python calls returns no array: to make one, numba runs Python code, where a signal handler that raises would leave
    a SystemError or worse.) Returns whether all chunks converged.
    """
    converged = True
    for i in range(0, outputs[0].size, _CHUNK):
        pieces = [[array[i : i + _CHUNK] for array in arrays] for arrays in (inputs, outputs)]
        converged &= kernel(*pieces[0], *parameters, *pieces[1])
    return converged


def kernel_files(package=_PACKAGE):
    """The files that hold kernels, in a fixed order."""
    return [path for path in sorted(package.rglob("*.py")) if b"\n@kernel(" in path.read_bytes()]


def _digest():
    """Name of all that compiled code depends on."""
    parts = [numba.__version__, llvmlite.__version__, platform.python_version(), llvmlite.binding.get_host_cpu_name()]
    seen = hashlib.sha256("\0".join(parts).encode())
    for path in [Path(__file__), *kernel_files()]:
        seen.update(f"\0{path.relative_to(_PACKAGE)}\0".encode() + path.read_bytes())
    return seen.hexdigest()[:16]


def _writable_folder():
    """The folder of this version's kernels in the first place that can be written, or None."""
    theirs = numba.config.CACHE_DIR  # the user's NUMBA_CACHE_DIR
    places = [theirs] if theirs else [_PACKAGE / "__pycache__", platformdirs.user_cache_dir("bsr", appauthor=False)]
    for place in places:
        folder = Path(place).absolute() / (_PREFIX + _digest())
        try:
            new = not folder.exists()
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
            os.utime(folder)  # when it was last used
        except OSError:
            continue
        if new:
            _prune(folder)
        return folder
    return None


def _prune(folder):
    """Remove the folders of other sources that nobody has used for a while."""
    for other in folder.parent.glob(_PREFIX + "*"):
        try:
            old = other != folder and time.time() - other.stat().st_mtime > _KEPT_FOR
        except OSError:  # another process removed it
            continue
        if old:
            shutil.rmtree(other, ignore_errors=True)


class _Notice(numba.core.event.Listener):
    """Says once, on standard error, why the first call takes its time."""

    said = False

    def on_start(self, event):
        module = event.data["dispatcher"].py_func.__module__
        if not _Notice.said and module.split(".")[0] == "bsr":
            _Notice.said = True
            when = "once after each update" if _FOLDER is not None else "at each start, as no folder can be written"
            print(f"bsr: compiling kernels ({when}; some seconds)", file=sys.stderr, flush=True)

    def on_end(self, event):
        pass


_FOLDER = _writable_folder()
if os.environ.get("BSR_COMPILE_NOTICE", "1") != "0":  # the pages of the book should not depend on what was compiled
    numba.core.event.register("numba:compile", _Notice())
