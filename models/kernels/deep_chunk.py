"""A memory that is a multilayer perceptron, written by gradient descent while it is read.

For each weight W of the memory, with the gradient g_i of |M(k_i) - v_i|^2 / 2 for token i,

    S_t = eta_t S_{t-1} - theta_t g_t,   W_t = (1 - alpha_t) W_{t-1} + S_t

All gradients of a chunk are taken at the weights with which the chunk begins; a chunk of one token is exact. With P, Q,
C, a, b, h as in :mod:`neurosim.models.kernels.gated_chunk`, a chunk of c tokens leaves

    W' = a_c W + b_c S - sum_i C[c,i] g_i,   S' = h_c S - sum_i Q[c,i] theta_i g_i

whose sums are matrix products, since g_i of layer l is the outer product of the layer's input and of the error that
arrives there. ``gates="chunk"`` makes one step of a chunk instead, S' = eta S - sum_i theta_i g_i and
W' = (1 - alpha) W + S', with the gates of its first token.

Source: A. Behrouz, P. Zhong, V. Mirrokni, arXiv 2501.00663, section 3.2; the step by chunks as in titans-pytorch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from neurosim.errors import ParameterError
from neurosim.models.kernels.gated_chunk import decay_matrix

GATES = ("token", "chunk")


def _silu_slope(x: Tensor) -> Tensor:
    s = torch.sigmoid(x)
    return s * (1 + x * (1 - s))


def _gelu_slope(x: Tensor) -> Tensor:
    density = torch.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return 0.5 * (1 + torch.erf(x / math.sqrt(2))) + x * density


# name: the function and its derivative
ACTIVATIONS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "silu": (F.silu, _silu_slope),
    "gelu": (F.gelu, _gelu_slope),
}


class DeepState(NamedTuple):
    """The weights of each layer (N, d_in, d_out), and their momentum."""

    memory: tuple[Tensor, ...]
    momentum: tuple[Tensor, ...]

    def detach(self) -> DeepState:
        """Return the same values, cut from the graph."""
        return DeepState(tuple(w.detach() for w in self.memory), tuple(s.detach() for s in self.momentum))


class DeepRecall(NamedTuple):
    """Reads (N, T, d_v), the state after the last token, and of each token's gradient the norm (N, T)."""

    out: Tensor
    state: DeepState
    surprise: Tensor


def perceptron(x: Tensor, weights: Sequence[Tensor], activation: str = "silu") -> Tensor:
    """Return M(x): ``x W_1``, and for each further layer ``act(.) W_l``."""
    act, _ = ACTIVATIONS[activation]
    y = x @ weights[0]
    for w in weights[1:]:
        y = act(y) @ w
    return y


def gradients(k: Tensor, v: Tensor, weights: Sequence[Tensor], activation: str) -> list[tuple[Tensor, Tensor]]:
    """Return for each layer its inputs x and the errors d that arrive: token i's gradient is the product x_i^T d_i."""
    act, slope = ACTIVATIONS[activation]
    inputs, before = [k], [k @ weights[0]]
    for w in weights[1:]:
        inputs.append(act(before[-1]))
        before.append(inputs[-1] @ w)
    errors = [before[-1] - v]
    for w, z in zip(reversed(weights[1:]), reversed(before[:-1]), strict=True):
        errors.append((errors[-1] @ w.mT) * slope(z))
    return list(zip(inputs, reversed(errors), strict=True))


class _Steps(NamedTuple):
    """What a chunk does to W and S; of shape (N,), and of its tokens' gradients (N, c)."""

    a: Tensor
    b: Tensor
    h: Tensor
    to_memory: Tensor
    to_momentum: Tensor


def _steps(alpha: Tensor, eta: Tensor, theta: Tensor, gates: str) -> _Steps:
    if gates == "chunk":
        return _Steps(1 - alpha[:, 0], eta[:, 0], eta[:, 0], theta, theta)
    P, a = decay_matrix(1 - alpha)
    Q, h = decay_matrix(eta)
    last = P[:, -1:, :]
    to_memory = (last @ Q)[:, 0] * theta
    return _Steps(a[:, -1], (last @ h[..., None])[:, 0, 0], h[:, -1], to_memory, Q[:, -1] * theta)


def deep_chunk(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    alpha: Tensor,
    eta: Tensor,
    theta: Tensor,
    state: DeepState,
    *,
    chunk: int = 64,
    read: str = "pre",
    gates: str = "token",
    activation: str = "silu",
) -> DeepRecall:
    """Run a deep memory over a sequence.

    Parameters
    ----------
    q, k, v : Tensor (N, T, d), (N, T, d), (N, T, d_v)
        Queries, keys, and what shall be recalled.
    alpha, eta, theta : Tensor (N, T)
        Forgetting, momentum, rate.
    state : DeepState
        Weights and momentum to begin with.
    chunk : int
        Tokens whose gradients are taken at the same weights.
    read : str
        "pre": from the weights with which the chunk begins; "post", for chunks of one token: from those after it.
    gates : str
        "token" or "chunk", see the module.
    activation : str
        "silu" or "gelu", between the layers.
    """
    if read not in ("pre", "post") or gates not in GATES or activation not in ACTIVATIONS:
        raise ParameterError(
            f"read='{read}', gates='{gates}', activation='{activation}': known are pre, post; {', '.join(GATES)}; "
            f"{', '.join(ACTIVATIONS)}"
        )
    if read == "post" and chunk != 1:
        raise ParameterError("a deep memory is read after its own token only with chunk=1; take read='pre'")
    weights, momenta = state
    outs, surprises = [], []
    for qc, kc, vc, *rates in zip(*(x.split(chunk, 1) for x in (q, k, v, alpha, eta, theta)), strict=True):
        step = _steps(rates[0], rates[1], rates[2], gates)
        if read == "pre":
            outs.append(perceptron(qc, weights, activation))
        found = gradients(kc, vc, weights, activation)
        squares = [x.square().sum(-1) * d.square().sum(-1) for x, d in found]
        surprises.append(torch.stack(squares).sum(0).sqrt())
        a, b, h = (x[:, None, None] for x in step[:3])
        weights, momenta = (
            tuple(
                a * w + b * s - x.mT @ (step.to_memory[..., None] * d)
                for w, s, (x, d) in zip(weights, momenta, found, strict=True)
            ),
            tuple(h * s - x.mT @ (step.to_momentum[..., None] * d) for s, (x, d) in zip(momenta, found, strict=True)),
        )
        if read == "post":
            outs.append(perceptron(qc, weights, activation))
    return DeepRecall(torch.cat(outs, 1), DeepState(weights, momenta), torch.cat(surprises, 1))
