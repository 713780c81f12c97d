"""Training besides weights: thresholds, time constants, biases and delays, and the network that they come back to."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

import neurosim as ns
from neurosim.errors import NeurosimError, ParameterError
from neurosim.models import LIF, AdEx, DCInput, DeltaCurrent, ExpCurrent, SpikeSource
from neurosim.units import Mohm, ms, mV, nA, nS, pF

if importlib.util.find_spec("torch"):
    import torch

pytestmark = pytest.mark.engine("snntorch")


def network(taus: Any = 10.0, delay: Any = 1 * ms, bias: Any = 1 * mV) -> ns.Network:
    """A source, a hidden layer with a bias, and a readout."""
    net = ns.Network("thresholds", dt=1 * ms, seed=1)
    source = net.population("source", 9, SpikeSource([[1.0, 4, 5, 9, 12] * ms] * 9))
    cell = LIF(tau_m=taus * ms, v_rest=0 * mV, v_reset=0 * mV, v_th=np.linspace(8, 12, 20) * mV, t_ref=1 * ms,
               receptors={"in": ExpCurrent(tau=4 * ms)})  # fmt: skip
    hidden = net.population("hidden", 20, cell)
    net.stimulate(hidden, DCInput(bias))
    out = net.population("out", 3, cell(v_th=10 * mV, tau_m=20 * ms))
    net.connect(source, hidden, weight=ns.normal(9 * mV, 9 * mV), delay=delay, name="in")
    net.connect(hidden, out, weight=ns.normal(5 * mV, 9 * mV), delay=1 * ms, name="out")
    for pop in (hidden, out):
        net.record(pop, "spikes")
    return net


DIRECT = ["hidden.v_th", "out.v_th", "hidden.v_reset"]
MADE = ["hidden.tau_m", "out.tau_m", "hidden.in.tau", "hidden.dcinput.amplitude"]


def as_dense(result: Any, name: str, steps: int, size: int) -> np.ndarray:
    dense = np.zeros((steps, size))
    dense[result.spikes[name].steps, result.spikes[name].ids] = 1
    return dense


def loss_of(module: Any, steps: int = 40) -> Any:
    out = module(steps=steps, traces=["out.v"])
    return out.spikes["out"].sum() + 100 * out.traces["out.v"].sum()


# -- derivatives --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("taus", [10.0, np.full(20, 10.0), np.linspace(8, 14, 20)])
def test_gradients_are_the_same_fused_or_not(taus: Any) -> None:
    grads = []
    for fuse in (True, False):
        module = network(taus).to_torch(precision="double", train=[*DIRECT, *MADE], fuse=fuse)
        assert set(module.loops().values()) == {"fused" if fuse else "it was asked not to be"}
        named = [name for name, _ in module.named_parameters()]
        assert named[-7:] == ["trained." + label.replace(".", ":") for label in [*DIRECT, *MADE]]
        grads.append(torch.autograd.grad(loss_of(module), [module.trained[label] for label in [*DIRECT, *MADE]]))
    shapes = ((20,), (), (), np.shape(taus), (), (), ())
    for a, b, shape in zip(*grads, shapes, strict=True):
        assert a.shape == shape and b.abs().max() > 0
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("many", [False, True])
def test_gradients_of_a_membrane_are_those_of_its_closed_form(many: bool) -> None:
    net, n, steps = ns.Network("one", dt=0.5 * ms), 4, 60
    taus, size = (np.linspace(5, 30, n) if many else 12.0), (np.linspace(1.0, 4.0, n) if many else 3.0)
    cell = LIF(tau_m=taus * ms, v_rest=0 * mV, v_reset=0 * mV, v_th=100 * mV, receptors={"in": DeltaCurrent})
    pop = net.population("pop", n, cell, init={"v": 0 * mV})
    net.stimulate(pop, DCInput(size * mV))
    module = net.to_torch(precision="double", train=["pop.tau_m", "pop.dcinput.amplitude"])
    v = module(steps=steps, traces=["pop.v"]).traces["pop.v"][0]
    t, tau = np.arange(1, steps + 1)[:, None] * 0.5, taus
    np.testing.assert_allclose(
        v.detach().numpy(), np.broadcast_to(1e-3 * size * (1 - np.exp(-t / tau)), (steps, n)), rtol=1e-12
    )
    weight = torch.linspace(-1, 2, steps, dtype=torch.float64)[:, None]
    d_tau, d_size = torch.autograd.grad((weight * v).sum(), [module.trained[k] for k in module.cells])
    by_log = (weight.numpy() * 1e-3 * size * -np.exp(-t / tau) * t / tau).sum(0)  # tau d/dtau
    by_size = (weight.numpy() * (1 - np.exp(-t / tau))).sum(0) * module.units["pop.dcinput.amplitude"]
    shared = 1 if many else n  # a parameter of all neurons
    np.testing.assert_allclose(d_tau.numpy(), np.squeeze(by_log * shared), rtol=1e-10)
    np.testing.assert_allclose(d_size.numpy(), np.squeeze(by_size * shared), rtol=1e-10)


def test_gradients_of_cells_that_are_not_linear() -> None:
    net = ns.Network("adex", dt=0.1 * ms, seed=2)
    pop = net.population("pop", 3, AdEx(receptors={"in": ExpCurrent}), init={"v": -70 * mV, "w": 0 * nA})
    net.stimulate(pop, DCInput(0.3 * nA))
    labels = ["pop.c_m", "pop.g_l", "pop.a", "pop.tau_w", "pop.delta_t"]
    module = net.to_torch(precision="double", train=labels, scale={"pop": 10 * mV})

    def loss() -> Any:
        return 1e3 * module(steps=80, traces=["pop.v"]).traces["pop.v"].square().sum()

    found = torch.autograd.grad(loss(), [module.trained[label] for label in labels])
    for label, slope in zip(labels, found, strict=True):
        parameter, values = module.trained[label], []
        for move in (-2e-5, 2e-5):
            with torch.no_grad():
                parameter.add_(move)
                values.append(float(loss()))
                parameter.sub_(move)
        assert float(slope) == pytest.approx((values[1] - values[0]) / 4e-5, rel=1e-6)


# -- there and back -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("taus", [10.0, np.full(20, 10.0)])
def test_what_was_trained_runs_as_it_was_trained(precision: str, taus: Any) -> None:
    net = network(taus)
    module = net.to_torch(precision=precision, train=[*DIRECT, *MADE])
    start = net.run(40 * ms).spikes["hidden"].count
    optimiser = torch.optim.Adam(module.parameters(), lr=0.05)
    for _ in range(4):
        optimiser.zero_grad()
        loss_of(module).backward()
        optimiser.step()
        # nothing of the last step's values is left, with gradients or without
        with torch.no_grad():
            bare = module(steps=40).spikes["out"]
        assert torch.equal(module(steps=40).spikes["out"], bare)
    net.load_torch(module)
    spikes = module(steps=40).spikes
    for backend in ("native", "reference"):
        result = net.run(40 * ms, backend=backend, precision=precision)
        for name, size in (("hidden", 20), ("out", 3)):
            np.testing.assert_array_equal(as_dense(result, name, 40, size), spikes[name][0].detach().numpy())
        assert result.spikes["hidden"].count != start
    # a network that was trained makes a module with other units; a state says what its numbers count in
    again = net.to_torch(precision=precision, train=[*DIRECT, *MADE])
    assert torch.equal(again(steps=40).spikes["out"], spikes["out"])
    for other in (again, network(taus).to_torch(precision=precision, train=[*DIRECT, *MADE])):
        other.load_state_dict(module.state_dict())
        assert torch.equal(other(steps=40).spikes["out"], spikes["out"])
        assert {k: float(other.value(k).sum()) for k in MADE} == {k: float(module.value(k).sum()) for k in MADE}


def test_a_threshold_that_was_trained_counts_without_gradients() -> None:
    module = network().to_torch(train=["hidden.v_th"])
    with torch.no_grad():
        before = module(steps=40).spikes["hidden"].sum()
        module.trained["hidden.v_th"].mul_(0.7)
        assert module(steps=40).spikes["hidden"].sum() > before


def test_times_stay_above_zero() -> None:
    module = network().to_torch(train=["hidden.tau_m"])
    optimiser = torch.optim.SGD(module.trained.parameters(), lr=1.0)
    for sign in (1, 1, -1):
        optimiser.zero_grad()
        (sign * module.trained["hidden.tau_m"]).backward()
        optimiser.step()
        assert module(steps=5).spikes["hidden"].shape == (1, 5, 20)
    assert float(module.value("hidden.tau_m")) == pytest.approx(0.01 * np.exp(-1))
    with torch.no_grad():
        module.trained["hidden.tau_m"].fill_(float("nan"))
    with pytest.raises(ParameterError, match="'hidden.tau_m' is no longer a finite number that it can be: train with"):
        module(steps=5)


def test_a_state_goes_by_names() -> None:
    """Units too: of modules whose parameters are in another order."""
    one = network().to_torch(precision="double", train=["hidden.v_th", "hidden.dcinput.amplitude", "out.tau_m"])
    turned = ["out.tau_m", "hidden.dcinput.amplitude", "hidden.v_th"]
    other = network(bias=70 * mV).to_torch(precision="double", train=turned)
    assert one.units["hidden.dcinput.amplitude"] != other.units["hidden.dcinput.amplitude"]
    other.load_state_dict(one.state_dict())
    assert other.units == one.units
    assert all(np.array_equal(other.value(label), one.value(label)) for label in one.cells)


def test_a_network_is_changed_whole_or_not_at_all() -> None:
    net = network()
    module = net.to_torch(train=["hidden.v_th", "hidden.tau_m"])
    with torch.no_grad():
        module.weights["in"].mul_(2)
        module.trained["hidden.tau_m"].fill_(float("nan"))
    before = net.projections["in"]
    with pytest.raises(NeurosimError):
        net.load_torch(module)
    assert net.projections["in"] is before and net["hidden"].cell.value("v_th").value[0] == 8e-3
    with pytest.raises(ParameterError, match="a module of net.to_torch\\(\\) is loaded, got Linear"):
        net.load_torch(torch.nn.Linear(2, 2))


def test_arguments_of_a_module_are_looked_at() -> None:
    module = network().to_torch()
    for call, message in (
        (lambda: module(torch.zeros(1, 3, 9)), "inputs are a mapping of a population, or 'population.receptor', to a"),
        (lambda: module(steps=-1), "steps must be a whole number, 0 or more; got -1"),
        (lambda: module(steps=2.5), "steps must be a whole number, 0 or more; got 2.5"),
        (lambda: module(steps=3, seeds=3), "seeds are a list of whole numbers, one for each run of the batch; got 3"),
        (lambda: module(steps=3, state=3), "state must be what this network's module gave as output.state"),
    ):
        with pytest.raises(ParameterError) as caught:
            call()
        assert message in caught.value.message


# -- delays -------------------------------------------------------------------------------------------------------


def chain(delays: Any, weight: Any = 2.0, back: bool = False) -> ns.Network:
    """One source spike at 3 ms, some membranes behind delays; ``back``: the membranes are in a circle besides."""
    n, net = len(delays), ns.Network("chain", dt=1 * ms)
    source = net.population("source", 1, SpikeSource([[3 * ms]]))
    cell = LIF(tau_m=7 * ms, v_rest=0 * mV, v_reset=0 * mV, v_th=100 * mV, receptors={"in": DeltaCurrent})
    pop = net.population("pop", n, cell)
    net.connect(source, pop, weight=weight * mV, delay=np.asarray(delays) * ms, name="in",
                rule=ns.EdgeList(np.zeros(n, int), np.arange(n)))  # fmt: skip
    if back:
        net.connect(pop, pop, weight=0 * mV, delay=1 * ms, name="back", rule=ns.AllToAll())
    return net


@pytest.mark.parametrize("back", [False, True])
def test_the_derivative_after_a_delay_is_the_difference_of_its_neighbours(back: bool) -> None:
    delays, weight = np.array([1, 2, 3, 7, 7]), torch.linspace(-1, 1, 30, dtype=torch.float64)[:, None]

    def loss(steps: Any) -> np.ndarray:
        with torch.no_grad():
            module = chain(steps, back=back).to_torch(precision="double")
            return (weight * module(steps=30, traces=["pop.v"]).traces["pop.v"][0]).sum(0).numpy()

    module = chain(delays, back=back).to_torch(precision="double", train=["in.delay"])
    v = module(steps=30, traces=["pop.v"]).traces["pop.v"][0]
    (slope,) = torch.autograd.grad((weight * v).sum(), module.trained["in.delay"])
    now, later, earlier = loss(delays), loss(delays + 1), loss(np.maximum(delays - 1, 1))
    wanted = np.where(delays > 1, (later - earlier) / 2, later - now)
    unit = module.units["in.delay"] / 1e-3
    np.testing.assert_allclose(slope.numpy() / unit, wanted, rtol=1e-10)
    np.testing.assert_array_equal(v.detach().sum(0).numpy(), chain(delays, back=back).to_torch(precision="double")(
        steps=30, traces=["pop.v"]).traces["pop.v"][0].detach().sum(0).numpy())  # fmt: skip


def coincidence() -> ns.Network:
    """Eight sources that spike one after the other, and cells that need several at once."""
    net = ns.Network("coincidence", dt=1 * ms, seed=4)
    source = net.population("source", 8, SpikeSource([[float(t)] * ms for t in range(0, 16, 2)]))
    cell = LIF(tau_m=5 * ms, v_rest=0 * mV, v_reset=0 * mV, v_th=10 * mV, receptors={"in": DeltaCurrent})
    pop = net.population("pop", 2, cell)
    net.connect(source, pop, weight=2.2 * mV, delay=ns.uniform(2 * ms, 10 * ms), name="in")
    net.record(pop, "spikes")
    return net


@pytest.mark.parametrize("precision", ["double", "single"])
def test_delays_learn_to_let_spikes_meet(precision: str) -> None:
    net = coincidence()
    assert net.run(40 * ms).spikes["pop"].count == 0
    module = net.to_torch(precision=precision, train=["in.delay"], max_delay=25 * ms)
    optimiser = torch.optim.Adam([module.trained["in.delay"]], lr=0.1)
    for _ in range(150):
        v = module(steps=40, traces=["pop.v"]).traces["pop.v"]
        loss = -torch.logsumexp(400 * v, 1).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    spikes = module(steps=40).spikes["pop"][0].detach().numpy()
    assert (spikes.sum(0) > 0).all()
    delays = module.value("in.delay")
    assert delays.max() <= 0.025 + 1e-12 and delays.min() >= 0.001 and len(np.unique(delays)) > 4
    net.load_torch(module)
    for backend in ("native", "reference"):
        result = net.run(40 * ms, backend=backend, precision=precision)
        np.testing.assert_array_equal(as_dense(result, "pop", 40, 2), spikes)
    copied = coincidence().to_torch(precision=precision, train=["in.delay"], max_delay=25 * ms)
    copied.load_state_dict(module.state_dict())
    np.testing.assert_array_equal(copied(steps=40).spikes["pop"][0].detach().numpy(), spikes)


def test_delays_keep_within_their_limits() -> None:
    module = coincidence().to_torch(train=["in.delay"], max_delay=12 * ms)
    with torch.no_grad():
        module.trained["in.delay"].copy_(torch.linspace(-9, 9, 16))
    module(steps=5)
    delays = module.value("in.delay")
    assert delays.min() == pytest.approx(0.001) and delays.max() == pytest.approx(0.012)
    with torch.no_grad():
        module.trained["in.delay"].fill_(float("inf"))
    with pytest.raises(ParameterError, match="delays of projection 'in' are not all finite any more"):
        module(steps=5)


def test_state_is_carried_on_with_trained_delays() -> None:
    module = coincidence().to_torch(precision="double", train=["in.delay"])
    whole = module(steps=40, traces=["pop.v"]).traces["pop.v"]
    first = module(steps=17, traces=["pop.v"])
    second = module(steps=23, state=first.state, traces=["pop.v"])
    parts = torch.cat([first.traces["pop.v"], second.traces["pop.v"]], 1)
    assert torch.equal(whole, parts)
    for values in (whole, parts):
        (slope,) = torch.autograd.grad(values.square().sum(), module.trained["in.delay"], retain_graph=True)
        assert slope.abs().min() > 0
    torch.testing.assert_close(*(
        torch.autograd.grad(x.square().sum(), module.trained["in.delay"])[0] for x in (whole, parts)
    ), rtol=1e-10, atol=1e-14)  # fmt: skip


# -- what cannot be -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("hidden.vth", "'hidden.vth' is no parameter; did you mean 'v_th'?; of 'hidden' can be trained: hidden.tau_m"),
        ("hidden.t_ref", "'hidden.t_ref' is taken in whole steps, which have no derivative; of 'hidden' can"),
        ("hidden.v_rest", "'hidden.v_rest' is also where 'v' starts: give its initial value to net.population, as"),
        ("source.v_th", "of 'source' can be trained: nothing"),
        ("hiden.v_th", "train: no population or projection 'hiden'; did you mean 'hidden'?"),
        ("zero.dcinput.amplitude", "'zero.dcinput.amplitude' is 0, which does not tell how large its changes are: say "
         "what it counts in, as in train={'zero.dcinput.amplitude': 1*A}"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_said(label: str, message: str) -> None:
    net = network()
    zero = net.population("zero", 1, AdEx(receptors={"in": ExpCurrent}))
    net.stimulate(zero, DCInput(0 * nA))
    with pytest.raises(NeurosimError) as caught:
        net.to_torch(train=[label], scale={"zero": 10 * mV})
    assert message in caught.value.message


def test_units_and_limits_are_looked_at() -> None:
    net = network(bias=0 * mV)
    module = net.to_torch(train={"hidden.dcinput.amplitude": 2 * mV, "hidden.v_th": None})
    assert module.units["hidden.dcinput.amplitude"] == 2.0**-9
    assert net.to_torch(train=["hidden.dcinput.amplitude"]).units["hidden.dcinput.amplitude"] == 2.0**-7
    for options, message in (
        ({"train": {"hidden.v_th": 1 * ms}}, "the unit of 'hidden.v_th' must"),
        ({"train": {"hidden.v_th": -1 * mV}}, "the unit of 'hidden.v_th' must be above 0"),
        ({"train": {"hidden.tau_m": 1 * ms}}, "is trained as the logarithm"),
        ({"max_delay": 5 * ms}, "max_delay is for trained delays"),
        ({"train": {"in.delay": 3}}, "train: 'in.delay' counts in steps; give None, and max_delay for the longest"),
        ({"train": ["in"]}, "train: of projection 'in' the weights are trained anyway, and the delays as 'in.delay'"),
        ({"train": "hidden.v_th"}, "train is a list of 'population.parameter' or 'projection.delay', got 'hid"),
        ({"train": [3]}, "train is a list of 'population.parameter' or 'projection.delay', got [3]"),
        ({"train": ["in.delay"], "max_delay": 1.5 * ms}, "max_delay is 1.5 ms, which is not a whole number of steps"),
        ({"train": ["in.delay"], "max_delay": 70 * 1000 * ms}, "max_delay is 70000 steps; it must be below 65535"),
    ):
        with pytest.raises(NeurosimError) as caught:
            net.to_torch(**options)
        assert message in caught.value.message
    with pytest.raises(ParameterError, match="max_delay is 3 steps, and projection 'in' has delays of 5"):
        network(delay=5 * ms).to_torch(train=["in.delay"], max_delay=3 * ms)


def test_units_of_conductances_are_logarithms() -> None:
    net = ns.Network("adex", dt=0.1 * ms)
    net.population("pop", 2, AdEx(c_m=100 * pF, g_l=10 * nS, receptors={"in": ExpCurrent}), init={"v": -70 * mV})
    module = net.to_torch(train=["pop.g_l", "pop.c_m"], scale={"pop": 10 * mV})
    assert [module.trained[k].item() for k in module.cells] == [0, 0] and 1 / (10 * nS) == 100 * Mohm
    assert module.value("pop.g_l") == 10e-9
