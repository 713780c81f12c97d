"""The snntorch backend and the module that it makes: the same spikes, gradients, and weights that come back."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

import neurosim as ns
from neurosim.conformance.networks import balanced
from neurosim.errors import NeurosimError, ParameterError, UnknownNameError, UnsupportedError
from neurosim.ir.functions import FUNCTIONS
from neurosim.ir.interp import ROWS as NUMPY_ROWS
from neurosim.ir.interp import call as numpy_call
from neurosim.models import LIF, DeltaCurrent, ExpCurrent, PairSTDP, SpikeSource
from neurosim.units import ms, mV

if importlib.util.find_spec("torch"):
    import torch

    class Bell(torch.autograd.Function):
        """A surrogate that stays in the precision of its argument."""

        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return (x > 0).to(x.dtype)

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            return grads[0] * torch.exp(-(ctx.saved_tensors[0] ** 2))


pytestmark = pytest.mark.engine("snntorch")


CELL = ns.Cell(
    "dv/dt = -v/tau", threshold="v > v_th", reset="v -= v_th", name="Leaky", v_th=1.0, tau=10 * ms,
    receptors={"ff": DeltaCurrent, "rec": DeltaCurrent},
)  # fmt: skip
"""snnTorch's Leaky with ``reset_delay=False``, as an equation."""


def layered(train: Any = None, delay: Any = 1 * ms) -> ns.Network:
    """A source of spikes [time, neurons], a recurrent layer with two receptors, and a readout; weights drawn."""
    net = ns.Network("layered", dt=1 * ms, seed=3)
    steps, ids = np.nonzero(train.numpy()) if train is not None else (np.zeros(0), np.zeros(0, int))
    source = net.population("source", 12, SpikeSource(steps * ms, ids))
    hidden = net.population("hidden", 20, CELL)
    out = net.population("out", 4, LIF(tau_m=20 * ms, v_rest=0 * mV, v_reset=0 * mV, v_th=10 * mV, t_ref=2 * ms,
                                       receptors={"ff": DeltaCurrent}))  # fmt: skip
    net.connect(source, hidden, rule=ns.AllToAll(), weight=ns.normal(0.3, 0.3), delay=delay, receptor="ff", name="in")
    net.connect(hidden, hidden, rule=ns.FixedProbability(0.2), weight=ns.normal(0.0, 0.3),
                delay=ns.uniform(1 * ms, 5 * ms), receptor="rec", name="back")  # fmt: skip
    net.connect(hidden, out, rule=ns.AllToAll(), weight=ns.normal(2 * mV, 3 * mV), delay=2 * ms, name="forth")
    for pop in (hidden, out):
        net.record(pop, "spikes")
    return net


def module_of(net: ns.Network, **how: Any) -> Any:
    return net.to_torch(**{"scale": {"hidden": 1.0}, **how})


def trains(batch: int, steps: int, neurons: int = 12, p: float = 0.2) -> Any:
    return (torch.rand(batch, steps, neurons, generator=torch.Generator().manual_seed(5)) < p).double()


def as_dense(result: Any, name: str, steps: int, size: int) -> np.ndarray:
    dense = np.zeros((steps, size))
    dense[result.spikes[name].steps, result.spikes[name].ids] = 1
    return dense


# -- arithmetic ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_functions_have_the_bits_of_the_interpreter(name: str, precision: str) -> None:
    from neurosim.backends.snntorch_backend.arithmetic import FORMATS, call

    g = np.random.default_rng(1)
    some = g.random(99)
    special = np.array([0.0, -0.0, 1.0, -1.0, 1e-300, np.inf, -np.inf, np.nan, 709.9, -745.2, 0.5, 1 - 2**-50])
    arity = len([i for i in FUNCTIONS[name].body.instrs if i.op == "arg"])
    with np.errstate(all="ignore"):
        args = [
            np.concatenate([g.normal(size=2000) * 10.0 ** g.integers(-8, 3, 2000), g.permutation(special), some])
            .astype(precision)
            for _ in range(arity)
        ]  # fmt: skip
    found = call(name, FORMATS[getattr(torch, precision)], *map(torch.from_numpy, args)).numpy()
    want = numpy_call(name, *args, dtype=precision)
    assert found.dtype == want.dtype
    np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_functions_have_their_derivatives(name: str) -> None:
    from neurosim.backends.snntorch_backend.arithmetic import FORMATS, call

    arity = len([i for i in FUNCTIONS[name].body.instrs if i.op == "arg"])
    g = torch.Generator().manual_seed(2)
    args = [
        (0.05 + 0.9 * torch.rand(40, dtype=torch.float64, generator=g)).requires_grad_()
        for _ in range(arity)
    ]  # fmt: skip
    torch.autograd.gradcheck(lambda *a: call(name, FORMATS[torch.float64], *a), args, eps=1e-6, atol=1e-6, rtol=1e-5)


def test_no_operation_is_missing() -> None:
    from neurosim.backends.snntorch_backend.arithmetic import ROWS
    from neurosim.ir.adjoint import SLOPES

    assert set(ROWS) == set(NUMPY_ROWS)
    assert set(SLOPES) == set(FUNCTIONS)


# -- spikes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("surrogate", [None, "atan"])
def test_a_batch_is_as_many_runs(surrogate: str | None) -> None:
    train = trains(3, 80)
    module = module_of(layered(), surrogate=surrogate, precision="double")
    found = module({"source": train}).spikes
    for b in range(3):
        result = layered(train[b]).run(80 * ms)
        for name, size in (("hidden", 20), ("out", 4)):
            want = as_dense(result, name, 80, size)
            assert want.sum() > 40
            np.testing.assert_array_equal(found[name][b].detach().numpy(), want)


def test_seeds_are_runs_of_their_own() -> None:
    net = balanced(100)
    module = net.to_torch(surrogate=None, precision="double")
    found = module(steps=200, seeds=[3, 4, 3]).spikes["exc"].numpy()
    want = as_dense(net.run(20 * ms), "exc", 200, 80)
    assert want.sum() > 20
    np.testing.assert_array_equal(found[0], want)
    np.testing.assert_array_equal(found[2], want)
    assert (found[1] != want).any()


@pytest.mark.parametrize("cut", [1, 33])
def test_state_is_carried_on(cut: int) -> None:
    train = trains(2, 60)
    module = module_of(layered(delay=7 * ms), precision="double")
    whole = module({"source": train}, traces=["hidden.v"])
    first = module({"source": train[:, :cut]}, traces=["hidden.v"])
    second = module({"source": train[:, cut:]}, state=first.state.detach(), traces=["hidden.v"])
    for name, values in whole.spikes.items():
        assert torch.equal(values, torch.cat([first.spikes[name], second.spikes[name]], 1))
    assert torch.equal(whole.traces["hidden.v"], torch.cat([first.traces["hidden.v"], second.traces["hidden.v"]], 1))
    assert second.state.step == 60


def test_single_precision_is_native_s() -> None:
    train = trains(1, 80)
    found = module_of(layered())({"source": train}).spikes["hidden"][0].detach().numpy()
    np.testing.assert_array_equal(found, as_dense(layered(train[0]).run(80 * ms, precision="single"), "hidden", 80, 20))


def test_a_second_run_is_the_first() -> None:
    module, train = module_of(layered()), trains(2, 30)
    assert torch.equal(module({"source": train}).spikes["out"], module({"source": train}).spikes["out"])


# -- gradients ----------------------------------------------------------------------------------------------------


def one_layer(**how: Any) -> Any:
    net = ns.Network("one", dt=1 * ms)
    net.population("hidden", 30, CELL)
    return module_of(net, precision="double", **how)


def of_leaky(x: Any, spike_grad: Any) -> Any:
    """snnTorch's own loop; with ``reset_delay=False`` it differentiates the reset."""
    import snntorch

    leaky = snntorch.Leaky(beta=torch.tensor(np.exp(-0.1)), reset_delay=False, spike_grad=spike_grad).double()
    mem, spikes = torch.zeros_like(x[:, 0]), []
    for now in x.unbind(1):
        spk, mem = leaky(now, mem)
        spikes.append(spk)
    return torch.stack(spikes, 1)


@pytest.mark.parametrize("name", ["own", "atan", "fast_sigmoid", "sigmoid", "straight_through_estimator", "SFS"])
def test_gradients_are_those_of_snntorch_s_leaky(name: str) -> None:
    from snntorch import surrogate

    x = (0.35 * torch.rand(4, 50, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(1))).requires_grad_()
    weight = torch.randn(4, 50, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    want = of_leaky(x, Bell.apply if name == "own" else getattr(surrogate, name)())
    (wanted,) = torch.autograd.grad((want * weight).sum(), x)
    found = one_layer(surrogate=Bell.apply if name == "own" else name, detach_reset=False)({"hidden.ff": x})
    (got,) = torch.autograd.grad((found.spikes["hidden"] * weight).sum(), x)
    assert want.sum() > 500
    assert torch.equal(found.spikes["hidden"], want.double())
    # snnTorch's surrogates return float32, so that its own gradients are rounded on the way.
    rtol, atol = (1e-10, 1e-12) if name == "own" else (1e-5, 1e-6 * float(wanted.abs().max()))
    torch.testing.assert_close(got, wanted, rtol=rtol, atol=atol)


def test_a_detached_reset_has_no_derivative() -> None:
    beta = float(np.exp(-0.1))
    x = (0.35 * torch.rand(2, 40, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(1))).requires_grad_()
    mem, spikes = torch.zeros(2, 30, dtype=torch.float64), []
    for now in x.unbind(1):
        mem = beta * mem + now
        spikes.append(Bell.apply(mem - 1))
        mem = mem - spikes[-1].detach()
    (wanted,) = torch.autograd.grad(torch.stack(spikes, 1).square().sum(), x)
    (got,) = torch.autograd.grad(one_layer(surrogate=Bell.apply)({"hidden.ff": x}).spikes["hidden"].square().sum(), x)
    torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("spread", [False, True])
def test_gradients_of_weights_by_finite_differences(spread: bool) -> None:
    """Below threshold the potential is linear in the weights: what arrives after which delay, and decays."""
    net = ns.Network("below", dt=1 * ms, seed=1)
    source = net.population("source", 6, SpikeSource([np.zeros(0) * ms] * 6))
    cells = net.population("cells", 5, LIF(v_rest=0 * mV, v_reset=0 * mV, v_th=1000 * mV,
                                           receptors={"exc": ExpCurrent(tau=3 * ms)}))  # fmt: skip
    rule = ns.FixedProbability(0.5) if spread else ns.AllToAll()
    delay = ns.uniform(1 * ms, 30 * ms) if spread else 2 * ms
    net.connect(source, cells, rule=rule, weight=ns.uniform(1 * mV, 9 * mV), delay=delay, name="p")
    module = net.to_torch(precision="double")
    assert module.synapses[0].full != spread
    train, weight = trains(2, 40, 6), torch.randn(2, 40, 5, generator=torch.Generator().manual_seed(4)).double()

    def loss() -> Any:
        return 1e3 * (module({"source": train}, traces=["cells.v"]).traces["cells.v"] * weight).sum()

    loss().backward()
    parameter = module.weights["p"]
    got, eps = parameter.grad.clone(), 2.0**-10
    for k in range(len(parameter)):
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter[k] += sign * eps
                ends.append(float(loss()))
                parameter[k] -= sign * eps
        assert float(got[k]) == pytest.approx((ends[0] - ends[1]) / (2 * eps), rel=1e-6, abs=1e-9)


def test_time_is_truncated_by_detaching_the_state() -> None:
    module, train = module_of(layered(), precision="double"), trains(1, 40)
    first = module({"source": train[:, :20]})
    kept = module({"source": train[:, 20:]}, state=first.state).spikes["out"].sum()
    cut = module({"source": train[:, 20:]}, state=first.state.detach()).spikes["out"].sum()
    parameter = module.weights["in"]
    (long,), (short,) = torch.autograd.grad(kept, parameter), torch.autograd.grad(cut, parameter)
    assert kept == cut
    assert not torch.allclose(long, short)


def test_nothing_is_kept_without_gradients() -> None:
    module = module_of(layered())
    with torch.no_grad():
        assert not module({"source": trains(1, 20)}).spikes["out"].requires_grad
    assert not module_of(layered(), surrogate=None)({"source": trains(1, 20)}).spikes["out"].requires_grad


# -- weights ------------------------------------------------------------------------------------------------------


def trained(net: ns.Network, precision: str = "double") -> Any:
    """A few steps of Adam towards output neuron 0."""
    module, train = module_of(net, precision=precision), trains(4, 60)
    optimiser = torch.optim.Adam(module.parameters(), lr=0.01)
    losses = []
    for _ in range(12):
        counts = module({"source": train}).spikes["out"].sum(1)
        loss = torch.nn.functional.cross_entropy(counts, torch.zeros(4, dtype=torch.int64))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]
    return module


@pytest.mark.parametrize("precision", ["double", "single"])
def test_what_was_trained_runs_on_every_backend(precision: str) -> None:
    net = layered()
    module = trained(net, precision)
    train = trains(1, 80)
    found = module({"source": train}).spikes
    for backend in ("native", "reference", "snntorch"):
        back = layered(train[0])
        back.load_torch(module)
        result = back.run(80 * ms, backend=backend, precision=precision)
        for name, size in (("hidden", 20), ("out", 4)):
            np.testing.assert_array_equal(found[name][0].detach().numpy(), as_dense(result, name, 80, size))
    before, after = (module_of(layered(), precision=precision).learned("forth"), module.learned("forth"))
    assert np.abs(after - before).max() > 1e-4


def test_weights_beyond_the_first_grid_come_back_as_they_ran() -> None:
    """A weight that grew a thousandfold makes its receptor's grid coarser, in the module and in the network."""
    net, train = layered(), trains(1, 80)
    module = module_of(net, precision="double")
    with torch.no_grad():
        module.weights["back"][3].mul_(1000.3)
        module.weights["in"].mul_(0.777)
    found = module({"source": train}).spikes["hidden"][0].detach().numpy()
    back = layered(train[0])
    back.load_torch(module)
    np.testing.assert_array_equal(found, as_dense(back.run(80 * ms), "hidden", 80, 20))
    np.testing.assert_array_equal(module_of(back, precision="double").learned("back"), module.learned("back"))


def test_weights_begin_as_those_of_a_linear_layer() -> None:
    module = module_of(layered())
    for name, inputs in (("in", 12), ("back", 4), ("forth", 20)):
        assert 0.4 < float(module.weights[name].detach().square().mean().sqrt()) * np.sqrt(inputs) < 2
        assert np.log2(module.units[name]) % 1 == 0


def test_a_state_dict_makes_the_same_module() -> None:
    one = trained(layered())
    other = module_of(layered(), precision="double")
    other.load_state_dict(one.state_dict())
    train = trains(2, 50)
    assert torch.equal(one({"source": train}).spikes["out"], other({"source": train}).spikes["out"])
    assert list(one.state_dict()) == ["weights.in", "weights.back", "weights.forth", *(
        f"weights.:unit of {name}" for name in ("in", "back", "forth"))]


def test_projections_may_have_any_name() -> None:
    net = ns.Network("names", dt=1 * ms)
    pop = net.population("training", 3, CELL)
    for name in ("training", "keys", "forward", "to"):
        net.connect(pop, pop, receptor="rec", weight=0.5, delay=1 * ms, name=name)
    module = module_of(net, scale={"training": 1.0})
    assert list(module.weights) == [name for name, _ in module.weights.named_parameters()] == list(net.projections)
    assert module(steps=3).spikes["training"].shape == (1, 3, 3)


# -- errors -------------------------------------------------------------------------------------------------------


def test_what_cannot_be_is_said() -> None:
    net = layered()
    with pytest.raises(UnknownNameError, match="no surrogate 'fast_sigmiod'; did you mean 'fast_sigmoid'"):
        module_of(net, surrogate="fast_sigmiod")
    with pytest.raises(UnknownNameError, match="scale: no population 'hiden'"):
        net.to_torch(scale={"hiden": 1.0})
    with pytest.raises(ParameterError, match="scale of population 'hidden' must be one number above 0"):
        net.to_torch(scale={"hidden": 0.0})
    with pytest.raises(ParameterError, match="precision must be"):
        module_of(net, precision="half")
    with pytest.raises(ParameterError, match=r"population 'n': the surrogate needs .* to_torch\(scale=\{'n'"):
        unnamed = ns.Network("u", dt=1 * ms)
        unnamed.population("n", 2, ns.Cell("dx/dt = -x/(5*ms)", threshold="x > 3", reset="x = 0"))
        unnamed.to_torch()
    plastic = layered()
    plastic.connect(plastic["hidden"], plastic["out"], rule=ns.AllToAll(), weight=1 * mV, delay=1 * ms,
                    plasticity=PairSTDP(w_max=2 * mV))  # fmt: skip
    with pytest.raises(UnsupportedError, match="learning rules"):
        module_of(plastic)


def test_inputs_are_looked_at() -> None:
    module, train = module_of(layered()), trains(2, 10)
    with pytest.raises(UnknownNameError, match="receptor 'sauce' to give input to; did you mean 'source'"):
        module({"sauce": train})
    with pytest.raises(ParameterError, match=r"must be \[batch, time, 12\]"):
        module({"source": train[..., :3]})
    with pytest.raises(ParameterError, match=r"must be \[batch, time, 12\].*got \[0, 10, 12\]"):
        module({"source": train[:0]})
    with pytest.raises(ParameterError, match="must be spikes: 0 or 1"):
        module({"source": train * 0.5})
    with pytest.raises(ParameterError, match="agree on the number of steps"):
        module({"source": train}, steps=11)
    with pytest.raises(ParameterError, match="neither"):
        module()
    with pytest.raises(ParameterError, match="one batch"):
        module({"source": train}, seeds=[1, 2, 3])
    with pytest.raises(UnknownNameError, match="'hiden'"):
        module({"source": train}, traces=["hiden.v"])
    with pytest.raises(UnsupportedError, match="precision="):
        module.double()


def test_weights_of_another_network_are_refused() -> None:
    module = module_of(layered())
    with pytest.raises(ParameterError, match="not made of this network"):
        balanced().load_torch(module)
    with torch.no_grad():
        module.weights["in"][0] = float("nan")
    with pytest.raises(ParameterError, match="projection 'in' are not all finite"):
        layered().load_torch(module)
    with pytest.raises(UnknownNameError, match="no projection 'inn'"):
        module.learned("inn")


def test_the_device_is_checked_before_anything_is_built() -> None:
    with pytest.raises(NeurosimError, match="device of backend 'snntorch' cannot be 'gpu'"):
        layered().run(1 * ms, backend="snntorch", device="gpu")
