"""Fused loops: the bits of the steps that they stand for, and autograd's gradients of those."""

from __future__ import annotations

import copy
import importlib.util
import os
import pickle
import random
import signal
import time
import warnings
from typing import Any

import numpy as np
import pytest

import neurosim as ns
from neurosim.compile import compile_network
from neurosim.conformance.networks import balanced
from neurosim.conformance.random_networks import ALL, Seeded, draw, family
from neurosim.ir.adjoint import BAR, PER_UNIT, adjoint, bar
from neurosim.ir.graph import Graph
from neurosim.ir.interp import evaluate
from neurosim.ir.surrogates import SURROGATE_SLOPES
from neurosim.models import LIF, AdEx, DeltaCurrent, ExpCurrent, HodgkinHuxley, Izhikevich, PoissonInput, SpikeSource
from neurosim.units import Hz, ms, mV

if importlib.util.find_spec("torch"):
    import torch

    if not torch.cuda.is_available():
        os.environ["TRITON_INTERPRET"] = "1"  # read when triton is imported: kernels are then carried out by NumPy

pytestmark = pytest.mark.engine("snntorch")


def modules(graph: Graph, surrogate: str = "atan", **how: Any) -> tuple[Any, Any]:
    """The same network with fused loops and without, thresholds a few tenths of a unit wide."""
    from neurosim.backends.snntorch_backend.backend import SnnTorchBackend

    scale = {
        p.name: 0.3 * float(np.max(np.abs(list(p.params.values())[0]))) + 0.01 for p in graph.populations if p.params
    }
    detach = how.pop("detach_reset", True)
    pair = [SnnTorchBackend().module(graph, surrogate, scale, detach, fuse) for fuse in (True, False)]
    assert set(pair[1].loops().values()) <= {"it was asked not to be"}
    return pair[0], pair[1]


def outcome(module: Any, steps: int, batch: int = 2) -> tuple[list[Any], list[Any]]:
    """Spikes and all variables of a run with input to every receptor, and gradients of a loss on all of them."""
    g = torch.Generator().manual_seed(7)
    graph, real = module.graph, {"dtype": module.dtype, "device": module.device}
    scale = {key: _large(graph, *key) for key in module.reach}
    inputs = {
        f"{p}.{r}": (size * torch.rand(batch, steps, graph.population(p).size, generator=g, dtype=torch.float64))
        .to(module.dtype).requires_grad_()
        for (p, r), size in scale.items()
    }  # fmt: skip
    names = [f"{p.name}.{v.name}" for p in graph.populations for v in p.states]
    if module.graph.populations and not inputs:
        out = module(steps=steps, seeds=list(range(batch)), traces=names)
    else:
        out = module(inputs, traces=names)
    found = [*out.spikes.values(), *out.traces.values()]
    total = sum(
        (x * torch.randn(x.shape, generator=g, dtype=torch.float64).to(**real)).sum() / (x.detach().abs().max() + 1e-30)
        for x in found
    )
    wanted = [*inputs.values(), *(module.weights[name] for name in module.weights)]
    wanted = [w for w in wanted if w.numel()]
    grads = torch.autograd.grad(total, wanted, allow_unused=True) if wanted and total.requires_grad else []
    return [x.detach() for x in found], [g for g in grads if g is not None]


def _large(graph: Graph, population: str, receptor: str) -> float:
    """A size of what arrives that matters to a cell: a tenth of its potential's range a step."""
    node = graph.population(population)
    weights = [abs(float(np.max(np.abs(p.weight)))) for p in graph.projections
               if p.receptor == receptor and isinstance(p.weight, float)
               and any(s.population == population for s in p.post)]  # fmt: skip
    return max([*weights, *(1e3 * g for g in [node.grids.get(receptor, 0.0)] if g < 1)], default=1e-3)


def close(got: list[Any], want: list[Any], tolerance: float) -> None:
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        assert torch.isfinite(b).all()
        size = float(b.abs().max()) or 1.0
        assert float((a - b).abs().max()) <= tolerance * size


SAMPLE = (0, 1, 4)
"""Families whose kernels are compiled soon enough for every run of the tests."""


@pytest.mark.parametrize("number", [n if n in SAMPLE else pytest.param(n, marks=pytest.mark.full) for n in range(ALL)])
def test_random_networks(number: int) -> None:
    for seed in range(5):
        network = draw(Seeded(1000 * number + seed), family(number))
        graph = network.graph
        fused, plain = modules(graph, detach_reset=bool(number % 2))
        (found, grads), (want, slow) = (outcome(m, 37 + 11 * seed) for m in (fused, plain))
        assert set(fused.loops().values()) <= {"fused", "a Poisson count has a mean that is computed in the step"}
        if graph.precision == "double":
            assert all(torch.equal(a, b) for a, b in zip(found, want, strict=True))
            close(grads, slow, 1e-10)
        elif all(torch.equal(a, b) for a, b in zip(found, want, strict=True)):
            close(grads, slow, 1e-5)


SURROGATES = sorted(SURROGATE_SLOPES)


def two_layers(batch_of_cells: int = 70, dt: Any = 1 * ms, back: Any = 3 * ms) -> ns.Network:
    net = ns.Network("two", dt=dt, seed=2)
    cell = LIF(
        v_rest=0 * mV, v_reset=0 * mV, v_th=10 * mV, t_ref=2 * ms, receptors={"in": ExpCurrent, "back": DeltaCurrent}
    )
    source = net.population("source", 9, SpikeSource([np.zeros(0) * ms] * 9))
    hidden = net.population("hidden", batch_of_cells, cell)
    out = net.population("out", 3, cell)
    net.connect(source, hidden, weight=ns.normal(20 * mV, 20 * mV), receptor="in", delay=1 * ms)
    if back is not None:
        net.connect(
            hidden, hidden, rule=ns.FixedProbability(0.1), weight=ns.normal(0 * mV, 3 * mV), receptor="back", delay=back
        )
    net.connect(hidden[:40], out, weight=ns.normal(1 * mV, 8 * mV), receptor="in", delay=ns.uniform(1 * ms, 5 * ms))
    return net


@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize("surrogate", SURROGATES)
def test_every_surrogate_has_snntorch_s_gradient(surrogate: str, detach: bool) -> None:
    """The step-by-step module asks snnTorch's function for its slope, the fused one has our program of it."""
    net, grads = two_layers(), []
    train = (torch.rand(3, 40, 9, generator=torch.Generator().manual_seed(1)) < 0.3).double()
    for fuse in (True, False):
        module = net.to_torch(surrogate=surrogate, precision="double", detach_reset=detach, fuse=fuse)
        assert set(module.loops().values()) == ({"fused"} if fuse else {"it was asked not to be"})
        out = module({"source": train})
        assert out.spikes["out"].sum() > 0
        loss = out.spikes["out"].square().sum() + out.spikes["hidden"][:, 20:].sum()
        grads.append(torch.autograd.grad(loss, [module.weights[name] for name in module.weights]))
    close(grads[0], grads[1], 1e-10)


@pytest.mark.parametrize("back", [None, 1 * ms, 4 * ms, ns.uniform(2 * ms, 9 * ms)])
@pytest.mark.parametrize("cut", [0, 1, 17])
def test_blocks_are_the_steps(back: Any, cut: int) -> None:
    """Circles of several delays, a stretch in two parts: spikes, state and gradients of one step after the other."""
    net = two_layers(back=back)
    train = (torch.rand(2, 41, 9, generator=torch.Generator().manual_seed(3)) < 0.3).double()
    results = []
    for fuse in (True, False):
        module = net.to_torch(precision="double", fuse=fuse)
        state, spikes = None, []
        for part in (train[:, :cut], train[:, cut:]):
            out = module({"source": part}, state=state, traces=["hidden.v"])
            state = out.state
            spikes.append(out.spikes["out"])
        total = torch.cat(spikes, 1)
        grads = torch.autograd.grad(
            total.sum() + 10 * out.traces["hidden.v"].sum(), list(module.parameters()), allow_unused=True
        )
        results.append((total, out.traces["hidden.v"], [g for g in grads if g is not None], state))
    (a, av, ag, one), (b, bv, bg, other) = results
    assert a.sum() > 5 and torch.equal(a, b) and torch.equal(av, bv)
    close(ag, bg, 1e-10)
    for key, values in one.pending.items():
        for x, y in zip(values, other.pending[key], strict=True):
            assert (x is None and y is None) or torch.equal(_or_zero(x, y), _or_zero(y, x))


def wired(seed: int) -> ns.Network:
    """One to four populations of cells, joined at random: circles, unions, parts, empty projections, many delays."""
    d = random.Random(seed)
    net = ns.Network("wired", dt=1 * ms, seed=seed)
    silent = SpikeSource(np.zeros(0) * ms, np.zeros(0, dtype=int))
    pops: list[Any] = [net.population("source", d.choice([1, 5, 17]), silent)]
    for k in range(d.randint(1, 4)):
        cell = LIF(v_rest=0 * mV, v_reset=0 * mV, v_th=d.choice([10 * mV, ns.uniform(8 * mV, 12 * mV)]),
                   t_ref=d.choice([0, 2]) * ms, receptors={"in": ExpCurrent, "back": DeltaCurrent})  # fmt: skip
        pops.append(net.population(f"p{k}", d.choice([1, 3, 16, 17, 64, 65, 130]), cell))
    for _ in range(d.randint(1, 6)):
        pre, post, more = d.choice(pops), d.choice(pops[1:]), d.choice(pops[1:])
        if d.random() < 0.3 and more is not pre:
            pre = pre + more
        if d.random() < 0.3:
            post = post[: max(1, len(post) // 2)]
        elif d.random() < 0.3 and more is not post:
            post = post + more
        rule = d.choice([ns.AllToAll(), ns.FixedProbability(0.3), ns.FixedProbability(0.02)])
        delay = d.choice([1 * ms, 2 * ms, 5 * ms, ns.uniform(1 * ms, 6 * ms)])
        net.connect(
            pre, post, rule=rule, weight=ns.normal(3 * mV, 6 * mV), delay=delay, receptor=d.choice(["in", "back"])
        )
    return net


@pytest.mark.parametrize("first", [0, 12] + [pytest.param(n, marks=pytest.mark.full) for n in range(24, 300, 12)])
def test_networks_wired_at_random(first: int) -> None:
    """Spikes, potentials and gradients of two stretches, the second from the first's state."""
    for seed in range(first, first + 12):
        net, d = wired(seed), random.Random(-seed)
        steps, batch, detach = d.choice([1, 2, 15, 16, 17, 33, 40]), d.choice([1, 2, 5]), d.random() < 0.5
        g = torch.Generator().manual_seed(seed)
        train = torch.rand(batch, steps, len(net["source"]), generator=g) < 0.5
        cells = [name for name in net.populations if name != "source"]
        results = []
        for fuse in (True, False):
            module = net.to_torch(
                precision="double", fuse=fuse, detach_reset=detach, scale=dict.fromkeys(cells, 10 * mV)
            )
            state, found, loss = None, [], torch.zeros(())
            for part in (train[:, : steps // 2], train[:, steps // 2 :]):
                out = module({"source": part}, state=state, traces=[f"{name}.v" for name in cells])
                state = out.state
                found += [*out.spikes.values(), *out.traces.values()]
                loss = (
                    loss
                    + sum(x.sum() for x in out.spikes.values())
                    + sum((100 * x).square().sum() for x in out.traces.values())
                )
            weights = [w for w in module.parameters() if w.numel()]
            grads = [None] * len(weights)
            if weights and loss.requires_grad:
                grads = torch.autograd.grad(loss, weights, allow_unused=True)
            known = [torch.zeros_like(w) if x is None else x for w, x in zip(weights, grads, strict=True)]
            results.append((found, known))
        (found, grads), (want, slow) = results
        assert all(torch.equal(a, b) for a, b in zip(found, want, strict=True)), seed
        close(grads, slow, 1e-10)


def _or_zero(x: Any, like: Any) -> Any:
    return torch.zeros_like(like) if x is None else x


def test_single_precision_to_a_millionth() -> None:
    net = two_layers(batch_of_cells=200)
    train = (torch.rand(4, 30, 9, generator=torch.Generator().manual_seed(3)) < 0.3).float()
    grads = []
    for fuse in (True, False):
        module = net.to_torch(fuse=fuse)
        out = module({"source": train}, traces=["out.v"])
        grads.append(torch.autograd.grad(out.traces["out.v"].sum(), list(module.parameters())))
    close(grads[0], grads[1], 1e-5)


def test_threads_and_second_runs_give_the_same() -> None:
    net, before = two_layers(batch_of_cells=300), torch.get_num_threads()
    train = (torch.rand(5, 33, 9, generator=torch.Generator().manual_seed(3)) < 0.3).float()
    module, found = net.to_torch(), []
    try:
        for threads in (1, 2, 3, 1):
            torch.set_num_threads(threads)
            out = module({"source": train})
            found.append(
                [
                    out.spikes["out"],
                    *torch.autograd.grad(out.spikes["hidden"].sum(), [module.weights["source_hidden_in"]]),
                ]
            )
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert torch.equal(found[0][0], other[0])
        torch.testing.assert_close(found[0][1], other[1])


def test_without_gradients_spikes_are_native_s() -> None:
    net = balanced(200)
    module = net.to_torch(precision="double", surrogate=None)
    assert set(module.loops().values()) == {"fused"}
    found = module(steps=300).spikes["exc"][0].numpy()
    spikes = net.run(30 * ms).spikes["exc"]
    want = np.zeros_like(found)
    want[spikes.steps, spikes.ids] = 1
    assert want.sum() > 20
    np.testing.assert_array_equal(found, want)


def test_stimuli_are_drawn_for_each_run() -> None:
    net = ns.Network("noise", dt=0.5 * ms, seed=5)
    pop = net.population("p", 30, LIF(receptors={"in": ExpCurrent}))
    net.stimulate(pop, PoissonInput(rate=2000 * Hz, weight=4 * mV, receptor="in"))
    module = net.to_torch(precision="double")
    assert module.loops() == {"p": "fused"}
    out = module(steps=200, seeds=[5, 6, 5])
    assert torch.equal(out.spikes["p"][0], out.spikes["p"][2])
    assert not torch.equal(out.spikes["p"][0], out.spikes["p"][1])
    result = _recorded(net, pop).run(100 * ms)
    assert result.spikes["p"].count == int(out.spikes["p"][0].sum()) > 0


def _recorded(net: ns.Network, pop: Any) -> ns.Network:
    net.record(pop, "spikes")
    return net


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_a_copy_is_a_module_of_its_own(copied: Any) -> None:
    train = (torch.rand(2, 20, 9, generator=torch.Generator().manual_seed(3)) < 0.3).float()
    module = two_layers().to_torch()
    before = module({"source": train}).spikes["hidden"]
    other = copied(module)
    assert torch.equal(other({"source": train}).spikes["hidden"], before)
    with torch.no_grad():
        other.weights["source_hidden_in"].mul_(2)
    assert not torch.equal(other({"source": train}).spikes["hidden"], before)
    assert torch.equal(module({"source": train}).spikes["hidden"], before)


@pytest.mark.parametrize("fuse", [True, False])
def test_a_second_derivative_is_refused(fuse: bool) -> None:
    module = two_layers(back=None).to_torch(precision="double", fuse=fuse)
    train = (torch.rand(1, 20, 9, generator=torch.Generator().manual_seed(3)) < 0.3).double()
    loss = module({"source": train}).spikes["out"].sum()
    for name in ("source_hidden_in", "hidden_out_in"):
        with pytest.raises(RuntimeError, match="no second derivative"):
            torch.autograd.grad(loss, module.weights[name], create_graph=True, retain_graph=True)


def test_what_is_set_between_runs_counts() -> None:
    train = (torch.rand(1, 20, 9, generator=torch.Generator().manual_seed(3)) < 0.3).double()

    def slopes(module: Any) -> list[Any]:
        loss = module({"source": train}).spikes["out"].sum()
        return list(torch.autograd.grad(loss, list(module.parameters())))

    module, plain = (two_layers().to_torch(precision="double", fuse=fuse) for fuse in (True, False))
    before = slopes(module)
    for m in (module, plain):
        m.detach_reset = False
        m.scale["hidden"] = 0.02
    close(slopes(module), slopes(plain), 1e-10)
    assert not all(torch.equal(a, b) for a, b in zip(before, slopes(module), strict=True))
    module.fuse = False
    assert set(module.loops().values()) == {"it was asked not to be"}


def test_a_forked_process_has_threads_of_its_own() -> None:
    """The parent's pool is copied into a child, and its threads are not."""
    from neurosim.backends.snntorch_backend.fused import _pool

    assert list(_pool(2, os.getpid()).map(abs, [-1, -2])) == [1, 2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of any fork beside threads, since 3.12
        child = os.fork()
    if not child:
        os._exit(0 if list(_pool(2, os.getpid()).map(abs, [-1, -2])) == [1, 2] else 1)
    for _ in range(100):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.1)
    else:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        status = -1
    assert status == 0


def test_cells_without_state_and_modules_without_surrogates() -> None:
    net = ns.Network("clock", dt=1 * ms)
    net.population("clock", 2, ns.Cell("", threshold="t > 5*ms"))
    assert net.to_torch(scale={"clock": 1.0})(steps=20).spikes["clock"].sum() == 28
    module = two_layers().to_torch(surrogate=None)
    given = torch.zeros(1, 5, 70, requires_grad=True)
    assert not module({"hidden.in": given}, traces=["hidden.v"]).traces["hidden.v"].requires_grad
    state = two_layers().to_torch()(steps=4).state
    state.variables["hidden"]["v"].mul_(0.5)


def test_who_is_not_fused_and_why() -> None:
    class Soft(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return (x > 0).to(x.dtype)

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            return grads[0]

    net = two_layers()
    assert set(net.to_torch(surrogate=Soft.apply).loops().values()) == {"the surrogate is no program"}
    assert set(net.to_torch(surrogate="SSO").loops().values()) == {"the surrogate is no program"}
    assert set(net.to_torch().loops().values()) == {"fused"}


# -- Triton ----------------------------------------------------------------------------------------------------------

OTHERS = {"LIF": LIF(t_ref=2 * ms, receptors={"in": ExpCurrent}), "AdEx": AdEx, "Izhikevich": Izhikevich,
          "HodgkinHuxley": HodgkinHuxley}  # fmt: skip


def one_cell(name: str, precision: str) -> Graph:
    """Five cells of the library that differ in their start, and receive what they are given."""
    net = ns.Network(name, dt=(0.01 if name == "HodgkinHuxley" else 0.5) * ms, seed=4)
    pop = net.population(
        "p", 5, OTHERS[name](receptors={"in": DeltaCurrent}, init={"v": ns.uniform(-80 * mV, -52 * mV)})
    )
    net.connect(pop, pop, rule=ns.FixedProbability(0.5), weight=2 * mV, delay=2 * ms, receptor="in")
    return compile_network(net, precision=precision)


@pytest.mark.engine("triton")
@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("name", OTHERS)
def test_triton_prints_the_same(name: str, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from neurosim.backends.snntorch_backend.fused import Fused, OnGpu

    results = []
    for triton in (False, True):
        if triton:
            monkeypatch.setattr(Fused, "kind", lambda self, device: OnGpu)
        module, _ = modules(one_cell(name, precision))
        assert module.loops() == {"p": "fused"}
        results.append(outcome(module, 9))
    (found, grads), (want, slow) = results
    assert all(torch.equal(a, b) for a, b in zip(found, want, strict=True))
    close(grads, slow, 1e-12 if precision == "double" else 1e-6)


@pytest.mark.gpu
@pytest.mark.parametrize("number", range(6))
def test_a_gpu_gives_the_same(number: int) -> None:
    for seed in range(2):
        graph = draw(Seeded(1000 * number + seed), family(number)).graph
        fused, plain = modules(graph)
        (found, grads), (want, slow) = outcome(fused.to("cuda"), 50), outcome(plain, 50)
        assert set(fused.loops().values()) <= {"fused", "a Poisson count has a mean that is computed in the step"}
        if graph.precision == "double":
            assert all(torch.equal(a.cpu(), b) for a, b in zip(found, want, strict=True))
            close([g.cpu() for g in grads], slow, 1e-10)
        elif all(torch.equal(a.cpu(), b) for a, b in zip(found, want, strict=True)):
            close([g.cpu() for g in grads], slow, 1e-5)


# -- the adjoint as a program ----------------------------------------------------------------------------------------


def _step(program: Any, values: dict[tuple[str, str], Any]) -> list[Any]:
    return evaluate(program, lambda ins: values.get((ins.op, ins.attr), np.zeros(1)))


@pytest.mark.parametrize("method", ["exact", "euler", "rk2", "rk4", "exponential_euler"])
def test_adjoint_by_finite_differences(method: str) -> None:
    """What a variable of the next step depends on, without a spike: the adjoint's numbers against differences."""
    cell = LIF(v_rest=-70 * mV, v_reset=-70 * mV, v_th=1000 * mV, receptors={"in": ExpCurrent}, method=method)
    net = ns.Network("one", dt=0.5 * ms)
    net.population("p", 1, cell)
    pop = compile_network(net).populations[0]
    states = {v.name: v.kind for v in pop.states}
    back = adjoint(pop.program, states, SURROGATE_SLOPES["atan"], params=tuple(pop.params))
    g = np.random.default_rng(0)
    leaves: dict[tuple[str, str], Any] = {("load", "v"): np.array([-0.061]), ("load", "in.x"): np.array([0.004])}
    leaves |= {("inbox", "in"): np.array([0.003])}
    leaves |= {("param", k): np.atleast_1d(np.asarray(v, dtype=float)) for k, v in pop.params.items()}
    bars = {name: g.normal(size=1) for name in states}
    leaves |= {("load", BAR + name): value for name, value in bars.items()} | {("param", PER_UNIT): np.ones(1)}

    def total(values: dict[tuple[str, str], Any]) -> float:
        out = _step(pop.program, values)
        return float(sum((bars[name] * out[k])[0] for name, k in pop.program.stores().items()))

    found = {name: _step(back, leaves)[k] for name, k in back.stores().items()}
    for (op, name), value in leaves.items():
        if (
            op not in ("load", "inbox", "param")
            or name.startswith(BAR)
            or name in (PER_UNIT, "_refractory_steps", "v_th")
        ):
            continue
        eps = 1e-6 * max(1e-3, float(np.abs(value)[0]))
        ends = [total({**leaves, (op, name): value + sign * eps}) for sign in (1, -1)]
        slope = (ends[0] - ends[1]) / (2 * eps)
        assert float(found.get(bar(op, name), np.zeros(1))[0]) == pytest.approx(slope, rel=1e-6, abs=1e-6), (op, name)
