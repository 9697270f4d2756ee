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
CALL = "import bsr; print(float(bsr.spectrum.edges(2.0, 0.3, 0.5)[0]))"
CONSTANT = "import numpy; from bsr import _law; print(_law.most_nodes(numpy.zeros(1)))"


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


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_of_kernels_has_nothing_else_and_depends_on_nothing_else(path):
    names = {".".join(("bsr", *file.relative_to(PACKAGE).with_suffix("").parts)) for file in FILES} | {"bsr._compile"}
    for module, name in imports(path):
        assert module in names or f"{module}.{name}" in names
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            assert [ast.unparse(d).split("(")[0] for d in node.decorator_list] == ["kernel"]


def test_all_kernels_are_found():
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert path.name == "_compile.py" or not ("njit" in text or "@jit" in text), path
        assert (path in FILES) == ("@kernel(" in text) or path.name == "_compile.py", path


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_module_imports_what_another_keeps_to_itself(path):
    for module, name in imports(path):
        submodule = PACKAGE.joinpath(*module.split(".")[1:], name + ".py")  # a private module is no private name
        assert not name.startswith("_") or name == "__version__" or submodule.exists(), f"{module}.{name}"


@pytest.mark.slow
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

    many, _ = run(CONSTANT, copy)  # numba freezes globals
    constant = copy / "bsr" / "_law.py"
    text = constant.read_text(encoding="utf-8")
    assert "_DOUBLE_EXPONENTIAL_LEVELS = 32, 4096" in text
    constant.write_text(text.replace("LEVELS = 32, 4096", "LEVELS = 32, 8192"), encoding="utf-8")
    assert int(run(CONSTANT, copy)[0]) == 2 * int(many)


def test_the_folder_is_named_after_all_that_machine_code_depends_on(monkeypatch):
    names, read = [_compile._digest()], Path.read_bytes
    assert len(FILES) >= 6
    for path in (Path(_compile.__file__), *FILES):
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", lambda self, path=path: read(self) + b"#" * (self == path))
            names.append(_compile._digest())
    for module, name, other in (
        (_compile.numba, "__version__", "0"),
        (_compile.llvmlite, "__version__", "0"),
        (_compile.platform, "python_version", lambda: "0"),
        (_compile.llvmlite.binding, "get_host_cpu_name", lambda: "other"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, other)
            names.append(_compile._digest())
    assert len(set(names)) == len(names) == 1 + 1 + len(FILES) + 4
    assert _compile._digest() == names[0]


@pytest.mark.slow
def test_where_nothing_can_be_written_all_is_compiled_in_memory(copy):
    (copy / "bsr" / "__pycache__").write_text("a file, so not even root can put a folder here")
    (copy / "home" / ".cache").write_text("the same")
    value, notice = run("import sys; sys.dont_write_bytecode = True; " + CALL, copy)
    assert float(value) == bsr.spectrum.edges(2.0, 0.3, 0.5)[0]
    assert "at each start" in notice
    assert not list(copy.rglob("*.nbi"))


@pytest.mark.slow
def test_a_folder_of_the_user_is_respected(copy):
    assert run(CONSTANT, copy, NUMBA_CACHE_DIR=str(copy / "mine"), BSR_COMPILE_NOTICE="0")[1] == ""
    found = list(copy.rglob("*.nbi"))
    assert found
    assert all(path.is_relative_to(copy / "mine") for path in found)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "size"), [("nbi", 0), ("nbc", 100)])
def test_a_file_cut_short_is_compiled_anew_once(copy, kind, size):
    """As a crash or a full disk may leave it."""
    value, notice = run(CONSTANT, copy)
    assert notice
    for path in copy.rglob(f"*.{kind}"):
        os.truncate(path, size)
    assert run(CONSTANT, copy) == (value, notice)
    assert run(CONSTANT, copy) == (value, "")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_where_the_disk_is_full_all_is_compiled_in_memory(copy):
    full = """import resource, signal, sys
sys.dont_write_bytecode = True
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
"""
    assert run(full + CONSTANT, copy)[0] == run(CONSTANT, copy)[0]


@pytest.mark.slow
def test_a_folder_of_the_user_is_where_it_was_at_the_import(copy):
    (copy / "other").mkdir()
    run(CONSTANT.replace("; print", "; import os; os.chdir('other'); print"), copy, NUMBA_CACHE_DIR="mine")
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


no_signals = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")


@pytest.mark.slow
@no_signals
@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_is_heard_soon_and_is_a_keyboard_interrupt():
    data = bsr.Problem(0.6, 1.0, 0.3, 0.1).sample(40, rng=0)
    alpha = np.linspace(0.1, 2.0, 200)
    calls = {
        "pass": lambda: bsr.sensing.fused(data.X, data.S, data.y, 1.0),
        "curve": lambda: bsr.theory.bayes.mmse(alpha, 1.0, 0.2, 0.1),
        "law": lambda: bsr.denoising.mmse(alpha, 1.0, 0.2),
    }
    for name, call in calls.items():
        call()  # compiled: LLVM calls Python back, where an interrupt may be lost
        for i in range(6):
            delay = 0.1 + 0.013 * i
            timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
            start = time.perf_counter()
            with pytest.raises(KeyboardInterrupt):  # noqa: PT012
                timer.start()
                while time.perf_counter() - start < 30.0:
                    call()
                pytest.fail(f"{name}: nothing was heard")


@pytest.mark.slow
@no_signals
@pytest.mark.usefixtures("ctrl_c")
def test_a_long_curve_is_interrupted_soon():
    alpha = np.linspace(0.1, 2.0, 1_000_000)  # minutes
    bsr.theory.bayes.mmse(0.5, 1.0, 0.2, 0.1)
    start = time.perf_counter()
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        bsr.theory.bayes.mmse(alpha, 1.0, 0.2, 0.1)
    assert time.perf_counter() - start < 10.0  # 0.2 s and a chunk, but for other programs
