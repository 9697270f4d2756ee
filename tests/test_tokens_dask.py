"""Tokens in dask arrays: the same sums on threads and on clusters, which may lose workers, and clear ends."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from bsr.estimators import ridge
from bsr.tokens import ArrayTokens, Centred, DaskTokens, Whitened, as_tokens, whiten

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")

N, L, D = 70, 6, 9


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def of_chunks(X, count):
    return da.from_array(X, chunks=(-(-len(X) // count), -1, -1))


def passes(rng):
    """Every pass, for one S and for three."""
    for stack in ((), (3,)):
        S, y = rng.standard_normal((*stack, L, D)), rng.standard_normal((*stack, N))
        yield lambda X, S=S: X.forward(S)
        yield lambda X, y=y: X.adjoint(y)
        yield lambda X, S=S, y=y: X.residual(S, y)[0]
        yield lambda X, S=S, y=y: X.residual(S, y)[1]
    yield lambda X, S=S, y=y: X.residual(S, y[0])[1]


def assert_same(rng, tokens, X):
    reference = ArrayTokens(X)
    for function in passes(rng):
        expected, found = function(reference), function(tokens)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * abs(expected).max())
    np.testing.assert_array_equal(tokens.dense(), X)
    np.testing.assert_array_equal(tokens.some(7), reference.some(7))
    assert tokens.some(7).flags.c_contiguous
    tokens.check_range()


@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
@pytest.mark.parametrize("chunks", [1, 2, 7, N])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_are_those_of_an_array(rng, scheduler, chunks, dtype):
    X = rng.standard_normal((N, L, D)).astype(dtype)
    with dask.config.set(scheduler=scheduler):
        assert_same(rng, as_tokens(of_chunks(X, chunks)), X)


def test_any_dask_array_is_taken(rng):
    X = rng.standard_normal((N, L, D))
    assert isinstance(as_tokens(of_chunks(X, 7)), DaskTokens)
    assert_same(rng, as_tokens(da.from_array(X, chunks=(10, 2, 4))), X)
    assert_same(rng, as_tokens(of_chunks(X.transpose(2, 1, 0), 2).T), X)  # of another memory order
    kept = da.concatenate([of_chunks(X, 7)[:0], of_chunks(X, 7)])
    assert_same(rng, as_tokens(kept), X)  # with an empty chunk
    for dtype in (np.int8, bool, np.float16, ">f8", ">f4"):
        tokens = as_tokens(of_chunks(X, 7).astype(dtype))
        assert tokens.dtype == np.float64
        np.testing.assert_array_equal(tokens.dense(), X.astype(dtype))


def test_a_pass_computes_each_chunk_once(rng):
    seen = []

    def look(block, block_info=None):
        seen.append(block_info[0]["chunk-location"][0])
        return block

    X = rng.standard_normal((N, L, D))
    tokens = DaskTokens(of_chunks(X, 7).map_blocks(look, dtype=float, meta=np.empty((0, 0, 0))))
    for function in (
        lambda: tokens.residual(np.ones((L, D)), np.ones(N)),
        lambda: tokens.forward(np.ones((L, D))),
        lambda: tokens.adjoint(np.ones(N)),
        tokens.check_range,
        tokens.dense,
    ):
        function()
        assert sorted(seen) == list(range(7))
        seen.clear()


def test_views_and_whitening_work_where_the_data_are(rng):
    X = rng.standard_normal((N, L, D)) + 2.0
    P, Q = rng.standard_normal((5, L)), rng.standard_normal((D, 4))
    tokens = DaskTokens(of_chunks(X, 7))
    for view in (Centred, lambda X: Whitened(Centred(X), P, Q)):
        np.testing.assert_allclose(view(tokens).dense(), view(X).dense(), rtol=0, atol=1e-13)
        view(tokens).check_range()
    first, second = whiten(X), whiten(tokens)
    np.testing.assert_allclose(second.P, first.P, rtol=0, atol=1e-12)
    np.testing.assert_allclose(second.Q, first.Q, rtol=0, atol=1e-12)


@pytest.mark.parametrize("what", ["forward", "adjoint", "residual", "check_range"])
def test_bad_entries_are_named_with_their_rows(rng, what):
    X = rng.standard_normal((N, L, D))
    X[41, 2, 3] = np.nan
    tokens = DaskTokens(of_chunks(X, 7))
    args = {"forward": [np.ones((L, D))], "adjoint": [np.ones(N)], "residual": [np.ones((L, D)), np.ones(N)]}
    with pytest.raises(ValueError, match=r"^X must be finite.* in row 41$"):
        getattr(tokens, what)(*args.get(what, []))


def test_bad_arrays_are_named():
    X = da.ones((N, L, D), chunks=(10, -1, -1))
    unknown = X[X[:, 0, 0] > 0]
    for bad in (unknown, X[0], X[:0], X.astype(complex), X.astype("datetime64[s]"), np.ones((N, L, D))):
        with pytest.raises(ValueError, match=r"^X must"):
            DaskTokens(bad)
    unknown.compute_chunk_sizes()
    assert DaskTokens(unknown).shape == (N, L, D)
    wrong = DaskTokens(X.map_blocks(lambda block: block[1:], dtype=X.dtype, meta=np.empty((0, 0, 0))))
    with pytest.raises(ValueError, match=r"^X must have chunks as it says, \(10, 6, 9\) float64 from row \d+ on, got"):
        wrong.forward(np.ones((L, D)))


@pytest.mark.parametrize("use", ["forward", "dense", "rows", "some", "check_range"])
def test_masked_entries_are_named(use):
    tokens = DaskTokens(da.ma.masked_greater(da.arange(N * L * D, chunks=-1).reshape(N, L, D).astype(float), 5.0))
    uses = {"forward": lambda: tokens.forward(np.ones((L, D))), "rows": lambda: list(tokens.rows(np.float32))}
    uses |= {"dense": tokens.dense, "some": lambda: tokens.some(3), "check_range": tokens.check_range}
    with pytest.raises(ValueError, match=r"X must be .* entries are masked"):
        uses[use]()


def test_errors_of_chunks_are_passed_on():
    def fail(block):
        raise FileNotFoundError("no such chunk")

    tokens = DaskTokens(da.ones((N, L, D), chunks=(10, -1, -1)).map_blocks(fail, meta=np.empty((0, 0, 0))))
    with pytest.raises(FileNotFoundError, match="no such chunk"):
        tokens.forward(np.ones((L, D)))


def test_without_dask_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "dask.array", None)
    with pytest.raises(ImportError, match=r"install bilinear-sequence-regression\[cluster\]"):
        DaskTokens(None)


@pytest.mark.slow
def test_dask_is_not_imported_unless_asked_for():
    code = "import sys, bsr; bsr.tokens.as_tokens([[[1.0]]]); print(*{'dask', 'torch', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


# Clusters


@pytest.fixture
def distributed():
    return pytest.importorskip("distributed")


def cluster(distributed, workers):
    options = {"threads_per_worker": 1, "processes": True, "dashboard_address": None, "silence_logs": 50}
    return distributed.LocalCluster(n_workers=workers, **options)


def ready(client):
    """So that workers find this file."""
    client.run(sys.path.insert, 0, str(Path(__file__).parent))
    return client


@pytest.mark.slow
def test_a_cluster_gives_the_same(rng, distributed):
    X = rng.standard_normal((N, L, D)).astype(np.float32)
    tokens = DaskTokens(of_chunks(X, 7))
    local = tokens.residual(np.ones((L, D)), np.ones(N))
    with cluster(distributed, 2) as place, distributed.Client(place) as client:
        ready(client)
        assert_same(rng, tokens, X)
        assert_same(rng, DaskTokens(tokens.array.persist()), X)
        np.testing.assert_allclose(whiten(tokens).P, whiten(X).P, rtol=0, atol=1e-12)
        fits = [ridge(kind, X[:, 0, 0], 0.1, method="conjugate-gradients").S for kind in (tokens, X)]
        np.testing.assert_allclose(fits[0], fits[1], rtol=0, atol=1e-9)
        for here, there in zip(local, tokens.residual(np.ones((L, D)), np.ones(N)), strict=True):
            np.testing.assert_array_equal(here, there)


def deadly(block, block_info=None, *, mark):
    """End the worker that has the fourth chunk, the first time."""
    time.sleep(0.05)
    if block_info[0]["chunk-location"][0] == 3 and not os.path.exists(mark):
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return block


@pytest.mark.slow
def test_a_worker_that_is_killed_in_a_pass_changes_nothing(rng, distributed, tmp_path):
    X, S, y = rng.standard_normal((N, L, D)), rng.standard_normal((L, D)), rng.standard_normal(N)
    mark = tmp_path / "mark"
    array = of_chunks(X, 14).map_blocks(partial(deadly, mark=str(mark)), dtype=float, meta=np.empty((0, 0, 0)))
    with cluster(distributed, 2) as place, distributed.Client(place) as client:
        ready(client)
        found = DaskTokens(array).residual(S, y)
    assert mark.exists()
    for here, there in zip(DaskTokens(of_chunks(X, 14)).residual(S, y), found, strict=True):
        np.testing.assert_array_equal(here, there)


@pytest.mark.slow
def test_a_client_that_is_gone_is_an_error(rng, distributed):
    X = rng.standard_normal((N, L, D))
    tokens = DaskTokens(of_chunks(X, 7))
    with cluster(distributed, 1) as place:
        client = ready(distributed.Client(place))
        held = DaskTokens(tokens.array.persist())
        assert_same(rng, held, X)
        with client.as_current():
            client.close()
            for lost in (tokens, held):
                with pytest.raises(RuntimeError, match="Client is closed"):
                    lost.forward(np.ones((L, D)))
    with dask.config.set(scheduler="threads"):
        assert_same(rng, tokens, X)
        with pytest.raises(RuntimeError, match="Client is closed"):
            held.forward(np.ones((L, D)))
