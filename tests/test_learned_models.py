"""What holds for all learned models: torch.compile traces them whole, and their numbers have the module's type."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import pytest

if importlib.util.find_spec("torch"):
    import torch

    from neurosim.models.jepa import Encoder
    from neurosim.models.mamba import JambaLM, Mamba2Block, MambaBlock
    from neurosim.models.spikeformer import SpikeFormer
    from neurosim.models.titans import BrainMimeticLM, NeuralMemory

pytestmark = pytest.mark.engine("torch")
MAKE: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "memory": (lambda: NeuralMemory(16, chunk=16), lambda: torch.randn(2, 40, 16)),
    "deep memory": (lambda: NeuralMemory(16, depth=2, chunk=16), lambda: torch.randn(2, 40, 16)),
    "mamba": (lambda: MambaBlock(16, 4, engine="torch"), lambda: torch.randn(2, 10, 16)),
    "compiled mamba": (lambda: MambaBlock(16, 4, engine="numba"), lambda: torch.randn(2, 40, 16)),
    "mamba2": (lambda: Mamba2Block(16, 8, head_dim=8, chunk=16), lambda: torch.randn(2, 40, 16)),
    "language": (lambda: BrainMimeticLM(16, 1, 2, segment=16), lambda: torch.randint(256, (2, 40))),
    "jamba": (lambda: JambaLM(16, 8, 2, shared_heads=1), lambda: torch.randint(256, (2, 10))),
    "encoder": (lambda: Encoder((8, 8), (4, 4), dim=8, depth=1, heads=2), lambda: torch.randn(2, 1, 8, 8)),
    "spikeformer": (lambda: SpikeFormer(dim=8, heads=2, steps=2), lambda: torch.randn(2, 1, 8, 8)),
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # these tensors are small
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def leaves(x: Any) -> list[Any]:
    """Return the tensors in nested tuples."""
    if isinstance(x, torch.Tensor):
        return [x]
    return [leaf for part in x for leaf in leaves(part)] if isinstance(x, tuple) else []


@pytest.mark.parametrize("name", MAKE)
def test_numbers_are_of_the_type_of_the_module(name: str) -> None:
    make, given = MAKE[name]
    for dtype in (torch.float32, torch.float64):
        x = given()
        found = leaves(make().to(dtype)(x.to(dtype) if x.is_floating_point() else x))
        assert {t.dtype for t in found} - {torch.int64} == {dtype}
        assert all(bool(torch.isfinite(t).all()) for t in found)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # of its own tracer
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.parametrize("name", sorted(set(MAKE) - {"jamba", "encoder"}))
def test_torch_compile(name: str) -> None:
    """In one graph; but for the scan that is compiled already, which stays outside."""
    make, given = MAKE[name]
    model, x = make(), given()
    traced = torch.compile(model, backend="eager", fullgraph=name != "compiled mamba")
    for got, want in zip(leaves(traced(x)), leaves(model(x)), strict=True):
        assert torch.allclose(got, want, atol=1e-6)
