"""Dendrites: Dendrify's examples trace by trace, and what dendrites are there for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.integrate

import neurosim as ns
from neurosim import units as nu
from neurosim.errors import ParameterError, UnknownNameError
from neurosim.models import NMDA, DCInput, ExpConductance, OUNoise, SpikeSource, StepCurrent
from neurosim.models.dendrites import CA1Pyramidal, DendriticSpike, L5Pyramidal, Passive, receptive_fields, wire
from neurosim.models.dendrites.dendrify import Dendrite, NeuronModel, Soma
from neurosim.models.networks import dendritic
from neurosim.units import cm, mS, ms, mV, nS, pA, pF, second

RISES = {"duration_rise": 1.2, "duration_fall": 2.4, "offset_fall": 0.2, "refractory": 5.0}


def two(u: Any, soma: Any, dendrite: Any, model: Any, rise: bool = False) -> Any:
    """Dendrify's example of active dendrites; ``rise`` gives the synapses a time to rise."""
    s = soma("soma", cm_abs=200 * u.pF, gl_abs=10 * u.nS)
    d = dendrite("dend", cm_abs=50 * u.pF, gl_abs=2.5 * u.nS)
    more = {"t_rise": 0.5 * u.ms, "scale_g": True} if rise else {}
    d.synapse("AMPA", tag="x", g=3 * u.nS, t_decay=2 * u.ms, **more)
    d.synapse("NMDA", tag="x", g=3 * u.nS, t_decay=60 * u.ms, **({"t_rise": 2 * u.ms} if rise else {}))
    d.dspikes("Na", g_rise=30 * u.nS, g_fall=14 * u.nS)
    m = model([(s, d, 15 * u.nS)], v_rest=-60 * u.mV)
    times = {key: value * u.ms for key, value in RISES.items()}
    m.config_dspikes("Na", threshold=-35 * u.mV, reversal_rise="E_Na", reversal_fall="E_K", **times)
    return m


def four(u: Any, soma: Any, dendrite: Any, model: Any) -> Any:
    """Dendrify's example of back-propagating spikes; the links of its outer dendrites by their geometry."""
    s = soma("soma", model="leakyIF", length=25 * u.um, diameter=25 * u.um)
    parts = [
        dendrite(name, length=100 * u.um, diameter=d * u.um) for name, d in (("trunk", 2.5), ("prox", 1), ("dist", 0.5))
    ]
    for part, rise, fall in zip(parts, (22, 9, 3.7), (14, 5.7, 2.4), strict=True):
        part.dspikes("Na", g_rise=rise * u.nS, g_fall=fall * u.nS)
    trunk, prox, dist = parts
    specific = {"cm": 1 * u.uF / u.cm**2, "gl": 40 * u.uS / u.cm**2, "r_axial": 150 * u.ohm * u.cm}
    m = model(
        [(s, trunk, 15 * u.nS), (trunk, prox), (prox, dist, "cylinder_dist")], v_rest=-65 * u.mV, scale_factor=2.8,
        spine_factor=1.5, **specific,
    )  # fmt: skip
    times = {key: value * u.ms for key, value in RISES.items()}
    m.config_dspikes("Na", threshold=-35 * u.mV, reversal_rise="E_Na", reversal_fall="E_K", **times)
    return m


def make(u: Any, low: int) -> dict[str, Any]:
    return {
        "method": "euler", "threshold": "V_soma > -40*mV", "reset": "V_soma = 40*mV",
        "second_reset": f"V_soma = {low}*mV", "spike_width": 0.8 * u.ms, "refractory": 4 * u.ms,
    }  # fmt: skip


@pytest.fixture
def brian2() -> Any:
    import brian2 as b

    b.start_scope()
    b.prefs.codegen.target = "numpy"
    b.defaultclock.dt = 0.1 * b.ms
    yield b
    b.prefs.codegen.target = "auto"


@pytest.mark.engine("dendrify")
@pytest.mark.parametrize("rise", [False, True])
def test_two_compartments_are_dendrifys(brian2: Any, rise: bool) -> None:
    import dendrify as d

    b, rng = brian2, np.random.default_rng(1)
    steps = np.unique(rng.integers(10, 3000, 60))
    who = rng.integers(0, 5, len(steps))
    group, again = two(b, d.Soma, d.Dendrite, d.NeuronModel, rise).make_neurongroup(1, **make(b, -50))
    given = b.SpikeGeneratorGroup(5, who, steps * 0.1 * b.ms)
    synapses = b.Synapses(given, group, on_pre="s_AMPA_x_dend += 1; s_NMDA_x_dend += 1")
    synapses.connect()
    traces = b.StateMonitor(group, ["V_soma", "V_dend"], record=True, when="end")
    spikes, events = b.SpikeMonitor(group), b.EventMonitor(group, "spike_Na_dend")
    b.Network(group, again, given, synapses, traces, spikes, events).run(300 * b.ms)

    net = ns.Network("two", dt=0.1 * ms)
    pop = net.population("p", 1, two(nu, Soma, Dendrite, NeuronModel, rise).cell(**make(nu, -50)))
    source = net.population("source", 5, SpikeSource(steps * 0.1 * ms, who))
    for receptor in pop.cell.receptors:
        net.connect(source, pop, receptor=receptor, weight=1.0, delay=0.1 * ms)
    for name in ("spikes", "v_soma", "v_dend", "spike_Na_dend"):
        net.record(pop, name)
    r = net.run(300.1 * ms)
    late = 1  # a spike without a delay acts in its own step there, and a delay is at least a step here
    assert len(spikes.t) > 5 and np.array_equal(np.rint(spikes.t / b.ms * 10) + late, r.spikes["p"].steps)
    assert len(events.t) > 10 and np.array_equal(
        np.rint(events.t / b.ms * 10) + late, r.events("p", "spike_Na_dend").steps
    )
    for theirs, our in (("V_soma", "v_soma"), ("V_dend", "v_dend")):
        assert np.abs(np.asarray(getattr(traces, theirs)[0]) - r.state["p"][our].values[late:, 0]).max() < 1e-12


@pytest.mark.engine("dendrify")
def test_four_compartments_are_dendrifys(brian2: Any) -> None:
    import dendrify as d

    b, names = brian2, ("soma", "trunk", "prox", "dist")
    group, again = four(b, d.Soma, d.Dendrite, d.NeuronModel).make_neurongroup(1, **make(b, -55))
    traces = b.StateMonitor(group, [f"V_{name}" for name in names], record=True, when="end")
    spikes = b.SpikeMonitor(group)
    events = {name: b.EventMonitor(group, f"spike_Na_{name}") for name in names[1:]}
    net_b = b.Network(group, again, traces, spikes, *events.values())
    net_b.run(10 * b.ms)
    group.I_ext_soma = 180 * b.pA
    net_b.run(100 * b.ms)
    group.I_ext_soma = 0 * b.pA
    net_b.run(60 * b.ms)

    net = ns.Network("four", dt=0.1 * ms)
    pop = net.population("p", 1, four(nu, Soma, Dendrite, NeuronModel).cell(**make(nu, -55)))
    net.stimulate(pop, StepCurrent([10, 110] * ms, [180, 0] * pA)(port="i_soma"))
    for name in ("spikes", *(f"v_{n}" for n in names), *(f"spike_Na_{n}" for n in names[1:])):
        net.record(pop, name)
    r = net.run(170 * ms)
    assert len(spikes.t) > 4 and np.array_equal(np.rint(spikes.t / b.ms * 10), r.spikes["p"].steps)
    for name, found in events.items():
        assert np.array_equal(np.rint(found.t / b.ms * 10), r.events("p", f"spike_Na_{name}").steps)
    assert len(events["trunk"].t) > 4 and len(events["prox"].t) > 4
    for name in names:
        assert (
            np.abs(np.asarray(getattr(traces, f"V_{name}")[0]) - r.state["p"][f"v_{name}"].values[:, 0]).max() < 1e-12
        )


@pytest.mark.engine("dendrify")
@pytest.mark.parametrize("membrane", ["adaptiveIF", "adex"])
def test_membranes_and_inhibition_are_dendrifys(brian2: Any, membrane: str) -> None:
    import dendrify as d

    def model(u: Any, soma: Any, dendrite: Any, whole: Any) -> Any:
        s, e = soma("s", membrane, cm_abs=150 * u.pF, gl_abs=8 * u.nS), dendrite("e", cm_abs=60 * u.pF, gl_abs=3 * u.nS)
        e.synapse("GABA", "i", 4 * u.nS, None, 8 * u.ms)
        return whole([(s, e, 12 * u.nS)], v_rest=-65 * u.mV)

    b, numbers = brian2, {"a": (3, "nS"), "tauw": (40, "ms"), "DeltaT": (2, "mV"), "Vth": (-48, "mV")}
    used = {f"{k}_s": v for k, v in numbers.items() if membrane == "adex" or k in ("a", "tauw")}
    theirs = model(b, d.Soma, d.Dendrite, d.NeuronModel)
    theirs.add_params({k: x * getattr(b, unit) for k, (x, unit) in used.items()})
    group = theirs.make_neurongroup(1, method="euler", threshold="V_s > -45*mV", reset="V_s = -60*mV; w_s += 30*pA",
                                    refractory=3 * b.ms)  # fmt: skip
    steps = np.arange(5, 900, 37)
    given = b.SpikeGeneratorGroup(1, np.zeros(len(steps)), steps * 0.1 * b.ms)
    synapses = b.Synapses(given, group, on_pre="s_GABA_i_e += 1")
    synapses.connect()
    traces, spikes = b.StateMonitor(group, ["V_s", "V_e", "w_s"], record=True, when="end"), b.SpikeMonitor(group)
    group.I_ext_s = 700 * b.pA
    b.Network(group, given, synapses, traces, spikes).run(100 * b.ms)

    cell = model(nu, Soma, Dendrite, NeuronModel).cell(
        threshold="V_s > -45*mV", reset="V_s = -60*mV; w_s += jump", refractory=3 * ms, jump=30 * pA,
        **{k: x * getattr(nu, unit) for k, (x, unit) in used.items()},
    )  # fmt: skip
    net = ns.Network("membrane", dt=0.1 * ms)
    pop = net.population("p", 1, cell)
    net.stimulate(pop, DCInput(700 * pA)(port="i_s"))
    source = net.population("source", 1, SpikeSource((steps - 1) * 0.1 * ms, np.zeros(len(steps), int)))
    net.connect(source, pop, weight=1.0, delay=0.1 * ms)
    for name in ("spikes", "v_s", "v_e", "w_s"):
        net.record(pop, name)
    r = net.run(100 * ms)
    assert len(spikes.t) > 4 and np.array_equal(np.rint(spikes.t / b.ms * 10), r.spikes["p"].steps)
    for ours, name in (("v_s", "V_s"), ("v_e", "V_e"), ("w_s", "w_s")):
        assert np.abs(np.asarray(getattr(traces, name)[0]) - r.state["p"][ours].values[:, 0]).max() < 1e-12


def test_compartments_may_be_used_again() -> None:
    """As in Dendrify, a model has copies: what is done to a compartment afterwards, or by another model, is unseen."""
    soma, dend = Soma("s", cm_abs=200 * pF, gl_abs=10 * nS), Dendrite("d", cm_abs=50 * pF, gl_abs=2 * nS)
    passive = NeuronModel([(soma, dend, 3 * nS)], v_rest=-60 * mV)
    dend.dspikes("Na", threshold=-40 * mV, g_rise=3 * nS, g_fall=1 * nS)
    active = NeuronModel([(soma, dend, 3 * nS)], v_rest=-70 * mV)
    active.config_dspikes("Na", reversal_rise="E_Na", reversal_fall="E_K", **{k: v * ms for k, v in RISES.items()})
    assert passive.cell().variables == ("v_s", "v_d") and passive.cell().value("e_l_s") == -60 * mV
    assert active.cell().variables == ("v_s", "v_d", "spike_Na_d") and active.cell().value("e_l_d") == -70 * mV


# -- what dendrites are there for -----------------------------------------------------------------------------------


def branched(g_rise: Any, branches: int = 4) -> ns.Cell:
    """A soma with some thin branches that have sodium spikes and AMPA synapses."""
    soma = ns.Cell(
        "dv/dt = (g_l*(e_l - v) + i)/c_m", threshold="v > v_th", reset="v = e_l", refractory=3 * ms, init={"v": "e_l"},
        c_m=150 * pF, g_l=8 * nS, e_l=-65 * mV, v_th=-52 * mV,
    )  # fmt: skip
    spike = DendriticSpike(
        v_th=-48 * mV, g_rise=g_rise, g_fall=g_rise / 2, duration_rise=3 * ms, offset_fall=3 * ms,
        duration_fall=2 * ms, refractory=10 * ms,
    )  # fmt: skip
    twig = Passive(c_m=20 * pF, g_l=1 * nS).insert(na=spike)
    parts = {"soma": soma, **{f"b{k}": twig for k in range(branches)}}
    inputs = {f"exc{k}": ExpConductance(tau=2 * ms).at(f"b{k}") for k in range(branches)}
    return ns.compartments(parts, {("soma", f"b{k}"): 4 * nS for k in range(branches)}, receptors=inputs)


def peak(cell: ns.Cell, inputs: dict[int, int], names: tuple[str, ...] = ("v_soma",)) -> Any:
    """Give each branch so many synapses at once; return the result."""
    net = ns.Network("peak", dt=0.1 * ms)
    pop = net.population("p", 1, cell)
    source = net.population("source", 1, SpikeSource([10 * ms]))
    for branch, count in inputs.items():
        net.connect(source, pop, receptor=f"exc{branch}", weight=count * 1.5 * nS, delay=0.1 * ms)
    for name in ("spikes", *names):
        net.record(pop, name)
    return net.run(60 * ms)


def depolarisation(cell: ns.Cell, inputs: dict[int, int]) -> float:
    return 1e3 * (peak(cell, inputs).state["p"]["v_soma"].values.max() + 65e-3)


def test_clustered_beats_scattered_by_the_branchs_spike() -> None:
    """Eight synapses on one branch against two on each of four (Poirazi, Brannon, Mel 2003): with dendritic spikes the
    cluster wins, without them its driving force is used up and it loses."""
    quiet = branched(25 * nS)(v_th_soma=0 * mV)
    cluster, scattered = depolarisation(quiet, {0: 8}), depolarisation(quiet, {k: 2 for k in range(4)})
    assert cluster > 1.5 * scattered
    silent = branched(0 * nS)(v_th_soma=0 * mV)
    cluster, scattered = depolarisation(silent, {0: 8}), depolarisation(silent, {k: 2 for k in range(4)})
    assert cluster < scattered


def test_integration_in_a_branch() -> None:
    """More inputs to one branch: without its spike sublinear throughout, with it a jump above linear at a threshold."""
    alone = [depolarisation(branched(0 * nS)(v_th_soma=0 * mV), {0: k}) for k in range(1, 11)]
    with_spike = [depolarisation(branched(25 * nS)(v_th_soma=0 * mV), {0: k}) for k in range(1, 11)]
    linear = [alone[0] * k for k in range(1, 11)]
    assert all(a <= b * (1 + 1e-9) for a, b in zip(alone, linear, strict=True)) and alone[-1] < 0.7 * linear[-1]
    jump = int(np.argmax(np.diff(with_spike)))
    assert with_spike[jump] == pytest.approx(alone[jump], rel=1e-9) and 2 <= jump <= 8
    assert with_spike[jump + 1] > 1.3 * linear[jump + 1]


def test_one_cell_computes_xor() -> None:
    """Two inputs, each on its own branch, where the other one inhibits: a spike of either branch fires the soma."""

    def twig() -> ns.Cell:
        return Passive(c_m=20 * pF, g_l=1 * nS).insert(na=DendriticSpike(v_th=-45 * mV, g_rise=60 * nS, g_fall=5 * nS))

    cell = ns.compartments(
        {
            "soma": ns.Cell(
                "dv/dt = (g_l*(e_l - v) + i)/c_m", threshold="v > v_th", reset="v = e_l", refractory=20 * ms,
                init={"v": "e_l"}, c_m=100 * pF, g_l=8 * nS, e_l=-65 * mV, v_th=-57 * mV,
            ),
            "a": twig(), "b": twig(),
        },
        {("soma", "a"): 5 * nS, ("soma", "b"): 5 * nS},
        receptors={f"{kind}_{k}": ExpConductance(tau=(2 if kind == "exc" else 5) * ms,
                                                 e_rev=(0 if kind == "exc" else -70) * mV).at(k)
                   for kind in ("exc", "inh") for k in "ab"},
    )  # fmt: skip
    fired = {}
    for x in (0, 1):
        for y in (0, 1):
            net = ns.Network("xor", dt=0.1 * ms)
            pop = net.population("p", 1, cell)
            for given, own, other in ((x, "a", "b"), (y, "b", "a")):
                if given:
                    source = net.population(f"input_{own}", 1, SpikeSource([10 * ms]))
                    net.connect(source, pop, receptor=f"exc_{own}", weight=25 * nS, delay=1 * ms)
                    net.connect(source, pop, receptor=f"inh_{other}", weight=60 * nS, delay=0.5 * ms)
            net.record(pop, "spikes")
            fired[x, y] = net.run(60 * ms).spikes["p"].count > 0
    assert fired == {(0, 0): False, (0, 1): True, (1, 0): True, (1, 1): False}


def test_a_plateau_turns_spikes_into_bursts() -> None:
    """Naud and Sprekeler's multiplexing: dendritic input changes how many events are bursts, and little how many there
    are."""
    found = {}
    for current in (0, 200, 300):
        net = ns.Network("l5", dt=0.1 * ms)
        pop = net.population("p", 100, L5Pyramidal)
        net.stimulate(pop, OUNoise(mean=450 * pA, sigma=100 * pA, tau=2 * ms)(port="i_soma"), name="soma")
        net.stimulate(pop, OUNoise(mean=current * pA, sigma=100 * pA, tau=2 * ms)(port="i_dend"), name="dend")
        net.record(pop, "spikes")
        gaps = [np.diff(t) for t in net.run(1 * second).spikes["p"].trains().values() if len(t) > 1]
        events = sum(1 + (gap > 16e-3).sum() for gap in gaps)
        bursts = sum((np.r_[True, gap > 16e-3][:-1] & (gap < 16e-3)).sum() for gap in gaps)
        found[current] = events / 100, bursts / events
    assert found[0][1] < 0.02 and 0.4 < found[200][1] < 0.75 and found[300][1] > 0.85
    assert 0.6 < found[300][0] / found[0][0] < 1.1


def ca1_by_hand(t: float, y: np.ndarray, injected: tuple[float, float]) -> list[float]:
    """Ferguson and Campbell's equations in ms, mV, mS/cm2 and uA/cm2, as a program of its own writes them."""
    vs, vd, h, n, *rest = y
    m_up, m_down = 0.32 * (-46.9 - vs) / np.expm1((-46.9 - vs) / 4), 0.28 * (vs + 19.9) / np.expm1((vs + 19.9) / 5)
    m = m_up / (m_up + m_down)
    h_up, h_down = 0.128 * np.exp((-43 - vs) / 18), 4 / (1 + np.exp((-20 - vs) / 5))
    n_up, n_down = 0.016 * (-24.9 - vs) / np.expm1((-24.9 - vs) / 5), 0.25 * np.exp(-1 - 0.025 * vs)
    found, currents = [h_up * (1 - h) - h_down * h, n_up * (1 - n) - n_down * n], []
    for v, g_ca, g_c, (ca, s, c, q) in ((vs, 6.0, 15.0, rest[:4]), (vd, 5.0, 5.0, rest[4:])):
        j_ca = g_ca * s * s * (v - 80)
        currents.append(0.1 * (-65 - v) - j_ca - (g_c * c * min(ca / 250, 1) + 0.8 * q) * (v + 75))
        s_up, s_down = 1.6 / (1 + np.exp(-0.072 * (v - 5))), 0.02 * (v + 8.9) / np.expm1((v + 8.9) / 5)
        fall = 2 * np.exp((-53.5 - v) / 27)
        c_up = fall if v > -10 else np.exp((v + 50) / 11 - (v + 53.5) / 27) / 18.975
        found += [-0.13 * j_ca - 0.075 * ca, s_up * (1 - s) - s_down * s, c_up * (1 - c) - (fall - c_up) * c,
                  min(2e-5 * ca, 0.01) * (1 - q) - 0.001 * q]  # fmt: skip
    currents[0] += 30 * m * m * h * (60 - vs) - 17 * n * (vs + 75)
    soma = (currents[0] + (1.5 * (vd - vs) + injected[0]) / 0.5) / 3
    return [soma, (currents[1] + (1.5 * (vs - vd) + injected[1]) / 0.5) / 3, *found]


def test_ca1_against_fine_integration() -> None:
    net = ns.Network("ca1", dt=0.01 * ms)
    pop = net.population("p", 1, CA1Pyramidal)
    net.stimulate(pop, DCInput(240 * pA)(port="i_soma"), name="soma")  # 1.2 uA/cm2 on 20,000 um2
    net.stimulate(pop, DCInput(-20 * pA)(port="i_dend"), name="dend")
    parts = [f"{x}_{part}" for part in ("soma", "dend") for x in ("ca", "s", "c", "q")]
    variables = ["v_soma", "v_dend", "h", "n", *parts]
    net.record(pop, ["spikes", *variables])
    r = net.run(150 * ms)
    scale = np.array([1e3, 1e3] + 10 * [1.0])
    given = scale * [r.state["p"][x].of(0)[0] for x in variables]
    at = np.arange(15_000) * 0.01
    fine = scipy.integrate.solve_ivp(
        ca1_by_hand, (0, 150), given, "LSODA", at, args=((1.2, -0.1),), rtol=1e-9, atol=1e-11
    )  # fmt: skip
    assert len(r.spikes["p"].steps) == 4
    for x, wanted, unit in zip(variables, fine.y, scale, strict=True):
        found = unit * r.state["p"][x].of(0)
        # a rate of the cell jumps at -10 mV: steps across it cost first order
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-2 * np.ptp(wanted), err_msg=x)


def test_ca1_spikes_adapt_where_ca3_bursts() -> None:
    """Pinsky and Rinzel's cell is the one without calcium in the soma; at 0.75 uA/cm2 it bursts every half second."""
    density = mS / cm**2
    ca3 = CA1Pyramidal(g_c=2.1 * density, g_k=15 * density, g_ca_soma=0 * density, g_ca_dend=10 * density,
                       g_c_soma=0 * density, g_c_dend=15 * density, g_ahp_soma=0 * density, e_l=-60 * mV)  # fmt: skip
    net = ns.Network("hippocampus", dt=0.02 * ms)
    for name, cell, current in (("ca1", CA1Pyramidal, 300), ("ca3", ca3, 150)):
        pop = net.population(name, 1, cell)
        net.stimulate(pop, DCInput(current * pA)(port="i_soma"), name=f"{name}_drive")
        net.record(pop, "spikes")
    result = net.run(2 * second)
    gaps = {name: 1e3 * np.diff(result.spikes[name].t)[4:] for name in ("ca1", "ca3")}
    assert np.all(np.diff(gaps["ca1"])[:8] > 1) and gaps["ca1"].min() > 20
    within, between = gaps["ca3"][gaps["ca3"] < 10], gaps["ca3"][gaps["ca3"] >= 10]
    assert len(within) >= 3 and len(between) >= 3 and np.all((between > 400) & (between < 600))


def test_ten_thousand_cells() -> None:
    """A network of two-compartment cells, all of them in one loop."""
    soma = ns.Cell(
        "dv/dt = (g_l*(e_l - v) + i)/c_m", threshold="v > -50*mV", reset="v = -60*mV", refractory=3 * ms,
        init={"v": "e_l"}, c_m=200 * pF, g_l=10 * nS, e_l=-65 * mV,
    )  # fmt: skip
    dend = Passive(c_m=ns.normal(50 * pF, 5 * pF, lo=30 * pF)).insert(na=DendriticSpike())
    cell = ns.compartments(
        {"soma": soma, "dend": dend}, {("soma", "dend"): 15 * nS},
        receptors={"exc": ExpConductance(tau=2 * ms).at("dend"), "nmda": NMDA.at("dend")},
    )  # fmt: skip
    net = ns.Network("many", dt=0.1 * ms, seed=2)
    pop = net.population("p", 10_000, cell)
    net.stimulate(pop, DCInput(260 * pA)(port="i_dend"))
    for receptor in ("exc", "nmda"):
        net.connect(pop, pop, receptor=receptor, rule=ns.FixedInDegree(20), weight=0.2 * nS, delay=1 * ms)
    net.record(pop, "spikes")
    one, two_ = (net.run(100 * ms, threads=threads) for threads in (1, 2))
    assert one.spikes["p"].identical(two_.spikes["p"]) and 1 < one.rates("p") < 200


def test_the_networks_promise() -> None:
    net = dendritic()
    for name in ("trunk", "prox", "dist"):
        net.record(net["cells"], f"spike_Na_{name}", every=5 * ms)
    r = net.run(1 * second)
    found = {name: len(r.events("cells", f"spike_Na_{name}")) / 1000 for name in ("trunk", "prox", "dist")}
    assert abs(r.rates("cells") - 7.1) < 0.2 and found["trunk"] == 0
    assert abs(found["prox"] - 8) < 0.5 and abs(found["dist"] - 14) < 0.5
    assert abs(dendritic(active=False).run(1 * second).rates("cells") - 6.9) < 0.2


# -- wiring ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["random", "local", "clustered"])
def test_receptive_fields(kind: str) -> None:
    fields = receptive_fields((14, 20), 30, 4, 12, kind=kind, seed=5)
    assert fields.shape == (30, 4, 12) and fields.min() >= 0 and fields.max() < 280
    assert np.all(np.diff(fields, axis=2) > 0)  # ascending, none twice
    assert np.array_equal(fields, receptive_fields((14, 20), 30, 4, 12, kind=kind, seed=5))
    assert not np.array_equal(fields, receptive_fields((14, 20), 30, 4, 12, kind=kind, seed=6))
    place = np.stack(np.divmod(fields, 20), axis=-1)
    within = np.linalg.norm(place - place.mean(2, keepdims=True), axis=-1).mean()
    apart = np.linalg.norm(place.mean(2) - place.mean((1, 2))[:, None], axis=-1).mean()
    if kind == "random":
        assert within > 5
    else:
        assert within < 2.5 and (apart < 3 if kind == "clustered" else apart > 4)
    if kind != "clustered":  # every input is somebody's
        assert len(np.unique(receptive_fields((14, 20), 200, 4, 12, kind=kind))) == 280


def test_wire() -> None:
    net = ns.Network("wired", dt=0.1 * ms)
    source = net.population("source", 30, SpikeSource([[1 * ms]] * 30))
    parts = {name: Passive for name in ("soma", "a", "b")}
    inputs = {f"exc_{k}": ExpConductance(tau=2 * ms).at(k) for k in "ab"}
    cells = net.population("cells", 7, ns.compartments(parts, {("soma", k): 1 * nS for k in "ab"}, receptors=inputs))
    fields = receptive_fields(30, 7, 2, 5)
    made = wire(net, source, cells, fields, ["exc_a", "exc_b"], weight=1 * nS, delay=0.5 * ms)
    assert [p.name for p in made] == ["source_cells_exc_a", "source_cells_exc_b"]
    for k, projection in enumerate(made):
        edges = net.edges(projection.name)
        pairs = sorted(zip(edges.post.tolist(), edges.pre.tolist(), strict=True))
        assert pairs == [(cell, int(i)) for cell in range(7) for i in fields[cell, k]]


@pytest.mark.parametrize(
    "act, error, message",
    [
        (lambda: receptive_fields((4, 4), 1, 1, 17), ParameterError, "a branch cannot have 17 different inputs"),
        (lambda: receptive_fields((4, 4), 0, 1, 1), ParameterError, "cells must be whole numbers above 0"),
        (lambda: receptive_fields(16, 1, 1, 1, kind="near"), ParameterError, "is one of random, local, clustered"),
        (lambda: wiring(np.zeros((2, 2), int)), ParameterError, r"are whole numbers \[cells, branches, synapses\]"),
        (lambda: wiring(np.zeros((3, 1, 1), int)), ParameterError, "are of 3 cells, and 'cells' has 2"),
        (lambda: wiring(np.zeros((2, 2, 1), int)), ParameterError, "are of 2 branches, and 1 receptors are given"),
        (lambda: wiring(np.full((2, 1, 1), 9)), ParameterError, "name the inputs 9 to 9, and 'source' has 4"),
        (lambda: wiring(np.zeros((2, 1, 2), int)), ParameterError, "input 0 reaches branch 0 of cell 0 twice"),
        (lambda: wiring(np.zeros((2, 1, 1), int), "inh"), UnknownNameError, "'cells' has no receptor 'inh'"),
    ],
)
def test_wiring_refused(act: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        act()


def wiring(fields: Any, receptor: str = "exc") -> None:
    net = ns.Network("refused", dt=0.1 * ms)
    cell = ns.compartments({"a": Passive}, {}, receptors={"exc": ExpConductance(tau=2 * ms).at("a")})
    cells = net.population("cells", 2, cell)
    wire(net, net.population("source", 4, SpikeSource([[]] * 4)), cells, fields, [receptor], weight=1 * nS)


# -- what is refused -------------------------------------------------------------------------------------------------

LINK = Soma("s"), Dendrite("d")
ABSOLUTE = Soma("s", cm_abs=100 * pF, gl_abs=5 * nS), Dendrite("d", cm_abs=100 * pF, gl_abs=5 * nS)


@pytest.mark.parametrize(
    "act, error, message",
    [
        (lambda: NeuronModel([LINK, LINK[::-1]]), ParameterError, "'d' and 's' are connected twice"),
        (lambda: NeuronModel([LINK]).cell(second_reset="V_s = 0*mV", spike_width=1 * ms), ParameterError, "follows a"),
        (
            lambda: NeuronModel([LINK]).cell(
                threshold="V_s > 0*mV", second_reset="V_s = 0*mV", spike_width=1 * ms, refractory=0.5 * ms
            ),
            ParameterError,
            "spike_width must not be longer than the refractory period",
        ),
        (lambda: NeuronModel([ABSOLUTE], scale_factor=2.0), ParameterError, "scale_factor are for compartments with a"),
        (lambda: Soma("s", "hh"), ParameterError, "the model of a compartment is one of passive, leakyIF"),
        (
            lambda: Soma("s", cm_abs=1 * pF, length=1 * nu.um),
            ParameterError,
            "'s' has cm_abs or gl_abs, so it has no size",
        ),
        (lambda: Soma("s").dspikes("Na"), ParameterError, "'s' is a soma: dendritic spikes belong to a Dendrite"),
        (lambda: Dendrite("d").dspikes("Na", g=1), UnknownNameError, "dendritic spikes have no property 'g'"),
        (lambda: Dendrite("d").synapse("AMP", "x", g=1 * nS, t_decay=1 * ms), ParameterError, "is AMPA, NMDA or GABA"),
        (lambda: Dendrite("d").synapse("AMPA", "x", 1 * nS), ParameterError, "the synapse 'AMPA_x' needs t_decay"),
        (
            lambda: Dendrite("d").synapse("AMPA", "x", 1 * nS, 2 * ms, 2 * ms, True),
            ParameterError,
            "are equal: scale_g",
        ),
        (lambda: NeuronModel([(Soma("s"), Dendrite("s"))]), ParameterError, "two compartments are called 's'"),
        (lambda: NeuronModel([(Soma("s"), 3)]), ParameterError, "a connection is"),
        (lambda: NeuronModel([], area=3), UnknownNameError, "a NeuronModel has no property 'area'"),
        (
            lambda: NeuronModel([(Soma("s"), Dendrite("d"))]).cell(),
            ParameterError,
            "'s' lacks length, diameter, cm, gl",
        ),
        (
            lambda: NeuronModel([(Soma("s"), Dendrite("d"))]).config_dspikes("Na"),
            UnknownNameError,
            "no compartment has",
        ),
        (
            lambda: NeuronModel([(Soma("s"), Dendrite("d"))]).cell(threshold="V_s > 0*mV", second_reset="V_s = 0*mV"),
            ParameterError,
            "belong together",
        ),
    ],
)
def test_refused(act: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        act()


def test_spikes_that_lack_a_property_and_links_that_are_none() -> None:
    soma, dend = Soma("s", cm_abs=200 * pF, gl_abs=10 * nS), Dendrite("d", cm_abs=50 * pF, gl_abs=2 * nS)
    dend.dspikes("Na", g_rise=3 * nS)
    with pytest.raises(ParameterError, match="dendritic spikes 'Na' of 'd' lack duration_fall, duration_rise, g_fall"):
        NeuronModel([(soma, dend, 3 * nS)], v_rest=-60 * mV).cell()
    with pytest.raises(ParameterError, match="has a conductance, 'half_cylinders' or 'cylinder_s'; got 'cable'"):
        NeuronModel([(soma, Dendrite("d", cm_abs=50 * pF, gl_abs=2 * nS), "cable")], v_rest=-60 * mV).cell()
    with pytest.raises(UnknownNameError, match="no reversal potential 'E_Li'"):
        dend.dspikes("Ca", reversal_rise="E_Li")
