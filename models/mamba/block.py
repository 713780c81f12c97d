"""The blocks of Mamba and Mamba-2.

Mamba:

    [u; z] = W_in x;  u = silu(conv(u))             causal, depthwise, over the last ``conv`` tokens
    delta = softplus(W_delta W_r u + b_delta);  B = W_B u;  C = W_C u
    y = selective scan of u, with A = -exp(A_log), plus D u
    out = W_out (y silu(z))

Mamba-2: one A per head, B and C shared by the heads of a group and made from x beside u, so that the scan is a gated
chunk without errors,

    M_t = exp(delta_t A) M_{t-1} + B_t^T delta_t u_t;  y_t = C_t M_t + D u_t;  out = W_out norm(y silu(z))

With ``selective=False`` delta, B and C are parameters, the same for every token: a time-invariant twin (S4D) whose
states cannot choose what to keep. Parameters have the names of the published weights.

Source: A. Gu, T. Dao, arXiv 2312.00752, section 3; T. Dao, A. Gu, arXiv 2405.21060, section 7.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neurosim.errors import ParameterError
from neurosim.models.kernels import MemoryState, gated_chunk, scan_step, selective_scan
from neurosim.models.layers.convolution import causal_convolution
from neurosim.models.layers.spiking import spike


class MambaState(NamedTuple):
    """The last inputs of the convolution (B, conv - 1, channels), and the state: (B, D, N), of Mamba-2 (B, H, N, P)."""

    inputs: Tensor
    state: Tensor


def _convolve(u: Tensor, before: Tensor, conv: nn.Conv1d) -> tuple[Tensor, Tensor]:
    """Convolve u (B, T, channels) causally; return it behind a SiLU, and the inputs that the next call needs."""
    seen = torch.cat([before, u], 1)
    return F.silu(causal_convolution(seen, conv.weight, conv.bias)), seen[:, u.shape[1] :]


def _delta_bias(n: int, low: float = 1e-3, high: float = 0.1) -> Tensor:
    """Return biases whose softplus is spread evenly in logarithm between two durations."""
    delta = torch.exp(torch.rand(n) * (math.log(high) - math.log(low)) + math.log(low))
    return delta + torch.log(-torch.expm1(-delta))


class MambaBlock(nn.Module):
    """Mamba over (B, T, dim).

    Parameters
    ----------
    dim : int
        Width.
    state : int
        States per channel, N.
    expand : int
        Channels in units of ``dim``.
    conv : int
        Tokens of the convolution.
    rank : int, optional
        Rank of delta; ``dim / 16`` without it.
    norms : bool
        RMS norms on delta, B and C (Jamba).
    selective : bool
        Whether delta, B and C depend on the input.
    method : str
        "euler" or "zoh", see :func:`selective_scan`.
    engine : str
        "auto", "torch" or "numba".
    spiking : bool
        y becomes a spike where it is above one: the states are leaky integrators with an input-controlled leak, whose
        reset stands outside the recurrence, so that the scan stays a scan.
    """

    def __init__(
        self,
        dim: int,
        state: int = 16,
        *,
        expand: int = 2,
        conv: int = 4,
        rank: int | None = None,
        norms: bool = False,
        selective: bool = True,
        method: str = "euler",
        engine: str = "auto",
        spiking: bool = False,
    ) -> None:
        super().__init__()
        self.inner, self.state, self.rank = expand * dim, state, rank or math.ceil(dim / 16)
        self.selective, self.method, self.engine, self.spiking = selective, method, engine, spiking
        self.in_proj = nn.Linear(dim, 2 * self.inner, bias=False)
        self.conv1d = nn.Conv1d(self.inner, self.inner, conv, groups=self.inner)
        self.dt_proj = nn.Linear(self.rank, self.inner)
        self.A_log = nn.Parameter(torch.log(torch.arange(1.0, state + 1)).repeat(self.inner, 1))
        self.D = nn.Parameter(torch.ones(self.inner))
        self.out_proj = nn.Linear(self.inner, dim, bias=False)
        if selective:
            self.x_proj = nn.Linear(self.inner, self.rank + 2 * state, bias=False)
        else:
            self.fixed = nn.Parameter(torch.randn(self.rank + 2 * state) / math.sqrt(self.rank))
        if norms:
            self.dt_layernorm = nn.RMSNorm(self.rank, eps=1e-6)
            self.b_layernorm, self.c_layernorm = nn.RMSNorm(state, eps=1e-6), nn.RMSNorm(state, eps=1e-6)
        self.norms = norms
        with torch.no_grad():
            nn.init.uniform_(self.dt_proj.weight, -(self.rank**-0.5), self.rank**-0.5)
            self.dt_proj.bias.copy_(_delta_bias(self.inner))

    def initial_state(self, x: Tensor) -> MambaState:
        """Return the state before the first token, for inputs like x (B, ...)."""
        channels, n = self.inner, self.conv1d.kernel_size[0] - 1
        return MambaState(x.new_zeros(len(x), n, channels), x.new_zeros(len(x), channels, self.state))

    def _choices(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        made = self.x_proj(u) if self.selective else self.fixed.expand(*u.shape[:-1], -1)
        delta, B, C = made.split([self.rank, self.state, self.state], -1)
        if self.norms:
            delta, B, C = self.dt_layernorm(delta), self.b_layernorm(B), self.c_layernorm(C)
        return F.softplus(self.dt_proj(delta)), B, C

    def forward(self, x: Tensor, state: MambaState | None = None) -> tuple[Tensor, MambaState]:
        """Return the output for (B, T, dim), and the next state."""
        before = self.initial_state(x) if state is None else state
        u, z = self.in_proj(x).chunk(2, -1)
        u, inputs = _convolve(u, before.inputs, self.conv1d)
        delta, B, C = self._choices(u)
        A = -torch.exp(self.A_log)
        y, h = selective_scan(u, delta, A, B, C, before.state, method=self.method, engine=self.engine)
        return self._leave(y + self.D * u, z), MambaState(inputs, h)

    def _leave(self, y: Tensor, z: Tensor) -> Tensor:
        return self.out_proj((spike(y - 1) if self.spiking else y) * F.silu(z))

    def step(self, x: Tensor, state: MambaState) -> tuple[Tensor, MambaState]:
        """Return the output for one token (B, dim), and the next state: the recurrence itself."""
        u, z = self.in_proj(x).chunk(2, -1)
        u, inputs = _convolve(u[:, None], state.inputs, self.conv1d)
        delta, B, C = (c[:, 0] for c in self._choices(u))
        y, h = scan_step(u[:, 0], delta, -torch.exp(self.A_log), B, C, state.state, self.method)
        return self._leave(y + self.D * u[:, 0], z), MambaState(inputs, h)


class GatedNorm(nn.Module):
    """Mamba-2's norm: y silu(z), RMS of each group one, times a weight."""

    def __init__(self, dim: int, groups: int = 1, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight, self.groups, self.eps = nn.Parameter(torch.ones(dim)), groups, eps

    def forward(self, y: Tensor, z: Tensor) -> Tensor:
        """y, z (..., dim)."""
        y = (y * F.silu(z)).unflatten(-1, (self.groups, -1))
        return self.weight * (y * torch.rsqrt(y.square().mean(-1, keepdim=True) + self.eps)).flatten(-2)


class Mamba2Block(nn.Module):
    """Mamba-2 over (B, T, dim): states N x P for each head.

    Parameters
    ----------
    dim : int
        Width.
    state : int
        N, the width of keys (B) and queries (C).
    head_dim : int
        P, channels of a head.
    expand, conv : int
        As of :class:`MambaBlock`.
    groups : int
        Groups of heads that share B and C.
    chunk : int
        Tokens at once; of no effect on the values.
    """

    def __init__(
        self,
        dim: int,
        state: int = 64,
        *,
        head_dim: int = 32,
        expand: int = 2,
        conv: int = 4,
        groups: int = 1,
        chunk: int = 64,
    ) -> None:
        super().__init__()
        self.inner, self.state, self.groups, self.chunk = expand * dim, state, groups, chunk
        if self.inner % head_dim or self.inner // head_dim % groups:
            raise ParameterError(
                f"{self.inner} channels (dim={dim} times expand={expand}) are no whole number of heads of {head_dim} "
                f"in {groups} groups"
            )
        self.heads = self.inner // head_dim
        channels = self.inner + 2 * groups * state
        self.in_proj = nn.Linear(dim, self.inner + channels + self.heads, bias=False)
        self.conv1d = nn.Conv1d(channels, channels, conv, groups=channels)
        self.dt_bias = nn.Parameter(_delta_bias(self.heads))
        self.A_log = nn.Parameter(torch.log(torch.arange(1.0, self.heads + 1)))
        self.D = nn.Parameter(torch.ones(self.heads))
        self.norm = GatedNorm(self.inner, groups)
        self.out_proj = nn.Linear(self.inner, dim, bias=False)

    def initial_state(self, x: Tensor) -> MambaState:
        """Return the state before the first token, for inputs like x (B, ...)."""
        inputs = x.new_zeros(len(x), self.conv1d.kernel_size[0] - 1, self.conv1d.in_channels)
        return MambaState(inputs, x.new_zeros(len(x), self.heads, self.state, self.inner // self.heads))

    def forward(self, x: Tensor, state: MambaState | None = None) -> tuple[Tensor, MambaState]:
        """Return the output for (B, T, dim), and the next state."""
        before = self.initial_state(x) if state is None else state
        z, mixed, raw = self.in_proj(x).split([self.inner, self.conv1d.in_channels, self.heads], -1)
        mixed, inputs = _convolve(mixed, before.inputs, self.conv1d)
        u, *shared = mixed.split([self.inner, self.groups * self.state, self.groups * self.state], -1)
        delta = F.softplus(raw + self.dt_bias).mT
        v = u.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        keys, queries = (
            s.unflatten(-1, (self.groups, self.state)).transpose(1, 2).repeat_interleave(self.heads // self.groups, 1)
            for s in shared
        )
        forget = -torch.expm1(-delta * torch.exp(self.A_log)[:, None])
        held = MemoryState(before.state, None)
        found = gated_chunk(queries, keys, v, forget, None, delta, state=held, chunk=self.chunk, error="none")
        y = (found.out + self.D[:, None, None] * v).transpose(1, 2).flatten(2)
        return self.out_proj(self.norm(y, z)), MambaState(inputs, found.state.memory)
