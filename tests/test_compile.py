"""Kernels: never those of other sources, in any writable place or none; and a first call that says what it does."""

import ast
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import bsr
from bsr import _compile

PACKAGE = Path(bsr.__file__).parent
FILES = _compile.kernel_files()
CALL = "import bsr; print(float(bsr.denoising.mmse(0.5, 1.0, 0.2)))"


def run(code, folder, **environment):
    """Standard output and error of a script that imports the copy of the package in `folder`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "BSR_", "XDG_"))}
    clean |= {"PYTHONPATH": str(folder), "HOME": str(folder / "home")} | environment
    done = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr.strip()


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "bsr", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "home").mkdir()
    return tmp_path


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "bsr":
            for alias in node.names:
                yield node.module, alias.name


def test_an_edit_to_a_kernel_that_others_call_is_seen_and_an_edit_elsewhere_compiles_nothing(copy):
    before, notice = run(CALL, copy)
    assert "compiling" in notice
    assert run(CALL, copy) == (before, "")

    public = copy / "bsr" / "denoising.py"
    public.write_text(public.read_text(encoding="utf-8") + "\n# a comment\n", encoding="utf-8")
    assert run(CALL, copy) == (before, "")

    law = copy / "bsr" / "_uniformisation.py"  # two files away from the kernel that is called
    source = law.read_text(encoding="utf-8")
    assert "return rho / (kappa - 1.0) + rho * noise / kappa" in source
    law.write_text(source.replace("rho / (kappa - 1.0) +", "1.01 * rho / (kappa - 1.0) +"), encoding="utf-8")
    after, notice = run(CALL, copy)
    assert after != before
    assert "compiling" in notice

    constant = copy / "bsr" / "_denoisers.py"  # numba freezes globals
    text = constant.read_text(encoding="utf-8")
    constant.write_text(text.replace("_SMALLEST_NOISE = 1e-30", "_SMALLEST_NOISE = 2.0"), encoding="utf-8")
    assert run(CALL, copy)[0] != after


def test_where_nothing_can_be_written_all_is_compiled_in_memory(copy):
    (copy / "bsr" / "__pycache__").write_text("a file, so not even root can put a folder here")
    (copy / "home" / ".cache").write_text("the same")
    value, notice = run("import sys; sys.dont_write_bytecode = True; " + CALL, copy)
    assert float(value) == bsr.denoising.mmse(0.5, 1.0, 0.2)
    assert "at each start" in notice
    assert not list(copy.rglob("*.nbi"))


def test_a_folder_of_the_user_is_respected(copy):
    assert run(CALL, copy, NUMBA_CACHE_DIR=str(copy / "mine"), BSR_COMPILE_NOTICE="0")[1] == ""
    found = list(copy.rglob("*.nbi"))
    assert found
    assert all(path.is_relative_to(copy / "mine") for path in found)


def test_folders_of_other_sources_are_removed_when_nobody_has_used_them(tmp_path):
    ours, recent, old = (tmp_path / f"{_compile._PREFIX}{name}" for name in ("ours", "recent", "old"))
    for folder in (ours, recent, old):
        folder.mkdir()
    long_ago = time.time() - 2 * _compile._KEPT_FOR
    for folder in (ours, old):
        os.utime(folder, (long_ago, long_ago))
    (tmp_path / "unrelated").mkdir()
    _compile._prune(ours)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([ours.name, recent.name, "unrelated"])


def test_chunks_fill_the_outputs_and_every_flag_counts():
    seen = []

    def double(x, factor, out):
        seen.append(x.size)
        out[:] = factor * x
        return bool(x[0] < 100)

    x = np.arange(2.5 * _compile._CHUNK)
    out = np.empty_like(x)
    assert not _compile.in_chunks(double, [x], [out], 2.0)
    np.testing.assert_array_equal(out, 2.0 * x)
    assert len(seen) == 3
    assert _compile.in_chunks(double, [x[:0]], [out[:0]], 2.0)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_ctrl_c_is_heard_soon_and_is_a_keyboard_interrupt():
    data = bsr.Problem(0.6, 1.0, 0.3, 0.1).sample(40, rng=0)
    alpha = np.linspace(0.1, 2.0, 200_000)
    calls = {
        "pass": lambda: [bsr.sensing.fused(data.X, data.S, data.y, 1.0) for _ in range(10**6)],
        "curve": lambda: bsr.theory.bayes.mmse(alpha, 1.0, 0.2, 0.1),
        "law": lambda: bsr.denoising.mmse(alpha, 1.0, 0.2),
    }
    bsr.theory.bayes.mmse(0.5, 1.0, 0.2, 0.1)  # compiled
    for name, call in calls.items():
        for i in range(6):
            delay = 0.1 + 0.013 * i
            timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
            start = time.perf_counter()
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                call()
            assert time.perf_counter() - start < delay + 2.0, name
