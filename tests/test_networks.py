"""The library's networks: their counts and parameters as published, and rates at a size that the reference can take."""

from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurosim as ns
from neurosim.errors import ParameterError
from neurosim.models import networks
from neurosim.models.networks import brunel, coba, cuba, potjans_diesmann
from neurosim.registry import NETWORKS, load_network
from neurosim.units import Quantity, ms, mV, second

SMALL: dict[str, dict[str, Any]] = {"cuba": {"n": 200}, "coba": {"n": 200}, "brunel": {"n": 100, "in_degree": 40},
                                    "dendritic": {"n": 20}, "potjans_diesmann": {"scale": 0.002},
                                    "mushroom_body": {"odours": 1}, "optic_lobe": {"extent": 1}, "c_elegans": {},
                                    "song": {"n": 50}, "masquelier": {"n": 40, "repeat": 1 * second},
                                    "diehl_cook": {"n": 10}}  # fmt: skip
DATA = {"mushroom_body": "fly_mushroom_body/mb_fafb783.npz",
        "optic_lobe": "fly_optic_lobe/fib25-fib19_v2.2.json"}  # fmt: skip
"""Files that the networks of that name read, in the folder of shared data."""


def expected(net: ns.Network) -> float:
    """Number of edges that the rules promise, without building any."""
    return sum(c.rule.expected(len(c.pre), len(c.post)) for c in net.projections.values())


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.shared_data(DATA[n])] if n in DATA else []) for n in sorted(NETWORKS)],
)
def test_network_is_one_for_the_command_line(name: str, shared: Path) -> None:
    make, data = load_network(name), {"path": str(shared / DATA[name])} if name in DATA else {}
    assert make is getattr(networks, name)
    for parameter in inspect.signature(make).parameters.values():
        assert parameter.default is None or isinstance(parameter.default, (int, float, str, Quantity)), parameter
        assert parameter.name in (make.__doc__ or "")
    net = make(**SMALL[name], **data)
    assert net.name == name
    assert isinstance(net.default_duration, Quantity)
    spiking = {k for k, pop in net.populations.items() if (pop.cell.threshold, pop.cell.schedule) != (None, None)}
    assert {p.target for p in net.probes if p.variable == "spikes"} == spiking and (spiking or name == "c_elegans")
    for rates in make(**data).published.values():
        assert set(rates) == set(net.populations)
    assert net.run(5 * ms, backend="reference").provenance.status == "finished"
    assert make(**SMALL[name], **data, seed=7).seed == 7


@pytest.mark.checkout
def test_parameters_are_those_of_the_benchmarks(root: Path) -> None:
    spec = importlib.util.spec_from_file_location("benchmark_networks", root / "benchmarks" / "networks.py")
    assert spec is not None and spec.loader is not None
    theirs = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = theirs
    spec.loader.exec_module(theirs)
    for make, table in ((cuba, theirs.CUBA), (coba, theirs.COBA), (brunel, theirs.BRUNEL)):
        for size in table.sizes:
            net = make(n=size)
            assert net.dt == pytest.approx(theirs.DT_MS * 1e-3, rel=1e-15)
            assert tuple(p.n for p in net.populations.values()) == table.split(size)
            cell = net["exc"].cell
            for key in ("tau_m", "t_ref", "v_rest", "v_th", "v_reset"):
                given = getattr(table, f"{key}_m{'s' if key[0] == 't' else 'v'}")
                assert cell.value(key).value == pytest.approx(given * 1e-3, rel=1e-12), key
            for name, sign in (("exc", 1), ("inh", -1)):
                projection = net.projections[name]
                weight = getattr(table, f"weight_{name}", None) or getattr(table, f"weight_{name}_mv")
                assert projection.weight == pytest.approx(weight * (1 if make is coba else 1e-3), rel=1e-12), sign
                assert projection.delay == pytest.approx(table.delay_ms * 1e-3, rel=1e-12)
                if make is brunel:
                    assert projection.rule.k == getattr(table, f"in_degree_{name}")
                else:
                    assert projection.rule.p == table.probability(size)
                    tau = cell.receptors[name].value("tau").value
                    assert tau == pytest.approx(getattr(table, f"tau_{name}_ms") * 1e-3, rel=1e-12)
            stimuli = {key: stimulus for key, stimulus, *_ in net["inh"].stimuli}
            if make is coba:
                assert stimuli["drive"].value("amplitude").value == pytest.approx(table.drive_mv * 1e-3)
                assert cell.receptors["inh"].value("e_rev").value == pytest.approx(table.e_inh_mv * 1e-3)
            if make is brunel:
                assert stimuli["external"].value("rate").value == pytest.approx(table.external_rate_hz, rel=1e-12)
                assert stimuli["external"].value("n") == table.in_degree_exc


@pytest.mark.parametrize(("make", "low", "high"), [(cuba, 3.0, 9.0), (coba, 15.0, 30.0)])
def test_sparse_network_stays_active(make: Any, low: float, high: float) -> None:
    result = make(n=800).run(200 * ms, backend="reference")
    assert all(low < rate < high for rate in result.rates().values())


def test_brunel_regimes() -> None:
    for regime, (g, eta) in {"AI": (5, 2), "SR": (3, 2), "SI_fast": (6, 4), "SI_slow": (4.5, 0.9)}.items():
        net = brunel(regime=regime, n=1000, epsilon=0.1)
        assert net.projections["exc"].rule.k == 80 and net.projections["inh"].rule.k == 20
        assert net.projections["inh"].weight == pytest.approx(-g * 1e-4)
        rate = net["exc"].stimuli[0][1].value("rate").value
        assert rate * 80 * 1e-4 * 0.02 == pytest.approx(eta * 0.02)
    assert expected(brunel()) == 12500 * 1250
    assert brunel(g=4.0).projections["inh"].weight == pytest.approx(-4e-4)
    assert brunel(g=4.0).published == {}
    with pytest.raises(ParameterError, match="SI_slow"):
        brunel(regime="SI_slw")


def test_brunel_rate() -> None:
    result = brunel(n=1250, in_degree=500, J=0.2 * mV).run(150 * ms, backend="reference")
    assert 20 < result.rates("exc", start=50 * ms) < 45


# -- the microcircuit -------------------------------------------------------------------------------------------------


def test_microcircuit_at_full_scale() -> None:
    net = potjans_diesmann(scale=1)
    assert [p.n for p in net.populations.values()] == [20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948]
    assert sum(p.n for p in net.populations.values()) == 77169
    assert len(net.projections) == 55
    assert expected(net) == 298_880_970
    # a pair of populations by the formula in plain numbers: L4E -> L2/3E, p = 0.0437
    assert net.projections["L4E_L23E"].rule.n == round(np.log(1 - 0.0437) / np.log(1 - 1 / (21915 * 20683)))
    weight = net.projections["L4E_L23I"].weight
    assert weight.a == pytest.approx(87.8e-12, rel=1e-3) and weight.b == pytest.approx(0.1 * weight.a)
    assert net.projections["L4E_L23E"].weight.a == pytest.approx(2 * weight.a)
    assert net.projections["L5I_L5E"].weight.a == pytest.approx(-4 * weight.a)
    assert [k for k, *_ in net["L5E"].stimuli] == ["external"]
    drive = net["L6E"].stimuli[0][1]
    assert drive.value("n") == 2900 and drive.value("rate").value == 8
    assert set(net.published) == {"NEST, full scale", "NetPyNE, 100% (Romaro 2021)"}


def test_microcircuit_scaled_down_keeps_mean_and_variance_of_the_input() -> None:
    full, small = potjans_diesmann(scale=1), potjans_diesmann(scale=0.1)
    rates = full.published["NEST, full scale"]

    def moments(net: ns.Network, name: str) -> tuple[float, float]:
        pop = net[name]
        mean = var = 0.0
        for c in net.projections.values():
            if c.post.name == name:
                events = c.rule.n / pop.n * rates[c.pre.name]
                mean, var = mean + events * c.weight.a, var + events * c.weight.a**2
        for key, stimulus, *_ in pop.stimuli:
            if key == "external":
                events, weight = stimulus.value("n") * stimulus.value("rate").value, stimulus.value("weight").value
                mean, var = mean + events * weight, var + events * weight**2
            else:
                mean += stimulus.value("amplitude").value / 0.5e-3  # a weight is a charge of weight*tau_syn
        return mean, var

    for name in full.populations:
        assert moments(small, name) == pytest.approx(moments(full, name), rel=6e-3)  # L5I: 106 of 106.5


def test_microcircuit_weights_and_delays() -> None:
    net = potjans_diesmann(scale=0.02)
    assert sum(p.n for p in net.populations.values()) == pytest.approx(0.02 * 77169, abs=4)
    assert expected(net) == pytest.approx(0.02**2 * 298_880_970, rel=1e-4)
    result = net.run(1 * ms, backend="reference")
    exc, inh = result.weights("L4E_L4I"), result.weights("L4I_L4E")
    assert exc.min() >= 0 and inh.max() <= 0
    assert exc.mean() == pytest.approx(87.8e-12 / np.sqrt(0.02), rel=0.01)
    assert exc.std() / exc.mean() == pytest.approx(0.1, rel=0.05)
    delay = net.projections["L4I_L4E"].delay
    assert (delay.a, delay.b, delay.lo) == pytest.approx((0.75e-3, 0.375e-3, 0.1e-3)) and delay.how == "redraw"
    wide = potjans_diesmann(scale=0.02, rel_weight_sd=2.0).run(1 * ms, backend="reference").weights("L4E_L4I")
    assert wide.min() == 0 and np.count_nonzero(wide == 0) == pytest.approx(0.31 * len(wide), rel=0.1)


def test_microcircuit_refuses_to_grow() -> None:
    with pytest.raises(ParameterError, match="> 0 and <= 1"):
        potjans_diesmann(scale=2.0)
    assert potjans_diesmann(n_scale=0.05, k_scale=1.0)["L23E"].n == 1034


@pytest.mark.full
def test_microcircuit_rates_at_a_tenth() -> None:
    net = potjans_diesmann(scale=0.1)
    rates = net.run(1.1 * second, backend="native").rates(start=100 * ms)
    for name, published in net.published["NetPyNE, 10% (Romaro 2021)"].items():
        assert rates[name] == pytest.approx(published, rel=0.25), name
