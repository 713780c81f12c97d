"""The command line: how it starts, what it prints and writes, and what it says about the library."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cli_kit import ONE, call, here, process, ran, told, write

import neurosim
from neurosim import registry
from neurosim.cli.load import load, parse_duration
from neurosim.errors import UnknownNameError
from neurosim.recording import RunResult
from neurosim.units import ms

__all__ = ["here"]  # every test runs in a folder of its own


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom neurosim.cli.main import main\nsys.argv = ['neurosim', '--help']\ntry:\n    main()\n"
        "except SystemExit:\n    pass\nprint(*sorted({m.split('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    help_text, _, modules = done.stdout.rstrip().rpartition("\n")
    assert "neurosim run potjans_diesmann --set scale=0.1" in help_text
    assert not {"numpy", "numba", "rich", "matplotlib", "h5py", "torch", "brian2"} & set(modules.split())


def test_public_names_are_those_of_the_lazy_table() -> None:
    assert sorted(neurosim._HOMES) == list(neurosim.__all__)
    assert set(neurosim.__all__) <= set(dir(neurosim))
    assert neurosim.units.ms is ms
    with pytest.raises(AttributeError, match="^module 'neurosim' has no attribute 'Netwrok'$"):
        neurosim.Netwrok  # noqa: B018


def test_python_m_and_version() -> None:
    out, err = process("--version").communicate()
    assert (out, err) == (f"neurosim, version {neurosim.__version__}\n", "")


@pytest.mark.parametrize(
    ("args", "hint"),
    [(["rnu"], "Did you mean 'run'?"), (["run", "x.py", "--durration", "1s"], "Did you mean '--duration'?")],
)  # fmt: skip
def test_mistyped_commands_and_options(args: list[str], hint: str) -> None:
    done = call(*args)
    assert done.exit_code == 2
    assert hint in done.stderr


# -- run ------------------------------------------------------------------------------------------------------------


def test_run_prints_a_table() -> None:
    done = ran(write("net.py", ONE))
    lines = done.stdout.splitlines()
    assert lines[0] == "one  8 neurons · 0 synapses · 0.02 s"
    assert re.fullmatch(r"reference \S+ · double · 1 thread · dt 0.1 ms · seed 3", lines[1])
    assert lines[3] == "population  neurons  spikes  rate Hz  CV ISI  synchrony"
    assert re.fullmatch(r"p +8 +13 +81.25 +– +\d\.\d\d", lines[5])
    assert re.fullmatch(r"build \S+ s, simulate \S+ s \(real-time factor \S+\), whole \S+ s", lines[7])
    assert lines[8] == "note: the network records no spikes, so those of all populations were recorded"
    assert done.stderr == ""


def test_json_is_one_object_and_nothing_else() -> None:
    script = ONE + "print('the script talks')\n"
    done = ran("--json", write("net.py", script))
    out = json.loads(done.stdout)
    assert done.stderr == "the script talks\n"
    assert out["populations"]["p"]["spikes"] == out["spikes"] == 13
    assert out["populations"]["p"]["rate_hz"] == pytest.approx(13 / (8 * 0.02))
    assert out["populations"]["p"]["cv_isi"] is None
    assert (out["status"], out["error"], out["files"], out["neurons"], out["synapses"]) == ("finished", None, {}, 8, 0)
    assert out["provenance"]["backend"] == "reference"
    assert out["times"]["whole_s"] > out["times"]["simulate_s"] > 0


def test_quiet_prints_nothing() -> None:
    done = ran("--quiet", write("net.py", ONE))
    assert (done.stdout, done.stderr) == ("", "")


def test_files_are_written_and_said() -> None:
    done = ran("-o", "out.h5", "--plot", "p.png", write("net.py", ONE))
    assert re.search(r"^wrote out\.h5 \(\S+ k?B\)\nwrote p\.png \(\S+ kB\)$", done.stdout, re.MULTILINE)
    assert RunResult.load("out.h5").spikes["p"].count == 13
    assert Path("p.png").read_bytes().startswith(b"\x89PNG")
    assert told("-o", "out.h5", "--plot", "p.png", "net.py")["files"] == {"output": "out.h5", "plot": "p.png"}


def test_published_rates_stand_beside_ours() -> None:
    ours = ONE + "net.published = {'A. Author (2001)': {'p': 65.0}}\n"
    lines = ran(write("net.py", ours)).stdout.splitlines()
    assert re.fullmatch(r"p +8 +13 +81.25 +– +\S+ +65.00 +\+25.0 %", lines[5])
    assert "published: A. Author (2001)" in lines
    many = ONE + "net.published = {'A': {'p': 65.0}, 'B': {}, 'C': {'p': 0.0}, 'D': {'p': 81.25}}\n"
    text = ran(write("net.py", many)).stdout
    assert re.search(r"^p +81.25 +65.00 +\+25.0 % +– +– +0.00 +–$", text, re.MULTILINE)
    assert re.search(r"^p +81.25 +81.25 +\+0.0 %$", text, re.MULTILINE)
    assert "[1] A\n[2] B\n[3] C\n[4] D\n" in text
    assert told("net.py")["populations"]["p"]["published"]["A"] == {"rate_hz": 65.0, "difference": 0.25}


def test_probes_of_the_network_are_kept() -> None:
    script = ONE + "net.record(net['p'][:2], 'spikes')\n"
    done = ran("-o", "out.h5", write("net.py", script))
    assert "note:" not in done.stdout
    assert re.search(r"^p +8 +13 +81.25 ", done.stdout, re.MULTILINE)  # of all neurons, as the engine counted them
    assert len(RunResult.load("out.h5").spikes["p"].recorded) == 2  # type: ignore[arg-type]


def test_default_duration() -> None:
    script = write("net.py", ONE + "net.default_duration = 5*ms\n")
    assert json.loads(call("run", "-b", "null", "--json", script).stdout)["simulated_s"] == 0.005
    assert json.loads(call("run", "-b", "null", "--json", write("one.py", ONE)).stdout)["simulated_s"] == 1.0
    assert parse_duration("2 ms") == 2 * ms


# -- ir, networks, backends, doctor ---------------------------------------------------------------------------------


def test_ir_prints_the_program_once() -> None:
    text = call("ir", "cuba", "--set", "n=100").stdout
    lines = text.splitlines()
    assert lines[0] == "graph 'cuba' after the pass 'order'"
    assert lines[1].startswith("  100 neurons, 2 populations, 2 projections, about ")
    assert re.fullmatch(r"  hash [0-9a-f]{64}", lines[3])
    assert "population exc: 80 neurons" in lines and "population inh: 20 neurons" in lines
    assert "  program as in population exc" in lines
    assert text.count("emit[spike]") == 1
    assert "    exc  grid 2^-49" in lines
    assert "  weight   1.62 mV, on the grid 2^-49" in lines
    assert "  delay    0.1 ms, 1 step" in lines
    assert "probe spikes of exc, all neurons, every step" in lines


def test_ir_prints_equations_before_they_are_discretised() -> None:
    text = call("ir", "cuba", "--set", "n=100", "--set", "exc.tau_m=15ms", "--after", "units").stdout
    lines = [line.strip() for line in text.splitlines()]
    for line in ("dv/dt = (v_rest - v + r_m * i) / tau_m", "i = exc.x + inh.x", "spike when v >= v_th",
                 "reset v = v_reset", "refractory for t_ref, holding v",
                 "on an arrival at exc: exc.x += w, after the decay"):  # fmt: skip
        assert line in lines
    assert "tau_m    0.015" in lines


@pytest.mark.parametrize("after", ["units", "expand", "discretise", "delays", "order"])
@pytest.mark.parametrize("network", ["brunel", "potjans_diesmann", "coba"])
def test_ir_prints_every_network_at_every_stage(network: str, after: str) -> None:
    size = "scale=0.01" if network == "potjans_diesmann" else "n=100"
    more = ("--set", "in_degree=10") if network == "brunel" else ()
    done = call("ir", network, "--set", size, *more, "--after", after)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith(f"graph '{network}' after the pass '{after}'\n")


def test_networks_lists_what_can_be_set() -> None:
    text = call("networks").stdout
    for name in registry.NETWORKS:
        assert f"\n{name}\n" in f"\n{text}"
    assert "tau_m=20ms" in text and "scale=" in text


def test_backends_and_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    text = call("backends").stdout
    assert re.search(r"^reference +available +double", text, re.MULTILINE)
    monkeypatch.setattr("neurosim.cli.environment.DEFAULT", "reference")
    done = call("doctor")
    assert done.exit_code == 0, done.output
    assert "ok  reference   runs a network, and gives the spikes of the reference" in done.stdout
    assert done.stdout.endswith("All is well: the default backend 'reference' runs.\n")
    absent = registry.Entry("nowhere:X", ("nowhere_at_all",), "pip install x")
    monkeypatch.setitem(registry.BACKENDS, "reference", absent)
    done = call("doctor")
    assert done.exit_code == 1
    assert "no  reference   not installed: pip install x" in done.stdout


def test_unknown_networks_are_refused_in_python_too() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'cuba'"):
        load("cubas")
