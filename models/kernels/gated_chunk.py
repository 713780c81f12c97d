"""One kernel for memories that are matrices: Titans' linear memory, DeltaNet, gated linear attention, Mamba-2.

A matrix M (row form: a read is ``q @ M``) and its momentum S follow, token by token,

    e_t = k_t M_{t-1} - v_t                       the error: what the memory recalls, less what it should
    S_t = eta_t S_{t-1} - theta_t k_t^T e_t       momentum; k_t^T e_t is the gradient of |k M - v|^2 / 2
    M_t = (1 - alpha_t) M_{t-1} + S_t             forgetting
    y_t = q_t M_t  (read "post")  or  q_t M_{t-1}  (read "pre")

With P[t,s] the product of 1 - alpha over s < j <= t, Q[t,s] that of eta, and a, h the same from the start of a chunk,

    C = P Q diag(theta),  b = P h
    M_t = a_t M_0 + b_t S_0 - sum_{i<=t} C[t,i] k_i^T e_i,   S_t = h_t S_0 - sum_{i<=t} Q[t,i] theta_i k_i^T e_i

so that a chunk's errors solve one unit lower triangular system, (I + C' * K K^T) E = diag(a') K M_0 + diag(b') K S_0 -
V, where ' is the row before. All products and solutions of all chunks are done at once; only M and S go from one chunk
to the next.

``error`` says which errors: "exact" as above; "chunk_start" takes e_i = k_i M_0 - v_i for the whole chunk, a different
model that depends on the size of the chunk (the parallel form of the paper); "none" takes e_i = -v_i, which leaves
gated linear attention, and Mamba-2's state space duality with 1 - alpha = a.

Source: A. Behrouz, P. Zhong, V. Mirrokni, arXiv 2501.00663, section 3; with alpha = 0 and no momentum the form of
S. Yang et al., arXiv 2406.06484 (DeltaNet); with "none" T. Dao, A. Gu, arXiv 2405.21060, section 6.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from neurosim.errors import ParameterError

ERRORS = ("exact", "chunk_start", "none")
READS = ("post", "pre")


class MemoryState(NamedTuple):
    """What a memory carries from call to call: M (..., d, d_v) and S of the same shape, or None without momentum."""

    memory: Tensor
    momentum: Tensor | None

    def detach(self) -> MemoryState:
        """Return the same values, cut from the graph."""
        return MemoryState(self.memory.detach(), None if self.momentum is None else self.momentum.detach())


class Recall(NamedTuple):
    """What :func:`gated_chunk` returns: reads (..., T, d_v), the state after the last token, errors e (..., T, d_v)."""

    out: Tensor
    state: MemoryState
    error: Tensor


def decay_matrix(gate: Tensor) -> tuple[Tensor, Tensor]:
    """Return P, with P[t,s] the product of ``gate`` over s < j <= t (0 above the diagonal), and those from the start.

    Products, not the exponential of a sum of logarithms: a gate may be exactly zero, in value and gradient.
    """
    c = gate.shape[-1]
    below = torch.ones(c, c, dtype=torch.bool, device=gate.device).tril(-1)
    steps = torch.where(below, gate[..., :, None], gate.new_ones(()))
    return torch.cumprod(steps, -2).tril(), torch.cumprod(gate, -1)


def _before(x: Tensor, dim: int, first: float) -> Tensor:
    """Shift by one token: row t holds what was at t - 1, and the first row ``first``."""
    start = torch.full_like(x.narrow(dim, 0, 1), first)
    return torch.cat([start, x.narrow(dim, 0, x.shape[dim] - 1)], dim)


class _Chunks(NamedTuple):
    """What does not depend on the state, for all chunks at once, (N, n, ...); m is 2 with momentum, else 1."""

    from_state: Tensor | None  # (c, m d), or (c, d) where M alone counts: E = from_state [M; S] - target
    target: Tensor  # (c, d_v)
    write: Tensor  # (m d, c): what an error adds to [M; S], with a minus
    gain: Tensor  # (m, m): what becomes of [M; S]
    read_state: Tensor  # (c, m d)
    read_error: Tensor  # (c, c)


def _prepare(
    q: Tensor, k: Tensor, v: Tensor, alpha: Tensor, eta: Tensor | None, theta: Tensor, read: str, error: str
) -> _Chunks:
    P, a = decay_matrix(1 - alpha)
    if eta is None:
        C = P * theta[..., None, :]
        writes, decays = [C[..., -1, :]], [a]
        gain = a[..., -1, None, None]
    else:
        Q, h = decay_matrix(eta)
        C = (P @ Q) * theta[..., None, :]
        b = (P @ h[..., None])[..., 0]
        writes, decays = [C[..., -1, :], Q[..., -1, :] * theta], [a, b]
        last = [a[..., -1], b[..., -1], torch.zeros_like(a[..., -1]), h[..., -1]]
        gain = torch.stack(last, -1).unflatten(-1, (2, 2))
    shifted = [_before(d, -1, float(i == 0)) for i, d in enumerate(decays)]
    C_before = _before(C, -2, 0.0)
    scale = decays if read == "post" else shifted
    read_error = (q @ k.mT) * (C if read == "post" else C_before)
    from_state, target = None, v
    if error == "exact":
        system = C_before * (k @ k.mT)  # strictly lower: the diagonal is taken to be one
        one = torch.eye(k.shape[-2], dtype=k.dtype, device=k.device)
        inverse = torch.linalg.solve_triangular(system, one.expand_as(system), upper=False, unitriangular=True)
        from_state = torch.cat([(inverse * d[..., None, :]) @ k for d in shifted], -1)
        target = inverse @ v
    elif error == "chunk_start":
        from_state = k
    return _Chunks(
        from_state,
        target,
        torch.cat([k.mT * w[..., None, :] for w in writes], -2),
        gain,
        torch.cat([d[..., None] * q for d in scale], -1),
        read_error,
    )


def _run(x: _Chunks, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Carry [M; S] (N, m d, d_v) through the chunks; return reads, the last state, errors."""
    m, rows, columns = x.gain.shape[-1], *state.shape[-2:]
    flat = (-1, m, rows // m * columns)
    targets, n = x.target.unbind(1), x.target.shape[1]
    recalls = [None] * n if x.from_state is None else x.from_state.unbind(1)
    states, errors = [], []
    for recall, target, write, gain in zip(recalls, targets, x.write.unbind(1), x.gain.unbind(1), strict=True):
        error = -target if recall is None else torch.baddbmm(target, recall, state[:, : recall.shape[-1]], beta=-1)
        states.append(state)
        errors.append(error)
        state = torch.baddbmm((write @ error).view(flat), gain, state.view(flat), beta=-1).view(state.shape)
    error = torch.stack(errors, 1)
    out = x.read_state @ torch.stack(states, 1) - x.read_error @ error
    return out.flatten(1, 2), state, error.flatten(1, 2)


def _check(q: Tensor, k: Tensor, v: Tensor, chunk: int, read: str, error: str) -> None:
    for name, value, known in (("read", read, READS), ("error", error, ERRORS)):
        if value not in known:
            raise ParameterError(f"{name} is '{value}'; known: {', '.join(known)}")
    if chunk < 1:
        raise ParameterError(f"chunk is {chunk}; it is a number of tokens, at least 1")
    if q.shape[-1] != k.shape[-1] or not q.shape[-2] == k.shape[-2] == v.shape[-2] or v.shape[-2] < 1:
        raise ParameterError(
            f"queries {tuple(q.shape)}, keys {tuple(k.shape)}, values {tuple(v.shape)}: these have to be (..., T, d), "
            "(..., T, d) and (..., T, d_v), with T of at least 1"
        )


def initial_state(k: Tensor, v: Tensor, momentum: bool = True) -> MemoryState:
    """Return an empty memory for keys (..., T, d) and values (..., T, d_v)."""
    lead = torch.broadcast_shapes(k.shape[:-2], v.shape[:-2])
    zero = v.new_zeros(*lead, k.shape[-1], v.shape[-1])
    return MemoryState(zero, zero if momentum else None)


def gated_chunk(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    alpha: Tensor,
    eta: Tensor | None,
    theta: Tensor,
    *,
    state: MemoryState | None = None,
    chunk: int = 64,
    read: str = "post",
    error: str = "exact",
) -> Recall:
    """Run a memory over a sequence, in chunks.

    Parameters
    ----------
    q, k : Tensor (..., T, d)
        Queries and keys.
    v : Tensor (..., T, d_v)
        What shall be recalled.
    alpha, eta, theta : Tensor (..., T)
        Forgetting, momentum, rate; each a number per token. No momentum, if ``eta`` is None.
    state : MemoryState, optional
        Where to begin; an empty memory without it.
    chunk : int
        Tokens at once. The result depends on it only with ``error="chunk_start"``. 32 to 64 is fastest on a CPU.
    read : str
        "post": the memory that holds the token itself; "pre": the one before.
    error : str
        "exact", "chunk_start" or "none"; see the module.
    """
    _check(q, k, v, chunk, read, error)
    start = initial_state(k, v, eta is not None) if state is None else state
    if (start.momentum is None) != (eta is None):
        raise ParameterError("the state has a momentum and eta is None, or the other way round: give both or neither")
    gates = [alpha, theta] if eta is None else [alpha, theta, eta]
    matrices = [start.memory] if start.momentum is None else [start.memory, start.momentum]
    lead = torch.broadcast_shapes(*(x.shape[:-2] for x in (q, k, v, *matrices)), *(g.shape[:-1] for g in gates))
    T, d, d_v = *k.shape[-2:], v.shape[-1]
    q, k, v = (x.expand(*lead, *x.shape[-2:]).reshape(-1, *x.shape[-2:]) for x in (q, k, v))
    alpha, theta, *rest = (g.expand(*lead, T).reshape(-1, T) for g in gates)
    held = torch.cat([m.expand(*lead, d, d_v).reshape(-1, d, d_v) for m in matrices], -2)
    tokens = [q, k, v, alpha, *rest, theta]
    outs, errors = [], []
    whole = T - T % chunk
    for first, last, size in ((0, whole, chunk), (whole, T, T - whole)):
        if first < last:
            parts = [x[:, first:last].unflatten(1, (-1, size)) for x in tokens]
            momentum = parts[4] if rest else None
            prepared = _prepare(parts[0], parts[1], parts[2], parts[3], momentum, parts[-1], read, error)
            out, held, e = _run(prepared, held)
            outs.append(out)
            errors.append(e)
    memory, *momentum = (m.reshape(*lead, d, d_v) for m in held.split(d, -2))
    out, e = (torch.cat(x, 1).reshape(*lead, T, d_v) for x in (outs, errors))
    return Recall(out, MemoryState(memory, momentum[0] if momentum else None), e)


def gated_loop(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    alpha: Tensor,
    eta: Tensor | None,
    theta: Tensor,
    *,
    state: MemoryState | None = None,
    chunk: int = 64,
    read: str = "post",
    error: str = "exact",
) -> Recall:
    """The same token by token, as the equations are written: the definition against which the other is tested."""
    _check(q, k, v, chunk, read, error)
    M, S = initial_state(k, v) if state is None else state
    S = torch.zeros_like(M) if S is None else S
    etas = [None] * k.shape[-2] if eta is None else eta.unbind(-1)
    outs, errors, first = [], [], M
    tokens = zip(q.unbind(-2), k.unbind(-2), v.unbind(-2), alpha.unbind(-1), etas, theta.unbind(-1), strict=True)
    for t, (qt, kt, vt, al, et, th) in enumerate(tokens):
        if read == "pre":
            outs.append((qt[..., None, :] @ M)[..., 0, :])
        if t % chunk == 0:
            first = M
        seen = M if error == "exact" else first
        e = -vt if error == "none" else (kt[..., None, :] @ seen)[..., 0, :] - vt
        step = -th[..., None, None] * kt[..., :, None] * e[..., None, :]
        S = step if et is None else et[..., None, None] * S + step
        M = (1 - al)[..., None, None] * M + S
        errors.append(e)
        if read == "post":
            outs.append((qt[..., None, :] @ M)[..., 0, :])
    return Recall(torch.stack(outs, -2), MemoryState(M, None if eta is None else S), torch.stack(errors, -2))
