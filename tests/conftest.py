"""Before the tests: throw away kernels that were compiled from older sources.

numba's cache renews a kernel when its own file changes, not when a kernel does that it calls in another file.
"""

from importlib.util import find_spec
from pathlib import Path

PACKAGE = Path(find_spec("bsr").origin).parent
NEWEST = max(source.stat().st_mtime for source in PACKAGE.rglob("*.py"))
for index in PACKAGE.rglob("__pycache__/*.nbi"):
    if index.stat().st_mtime < NEWEST:
        index.unlink(missing_ok=True)
