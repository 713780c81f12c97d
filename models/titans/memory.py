"""NeuralMemory: a memory that learns at inference, by the surprise of what it reads.

With keys, values and queries k = x W_K, v = x W_V, q = x W_Q (each behind a causal depthwise convolution and a SiLU; k
and q of length one), and the loss
l(M; x) = loss_scale |M(k) - v|^2,

    S_t = eta_t S_{t-1} - theta_t grad l(M_{t-1}; x_t)      surprise, with momentum
    M_t = (1 - alpha_t) M_{t-1} + S_t                       memory, with forgetting
    y_t = M_t(q_t) W_O

alpha, eta and theta are functions of x_t: sigmoids, theta scaled such that

    2 loss_scale theta_t |k|^2 = rate (1 + eta_t) (2 - alpha_t) sigmoid(.) / n

For one key that comes again and again the linear memory is stable if and only if the left side lies between 0 and
(1 + eta)(2 - alpha): Jury's criterion for z^2 - (1 - alpha + eta - theta |k|^2) z + eta (1 - alpha). ``rate`` <= 1
keeps it there. n is 1 where errors are exact, and else the size of the chunk, whose tokens all push at once. A memory
of several layers is not linear, and no rate is safe for all of its weights.

Source: A. Behrouz, P. Zhong, V. Mirrokni, arXiv 2501.00663, section 3.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neurosim.errors import ParameterError
from neurosim.models.kernels import DeepState, MemoryState, deep_chunk, gated_chunk, perceptron
from neurosim.models.kernels.deep_chunk import GATES
from neurosim.models.layers.convolution import causal_convolution
from neurosim.models.layers.spiking import ternary


class NeuralState(NamedTuple):
    """What the memory has learned, and the last inputs of its convolution (B, conv - 1, 3 inner)."""

    weights: MemoryState | DeepState
    inputs: Tensor

    def detach(self) -> NeuralState:
        """Return the same values, cut from the graph."""
        return NeuralState(self.weights.detach(), self.inputs.detach())


class Remembered(NamedTuple):
    """Reads (B, T, dim), the state after the last token, and the surprise |grad l| of each token and head (B, H, T)."""

    out: Tensor
    state: NeuralState
    surprise: Tensor


class NeuralMemory(nn.Module):
    """A memory for sequences (B, T, dim); see the module for its equations.

    Parameters
    ----------
    dim : int
        Width of the input and of what is read.
    heads : int
        Memories side by side.
    head_dim : int, optional
        Width of keys and values; ``dim / heads`` without it.
    depth : int
        Layers of the memory: 1 is a matrix, more a perceptron.
    expansion : int
        Width of the inner layers of a deep memory, in units of ``head_dim``.
    conv : int
        Tokens that a key, value or query is made of.
    chunk : int
        Tokens at once: of no effect on the values with ``error="exact"``, else the tokens that share a gradient.
    error : str
        "exact" (only with depth 1) or "chunk_start".
    read : str
        "post" reads the memory that holds the token itself, "pre" the one before it (deep: before its chunk).
    gates : str
        "token", or "chunk" for one step a chunk, with gates of its mean (only deep memories).
    loss_scale : float
        1/2 makes the gradient (M k - v) k^T; 1 is the paper's |.|^2, 1/head_dim a mean over the width.
    rate : float
        Greatest theta as a fraction of the bound of stability.
    activation : str
        Of a deep memory's layers: "silu" or "gelu".
    spiking : bool
        Keys and queries are spikes, 1, 0 or -1 (an ON and an OFF neuron each), over the root of their number: a write
        touches the rows of the memory whose neuron fired, and |k|^2 <= 1 stays what theta's bound needs.
    """

    def __init__(
        self,
        dim: int,
        heads: int = 1,
        head_dim: int | None = None,
        *,
        depth: int = 1,
        expansion: int = 2,
        conv: int = 4,
        chunk: int = 64,
        error: str | None = None,
        read: str | None = None,
        gates: str = "token",
        loss_scale: float = 0.5,
        rate: float = 0.5,
        activation: str = "silu",
        spiking: bool = False,
    ) -> None:
        super().__init__()
        if head_dim is None and dim % heads:
            raise ParameterError(f"dim={dim} is no multiple of heads={heads}: choose another, or give head_dim")
        if not 0 < rate <= 1:
            raise ParameterError(f"rate is {rate}; it is a fraction of the bound of stability, above 0 and at most 1")
        deep = depth > 1 or gates == "chunk"
        if gates not in GATES:
            raise ParameterError(f"gates is '{gates}'; known: {', '.join(GATES)}")
        if deep and error == "exact":
            raise ParameterError("error='exact' is for matrices with gates per token: take depth=1 and gates='token'")
        self.dim, self.heads, self.head_dim = dim, heads, head_dim or dim // heads
        self.depth, self.chunk, self.gates, self.deep = depth, chunk, gates, deep
        self.error = error or ("chunk_start" if deep else "exact")
        self.read_at = read or ("pre" if deep else "post")
        self.loss_scale, self.rate, self.activation, self.spiking = loss_scale, rate, activation, spiking
        inner = self.heads * self.head_dim
        self.project = nn.Linear(dim, 3 * inner, bias=False)
        self.conv = nn.Conv1d(3 * inner, 3 * inner, conv, groups=3 * inner, bias=False)
        self.to_gates = nn.Linear(dim, 3 * heads)
        self.to_out = nn.Linear(inner, dim, bias=False)
        widths = [self.head_dim, *[expansion * self.head_dim] * (depth - 1), self.head_dim]
        self.initial = nn.ParameterList(
            torch.randn(heads, a, b) / math.sqrt(a) if deep else torch.zeros(heads, a, b)
            for a, b in zip(widths[:-1], widths[1:], strict=True)
        )
        with torch.no_grad():  # forget little, some momentum, half the greatest rate; convolve little
            self.to_gates.weight.mul_(0.1)
            self.to_gates.bias.view(3, heads).copy_(torch.tensor([-5.0, -1.0, 0.0])[:, None])
            self.conv.weight.mul_(0.5)[..., -1] += 1.0

    def initial_state(self, batch: int) -> NeuralState:
        """Return the memory before the first token, which is learned in training."""
        weights = tuple(w.expand(batch, *w.shape).flatten(0, 1) for w in self.initial)
        zeros = tuple(torch.zeros_like(w) for w in weights)
        inputs = weights[0].new_zeros(batch, self.conv.kernel_size[0] - 1, self.conv.in_channels)
        if self.deep:
            return NeuralState(DeepState(weights, zeros), inputs)
        memory, momentum = (x[0].unflatten(0, (batch, self.heads)) for x in (weights, zeros))
        return NeuralState(MemoryState(memory, momentum), inputs)

    def projections(self, x: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return q, k, v (B, H, T, head_dim) and the inputs that the next call needs."""
        seen = torch.cat([inputs, self.project(x)], 1)
        made = causal_convolution(seen, self.conv.weight)
        q, k, v = made.unflatten(-1, (3, self.heads, self.head_dim)).movedim((2, 3), (0, 2)).unbind(0)
        if self.spiking:
            q, k = (s / s.detach().abs().sum(-1, keepdim=True).clamp(min=1).sqrt() for s in (ternary(q), ternary(k)))
        else:
            q, k = (F.normalize(F.silu(s), dim=-1) for s in (q, k))
        return q, k, F.silu(v), seen[:, x.shape[1] :]

    def rates(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return alpha, eta, theta, (B, H, T) each."""
        if self.gates == "chunk":
            seen = torch.cat([c.mean(1, keepdim=True).expand_as(c) for c in x.split(self.chunk, 1)], 1)
        else:
            seen = x
        raw = self.to_gates(seen).unflatten(-1, (3, self.heads)).movedim(1, -1)
        alpha, eta, share = torch.sigmoid(raw).unbind(1)
        together = 1 if self.error == "exact" else self.chunk
        return alpha, eta, self.rate * (1 + eta) * (2 - alpha) * share / (2 * self.loss_scale * together)

    def _merge(self, y: Tensor) -> Tensor:
        return self.to_out(y.transpose(1, 2).flatten(2))

    def recall(self, x: Tensor, state: NeuralState | None = None) -> Tensor:
        """Read for x (B, T, dim) without writing; the convolution knows nothing before x."""
        empty = self.initial_state(len(x))
        weights = (empty if state is None else state).weights
        q, *_ = self.projections(x, empty.inputs)
        if isinstance(weights, DeepState):
            return self._merge(perceptron(q.flatten(0, 1), weights.memory, self.activation).unflatten(0, q.shape[:2]))
        return self._merge(q @ weights.memory)

    def forward(self, x: Tensor, state: NeuralState | None = None) -> Remembered:
        """Write x (B, T, dim), and read at every token."""
        weights, inputs = self.initial_state(len(x)) if state is None else state
        q, k, v, inputs = self.projections(x, inputs)
        alpha, eta, theta = self.rates(x)
        theta = 2 * self.loss_scale * theta  # the kernels take the gradient of |.|^2 / 2
        if isinstance(weights, DeepState):
            q2, k2, v2, *rates = (t.flatten(0, 1) for t in (q, k, v, alpha, eta, theta))
            options = {"chunk": self.chunk, "read": self.read_at, "gates": self.gates, "activation": self.activation}
            deep = deep_chunk(q2, k2, v2, rates[0], rates[1], rates[2], weights, **options)
            out, surprise = (t.unflatten(0, q.shape[:2]) for t in (deep.out, deep.surprise))
            return Remembered(self._merge(out), NeuralState(deep.state, inputs), 2 * self.loss_scale * surprise)
        options = {"chunk": self.chunk, "read": self.read_at, "error": self.error}
        found = gated_chunk(q, k, v, alpha, eta, theta, state=weights, **options)
        surprise = 2 * self.loss_scale * found.error.norm(dim=-1) * k.norm(dim=-1)
        return Remembered(self._merge(found.out), NeuralState(found.state, inputs), surprise)
