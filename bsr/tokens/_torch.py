"""Tokens in a tensor of PyTorch, on a GPU or not: passes where the tensor is."""

from typing import TYPE_CHECKING

import numpy as np

from bsr.tokens._tokens import Block, Rows, Tokens

if TYPE_CHECKING:
    import torch

__all__ = ["TorchTokens"]

_DOUBLES = {"cpu": 2**19}  # entries that are made float64 at once: what a cache holds
_DOUBLES_ELSEWHERE = 2**24  # enough work for a GPU
_FETCHED = 2**24  # entries that are brought to the CPU at once, where blocks are asked for


class TorchTokens(Tokens):
    """Tokens in a tensor. What estimators make of a tensor on a GPU themselves; one on the CPU is an array to them.

    Parameters
    ----------
    X : torch.Tensor, shape (n, L, d)
        Real and dense, on a device that has float64. Float32 and float64 in C order are taken as they are; anything
        else is copied once, other types to float64. Gradients are left behind.

    Attributes
    ----------
    tensor : torch.Tensor, shape (n, L, d)
        Contiguous, float32 or float64.

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    ValueError
        If it is no such tensor, or an axis is empty.

    Notes
    -----
    Entries are made float64 in parts that a cache holds, or a GPU is busy with, and sums are made of those. S, y and
    the sums travel, tokens do not; `blocks` brings them to the CPU. On CPUs the passes of an array are faster.
    """

    resident = True

    def __init__(self, X: "torch.Tensor") -> None:
        try:
            import torch
        except ImportError as error:
            raise ImportError("TorchTokens needs PyTorch: install torch") from error
        if not isinstance(X, torch.Tensor):
            raise ValueError(f"X must be a torch.Tensor, got {type(X).__name__}")
        if X.ndim != 3 or 0 in X.shape:
            raise ValueError(f"X must have shape (n, L, d) with no empty axis, got {tuple(X.shape)}")
        if X.layout != torch.strided or X.is_complex() or X.is_quantized:
            raise ValueError(f"X must be dense and real, got {X.dtype} in layout {X.layout}")
        if X.device.type in ("meta", "mps"):
            raise ValueError(f"X must be on a device with data and float64, got {X.device}")
        tensor = X.detach()
        if tensor.dtype not in (torch.float32, torch.float64):
            tensor = tensor.double()
        self.tensor = tensor.contiguous()
        self.shape = tuple(self.tensor.shape)
        self.dtype = np.dtype(np.float32 if self.tensor.dtype == torch.float32 else np.float64)

    def blocks(self):
        step = max(1, _FETCHED // self.entries)
        for i in range(0, len(self), step):
            yield Block(i, self.tensor[i : i + step].cpu().numpy())

    def rows(self, dtype):
        import torch

        yield _TensorRows(0, self.tensor.view(len(self), -1).to(getattr(torch, np.dtype(dtype).name)))

    def some(self, count):
        count = max(int(count), 1)
        return self.tensor[:: max(len(self) // count, 1)][:count].cpu().contiguous().numpy()

    def forward(self, S):
        S = self._check("S", S, self.shape[1:])
        rows, out = self._rows(S, self.entries), self._new(S.shape[:-2], len(self))
        for part, tokens in self._double():
            out[:, part] = rows @ tokens.T
        return self._sound(out, S.shape[:-2] + self.shape[:1])

    def adjoint(self, g):
        g = self._check("g", g, self.shape[:1])
        rows, G = self._rows(g, len(self)), self._new(g.shape[:-1], self.entries)
        for part, tokens in self._double():
            G.addmm_(rows[:, part], tokens)
        return self._sound(G, g.shape[:-1] + self.shape[1:])

    def residual(self, S, y):
        S, y = self._check_pair(S, y)
        rows, g = self._rows(S, self.entries), self._rows(y, len(self))
        G = self._new(S.shape[:-2], self.entries)
        for part, tokens in self._double():
            g[:, part] -= rows @ tokens.T
            G.addmm_(g[:, part], tokens)
        return g.cpu().numpy().reshape(y.shape), self._sound(G, S.shape)

    def _double(self):
        """Successive sequences as rows in float64, in memory that the next ones take."""
        import torch

        rows = self.tensor.view(len(self), -1)
        step = max(1, _DOUBLES.get(self.tensor.device.type, _DOUBLES_ELSEWHERE) // self.entries)
        held = None
        if rows.dtype != torch.float64:
            held = torch.empty((min(step, len(self)), self.entries), dtype=torch.float64, device=rows.device)
        for i in range(0, len(self), step):
            part = slice(i, min(i + step, len(self)))
            yield part, rows[part] if held is None else held[: part.stop - i].copy_(rows[part])

    def _rows(self, array, size):
        """A copy of an array on the device of the tokens, as rows of that size."""
        import torch

        return torch.tensor(array, dtype=torch.float64, device=self.tensor.device).view(-1, size)

    def _new(self, stack, size):
        import torch

        return torch.zeros((int(np.prod(stack)), size), dtype=torch.float64, device=self.tensor.device)

    def _sound(self, result, shape):
        """The result of a pass, as an array of that shape, unless tokens are not finite."""
        result = result.cpu().numpy().reshape(shape)
        if not np.isfinite(result).all():
            self.check_range()
        return result


class _TensorRows(Rows):
    """Sequences as the rows of a tensor."""

    def times(self, W, out):
        np.copyto(out, (self.matrix @ self._there(W)).cpu().numpy())

    def back(self, g, out):
        np.copyto(out, (self._there(g) @ self.matrix).cpu().numpy())

    def _there(self, array):
        import torch

        return torch.tensor(array, dtype=self.matrix.dtype, device=self.matrix.device)
