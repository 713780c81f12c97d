"""Spiking forms: the neuron against snnTorch, Meta-SpikeFormer, spiking Titans and Mamba, counts of operations."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator
from typing import Any

import pytest

from neurosim.errors import ParameterError

if importlib.util.find_spec("torch"):
    import torch
    from torch import nn

    from neurosim.models.layers import LIF, activity, spike, ternary
    from neurosim.models.mamba import MambaBlock
    from neurosim.models.spikeformer import SpikeAttention, SpikeFormer, spike_attention, train_images
    from neurosim.models.titans import NeuralMemory

pytestmark = pytest.mark.engine("torch")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # these tensors are small
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.mark.engine("snntorch")
def test_the_neuron_is_that_of_snntorch() -> None:
    """Spikes to the last, and gradients."""
    import snntorch

    x = 2 * torch.rand(50, 4, 30)
    theirs, ours, found = snntorch.Leaky(beta=0.8), LIF(beta=0.8), []
    weights = torch.randn(50, 4, 30)
    for kind in ("ours", "theirs"):
        given = x.clone().requires_grad_()
        if kind == "ours":
            spikes = ours(given)
        else:
            memory, out = theirs.init_leaky(), []
            for now in given.unbind(0):
                s, memory = theirs(now, memory)
                out.append(s)
            spikes = torch.stack(out)
        (spikes * weights).sum().backward()
        found.append((spikes.detach(), given.grad))
    assert torch.equal(found[0][0], found[1][0]) and 0.1 < float(found[0][0].mean()) < 0.9
    assert torch.allclose(found[0][1], found[1][1], rtol=1e-4, atol=1e-6)


def test_the_surrogate() -> None:
    over = torch.tensor([-1.0, 0.0, 0.5], requires_grad=True)
    s = spike(over)
    s.sum().backward()
    assert s.tolist() == [0, 0, 1]
    assert over.grad is not None
    assert over.grad.tolist() == pytest.approx([1 / (1 + math.pi**2 * u * u) for u in (-1.0, 0.0, 0.5)])
    assert ternary(torch.tensor([-2.0, -0.5, 0.0, 0.5, 2.0])).tolist() == [-1, 0, 0, 0, 1]


def test_queries_keys_and_values_are_spikes() -> None:
    """And the order of the products does not matter, to the last integer."""
    model, seen = SpikeFormer(dim=8, heads=2, depth=2), []
    for module in model.modules():
        if isinstance(module, SpikeAttention):
            for to in (module.to_q, module.to_k, module.to_v):
                to.register_forward_hook(lambda _, __, out: seen.append(out))
    model(torch.randn(2, 1, 28, 28))
    assert len(seen) == 6
    for s in seen:
        assert bool(((s == 0) | (s == 1)).all()) and s.shape[0] == 4
    q, k, v = ((torch.rand(3, 2, 49, 8) < 0.4).float() for _ in range(3))
    assert torch.equal(spike_attention(q, k, v), (q @ k.mT) @ v)


def test_shortcuts_carry_currents() -> None:
    """Every convolution but the first sees spikes, and the pointwise ones that follow a depthwise one its sums."""
    model, binary = SpikeFormer(dim=8, heads=2), []

    def look(_: Any, given: Any, __: Any) -> None:
        binary.append(bool(((given[0] == 0) | (given[0] == 1)).all()))

    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(look)
    model(torch.randn(2, 1, 28, 28))
    assert binary[0] is False and binary.count(False) == 1 + 2


def test_counts_of_operations_are_those_of_a_loop() -> None:
    layer = nn.Conv2d(3, 4, 3, stride=2, padding=1)
    x = (torch.rand(2, 3, 6, 6) < 0.3).float()
    count = 0
    for b, _, i, j in x.nonzero().tolist():
        del b
        rows = [o for o in range(3) if 0 <= i + 1 - 2 * o < 3]
        columns = [o for o in range(3) if 0 <= j + 1 - 2 * o < 3]
        count += len(rows) * len(columns) * 4
    found = activity(nn.Sequential(layer), x)
    assert found["synops"] == count / 2 and found["macs"] == 0
    dense = activity(nn.Sequential(nn.Linear(5, 7)), torch.randn(3, 5))
    assert dense["macs"] == 35 and dense["synops"] == 0


def test_activity_of_a_model_and_its_twin() -> None:
    x = torch.randn(2, 1, 28, 28)
    spiking, plain = activity(SpikeFormer(dim=8, heads=2), x), activity(SpikeFormer(dim=8, heads=2, spiking=False), x)
    assert 0 < spiking["rate"] < 1 and spiking["synops"] > 0
    assert plain["rate"] == 0 and plain["synops"] == 0 and plain["macs"] > 0


def test_spikeformer_learns() -> None:
    """Which half of an image is bright."""
    labels = torch.randint(2, (64,))
    x = 0.3 * torch.randn(64, 1, 8, 8)
    x[labels == 0, :, :, :4] += 1
    x[labels == 1, :, :, 4:] += 1
    model = SpikeFormer(2, dim=4, heads=2, steps=2)
    losses = train_images(model, x, labels, 60, batch=32, lr=1e-2)
    assert losses[-1] < 0.3 < losses[0]
    model.eval()
    assert float((model(x).argmax(1) == labels).float().mean()) > 0.9


def test_a_memory_with_spiking_keys() -> None:
    """Keys are 1, 0, -1 over the root of their number; rows of silent neurons are not written; gradients reach all."""
    memory, x = NeuralMemory(16, spiking=True), 3 * torch.randn(2, 40, 16)
    q, k, *_ = memory.projections(x, memory.initial_state(2).inputs)
    for s in (q, k):
        count = (s != 0).sum(-1, keepdim=True).clamp(min=1)
        assert torch.allclose(
            (s * count.sqrt()).detach().abs().unique().round(decimals=5).unique(), torch.tensor([0.0, 1.0])
        )
        assert 0.05 < float((s != 0).float().mean()) < 0.95
    found = memory(x[:, :1])
    silent = k[:, :, 0] == 0
    assert not found.state.weights.memory[silent].any() and found.state.weights.memory[~silent].any()
    halves = memory(x[:, 20:], memory(x[:, :20]).state)
    assert torch.allclose(halves.out, memory(x).out[:, 20:], atol=1e-5)
    memory(x).out.square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in memory.parameters())


def test_mamba_with_spikes() -> None:
    layer, x = MambaBlock(16, 4, spiking=True), 3 * torch.randn(2, 40, 16)
    with torch.no_grad():
        layer.D.mul_(3)
    seen: list[Any] = []
    layer.out_proj.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    whole, _ = layer(x)
    gate = torch.nn.functional.silu(layer.in_proj(x).chunk(2, -1)[1])
    ratio = (seen[0] / gate).detach()
    assert set(ratio.round(decimals=4).unique().tolist()) == {0.0, 1.0}
    first, state = layer(x[:, :15])
    second, _ = layer(x[:, 15:], state)
    assert torch.allclose(torch.cat([first, second], 1), whole, atol=1e-5)
    whole.square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in layer.parameters())


def test_what_is_refused() -> None:
    with pytest.raises(ParameterError, match="dim=12 is no multiple of heads=5"):
        SpikeAttention(12, 5, LIF)
