"""Training with Loihi 2's integers: forward, the spikes of the integers; backward, gradients; and what comes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurosim as ns
from neurosim.backends.lava import environment
from neurosim.backends.lava.export import export
from neurosim.backends.lava.worker import run_script
from neurosim.errors import ParameterError, UnknownNameError, UnsupportedError
from neurosim.hardware.loihi2 import quantise
from neurosim.hardware.training import IntegerTraining
from neurosim.models import LIF, CubaLIF, DeltaCurrent, ExpCurrent, SpikeSource
from neurosim.units import ms, mV

pytestmark = pytest.mark.engine("snntorch")

TRAIN = np.random.default_rng(1).random((120, 20)) < 0.1


def network(receptor: Any = DeltaCurrent, train: np.ndarray = TRAIN) -> ns.Network:
    """A source and a recurrent layer of cells of different time constants."""
    net = ns.Network("small", dt=1 * ms, seed=1)
    tau = np.linspace(8, 30, 30) * ms
    cell = LIF(tau_m=tau, v_rest=0 * mV, v_reset=0 * mV, v_th=10 * mV, receptors={"s": receptor})
    steps, ids = np.nonzero(train)
    source = net.population("source", 20, SpikeSource(steps * ms, ids))
    cells = net.population("cells", 30, cell)
    net.connect(source, cells, weight=ns.normal(1 * mV, 3 * mV), delay=1 * ms, name="in")
    net.connect(cells, cells, rule=ns.FixedProbability(0.3), weight=ns.normal(0 * mV, 2 * mV),
                delay=ns.uniform(1 * ms, 5 * ms), name="back")  # fmt: skip
    return net


def spikes_of(net: ns.Network, backend: str = "reference") -> np.ndarray:
    net.record(net["cells"], "spikes")
    found = net.run(120 * ms, backend=backend).spikes["cells"]
    dense = np.zeros((120, 30))
    dense[found.steps, found.ids] = 1
    return dense


def given() -> dict[str, Any]:
    import torch

    return {"source": torch.from_numpy(TRAIN).double()}


@pytest.mark.parametrize("bits", [8, 3])
@pytest.mark.parametrize("receptor", [DeltaCurrent, ExpCurrent(tau=8 * ms)], ids=["delta", "exp"])
def test_spikes_are_those_of_the_integers(receptor: Any, bits: int) -> None:
    training = IntegerTraining(network(receptor), bits=bits, precision="double")
    found = training(given()).spikes["cells"][0].detach().numpy()
    want = spikes_of(training.network())
    assert want.sum() > 150
    np.testing.assert_array_equal(found, want)


def test_untrained_it_is_what_quantise_gives() -> None:
    found, want = IntegerTraining(network()).network(), quantise(network()).network
    assert list(found.projections) == list(want.projections) == ["in", "back"]
    for name, projection in want.projections.items():
        other = found.projections[name]
        assert other.receptor == projection.receptor and np.array_equal(other.weight, projection.weight)
    np.testing.assert_array_equal(spikes_of(found), spikes_of(want))
    np.testing.assert_array_equal(spikes_of(found, "loihi2"), spikes_of(want))


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_weights_are_multiples_within_the_range(bits: int) -> None:
    import torch

    training = IntegerTraining(network(), bits=bits)
    with torch.no_grad():
        for parameter in training.parameters():
            parameter.mul_(3.7)  # some leave the range
    step = 2 ** (8 - bits)
    for name in ("in", "back"):
        found = training.mantissas(name)
        assert np.all(found % step == 0) and np.abs(found).max() == 256 - step
        exact = training.module.weights[name].detach().double().numpy() * training.module.units[name]
        assert np.abs(found - exact.clip(step - 256, 256 - step)).max() <= step / 2 + 1e-3


def test_a_gradient_passes_rounding_and_stops_at_the_range() -> None:
    import torch

    training = IntegerTraining(network(), precision="double")
    parameter = training.module.weights["in"]
    with torch.no_grad():
        parameter[0] = 300 / training.module.units["in"]
    training(given(), traces=["cells.v"]).traces["cells.v"].sum().backward()
    assert parameter.grad is not None and parameter.grad[0] == 0 and (parameter.grad[1:] != 0).double().mean() > 0.9
    plain = training.module(given(), traces=["cells.v"]).traces["cells.v"].sum()
    assert plain.requires_grad  # and the module itself still has its weights with fractions
    assert not torch.equal(parameter * training.module.units["in"], (parameter * training.module.units["in"]).round())


def test_training_closes_what_three_bits_lose() -> None:
    """The loss is how far the counts of the cells are from those of the network before it was quantised."""
    import torch

    want = torch.from_numpy(spikes_of(network()).sum(0))
    training = IntegerTraining(network(), bits=3, precision="double")
    optimiser = torch.optim.Adam(training.parameters(), lr=0.02)
    errors = []
    for _ in range(60):
        loss = (training(given()).spikes["cells"][0].sum(0) - want).square().mean()
        errors.append(float(loss.detach()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    after = np.mean((spikes_of(training.network()).sum(0) - want.numpy()) ** 2)
    assert errors[0] > 1 and after < errors[0] / 2


def test_fit_takes_it(tmp_path: Path) -> None:
    """With checkpoints and regularisers, and to the same weights as without a stop."""
    import torch

    from neurosim.learning import L1, RateLoss, SynapticOperations, fit

    g = torch.Generator().manual_seed(1)
    labels = torch.randint(2, (24,), generator=g)
    upper = torch.arange(20) >= 10
    spikes = torch.rand(24, 30, 20, generator=g) < torch.where(upper == (labels == 1)[:, None], 0.2, 0.05)[:, None]
    loss, how = RateLoss("cells", classes=2, scale=0.2), {"batch": 8, "lr": 0.02, "quiet": True}
    whole, halves = (IntegerTraining(network(), bits=3) for _ in range(2))
    assert isinstance(whole, torch.nn.Module)
    history = fit(whole, (spikes, labels), loss, test=(spikes, labels), epochs=4,
                  regularisers=[SynapticOperations(1e-6), L1(1e-6)], **how)  # fmt: skip
    assert history["loss"][-1] < history["loss"][0] and history["test_correct"][-1] > 0.8
    for epochs in (1, 4):
        fit(halves, (spikes, labels), loss, epochs=epochs, checkpoint=str(tmp_path / "kept.pt"),
            regularisers=[SynapticOperations(1e-6), L1(1e-6)], **how)  # fmt: skip
    for name in ("in", "back"):
        assert np.array_equal(whole.mantissas(name), halves.mantissas(name))
        assert not np.array_equal(whole.mantissas(name), IntegerTraining(network(), bits=3).mantissas(name))
    with pytest.raises(ParameterError, match="e-prop trains a module of net.to_torch\\(\\), got IntegerTraining"):
        fit(whole, (spikes, labels), loss, gradient="eprop", quiet=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(value: float) -> None:
    import torch

    training = IntegerTraining(network())
    with torch.no_grad():
        training.weights["back"][3] = value
    for use in (lambda: training(given()), training.network, lambda: training.mantissas("back")):
        with pytest.raises(ParameterError, match="the weights of projection 'back' are not all finite any more"):
            use()


def test_sources_are_replaced() -> None:
    training = IntegerTraining(network(train=np.zeros((1, 20))))
    steps, ids = np.nonzero(TRAIN)
    found = training.network({"source": SpikeSource(steps * ms, ids)})
    np.testing.assert_array_equal(spikes_of(found), spikes_of(IntegerTraining(network()).network()))
    with pytest.raises(UnknownNameError, match="no population 'sauce'; did you mean 'source'"):
        training.network({"sauce": SpikeSource([] * ms, [])})
    with pytest.raises(ParameterError, match="'cells' is no source"):
        training.network({"cells": SpikeSource([] * ms, [])})


def test_what_is_refused() -> None:
    for bits in (0, 9, 2.0, True):
        with pytest.raises(ParameterError, match="from 1 to 8"):
            IntegerTraining(network(), bits=bits)  # type: ignore[arg-type]
    net = network()
    net.population("other", 3, CubaLIF)
    with pytest.raises(UnsupportedError, match="counterpart of the cell of population 'other'"):
        IntegerTraining(net)
    net = network()
    net.connect(net["source"] + net["cells"], net["cells"], weight=1 * mV, name="both")
    with pytest.raises(UnsupportedError, match="'both' connects more than two populations"):
        IntegerTraining(net)
    with pytest.raises(UnknownNameError, match="back"):
        IntegerTraining(network()).mantissas("bark")


@pytest.mark.engine("lava")
def test_what_was_trained_runs_in_lava(tmp_path: Path) -> None:
    """Its spikes in Lava are the module's, and its export is a script that checks itself there."""
    import torch

    training = IntegerTraining(network(), bits=4, precision="double")
    optimiser = torch.optim.Adam(training.parameters(), lr=0.02)
    for _ in range(5):
        optimiser.zero_grad()
        (training(given()).spikes["cells"].sum((0, 1)) - 9).square().mean().backward()
        optimiser.step()
    want = training(given()).spikes["cells"][0].detach().numpy()
    net = training.network()
    np.testing.assert_array_equal(spikes_of(net, "lava"), want)
    export(net, str(tmp_path / "out"), duration=120 * ms)
    python = environment.python()
    assert python is not None
    said = run_script(python, tmp_path / "out", "network.py", 60)
    assert said.endswith(" spikes expected, 0 differ\n") and int(said.split()[0]) == want.sum() + TRAIN.sum() > 300
