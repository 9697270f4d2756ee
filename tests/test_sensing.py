"""The sensing operator: exact on integers, adjoint to itself, linear, and honest about bad input."""

import numpy as np
import pytest
from numba import get_num_threads, set_num_threads

from bsr.sensing import adjoint, forward, fused

DTYPES = [np.float32, np.float64]
ROWS = [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 24, 41]  # with and without a rest after blocks of rows and after threads
TOKENS = [(1, 1), (1, 6), (3, 5), (13, 19)]


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", ROWS)
@pytest.mark.parametrize("shape", TOKENS)
def test_exact_on_integers(rng, dtype, n, shape):
    # Sums of small integers have no rounding error in any order, so every row and column must count exactly once.
    X = rng.integers(-9, 10, (n, *shape))
    S, g, target = rng.integers(-9, 10, shape), rng.integers(-9, 10, n), rng.integers(-9, 10, n)
    tokens = X.astype(dtype)

    np.testing.assert_array_equal(forward(tokens, S), np.einsum("mij,ij->m", X, S))
    np.testing.assert_array_equal(adjoint(tokens, g), np.einsum("m,mij->ij", g, X))
    residual, gradient = fused(tokens, S, target, -2.0)
    np.testing.assert_array_equal(residual, -2 * (target - np.einsum("mij,ij->m", X, S)))
    np.testing.assert_array_equal(gradient, np.einsum("m,mij->ij", residual, X))
    assert {a.dtype for a in (forward(tokens, S), adjoint(tokens, g), residual, gradient)} == {np.dtype(float)}


@pytest.mark.parametrize("dtype", DTYPES)
def test_rounding_is_that_of_float64(rng, dtype):
    # The entries of float32 tokens are exact in float64; only the storage is short, never a product or a sum.
    X = rng.standard_normal((203, 40, 30)).astype(dtype)
    S, y = rng.standard_normal((40, 30)), rng.standard_normal(203)
    X64 = X.astype(np.float64)
    inner = np.einsum("mij,ij->m", X64, S)
    np.testing.assert_allclose(forward(X, S), inner, rtol=0, atol=1e-12 * np.abs(inner).max())
    back = np.einsum("m,mij->ij", y, X64)
    np.testing.assert_allclose(adjoint(X, y), back, rtol=0, atol=1e-12 * np.abs(back).max())


@pytest.mark.parametrize("dtype", DTYPES)
def test_fused_is_forward_then_adjoint(rng, dtype):
    X = rng.standard_normal((77, 9, 11)).astype(dtype)
    S, y = rng.standard_normal((9, 11)), rng.standard_normal(77)
    g, G = fused(X, S, y, 0.3)
    expected = 0.3 * (y - forward(X, S))
    np.testing.assert_allclose(g, expected, rtol=0, atol=1e-13 * np.abs(expected).max())
    expected = adjoint(X, g)
    np.testing.assert_allclose(G, expected, rtol=0, atol=1e-13 * np.abs(expected).max())


@pytest.mark.parametrize("dtype", DTYPES)
def test_adjointness(rng, dtype):
    X = rng.standard_normal((61, 8, 21)).astype(dtype)
    S, g = rng.standard_normal((8, 21)), rng.standard_normal(61)
    assert np.vdot(forward(X, S), g) == pytest.approx(np.vdot(S, adjoint(X, g)), rel=1e-12)


def test_linearity(rng):
    X = rng.standard_normal((30, 4, 6))
    S, T = rng.standard_normal((2, 4, 6))
    g, h = rng.standard_normal((2, 30))
    np.testing.assert_allclose(forward(X, 2 * S - 3 * T), 2 * forward(X, S) - 3 * forward(X, T), atol=1e-12)
    np.testing.assert_allclose(adjoint(X, 2 * g - 3 * h), 2 * adjoint(X, g) - 3 * adjoint(X, h), atol=1e-12)


def test_memory_order_of_the_small_arrays_is_free(rng):
    X = rng.standard_normal((12, 5, 7))
    S, g = rng.standard_normal((7, 5)).T, rng.standard_normal(24)[::2]
    np.testing.assert_allclose(forward(X, S), np.einsum("mij,ij->m", X, S), atol=1e-12)
    np.testing.assert_allclose(adjoint(X, g), np.einsum("m,mij->ij", g, X), atol=1e-12)


def test_repeats_to_the_last_bit_and_threads_do_not_matter(rng):
    X = rng.standard_normal((100, 10, 10), dtype=np.float32)
    S, y = rng.standard_normal((10, 10)), rng.standard_normal(100)
    g, G = fused(X, S, y, 1.0)
    for _ in range(20):
        again = fused(X, S, y, 1.0)
        assert np.array_equal(again[0], g)
        assert np.array_equal(again[1], G)
    threads = get_num_threads()
    try:
        set_num_threads(1)
        alone = fused(X, S, y, 1.0)
    finally:
        set_num_threads(threads)
    np.testing.assert_allclose(alone[0], g, atol=1e-12)
    np.testing.assert_allclose(alone[1], G, atol=1e-11)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("row", [3, 18])  # in a block, and in the rest after the blocks
def test_what_is_not_finite_shows(rng, bad, row):
    X = rng.standard_normal((19, 4, 5), dtype=np.float32)
    X[row, 1, 2] = bad
    S, y = rng.standard_normal((4, 5)), np.ones(19)
    others = np.arange(19) != row

    assert not np.isfinite(forward(X, S)[row])
    assert np.isfinite(forward(X, S)[others]).all()
    hit = ~np.isfinite(adjoint(X, y))
    assert hit[1, 2]
    assert hit.sum() == 1
    g, G = fused(X, S, y, 1.0)
    assert not np.isfinite(g[row])
    assert np.isfinite(g[others]).all()
    assert not np.isfinite(G[1, 2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.ones((6, 4, 3), dtype=int)}, r"X must be of type float32 or float64, got int"),
        ({"X": np.ones((6, 4, 3), dtype=np.float16)}, r"X must be of type float32 or float64, got float16"),
        ({"X": np.ones((6, 12))}, r"X must have shape \(n, L, d\) with no empty axis, got \(6, 12\)"),
        ({"X": np.ones((0, 4, 3))}, r"X must have shape \(n, L, d\) with no empty axis, got \(0, 4, 3\)"),
        ({"X": np.ones((6, 3, 4)).transpose(0, 2, 1)}, r"X must be C-contiguous.*np\.ascontiguousarray\(X\)"),
        ({"X": np.ones((12, 4, 3))[::2]}, r"X must be C-contiguous.*np\.ascontiguousarray\(X\)"),
        ({"X": np.ma.array(np.ones((6, 4, 3)), mask=np.eye(6, 12).reshape(6, 4, 3))}, r"X must .*6 entries are masked"),
        ({"S": np.ones((3, 4))}, r"S must have shape \(4, 3\).*got shape \(3, 4\)"),
        ({"S": np.ones((4, 3), dtype=complex)}, r"S must be a real .*complex"),
        ({"S": np.ma.array(np.ones((4, 3)), mask=np.eye(4, 3))}, r"S must .*3 entries are masked"),
        ({"g": np.ones(5)}, r"g must have shape \(6,\).*got shape \(5,\)"),
        ({"target": np.ones((6, 1))}, r"target must have shape \(6,\)"),
        ({"target": ["a"] * 6}, r"target must be a real"),
        ({"scale": np.ones(6)}, r"scale must be a single number, got shape \(6,\)"),
        ({"scale": 1j}, r"scale must be a real .*complex"),
    ],
)
def test_bad_input_is_named(change, message):
    given = {"X": np.ones((6, 4, 3)), "S": np.ones((4, 3)), "g": np.ones(6), "target": np.ones(6), "scale": 1.0}
    given |= change
    calls = {
        forward: ("X", "S"),
        adjoint: ("X", "g"),
        fused: ("X", "S", "target", "scale"),
    }
    for function, names in calls.items():
        if set(names) & set(change):
            with pytest.raises(ValueError, match=message):
                function(*(given[name] for name in names))
