"""The page of a run: what it says is what the result holds, nothing in it is foreign markup, and a browser draws it."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import BROWSER
from test_checkpoint import network

import neurosim as ns
from neurosim.cli.main import cli
from neurosim.compile import compile_network
from neurosim.recording import Provenance, RunResult
from neurosim.recording.records import Spikes
from neurosim.report import run as report
from neurosim.units import ms, second


@pytest.fixture(scope="module", name="made")
def _made() -> tuple[Any, str, dict[str, Any]]:
    """A result with everything in it, its page, and the data in the page."""
    net = network()
    result = net.run(700 * ms)
    page = report.page(result, compile_network(net), {"b": net["b"].cell.describe()}, {"somebody": {"a": 40.0}})
    return result, page.decode(), data_of(page.decode())


def data_of(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert found is not None
    return json.loads(found[1])


def unpack(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind)


def test_the_page_has_the_numbers_of_the_result(made: tuple[Any, str, dict[str, Any]]) -> None:
    result, _, data = made
    for part in data["raster"]:
        spikes = result.spikes[part["name"]]
        assert np.array_equal(unpack(part["at"], "<u4"), spikes.steps)
        assert np.array_equal(unpack(part["ids"], "<u4")[unpack(part["row"], "<u4")], spikes.ids)
    for part in data["rates"]:
        rate = unpack(part["values"], "<f4")
        assert rate.mean() == pytest.approx(result.rates(part["name"]), rel=0.02, abs=1e-9)
    (trace,) = data["traces"]
    held = result.state["b"]["v"]
    assert (trace["unit"], trace["ids"]) == ("mV", [0, 1, 3, 4, 6])
    assert np.allclose(unpack(trace["values"][1], "<f4"), held.values[:: trace["every"], 1] * 1e3, atol=1e-4)
    (weights,) = data["weights"]
    assert weights["edges"] == len(result.weights("ab")) and weights["at"][-1] == pytest.approx(0.7)
    assert weights["mean"][-1] == pytest.approx(result.weights("ab").mean() * 1e3)
    assert all(sum(row) == pytest.approx(1.0) for row in weights["counts"])


def test_a_poisson_process_has_a_flat_spectrum_of_one(made: tuple[Any, str, dict[str, Any]]) -> None:
    spectrum = next(s for s in made[2]["spectra"] if s["name"] == "a")
    assert np.mean(spectrum["y"]) == pytest.approx(1.0, rel=0.25)


def test_the_network_is_drawn(made: tuple[Any, str, dict[str, Any]]) -> None:
    _, text, _ = made
    assert "a to b: about 9,000 excitatory synapses, learning" in text
    assert "somebody (Hz)" in text and "40.00" in text and "threshold:" in text
    assert "learns" in text and text.count("<circle") == 3


def test_nothing_is_fetched(made: tuple[Any, str, dict[str, Any]]) -> None:
    assert not re.search(r"""(src|href)\s*=|@import|url\((?!#)|fetch\(|XMLHttpRequest""", made[1])


def test_names_of_a_foreign_file_are_text(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>&\"'\u2028"
    p = Provenance(network=evil, network_hash="x", seed=1, dt=1e-4, n_steps=1000, duration_s=0.1, backend=evil)
    spikes = Spikes(np.arange(20) * 10, np.zeros(20, np.int64), 3, 1e-4, 1000)
    text = report.page(RunResult({evil: 3}, p, {evil: spikes})).decode()
    assert "<script>alert" not in text and text.count("</script>") == 2
    assert data_of(text)["raster"][0]["name"] == evil


def test_large_runs_stay_small(tmp_path: Path) -> None:
    g = np.random.default_rng(1)
    steps = np.sort(g.integers(0, 100_000, 1_000_000))
    p = Provenance(network="large", network_hash="x", seed=1, dt=1e-4, n_steps=100_000, duration_s=10.0)
    spikes = Spikes(steps, g.integers(0, 10_000, len(steps)), 10_000, 1e-4, 100_000)
    report.write(RunResult({"p": 10_000}, p, {"p": spikes}), tmp_path / "large.html")
    assert (tmp_path / "large.html").stat().st_size < 5_000_000
    text = (tmp_path / "large.html").read_text(encoding="utf-8")
    assert "Spikes of 4,000 of 10,000 neurons are drawn; all numbers are of all." in text and "1,000,000" in text


def test_a_run_without_anything() -> None:
    p = Provenance(network="empty", network_hash="x", seed=1, dt=1e-4, n_steps=0, duration_s=0.0, status="interrupted")
    text = report.page(RunResult({"p": 3}, p)).decode()
    assert "This run did not finish: interrupted after 0 s of 0 s." in text and 'id="raster"' not in text


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    call = ["run", "cuba", "--set", "n=400", "-d", "100ms", "-o", "out.h5", "--report", "page.html", "--no-raster"]
    done = CliRunner().invoke(cli, call)
    assert done.exit_code == 0 and "wrote page.html" in done.stdout
    again = CliRunner().invoke(cli, ["report", "out.h5"])
    assert again.exit_code == 0 and again.stdout.startswith("wrote out.html (")
    assert "<h2>Network</h2>" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<h2>Network</h2>" not in (tmp_path / "out.html").read_text(encoding="utf-8")
    missing = CliRunner().invoke(cli, ["report", "none.h5"])
    assert missing.exit_code == 3 and "there is no file 'none.h5'" in missing.stderr


@pytest.mark.browser
@pytest.mark.parametrize("width", [1440, 390])
def test_a_browser_draws_it(made: tuple[Any, str, dict[str, Any]], width: int, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(made[1], encoding="utf-8")
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},1200",
               f"--user-data-dir={tmp_path}/profile", "--virtual-time-budget=5000", "--dump-dom",
               path.as_uri()]  # fmt: skip
    shown = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False).stdout
    assert 'data-drawn="yes"' in shown
    # raster, rates, one variable, intervals, spectrum, weights
    assert shown.count("<canvas") == 6 and "Weights of ab" in shown


def test_it_is_quick() -> None:
    """A page of a second of CUBA is a few hundred kilobytes: what has not to be read is not there."""
    result = ns.network("cuba")(n=1000).run(0.3 * second)
    assert len(report.page(result)) < 400_000
