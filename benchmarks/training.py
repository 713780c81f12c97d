"""A layer of spiking neurons, forward and backward: neurosim's fused loops, snnTorch's loop, SpikingJelly's many steps.

::

    python benchmarks/training.py                      # 100 steps; batch 128 x 512 neurons, 16 x 256, 1 x 512
    python benchmarks/training.py --device cuda

The cell is snnTorch's ``Leaky`` (``reset_delay=False``): as an equation in neurosim, where ``net.to_torch()`` makes its
module; in snnTorch, stepped through time with ``unbind`` (indexing ``x[t]`` makes its backward pass quadratic in time);
in SpikingJelly as its ``LIFNode`` with the same leak, in multi-step mode. SpikingJelly is left out where it is not
installed (``pip install spikingjelly``); on a GPU its variable SJ_LIF_CUDA_IMPLEMENTATION (cuda or triton) says what it
runs. The contenders take turns in rounds of at least ``--seconds`` each; a figure is the median of its rounds, a ratio
the median of the ratios of a round. The numbers of spikes show that all do the same work.
"""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch

import neurosim as ns
from neurosim.models import DeltaCurrent
from neurosim.units import ms

BETA = 0.9048374180359595  # exp(-1/10)
STEPS = 100

Step = Callable[[], Any]


def ours(x: Any, weight: Any) -> Step:
    """neurosim: the module of a network of one population."""
    net = ns.Network("layer", dt=1 * ms)
    leaky = ns.Cell("dv/dt = -v/tau", threshold="v > v_th", reset="v -= v_th", name="Leaky", v_th=1.0, tau=10 * ms,
                    receptors={"in": DeltaCurrent})  # fmt: skip
    net.population("layer", x.shape[2], leaky)
    module = net.to_torch(scale={"layer": 1.0}, detach_reset=False).to(x.device)
    assert module.loops() == {"layer": "fused"}
    given = x.clone().requires_grad_()

    def step() -> Any:
        spikes = module({"layer.in": given}).spikes["layer"]
        given.grad = None
        spikes.backward(weight)
        return spikes

    return step


def snntorch(x: Any, weight: Any) -> Step:
    """snnTorch: its cell, step by step."""
    snn, surrogate = importlib.import_module("snntorch"), importlib.import_module("snntorch.surrogate")
    cell = snn.Leaky(beta=BETA, spike_grad=surrogate.atan(), reset_delay=False).to(x.device)
    given, weight = x.transpose(0, 1).contiguous().requires_grad_(), weight.transpose(0, 1).contiguous()

    def step() -> Any:
        mem, out = cell.init_leaky(), []
        for now in given.unbind(0):
            spike, mem = cell(now, mem)
            out.append(spike)
        spikes = torch.stack(out)
        given.grad = None
        spikes.backward(weight)
        return spikes

    return step


def spikingjelly(x: Any, weight: Any) -> Step:
    """SpikingJelly: its cell, for all steps at once."""
    neuron = importlib.import_module("spikingjelly.activation_based.neuron")
    surrogate = importlib.import_module("spikingjelly.activation_based.surrogate")
    functional = importlib.import_module("spikingjelly.activation_based.functional")
    cell = neuron.LIFNode(tau=1 / (1 - BETA), decay_input=False, v_threshold=1.0, v_reset=None, step_mode="m",
                          surrogate_function=surrogate.ATan(alpha=2.0), detach_reset=False).to(x.device)  # fmt: skip
    given, weight = x.transpose(0, 1).contiguous().requires_grad_(), weight.transpose(0, 1).contiguous()

    def step() -> Any:
        functional.reset_net(cell)
        spikes = cell(given)
        given.grad = None
        spikes.backward(weight)
        return spikes

    return step


def timed(step: Step, seconds: float, cuda: bool) -> float:
    """Return the time of one call, over as many as take ``seconds``."""

    def settle() -> None:
        if cuda:
            torch.cuda.synchronize()

    step()
    settle()
    calls, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        step()
        settle()
        calls += 1
    return (time.perf_counter() - start) / calls


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--sizes", default="128x512,16x256,1x512", help="batch x neurons")
    parser.add_argument("--seconds", type=float, default=0.3)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    cuda = torch.device(given.device).type == "cuda"
    where = torch.cuda.get_device_name() if cuda else f"CPU, {torch.get_num_threads()} threads"
    print(f"torch {torch.__version__}, {where}; {STEPS} steps, forward and backward, float32")
    makers = {"neurosim": ours, "snnTorch": snntorch, "SpikingJelly": spikingjelly}
    if importlib.util.find_spec("spikingjelly") is None:
        print("SpikingJelly is not installed: left out")
        del makers["SpikingJelly"]
    print(f"{'batch x neurons':>16}" + "".join(f"{name:>16}{'spikes':>11}" for name in makers)
          + "".join(f"{name + '/ours':>19}" for name in list(makers)[1:]))  # fmt: skip
    for size in given.sizes.split(","):
        batch, neurons = map(int, size.split("x"))
        g = torch.Generator().manual_seed(1)
        x, weight = (torch.rand(batch, STEPS, neurons, generator=g).to(given.device) for _ in range(2))
        steps = {name: make(0.4 * x, weight) for name, make in makers.items()}
        spikes = {name: int(step().sum()) for name, step in steps.items()}
        rounds = [{name: timed(step, given.seconds, cuda) for name, step in steps.items()} for _ in range(given.rounds)]
        row = f"{size:>16}"
        row += "".join(f"{1e3 * median(r[name] for r in rounds):>13.3f} ms{spikes[name]:>11,}" for name in makers)
        row += "".join(f"{median(r[name] / r['neurosim'] for r in rounds):>19.1f}" for name in list(makers)[1:])
        print(row, flush=True)


if __name__ == "__main__":
    main()
