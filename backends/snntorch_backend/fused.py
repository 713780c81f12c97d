"""A population's steps as one operation of autograd: forward and backward are a fused loop each."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurosim.backends.compiled.cache import load
from neurosim.backends.snntorch_backend import loop_numba, loop_triton
from neurosim.backends.snntorch_backend.arithmetic import first_order
from neurosim.backends.snntorch_backend.loop import Leaf, Loop

_BLOCK = 64
"""Neurons of a Triton program instance."""

_WORTH = 100_000
"""Steps of single neurons that are worth a thread."""


@dataclass
class Steps:
    """What a stretch of steps gave: spikes and traces [batch, time, neurons], and the state after it."""

    spikes: Tensor | None
    traces: dict[str, Tensor]
    state: dict[str, Tensor]


class Fused:
    """The kernels of one population's loop, made when they are first needed.

    Parameters
    ----------
    loop : Loop
        What they are printed from.
    neurons : int
        Size of the population.
    dt : float
        Step in seconds.
    dtype : torch.dtype
        float32 or float64.
    params : callable
        Returns parameter -> its value, one or [neurons].
    fixed : bool
        Whether they stay as they are, so that they are asked for once.
    """

    def __init__(
        self, loop: Loop, neurons: int, dt: float, dtype: torch.dtype, params: Callable[[], Mapping[str, Tensor]],
        fixed: bool = True,
    ) -> None:  # fmt: skip
        self.loop, self.neurons, self.dt, self.dtype, self.params = loop, neurons, dt, dtype, params
        self.fixed = fixed
        self.kernels: dict[tuple[Any, ...], OnCpu | OnGpu] = {}
        self._packed: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def __call__(
        self,
        start: int,
        steps: int,
        batch: int,
        inputs: Mapping[Leaf, Tensor],
        state: Mapping[str, Tensor],
        traces: Sequence[str] = (),
    ) -> Steps:
        """Run.

        Parameters
        ----------
        start, steps, batch : int
            Number of the first step, how many, and how many runs.
        inputs : mapping
            Leaf -> [batch or 1, steps, neurons].
        state : mapping
            State variable -> [batch, neurons].
        traces : sequence of str
            State variables to return after every step.
        """
        loop = self.loop
        call = Call(self, start, steps, batch, tuple(traces))
        arrivals = [inputs["inbox", name] for name in loop.arrivals]
        others = [inputs[leaf].detach() for leaf in loop.inputs if leaf[0] != "inbox"]
        trained = [self.params()[name] for name in loop.trained] if loop.trained else []
        out: Any = _Loop.apply(call, others, *arrivals, *(state[name] for name in loop.states), *trained)
        spikes, traced, after = out[0], out[1 : 1 + len(traces)], out[1 + len(traces) :]
        return Steps(
            spikes if loop.event is not None else None,
            dict(zip(traces, traced, strict=True)),
            dict(zip(loop.states, after, strict=True)),
        )

    def packed(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return the parameters as kernels take them: scalars [k], and those per neuron [k, neurons]."""
        if device not in self._packed or not self.fixed:
            params = {k: v.detach() for k, v in self.params().items()}
            like = {"dtype": self.dtype, "device": device}
            loop = self.loop
            scalars = (
                torch.stack([params[p].reshape(()) for p in loop.scalars]) if loop.scalars else torch.empty(0, **like)
            )
            each = torch.stack([params[p] for p in loop.rows]) if loop.rows else torch.empty(0, 0, **like)
            self._packed[device] = scalars, each
        return self._packed[device]

    def kernel(self, device: torch.device, traces: tuple[str, ...], kept: bool, forward: bool) -> OnCpu | OnGpu:
        """Return a kernel of one way."""
        kind = self.kind(device)
        key = kind, traces, kept, forward
        if key not in self.kernels:
            self.kernels[key] = kind(self, traces, kept, forward)
        return self.kernels[key]

    def kind(self, device: torch.device) -> type[OnCpu] | type[OnGpu]:
        """Return what runs the loop on a device."""
        return OnCpu if device.type == "cpu" else OnGpu


@dataclass
class Call:
    """The numbers of one call."""

    fused: Fused
    start: int
    steps: int
    batch: int
    traces: tuple[str, ...]


class _Loop(torch.autograd.Function):
    """Takes arrivals, state and trained parameters; gives spikes, traces and the state afterwards."""

    @staticmethod
    def forward(ctx: Any, call: Call, others: list[Tensor], *given: Tensor) -> Any:
        fused, loop = call.fused, call.fused.loop
        arrivals, state = given[: len(loop.arrivals)], given[len(loop.arrivals) :][: len(loop.states)]
        device = next((x.device for x in (*given, *others)), None) or next(iter(fused.params().values())).device
        like = {"dtype": fused.dtype, "device": device}
        shape = call.batch, call.steps, fused.neurons
        kept = loop.back is not None and any(ctx.needs_input_grad)
        segments = -(-call.steps // fused.kind(device).segment) if kept else 0
        scalars, each = fused.packed(device)
        arrays = {
            "scalars": scalars,
            "each": each,
            "before": torch.stack([s.expand(shape[0], shape[2]) for s in state]) if state else scalars,
            "after": torch.empty(len(state), shape[0], shape[2], **like),
            "kept": torch.empty(shape[0], segments * len(state), shape[2], **like),
            "spikes": torch.empty(shape if loop.event is not None else (0, 0, 0), **like),
        }
        inputs = [(x if x.dtype == fused.dtype else x.to(fused.dtype)).contiguous() for x in (*arrivals, *others)]
        traces = [torch.empty(shape, **like) for _ in call.traces]
        arrays |= {f"x{k}": x for k, x in enumerate(inputs)} | {f"trace{k}": x for k, x in enumerate(traces)}
        fused.kernel(device, call.traces, kept, True)(call, arrays)
        ctx.call = call
        ctx.save_for_backward(scalars, each, arrays["kept"], *inputs)
        out = arrays["spikes"], *traces, *(row.clone() for row in arrays["after"].unbind(0))
        if loop.back is None:
            ctx.mark_non_differentiable(*out)
        return out

    @staticmethod
    def backward(ctx: Any, d_spikes: Tensor, *grads: Tensor) -> Any:
        first_order()
        call, (scalars, each, kept, *inputs) = ctx.call, ctx.saved_tensors
        loop, shape = call.fused.loop, (call.batch, call.steps, call.fused.neurons)
        like = {"dtype": kept.dtype, "device": kept.device}
        d_traces, d_after = grads[: len(call.traces)], grads[len(call.traces) :]
        d_before = torch.empty(len(loop.states), shape[0], shape[2], **like)
        d_params = torch.empty(len(loop.trained), shape[0], shape[2], **like)
        d_inputs = [torch.empty(shape, **like) for _ in loop.arrivals]
        arrays = {
            "scalars": scalars,
            "each": each,
            "kept": kept,
            "d_after": torch.stack(d_after) if d_after else kept,
            "d_before": d_before,
            "d_params": d_params,
            "d_spikes": d_spikes.contiguous(),
        }
        arrays |= {f"x{k}": x for k, x in enumerate(inputs)} | {f"d_x{k}": x for k, x in enumerate(d_inputs)}
        arrays |= {f"d_trace{k}": d.contiguous() for k, d in enumerate(d_traces)}
        call.fused.kernel(kept.device, call.traces, True, False)(call, arrays)
        summed = [d if len(x) == shape[0] else d.sum(0, keepdim=True)
                  for d, x in zip(d_inputs, inputs, strict=False)]  # fmt: skip
        trained = [d.sum(0) if name in loop.rows else d.sum() for name, d in zip(loop.trained, d_params, strict=True)]
        return None, None, *summed, *d_before.unbind(0), *trained


class OnCpu:
    """One way of a loop, compiled by numba; large batches are divided among torch's threads."""

    segment = loop_numba.SEGMENT

    def __init__(self, fused: Fused, traces: tuple[str, ...], kept: bool, forward: bool) -> None:
        loop = fused.loop
        self.width = loop_numba.width_of(fused.neurons)
        kind = "f64" if fused.dtype == torch.float64 else "f32"
        if forward:
            printed = loop_numba.print_forward(loop, kind, self.width, traces, kept)
        else:
            printed = loop_numba.print_backward(loop, kind, self.width, traces)
        kernel = load(printed.source, "loop_ahead" if forward else "loop_back", printed.spec)
        self.kernel, self.spec, self.scratch = kernel.packed, [a.split() for a in printed.spec], printed.scratch
        self.dtype, self.own = fused.dtype, threading.local()
        self.dt = int(np.float64(fused.dt).view(np.int64))

    def __call__(self, call: Call, arrays: Mapping[str, Tensor]) -> None:
        """Run it on arrays that are contiguous and of its precision."""
        neurons, steps = call.fused.neurons, call.steps
        tiles = -(-neurons // self.width)
        items = tiles * call.batch
        numbers = {"tiles": tiles, "neurons": neurons, "batch": call.batch, "steps": steps, "start": call.start,
                   "dt": self.dt}  # fmt: skip
        work = call.batch * neurons * steps
        threads = max(1, min(torch.get_num_threads(), items, work // _WORTH))

        def part(k: int) -> None:
            if not hasattr(self.own, "scratch"):
                self.own.scratch = {name: torch.zeros(n, dtype=self.dtype) for name, n in self.scratch.items()}
            scratch, block = self.own.scratch, []
            given = {**numbers, "begin": items * k // threads, "end": items * (k + 1) // threads}
            for name, kind in self.spec:
                if ":" in kind:
                    array = scratch[name] if name in scratch else arrays[name]
                    block += [array.data_ptr(), array.numel()]
                elif name.startswith("stride"):
                    block.append(steps if arrays[f"x{name[6:]}"].shape[0] > 1 else 0)
                else:
                    block.append(given[name])
            self.kernel(np.array(block, dtype=np.int64))

        if threads == 1:
            part(0)
        else:
            list(_pool(threads, os.getpid()).map(part, range(threads)))


class OnGpu:
    """One way of a loop, compiled by Triton."""

    segment = loop_triton.SEGMENT

    def __init__(self, fused: Fused, traces: tuple[str, ...], kept: bool, forward: bool) -> None:
        kind = "f64" if fused.dtype == torch.float64 else "f32"
        if forward:
            source, self.arrays = loop_triton.print_forward(fused.loop, kind, traces, kept)
        else:
            source, self.arrays = loop_triton.print_backward(fused.loop, kind, traces)
        self.kernel = loop_triton.kernel(source, "ahead" if forward else "back")
        self.inputs, self.dt = range(len(fused.loop.inputs)), fused.dt

    def __call__(self, call: Call, arrays: Mapping[str, Tensor]) -> None:
        """Run it on arrays that are contiguous and of its precision."""
        neurons, steps = call.fused.neurons, call.steps
        strides = [steps if len(arrays[f"x{k}"]) > 1 else 0 for k in self.inputs]
        block = min(_BLOCK, 1 << max(4, (neurons - 1).bit_length()))
        self.kernel[call.batch, -(-neurons // block)](
            *(arrays[name] for name in self.arrays), neurons, call.batch, steps, call.start, *strides,
            dt=self.dt, BLOCK=block, num_warps=max(1, block // 32), enable_fp_fusion=False,
        )  # fmt: skip


@cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Return threads of this process: a forked one has its parent's pool, but not its threads."""
    return ThreadPoolExecutor(threads, thread_name_prefix="neurosim-loop")
