"""Online rules: their gradients are those of the papers' formulae, and what the rules do not cover is refused."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

import neurosim as ns
from neurosim.errors import NeurosimError
from neurosim.models import LIF, AdEx, DeltaCurrent, ExpConductance, ExpCurrent, SpikeSource
from neurosim.units import ms, mV, nS

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
