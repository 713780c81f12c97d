"""The page of a run: what it says is what the result holds, nothing in it is foreign markup, and a browser draws it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser_kit import Page
from click.testing import CliRunner
from test_checkpoint import network

import neurosim as ns
from neurosim.cli.main import cli
from neurosim.compile import compile_network
from neurosim.errors import ParameterError
from neurosim.models import LIF, ExpConductance, ExpCurrent, GapJunction, GradedSynapse, PoissonInput, PoissonSource
from neurosim.recording import Provenance, RunResult, Trace
from neurosim.recording.events import events_of
from neurosim.recording.records import Spikes
from neurosim.report import picture, series
from neurosim.report import run as report
from neurosim.units import Hz, ms, mV, nS, pF, second


@pytest.fixture(scope="module", name="made")
def _made() -> tuple[Any, str, dict[str, Any]]:
    """A result with everything in it, its page, and the data in the page."""
    net = network()
    result = net.run(700 * ms)
    page = report.page(result, compile_network(net), net, {"somebody": {"a": 40.0}})
    return result, page.decode(), data_of(page.decode())


def data_of(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert found is not None
    return json.loads(found[1])


def floats(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4")


def whole(text: str) -> np.ndarray:
    """Undo LEB128, a byte at a time."""
    out, value, shift = [], 0, 0
    for byte in base64.b64decode(text):
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            out.append(value)
            value = shift = 0
    return np.array(out, np.int64)


def provenance(**more: Any) -> Provenance:
    given = {"network": "n", "network_hash": "x", "seed": 1, "dt": 1e-4, "n_steps": 10_000, "duration_s": 1.0, **more}
    return Provenance(**given)


def poisson(name: str, size: int, count: int, n_steps: int = 10_000, seed: int = 1) -> Spikes:
    g = np.random.default_rng(seed)
    return Spikes(np.sort(g.integers(0, n_steps, count)), g.integers(0, size, count), size, 1e-4, n_steps)


def test_whole_numbers_are_packed_and_unpacked() -> None:
    for values in ([], [0], [0, 1, 127, 128, 129, 16383, 16384, 2**32, 2**53]):
        assert whole(series.packed(np.array(values, np.int64))).tolist() == values


def test_the_page_has_the_numbers_of_the_result(made: tuple[Any, str, dict[str, Any]]) -> None:
    result, _, data = made
    for part in data["raster"]:
        spikes = result.spikes[part["name"]]
        code, ids = np.cumsum(whole(part["codes"])), np.cumsum(whole(part["ids"]))
        assert np.array_equal(code // part["rows"], spikes.steps)
        assert np.array_equal(ids[code % part["rows"]], spikes.ids)
    for part in data["rates"]:
        rate = whole(part["counts"]) * part["to_rate"]
        assert rate.mean() == pytest.approx(result.rates(part["name"]), rel=0.02, abs=1e-9)
        assert part["width"] == pytest.approx(1e-3)
    (trace,) = data["traces"]
    held = result.state["b"]["v"]
    assert (trace["unit"], trace["ids"], trace["of"], trace["every"]) == ("mV", [0, 1, 3, 4, 6], 7, 1)
    assert np.allclose(floats(trace["values"][1]), held.values[:, 1] * 1e3, atol=1e-4)
    assert trace["from"] + trace["step"] * (len(held.times) - 1) == pytest.approx(held.times[-1])
    (weights,) = data["weights"]
    assert weights["edges"] == len(result.weights("ab")) and weights["at"][-1] == pytest.approx(0.7)
    assert weights["mean"][-1] == pytest.approx(result.weights("ab").mean() * 1e3)
    assert all(sum(row) == pytest.approx(1.0, abs=1e-3) for row in weights["counts"])


def test_a_poisson_process_has_a_flat_spectrum_of_one(made: tuple[Any, str, dict[str, Any]]) -> None:
    spectrum = next(s for s in made[2]["spectra"] if s["name"] == "a")
    assert np.mean(spectrum["y"]) == pytest.approx(1.0, rel=0.25)


def test_statistics_are_those_of_other_code(made: tuple[Any, str, dict[str, Any]]) -> None:
    """Intervals neuron by neuron in NumPy, the spectrum by SciPy's Welch."""
    from scipy.signal import welch

    result, _, data = made
    for name in ("a", "b"):
        spikes = result.spikes[name]
        gaps = np.concatenate([np.diff(train) for train in spikes.trains().values()]) * 1e3
        part = next(p for p in data["intervals"] if p["name"] == name)
        assert part["number"] == len(gaps)
        assert [part["low"], part["median"], part["high"]] == pytest.approx(np.quantile(gaps, [0.05, 0.5, 0.95]))
        edges = (np.arange(len(part["y"]) + 1) * round(part["width"] * 10) - 0.5) * 0.1  # between steps
        density = np.histogram(gaps, edges)[0] / (len(gaps) * part["width"])
        assert part["y"] == pytest.approx(density, rel=1e-3)
        bins = np.bincount(spikes.steps // 10, minlength=700)
        rate = bins / (spikes.size * 1e-3)
        freq, power = welch(rate, 1000.0, nperseg=350, noverlap=175)
        found = next(p for p in data["spectra"] if p["name"] == name)
        keep = (freq >= 2) & (freq <= 250)
        assert found["x"] == pytest.approx(freq[keep], rel=1e-3)
        assert found["y"] == pytest.approx(power[keep] * spikes.size / (2 * rate.mean()), rel=2e-3)
        assert found["peak"] == pytest.approx(freq[keep][np.argmax(power[keep])])


def test_intervals_of_populations_compare() -> None:
    """Each is a density in bins of whole steps: equal processes of different length have equal curves."""
    spikes = {name: poisson(name, 50, count, seed=k) for k, (name, count) in enumerate({"x": 4000, "y": 400}.items())}
    found = series.intervals(RunResult({"x": 50, "y": 50}, provenance(), spikes))
    for part in found:
        assert part["width"] * 10 == pytest.approx(round(part["width"] * 10))
        assert sum(part["y"]) * part["width"] == pytest.approx(0.99, abs=0.012)
    assert found[0]["width"] < found[1]["width"]


def test_the_network_is_drawn(made: tuple[Any, str, dict[str, Any]]) -> None:
    _, text, _ = made
    assert "a to b: about 9,000 excitatory synapses, learning" in text
    assert "rate (Hz), somebody" in text and "40.00" in text and "threshold:" in text
    assert "learns" in text and text.count("<g data-node=") == 3


def test_parameters_are_those_of_the_run() -> None:
    """Not the defaults: the page stands for this run, with its inputs and its learning rules."""
    net = network()
    found = {(part["what"], part["title"]): dict((n, v) for n, v, _ in part["rows"]) for part in picture.parts(net)}
    assert found["cell", "LIF"]["t_ref"] == [("2 ms", ["b"])]
    assert found["receptor", "ExpCurrent"]["tau"] == [("3 ms", ["exc of b", "exc of c"])]
    assert found["input", "PoissonInput"]["rate"] == [("900 Hz", ["poissoninput to b"])]
    assert found["learning rule", "RewardSTDP"]["w_max"] == [("4 mV", ["ab"])]
    two = ns.Network("two", dt=0.1 * ms)
    two.population("x", 2, LIF(v_rest=-61 * mV)), two.population("y", 2, LIF(tau_m=np.array([5, 9]) * ms))
    rows = {name: values for name, values, _ in picture.parts(two)[0]["rows"]}
    assert rows["v_rest"] == [("-61 mV", ["x"]), ("-70 mV", ["y"])] and rows["v_th"] == [("-50 mV", ["x", "y"])]
    assert rows["tau_m"][1] == ("2 values, 5 ms to 9 ms", ["y"])


def test_inhibition_is_told_by_sign_or_reversal() -> None:
    net = ns.Network("signs", dt=0.1 * ms)
    ports = {"up": ExpConductance(e_rev=0 * mV), "down": ExpConductance(e_rev=-80 * mV), "i": ExpCurrent()}
    a, b, c = (net.population(name, n, LIF(receptors=ports)) for name, n in (("a", 10), ("b", 30), ("c", 10)))
    net.connect(a, b, receptor="up", weight=1.0, delay=1 * ms, name="x")
    net.connect(b, a, receptor="down", weight=1.0, delay=1 * ms, name="y")
    net.connect(c, [a, b], receptor="i", weight=-1 * mV, delay=1 * ms, name="z")
    titles = [a["title"] for a in picture.network(compile_network(net), {"a": 0, "b": 1, "c": 2})["arrows"]]
    assert titles == ["a to b: about 300 excitatory synapses", "b to a: about 300 inhibitory synapses",
                      "c to a: about 100 inhibitory synapses", "c to b: about 300 inhibitory synapses"]  # fmt: skip


def test_couplings_without_spikes_are_told_apart() -> None:
    """A gap junction excites no more than it inhibits; graded synapses are told by their reversal potentials."""
    net = ns.Network("links", dt=0.1 * ms)
    ports = {"gap": GapJunction(), "up": GradedSynapse(), "down": GradedSynapse(e_rev=-80 * mV)}
    cell = ns.Cell("dv/dt = (g_l*(e_l - v) + i)/c", g_l=1 * nS, e_l=-60 * mV, c=10 * pF, receptors=ports)
    a, b = (net.population(name, 10, cell) for name in "ab")
    for port in ports:
        net.connect(a, b, receptor=port, weight=0.01 * nS, name=port)
    found = picture.network(compile_network(net), {"a": 0, "b": 1})["arrows"]
    assert {a["kind"]: a["title"] for a in found} == {
        "coupling": "a to b: about 100 mutual couplings", "excitatory": "a to b: about 100 excitatory synapses",
        "inhibitory": "a to b: about 100 inhibitory synapses"}  # fmt: skip
    assert len({a["path"] for a in found}) == 3


def test_events_of_cells_are_drawn_as_events() -> None:
    net = ns.network("dendritic")(n=4)
    cells = net.populations["cells"]
    net.record(cells, "v_dist"), net.record(cells, "spike_Na_dist")
    result = net.run(200 * ms)
    data = data_of(report.page(result).decode())
    assert [part["label"] for part in data["raster"]] == ["cells", "cells: spike_Na_dist"]
    code = np.cumsum(whole(data["raster"][1]["codes"]))
    assert len(code) > 3 and np.array_equal(code // 4, result.events("cells", "spike_Na_dist").steps)
    assert [t["variable"] for t in data["traces"]] == ["v_dist"]  # not a count of up to 16,777,216 steps


def test_a_number_that_only_looks_like_a_count_is_drawn_as_a_variable() -> None:
    times, zero = (np.arange(1000) + 1) * 1e-4, np.zeros((1000, 2))
    for values in (zero, zero + 1, np.cumsum(zero + 2, axis=0), np.arange(2000.0).reshape(1000, 2)):
        trace = Trace("k", "1", np.arange(2), times, values)
        result = RunResult({"p": 2}, provenance(n_steps=1000), {}, {"p": {"k": trace}})
        assert events_of(result) == [] and len(series.traces(result, [], 1.0)) == 1


def test_thinned_traces_keep_every_peak() -> None:
    values = np.zeros((200_000, 3))
    values[123_457, 1], values[7, 2] = 1.0, np.nan
    trace = Trace("v", "V", np.arange(3), (np.arange(200_000) + 1) * 1e-4, values)
    result = RunResult({"p": 3}, provenance(n_steps=200_000), {}, {"p": {"v": trace}})
    (found,) = series.traces(result, [], 1.0)
    assert found["every"] > 1 and max(floats(found["values"][1])) == 1.0
    at = found["from"] + found["step"] * int(np.argmax(floats(found["values"][1])))
    assert at == pytest.approx(12.3458, abs=found["every"] * 1e-4)


def test_a_run_that_begins_later_is_drawn_where_it_was() -> None:
    spikes = Spikes(np.arange(5000, 9000, 10), np.zeros(400, int), 1, 1e-4, 5000, 5000)
    data = data_of(report.page(RunResult({"p": 1}, provenance(n_steps=5000), {"p": spikes})).decode())
    assert data["start"] == pytest.approx(0.5) and whole(data["raster"][0]["codes"])[0] == 0
    assert whole(data["rates"][0]["counts"])[:3].tolist() == [1, 1, 1]


def test_rates_that_were_recorded_without_spikes_are_drawn() -> None:
    net = ns.Network("rates", dt=0.1 * ms)
    net.record(net.population("p", 100, PoissonSource(50 * Hz)), "rate", every=5 * ms)
    result = net.run(200 * ms)
    text = report.page(result).decode()
    (found,) = data_of(text)["rates"]
    assert floats(found["values"]) == pytest.approx(result.population_rates["p"].values) and 'id="rates"' in text


def test_curves_of_ones_own(made: tuple[Any, str, dict[str, Any]]) -> None:
    loss = report.Curve("Loss", [1, 2, 3], {"train": [2.0, 1.5, 1.0], "test": [2.1, np.nan, 1.4]}, "epoch", "loss")
    text = report.page(made[0], curves=[loss]).decode()
    (held,) = data_of(text)["curves"]
    assert held["x"] == [1, 2, 3] and [s["y"] for s in held["lines"]] == [[2.0, 1.5, 1.0], [2.1, None, 1.4]]
    assert "<h2>Curves</h2>" in text and "<h2>Curves</h2>" not in made[1]
    for x, lines in (([1, 2], {"a": [1.0]}), ([], {}), ([np.nan], {"a": [1.0]})):
        with pytest.raises(ParameterError, match="curve 'Loss': x must be a row of finite numbers"):
            report.page(made[0], curves=[loss._replace(x=x, lines=lines)])
    with pytest.raises(ParameterError, match="has 6,000 points; thin it out to 5,000"):
        report.page(made[0], curves=[loss._replace(x=np.arange(6000), lines={"a": np.arange(6000)})])
    with pytest.raises(ParameterError, match="has 9 lines; 1 to 8 can be told apart"):
        report.page(made[0], curves=[loss._replace(lines={str(k): [1.0, 2.0, 3.0] for k in range(9)})])


@pytest.mark.browser
def test_a_browser_draws_curves_of_ones_own(page: Page, made: tuple[Any, str, dict[str, Any]], tmp_path: Path) -> None:
    lag = np.linspace(-100, 100, 81)
    window = np.sign(lag) * np.exp(-np.abs(lag) / 20)
    given = [report.Curve("STDP", lag, {"all pairs": window, "nearest": window / 2}, "lag (ms)", "change (mV)"),
             report.Curve("Accuracy", [5], {"test": [0.9]}, "epoch", "share"),
             report.Curve("Nothing", [1, 2], {"none": [np.nan, np.nan]}, "x", "y")]  # fmt: skip
    report.write(made[0], tmp_path / "curves.html", curves=given)
    for width in (1440, 390):
        page.open(tmp_path / "curves.html", width)
        ink = page.js(INK)[4:7]
        assert ink[0] > ink[2] + 300 and ink[1] > 500 and page.errors == []
        assert page.js("document.documentElement.scrollWidth") == width
        assert page.js("document.querySelector('#curves .legend').textContent") == "all pairsnearest"


def test_nothing_is_fetched(made: tuple[Any, str, dict[str, Any]]) -> None:
    assert not re.search(r"""(src|href)\s*=|@import|url\((?!#)|fetch\(|XMLHttpRequest""", made[1])


def test_names_of_a_foreign_file_are_text(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>&\"'\u2028"
    p = provenance(network=evil, n_steps=1000, duration_s=0.1, backend=evil)
    spikes = Spikes(np.arange(20) * 10, np.zeros(20, np.int64), 3, 1e-4, 1000)
    text = report.page(RunResult({evil: 3}, p, {evil: spikes})).decode()
    assert "<script>alert" not in text and text.count("</script>") == 2
    assert data_of(text)["raster"][0]["name"] == evil


def large(spikes: int, traces: int = 0) -> RunResult:
    n = 450_000
    state = {}
    if traces:
        values = np.random.default_rng(2).normal(size=(n, 6)).astype(np.float32)
        trace = Trace("v", "V", np.arange(6), (np.arange(n) + 1) * 1e-4, values)
        state = {"p": {f"v{k}": trace for k in range(traces)}}
    return RunResult({"p": 4000}, provenance(network="large", n_steps=n), {"p": poisson("p", 4000, spikes, n)}, state)


def test_large_runs_stay_small(tmp_path: Path) -> None:
    """A million spikes and five traces are all in it; of more, some neurons."""
    report.write(large(1_000_000, 1), tmp_path / "large.html")
    assert (tmp_path / "large.html").stat().st_size < 5_000_000
    text = (tmp_path / "large.html").read_text(encoding="utf-8")
    assert "1,000,000" in text and "neurons are drawn" not in text and data_of(text)["raster"][0]["rows"] == 4000
    made = report.page(large(4_000_000, 12)).decode()
    found = re.search(r"Spikes of ([\d,]+) of 4,000 neurons are drawn; all numbers are of all.", made)
    assert len(made) < 5_000_000 and found and 500 < int(found[1].replace(",", "")) < 1300
    steps, one = np.arange(3_000_000), np.zeros(3_000_000, np.int64)
    spikes = Spikes(np.sort(np.append(steps, steps)), np.append(one, one + 1), 2, 1e-4, len(steps))
    made = report.page(RunResult({"p": 2}, provenance(n_steps=len(steps)), {"p": spikes})).decode()
    assert len(made) < 5_000_000 and re.search(r"one spike of \d+ is drawn", made)


def test_many_populations_are_listed_in_part() -> None:
    names = [f"p{k}" for k in range(60)]
    result = RunResult(dict.fromkeys(names, 5), provenance(), {n: poisson(n, 5, 30 + k) for k, n in enumerate(names)})
    text = report.page(result).decode()
    assert "The 12 largest of 60 populations." in text and "<summary>All 60 populations</summary>" in text
    assert len(data_of(text)["hidden"]) == 52 and len(text) < 400_000


def test_a_run_without_anything() -> None:
    p = provenance(network="empty", n_steps=0, duration_s=0.0, status="interrupted")
    text = report.page(RunResult({"p": 3}, p)).decode()
    assert "This run did not finish: interrupted after 0 s of 0 s." in text and 'id="raster"' not in text
    assert "No step was simulated" in text


def test_a_run_without_spikes_says_so() -> None:
    none = Spikes(np.zeros(0, int), np.zeros(0, int), 3, 1e-4, 10_000)
    text = report.page(RunResult({"p": 3}, provenance(), {"p": none})).decode()
    assert "No neuron spiked in this run." in text and 'id="raster"' not in text and 'id="rates"' not in text
    few = Spikes(np.arange(5) * 10, np.zeros(5, int), 3, 1e-4, 1000)
    text = report.page(RunResult({"p": 3}, provenance(n_steps=1000), {"p": few})).decode()
    assert "No population has 10 intervals" in text and "the run is shorter than 0.5 s" in text


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    call = ["run", "cuba", "--set", "n=400", "-d", "100ms", "-o", "out.h5", "--report", "page.html", "--no-raster"]
    done = CliRunner().invoke(cli, call)
    assert done.exit_code == 0 and "wrote page.html" in done.stdout
    again = CliRunner().invoke(cli, ["report", "out.h5"])
    assert again.exit_code == 0 and again.stdout.startswith("wrote out.html (")
    whole_page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<h2>Network</h2>" in whole_page and ">-49 mV" in whole_page  # v_rest of this network, not LIF's own
    assert "<h2>Network</h2>" not in (tmp_path / "out.html").read_text(encoding="utf-8")
    missing = CliRunner().invoke(cli, ["report", "none.h5"])
    assert missing.exit_code == 3 and "there is no file 'none.h5'" in missing.stderr


def test_it_is_quick() -> None:
    """A page of a second of CUBA is a few hundred kilobytes: what has not to be read is not there."""
    result = ns.network("cuba")(n=1000).run(0.3 * second)
    assert len(report.page(result)) < 400_000


# -- colours --------------------------------------------------------------------------------------------------------

# Machado, Oliveira & Fernandes, IEEE Trans. Vis. Comput. Graph. 15 (2009), severity 1
VISIONS = {
    "all cones": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def linear(colours: tuple[str, ...]) -> np.ndarray:
    c = np.array([[int(h[i : i + 2], 16) / 255 for i in (1, 3, 5)] for h in colours])
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    xyz = rgb @ np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]).T
    xyz = xyz / [0.9505, 1.0, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)


def contrast(colours: tuple[str, ...], ground: str) -> np.ndarray:
    weigh = np.array([0.2126, 0.7152, 0.0722])
    a, b = linear(colours) @ weigh, linear((ground,)) @ weigh
    return (np.maximum(a, b) + 0.05) / (np.minimum(a, b) + 0.05)


@pytest.mark.parametrize("colours, ground", [(report.LIGHT, "#ffffff"), (report.DARK, "#14171b")])
def test_colours_are_told_apart_by_everybody(colours: tuple[str, ...], ground: str) -> None:
    """Against the ground as WCAG 2 asks of graphics, from each other by more than two tens of CIE 1976."""
    assert len(colours) == report.SLOTS and contrast(colours, ground).min() >= 3.0
    for vision in VISIONS.values():
        seen = lab(np.clip(linear(colours) @ np.array(vision).T, 0, 1))
        apart = np.linalg.norm(seen[:, None] - seen[None], axis=2)
        assert apart[np.triu_indices(len(colours), 1)].min() >= 20


# -- in a browser ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", name="page")
def _page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with Page(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture(scope="module", name="file")
def _file(made: tuple[Any, str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(made[1], encoding="utf-8")
    return path


INK = """(() => [...document.querySelectorAll('canvas')].map(c => {
  const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0;
  for (let k = 3; k < d.length; k += 4) if (d[k]) n++; return n; }))()"""


@pytest.mark.browser
@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_a_browser_draws_it(page: Page, file: Path, width: int, dark: bool) -> None:
    page.open(file, width, dark, touch=width < 500)
    ink = page.js(INK)
    assert len(ink) == 6 and min(ink) > 500  # raster, rates, one variable, weights, intervals, spectrum
    assert page.js("document.documentElement.scrollWidth") == width and page.errors == []
    ground = "rgb(20, 23, 27)" if dark else "rgb(255, 255, 255)"
    assert page.js("getComputedStyle(document.body).backgroundColor") == ground
    assert page.js("[...document.querySelectorAll('canvas')].every(c => c.getAttribute('aria-label').length > 30)")


@pytest.mark.browser
def test_long_names_do_not_widen_the_page(page: Page, tmp_path: Path) -> None:
    name = "layer_2_3_pyramidal_cells_of_the_primary_visual_cortex_with_a_long_name"
    net = ns.Network(f"network_of_{name}", dt=0.1 * ms)
    a, b = (net.population(f"{name}_{k}", 20, LIF(receptors={"exc": ExpCurrent()})) for k in "AB")
    net.connect(a, b, receptor="exc", weight=1 * mV, delay=1 * ms, name=f"from_{name}")
    net.stimulate([a, b], PoissonInput(900 * Hz, weight=8 * mV, receptor="exc"))
    net.record([a, b], "spikes"), net.record(a[:2], "v")
    path = tmp_path / "long.html"
    report.write(net.run(600 * ms), path, compile_network(net), net)
    for width in (1440, 390):
        page.open(path, width)
        assert page.js("document.documentElement.scrollWidth") == width
    boxes = page.js("[...document.querySelectorAll('.graph text')].map(t => { const b = t.getBoundingClientRect(); "
                    "return [b.left, b.right, b.height]; })")  # fmt: skip
    assert boxes[0][1] <= boxes[1][0] + 1 and boxes[0][0] >= 0 and boxes[1][1] <= 390 and boxes[0][2] >= 11


@pytest.mark.browser
def test_many_populations_leave_room_for_the_figures(page: Page, tmp_path: Path) -> None:
    names = [f"p{k}" for k in range(200)]
    spikes = {name: poisson(name, 5, 20, seed=k) for k, name in enumerate(names)}
    result = RunResult(dict.fromkeys(names, 5), provenance(), spikes)
    report.write(result, tmp_path / "many.html")
    page.open(tmp_path / "many.html", 390, touch=True)
    assert page.box(".keys")[3] < 100  # it stays above the figures while they are scrolled
    assert page.js("document.documentElement.scrollHeight") < 6000 and page.errors == []


@pytest.mark.browser
def test_time_moves_with_mouse_and_keyboard(page: Page, file: Path) -> None:
    page.open(file)
    x, y, w, h = page.box("#rates canvas")
    at, middle = (x + w / 2, y + h / 2), "view"
    assert page.js(middle) == [0, pytest.approx(0.7)]
    page.mouse("mouseMoved", *at)
    page.settle()
    assert re.fullmatch(r"at \d+\.\d ms", page.js("document.getElementById('now').textContent"))
    assert re.search(r"a [\d.]+ Hz · b [\d.]+ Hz", page.js("document.querySelector('#rates .read').textContent"))
    assert "mV" in page.js("document.querySelector('#traces .legend').textContent")
    page.mouse("mouseWheel", *at, deltaX=0, deltaY=100)
    page.settle()
    assert page.js(middle) == [0, pytest.approx(0.7)]  # an ordinary wheel scrolls the page
    x, y, w, h = page.box("#rates canvas")
    at = (x + w / 2, y + h / 2)
    before = page.js(INK)
    page.mouse("mouseWheel", *at, deltaX=0, deltaY=-200, modifiers=2)
    page.settle()
    a, b = page.js(middle)
    assert b - a == pytest.approx(0.35, rel=0.01)
    changed = [x != y for x, y in zip(before, page.js(INK), strict=True)]
    assert changed[:4] == [True] * 4 and changed[4:] == [False, False]  # all panels of time, and only they
    page.mouse("mousePressed", *at, button="left", clickCount=1)
    page.mouse("mouseMoved", at[0] - 100, at[1], button="left", buttons=1)
    page.mouse("mouseReleased", at[0] - 100, at[1], button="left", clickCount=1)
    page.settle()
    assert page.js(middle)[0] > a + 0.02
    for kind in ("mousePressed", "mouseReleased"):
        page.mouse(kind, *at, button="left", clickCount=2)
    page.settle()
    assert page.js(middle) == [0, pytest.approx(0.7)]
    page.js("document.querySelector('#raster canvas').focus()")
    for key in ("+", "ArrowRight"):
        page.key(key)
    page.settle()
    assert page.js(middle) == pytest.approx([0.245, 0.595])
    page.key("ArrowRight", shift=True)
    page.settle()
    assert page.js("cursor") is not None
    page.key("0")
    page.settle()
    assert page.js(middle) == [0, pytest.approx(0.7)] and page.errors == []


@pytest.mark.browser
def test_time_moves_with_fingers(page: Page, file: Path) -> None:
    page.open(file, 390, touch=True)
    x, y, w, h = page.box("#raster canvas")
    x, y = x + w / 2, y + h / 2
    page.touch("touchStart", (x, y)), page.touch("touchEnd")
    page.settle()
    assert page.js("cursor") == pytest.approx(0.35, abs=0.06)
    assert re.search(r"^\w, neuron \d+", page.js("document.querySelector('#raster .read').textContent"))
    page.touch("touchStart", (x - 30, y), (x + 30, y))
    for k in range(1, 6):
        page.touch("touchMove", (x - 30 - 6 * k, y), (x + 30 + 6 * k, y))
    page.touch("touchEnd")
    page.settle()
    a, b = page.js("view")
    assert b - a == pytest.approx(0.35, rel=0.15)
    page.touch("touchStart", (x, y))
    for k in range(1, 6):
        page.touch("touchMove", (x + 10 * k, y))
    page.touch("touchEnd")
    page.settle()
    assert page.js("view")[0] < a - 0.01 and page.errors == []


@pytest.mark.browser
def test_curves_are_taken_away_and_brought_back(page: Page, file: Path) -> None:
    page.open(file)
    before = page.js(INK)
    press = "document.querySelector('[data-of=\"a\"]').click()"
    page.js(press), page.settle()
    after = page.js(INK)
    assert page.js("document.querySelector('[data-of=\"a\"]').getAttribute('aria-pressed')") == "false"
    assert [x != y for x, y in zip(before, after, strict=True)] == [False, True, False, False, True, True]
    page.js(press), page.settle()
    assert page.js(INK) == before


@pytest.mark.browser
def test_paper_is_light(page: Page, file: Path) -> None:
    page.open(file, dark=True)
    made = page.call("Page.printToPDF", printBackground=True)["data"]
    assert len(base64.b64decode(made)) > 10_000
    page.js("dispatchEvent(new Event('beforeprint'))")
    assert page.js("theme.ink") == "#1c2024" and page.js("document.querySelectorAll('details:not([open])').length") == 0
    page.js("dispatchEvent(new Event('afterprint'))"), page.settle()
    assert page.js("theme.ink") == "#e4e7eb" and page.js("document.querySelectorAll('details:not([open])').length") > 0


@pytest.mark.browser
def test_a_million_spikes_are_drawn(page: Page, tmp_path: Path) -> None:
    report.write(large(1_000_000), tmp_path / "large.html")
    page.open(tmp_path / "large.html")
    assert page.js(INK)[0] > 50_000 and page.errors == []
    # Where spikes lie over each other the colour says how many: a plain block would be one shade.
    shades = page.js("(() => { const c = document.querySelector('#raster canvas'); const d = c.getContext('2d')"
                     ".getImageData(120, 20, 400, 300).data, s = new Set(); for (let k = 3; k < d.length; k += 4) "
                     "s.add(d[k]); return s.size; })()")  # fmt: skip
    assert shades > 5
