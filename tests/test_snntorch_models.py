"""snnTorch's models as networks, and back: its own spikes and derivatives, and what cannot be."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

import neurosim as ns
from neurosim.encoding import source
from neurosim.errors import NeurosimError, UnsupportedError
from neurosim.hardware.loihi2 import quantise
from neurosim.interchange.snntorch import leaky, read_model, synaptic, write_model
from neurosim.models import LIF, DeltaCurrent, SpikeSource
from neurosim.units import ms, mV

if importlib.util.find_spec("torch") and importlib.util.find_spec("snntorch"):
    import snntorch as snn
    import torch
    from snntorch import utils
    from torch import nn

pytestmark = pytest.mark.engine("snntorch")

VARIANTS = [(kind, reset, delayed) for kind in ("Leaky", "Synaptic") for reset in ("subtract", "zero", "none")
            for delayed in (True, False)]  # fmt: skip


def layer(kind: str, reset: str, delayed: bool, n: int, seed: int = 0, **more: Any) -> Any:
    g = torch.Generator().manual_seed(seed)
    how = {"beta": torch.rand(n, generator=g), "threshold": 0.5 + torch.rand(n, generator=g), **more}
    how |= {"reset_mechanism": reset, "reset_delay": delayed}
    return snn.Leaky(**how) if kind == "Leaky" else snn.Synaptic(alpha=torch.rand(n, generator=g), **how)


def looped(module: Any, kind: str, x: Any) -> Any:
    """snnTorch's own loop over [batch, time, neurons]."""
    state = (torch.zeros_like(x[:, 0]),) * (1 if kind == "Leaky" else 2)
    spikes = []
    for now in x.unbind(1):
        spk, *state = module(now, *state)
        spikes.append(spk)
    return torch.stack(spikes, 1)


def sequence(model: Any, x: Any) -> Any:
    """A model whose neurons keep their states to themselves, over [batch, time, ...]."""
    utils.reset(model)
    return torch.stack([model(now) for now in x.unbind(1)], 1)


# -- cells ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["single", "double"])
@pytest.mark.parametrize(("kind", "reset", "delayed"), VARIANTS)
def test_a_layer_has_the_spikes_and_the_derivatives_of_snntorch(
    kind: str, reset: str, delayed: bool, precision: str
) -> None:
    """Over all cases 2.2 million spikes; thresholds so low that neurons stay above them after a reset too."""
    n, dtype = 200, {"single": torch.float32, "double": torch.float64}[precision]
    own = layer(kind, reset, delayed, n)
    module = read_model(own, input_shape=n).to_torch(precision=precision)
    g = torch.Generator().manual_seed(1)
    x = (2 * torch.rand(4, 200, n, generator=g, dtype=dtype) - 0.4).requires_grad_()
    weight = torch.randn(4, 200, n, generator=g, dtype=dtype)
    want = looped(own.to(dtype), kind, x)
    got = module({"layer1.input": x}).spikes["layer1"]
    assert want.sum() > 50_000
    assert int((want != got).sum()) == 0
    wanted, found = (torch.autograd.grad((out * weight).sum(), x)[0] for out in (want, got))
    # its surrogates round to float32, and its Synaptic takes apart what is one product here
    torch.testing.assert_close(found, wanted, rtol=0, atol=2e-7 * float(wanted.abs().max()))


@pytest.mark.parametrize(("kind", "reset", "delayed"), VARIANTS)
def test_every_backend_has_them(kind: str, reset: str, delayed: bool) -> None:
    own = layer(kind, reset, delayed, 30, beta=0.8)
    linear = nn.Linear(12, 30)
    read = read_model(nn.Sequential(linear, own), seed=1)
    spikes = (torch.rand(1, 60, 12, generator=torch.Generator().manual_seed(2)) < 0.5).double()
    there = read.spikes(read.to_torch(precision="double")({"input": spikes}))[0]
    read = read_model(nn.Sequential(linear, own), seed=1, spikes=source(spikes[0], 1 * ms))
    read.network.record(read.network["layer1"], "mem")
    for backend in ("reference", "native"):
        result = read.network.run(60 * ms, backend=backend)
        np.testing.assert_array_equal(read.spikes(result), there)
    assert there.sum() > 50


def test_the_cells_check_their_settings() -> None:
    assert leaky(np.array([0.5, 0.9])).value("beta").tolist() == [0.5, 0.9]
    assert "reset: zero, reset a step late" in str(synaptic(reset_mechanism="zero").describe())
    for call, message in (
        (lambda: leaky(reset_mechanism="substract"), "reset_mechanism must be one of 'subtract', 'zero', 'none', got "),
        (lambda: leaky(1.2), "beta"),
        (lambda: synaptic(alpha=-0.1), "alpha"),
    ):
        with pytest.raises(NeurosimError, match=message):
            call()


# -- models ---------------------------------------------------------------------------------------------------------


def convolutional(**how: Any) -> Any:
    how = {"beta": 0.7, "init_hidden": True, **how}
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(2, 4, 3, stride=2, padding=1), snn.Leaky(**how)),
        nn.AvgPool2d(2), nn.Conv2d(4, 6, 3, padding="same", groups=2, bias=False), nn.Dropout2d(0.3),
        snn.Leaky(**{**how, "threshold": 0.3}),
        nn.Flatten(), nn.Identity(), nn.Linear(6 * 2 * 3, 10), snn.Leaky(**{**how, "threshold": 0.2}),
    )  # fmt: skip


def test_a_model_of_layers_has_its_spikes() -> None:
    torch.manual_seed(5)
    model = convolutional().eval()
    read = read_model(model, input_shape=(2, 8, 12))
    assert read.names == ["input", "layer1", "layer2", "layer3"]
    assert read.shapes == {"input": (2, 8, 12), "layer1": (4, 4, 6), "layer2": (6, 2, 3), "layer3": (10,)}
    assert read.notes == ["'3' (Dropout2d) is left out, as when a model is evaluated"]
    x = (torch.rand(3, 50, 2, 8, 12, generator=torch.Generator().manual_seed(3)) < 0.4).float()
    padded = nn.functional.pad(x.reshape(3, 50, -1), (0, 0, 0, 3))  # three steps more, on the way through three layers
    with torch.no_grad():
        want = sequence(model, x).numpy()
        got = read.spikes(read.to_torch(precision="double")({"input": padded}))
    assert want.sum() > 100
    np.testing.assert_array_equal(got, want)


def test_a_convolution_is_trained_as_one_kernel() -> None:
    """One that neurons follow at once; behind a pool it is a list of edges, as before."""
    torch.manual_seed(5)
    model = convolutional().eval()
    read = read_model(model, input_shape=(2, 8, 12))
    rules = [type(c.rule).__name__ for c in read.network.projections.values()]
    assert rules == ["Convolution", "EdgeList", "EdgeList"]
    module = read.to_torch(precision="double")
    kernel = module.weights["to_layer1"].detach() * module.units["to_layer1"]
    torch.testing.assert_close(kernel, model[0][0].weight.detach().double(), rtol=0, atol=1e-10)
    x = torch.ones(1, 20, 2 * 8 * 12, dtype=torch.float64)
    module({"input": x}).spikes["layer3"].sum().backward()
    assert module.weights["to_layer1"].grad.shape == (4, 2, 3, 3) and module.weights["to_layer1"].grad.abs().sum() > 0
    with torch.no_grad():
        module.weights["to_layer1"].mul_(1.3)
        wanted = module({"input": x}).spikes["layer1"]
    read.network.load_torch(module)
    back = write_model(read.network)
    torch.testing.assert_close(
        back.to_layer1(x[0, 0].float()), nn.functional.conv2d(
            x[0, 0].reshape(2, 8, 12).float(), 1.3 * model[0][0].weight, model[0][0].bias, 2, 1).reshape(-1),
        rtol=1e-5, atol=1e-5,
    )  # fmt: skip
    assert torch.equal(read.to_torch(precision="double")({"input": x}).spikes["layer1"], wanted)


def test_there_and_back() -> None:
    torch.manual_seed(5)
    model = nn.Sequential(nn.Linear(9, 20), snn.Leaky(beta=0.8, threshold=0.4, init_hidden=True),
                          nn.Linear(20, 5, bias=False),
                          snn.Synaptic(alpha=0.6, beta=torch.linspace(0.1, 0.9, 5), threshold=0.3, init_hidden=True,
                                       reset_mechanism="zero", reset_delay=False))  # fmt: skip
    read = read_model(model)
    again = write_model(read.network)
    assert [type(m).__name__ for m in again] == ["Linear", "Leaky", "Linear", "Synaptic"]
    assert list(dict(again.named_children())) == ["to_layer1", "layer1", "to_layer2", "layer2"]
    assert again.layer2.reset_mechanism == "zero" and not again.layer2.reset_delay and again.layer1.reset_delay
    for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True):
        torch.testing.assert_close(a.double(), b.double(), rtol=0, atol=1e-9)
    x = (torch.rand(2, 40, 9) < 0.5).float()
    with torch.no_grad():
        assert torch.equal(sequence(model, x), sequence(again, x)) and sequence(model, x).sum() > 20
    # what is trained here goes back too
    module = read.to_torch(precision="single")
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(1.3)
    read.network.load_torch(module)
    back = write_model(read.network)
    torch.testing.assert_close(back.to_layer1.weight, 1.3 * model[0].weight, rtol=1e-6, atol=1e-7)


def test_a_lif_runs_where_snntorch_does_not() -> None:
    """Reset to zero at once: the library's LIF, which Loihi 2's integers have too."""
    torch.manual_seed(3)
    how = {"reset_mechanism": "zero", "reset_delay": False, "init_hidden": True, "threshold": 0.4}
    model = nn.Sequential(nn.Linear(12, 40, bias=False), snn.Leaky(beta=0.9, **how),
                          nn.Linear(40, 6, bias=False), snn.Leaky(beta=0.8, **how))  # fmt: skip
    x = (torch.rand(1, 100, 12, generator=torch.Generator().manual_seed(8)) < 0.3).float()
    read = read_model(model, cells="lif", spikes=source(x[0], 1 * ms))
    assert read.network["layer1"].cell.prototype is LIF
    with torch.no_grad():
        want = sequence(model, x)[0].numpy()
    assert want.sum() > 20 and read.notes == []
    got = read.spikes(read.network.run(102 * ms))
    assert (got != want).sum() <= 2  # beta and the sums are rounded differently
    integers = quantise(read.network).network
    integers.record(integers["layer2"], "spikes")
    counts = np.bincount(integers.run(102 * ms).spikes["layer2"].ids, minlength=6)
    assert np.corrcoef(counts, want.sum(0))[0, 1] > 0.95
    biased = read_model(nn.Sequential(nn.Linear(4, 3), snn.Leaky(0.5, **how)), cells="lif")
    assert biased.notes == ["'layer1' has its bias from the beginning, a step before the first input comes"]
    steady = biased.network["layer1"].scope.parts["bias"].value("amplitude")
    assert biased.network["layer1"].n == 3 and np.shape(steady.value) == (3,)


@pytest.mark.parametrize("grad", ["fast_sigmoid", "sharper"])
def test_a_model_keeps_its_surrogate(grad: str) -> None:
    from snntorch import surrogate

    function = surrogate.fast_sigmoid() if grad == "fast_sigmoid" else surrogate.atan(alpha=5.0)
    own = snn.Leaky(beta=0.9, spike_grad=function)
    module = read_model(own, input_shape=20).to_torch()
    assert module.loops()["layer1"] == ("fused" if grad == "fast_sigmoid" else "the surrogate is no program")
    x = (2 * torch.rand(2, 50, 20, generator=torch.Generator().manual_seed(1)) - 0.3).requires_grad_()
    want, got = looped(own, "Leaky", x), module({"layer1.input": x}).spikes["layer1"]
    weight = torch.randn(2, 50, 20, generator=torch.Generator().manual_seed(2))
    wanted, found = (torch.autograd.grad((out * weight).sum(), x)[0] for out in (want, got))
    torch.testing.assert_close(found, wanted, rtol=0, atol=2e-6 * float(wanted.abs().max()))


def test_what_is_not_taken_over_is_noted() -> None:
    linear = nn.Linear(4, 3)
    linear.weight.requires_grad_(False)
    read = read_model(nn.Sequential(linear, snn.Leaky(beta=0.5, learn_beta=True, learn_threshold=True)))
    assert read.notes == [
        "'0.weight' is not trained in the model (requires_grad=False); here it can be",
        "'1.threshold' is trained in the model; here, where it is asked for: to_torch(train=['layer1.v_th'])",
        "'1.beta' is trained in the model; here, where it is asked for: to_torch(train=['layer1.beta'])",
    ]
    module = read.to_torch(train=["layer1.v_th", "layer1.beta"])
    with torch.no_grad():
        module.trained["layer1.beta"].fill_(7.0)  # brought back to the limit that the cell declares
    module(steps=3)
    assert module.value("layer1.beta") == 1.0
    read.network.load_torch(module)


def test_a_map_that_comes_twice_is_read_twice() -> None:
    torch.manual_seed(4)
    linear, how = nn.Linear(6, 6), {"threshold": 0.2, "init_hidden": True}
    model = nn.Sequential(linear, snn.Leaky(0.8, **how), linear, snn.Leaky(0.8, **how))
    x = (torch.rand(1, 40, 6, generator=torch.Generator().manual_seed(3)) < 0.5).float()
    read = read_model(model)
    with torch.no_grad():
        want = sequence(model, x).numpy()
        got = read.spikes(read.to_torch(precision="double")({"input": nn.functional.pad(x, (0, 0, 0, 2))}))
    assert want.sum() > 20 and np.array_equal(got, want)


def shared() -> Any:
    cell = snn.Leaky(0.9)
    return [nn.Linear(4, 4), cell, nn.Linear(4, 4), cell]


def hooked() -> Any:
    linear = nn.Linear(4, 3)
    linear.register_forward_hook(lambda *a: None)
    return [linear, snn.Leaky(0.9)]


def own_class() -> Any:
    class Own(nn.Sequential):
        pass

    return [nn.Linear(4, 4), Own(nn.Linear(4, 3)), snn.Leaky(0.9)]


# -- what cannot be -------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Inhibition is an unstable feature")
@pytest.mark.parametrize(
    ("modules", "options", "message"),
    [
        (lambda: [nn.Conv2d(1, 2, 3)], {},
         "input_shape is needed: the model begins with '0' (Conv2d), which does not say how large its input is: "
         "input_shape=(1, 28, 28) is one channel of 28 by 28"),
        (lambda: [nn.Linear(4, 3), nn.ReLU()], {}, "the module '1' (ReLU) has no counterpart in a network; read are"),
        (lambda: [nn.Linear(4, 3)], {}, "the model has no neurons of snnTorch's"),
        (lambda: [snn.Leaky(0.9), nn.Linear(4, 3)], {"input_shape": 4}, "the model ends with a linear map"),
        (lambda: [nn.Linear(4, 3), nn.Linear(4, 3)], {}, "the module '1' (Linear) takes 4 values, and gets [3]"),
        (lambda: [nn.Linear(4, 3), snn.Leaky(0.9, inhibition=True)], {}, "lets only one neuron spike"),
        (lambda: [nn.Linear(4, 3), snn.Leaky(0.9, graded_spikes_factor=2.0)], {}, "scales its spikes"),
        (lambda: [nn.Linear(4, 3), snn.RLeaky(0.9, all_to_all=False)], {}, "'1' (RLeaky) has no counterpart"),
        (lambda: [nn.Linear(4, 3), snn.Leaky(0.9)], {"cells": "lif"}, "has reset_mechanism='subtract', reset_"),
        (lambda: [nn.Linear(4, 3), snn.Synaptic(0.5, 0.9)], {"cells": "lif"}, "is no LIF with exponential currents"),
        (lambda: [nn.Linear(4, 3), snn.Leaky(0.9)], {"cells": "LIF"}, "cells must be 'exact' or 'lif', got 'LIF'"),
        (lambda: [nn.Linear(4, 3), snn.Leaky(0.9)], {"input_shape": 0}, "input_shape must be whole numbers above 0"),
        (lambda: [nn.Linear(4, 3), snn.Leaky(0.9)], {"cells": "lif", "unit": 1 * ms}, "unit must be a potential above"),
        (lambda: [nn.Conv2d(1, 2, 3), snn.Leaky(0.9)], {"input_shape": (3, 8, 8)}, "takes 1 channels, and gets 3"),
        (lambda: [nn.Conv2d(1, 2, 9), snn.Leaky(0.9)], {"input_shape": (1, 8, 8)}, "is larger than its input"),
        (lambda: [nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"), snn.Leaky(0.9)], {"input_shape": (1, 8, 8)},
         "pads with 'circular'; zeros are read"),
        (lambda: [nn.Flatten(2), snn.Leaky(0.9)], {"input_shape": (1, 8, 8)}, "flattens some dimensions only"),
        (lambda: [nn.AvgPool2d(2, ceil_mode=True), snn.Leaky(0.9)], {"input_shape": (1, 7, 7)}, "averages over fewer"),
        (lambda: [], {}, "the model has no layers"),
        (shared, {}, "the module '3' (Leaky) is there twice, and would share its state: give each place its own"),
        (hooked, {}, "the module '0' (Linear) has a forward hook, and what that does is not known: remove it"),
        (own_class, {}, "the module '1' (Own) is a Sequential with a class of its own, whose forward may be anything"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said(modules: Any, options: Any, message: str) -> None:
    with pytest.raises(NeurosimError) as caught:
        read_model(nn.Sequential(*modules()), **options)
    assert message in caught.value.message


def test_only_models_are_read() -> None:
    with pytest.raises(NeurosimError, match="a torch.nn.Module is read, got list"):
        read_model([1])
    with pytest.raises(NeurosimError, match="the model has no layer 'layer9'; it has input, layer1"):
        read_model(nn.Sequential(nn.Linear(4, 3), snn.Leaky(0.9))).spikes(None, "layer9")


def test_what_cannot_be_written_is_said() -> None:
    def chain(cell: Any = None, **how: Any) -> ns.Network:
        net = ns.Network("chain", dt=1 * ms)
        first = net.population("source", 3, SpikeSource([[1 * ms]] * 3))
        pop = net.population("pop", 2, cell or leaky())
        net.connect(first, pop, **{"weight": 0.5, "delay": 1 * ms, "name": "to", **how})
        return net

    two = chain()
    two.connect(two["pop"], two["pop"], weight=0.1, delay=1 * ms)
    apart = chain()
    apart.population("other", 2, SpikeSource([[1 * ms]] * 2))
    alone = ns.Network("alone", dt=1 * ms)
    alone.population("source", 3, SpikeSource([[1 * ms]] * 3))
    some = ns.Network("some", dt=1 * ms)
    a, b = some.population("a", 3, SpikeSource([[1 * ms]] * 3)), some.population("b", 2, leaky())
    some.connect(a[:2], b, weight=0.1, delay=1 * ms, name="to")
    lif = LIF(receptors={"input": DeltaCurrent})
    begun = ns.Network("begun", dt=1 * ms)
    a, b = begun.population("a", 3, SpikeSource([[1 * ms]] * 3)), begun.population("b", 2, leaky(), init={"mem": 0.4})
    begun.connect(a, b, weight=0.1, delay=1 * ms)
    assert list(dict(write_model(chain(name="pop")).named_children())) == ["pop_", "pop__"]
    for net, message in (
        (begun, "population 'b' begins with another 'mem' than 0; a model of layers begins with 0"),
        (chain(leaky(bias=0.1)), "bias of population 'pop' has to begin with its first input, in step 1, as it does"),
        (chain(leaky(bias=0.1, begin=3 * ms)), "give its cell begin=0.5*ms"),
        (chain(lif, weight=1 * mV), "population 'pop' is not snnTorch's Leaky or Synaptic, by its equations"),
        (chain(delay=2 * ms), "projection 'to' has delays of up to 2 steps"),
        (two, "is connected to 'pop'"),
        (apart, "a chain begins with one population that only gives spikes"),
        (alone, "not all populations are part of the chain"),
        (some, "projection 'to' is between parts of populations"),
    ):
        with pytest.raises(UnsupportedError) as caught:
            write_model(net)
        assert message in caught.value.message
