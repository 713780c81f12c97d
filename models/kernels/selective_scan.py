"""The selective scan of Mamba: a bank of leaky states whose leak and input depend on the input.

    h_t = exp(delta_t A) h_{t-1} + b_t x_t,   y_t = C_t h_t      for each channel d and state n, A[d,n] < 0

with b_t = delta_t B_t ("euler", what Mamba's own code does) or b_t = (exp(delta_t A) - 1) / A B_t ("zoh", zero-order
hold: the solution of dh/dt = A h + B x for an input that stays for delta_t).

Source: A. Gu, T. Dao, arXiv 2312.00752, eqs. 1-4 and section 3.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from neurosim.errors import ParameterError

METHODS = ("euler", "zoh")
ENGINES = ("auto", "torch", "numba")


def held_input(delta: Tensor, A: Tensor, B: Tensor, method: str) -> Tensor:
    """Return b for delta (..., D), A (D, N), B (..., N): (..., D, N)."""
    if method == "euler":
        return delta[..., None] * B[..., None, :]
    z = delta[..., None] * A
    share = torch.where(z == 0, torch.ones_like(z), torch.expm1(z) / torch.where(z == 0, torch.ones_like(z), z))
    return share * delta[..., None] * B[..., None, :]


def scan_step(
    x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, h: Tensor, method: str = "euler"
) -> tuple[Tensor, Tensor]:
    """One token: x, delta (B, D), B, C (B, N), h (B, D, N); return y (B, D) and the next h."""
    h = torch.exp(delta[..., None] * A) * h + held_input(delta, A, B, method) * x[..., None]
    return (h @ C[..., None])[..., 0], h


def selective_scan(
    x: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    state: Tensor | None = None,
    *,
    method: str = "euler",
    engine: str = "auto",
) -> tuple[Tensor, Tensor]:
    """Return y (B, L, D) and the state (B, D, N) after the last token.

    Parameters
    ----------
    x, delta : Tensor (B, L, D)
        Input, and how long each token lasts.
    A : Tensor (D, N)
        Rates; negative where the state shall fade.
    B, C : Tensor (B, L, N)
        How the input enters the states, and how they are read.
    state : Tensor (B, D, N), optional
        Where to begin; zero without it.
    method : str
        "euler" or "zoh".
    engine : str
        "numba": compiled, on the CPU, for "euler" in single or double precision. "torch": a loop over tokens, anywhere.
        "auto": numba where it can, else torch.
    """
    if method not in METHODS or engine not in ENGINES:
        raise ParameterError(
            f"method='{method}', engine='{engine}'; known methods: {', '.join(METHODS)}, engines: {', '.join(ENGINES)}"
        )
    h = x.new_zeros(x.shape[0], *A.shape) if state is None else state
    able = method == "euler" and x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)
    if engine == "numba" and not able:
        raise ParameterError(
            f"engine='numba' runs method='euler' on the CPU in float32 or float64; this is '{method}' on "
            f"{x.device.type} in {x.dtype}: take engine='torch'"
        )
    if engine != "torch" and able:
        return _compiled(x, delta, A, B, C, h)
    ys = []
    for xt, dt, Bt, Ct in zip(*(s.unbind(1) for s in (x, delta, B, C)), strict=True):
        y, h = scan_step(xt, dt, A, Bt, Ct, h, method)
        ys.append(y)
    return torch.stack(ys, 1), h


def _array(x: Tensor) -> Any:
    return x.detach().contiguous().numpy()


class _Compiled(torch.autograd.Function):
    """The scan of :mod:`neurosim.models.kernels.scan_numba`, with its gradient."""

    @staticmethod
    def forward(ctx: Any, *given: Tensor) -> tuple[Tensor, Tensor]:
        from neurosim.models.kernels import scan_numba as compiled

        x, delta, A, B, C, start = given
        batch, L, D = x.shape
        held = np.empty((batch, -(-L // compiled.CHUNK) + 1, A.shape[1], D), _array(x).dtype)
        y = np.empty((batch, L, D), held.dtype)
        arguments = [*map(_array, (x, delta, A.mT, B, C, start.mT)), y, held]
        compiled.forward(*arguments)
        ctx.save_for_backward(x, delta, A, B, C)
        ctx.held = held
        return torch.from_numpy(y), torch.from_numpy(held[:, -1]).mT.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        from neurosim.models.kernels import scan_numba as compiled

        x, delta, A, B, C = ctx.saved_tensors
        gy, gh = grads
        (batch, L, D), N, dtype = x.shape, A.shape[1], ctx.held.dtype
        blocks = -(-D // compiled.BLOCK)
        gx, gdelta = np.empty((batch, L, D), dtype), np.empty((batch, L, D), dtype)
        gA, gstart = np.empty((batch, N, D), dtype), np.empty((batch, N, D), dtype)
        gB, gC = np.empty((blocks, batch, L, N), dtype), np.empty((blocks, batch, L, N), dtype)
        arguments = [*map(_array, (x, delta, A.mT, B, C)), ctx.held, *map(_array, (gy, gh.mT))]
        arguments += [gx, gdelta, gA, gB, gC, gstart]
        compiled.backward(*arguments)
        gx, gdelta, gA, gB, gC, gstart = (torch.from_numpy(g) for g in (gx, gdelta, gA, gB, gC, gstart))
        return gx, gdelta, gA.sum(0).mT, gB.sum(0), gC.sum(0), gstart.mT


@cast(Any, torch.compiler.disable)
def _compiled(*given: Tensor) -> tuple[Tensor, Tensor]:
    """Run what is compiled already: torch.compile goes round it."""
    return _Compiled.apply(*given)
