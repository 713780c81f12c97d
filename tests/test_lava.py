"""Lava itself, out of process: the same integers, scripts that check themselves, and nothing left behind.

``scripts/evidence lava`` compares 300 random networks; here it is a few.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import lava_kit
import numpy as np
import pytest
from cli_kit import call
from test_quantise import CELL, one

import neurosim as ns
from neurosim.backends.lava import environment
from neurosim.backends.lava.export import export
from neurosim.backends.lava.worker import run_script
from neurosim.errors import BackendError, BackendMissingError, ParameterError, ResourceError, UnsupportedError
from neurosim.hardware.loihi2 import LIF, Dense, connect
from neurosim.ir.rules import EdgeList
from neurosim.models import ExpCurrent, SpikeSource
from neurosim.units import ms, mV

SHARED_MEMORY = Path("/dev/shm")
lava = pytest.mark.engine("lava")


def segments() -> set[str]:
    return {p.name for p in SHARED_MEMORY.glob("psm_*")}


def python() -> Path:
    found = environment.python()
    assert found is not None
    return found


# -- the same integers ----------------------------------------------------------------------------------------------


@lava
@pytest.mark.parametrize("seed", [0, 1001])
def test_random_networks_are_lava_s(seed: int) -> None:
    net = lava_kit.random_network(seed)
    theirs = lava_kit.as_tables(net.run(60 * ms, backend="lava"), net, 60)
    found = lava_kit.compared(net.run(60 * ms), theirs, 60)
    assert found["different"] == 0 and found["values"] > 100


@lava
def test_a_float_network_is_quantised_first() -> None:
    net = one(CELL(receptors={"syn": ExpCurrent(tau=5 * ms)}), 30 * mV)
    ours, theirs = net.run(60 * ms, backend="loihi2"), net.run(60 * ms, backend="lava")
    assert np.array_equal(ours.state["cell"]["v"].values, theirs.state["cell"]["v"].values)
    assert ours.spikes["cell"].identical(theirs.spikes["cell"])


# -- scripts --------------------------------------------------------------------------------------------------------


def delayed() -> ns.Network:
    """Odd weights of both signs, a pair of neurons with several synapses, delays, and -256."""
    net = ns.Network("delayed", dt=1 * ms)
    source = net.population("in", 3, SpikeSource([np.arange(0, 40, k) * ms for k in (2, 3, 5)]))
    cells = net.population("cells", 4, LIF(du=1000, dv=200, vth=90, receptors={"a": Dense, "b": Dense(scale=0.25)}))
    net.connect(source, cells, receptor="a", rule=EdgeList([0, 0, 1, 2, 2], [0, 0, 1, 2, 3]), name="class",
                weight=np.array([31.0, 33.0, 101.0, -7.0, -256.0]), delay=np.array([1, 5, 2, 1, 64]) * ms)  # fmt: skip
    connect(net, cells, cells, 200 * np.roll(np.eye(4, dtype=int), 1, 0), receptor="b", delays=3, name="ring")
    return net


@lava
def test_an_export_verifies_itself(tmp_path: Path) -> None:
    written = export(delayed(), str(tmp_path / "out"), duration=60 * ms)
    assert written.files == ["network.py", "network.npz"]
    text = (tmp_path / "out/network.py").read_text(encoding="utf-8")
    assert "SignMode.EXCITATORY" in text and "SignMode.MIXED" in text and "DelayDense(" in text
    said = run_script(python(), tmp_path / "out", "network.py", 60)
    assert said.endswith(" spikes expected, 0 differ\n") and int(said.split()[0]) > 50


@lava
def test_an_export_sees_a_difference(tmp_path: Path) -> None:
    export(delayed(), str(tmp_path / "out"), duration=60 * ms)
    with np.load(tmp_path / "out/network.npz") as data:
        arrays = dict(data)
    arrays["cells.expected"] = arrays["cells.expected"][:, 1:]
    np.savez(tmp_path / "out/network.npz", **arrays)
    done = subprocess.run([python(), "network.py"], cwd=tmp_path / "out", capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "1 differ" in done.stdout


def test_an_export_needs_no_lava(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(environment.VARIABLE, str(tmp_path / "nowhere"))
    small = ("cuba", "--set", "n=100", "--to", "lava", "-o")
    done = call("export", *small, str(tmp_path / "out"), "--set", "t_ref=0ms", "-d", "20ms")
    assert done.exit_code == 0 and "one synaptic time constant" in done.stdout
    compile((tmp_path / "out/network.py").read_text(encoding="utf-8"), "network.py", "exec")
    done = call("export", *small, str(tmp_path / "out"))
    assert done.exit_code == 2 and "not an empty folder" in done.stderr
    done = call("export", *small, str(tmp_path / "other"))
    assert done.exit_code == 2 and "no refractory period" in done.stderr and not (tmp_path / "other").exists()


def refusal(net: ns.Network, tmp_path: Path) -> str:
    with pytest.raises(UnsupportedError) as e:
        export(net, str(tmp_path / "out"), duration=5 * ms)
    return str(e.value)


def test_what_lava_cannot_express(tmp_path: Path) -> None:
    net = delayed()
    net.connect(net["in"], net["cells"], receptor="a", weight=0.5, delay=1 * ms, name="half")
    assert "weights of projection 'half' are no whole numbers" in refusal(net, tmp_path)
    net = delayed()
    net.connect(net["in"], net["cells"], receptor="a", weight=1.0, delay=65 * ms, name="far")
    assert "'far' has delays of up to 65 steps" in refusal(net, tmp_path)
    net = delayed()
    net.connect(net["in"], net["cells"], receptor="b", weight=2.0, delay=1 * ms)
    assert "receptor 'b' of population 'cells' has a negative weight exponent and more" in refusal(net, tmp_path)
    net = delayed()
    net.set_parameter("cells.a.scale", 3.0)
    assert "no power of two" in refusal(net, tmp_path)
    net = delayed()
    net.set_parameter("cells.t_ref", 2 * ms)
    assert "refractory period" in refusal(net, tmp_path)
    assert not (tmp_path / "out").exists()


# -- faults ---------------------------------------------------------------------------------------------------------


@lava
@pytest.mark.parametrize("fault", ["hang", "raise", "die", "fork"])
def test_nothing_is_left_behind(fault: str, tmp_path: Path) -> None:
    """Of a worker that hangs, fails in a model, is killed, or has children: an error in time, no process, no memory."""
    export(delayed(), str(tmp_path / "out"), duration=60 * ms)
    path = tmp_path / "out/network.py"
    text = path.read_text(encoding="utf-8")
    model = "    def write(self):\n"
    planted = {
        "hang": (model, model + "        import time; time.sleep(1000)\n"),
        "raise": (model, model + "        raise ValueError('planted in a model')\n"),
        "die": ("    sinks.stop()\n", "    os.kill(os.getpid(), 9)\n"),
        "fork": ("    sinks.stop()\n", "    os.fork() or __import__('time').sleep(1000)\n"),
    }[fault]
    assert planted[0] in text
    path.write_text(text.replace(*planted), encoding="utf-8")
    before, start = segments(), time.monotonic()
    if fault == "fork":
        assert "0 differ" in run_script(python(), tmp_path / "out", "network.py", 30)
    else:
        with pytest.raises(BackendError) as e:
            run_script(python(), tmp_path / "out", "network.py", 6)
        said = {"hang": "did not end within 6 s", "raise": "planted in a model", "die": "exit status -9"}[fault]
        assert said in str(e.value)
    assert time.monotonic() - start < 30
    assert segments() <= before
    assert not [p for p in Path("/proc").glob("[0-9]*/cwd") if _reads(p) == str(tmp_path / "out")]


def _reads(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""


@lava
def test_two_runs_and_one_after_another() -> None:
    net = lava_kit.random_network(0)
    first, second = (net.run(20 * ms, backend="lava") for _ in range(2))
    assert all(first.spikes[name].identical(second.spikes[name]) for name in net.populations)


@lava
def test_the_time_limit_is_an_option() -> None:
    with pytest.raises(BackendError, match="did not end within 0.01 s and was stopped; the option timeout= gives it"):
        lava_kit.random_network(0).run(20 * ms, backend="lava", timeout=0.01)
    with pytest.raises(ParameterError, match="timeout of backend 'lava' must be seconds above 0"):
        lava_kit.random_network(0).run(20 * ms, backend="lava", timeout=-1)


def test_lava_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(environment.VARIABLE, str(tmp_path))
    with pytest.raises(BackendMissingError, match="backend 'lava' is not installed: neurosim lava install"):
        lava_kit.random_network(0).run(20 * ms, backend="lava")
    monkeypatch.setattr(environment, "interpreters", list)
    done = call("lava", "install")
    assert done.exit_code == 2 and "Lava needs Python 3.10, and none was found" in done.stderr
    bad = tmp_path / "python3.10"
    bad.write_text("#!/bin/sh\necho it cannot >&2\nexit 1\n", encoding="utf-8")
    bad.chmod(0o755)
    monkeypatch.setenv(environment.VARIABLE, str(tmp_path / "home"))
    monkeypatch.setattr(environment, "interpreters", lambda: [str(bad)])
    with pytest.raises(ResourceError, match="it cannot"):
        environment.install()


def test_interpreters_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that runs is taken, and not a name that leads nowhere, as pyenv's shims may."""
    places = {code: tmp_path / f"versions/3.10.{code}/bin/python" for code in (0, 1)}
    for code, place in places.items():
        place.parent.mkdir(parents=True)
        place.write_text(f"#!/bin/sh\nexit {code}\n", encoding="utf-8")
        place.chmod(0o755)
    (tmp_path / "versions/3.10.9/bin").mkdir(parents=True)
    (tmp_path / "versions/3.10.9/bin/python").write_text("no program", encoding="utf-8")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    found = environment.interpreters()
    assert str(places[0]) in found and str(places[1]) not in found
    assert not [p for p in found if "3.10.9" in p]
