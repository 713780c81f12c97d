"""Memristors: closed forms, published numbers, networks on devices, and training by pulses."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_kit import call
from hypothesis import given, settings
from hypothesis import strategies as st

import neurosim as ns
from neurosim.errors import ParameterError, UnsupportedError
from neurosim.hardware.memristor import (
    AG_A_SI,
    PCM,
    Device,
    IonDrift,
    PulseCurve,
    drifted_state,
    normalised_a,
    place,
    program,
    pulsed,
)
from neurosim.hardware.memristor.placement import crossbars
from neurosim.models import LIF, DCInput, ExpCurrent, PairSTDP, PoissonInput, PoissonSource, SineCurrent, SpikeSource
from neurosim.units import Hz, hour, kohm, metre, ms, mV, nm, ohm, second, volt

CELL = LIF(tau_m=20 * ms, v_rest=-65 * mV, v_reset=-65 * mV, v_th=-50 * mV, receptors={"in": ExpCurrent(tau=5 * ms)})


def network(weights: Any = None, seed: int = 1) -> ns.Network:
    """Sources and a recurrent population; weights [pre, post] in mV."""
    matrix = np.random.default_rng(0).normal(2, 1, (50, 40)) if weights is None else np.asarray(weights, dtype=float)
    net = ns.Network("net", dt=0.1 * ms, seed=seed)
    source = net.population("source", matrix.shape[0], PoissonSource(80 * Hz))
    pop = net.population("pop", matrix.shape[1], CELL)
    net.connect(source, pop, weight=matrix * mV, name="wire")
    net.connect(pop, pop, rule=ns.FixedProbability(0.2), weight=ns.normal(0 * mV, 1 * mV), delay=1 * ms, name="back")
    net.record(pop, "spikes")
    return net


def spikes(net: ns.Network, backend: str = "native") -> tuple[list[int], list[int]]:
    found = net.run(100 * ms, backend=backend).spikes["pop"]
    return found.steps.tolist(), found.ids.tolist()


# -- ion drift -------------------------------------------------------------------------------------------------------


def driven(cell: Any, frequency: float, periods: int = 1, backend: str = "native", amplitude: Any = 1 * volt
           ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Return flux, voltage and x of a memristor under a sine, one row a step, 2,000 steps a period."""
    steps = 2000
    net = ns.Network("memristor", dt=1000 / (frequency * steps) * ms)
    pop = net.population("film", 1, cell)
    net.stimulate(pop, SineCurrent(amplitude=amplitude, frequency=frequency * Hz))
    net.record(pop, "x")
    series = net.run(periods * 1000 / frequency * ms, backend=backend).state["film"]["x"]
    t = np.arange(len(series.values)) / (frequency * steps)
    angle = 2 * np.pi * frequency * t
    size = float(amplitude.value)
    v = size * np.sin(angle)  # held during a step, so that the flux is a sum
    return np.cumsum(v) / (frequency * steps), v, series.values[:, 0]


def test_the_doped_part_is_a_function_of_the_flux() -> None:
    flux, _, x = driven(IonDrift(), 0.5)
    assert np.abs(x - drifted_state(flux)).max() < 1e-5 and x.max() - x.min() > 0.4


def test_the_closed_form_by_hand() -> None:
    """With equal resistances x is linear in the charge, which then is flux over resistance."""
    assert drifted_state(2.0, 0.1, r_on=1.0, r_off=1 + 1e-9, mobility=0.3, thickness=1.0) == pytest.approx(
        0.7, abs=1e-5
    )
    # Strukov's equation 7: M = r_off (1 - mobility r_on q / D**2), for r_on well below r_off
    x = float(drifted_state(1e-2, 0.0, r_on=1.0, r_off=1e6, mobility=1e-10))
    r = 1e6 * (1 - x) + x
    q = x * (10e-9) ** 2 / 1e-10
    assert r == pytest.approx(1e6 * (1 - 1e-10 / (10e-9) ** 2 * q), rel=1e-3)


def test_the_closed_form_ends_where_the_film_does() -> None:
    """At x = 1 the charge is that of the mean resistance: (r_on + r_off)/2 = k flux + what is at the start."""
    k, begun = 1e-14 * 100 / 1e-16, 16e3 * 0.1 - 15_900 * 0.01 / 2
    full, empty = (8050 - begun) / k, -begun / k
    np.testing.assert_allclose(drifted_state([empty, 0, full]), [0, 0.1, 1], atol=1e-12)
    for flux in (full + 1e-4, 0.9, [0.0, 2.0], empty - 1e-4, math.nan):
        with pytest.raises(ParameterError, match=r"from -0\.15205 to 0\.65295 V s"):
            drifted_state(flux)
    # equal resistances: a constant current, charge is flux over resistance
    assert drifted_state(0.25, 0.5, r_on=2.0, r_off=2.0, mobility=1.0, thickness=1.0) == pytest.approx(0.75)
    for bad in ({"x": 2}, {"x": "a"}, {"r_on": 0}, {"thickness": "thin"}, {"mobility": -1}, {"flux": "much"}):
        with pytest.raises(ParameterError):
            drifted_state(**{"flux": 0.1, **bad})


def test_the_loop_is_pinched_and_closes_with_frequency() -> None:
    areas = []
    for frequency in (0.5, 1.0, 4.0):
        flux, v, x = driven(IonDrift(), frequency)
        current = v / (100 * x + 16e3 * (1 - x))
        assert np.abs(current[np.abs(v) < 1e-12]).max() < 1e-12  # through the origin
        half = slice(0, len(v) // 2)
        areas.append(abs(float(np.trapezoid(current[half], v[half]))))
        assert abs(x[-1] - x[0]) < 5e-3  # the flux is back at 0
    assert areas[0] > 1.8 * areas[1] > 3 * areas[2]


@pytest.mark.parametrize("window", ["hard", "joglekar", "biolek"])
def test_windows_keep_the_boundary_in_the_film(window: str) -> None:
    cell = IonDrift(window, x=0.3, mobility=1e-12 * metre**2 / (volt * second))
    _, _, x = driven(cell, 1.0, 2)
    assert 0 <= x.min() and 0.9 < x.max() <= 1
    np.testing.assert_array_equal(x, driven(cell, 1.0, 2, "reference")[2])


def test_only_biolek_lets_go_of_an_end() -> None:
    """A film doped throughout, and a voltage that pulls back: Joglekar's window is 0 there."""
    moved = {}
    for window in ("joglekar", "biolek"):
        net = ns.Network("end", dt=1 * ms)
        pop = net.population("film", 1, IonDrift(window, x=1.0, r_off=1 * kohm))
        net.stimulate(pop, DCInput(-1 * volt))
        net.record(pop, "x")
        moved[window] = 1 - net.run(100 * ms).state["film"]["x"].values[-1, 0]
    assert moved["joglekar"] == 0 and moved["biolek"] > 0.01


def test_bad_memristors() -> None:
    with pytest.raises(ParameterError, match="window must be one of"):
        IonDrift("soft")
    for bad in ({"x": 2}, {"x": "a"}, {"p": "2"}, {"p": None}, {"p": math.inf}, {"x": math.nan}, {"x": True}):
        with pytest.raises(ParameterError, match="x from 0 to 1"):
            IonDrift(**bad)
    with pytest.raises(ParameterError, match="window must be one of"):
        IonDrift(["hard"])  # type: ignore[arg-type]
    assert IonDrift(r_on=10 * ohm, thickness=20 * nm).value("thickness") == 20 * nm


# -- pulses ----------------------------------------------------------------------------------------------------------

PUBLISHED = {0.01: 126.269, 0.02: 63.1343, 0.05: 25.2533, 0.1: 12.6258, 0.19: 6.6437, 1.51: 0.8195, 1.6: 0.7714,
             1.69: 0.7284, 3.01: 0.3853, 3.1: 0.3720, 3.18: 0.3608, 4.51: 0.2266, 4.6: 0.2199,
             6.01: 0.1351, 6.1: 0.1306, 7.51: 0.0702, 7.6: 0.0668, 7.68: 0.0639}  # fmt: skip
"""Nonlinearity -> normalised A, entries of MLP+NeuroSim V3.0's documents/Nonlinearity-NormA.htm."""


def test_nonlinearities_are_the_published_ones() -> None:
    for label, a in PUBLISHED.items():
        digits = 5e-4 if a > 100 else 1e-4
        assert float(normalised_a(label)) == pytest.approx(a, abs=0.6 * digits), label
        assert float(normalised_a(-label)) == -float(normalised_a(label))
    assert np.isinf(normalised_a(0.0))
    for bad in (9.5, math.nan, "a", [1, [2]]):
        with pytest.raises(ParameterError, match="between -9 and 9"):
            normalised_a(bad)


def test_the_curve_is_neurosims_formula() -> None:
    for up, label, count in ((True, 2.4, 97), (False, -4.88, 100)):
        a = float(normalised_a(label)) * count
        b = 1 / (1 - math.exp(-count / a))
        n = np.arange(count + 1)
        np.testing.assert_allclose(AG_A_SI.curve(n, up), b * (1 - np.exp(-n / a)), rtol=1e-12, atol=1e-14)
    one_by_one = [0.0]
    for _ in range(97):
        one_by_one.append(float(AG_A_SI.after(one_by_one[-1], 1)))
    np.testing.assert_allclose(one_by_one, AG_A_SI.curve(np.arange(98)), atol=1e-12)
    assert AG_A_SI.after(1.0, -100) == pytest.approx(0, abs=1e-12)


def test_depression_is_steepest_at_the_top_and_asymmetric() -> None:
    first, last = 1 - AG_A_SI.after(1.0, -1), AG_A_SI.curve(1, up=False)
    assert first > 20 * last
    assert AG_A_SI.after(AG_A_SI.after(0.5, 1), -1) < 0.5 - 0.002  # up and down do not cancel
    line = PulseCurve(up=10, down=20)
    assert line.after(0.5, 2) == pytest.approx(0.7) and line.after(0.5, -2) == pytest.approx(0.4)


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 1), st.floats(-150, 150), st.floats(-150, 150), st.floats(-8, 8), st.floats(-8, 8))
def test_pulses_add_up_and_stay_within_the_range(g: float, n: float, m: float, up: float, down: float) -> None:
    curve = PulseCurve(up=64, down=80, nonlinearity_up=up, nonlinearity_down=down)
    made = float(curve.after(g, n))
    assert 0 <= made <= 1 and (made - g) * n >= -1e-9
    if n * m > 0:  # of one sign: in two parts as at once, to the end of the range
        assert float(curve.after(made, m)) == pytest.approx(float(curve.after(g, n + m)), abs=1e-6)
    same = PulseCurve(up=64, down=64, nonlinearity_up=up, nonlinearity_down=up)
    if 0 < float(same.after(g, n)) < 1 and abs(up) < 5:
        assert float(same.after(same.after(g, n), -n)) == pytest.approx(g, abs=1e-6)


def test_cycle_to_cycle_variation_grows_with_the_root() -> None:
    z = np.random.default_rng(0).normal(size=20_000)
    curve = PulseCurve(up=1000, down=1000, cycle=0.002)
    for n in (1, 16):
        made = curve.after(np.full(20_000, 0.5), n, z=z)
        assert np.std(made) == pytest.approx(0.002 * math.sqrt(n), rel=0.02)
    assert curve.after(0.5, 0, z=1.0) == 0.5


@pytest.mark.parametrize(
    ("options", "said"),
    [({"up": 0}, "number of pulses"), ({"down": 1.5}, "number of pulses"), ({"nonlinearity_up": 10}, "between -9"),
     ({"cycle": -1}, "0 or more"), ({"device": float("nan")}, "0 or more"), ({"cycle": "a"}, "'cycle'.*0 or more"),
     ({"device": None}, "'device'.*0 or more"), ({"nonlinearity_up": "a"}, "'nonlinearity_up'.*between -9"),
     ({"nonlinearity_down": [1, 2]}, "'nonlinearity_down'.*between -9")],
)  # fmt: skip
def test_bad_curves(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        PulseCurve(**{"up": 10, "down": 10, **options})


# -- devices ---------------------------------------------------------------------------------------------------------


def test_the_published_statistics_of_phase_change_memory() -> None:
    """Joshi et al. (2020), with the polynomials of aihwkit's documentation, by hand."""
    g = np.array([1.0, 0.5, 0.1, 0.0])
    np.testing.assert_allclose(PCM.write_deviation(g) * 25, [1.0554, 0.952725, 0.448269, 0.2635], rtol=1e-12)
    mean, spread = PCM.exponent(g)
    np.testing.assert_allclose(mean, [0.049, 0.049, 0.0244 + 0.0155 * math.log(10), 0.1], rtol=1e-12)
    np.testing.assert_allclose(spread, [0.008, 0.008, 0.0125 * math.log(10) - 0.0059, 0.045], rtol=1e-12)
    reading = PCM.read_deviation(g, 3600.0)
    root = math.sqrt(math.log((3600 + 250e-9) / 500e-9))
    np.testing.assert_allclose(
        reading[:3], np.array([0.0088, 0.0088 / 0.5**0.65, 0.0088 / 0.1**0.65]) * root, rtol=1e-9
    )
    assert reading[3] == pytest.approx(0.2 * root)


def test_the_drift_is_a_power_of_time() -> None:
    device = Device(nu=0.05)
    net = network()
    made = program(net, device)
    before = net.edges("wire").weight
    for t in (20, 3600, 86_400, 3.15e7):
        now = made.after(t * second, reading=None).edges("wire").weight
        np.testing.assert_allclose(now, before * (t / 20) ** -0.05, rtol=1e-9, atol=1e-14)
        np.testing.assert_allclose(made.after(t * second, compensate=True).edges("wire").weight, before, atol=1e-14)
    times = np.geomspace(20, 1e7, 8)
    spread = program(net, replace(device, nu_spread=0.02), seed=3)
    sizes = np.array([np.abs(spread.after(t * second, reading=None).edges("wire").weight) for t in times])
    slopes = np.polyfit(np.log(times), np.log(np.maximum(sizes, 1e-300)), 1)[0]
    assert np.mean(slopes) == pytest.approx(-0.05, abs=0.002) and np.std(slopes) == pytest.approx(0.02, rel=0.05)


def test_conductances_do_not_grow() -> None:
    """A normal exponent can come out negative; its magnitude is taken, as aihwkit does."""
    net = network(np.abs(np.random.default_rng(0).normal(1, 0.5, (60, 60))))
    device = Device(nu=0.02, nu_spread=0.05)
    before, after = (n.edges("wire").weight for n in (net, program(net, device).after(24 * hour, reading=None)))
    assert (after <= before).all() and (after < 0.9 * before).any()
    exponents = np.concatenate([p.nu.ravel() for p in program(net, PCM, seed=1)._pairs.values()])
    assert exponents.min() >= 0 and len(exponents) > 7000


def test_perfect_devices_change_nothing() -> None:
    net = network()
    made = program(net, Device())
    assert spikes(made.network) == spikes(net) == spikes(made.after(1 * hour))
    assert [p.written for p in made.projections] == pytest.approx([0, 0], abs=1e-12)
    assert spikes(program(net, Device(on_off=5.0)).network) == spikes(net)  # a pair takes the least from the least


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=2, max_size=12), st.integers(2, 40), st.sampled_from([math.inf, 12.5, 2.0]))
def test_levels_are_even_steps(values: list[float], levels: int, on_off: float) -> None:
    net = network([values])
    before = net.edges("wire").weight
    made = program(net, Device(levels=levels, on_off=on_off)).network.edges("wire").weight
    largest = np.abs(before).max(initial=0.0)
    if largest == 0:
        assert not made.any()
        return
    steps = made / largest * (levels - 1)
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-7)
    assert np.abs(made - before).max() <= largest / (levels - 1) / 2 * (1 + 1e-7)


def test_variation_and_reading_have_their_deviations() -> None:
    net = network(np.ones((100, 100)))
    made = program(net, Device(variation=0.05), seed=4).network.edges("wire").weight * 1e3
    # the negative device of each pair is at 0, and cannot be below
    positive, negative = np.random.default_rng(1).normal(size=(2, 400_000)) * 0.05
    assert np.std(made) == pytest.approx(np.std(positive - np.maximum(negative, 0)), rel=0.02)
    read = program(net, Device(read=0.03), seed=4)
    assert np.std(read.after(1 * hour).edges("wire").weight * 1e3) == pytest.approx(0.03, rel=0.03)
    assert spikes(read.after(1 * hour)) == spikes(read.after(1 * hour)) != spikes(read.after(1 * hour, reading=1))
    assert np.std(read.network.edges("wire").weight) < 1e-12


def test_a_chip_is_the_same_again_on_every_backend() -> None:
    a, b, c = (program(network(), PCM, seed=s).after(24 * hour) for s in (1, 1, 2))
    assert spikes(a) == spikes(b) == spikes(a, "reference") != spikes(c)
    assert "wire" in str(program(network())) and "pop" in str(program(network()))


def test_what_is_in_no_device_is_said() -> None:
    net = network()
    net.connect(net["source"], net["pop"], weight=1 * mV, name="stdp", plasticity=PairSTDP(w_max=2 * mV))
    net.stimulate(net["pop"], PoissonInput(rate=100 * Hz, weight=1 * mV, receptor="in"), name="rain")
    said = "\n".join(program(net).changes)
    assert "projection 'stdp' learns" in said and "'rain'" in said


@pytest.mark.parametrize("cut", [20, 30])
def test_parts_of_one_population_are_one_population(cut: int) -> None:
    def made(parts: bool) -> ns.Network:
        net = ns.Network("parts", dt=1 * ms)
        source, pop = net.population("source", 10, PoissonSource()), net.population("pop", 60, CELL)
        weights = np.random.default_rng(1).normal(0, 1, (10, 60)) * mV
        net.connect(source, pop[:cut] + pop[cut:] if parts else pop, weight=weights, name="w")
        return net

    parts, one = (program(made(p), PCM, seed=2) for p in (True, False))
    assert [(p.post, p.synapses) for p in parts.projections] == [("pop", 600)]
    for a, b in ((parts.network, one.network), (parts.after(1 * hour), one.after(1 * hour))):
        np.testing.assert_array_equal(a.edges("w").weight, b.edges("w").weight)
    assert place(made(True)).blocks == place(made(False)).blocks == {("w", "pop"): (1, 600)}


def test_a_compensated_network_keeps_its_sums() -> None:
    made = program(network(), PCM, seed=1)
    later = {c: np.abs(made.after(1000 * hour, reading=None, compensate=c).edges("wire").weight).sum() for c in (0, 1)}
    now = np.abs(made.network.edges("wire").weight).sum()
    assert later[0] < 0.75 * now and later[1] == pytest.approx(now, rel=0.03)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"levels": 1}, "levels of a device"), ({"on_off": 1.0}, "above 1"), ({"variation": -0.1}, "variation"),
     ({"nu": float("nan")}, "nu"), ({"t0": 0}, "t0"), ({"on_off": "x"}, "above 1"), ({"on_off": None}, "above 1"),
     ({"on_off": float("nan")}, "above 1"), ({"on_off": True}, "above 1")],
)  # fmt: skip
def test_bad_devices(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        Device(**options)


def test_bad_programs() -> None:
    with pytest.raises(ParameterError, match="as it was measured"):
        replace(PCM, variation=0.1)
    with pytest.raises(ParameterError, match="must be a Device"):
        program(network(), "PCM")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="seed of a chip"):
        program(network(), seed=-1)
    made = program(network())
    with pytest.raises(ParameterError, match="known from 20 s"):
        made.after(1 * second)
    with pytest.raises(ParameterError, match="reading"):
        made.after(1 * hour, reading=-1)


# -- training --------------------------------------------------------------------------------------------------------


@pytest.mark.engine("torch")
@pytest.mark.parametrize("rounding", ["none", "nearest", "stochastic"])
def test_a_line_is_gradient_descent(rounding: str) -> None:
    """A thousand pulses on a line: what is wanted happens, to within a pulse."""
    import torch

    p = torch.nn.Parameter(torch.linspace(-1, 1, 41, dtype=torch.float64))
    optimiser = pulsed([p], PulseCurve(up=1000, down=1000), lr=0.1, rounding=rounding)
    p.grad = torch.sin(7 * torch.arange(41, dtype=torch.float64))
    before = p.detach().clone()
    optimiser.step()
    wanted = (before - 0.1 * p.grad).clamp(-1, 1)
    within = {"none": 1e-12, "nearest": 1e-3 + 1e-12, "stochastic": 2e-3 + 1e-12}[rounding]
    assert float((p.detach() - wanted).abs().max()) <= within


@pytest.mark.engine("torch")
def test_small_steps_arrive_on_average() -> None:
    """A tenth of a pulse, given stochastically, moves a tenth of what a pulse does, and to the nearest nothing."""
    import torch

    for rounding, share in (("stochastic", 0.1), ("nearest", 0.0)):
        p = torch.nn.Parameter(torch.zeros(20_000, dtype=torch.float64))
        optimiser = pulsed([p], PulseCurve(up=100, down=100), lr=1.0, largest=1.0, rounding=rounding)
        p.grad = torch.full_like(p, -0.1 * 2 / 100)
        optimiser.step()
        assert float(p.detach().mean()) == pytest.approx(share * 2 / 100, rel=0.05)


@pytest.mark.engine("torch")
def test_steps_are_those_of_the_curve_and_seeded() -> None:
    import torch

    def trained(seed: int, curve: PulseCurve = AG_A_SI) -> np.ndarray:
        p = torch.nn.Parameter(torch.linspace(-0.9, 0.9, 30, dtype=torch.float64))
        optimiser = pulsed([p], curve, lr=1.0, largest=1.0, seed=seed, rounding="none")
        p.grad = torch.full_like(p, -5 * 2 / 97)  # five pulses up
        optimiser.step()
        return p.detach().numpy()

    plain = replace(AG_A_SI, cycle=0.0)
    start = (np.linspace(-0.9, 0.9, 30) + 1) / 2
    np.testing.assert_allclose((trained(0, plain) + 1) / 2, plain.after(start, 5), atol=1e-12)
    assert (trained(1) == trained(1)).all() and (trained(1) != trained(2)).any()
    apart = replace(plain, device=0.5)
    assert np.std(trained(0, apart) - trained(0, plain)) > 1e-3


@pytest.mark.engine("torch")
def test_training_stops_and_goes_on() -> None:
    import torch

    def run(split: bool) -> np.ndarray:
        p = torch.nn.Parameter(torch.linspace(-0.5, 0.5, 20, dtype=torch.float64))
        optimiser = pulsed([p], AG_A_SI, lr=0.5, largest=1.0, seed=3)
        for k in range(6):
            if split and k == 3:
                kept = optimiser.state_dict()
                p = torch.nn.Parameter(p.detach().clone())
                optimiser = pulsed([p], AG_A_SI, lr=0.5, largest=1.0, seed=3)
                optimiser.load_state_dict(kept)
            p.grad = p.detach() - 0.2
            optimiser.step()
        return p.detach().numpy()

    np.testing.assert_array_equal(run(True), run(False))


@pytest.mark.engine("torch")
@pytest.mark.parametrize(
    ("options", "said"),
    [({"rounding": "up"}, "rounding must be"), ({"lr": 0}, "lr"), ({"largest": -1}, "largest"), ({"seed": -1}, "seed")],
)
def test_bad_training(options: dict[str, Any], said: str) -> None:
    import torch

    p = torch.nn.Parameter(torch.ones(3))
    with pytest.raises(ParameterError, match=said):
        pulsed([p], AG_A_SI, **{"lr": 0.1, **options})
    with pytest.raises(ParameterError, match="must be a PulseCurve"):
        pulsed([p], None, lr=0.1)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="0 throughout"):
        pulsed([torch.nn.Parameter(torch.zeros(3))], AG_A_SI, lr=0.1)
    for no_devices in (3, [], ["weights"], torch.nn.ReLU()):
        with pytest.raises(ParameterError, match="parameters must be those of a module"):
            pulsed(no_devices, AG_A_SI, lr=0.1)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="make another"):
        pulsed([p], AG_A_SI, lr=0.1).add_param_group({"params": [torch.nn.Parameter(torch.ones(2))]})


@pytest.mark.engine("snntorch")
def test_a_network_learns_by_pulses() -> None:
    """Two patterns, two neurons; the trained network answers the same on native."""
    import torch

    net = ns.Network("pulses", dt=1 * ms, seed=2)
    source = net.population("source", 40, SpikeSource([np.zeros(0) * ms] * 40))
    out = net.population("out", 2, LIF(tau_m=10 * ms, v_rest=0 * mV, v_reset=0 * mV, v_th=10 * mV,
                                       receptors={"in": ExpCurrent(tau=5 * ms)}))  # fmt: skip
    net.connect(source, out, weight=ns.normal(0 * mV, 1 * mV), name="wire")
    module = net.to_torch()
    g = torch.Generator().manual_seed(0)
    patterns = (torch.rand(2, 1, 40, generator=g) < 0.4).float()
    spikes = (torch.rand(2, 30, 40, generator=g) < 0.3).float() * patterns
    optimiser = pulsed(module.parameters(), AG_A_SI, lr=0.02, seed=1)
    for _ in range(80):
        counts = module({"source": spikes}).spikes["out"].sum(1)
        loss = torch.nn.functional.cross_entropy(counts, torch.arange(2))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert counts.argmax(1).tolist() == [0, 1] and float(loss.detach()) < 0.3


@pytest.mark.engine("snntorch")
def test_fit_trains_by_pulses() -> None:
    """What makes an optimiser of the module, as the page on devices shows it."""
    import torch

    from neurosim.learning import RateLoss, fit

    net = ns.Network("pulses", dt=1 * ms, seed=2)
    source = net.population("source", 20, SpikeSource([np.zeros(0) * ms] * 20))
    out = net.population("out", 2, LIF(tau_m=10 * ms, v_rest=0 * mV, v_reset=0 * mV, v_th=10 * mV,
                                       receptors={"in": ExpCurrent(tau=5 * ms)}))  # fmt: skip
    net.connect(source, out, weight=ns.normal(0 * mV, 1 * mV), name="wire")
    before = net.edges("wire").weight
    g = torch.Generator().manual_seed(0)
    data = {"source": (torch.rand(8, 20, 20, generator=g) < 0.3).float()}, torch.arange(8) % 2
    module = net.to_torch()
    line = PulseCurve(up=50, down=50)
    made = fit(module, data, RateLoss("out"), epochs=1, batch=4, quiet=True,
               optimiser=lambda module: pulsed(module, line, lr=0.5, rounding="nearest"))  # fmt: skip
    net.load_torch(module)
    after, largest = net.edges("wire").weight, np.abs(before).max()
    pulses = ((after - before) / (2 * largest / 50))[np.abs(after) < 0.999 * largest]  # others are at an end
    assert made["loss"][0] > 0 and np.abs(pulses).max() >= 0.5
    np.testing.assert_allclose(pulses, np.rint(pulses), atol=1e-4)


# -- crossbars -------------------------------------------------------------------------------------------------------


def test_every_figure_has_a_source() -> None:
    assert all(limit.value > 0 and len(limit.source) > 10 for limit in crossbars().limits.values())


def test_blocks_of_a_projection() -> None:
    net = ns.Network("blocks", dt=1 * ms)
    a, b = net.population("a", 600, PoissonSource()), net.population("b", 300, CELL)
    net.connect(a, b, weight=1 * mV, name="all")
    net.connect(b[:10], b[:10], weight=1 * mV, name="corner")
    net.connect(b, b, rule="one_to_one", weight=1 * mV, name="diagonal")
    found = place(net)
    assert found.blocks == {("all", "b"): (6, 180_000), ("corner", "b"): (1, 100), ("diagonal", "b"): (2, 300)}
    assert found.used == 9 and found.violations == [] and "what binds: nothing" in str(found)
    # a spike of a is read in two crossbars, one of b[:10] in two, of another b in one
    said = found.cost_lines({"a": np.full(600, 0.1), "b": np.full(300, 0.1)}, 10, 1e-3)
    assert f"{600 * 2 + 300 + 10:,} reads" in said


def test_too_many_blocks() -> None:
    net = ns.Network("many", dt=1 * ms)
    pop = net.population("p", 2400, CELL)
    net.connect(pop, pop, rule=ns.FixedProbability(0.01), weight=1 * mV, name="sparse")
    (only,) = place(net).violations
    assert only.limit.name == "cores" and only.value == 100 and "'sparse' with 100" in str(only)
    net.stimulate(pop, PoissonInput(rate=1 * Hz, weight=1 * mV, receptor="in"))
    with pytest.raises(UnsupportedError, match="make a PoissonSource"):
        place(net)
    with pytest.raises(ParameterError, match="order must be 'given'"):
        place(network(), order="local")


def test_map_on_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    path.write_text(
        "import neurosim as ns\nfrom neurosim.models import LIF, DeltaCurrent, SpikeSource\n"
        "from neurosim.units import ms, mV\nnet = ns.Network('small', dt=1*ms)\n"
        "source = net.population('source', 2, SpikeSource([[1, 5]*ms, [2]*ms]))\n"
        "net.connect(source, net.population('pop', 3, LIF(receptors={'in': DeltaCurrent})), weight=1*mV)\n",
        encoding="utf-8",
    )
    text = call("map", str(path), "--chip", "memristor", "-d", "10ms").output
    assert "1 of 64 crossbars" in text and "3 reads of a crossbar in 0.01 s" in text
