"""Online rules: their gradients are those of the papers' formulae, and what the rules do not cover is refused."""

from __future__ import annotations

import gc
import importlib.util
from typing import Any

import numpy as np
import pytest

import neurosim as ns
from neurosim.errors import NeurosimError
from neurosim.learning import OTTT, EProp, FirstSpikeLoss, MembraneLoss, RateBounds, RateLoss, fit
from neurosim.learning.fit import _Run
from neurosim.models import LIF, DeltaCurrent, ExpConductance, ExpCurrent, SpikeSource
from neurosim.units import ms, mV

if importlib.util.find_spec("torch"):
    import torch

pytestmark = pytest.mark.engine("snntorch")

BATCH, STEPS, INPUTS, HIDDEN, OUT = 3, 40, 8, 12, 3
SILENT = 10_000 * mV

# Bellec et al.: the reset takes the threshold away, and has no derivative
LEAKY = ns.Cell(
    "v[n+1] = keep*v", threshold="v >= v_th", reset="v -= v_th", keep=0.9, v_th=10 * mV,
    receptors={"in": DeltaCurrent}, name="Leaky",
)  # fmt: skip


def slope(above: Any) -> Any:
    """Return the derivative of snnTorch's arctangent, alpha 2."""
    return 1 / (1 + (torch.pi * above) ** 2)


def network(cell: Any, readout: Any = None, back: bool = True, delay: int = 2) -> ns.Network:
    """Inputs, a hidden layer, recurrent or not, and a readout."""
    net = ns.Network("online", dt=1 * ms, seed=1)
    source = net.population("source", INPUTS, SpikeSource([] * ms, []))
    hidden = net.population("hidden", HIDDEN, cell)
    out = net.population("out", OUT, cell if readout is None else readout)
    net.connect(source, hidden, weight=ns.normal(3 * mV, 4 * mV), delay=delay * ms, name="in")
    if back:
        net.connect(hidden, hidden, weight=ns.normal(0 * mV, 3 * mV), delay=1 * ms, name="back")
    net.connect(hidden, out, weight=ns.normal(1 * mV, 3 * mV), delay=1 * ms, name="out")
    return net


def given(seed: int = 1, steps: int = STEPS) -> Any:
    g = torch.Generator().manual_seed(seed)
    return (torch.rand(BATCH, steps, INPUTS, generator=g) < 0.15).double()


TARGETS = [0, 2, 1]


def matrix(module: Any, name: str) -> Any:
    s = next(s for s in module.synapses if s.name == name)
    out = torch.zeros(s.n_pre, s.n_post, dtype=torch.float64)
    out[s.pre, s.post] = torch.from_numpy(module.learned(name))
    return out


def edges(module: Any, name: str, gradient: Any) -> Any:
    """Return a gradient [pre, post] after weights in SI as the parameter has it."""
    s = next(s for s in module.synapses if s.name == name)
    return gradient[s.pre, s.post] * module.units[name]


def learned(module: Any, rule: str, spikes: Any, loss: Any, traces: Any = (), **how: Any) -> dict[str, Any]:
    """Return the gradients of a rule, the mean over steps, and the spikes that came of them."""
    learner = module.online(rule, **how)
    learner.begin(len(spikes))
    seen = []
    module.zero_grad()

    def kept(output: Any) -> Any:
        seen.append({k: v.detach()[:, 0] for k, v in output.spikes.items()})
        return loss(output)

    for k in range(spikes.shape[1]):
        learner.step({"source": spikes[:, k]}, kept, traces, 1 / spikes.shape[1])
    learner.finish()
    with torch.no_grad():
        whole = module({"source": spikes}).spikes
    for name, values in whole.items():  # the spikes are the module's
        assert torch.equal(torch.stack([s[name] for s in seen], 1), values)
    assert whole["hidden"].sum() > 60
    return {name: module.weights[name].grad.clone() for name in module.weights}


def softmax_loss(output: Any) -> Any:
    return torch.nn.functional.cross_entropy(1000 * output.traces["out.v"][:, -1], torch.tensor(TARGETS))


def close(found: Any, want: Any) -> None:
    assert want.abs().max() > 1e-6
    torch.testing.assert_close(found, want, rtol=1e-10, atol=1e-10 * float(want.abs().max()))


def test_eprop_is_the_papers_formula() -> None:
    """Bellec et al. 2020, LIF: eps_i = keep eps_i + z_i; e = psi eps; the readout's filter on e; error by W_out."""
    module = network(LEAKY, LEAKY(v_th=SILENT)).to_torch(precision="double", scale={"hidden": 10 * mV, "out": 10 * mV})
    spikes = given()
    found = learned(module, "eprop", spikes, softmax_loss, ["out.v"])
    w = {name: matrix(module, name) for name in ("in", "back", "out")}
    keep, v_th, zeros = 0.9, 0.01, lambda *n: torch.zeros(BATCH, *n, dtype=torch.float64)
    v, y, eps_x, eps_z = zeros(HIDDEN), zeros(OUT), zeros(INPUTS), zeros(HIDDEN)
    eps_out = zeros(HIDDEN)
    filtered = {"in": zeros(INPUTS, HIDDEN), "back": zeros(HIDDEN, HIDDEN)}
    late = {k: torch.zeros_like(f) for k, f in filtered.items()}
    grads = {k: torch.zeros_like(x) for k, x in w.items()}
    z, x_before = zeros(HIDDEN), [zeros(INPUTS), zeros(INPUTS)]
    for n in range(STEPS):
        x = x_before.pop(0)  # two steps on the way
        eps_out = keep * eps_out + z
        y = keep * y + z @ w["out"]
        v = keep * v + x @ w["in"] + z @ w["back"]
        eps_x, eps_z = keep * eps_x + x, keep * eps_z + z
        psi = slope((v - v_th) / v_th) / v_th
        z = (v >= v_th).double()
        v = v - v_th * z
        error = (torch.softmax(1000 * y, 1) - torch.eye(OUT, dtype=torch.float64)[TARGETS]) * 1000 / BATCH / STEPS
        signal = error @ w["out"].T
        for name, eps in (("in", eps_x), ("back", eps_z)):
            filtered[name] = keep * filtered[name] + late[name]
            late[name] = eps[:, :, None] * psi[:, None]
            grads[name] += (signal[:, None] * filtered[name]).sum(0)
        grads["out"] += (error[:, None] * eps_out[:, :, None]).sum(0)
        x_before.append(spikes[:, n])
    for name, grad in grads.items():
        close(found[name], edges(module, name, grad))


def spike_loss(output: Any) -> Any:
    return torch.nn.functional.cross_entropy(0.7 * output.spikes["out"][:, -1], torch.tensor(TARGETS))


def deep(cell: Any) -> ns.Network:
    """Two hidden layers of which the first is recurrent; the output spikes, and hears the first layer as well."""
    net = network(cell, cell)
    second = net.population("second", 9, cell)
    net.connect(net["hidden"], second, weight=ns.normal(2 * mV, 3 * mV), delay=3 * ms, name="on")
    net.connect(second, net["out"], weight=ns.normal(2 * mV, 3 * mV), delay=2 * ms, name="last")
    return net


def test_ottt_is_the_papers_formula() -> None:
    """Xiao et al. 2022: a[t] = keep a[t-1] + s[t]; grad W = sum of a g, g back through the layers at one instant."""
    scale = dict.fromkeys(("hidden", "second", "out"), 10 * mV)
    module = deep(LEAKY).to_torch(precision="double", scale=scale)
    spikes = given()
    found = learned(module, "ottt", spikes, spike_loss)
    keep, v_th = 0.9, 0.01
    delays = {"in": ("source", "hidden", 2), "back": ("hidden", "hidden", 1), "out": ("hidden", "out", 1),
              "on": ("hidden", "second", 3), "last": ("second", "out", 2)}  # fmt: skip
    w = {name: matrix(module, name) for name in delays}
    s: dict[str, list[Any]] = {"source": list(spikes.unbind(1)), "hidden": [], "second": [], "out": []}
    v = {p: torch.zeros(BATCH, n, dtype=torch.float64) for p, n in (("hidden", HIDDEN), ("second", 9), ("out", OUT))}
    psi: dict[str, list[Any]] = {p: [] for p in v}
    trace: dict[str, list[Any]] = {name: [] for name in delays}  # as it is at the target
    for n in range(STEPS):
        came = {k: s[p][n - d] if n >= d else torch.zeros_like(spikes[:, 0] if p == "source" else v[p])
                for k, (p, _, d) in delays.items()}  # fmt: skip
        for p in v:
            v[p] = keep * v[p] + sum(came[k] @ w[k] for k, (_, q, _) in delays.items() if q == p)
            psi[p].append(slope((v[p] - v_th) / v_th) / v_th)
            s[p].append((v[p] >= v_th).double())
            v[p] = v[p] - v_th * s[p][n]
        for k in delays:
            trace[k].append(came[k] + (keep * trace[k][-1] if n else 0))
    grads = {k: torch.zeros_like(x) for k, x in w.items()}

    def back(p: str, n: int, d_spikes: Any) -> None:
        """Go back from the derivative after a layer's spikes of step n."""
        if n < 0 or p == "source":
            return
        g = d_spikes * psi[p][n]
        for k, (before, q, d) in delays.items():
            if q == p:
                grads[k] += trace[k][n].T @ g
                if before != p:  # not around a circle
                    back(before, n - d, g @ w[k].T)

    for n in range(STEPS):
        wrong = torch.softmax(0.7 * s["out"][n], 1) - torch.eye(OUT, dtype=torch.float64)[TARGETS]
        back("out", n, 0.7 * wrong / BATCH / STEPS)
    for name, grad in grads.items():
        close(found[name], edges(module, name, grad))


CELLS = {
    "lif": LIF(tau_m=10 * ms, v_rest=0 * mV, v_reset=0 * mV, v_th=10 * mV, t_ref=2 * ms,
               receptors={"in": ExpCurrent(tau=4 * ms)}),
    "each": LIF(tau_m=np.linspace(5, 20, HIDDEN) * ms, v_rest=0 * mV, v_reset=0 * mV, v_th=10 * mV,
                receptors={"in": DeltaCurrent}),
    "adapting": ns.Cell("dv/dt = -(v + w)/tau; dw/dt = -w/tau_w", threshold="v >= v_th", reset="v = 0*v; w += jump",
                        tau=10 * ms, tau_w=80 * ms, jump=3 * mV, v_th=10 * mV, receptors={"in": DeltaCurrent}),
}  # fmt: skip


@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize("name", CELLS)
def test_eprop_without_circles_is_the_whole_gradient(name: str, detach: bool) -> None:
    """Nothing is left out then, in whatever cell: also where the reset has a derivative, which makes w depend on v."""
    readout = ns.Cell(
        "dv/dt = (v_rest - v + i)/tau",
        v_rest=0 * mV,
        tau=15 * ms,
        receptors={"in": ExpCurrent(tau=3 * ms)},
        name="Readout",
    )
    scale = {"hidden": 10 * mV}
    module = network(CELLS[name], readout, back=False).to_torch(precision="double", scale=scale, detach_reset=detach)
    spikes = given()
    found = learned(module, "eprop", spikes, softmax_loss, ["out.v"])
    module.zero_grad()
    potential = module({"source": spikes}, traces=["out.v"]).traces["out.v"]
    targets = torch.tensor(TARGETS).repeat_interleave(STEPS)
    torch.nn.functional.cross_entropy(1000 * potential.reshape(-1, OUT), targets).backward()
    for label, parameter in ((n, module.weights[n]) for n in module.weights):
        close(found[label], parameter.grad)


# -- by fit -----------------------------------------------------------------------------------------------------------


def patterns(samples: int, seed: int, steps: int = 30) -> tuple[Any, Any]:
    """Three classes, that differ in which inputs are active first and which later."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.randint(OUT, (samples,), generator=g)
    early = torch.arange(steps)[:, None] < steps // 2
    group = torch.arange(INPUTS) * 3 // INPUTS
    now = torch.where(early, group == labels[:, None, None], group == (labels[:, None, None] + 1) % 3)
    return (torch.rand(samples, steps, INPUTS, generator=g) < torch.where(now, 0.25, 0.03)), labels


WAYS: dict[str, tuple[Any, Any]] = {
    "eprop": ("eprop", MembraneLoss("out.v")),
    "random": (EProp(feedback="random"), MembraneLoss("out.v")),
    "adaptive": (EProp(feedback="adaptive"), MembraneLoss("out.v")),
    "ottt": ("ottt", RateLoss("out")),
    "ottt, online": (OTTT(every=5), RateLoss("out")),
}


def classifier(name: str) -> Any:
    cell = LIF(tau_m=10 * ms, v_rest=0 * mV, v_reset=0 * mV, v_th=10 * mV, receptors={"in": DeltaCurrent})
    readout = cell(v_th=SILENT) if isinstance(WAYS[name][1], MembraneLoss) else cell
    return network(cell, readout).to_torch(precision="double", scale={"out": 10 * mV})


@pytest.mark.parametrize("name", WAYS)
def test_it_learns(name: str) -> None:
    module, (gradient, loss) = classifier(name), WAYS[name]
    silent = [RateBounds("hidden", 0.02, 0.5)] if "ottt" in name else []
    history = fit(module, patterns(120, 1), loss, test=patterns(90, 2), gradient=gradient, epochs=8, batch=30, lr=0.02,
                  regularisers=silent, quiet=True)  # fmt: skip
    assert history["loss"][-1] < history["loss"][0]
    assert history["test_correct"][-1] > (0.6 if name == "random" else 0.75)  # chance is 0.33


def test_it_goes_on_where_it_stopped(tmp_path: Any) -> None:
    """Adaptive feedback is part of what is kept."""
    made, file = [], str(tmp_path / "kept.pt")
    how: dict[str, Any] = {"gradient": EProp(feedback="adaptive", every=7), "batch": 10, "lr": 0.02, "quiet": True}
    for stops in ((2,), (1, 2)):
        module = classifier("adaptive")
        for epochs in stops:
            keep = {"checkpoint": file} if len(stops) == 2 else {}
            fit(module, patterns(20, 1, 12), MembraneLoss("out.v"), epochs=epochs, **keep, **how)
        made.append(module.state_dict())
    assert all(torch.equal(made[0][k], made[1][k]) for k in made[0])
    with pytest.raises(NeurosimError, match="this training has {.*every=None"):
        fit(classifier("adaptive"), patterns(20, 1, 12), MembraneLoss("out.v"), epochs=3, checkpoint=file,
            **how | {"gradient": EProp(feedback="adaptive")})  # fmt: skip


# -- what comes back, and what is kept --------------------------------------------------------------------------------


def test_feedback_is_what_it_says() -> None:
    module = network(LEAKY, LEAKY(v_th=SILENT)).to_torch(precision="double", scale={"hidden": 10 * mV, "out": 10 * mV})
    spikes = given(steps=20)
    want = learned(module, "eprop", spikes, softmax_loss, ["out.v"])
    same, other = (module.online("eprop", feedback="random", seed=1) for _ in range(2))
    (way,), w_out = same.ways, matrix(module, "out")
    assert torch.equal(way.weights, other.ways[0].weights) and way.weights.shape == w_out.shape
    assert 0.5 < float(way.weights.std() / w_out.std()) < 2
    assert not torch.equal(way.weights, module.online("eprop", feedback="random", seed=2).ways[0].weights)
    found = learned(module, "eprop", spikes, softmax_loss, ["out.v"], feedback="random", seed=1)
    assert not torch.allclose(found["in"], want["in"], rtol=0.1) and torch.equal(found["out"], want["out"])

    adaptive = module.online("eprop", feedback="adaptive", decay=0.25)
    before = adaptive.ways[0].weights.clone()
    with torch.no_grad():
        module.weights["out"].add_(torch.linspace(-1, 1, HIDDEN * OUT))
    adaptive.changed()
    moved = matrix(module, "out") - w_out
    torch.testing.assert_close(adaptive.ways[0].weights, 0.75 * before + moved, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("name", ["eprop", "ottt"])
def test_memory_does_not_grow_with_the_steps(name: str) -> None:
    """Nothing that is kept has a history, and there is as much of it after 60 steps as after 20."""
    module, loss, held = classifier(name), WAYS[name][1], []
    learner = module.online(name)
    learner.begin(4)
    spikes = patterns(4, 1, 60)[0]
    for n in range(60):
        learner.step({"source": spikes[:, n]}, lambda output: loss(output, torch.tensor([0, 1, 2, 1])),
                     getattr(loss, "traces", ()))  # fmt: skip
        if n in (19, 59):
            gc.collect()
            alive = [x for x in gc.get_objects() if type(x) is torch.Tensor]
            assert not any(x.grad_fn is not None for x in alive)
            held.append(sum(x.numel() for x in alive))
            del alive
    assert held[0] == held[1]


@pytest.mark.parametrize("name", ["eprop", "ottt"])
def test_memory_of_fit_does_not_grow_with_the_steps(name: str) -> None:
    """Nor do the answers that fit counts: as much is alive in step 60 as in step 20, when the loss is asked."""
    plain, held = WAYS[name][1], []

    class Watched:
        traces = getattr(plain, "traces", ())
        correct = staticmethod(plain.correct)
        steps = 0

        def __call__(self, output: Any, targets: Any) -> Any:
            self.steps += 1
            if self.steps in (20, 60):
                gc.collect()
                held.append(sum(x.numel() for x in gc.get_objects() if type(x) is torch.Tensor))
            return plain(output, targets)

    history = fit(classifier(name), patterns(4, 1, 60), Watched(), gradient=name, epochs=1, batch=4, quiet=True)
    assert len(held) == 2 and held[0] == held[1]
    assert 0 <= history["correct"][0] <= 1


@pytest.mark.parametrize("every", [None, 5])
def test_answers_are_counted_in_every_step(every: int | None) -> None:
    """What is right in a quarter of the steps is right by a quarter, in however many pieces."""

    class Quarter:
        steps = 0

        def __call__(self, output: Any, targets: Any) -> Any:
            return RateLoss("out")(output, targets)

        def correct(self, output: Any, targets: Any) -> Any:
            self.steps += 1
            return torch.full((len(targets),), self.steps % 4 == 0)

    history = fit(classifier("ottt"), patterns(6, 1, 20), Quarter(), gradient=OTTT(every=every), epochs=1, batch=3,
                  quiet=True)  # fmt: skip
    assert history["correct"] == [pytest.approx(0.25)]


def test_feedback_changes_in_a_process_without_samples() -> None:
    """As in the others: the last batch may have fewer samples than there are processes."""
    module = classifier("adaptive")
    rule, loss = EProp(feedback="adaptive", decay=0.25), WAYS["adaptive"][1]
    run = _Run(torch, module, loss, (), None, None, rule, False, 0, None)
    before = run.learner.ways[0].weights.clone()
    spikes, labels = patterns(4, 1, 12)
    ids = torch.arange(4)
    batches = [(spikes, labels, ids, 4), (spikes[:0], labels[:0], ids[:0], 1)]
    run.epoch(iter(batches), torch.optim.SGD(module.parameters(), lr=0.0), None, 0)
    torch.testing.assert_close(run.learner.ways[0].weights, 0.75**2 * before)


def test_ottt_goes_through_convolutions() -> None:
    """The gradient after a kernel is the sum over the edges that share it."""
    cell = LEAKY(v_th=4 * mV)
    found = []
    conv = ns.Convolution((1, 5, 5), channels_out=2, kernel=3)
    for listed in (False, True):
        net = ns.Network("maps", dt=1 * ms, seed=1)
        source = net.population("source", 25, SpikeSource([] * ms, []))
        maps, out = net.population("hidden", 18, cell), net.population("out", OUT, cell)
        kernel = np.random.default_rng(1).normal(1.5, 3, (2, 1, 3, 3))
        rule, element = conv.edge_list()
        weight = kernel.reshape(-1)[element] if listed else kernel
        net.connect(source, maps, rule=rule if listed else conv, weight=weight * mV, name="conv")
        net.connect(maps, out, weight=ns.normal(1 * mV, 2 * mV), name="out")
        module = net.to_torch(precision="double", scale={"hidden": 4 * mV, "out": 4 * mV})
        g = torch.Generator().manual_seed(1)
        spikes = (torch.rand(BATCH, 20, 25, generator=g) < 0.2).double()
        grad = learned(module, "ottt", spikes, spike_loss)["conv"] / module.units["conv"]
        found.append(torch.zeros(18, dtype=grad.dtype).index_add(0, torch.from_numpy(element), grad) if listed
                     else grad.reshape(-1))  # fmt: skip
    close(found[0], found[1])


# -- what cannot be ---------------------------------------------------------------------------------------------------


def spiking() -> Any:
    return network(LEAKY, LEAKY).to_torch(scale={"hidden": 10 * mV, "out": 10 * mV})


def two_layers() -> Any:
    net = deep(LEAKY)
    return net.to_torch(scale=dict.fromkeys(("hidden", "second", "out"), 10 * mV))


def readout_of(cell: Any, delay: Any = 1 * ms) -> Any:
    net = network(LEAKY, cell)
    net.connect(net["hidden"], net["out"], weight=1 * mV, delay=delay, name="more")
    return net.to_torch(scale={"hidden": 10 * mV, "out": 10 * mV})


def unheard() -> Any:
    net = network(LEAKY, LEAKY(v_th=SILENT))
    first = net.population("first", 4, LEAKY)
    net.connect(net["source"], first, weight=9 * mV, name="to_first")
    net.connect(first, net["hidden"], weight=1 * mV, name="from_first")
    return net.to_torch(scale=dict.fromkeys(("first", "hidden", "out"), 10 * mV))


CONDUCTANCE = LIF(tau_m=10 * ms, v_rest=-70 * mV, v_reset=-70 * mV, v_th=-50 * mV, receptors={"in": ExpConductance})
EACH = LEAKY(keep=np.linspace(0.8, 0.9, OUT), v_th=SILENT)
REFUSED: dict[str, tuple[Any, Any, Any, str]] = {
    "trained": (lambda: network(CELLS["lif"]).to_torch(train=["hidden.tau_m"]), "eprop", RateLoss("out"),
                "e-prop trains weights, and 'hidden.tau_m' is trained here too"),
    "delays": (lambda: network(CELLS["lif"]).to_torch(train=["in.delay"]), "ottt", RateLoss("out"),
               "OTTT trains weights, and 'in.delay' is trained here too"),
    "currents": (lambda: network(CELLS["lif"]).to_torch(), "ottt", RateLoss("out"),
                 "those of population 'hidden' are not (arrivals move "),
    "leaks": (lambda: network(CELLS["each"], LEAKY).to_torch(scale={"out": 10 * mV}), "ottt", RateLoss("out"),
              "OTTT has one trace for each source, and the neurons of population 'hidden' leak differently"),
    "spikes": (spiking, "eprop", RateLoss("out"), "the loss reads population 'out', which gets spikes from 'hidden' "
               "and spikes. A readout of e-prop is"),
    "filters": (lambda: readout_of(EACH), "eprop", MembraneLoss("out.v"), "has neurons that filter spikes differently"),
    "readout": (lambda: readout_of(LEAKY(v_th=SILENT), ns.uniform(1 * ms, 4 * ms)), "eprop", MembraneLoss("out.v"),
                "is connected with several delays"),
    "several": (lambda: readout_of(LEAKY, ns.uniform(1 * ms, 4 * ms)), "ottt", RateLoss("out"),
                "projection 'more' has 4 different delays: give it one"),
    "unheard": (unheard, "eprop", MembraneLoss("out.v"), "e-prop has no learning signal for projection 'to_first'"),
    "truncated": (spiking, "ottt", RateLoss("out"), "truncate is for gradient='bptt': OTTT looks back as far"),
    "unknown": (spiking, "eprob", RateLoss("out"), "gradient must be 'bptt', 'eprop' or 'ottt', EProp(...) or OTTT(..."
                "); got 'eprob'; did you mean 'eprop'?"),
    "nothing": (spiking, "ottt", lambda output, targets: torch.zeros(()),
                "the loss does not depend on anything that is trained"),
    "mixed": (spiking, "bptt", RateLoss("out"), "mixed must be True or False, got 1"),
    "first": (spiking, "ottt", FirstSpikeLoss("out"), "FirstSpikeLoss needs all steps at once, and OTTT has one at a "
              "time: use RateLoss or MembraneLoss, or gradient='bptt'"),
    "whole": (spiking, EProp(), MembraneLoss("out.v"), "Whole needs all steps at once, and e-prop has one at a time: "
              "train with gradient='bptt'"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_rule_does_not_cover_is_refused(name: str) -> None:
    made, gradient, loss, message = REFUSED[name]
    whole = type("Whole", (), {"whole_run": True, "__call__": lambda self, output, module: torch.zeros(())})()
    more = {"truncated": {"truncate": 5}, "mixed": {"mixed": 1}, "whole": {"regularisers": [whole]}}.get(name, {})
    with pytest.raises(NeurosimError) as caught:
        fit(made(), patterns(6, 1), loss, gradient=gradient, epochs=1, quiet=True, **more)
    assert message in caught.value.message, caught.value.message


def test_conductances_are_none_of_ottts_and_no_readout_of_eprops() -> None:
    for cell, readout, gradient, message in (
        (CONDUCTANCE, LEAKY, "ottt", "those of population 'hidden' are not (the operation 'mul')"),
        (LEAKY, CONDUCTANCE, "eprop", "population 'out', which gets spikes from 'hidden' and is not linear in what"),
    ):
        net = ns.Network("conductances", dt=1 * ms, seed=1)
        source = net.population("source", INPUTS, SpikeSource([] * ms, []))
        hidden, out = net.population("hidden", HIDDEN, cell), net.population("out", OUT, readout)
        units = {id(CONDUCTANCE): 0.1, id(LEAKY): 5 * mV}  # of conductances in units of the leak
        net.connect(source, hidden, weight=units[id(cell)])
        net.connect(hidden, out, weight=units[id(readout)])
        scale = {name: 10 * mV for name, c in (("hidden", cell), ("out", readout)) if c is LEAKY}
        with pytest.raises(NeurosimError) as caught:
            fit(net.to_torch(scale=scale), patterns(6, 1), MembraneLoss("out.v"), gradient=gradient, quiet=True)
        assert message in caught.value.message, caught.value.message


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            lambda: EProp(feedback="symetric"),
            "feedback must be one of 'symmetric', 'random', 'adaptive', got 'symetric'",
        ),
        (lambda: EProp(decay=1.0), "decay must be a number from 0 to below 1, got 1.0"),
        (lambda: EProp(every=0), "every must be a whole number of steps above 0, got 0"),
        (lambda: EProp(seed=0.5), "seed must be a whole number, got 0.5"),  # type: ignore[arg-type]
        (lambda: OTTT(every="a"), "every must be a whole number of steps above 0, got 'a'"),  # type: ignore[arg-type]
        (lambda: spiking().online("otttt"), "no online rule 'otttt'; did you mean 'ottt'?"),
        (lambda: spiking().online("ottt").step({}, None), "an online rule needs begin(batch) before its first step"),
    ],
)
def test_settings_are_looked_at(made: Any, message: str) -> None:
    with pytest.raises(NeurosimError) as caught:
        made()
    assert message in caught.value.message, caught.value.message


def test_input_is_that_of_one_step() -> None:
    module = spiking()
    learner = module.online("ottt")
    learner.begin(2)
    for given, message in (
        (torch.zeros(3, INPUTS), f"input for 'source' must be [2, neurons], that of one step; got [3, {INPUTS}]"),
        (torch.zeros(2, 4, INPUTS), f"that of one step; got [2, 4, {INPUTS}]"),
        (torch.zeros(2, INPUTS, requires_grad=True), "OTTT gives no gradient to what made the input for 'source'"),
    ):
        with pytest.raises(NeurosimError) as caught:
            learner.step({"source": given}, lambda output: None)
        assert message in caught.value.message, caught.value.message
