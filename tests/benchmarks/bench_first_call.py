"""The first call of each wing on a cold cache: seconds, and what numba compiles.

    python tests/benchmarks/bench_first_call.py [CHECKOUT ...]

Each call runs in a fresh process with an empty cache folder, then once more with a full one. Other checkouts of the
package may be named, to compare two versions in one run: the current one comes first.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from _timing import span

HERE = Path(__file__).parents[2]
CALLS = {
    "bayes.mmse": "bsr.theory.bayes.mmse(0.4, 1.0, 0.2)",
    "bayes.free_entropy": "bsr.theory.bayes.free_entropy(0.3, 0.4, 1.0, 0.2)",
    "nuclear_norm.mse": "bsr.theory.nuclear_norm.mse(0.4, 1.0, 0.2, 0.1, lam=None)",
    "gamp_rie": "bsr.estimators.gamp_rie(data.X, data.y, 4)",
    "nuclear_norm": "bsr.estimators.nuclear_norm(data.X, data.y, 1.0)",
}
SCRIPT = """
import sys, time
import numba.core.event as event
count = []
class Count(event.Listener):
    def on_start(self, e): count.append(e)
    def on_end(self, e): pass
event.register("numba:compile", Count())
start = time.perf_counter()
import bsr
imported = time.perf_counter()
data = bsr.Problem(0.8, 1.0, 0.2, 0.1).sample(20) if "data" in {call!r} else None
begin = time.perf_counter()
{call}
print(imported - start, time.perf_counter() - begin, len(count))
"""


def once(checkout, call, cache):
    environment = os.environ | {"NUMBA_CACHE_DIR": cache, "PYTHONPATH": str(checkout), "BSR_COMPILE_NOTICE": "0"}
    script = SCRIPT.format(call=call)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], env=environment, capture_output=True, text=True
    )
    return map(float, done.stdout.split()) if done.returncode == 0 else [float("nan")] * 3


def compare(checkouts):
    """Table of all calls; seconds of the import, cold and warm, and the number of kernels, of the first checkout."""
    found = {}
    print(f"{'call':20} {'checkout':>10} {'import s':>9} {'cold s':>8} {'compiled':>9} {'warm s':>8}")
    for name, call in CALLS.items():
        for k, checkout in enumerate(checkouts):
            with tempfile.TemporaryDirectory() as cache:
                imported, cold, compiled = once(checkout, call, cache)
                again, warm, _ = once(checkout, call, cache)
            label = "this one" if k == 0 else f"other {k}"
            print(f"{name:20} {label:>10} {imported:9.2f} {cold:8.2f} {compiled:9.0f} {warm:8.3f}", flush=True)
            if k == 0:
                found[name] = {"import": again, "cold": cold, "compiled": compiled, "warm": warm}
    return found


def measure():
    found = compare([HERE])
    numbers = {"import": (span([times["import"] for times in found.values()]), "s", "`import bsr`, of some processes")}
    for name, times in found.items():
        key = name.replace(".", "_")
        numbers[f"{key}_cold"] = times["cold"], "s", f"first call of {name}, compiling {times['compiled']:.0f} kernels"
        numbers[f"{key}_warm"] = times["warm"], "s", f"first call of {name}, with compiled code on disk"
        numbers[f"{key}_kernels"] = int(times["compiled"]), "", f"kernels that the first call of {name} compiles"
    return numbers


if __name__ == "__main__":
    compare([HERE, *map(Path, sys.argv[1:])])
