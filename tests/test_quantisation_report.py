"""What integers did to a network: the grid of weights, overflows that are counted, and the page that says all of it.

Overflows are counted once more by the integer functions alone (``lava_kit.emulated``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import lava_kit
import numpy as np
import pytest
from browser_kit import Page
from cli_kit import call
from hypothesis import given, settings
from hypothesis import strategies as st

import neurosim as ns
from neurosim import registry
from neurosim.backends.base import Options
from neurosim.backends.lava import environment
from neurosim.backends.loihi2_account import Account, account
from neurosim.backends.loihi2_backend import Loihi2Backend
from neurosim.comparison import Comparison
from neurosim.compile import compile_network
from neurosim.errors import ParameterError, ResultFileError, UnsupportedError
from neurosim.hardware.loihi2 import LIF as IntegerLIF
from neurosim.hardware.loihi2 import Dense, connect, quantise
from neurosim.hardware.loihi2.grid import MANTISSA, on_grid
from neurosim.hardware.loihi2.overflow import counting_graph, overflow
from neurosim.hardware.loihi2.placement import place
from neurosim.ir.rules import EdgeList
from neurosim.models import LIF, DCInput, DeltaCurrent, ExpCurrent, PoissonInput, PoissonSource, SpikeSource
from neurosim.registry import load_backend
from neurosim.report.comparison import page as page_of
from neurosim.report.integers import headline, share, weights
from neurosim.units import Hz, ms, mV

HALF = 2**23
EVIL = "<script>alert(1)</script>&\"'"


# -- weights --------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-300, 300), min_size=1, max_size=60))
def test_weights_are_rounded_and_what_falls_off_is_counted(wanted: list[float]) -> None:
    mantissa, grid = on_grid(np.array(wanted), 2e-5, "V")
    assert np.abs(mantissa).max() <= MANTISSA and (mantissa == np.rint(mantissa)).all()
    inside = [(m, w) for m, w in zip(mantissa, wanted, strict=True) if abs(w) <= MANTISSA]
    assert all(abs(m - w) <= 0.5 for m, w in inside)
    assert grid.saturated == sum(abs(round(w)) > MANTISSA for w in wanted)
    assert (grid.lowest, grid.highest, grid.levels) == (min(mantissa), max(mantissa), len(set(mantissa)))
    assert 2**grid.bits > max(abs(mantissa)) >= 2**grid.bits // 2
    assert grid.wanted.sum() == grid.stored.sum() == grid.edges == len(wanted) and len(grid.stored) <= 48
    assert grid.worst == pytest.approx(max(abs(m - w) for m, w in zip(mantissa, wanted, strict=True)))


def test_a_histogram_has_its_bars_where_the_mantissas_are() -> None:
    _, grid = on_grid(np.array([3.4, 3.4, -1.2, 5.0]), 1.0, "")
    first = grid.span[0] + 0.5
    assert {int(first + k): int(n) for k, n in enumerate(grid.stored) if n} == {3: 2, -1: 1, 5: 1}
    assert on_grid(np.zeros(0), 1.0, "")[1].edges == 0


@settings(max_examples=30, deadline=None)
@given(st.floats(1e-3, 1e3), st.floats(-1, 1), st.integers(-4, 4))
def test_exponents_leave_no_weight_beyond_the_largest_mantissa(scale: float, other: float, ulps: int) -> None:
    """So that there is nothing to count on the page: whatever the sizes, and the gains of the neurons."""
    net = ns.Network("sizes", dt=1 * ms)
    cell = LIF(tau_m=[10, 20] * ms, v_rest=0 * mV, v_reset=0 * mV, v_th=15 * mV, receptors={"s": DeltaCurrent})
    cells = net.population("p", 2, cell)
    sizes = np.array([scale * (1 + ulps * 2.0**-52), other * scale])
    net.connect(cells, cells, rule=EdgeList([0, 1], [1, 0]), weight=sizes * mV, name="w")
    (p,) = quantise(net).projections
    assert p.grid.saturated == 0 and 0 < p.largest <= MANTISSA


# -- overflow -------------------------------------------------------------------------------------------------------


def accounted(net: ns.Network, duration: Any = 60 * ms) -> tuple[Account, Any]:
    for pop in net.populations.values():
        net.record(pop, "spikes")
    result = net.run(duration, backend="loihi2")
    return account(compile_network(net), result.spikes, result.provenance.n_steps, {}), result


@pytest.mark.parametrize("seed", [3, 4, 5, 10, 16, 31, 40, 43])
def test_overflows_are_those_of_the_functions(seed: int) -> None:
    """In random networks, most of which overflow; by the reference, so that nothing is compiled."""
    net = lava_kit.random_network(seed)
    graph = counting_graph(compile_network(net))
    engine = load_backend("reference").build(graph, Options())
    engine.advance(60)
    spikes, theirs, totals = engine.drain().spikes, lava_kit.emulated(net, 60), np.zeros(3, int)
    for name, t in theirs.items():
        assert np.array_equal(np.argwhere(t["spikes"]), np.transpose(spikes[name]))
        if name == "source":
            continue
        o, sums = overflow(engine.state(name)), [int(t[k].sum()) for k in ("wraps", "low", "high")]
        assert [o.wraps, o.clipped_low, o.clipped_high] == sums
        assert o.neurons == int(((t["wraps"] + t["low"] + t["high"]).sum(0) > 0).sum())
        assert o.u_most * HALF == np.abs(t["u_sum"]).max()
        assert o.v_least * HALF == min(t["v_sum"].min(), 0) and o.v_most * HALF == max(t["v_sum"].max(), 0)
        totals += sums
    assert (totals > 0).all() or seed not in (4, 5, 10, 16)  # where all three happen


def wrapping(t_ref: Any = 0 * ms, vth: int = 131071) -> ns.Network:
    net = ns.Network("wrapping", dt=1 * ms)
    source = net.population("source", 1, SpikeSource([np.arange(5) * ms]))
    cells = net.population("cell", 1, IntegerLIF(vth=vth, receptors={"a": Dense(scale=2.0**7)}, t_ref=t_ref))
    connect(net, source, cells, [[255]], receptor="a")
    return net


def test_a_current_that_wraps_is_counted() -> None:
    """Five spikes of 2,088,960: the fifth takes u beyond 2^23; v is clipped above, and what spiked is held."""
    found, result = accounted(wrapping(), 6 * ms)
    o = found.overflow["cell"]
    assert (o.wraps, o.neurons) == (1, 1) and o.u_most > 1 and o.clipped_high >= 1
    held, _ = accounted(wrapping(3 * ms), 6 * ms)
    assert held.overflow["cell"].wraps == 1 and held.overflow["cell"].clipped_high <= o.clipped_high
    assert result.spikes["cell"].count > 0


def test_room_below_the_reset_ends_clipping() -> None:
    """Inhibition to -41 mV, where the threshold is at 15 mV: beyond the room of 2 such distances, within that of 4."""
    net = ns.Network("inhibited", dt=1 * ms)
    source = net.population("source", 1, SpikeSource([np.arange(21) * ms]))
    cell = LIF(tau_m=1000 * ms, v_rest=0 * mV, v_reset=0 * mV, v_th=15 * mV, receptors={"s": DeltaCurrent})
    net.connect(source, net.population("cell", 1, cell), weight=-2 * mV)
    result = ns.compare(net, 30 * ms, ["reference", "loihi2", "loihi2:below=4"])
    two, four = (found.account.overflow["cell"] for found in result.integers)
    assert two.clipped_low >= 5 and two.v_least == pytest.approx(-32 / 30, rel=0.01)
    assert four.clipped_low == 0 and four.v_least == pytest.approx(-41 / 60, rel=0.02)
    (told,) = [text for _, text in headline(result, result.sides[0]) if "24 bits" in text]
    assert told == f"{two.clipped_low} times a potential was held at an end of its 24 bits, in 'cell'."


@pytest.mark.shared_data("fly_mushroom_body/mb_fafb783.npz")
def test_an_output_neuron_of_the_mushroom_body_is_held_down(shared: Path) -> None:
    """As docs/loihi2.md says."""
    net = ns.network("mushroom_body")(path=str(shared / "fly_mushroom_body" / "mb_fafb783.npz"))
    result = ns.compare(net, 500 * ms, ["native", "loihi2", "loihi2:below=4"])
    two, four = (found.account.overflow["MBON"] for found in result.integers)
    assert (two.clipped_low, two.neurons, four.clipped_low) == (113, 1, 0)
    assert all(side.result.spikes["MBON"].count == 0 for side in result.sides if side.result is not None)


def test_what_cannot_be_counted_is_said_and_not_0() -> None:
    net = wrapping()
    net.stimulate(net["cell"], PoissonInput(100 * Hz, weight=1.0, receptor="a"))
    found, _ = accounted(net, 6 * ms)
    assert found.overflow == {} and "'cell' cannot be counted: it has a Poisson drive" in found.uncounted
    _, other = accounted(wrapping(vth=100), 6 * ms)
    found = account(compile_network(wrapping()), other.spikes, 6, {})
    assert found.overflow == {} and "spiked differently" in found.uncounted


# -- the page -------------------------------------------------------------------------------------------------------


def network(name: str = "rungs", exc: str = "exc", dt: Any = 1 * ms) -> ns.Network:
    """Driven, with weights of both signs, differing time constants, a current, and no refractory period."""
    net = ns.Network(name, dt=dt, seed=3)
    cell = LIF(tau_m=20 * ms, v_rest=0 * mV, v_reset=0 * mV, v_th=15 * mV, receptors={"syn": DeltaCurrent})
    source = net.population("input", 60, PoissonSource(40 * Hz))
    a = net.population(exc, 40, cell(tau_m=np.linspace(10, 30, 40) * ms), init={"v": ns.uniform(0 * mV, 15 * mV)})
    b = net.population("inh", 10, cell, init={"v": ns.uniform(0 * mV, 15 * mV)})
    net.stimulate(b, DCInput(3 * mV))
    net.connect(source, a + b, rule=ns.FixedProbability(0.3), weight=ns.normal(1.4 * mV, 0.5 * mV), name="drive")
    net.connect(a, a + b, rule=ns.FixedProbability(0.2), weight=ns.normal(0.5 * mV, 0.2 * mV), delay=2 * ms, name="e")
    net.connect(b, a, rule=ns.FixedProbability(0.3), weight=-1.5 * mV, name="i")
    return net


@pytest.fixture(scope="module", name="made")
def _made() -> tuple[Comparison, str]:
    result = ns.compare(network(), 200 * ms, ["native", "loihi2"], metrics={"inputs": lambda r: r.rates("input")})
    return result, page_of(result).decode()


def rows(text: str, label: str) -> list[list[str]]:
    """Return the texts of the cells of the table in the region of this name."""
    region = re.search(rf'aria-label="{label}"><table.*?</table>', text, re.S)
    assert region is not None, label
    lines = re.findall(r"<tr.*?</tr>", region[0], re.S)
    cells = [re.findall(r"<(?:td|th)[^>]*>(.*?)</(?:td|th)>", line, re.S) for line in lines]
    return [[unescape(re.sub(r"<svg.*?</svg>|<[^>]*>", " ", c, flags=re.S)).strip() for c in row] for row in cells]


def test_the_page_says_what_the_runs_say(made: tuple[Comparison, str]) -> None:
    result, text = made
    pair = result.pair("native", "loihi2")
    assert pair.difference is not None
    spikes = [sum(len(s) for s in side.result.spikes.values()) for side in result.sides]
    told = re.search(r'<div class="headline">(.*?)</div>', text, re.S)
    assert told is not None
    assert f"loihi2 spikes {spikes[1]:,} times where native spikes {spikes[0]:,} times" in told[1]
    assert f"the first spike that differs is at {pair.difference.t * 1e3:g} ms" in told[1]
    assert f"first difference: {pair.difference}" in unescape(text)
    table = {row[0]: row for row in rows(text, "Populations side by side")[2:]}
    assert table["input"][2:] == [f"{result.sides[0].result.rates('input'):.2f}"] * 2 + ["exact", "none", "0.000"]
    row = next(r for r in pair.populations if r.population == "exc")
    assert row.distance is not None and float(table["exc"][-1]) == pytest.approx(row.distance.value, abs=6e-4)
    assert float(table["exc"][3]) == pytest.approx(row.b.rate, rel=1e-3)
    assert text.count(f"{result.sides[0].metrics['inputs']:.4g} <span>inputs</span>") == 2  # the source is the same


def test_the_page_says_what_quantise_says(made: tuple[Comparison, str]) -> None:
    result, text = made
    quantised = quantise(network())
    (found,) = result.integers
    told = {p.name: p for p in quantised.projections}
    table = rows(text, "Weights on the grid")[1:]
    assert [row[0].split()[0] for row in table] == list(told)
    for row in table:
        p = told[row[0].split()[0]]
        assert (row[2], row[4], row[6:]) == (f"{p.synapses:,}", str(p.exponent), [str(p.lost)])
        assert row[3].startswith(f"{p.grid.lowest}") and f"{p.grid.levels:,} value" in row[3]
        assert row[5].startswith(f"{100 * p.rms_error:.2g} %")
    assert text.count('<svg class="weights"') == len(told)
    exc, inh = quantised.populations
    decays = {row[0]: row for row in rows(text, "Decays, thresholds, resting potentials")[1:]}
    worst = max(np.ravel(exc.tau_m / exc.tau_m_was - 1), key=abs)
    assert f"{100 * worst:+.2g} %" in decays["exc"][1] and decays["exc"][2] == "–"
    assert decays["inh"][4].startswith("3 → 3") and decays["inh"][8] == f"{int(inh.vth):,}"
    # rest: 3 mV, as a bias of 12 bits and an exponent, against the way of 15 mV
    assert float(inh.rest_was) == pytest.approx(3e-3) and abs(float(inh.rest) - 3e-3) < 0.5 / 4095 * 3e-3 + 1e-6
    assert float(exc.threshold) == pytest.approx(15e-3, rel=exc.threshold_error * 1.01)
    assert all(unescape(c) in unescape(text) for c in quantised.changes) and found.account.overflow["exc"].wraps == 0
    assert "None in 200 steps: no current wrapped, no potential was clipped." in text


def test_the_page_says_where_it_lies_and_what_it_costs(made: tuple[Comparison, str]) -> None:
    result, text = made
    placement = place(network())
    spikes = result.sides[1].result.spikes
    costs = placement.costs({n: np.bincount(s.ids, minlength=s.size) / 200 for n, s in spikes.items()})
    assert f"{len(placement.used['neurons'])} core of 1 chip" in text and f"{placement.synapses:,} synapses" in text
    assert f"{costs['synops']:,.1f} synaptic operations, {costs['energy'] * 1e9:.3g} nJ" in text
    assert "Energy and time: an estimate" in text and "Loihi 1 before silicon" in text
    table = {row[0]: row for row in rows(text, "Occupancy of the cores")[1:]}
    assert table["neurons"][2:4] == ["50", "8,192"] and "Intel" in table["neurons"][5]
    constants = rows(text, "Constants of the estimate")
    assert ["synop energy", "2.36e-11"] == constants[0][:2] and len(constants) == 6


def test_a_network_in_integers_was_not_rounded() -> None:
    result = ns.compare(wrapping(), 6 * ms, ["native", "loihi2"])
    text = page_of(result).decode()
    assert "All 6 spikes of native are those of loihi2, in the same steps." in text
    assert "The network was written in integers: nothing was rounded." in text and "Weights on the grid" not in text
    assert "Once a current wrapped round its 24 bits and changed its sign, in 'cell'." in unescape(text)
    assert rows(text, "Overflow")[2][2] == "1" and "of a step" not in text


class Other(Loihi2Backend):
    """Integers that are not those of loihi2, though they should be."""

    name = "other"

    def build(self, graph: Any, options: Options) -> Any:
        return super().build(graph, Options(extra={"below": 30.0}))


@pytest.mark.parametrize("backends", [["native", "loihi2", "other"], ["loihi2", "other"]])
def test_two_that_should_compute_alike_and_do_not(backends: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    entry = registry.Entry(f"{Other.__module__}:Other", integers=True)
    monkeypatch.setitem(registry.BACKENDS, "other", entry)
    result = ns.compare(network(), 100 * ms, backends)
    at = result.pair("loihi2", "other").difference
    assert at is not None
    told = headline(result, result.sides[0])
    assert ("bad", f"other and loihi2 compute in the same integers and yet part at {at}.") in told
    assert [found.labels for found in result.integers] == [("loihi2",)]  # the other one has nobody to account for it


def test_a_population_that_wakes_up_is_the_headline() -> None:
    """A rate of 0 has no relative change: a rest of 1 uV below the threshold, which the integers put above it."""
    net = ns.Network("silent", dt=1 * ms)
    net.population("p", 2, LIF(tau_m=20 * ms, v_rest=14.999 * mV, v_reset=0 * mV, v_th=15 * mV))
    net.population("q", 1, LIF(v_rest=0 * mV, v_reset=0 * mV, v_th=15 * mV))
    result = ns.compare(net, 400 * ms, ["reference", "loihi2"])
    count = result.sides[1].result.spikes["p"].count
    assert result.sides[0].result.spikes["p"].count == 0 < count
    (told,) = headline(result, result.sides[0])
    assert told[0] == "bad"
    assert told[1].startswith(f"loihi2 spikes {count} times where reference spikes 0 times; 'p' spikes there and not "
                              "once in reference; the first spike")  # fmt: skip
    table = {row[0]: row for row in rows(page_of(result).decode(), "Populations side by side")[2:]}
    assert table["p"][4] == "was silent" and table["q"][4] == "–"


def test_names_of_a_hostile_network_are_text() -> None:
    result = ns.compare(network(name=EVIL), 50 * ms, ["native", "loihi2"], metrics={EVIL: lambda _: 1.0})
    for found in result.integers:  # a language that allows fewer letters than a page has to take
        quantised = found.account.quantised
        quantised.changes.append(EVIL)
        object.__setattr__(quantised.projections[0], "name", EVIL)
        object.__setattr__(quantised.projections[0].grid, "unit", EVIL)
        object.__setattr__(quantised.populations[0], "name", EVIL)
    text = page_of(result).decode()
    assert "<script" not in text and text.count("&lt;script&gt;alert(1)") >= 6
    assert not re.search(r"""(src|href)\s*=\s*["'](?!#|data:image/png)|@import|url\((?!#)""", text)


def test_many_projections_are_listed_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    net = ns.Network("many", dt=1 * ms)
    cell = LIF(v_rest=-65 * mV, v_reset=-65 * mV, receptors={"syn": DeltaCurrent})
    pops = [net.population(f"p{k}", 5, cell) for k in range(5)]
    for a in pops:
        for b in pops:
            net.connect(a, b, weight=1 * mV, name=f"{a.name}_to_{b.name}")
    monkeypatch.setattr("neurosim.report.integers.MOST_ROWS", 4)
    text = page_of(ns.compare(net, 5 * ms, ["native", "loihi2"])).decode()
    assert text.count('<svg class="weights"') == 4 and "and 21 more projections" in text
    # each of three tables of populations says so right after it
    assert text.count('</table></div>\n<p class="soft note">and 1 more population</p>') == 3


@pytest.mark.parametrize(
    ("x", "text"),
    [(None, "–"), (0.0, "0 %"), (0.9568, "95.7 %"), (0.9949, "99.5 %"), (0.9996, "99.96 %"), (0.999999, "99.99 %"),
     (1.0, "100 %"), (1.000001, "100.01 %"), (1.0066, "101 %"), (12.345, "1,234 %")],
)  # fmt: skip
def test_only_all_of_it_is_100_percent(x: float | None, text: str) -> None:
    assert share(x) == text


def test_a_page_of_every_kind_of_row_is_small(made: tuple[Comparison, str]) -> None:
    """300 rows of each table, at most, of which a picture of weights is the largest."""
    result, text = made
    largest = max(len(str(weights(p))) for p in result.integers[0].account.quantised.projections)
    assert len(text) < 1_000_000 and 300 * (largest + 3_000) < 5_000_000


# -- the commands ---------------------------------------------------------------------------------------------------

NET = """
import neurosim as ns
from neurosim.models import LIF, {receptor}, PoissonSource
from neurosim.units import Hz, ms, mV

def network():
    net = ns.Network("small", dt=1 * ms, seed=1)
    source = net.population("source", 20, PoissonSource(50 * Hz))
    cells = net.population("cells", 10, LIF(v_rest=-65 * mV, v_reset=-65 * mV, receptors={{"syn": {receptor}}}))
    net.connect(source, cells, weight={weight}, name="wire")
    return net

def answer(result):
    return result.spikes["cells"].count

def wrong(result):
    return {{}}["nothing"]

def leaves(result):
    raise SystemExit(0)
"""


@pytest.fixture(name="file")
def _file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET.format(receptor="DeltaCurrent", weight="2 * mV"), encoding="utf-8")
    (tmp_path / "con.py").write_text(NET.format(receptor="ExpConductance", weight="2.0"), encoding="utf-8")
    return tmp_path


def test_the_command_and_its_metric(file: Path) -> None:
    common = ("compare", "net.py", "--backends", "native,loihi2", "-d", "100ms", "--metric", "answer", "--json")
    done = call(*common, "--report", "q.html")
    told = json.loads(done.stdout)
    numbers = [side["metrics"]["answer"] for side in told["backends"]]
    assert numbers[0] > 10 and f"{numbers[1]:.4g} <span>answer</span>" in (file / "q.html").read_text(encoding="utf-8")
    (integers,) = told["integers"]
    assert integers["projections"]["wire"]["synapses"] == 200 and integers["overflow"]["cells"]["wraps"] == 0
    assert integers["cores"] == 1 and integers["populations"]["cells"]["threshold_error"] < 1e-3
    assert "integers" not in json.loads(call(*common).stdout)  # the run that counts is only made for the page


@pytest.mark.parametrize(
    ("metric", "says"),
    [
        ("anser", "'net.py' has no function 'anser'; did you mean 'answer'?"),
        ("other.py:answer", "there is no file 'other.py'"),
        ("con.py:nothing", "'con.py' has no function 'nothing'"),
        ("wrong", "metric 'wrong' gave no number for the result of 'native'"),
        ("leaves", "--metric leaves: it ended with SystemExit: 0"),
        ("exits.py:answer", "--metric exits.py:answer: 'exits.py' ended with SystemExit: 0"),
    ],
)
def test_a_metric_that_is_none(file: Path, metric: str, says: str) -> None:
    (file / "exits.py").write_text("import sys\nsys.exit(0)\n", encoding="utf-8")
    done = call("compare", "net.py", "--backends", "native,loihi2", "-d", "10ms", "--metric", metric)
    assert done.exit_code == 2 and says in done.stderr


def test_two_metrics_of_one_name_are_refused(file: Path) -> None:
    common = ("compare", "net.py", "--backends", "native,loihi2", "-d", "10ms", "--metric", "answer")
    done = call(*common, "--metric", "con.py:answer")
    assert done.exit_code == 2 and done.stdout == ""
    assert "--metric con.py:answer: there is a metric 'answer' already" in done.stderr


def test_what_integers_cannot_have_is_refused_and_nothing_is_written(file: Path) -> None:
    done = call("compare", "con.py", "--backends", "native,loihi2", "-d", "10ms", "--report", "q.html")
    assert done.exit_code == 2 and done.stdout == "" and "backend 'loihi2' cannot run this network" in done.stderr
    assert "no counterpart of the cell of population 'cells'" in done.stderr
    done = call("compare", "net.py", "--backends", "native,loihi2", "-d", "10ms", "--report", "none/q.html")
    assert done.exit_code == 3 and "cannot write 'none/q.html': its directory does not exist" in done.stderr
    assert sorted(p.name for p in file.iterdir() if p.suffix != "") == ["con.py", "net.py"]
    two = call("compare", "con.py", "--backends", "native,reference,loihi2", "-d", "10ms", "--report", "q.html")
    text = (file / "q.html").read_text(encoding="utf-8")  # two of them can be compared
    assert two.exit_code == 3 and "did not run" in text and "no counterpart of the cell" in text


def test_without_lava_its_card_says_how_to_get_it(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(environment.VARIABLE, str(file / "nowhere"))
    call("compare", "net.py", "--backends", "native,loihi2,lava", "-d", "50ms", "--report", "q.html")
    text = unescape((file / "q.html").read_text(encoding="utf-8"))
    assert "backend 'lava' is not installed: neurosim lava install" in text and "Weights on the grid" in text
    done = call("compare", "net.py", "--backends", "native,lava", "-d", "50ms", "--report", "none.html")
    assert done.exit_code == 2 and "'none.html' was not written, as there are no two runs" in done.stderr
    assert not (file / "none.html").exists()


def test_the_python_calls_complain(tmp_path: Path) -> None:
    net = network()
    with pytest.raises(ParameterError, match="metric 'm' gave no number for the result of 'native': TypeError"):
        ns.compare(net, 10 * ms, ["native", "loihi2"], metrics={"m": lambda r: None})  # type: ignore[dict-item]
    with pytest.raises(ResultFileError, match="its directory does not exist"):
        ns.compare(net, 10 * ms, ["native", "loihi2"]).save_report(tmp_path / "none" / "q.html")
    with pytest.raises(ParameterError, match="below of backend 'loihi2' must be a number, got 'x'"):
        account(compile_network(net), {}, 10, {"below": "x"})
    bad = ns.Network("bad", dt=1 * ms)
    bad.population("p", 2, LIF(receptors={"a": DeltaCurrent, "b": ExpCurrent()}))
    with pytest.raises(UnsupportedError, match="delta synapses beside exponential currents"):
        account(compile_network(bad), {}, 10, {})


@pytest.mark.engine("lava")
def test_three_rungs() -> None:
    result = ns.compare(network(), 50 * ms, ["native", "loihi2", "lava"])
    assert result.pair("loihi2", "lava").identical
    (found,) = result.integers
    assert found.labels == ("loihi2", "lava") and found.account.uncounted == ""
    text = page_of(result).decode()
    assert "lava gives what loihi2 gives, spike for spike." in text and "lava-nc 0.10.0" in text
    assert text.count('class="rung') == 4  # three cards, and what holds them


# -- in a browser ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", name="page")
def _page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with Page(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.mark.browser
@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_a_browser_draws_it(
    page: Page, made: tuple[Comparison, str], tmp_path: Path, width: int, dark: bool
) -> None:
    path = tmp_path / "q.html"
    path.write_text(made[1], encoding="utf-8")
    page.open(path, width, dark, touch=width < 500)
    assert page.js("document.documentElement.scrollWidth") == width and page.errors == []
    ground = "rgb(20, 23, 27)" if dark else "rgb(255, 255, 255)"
    assert page.js("getComputedStyle(document.body).backgroundColor") == ground
    bars = page.js("[...document.querySelectorAll('svg.weights .is')].map(b => b.getBoundingClientRect().height)")
    assert len(bars) > 20 and max(bars) > 15
    assert page.js("getComputedStyle(document.querySelector('svg.weights .is')).fill") == (
        "rgb(91, 155, 255)" if dark else "rgb(31, 111, 235)")  # fmt: skip
    cards = page.js("[...document.querySelectorAll('.rung')].map(c => { const b = c.getBoundingClientRect(); "
                    "return [b.left, b.top, b.right]; })")  # fmt: skip
    assert (cards[0][1] == cards[1][1]) == (width == 1440) and max(c[2] for c in cards) <= width
    wide = page.js("[...document.querySelectorAll('.scroll')].filter(s => s.scrollWidth > s.clientWidth + 1)"
                   ".map(s => s.getAttribute('aria-label'))")  # fmt: skip
    assert width < 500 or wide == []  # on a desk all tables fit
