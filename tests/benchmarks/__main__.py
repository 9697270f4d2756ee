"""What the book says about accuracy and speed, measured anew and kept in `measured.json`.

    python tests/benchmarks [SCRIPT ...]      the short ones by default, some minutes; `all` for all of them
    python tests/benchmarks --list            what there is, and what each needs

Each script is a module of this folder with a function `measure`, which prints what it does and returns its numbers,
`{name: (value, unit, what)}`. It runs in a process of its own. What it returns replaces what an earlier run of it left;
what other scripts left stays, so that a record may be completed script by script. A script that fails, or whose rival
is not installed, changes nothing.

The file has two parts. `values` maps `script.name` to a value, or to the least and the largest of several, its unit
(s, GB, GB/s, or nothing for counts and ratios) and what it is, in words. `runs` says of each script when it ran, at
which commit, on what and with which versions; `others` is how many cores other programs took meanwhile, `busy` whether
that was more than a tenth of those available. `book/_ext/measured.py` puts the numbers on pages, by their keys; so a
key that a page uses must not change its meaning. The page of explorers computes times from

    gamp.pass_per_entry                     s, a fused pass over float32, per entry of X (n = 4000, dL = 10^4)
    gamp.svd, gamp.svd_constant             s, a decomposition at d = L = 100; the same over m^2 M
    gamp.iterations                         of a whole fit, typical
    nuclear_norm.fit_{20,50,100}            s, alpha = 0.45, gap 1e-6, all cores; nuclear_norm_large.fit_200
    growth.{gamp,descent,sampler,ridge,nuclear_norm}_{25,50,100,200}
                                            s, one thread: an iteration, a step of 64 replicas, a sweep, fits
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

FOLDER = Path(__file__).parent
FILE = FOLDER / "measured.json"
SHORT = {  # script: its module, and its threads (None: one a core)
    "accuracy": ("accuracy", 1),
    "theory": ("bench_theory", 1),
    "first_call": ("bench_first_call", None),
    "sensing": ("bench_sensing", None),
    "tokens": ("bench_tokens", None),
    "gamp": ("bench_gamp", None),
    "channels": ("bench_channels", 1),
    "nuclear_norm": ("bench_nuclear_norm", None),
    "growth": ("bench_growth", 1),
    "workers": ("bench_workers", 1),
}
LONG = {  # with rivals to install, gigabytes, or a quarter of an hour
    "descent": ("bench_gradient_descent", None),
    "conic": ("bench_conic", None),
    "regression": ("bench_regression", 1),
    "nuclear_norm_large": ("bench_nuclear_norm_large", None),
    "random_problems": ("gamp_channels", 1),
    "file": ("larger_than_memory", None),
}
SCRIPTS = SHORT | LONG
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
VERSIONS = ("numpy", "scipy", "numba", "torch", "cvxpy", "scs", "tensorly")


def cores():
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def machine():
    """In words that are no one's name."""
    names = [line.partition(": ")[2] for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = psutil.virtual_memory().total / 1e9
    return f"{cores()} cores of {names[0] if names else platform.machine()}, {memory:.0f} GB of memory"


def _lines(path):
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def commit():
    """The commit, with + for changes that are not in it, other than in the record."""
    git = ["git", "-C", str(FOLDER)]
    head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True)
    if head.returncode:
        return None
    changed = subprocess.run([*git, "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True)
    names = [line[3:] for line in changed.stdout.splitlines()]
    return head.stdout.strip() + "+" * any(not name.endswith(FILE.name) for name in names)


def versions():
    found = {"python": platform.python_version()}
    for name in VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # a rival that is not there
            continue
    return found


def used():
    """Seconds of all cores, and of this process and those that it has waited for."""
    whole, own = psutil.cpu_times(), os.times()
    return whole.user + whole.system + getattr(whole, "nice", 0.0), sum(own[:4])


def run(script):
    """The numbers of a script, from a process of its own, and how that went."""
    module, threads = SCRIPTS[script]
    environment = {key: value for key, value in os.environ.items() if key not in THREADS}
    environment |= dict.fromkeys(THREADS, str(threads)) if threads else {}
    environment["PYTHONPATH"] = os.pathsep.join([str(FOLDER.parents[1]), os.environ.get("PYTHONPATH", "")])
    start, before = time.time(), used()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "numbers.json"
        subprocess.run([sys.executable, str(FOLDER), "--only", module, str(out)], env=environment, check=True)
        numbers = json.loads(out.read_text())
    seconds, after = time.time() - start, used()
    others = max(0.0, (after[0] - before[0]) - (after[1] - before[1])) / seconds
    about = {
        "date": datetime.date.fromtimestamp(start).isoformat(),
        "commit": commit(),
        "machine": machine(),
        "threads": threads or cores(),
        "seconds": round(seconds),
        "others": round(others, 2),
        "busy": others > 0.1 * cores(),
        "versions": versions(),
    }
    return numbers, about


def record(script, numbers, about, path=FILE):
    """Put the numbers of a script in the place of those that it left before."""
    kept = json.loads(path.read_text()) if path.exists() else {"runs": {}, "values": {}}
    values = {key: value for key, value in kept["values"].items() if key.split(".")[0] != script}
    for name, (value, unit, what) in numbers.items():
        values[f"{script}.{name}"] = {"value": _rounded(value), "unit": unit, "what": what}
    runs = kept["runs"] | {script: about}
    ordered = sorted(values.items(), key=lambda item: item[0].split(".")[0])  # within a script as it tells them
    whole = {"runs": dict(sorted(runs.items())), "values": dict(ordered)}
    path.write_text(_dumped(whole), encoding="utf-8")


def _rounded(value):
    """Counts as they are, of others four digits: more than a time is worth."""
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return value if isinstance(value, int) else float(f"{value:.4g}")


def _dumped(whole):
    """JSON with a line for each run and each value."""
    parts = []
    for name, entries in whole.items():
        lines = [f"  {json.dumps(key)}: {json.dumps(entry, ensure_ascii=False)}" for key, entry in entries.items()]
        parts.append(f'"{name}": {{\n' + ",\n".join(lines) + "\n}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scripts", nargs="*", help="names, or all; the short ones by default")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--only", nargs=2, help=argparse.SUPPRESS)  # what the process of a script is called with
    arguments = parser.parse_args()
    if arguments.only:
        module, out = arguments.only
        Path(out).write_text(json.dumps(import_module(module).measure()))
        return
    if arguments.list:
        for script, (module, threads) in SCRIPTS.items():
            kind = "" if script in SHORT else "long, "
            print(f"{script:20} {module}.py, {kind}{threads or 'all'} threads")
        return
    chosen = arguments.scripts or list(SHORT)
    chosen = list(SCRIPTS) if chosen == ["all"] else chosen
    if unknown := [script for script in chosen if script not in SCRIPTS]:
        parser.error(f"scripts must be among {', '.join(SCRIPTS)}, got {', '.join(unknown)}")
    failed = []
    for script in chosen:
        print(f"\n==> {script}", flush=True)
        try:
            numbers, about = run(script)
        except subprocess.CalledProcessError:
            failed.append(script)
            continue
        record(script, numbers, about)
        print(f"{len(numbers)} numbers in {about['seconds']} s{', on a busy machine' * about['busy']}", flush=True)
    if failed:
        sys.exit(f"nothing recorded of {', '.join(failed)}")


if __name__ == "__main__":
    main()
