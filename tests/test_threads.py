"""Threads and processes: two Python threads may call anything, BLAS gets its threads back, a fork works."""

import multiprocessing
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from threadpoolctl import threadpool_info

import bsr
from bsr import _threads
from bsr._threads import blas_for


def blas():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


@pytest.mark.parametrize("first_to_use", ["main", "other"])
def test_blas_gets_its_threads_back_whoever_leaves_first(first_to_use):
    before = blas()
    inside, leave, left, end = (threading.Event() for _ in range(4))
    seen = []

    def hold():
        with blas_for(0):
            seen.append(blas())
            inside.set()
            leave.wait(30)
        left.set()
        end.wait(30)  # a thread that lives on, as those of a pool do

    if first_to_use == "main":
        with blas_for(0):
            assert blas() == [1] * len(before)
        assert blas() == before
    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert inside.wait(30)
        with blas_for(0):
            leave.set()
            assert left.wait(30)
            assert blas() == [1] * len(before)  # the thread has left, this one has not
        assert blas() == before
        with blas_for(1e12):
            assert blas() == before
    finally:
        leave.set()
        end.set()
        thread.join()
    assert seen == [[1] * len(before)]


DECOMPOSITIONS = {"svd", "svdvals", "eigh", "eigvalsh_tridiagonal", "solve", "cho_factor", "cho_solve"}
SMALL = {
    "gamp_rie": lambda data: bsr.estimators.gamp_rie(data.X, data.y, 2, iterations=5),
    "posterior": lambda data: bsr.estimators.posterior(data.X, data.y, 2, 0.1, sweeps=12, burn_in=2, min_effective=0.0),
    "primal-dual": lambda data: bsr.estimators.nuclear_norm(data.X, data.y, 0.1, tol=1e-3, method="primal-dual"),
    "penalised": lambda data: bsr.estimators.nuclear_norm(data.X, data.y, 0.1, tol=1e-3, method="douglas-rachford"),
    "interpolating": lambda data: bsr.estimators.nuclear_norm(data.X, data.y, tol=1e-3, method="douglas-rachford"),
}


@pytest.mark.filterwarnings("ignore::bsr.ConvergenceWarning")
@pytest.mark.parametrize("name", SMALL)
def test_small_decompositions_have_one_thread(name):
    data, held = bsr.Problem(0.6, 1.5, 0.3, 0.1).sample(8, rng=0), []

    def listen(frame, event, _):
        if event == "call" and frame.f_code.co_name in DECOMPOSITIONS and "linalg" in frame.f_code.co_filename:
            held.append((frame.f_code.co_name, _threads._holders))

    before = sys.getprofile()
    sys.setprofile(listen)
    try:
        SMALL[name](data)
    finally:
        sys.setprofile(before)
    assert len(held) >= 3
    assert [function for function, holders in held if not holders] == []


CODE = """
from concurrent.futures import ThreadPoolExecutor
import numpy as np
import bsr
data = bsr.Problem(0.6, 1.0, 0.3, 0.1).sample(30, rng=0)
alone = bsr.sensing.fused(data.X, data.S, data.y, 1.0)[1]
with ThreadPoolExecutor(4) as pool:
    for G in pool.map(lambda _: bsr.sensing.fused(data.X, data.S, data.y, 1.0)[1], range(200)):
        assert np.array_equal(G, alone)
"""


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["default", "workqueue"])
def test_several_python_threads_may_pass_over_the_data(layer):
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=os.environ | {"NUMBA_THREADING_LAYER": layer}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_of_a_process_that_has_passed_over_data_gets_the_same_to_the_last_bit():
    data = bsr.Problem(0.6, 1.0, 0.3, 0.1).sample(30, rng=0)
    expected = bsr.sensing.fused(data.X, data.S, data.y, 1.0)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.starmap_async(bsr.sensing.fused, [(data.X, data.S, data.y, 1.0)] * 4).get(timeout=60)
    for pair in found:
        for one, other in zip(pair, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def in_and_out():
    before = blas()
    with blas_for(0):
        inside = blas()
    return before, inside, blas()


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_has_neither_the_locks_nor_the_limits_of_the_threads_that_it_has_not():
    before = blas()
    with blas_for(0), _threads._blas:
        pool = multiprocessing.get_context("fork").Pool(1)
    with pool:
        found = pool.apply_async(in_and_out).get(timeout=30)
    assert found == (before, [1] * len(before), before)
    assert in_and_out() == found


def test_a_thread_that_was_interrupted_does_not_keep_the_lock():
    X = np.ones((100, 4, 5))
    with pytest.raises(ValueError, match="S must have"):
        bsr.sensing.forward(X, np.ones(3))
    assert not _threads.layer.locked()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(bsr.sensing.forward, X, np.ones((4, 5))).result(timeout=30).sum() == pytest.approx(2000)
