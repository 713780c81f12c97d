"""BrainScaleS-2: weights of six bits, the pattern of a chip, circuits and rows; published numbers, what is refused."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_kit import call
from hypothesis import given, settings
from hypothesis import strategies as st

import neurosim as ns
from neurosim.errors import ParameterError, UnknownNameError, UnsupportedError
from neurosim.hardware import base
from neurosim.hardware.brainscales2 import (
    CALIBRATED,
    UNCALIBRATED,
    Spread,
    fixed_pattern,
    partitions,
    place,
    quantise,
)
from neurosim.hardware.brainscales2.placement import _halves, brainscales2
from neurosim.hardware.brainscales2.variation import SHARES
from neurosim.ir.random import Draws
from neurosim.models import (
    EIF,
    LIF,
    AdEx,
    DCInput,
    DeltaCurrent,
    ExpConductance,
    ExpCurrent,
    PairSTDP,
    PoissonInput,
    PoissonSource,
    SpikeSource,
)
from neurosim.units import Hz, ms, mV, nS, pA

CELL = LIF(tau_m=20 * ms, v_rest=-65 * mV, v_reset=-65 * mV, v_th=-50 * mV,
           receptors={"exc": ExpCurrent(tau=5 * ms), "inh": ExpCurrent(tau=5 * ms)})  # fmt: skip


def layer(weights: Any, n: int | None = None, cell: Any = CELL, receptor: str = "exc") -> ns.Network:
    """Sources, all connected to a population: weights [pre, post] in mV, or a number for n neurons and one source."""
    matrix = np.asarray(weights, dtype=float) if n is None else np.full((1, n), float(weights))
    net = ns.Network("layer", dt=0.1 * ms, seed=1)
    source = net.population("source", matrix.shape[0], PoissonSource(80 * Hz))
    pop = net.population("pop", matrix.shape[1], cell)
    net.connect(source, pop, receptor=receptor, weight=matrix * mV, name="wire")
    net.record(pop, "spikes")
    return net


def recurrent() -> ns.Network:
    """A population driven by sources, inhibiting itself."""
    net = layer(np.random.default_rng(1).normal(3, 1, (40, 60)))
    net.connect(net["pop"], net["pop"], receptor="inh", rule=ns.FixedProbability(0.2),
                weight=ns.normal(-2 * mV, 0.3 * mV), delay=ns.uniform(1 * ms, 3 * ms), name="back")  # fmt: skip
    return net


def spikes(net: ns.Network, backend: str = "native") -> tuple[list[int], list[int]]:
    found = net.run(100 * ms, backend=backend).spikes["pop"]
    return found.steps.tolist(), found.ids.tolist()


# -- weights ---------------------------------------------------------------------------------------------------------


def test_six_bits_are_63_steps_of_either_sign() -> None:
    found = quantise(layer([[6.3, -6.3, 0.1, 0.04, 0.0, 3.149]]))
    steps = found.network.edges("wire").weight / 1e-4
    np.testing.assert_allclose(steps, [63, -63, 1, 0, 31], atol=1e-9)
    only = found.projections[0]
    assert (only.synapses, only.largest, only.saturated, only.lost) == (4, 63, 0, 1)
    assert only.step == pytest.approx(1e-4) and "wire" in str(found) and found.changes == []


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-10, 10), min_size=2, max_size=30), st.integers(1, 10))
def test_an_error_is_at_most_half_a_step(values: list[float], bits: int) -> None:
    net = layer([values])
    before = net.edges("wire").weight
    found = quantise(net, bits=bits)
    after, step = found.network.edges("wire").weight, found.projections[0].step
    if step == 0:
        assert not before.any() and not after.any()
        return
    assert step == pytest.approx(np.abs(before).max() / (2**bits - 1))
    assert np.abs(after - before).max() <= step / 2 * (1 + 1e-9)
    assert np.abs(np.rint(after / step)).max() <= 2**bits - 1
    np.testing.assert_allclose(after, quantise(found.network, bits=bits).network.edges("wire").weight, atol=1e-12)


def test_a_share_may_saturate_and_the_others_get_finer_steps() -> None:
    weights = np.r_[np.linspace(0.1, 9.9, 99), 100.0]
    found = quantise(layer([weights]), saturate=0.01)
    only = found.projections[0]
    assert only.saturated == 1 and only.step == pytest.approx(9.9e-3 / 63)
    assert found.network.edges("wire").weight.max() == pytest.approx(9.9e-3)
    assert quantise(layer([weights])).projections[0].lost > only.lost == 0


def test_all_projections_onto_a_receptor_share_a_step() -> None:
    net = layer([[6.3, 1.0]])
    net.connect(net["pop"], net["pop"], receptor="exc", weight=0.5 * mV, name="more")
    net.connect(net["pop"], net["pop"], receptor="inh", weight=0.5 * mV, name="other")
    found = {p.name: p for p in quantise(net).projections}
    assert found["wire"].step == found["more"].step == pytest.approx(1e-4)
    assert found["more"].largest == 5 and found["other"].largest == 63


def test_the_error_falls_by_half_with_a_bit() -> None:
    net = layer(np.random.default_rng(0).normal(0, 1, (100, 100)))
    errors = [quantise(net, bits=b).projections[0].rms_error for b in (4, 6, 8)]
    for b, error in zip((4, 6, 8), errors, strict=True):  # a uniform error of one step is its length over sqrt(12)
        assert error == pytest.approx(1 / (2**b - 1) / np.sqrt(12), rel=0.03)


def test_the_network_is_the_same_but_for_its_weights() -> None:
    net = recurrent()
    made = quantise(net, bits=16).network
    assert spikes(made, "reference") == spikes(made)
    assert made.edges("back").delay.tolist() == net.edges("back").delay.tolist()
    assert quantise(net).network.edges("back").pre.tolist() == net.edges("back").pre.tolist()
    assert spikes(net) != spikes(quantise(net, bits=2).network)


def test_a_network_that_a_pass_made_can_be_saved(tmp_path: Path) -> None:
    made = fixed_pattern(quantise(recurrent()).network, seed=1).network
    made.save(tmp_path / "made.h5")
    assert spikes(ns.Network.load(tmp_path / "made.h5")) == spikes(made)


def test_what_learns_and_what_is_no_synapse_is_said() -> None:
    net = recurrent()
    net.connect(net["source"], net["pop"], receptor="exc", weight=1 * mV, name="stdp",
                plasticity=PairSTDP(w_max=2 * mV))  # fmt: skip
    net.stimulate(net["pop"], PoissonInput(rate=100 * Hz, weight=1 * mV, receptor="exc"))
    said = "\n".join(quantise(net).changes)
    assert "projection 'stdp' learns" in said and "Poisson drive" in said


def test_a_kernel_stays_shared_until_its_synapses_differ() -> None:
    net = ns.Network("kernel", dt=1 * ms)
    a, b = net.population("a", 36, PoissonSource(100 * Hz)), net.population("pop", 16, CELL)
    rule = ns.Convolution((1, 6, 6), 1, 3)
    net.connect(a, b, receptor="exc", rule=rule, weight=np.arange(-4.0, 5.0).reshape(1, 1, 3, 3) * mV, name="wire")
    net.record(b, "spikes")
    same = quantise(net).network
    assert same.projections["wire"].rule == net.projections["wire"].rule
    np.testing.assert_allclose(np.unique(same.edges("wire").weight) * 1e3,
                               np.rint(np.arange(-4, 5) * 63 / 4) * 4 / 63, atol=1e-9)  # fmt: skip
    other = fixed_pattern(net, Spread(synapse=0.1)).network
    assert len(np.unique(other.edges("wire").weight)) == 8 * 16 + 1
    assert spikes(other) == spikes(other, "reference")


@pytest.mark.parametrize(
    ("options", "said"),
    [({"bits": 0}, "from 1 to 16"), ({"bits": 2.0}, "from 1 to 16"), ({"saturate": 1}, "below 1"),
     ({"saturate": "x"}, "below 1")],
)  # fmt: skip
def test_bad_options_of_quantise(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        quantise(layer([[1.0]]), **options)


@pytest.mark.parametrize("cut", [20, 30])
def test_parts_of_one_population_are_one_population(cut: int) -> None:
    """A projection onto all of a population in two parts, equal or not: the same synapses, in another order."""

    def made(parts: bool) -> ns.Network:
        net = layer(np.zeros((1, 60)))
        pop = net["pop"]
        net.connect(net["source"], pop[:cut] + pop[cut:] if parts else pop, receptor="exc", name="w",
                    weight=np.linspace(1, 6.3, 60)[None] * mV)  # fmt: skip
        return net

    found = quantise(made(True))
    assert [(p.name, p.post, p.synapses) for p in found.projections] == [("wire", "pop", 0), ("w", "pop", 60)]
    chip, one = (fixed_pattern(made(parts), Spread(synapse=0.2, gain=0.1), seed=3) for parts in (True, False))
    np.testing.assert_array_equal(chip.network.edges("w").weight, one.network.edges("w").weight)
    assert chip.weights == one.weights and list(chip.weights) == ["w"]
    assert place(made(True)).synapses == place(made(False)).synapses == 60


# -- the pattern of a chip -------------------------------------------------------------------------------------------


def test_calibration_leaves_the_published_shares() -> None:
    for name, share in {"tau_m": 0.45, "tau_syn": 0.2, "leak": 0.3, "reset": 0.2, "threshold": 0.35}.items():
        assert SHARES[name] == share
        assert getattr(CALIBRATED, name) == pytest.approx(share * getattr(UNCALIBRATED, name))
    assert CALIBRATED.row == pytest.approx(2 / 30)  # published as what calibration of the synapse drivers leaves
    assert all(getattr(CALIBRATED, f.name) < getattr(UNCALIBRATED, f.name)
               for f in dataclasses.fields(Spread) if f.name != "synapse")  # fmt: skip


def test_the_pattern_has_the_deviations_asked_for() -> None:
    spread = Spread(tau_m=0.2, threshold=0.1, tau_syn=0.05)
    made = fixed_pattern(layer(1.0, 4000), spread, seed=5)
    pop = made.network["pop"]
    tau, v_th = pop.cell.value("tau_m").value, pop.cell.value("v_th").value
    syn = pop.cell.receptors["exc"].value("tau").value
    assert np.std(np.log(tau / 20e-3)) == pytest.approx(0.2, rel=0.04)
    assert np.median(tau) == pytest.approx(20e-3, rel=0.02)
    assert np.std(v_th) == pytest.approx(0.1 * 15e-3, rel=0.04) and np.mean(v_th) == pytest.approx(-50e-3, abs=1e-4)
    assert np.std(np.log(syn / 5e-3)) == pytest.approx(0.05, rel=0.04)
    assert abs(np.corrcoef(tau, v_th)[0, 1]) < 0.05
    assert {(p.name, p.spread) for p in made.parameters} == {
        ("tau_m", "tau_m"), ("v_th", "threshold"), ("exc.tau", "tau_syn"), ("inh.tau", "tau_syn")
    }  # fmt: skip
    np.testing.assert_array_equal(  # by hand, from the stream that the module's text names
        tau, 20e-3 * np.asarray(Draws(5, "x").fn("exp", 0.2 * Draws(5, "brainscales2:pop.tau_m").normal(0, 4000)))
    )


def test_weights_differ_by_synapse_row_and_neuron() -> None:
    weights = np.where(np.arange(80)[:, None] % 2, -1.0, 1.0) * np.ones((80, 70))

    def logs(spread: Spread) -> np.ndarray:
        made = fixed_pattern(layer(weights), spread, seed=2).network.edges("wire")
        table = np.zeros((80, 70))
        table[made.pre, made.post] = made.weight
        assert (np.sign(table) == np.sign(weights)).all()
        return np.log(np.abs(table) * 1e3)

    each, row, gain = logs(Spread(synapse=0.1)), logs(Spread(row=0.1)), logs(Spread(gain=0.1))
    assert np.std(each) == pytest.approx(0.1, rel=0.03) and np.abs(each.mean(0)).max() < 0.05
    assert np.allclose(row, row[:, :1]) and np.std(row[:, 0]) == pytest.approx(0.1, rel=0.25)
    assert np.allclose(gain, gain[:1]) and np.std(gain[0]) == pytest.approx(0.1, rel=0.25)


def test_a_chip_is_the_same_again_and_another_one_is_not() -> None:
    a, b, c = (fixed_pattern(recurrent(), seed=s).network for s in (1, 1, 2))
    assert spikes(a) == spikes(b) == spikes(a, "reference") != spikes(c)
    assert spikes(fixed_pattern(recurrent(), Spread()).network) == spikes(recurrent())
    assert spikes(a) != spikes(recurrent())


def test_the_pattern_of_a_population_does_not_depend_on_others() -> None:
    """Neither its neurons, nor the rows of its synapses: whether another population is made before it or after."""

    def made(others: int, before: bool) -> ns.Network:
        net = ns.Network("layer", dt=0.1 * ms, seed=1)
        if others and before:
            net.population("another", others, CELL)
        source, pop = net.population("source", 4, PoissonSource(80 * Hz)), net.population("pop", 10, CELL)
        net.connect(source, pop, receptor="exc", weight=1 * mV, name="wire")
        net.connect(source, pop, receptor="exc", weight=-1 * mV, name="negative")
        if others and not before:
            net.population("another", others, CELL)
        return fixed_pattern(net, seed=3).network

    alone = made(0, True)
    for net in (made(7, True), made(7, False)):
        for name in ("tau_m", "v_th"):
            assert net["pop"].cell.value(name).value.tolist() == alone["pop"].cell.value(name).value.tolist()
        for name in ("wire", "negative"):
            assert net.edges(name).weight.tolist() == alone.edges(name).weight.tolist()


def test_adex_and_conductances_have_their_pattern() -> None:
    net = ns.Network("adex", dt=0.1 * ms)
    pop = net.population("pop", 5, AdEx(receptors={"exc": ExpConductance(tau=3 * ms)}))
    net.connect(pop, pop, weight=1 * nS, name="wire")
    kinds = {p.name: p.spread for p in fixed_pattern(net, UNCALIBRATED).parameters}
    assert kinds == {
        "g_l": "tau_m", "e_l": "leak", "v_t": "threshold", "v_reset": "reset", "a": "adaptation", "b": "adaptation",
        "tau_w": "adaptation", "exc.tau": "tau_syn", "exc.e_rev": "reversal",
    }  # fmt: skip


def test_neurons_that_cannot_be_silent_are_counted() -> None:
    said = fixed_pattern(layer(1.0, 500), Spread(threshold=0.5)).changes
    assert any("threshold at or below their reset" in line for line in said)


def test_parameters_of_own_cells_are_named() -> None:
    cell = ns.Cell("dv/dt = (e - v + i)/slow", threshold="v >= 1", reset="v = 0", slow=10 * ms, e=0.0,
                   receptors={"in": ExpCurrent})  # fmt: skip
    net = ns.Network("own", dt=0.1 * ms)
    pop = net.population("pop", 20, cell)
    net.connect(pop, pop, weight=0.1)
    assert any("no parameter of the cell" in line for line in fixed_pattern(net).changes)
    made = fixed_pattern(net, names={"slow": "tau_m"})
    assert np.std(made.network["pop"].cell.value("slow").value) > 0 and made.changes == []
    with pytest.raises(UnknownNameError, match="'slo'; did you mean 'slow'"):
        fixed_pattern(net, names={"slo": "tau_m"})
    with pytest.raises(UnknownNameError, match="no spread 'tau'"):
        fixed_pattern(net, names={"slow": "tau"})
    with pytest.raises(ParameterError, match="distance from its reset to its threshold"):
        fixed_pattern(net, names={"e": "leak"})


@pytest.mark.parametrize("seed", [-1, 1.5, True, 2**64])
def test_a_chip_has_a_seed(seed: Any) -> None:
    with pytest.raises(ParameterError, match="seed of a chip"):
        fixed_pattern(layer([[1.0]]), seed=seed)
    with pytest.raises(ParameterError, match="must be a Spread"):
        fixed_pattern(layer([[1.0]]), 0.1)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="the spread leak"):
        Spread(leak=-1)


# -- circuits --------------------------------------------------------------------------------------------------------


def test_every_figure_has_a_source() -> None:
    chip = brainscales2()
    assert all(limit.value > 0 and len(limit.source) > 5 and limit.unit for limit in chip.limits.values())
    assert chip["circuits"] * chip["fan_in"] == 131_072 and chip["circuits"] == 512 and chip["weight"] == 63


def test_the_published_partition_of_a_network_for_digits() -> None:
    """784 inputs need 7 circuits, 256 hidden neurons 4 chips, ten outputs one: 5 subnetworks (Arnold et al. 2025)."""
    assert partitions(784, 256) == (7, 72, 4) and partitions(256, 10) == (2, 256, 1)
    with pytest.raises(ParameterError, match="fewer inputs"):
        partitions(40_000, 1)


def test_a_layer_that_is_cut_fits_the_chip() -> None:
    """73 neurons of 7 circuits are 511, but a row of neurons holds 36: the count of a part is what place() accepts."""
    _, there, parts = partitions(784, 73)
    assert (there, parts) == (72, 2)
    assert place(layer(np.ones((1568, there)))).violations == []
    (only,) = place(layer(np.ones((1568, there + 1)))).violations
    assert only.limit.name == "columns" and only.value == 37 * 7 and "7 circuits each" in str(only)


def test_the_second_row_does_not_close_the_first() -> None:
    """170 neurons of 3 circuits and 2 of one fill the chip: 255 and one in each row."""
    weights = np.ones((600, 172))
    weights[1:, 170:] = 0
    found = place(layer(weights))
    assert found.violations == [] and found.used == 512
    assert sorted(found.circuits["pop"][170:, 0].tolist()) == [255, 511]


def test_neurons_are_dealt_otherwise_where_their_order_leaves_some_out() -> None:
    """20 neurons of 12 circuits leave 16 in their row, and the other holds 15 of 16 neurons of 17; 10 and 8 fit."""
    weights = np.ones((4200, 36))
    weights[3000:, :20] = 0
    found = place(layer(weights))
    first, count = found.circuits["pop"].T
    assert found.violations == [] and found.used == 512
    taken = np.concatenate([np.arange(f, f + c) for f, c in zip(first, count, strict=True)])
    assert sorted(taken.tolist()) == list(range(512)) and (first // 256 == (first + count - 1) // 256).all()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=9))
def test_halves_are_as_even_as_can_be(need: list[int]) -> None:
    half = _halves(need)
    ways = np.array(list(itertools.product((0, 1), repeat=len(need))))
    best = np.maximum(ways @ need, (1 - ways) @ need).min()
    assert (1 - half) @ need == best


@pytest.mark.parametrize(("fan_in", "neurons", "each"), [(256, 512, 1), (257, 256, 2), (1024, 128, 4)])
def test_a_neuron_has_as_many_circuits_as_its_synapses_need(fan_in: int, neurons: int, each: int) -> None:
    found = place(layer(np.ones((fan_in, neurons))))
    assert found.violations == [] and found.used == 512 and found.fan_in == fan_in
    assert found.circuits["pop"][:, 1].tolist() == [each] * neurons
    assert found.circuits["pop"][:, 0].tolist() == list(range(0, 512, each))
    assert found.synapses == fan_in * neurons and found.rows == [-(-fan_in // each)] * 2
    assert "what binds: nothing" in str(found)


def test_one_more_neuron_does_not_fit() -> None:
    found = place(layer(np.ones((1, 513))))
    (only,) = found.violations
    assert only.limit.name == "circuits" and only.value == 513 and "take fewer neurons" in str(only)
    found = place(layer(np.ones((300, 257))))
    assert found.violations[0].value == 514 and "2 circuits each, for up to 300 synapses" in str(found)


def test_a_source_of_both_signs_takes_two_rows() -> None:
    signs = np.where(np.arange(200) % 2, 1.0, -1.0)
    assert place(layer(np.tile(signs, (100, 1)))).rows == [200, 0]
    assert place(layer(np.ones((100, 200)))).rows == [100, 0]
    # 200 sources would need 400 rows: two circuits a neuron make room for both signs of a source in one row each
    found = place(layer(np.tile(signs, (200, 1))))
    assert found.violations == [] and found.used == 400


def test_sources_that_do_not_meet_share_rows() -> None:
    """Each neuron has a source of its own: 64 of them are told apart in a row."""
    net = ns.Network("own", dt=1 * ms)
    source, pop = net.population("source", 256, PoissonSource()), net.population("pop", 256, CELL)
    net.connect(source, pop, receptor="exc", rule="one_to_one", weight=1 * mV)
    assert place(net).rows == [4, 0]


def test_rows_can_run_out() -> None:
    """512 neurons leave no circuit to spare, and 200 sources of both signs need 400 rows."""
    signs = np.where(np.arange(512) % 2, 1.0, -1.0)
    found = place(layer(np.tile(signs, (200, 1))))
    assert [v.limit.name for v in found.violations] == ["rows"] and "find no row" in str(found)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 40), st.floats(0.05, 1))
def test_what_fits_by_rows_fits(seed: int, sources: int, neurons: int, p: float) -> None:
    """Few enough sources for a row each, and sign: then nothing can bind."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(0, 1, (sources, neurons)) * (rng.random((sources, neurons)) < p)
    found = place(layer(matrix))
    assert found.violations == [] and found.synapses == np.count_nonzero(matrix)
    signs = sum(int((row > 0).any()) + int((row < 0).any()) for row in matrix)
    assert max((matrix != 0).sum(0)) <= sum(found.rows) <= signs


def test_weights_of_zero_are_no_synapses() -> None:
    assert place(layer(np.eye(10))).synapses == 10


def test_inhibitory_conductances_take_inhibitory_rows() -> None:
    cell = LIF(receptors={"exc": ExpConductance(e_rev=0 * mV), "inh": ExpConductance(e_rev=-80 * mV)})
    net = ns.Network("coba", dt=0.1 * ms)
    source, pop = net.population("source", 3, PoissonSource()), net.population("pop", 4, cell)
    for receptor in ("exc", "inh"):
        net.connect(source, pop, receptor=receptor, weight=1.0, name=receptor)
    assert place(net).rows == [6, 0]


@pytest.mark.parametrize("cell", [LIF, EIF(t_ref=2 * ms), AdEx])
def test_cells_that_its_circuits_are(cell: Any) -> None:
    net = ns.Network("cells", dt=0.1 * ms)
    pop = net.population("pop", 2, cell(receptors={"e": ExpCurrent, "i": ExpCurrent(tau=10 * ms)}))
    net.stimulate(pop, DCInput(1 * pA if cell is AdEx else 1 * mV))
    assert place(net).violations == []


def test_what_has_no_counterpart_is_listed() -> None:
    net = layer([[1.0]])
    net.population("delta", 1, LIF(receptors={"x": DeltaCurrent}))
    net.stimulate(net["pop"], PoissonInput(rate=1 * Hz, weight=1 * mV, receptor="exc"))
    with pytest.raises(UnsupportedError, match="lacks 2 things") as caught:
        place(net)
    assert "population 'delta'" in str(caught.value) and "make a PoissonSource" in str(caught.value)
    with pytest.raises(ParameterError, match="order must be 'given'"):
        place(layer([[1.0]]), order="local")


@pytest.mark.parametrize(
    ("cell", "speed", "name"),
    [(CELL, None, None), (CELL(tau_m=61 * ms), None, "tau_m_most"), (CELL(tau_m=60 * ms), None, None),
     (CELL(tau_m=0.4 * ms), None, "tau_m_least"), (CELL(t_ref=40 * ms), None, "t_ref_most"),
     (CELL(tau_m=120 * ms), 2000, None), (CELL, 20_000, "tau_syn_least")],
)  # fmt: skip
def test_time_constants_at_a_speed(cell: Any, speed: float | None, name: str | None) -> None:
    found = place(layer([[1.0]], cell=cell), speed_up=speed)
    assert {v.limit.name for v in found.violations} == ({name} if name else set())
    for v in found.violations:
        assert "speed_up" in v.cure and ("the least is" in str(v)) == v.limit.least


# -- the command -----------------------------------------------------------------------------------------------------

SCRIPT = """
import neurosim as ns
from neurosim.models import LIF, {receptor}, SpikeSource
from neurosim.units import ms, mV
net = ns.Network("small", dt=1*ms)
source = net.population("source", 2, SpikeSource([[1, 5]*ms, [2]*ms]))
pop = net.population("pop", 3, LIF(receptors={{"in": {receptor}}}))
net.connect(source, pop, weight=30*mV)
"""


def test_map_on_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    path.write_text(SCRIPT.format(receptor="ExpCurrent"), encoding="utf-8")
    text = call("map", str(path), "--chip", "brainscales2", "-d", "100ms").output
    assert "BrainScaleS-2: 3 neurons of one circuit; 6 synapses" in text and "0.1 ms on the chip" in text
    assert "3 sent to it" in text
    found = call("map", str(path), "--chip", "brainscales")
    assert found.exit_code != 0 and "no chip 'brainscales'; did you mean 'brainscales2'?" in found.output
    path.write_text(SCRIPT.format(receptor="DeltaCurrent"), encoding="utf-8")
    found = call("map", str(path), "--chip", "brainscales2")
    assert found.exit_code != 0 and "BrainScaleS-2 has no counterpart of the cell" in found.output


def test_the_help_names_every_chip() -> None:
    text = call("map", "--help").output
    assert all(chip in text for chip in base.CHIPS)


def test_violations_say_what_and_how_much() -> None:
    limit = base.Limit("x", 1200, "things", "nobody")
    assert "a does not fit: 1,300 things, the limit is 1,200 (nobody); b" == str(base.Violation(limit, "a", 1300, "b"))
    small = base.Limit("x", 0.5, "us", "nobody", firm=False, least=True)
    assert "a may not fit: 0.25 us, the least is 0.5 (nobody); b" == str(base.Violation(small, "a", 0.25, "b"))


def test_a_source_of_given_times_is_outside() -> None:
    net = ns.Network("empty", dt=1 * ms)
    net.population("source", 5, SpikeSource([np.zeros(0) * ms] * 5))
    found = place(net)
    assert found.used == 0 and found.synapses == 0 and found.violations == [] and str(found)
