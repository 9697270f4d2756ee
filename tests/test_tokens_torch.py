"""Tokens in tensors: the sums of an array, wherever the tensor is."""

import sys

import numpy as np
import pytest

from bsr.tokens import ArrayTokens, Centred, TorchTokens, as_tokens, whiten
from bsr.tokens import _torch as module

N, L, D = 70, 6, 9


@pytest.fixture
def rng():
    return np.random.default_rng(4)


@pytest.fixture(params=["cpu", "cuda"])
def device(request):
    torch = pytest.importorskip("torch")
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU")
    return torch.device(request.param)


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def assert_same(rng, tokens, X):
    reference = ArrayTokens(X)
    for stack in ((), (3,), (2, 3)):
        S, y = rng.standard_normal((*stack, L, D)), rng.standard_normal((*stack, N))
        for function in (
            lambda X, S=S: [X.forward(S)],
            lambda X, y=y: [X.adjoint(y)],
            lambda X, S=S, y=y: X.residual(S, y),
            lambda X, S=S: X.residual(S, np.ones(N)),
        ):
            for expected, found in zip(function(reference), function(tokens), strict=True):
                assert found.dtype == np.float64
                np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * abs(expected).max())
    np.testing.assert_array_equal(tokens.dense(), X)
    np.testing.assert_array_equal(tokens.some(7), reference.some(7))
    assert tokens.some(7).flags.c_contiguous
    tokens.check_range()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("held", [1, 7 * L * D, 2**24])
def test_sums_are_those_of_an_array(rng, torch, device, monkeypatch, dtype, held):
    for name, value in (("_DOUBLES", {}), ("_DOUBLES_ELSEWHERE", held), ("_FETCHED", held)):
        monkeypatch.setattr(module, name, value)
    X = rng.standard_normal((N, L, D)).astype(dtype)
    given = torch.from_numpy(X.copy()).to(device)
    assert_same(rng, TorchTokens(given), X)
    assert np.array_equal(given.cpu().numpy(), X)  # nothing is written to it


def test_any_real_tensor_is_taken(rng, torch, device):
    X = rng.standard_normal((N, L, D))
    tensor = torch.from_numpy(X).to(device)
    assert TorchTokens(tensor).tensor.data_ptr() == tensor.data_ptr()
    assert_same(rng, TorchTokens(tensor.mT.contiguous().mT), X)
    assert_same(rng, TorchTokens(tensor.clone().requires_grad_()), X)
    for dtype in (torch.float16, torch.bfloat16, torch.int8, torch.bool):
        tokens = TorchTokens(tensor.to(dtype))
        assert tokens.dtype == np.float64
        np.testing.assert_array_equal(tokens.dense(), tensor.to(dtype).double().cpu().numpy())


def test_tensors_on_a_gpu_are_wrapped_silently(rng, torch, device):
    tensor = torch.zeros((N, L, D), device=device)
    assert type(as_tokens(tensor)) is (ArrayTokens if device.type == "cpu" else TorchTokens)


def test_views_and_whitening_work(rng, torch, device):
    X = rng.standard_normal((N, L, D)) + 2.0
    tokens = TorchTokens(torch.from_numpy(X).to(device))
    np.testing.assert_allclose(Centred(tokens).dense(), Centred(X).dense(), rtol=0, atol=1e-13)
    np.testing.assert_allclose(whiten(tokens).P, whiten(X).P, rtol=0, atol=1e-12)


def test_bad_entries_are_named_with_their_rows(rng, torch, device):
    X = rng.standard_normal((N, L, D))
    X[41, 2, 3] = np.nan
    tokens = TorchTokens(torch.from_numpy(X).to(device))
    for function in (
        lambda: tokens.forward(np.ones((L, D))),
        lambda: tokens.adjoint(np.ones(N)),
        lambda: tokens.residual(np.ones((L, D)), np.ones(N)),
        tokens.check_range,
    ):
        with pytest.raises(ValueError, match=r"^X must be finite.* in row 41$"):
            function()


def test_bad_tensors_are_named(torch):
    X = torch.ones((N, L, D))
    for bad in (X[0], X[:0], X.to(torch.complex64), X.to_sparse(), X.to("meta"), np.ones((N, L, D)), None):
        with pytest.raises(ValueError, match=r"^X must"):
            TorchTokens(bad)
    with pytest.raises(ValueError, match=r"^S must have shape"):
        TorchTokens(X).forward(np.ones((D, L)))


def test_a_tensor_elsewhere_is_known_without_its_package():
    """By the names of its class and of its device."""
    kind = type("Tensor", (), {"__module__": "torch", "device": type("device", (), {"type": "cuda"})})
    with pytest.raises((ImportError, ValueError), match=r"TorchTokens needs PyTorch|^X must"):
        as_tokens(kind())


def test_without_torch_its_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match="install torch"):
        TorchTokens(None)
