"""Muon for matrices with AdamW for the rest, as one optimiser, and QK-clip.

Muon (K. Jordan, 2024; J. Liu et al., arXiv 2502.16982) replaces the momentum of a matrix by the nearest orthogonal one.
It is torch's (``torch.optim.Muon``). QK-clip (Kimi K2, arXiv 2507.20534) bounds the logits of attention.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable
from typing import Any

from neurosim.errors import ParameterError

SCALES = ("original", "match_rms_adamw", "fan")


def muon_adamw(
    module: Any, *, lr: float = 0.02, lr_rest: float = 1e-3, weight_decay: float = 0.01, momentum: float = 0.95,
    scale: str = "original", rest: Iterable[str] = (),
) -> Any:  # fmt: skip
    """Return one optimiser for a module: Muon for its matrices, AdamW for everything else.

    Parameters
    ----------
    module : torch.nn.Module
        Any. Of a network's module, projections that connect every pair of neurons once are matrices [post, pre], and
        kernels of convolutions are [output channels, elements].
    lr, lr_rest : float
        Learning rates of Muon and of AdamW.
    weight_decay, momentum : float
        Of both; of Muon.
    scale : {"original", "match_rms_adamw", "fan"}
        What a step of a matrix of ``out`` rows and ``in`` columns is multiplied by: ``sqrt(max(1, out/in))``,
        ``0.2 sqrt(max(out, in))``, or ``sqrt(out/in)``.
    rest : sequence of str
        Names of parameters, or what they begin with, that AdamW takes although they are matrices: embeddings and heads.

    Raises
    ------
    ParameterError
        An unknown scale, or a name of no parameter.
    """
    if scale not in SCALES:
        raise ParameterError(f"scale must be one of {', '.join(map(repr, SCALES))}, got {scale!r}")
    torch = importlib.import_module("torch")
    named = dict(module.named_parameters())
    for what, rate in (("lr", lr), ("lr_rest", lr_rest)):
        if not isinstance(rate, (int, float)) or not rate > 0:
            raise ParameterError(f"{what} must be a number above 0, got {rate!r}")
    for prefix in (rest,) if isinstance(rest, str) else rest:
        if not any(name.startswith(prefix) for name in named):
            raise ParameterError(f"rest: no parameter of the module begins with '{prefix}'; it has {', '.join(named)}")
    matrices, others = [], []
    views = _views(module)
    for name, parameter in named.items():
        if not parameter.requires_grad:
            continue
        view = views.get(id(parameter), lambda p: p if p.ndim == 2 else None)
        apart = (rest,) if isinstance(rest, str) else tuple(rest)
        taken = None if apart and name.startswith(apart) else view(parameter.data)
        if taken is None:
            others.append(parameter)
        else:
            matrices.append((parameter, view, torch.nn.Parameter(taken)))
    groups = []
    for _, _, matrix in matrices:
        out, into = matrix.shape
        factor = min(1.0, math.sqrt(out / into)) if scale == "fan" else 1.0  # torch has the part above 1
        groups.append({"params": [matrix], "lr": lr * factor})
    adjust = "match_rms_adamw" if scale == "match_rms_adamw" else "original"
    muon = (
        torch.optim.Muon(groups, lr=lr, weight_decay=weight_decay, momentum=momentum, adjust_lr_fn=adjust)
        if groups
        else None
    )
    adam = torch.optim.AdamW(others, lr=lr_rest, weight_decay=weight_decay) if others else None
    if muon is None and adam is None:
        raise ParameterError("the module has no parameters to train")
    return _both(torch)(matrices, [o for o in (muon, adam) if o is not None])


def _views(module: Any) -> dict[int, Callable[[Any], Any]]:
    """Return id of a parameter -> how it is seen as a matrix [post, pre], for projections that are full."""
    out: dict[int, Callable[[Any], Any]] = {}
    for part in module.modules():
        for s in getattr(part, "synapses", ()) if hasattr(part, "weights") else ():
            found = part.weights[s.name]
            if s.shared:  # a kernel: the matrix from windows to channels, as Muon has it for convolutions
                out[id(found)] = lambda p: p.view(len(p), -1)
                continue
            pre_major = s.pre * s.n_post + s.post
            post_major = s.post * s.n_pre + s.pre
            if len(s.pre) != s.n_pre * s.n_post:
                out[id(found)] = lambda p: None
            elif (pre_major[1:] > pre_major[:-1]).all():
                out[id(found)] = lambda p, s=s: p.view(s.n_pre, s.n_post).t()
            elif (post_major[1:] > post_major[:-1]).all():
                out[id(found)] = lambda p, s=s: p.view(s.n_post, s.n_pre)
            else:
                out[id(found)] = lambda p: None
    return out


def _both(torch: Any) -> Any:
    class MuonAdamW(torch.optim.Optimizer):  # type: ignore[misc,name-defined]
        """Several optimisers as one, with the groups of all: a scheduler sets all of their rates."""

        def __init__(self, matrices: list[Any], parts: list[Any]) -> None:
            super().__init__([p for p, _, _ in matrices] or parts[0].param_groups[0]["params"], {})
            self.matrices, self.parts = matrices, parts
            self.param_groups = [group for part in parts for group in part.param_groups]

        def zero_grad(self, set_to_none: bool = True) -> None:
            """Forget all gradients."""
            for parameter, _, _ in self.matrices:
                parameter.grad = None
            for part in self.parts:
                part.zero_grad(set_to_none)

        def step(self, closure: Any = None) -> Any:  # type: ignore[override]
            """Take a step with each."""
            loss = None
            if closure is not None:
                with torch.enable_grad():
                    loss = closure()
            for parameter, view, matrix in self.matrices:
                matrix.data = view(parameter.data)  # that of now: it may have moved, to a device for one
                matrix.grad = None if parameter.grad is None else view(parameter.grad)
            for part in self.parts:
                part.step()
            return loss

        def add_param_group(self, param_group: dict[str, Any]) -> None:
            """Take the parameters that it is made with, and no others."""
            if hasattr(self, "parts"):
                raise ParameterError("this optimiser has the parameters of its module: make another for more")
            super().add_param_group(param_group)

        def state_dict(self) -> dict[str, Any]:
            """Return the states of all."""
            return {"parts": [part.state_dict() for part in self.parts]}

        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            """Take the states of all."""
            for part, state in zip(self.parts, state_dict["parts"], strict=True):
                part.load_state_dict(state)
            self.param_groups = [group for part in self.parts for group in part.param_groups]

    return MuonAdamW


def qk_clip(query: Any, key: Any, logits: Any, *, heads: int, limit: float = 100.0) -> Any:
    """Scale queries and keys of the heads whose largest logit is beyond a limit, after a step of the optimiser.

    Parameters
    ----------
    query, key : torch.nn.Linear
        Their projections; rows ``h*d`` to ``(h + 1)*d`` are those of head h.
    logits : tensor
        The largest ``q k / sqrt(d)`` of each head over the batch, [heads].
    heads : int
        How many.
    limit : float
        What it may be: then each of both is multiplied by the square root of limit/logit, biases too.

    Returns
    -------
    tensor
        The factor of each head's logits, 1 where nothing was done: its weights are the bits that they were.
    """
    torch = importlib.import_module("torch")
    if not limit > 0:
        raise ParameterError(f"limit must be above 0, got {limit!r}")
    found = torch.as_tensor(logits).detach()
    if heads < 1 or not bool(torch.isfinite(found).all()):
        raise ParameterError(f"heads must be 1 or more, and all logits finite; got {heads}, {found.tolist()}")
    if found.shape != (heads,) or query.weight.shape[0] % heads or key.weight.shape[0] % heads:
        raise ParameterError(
            f"logits must be one for each of {heads} heads, which divide the rows of both projections; got "
            f"{list(found.shape)}, {query.weight.shape[0]} and {key.weight.shape[0]} rows"
        )
    factor = torch.where(found > limit, limit / found, torch.ones_like(found))
    with torch.no_grad():
        for linear in (query, key):
            rows = torch.repeat_interleave(factor.sqrt(), linear.weight.shape[0] // heads).to(linear.weight)
            changed = rows != 1
            linear.weight[changed] *= rows[changed, None]
            if linear.bias is not None:
                linear.bias[changed] *= rows[changed]
    return factor
