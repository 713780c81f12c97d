"""Checkpoints: a run that goes on gives the bits of one that never stopped, and nothing damaged is gone on from."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from net_kit import refused

import neurosim as ns
from neurosim.cli.main import cli
from neurosim.errors import ParameterError, ResultFileError, UnsupportedError
from neurosim.models import LIF, AdEx, ExpCurrent, Modulator, OUNoise, PoissonInput, PoissonSource, RewardSTDP
from neurosim.recording import RunResult
from neurosim.recording.checkpoint import FORMAT, KEPT, Checkpoints
from neurosim.recording.seal import HEAD, seal
from neurosim.units import Hz, ms, mV, second


def network(seed: int = 4, weight: float = 1.0) -> ns.Network:
    """Everything that has a memory: delays, refractoriness, noise, learning, a synapse's own variables."""
    net = ns.Network("kept", dt=0.1 * ms, seed=seed)
    a = net.population("a", 120, PoissonSource(40 * Hz))
    b = net.population("b", 150, LIF(t_ref=2 * ms, receptors={"exc": ExpCurrent(tau=3 * ms), "dopamine": Modulator()}))
    c = net.population("c", 70, AdEx(receptors={"exc": ExpCurrent(tau=3 * ms)}))
    rule = RewardSTDP(a_plus=1 * mV, a_minus=1.2 * mV, w_max=4 * mV, tau_c=100 * ms, interval=5 * ms, rate=5 * Hz)
    net.connect(a, b, receptor="exc", rule=ns.FixedProbability(0.5), weight=ns.uniform(0 * mV, 2 * weight * mV),
                delay=ns.uniform(0.3 * ms, 3 * ms), plasticity=rule, name="ab")  # fmt: skip
    net.connect(b, b, receptor="dopamine", rule=ns.FixedProbability(0.1), weight=0.1, delay=ns.uniform(1 * ms, 9 * ms))
    net.stimulate(b, PoissonInput(900 * Hz, weight=8 * mV, receptor="exc"))
    net.stimulate(b, OUNoise(0 * mV, sigma=2 * mV, tau=5 * ms))
    net.record([a, b, c], "spikes")
    net.record(b, "rate", every=5 * ms)
    net.record(b[:7], "v", every=0.7 * ms)
    net.record(net.projections["ab"], "weight", every=20 * ms)
    return net


def same(one: Any, other: Any) -> bool:
    """Whether two results hold the same numbers."""
    pairs = [(one.spikes[k].steps, other.spikes[k].steps) for k in one.spikes]
    pairs += [(one.spikes[k].ids, other.spikes[k].ids) for k in one.spikes]
    pairs += [(one.state["b"]["v"].values, other.state["b"]["v"].values)]
    pairs += [(one.weight_traces["ab"].values, other.weight_traces["ab"].values)]
    pairs += [(one.population_rates["b"].values, other.population_rates["b"].values)]
    return all(np.array_equal(x, y) for x, y in pairs)


@pytest.mark.parametrize("options", [{"backend": "reference"}, {"threads": 1}, {"threads": 2}])
def test_a_run_that_goes_on_is_the_run_that_never_stopped(options: dict[str, Any], tmp_path: Path) -> None:
    whole = network().run(150 * ms, **options)
    assert len(whole.spikes["b"]) > 100
    kept = {"checkpoint": tmp_path / "kept", "checkpoint_every": 13 * ms}
    first = network().run(40 * ms, **kept, **options)
    assert len(first.spikes["b"]) < len(whole.spikes["b"])
    network().run(97.3 * ms, resume=True, **kept, **options)
    last = network().run(150 * ms, resume=True, output=tmp_path / "out.h5", **kept, **options)
    assert same(whole, last) and last.counts == whole.counts
    assert np.array_equal(last.weights("ab"), whole.weights("ab"))
    again = network().run(150 * ms, resume=True, **kept, **options)  # nothing is left to do
    assert same(whole, again)


def test_the_number_of_threads_is_that_of_the_checkpoint(tmp_path: Path) -> None:
    whole = network().run(60 * ms)
    network().run(30 * ms, checkpoint=tmp_path / "kept", threads=2)
    result = network().run(60 * ms, checkpoint=tmp_path / "kept", threads=1, resume=True)
    assert result.provenance.threads == 2 and same(whole, result)


def test_only_the_last_states_are_kept(tmp_path: Path) -> None:
    network().run(50 * ms, checkpoint=tmp_path / "kept", checkpoint_every=10 * ms)
    states = sorted(p.name for p in (tmp_path / "kept").glob("state-*.h5"))
    assert states == ["state-000000000400.h5", "state-000000000500.h5"] and len(states) == KEPT


# -- kills ----------------------------------------------------------------------------------------------------------

SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from test_checkpoint import network
from neurosim.units import ms
print("ready", flush=True)
network().run(400*ms, threads=2, checkpoint={folder!r}, checkpoint_every=5*ms, resume=True, output={output!r})
"""


def killed(folder: Path, output: Path, after: float) -> bool:
    """Run until killed, or to the end; return whether it was killed."""
    text = textwrap.dedent(SCRIPT).format(tests=str(Path(__file__).parent), folder=str(folder), output=str(output))
    process = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    try:
        process.wait(after)
        return False
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    finally:
        process.stdout.close()


def test_kills_at_random_moments_change_nothing(tmp_path: Path) -> None:
    whole = network().run(400 * ms, threads=2)
    random_moment = random.Random(3)
    kills = 0
    while killed(tmp_path / "kept", tmp_path / "out.h5", random_moment.uniform(0.05, 1.2)) and kills < 4:
        kills += 1
    assert kills >= 2
    result = network().run(400 * ms, checkpoint=tmp_path / "kept", resume=True, output=tmp_path / "out.h5")
    assert same(whole, result) and same(whole, RunResult.load(tmp_path / "out.h5"))
    assert not list((tmp_path / "kept").glob("*.part"))


# -- what is refused ------------------------------------------------------------------------------------------------


def test_a_folder_in_use_is_not_started_anew(tmp_path: Path) -> None:
    network().run(10 * ms, checkpoint=tmp_path / "kept")
    said = refused(ParameterError, lambda: network().run(10 * ms, checkpoint=tmp_path / "kept"))
    assert said == f"'{tmp_path}/kept' holds a checkpoint at step 100: resume from it, or remove the folder"


def test_another_network_does_not_go_on(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    network().run(10 * ms, checkpoint=kept)
    for other in (network(seed=5), network(weight=2.0)):
        said = refused(ParameterError, lambda net=other: net.run(20 * ms, checkpoint=kept, resume=True))
        assert said == (f"the checkpoint '{kept}' is of another network, other parameters, another seed or other "
                        "things recorded: it cannot be gone on from")  # fmt: skip
    said = refused(ParameterError, lambda: network().run(20 * ms, backend="reference", checkpoint=kept, resume=True))
    assert said == f"the checkpoint '{kept}' is of another backend: it cannot be gone on from"
    said = refused(
        ParameterError, lambda: network().run(5 * ms, checkpoint=kept, resume=True, output=tmp_path / "out.h5")
    )
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]  # no part of a file is left
    assert said == f"the checkpoint '{kept}' is at 0.01 s, beyond the duration of 0.005 s: give a longer one"


def test_options_that_mean_nothing(tmp_path: Path) -> None:
    said = refused(ParameterError, lambda: network().run(5 * ms, checkpoint_every=1 * ms))
    assert said == "checkpoint_every needs checkpoint, the folder of the states"
    said = refused(UnsupportedError, lambda: network().run(5 * ms, backend="null", checkpoint=tmp_path / "kept"))
    assert said == "backend 'null' keeps no checkpoints: leave it out, or run with backend='native'"
    said = refused(ParameterError, lambda: network().run(5 * ms, checkpoint=tmp_path / "k", checkpoint_every=0.25 * ms))
    assert said.startswith("checkpoint_every is 0.25 ms, which is not a whole number of steps")


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    first = Checkpoints(tmp_path / "kept", False)
    said = refused(ParameterError, lambda: network().run(5 * ms, checkpoint=tmp_path / "kept"))
    assert said == f"another run uses the checkpoint '{tmp_path}/kept': give this one a folder of its own"
    first.close()
    network().run(5 * ms, checkpoint=tmp_path / "kept")


def _flip(path: Path, at: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(at * len(data))] ^= 0x10
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "foreign", "missing"])
def test_damaged_files_are_named(damage: str, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    whole = network().run(60 * ms)
    network().run(30 * ms, checkpoint=kept, checkpoint_every=10 * ms)
    last, chunk = kept / "state-000000000300.h5", kept / "recorded-00000002.h5"
    held = {path: path.read_bytes() for path in (last, chunk)}

    def go_on() -> Any:
        return network().run(60 * ms, checkpoint=kept, resume=True)

    for path in (last, chunk):
        for at in (0.3, 0.6, 0.9) if damage == "flipped" else (0.5,):
            if damage == "truncated":
                path.write_bytes(held[path][: int(at * len(held[path]))])
            elif damage == "flipped":
                _flip(path, at)
            elif damage == "empty":
                path.write_bytes(b"")
            elif damage == "foreign":
                with h5py.File(path, "w") as file:
                    file["x"] = np.arange(3)
            else:
                path.unlink()
            if damage == "missing" and path is last:  # the state before is then the last one
                assert same(whole, go_on())
                return
            with pytest.raises(ResultFileError, match="damaged|truncated|lacks") as caught:
                go_on()
            assert f"'{path}'" in caught.value.message
            if path is last:
                assert "remove it to go on from 'state-000000000200.h5'" in caught.value.message
            path.write_bytes(held[path])
    last.unlink()
    assert same(whole, go_on())


@pytest.mark.parametrize("about", ["", "[1]", "{}", '{"kind": "state", "identity": {}}', '{"kind": "recording"}'])
def test_a_file_that_was_made_up_is_no_traceback(about: str, tmp_path: Path) -> None:
    """With the right head, so that only what is in it is wrong."""
    kept = tmp_path / "kept"
    network().run(10 * ms, checkpoint=kept)
    path = kept / "state-000000000100.h5"
    with h5py.File(path, "w", userblock_size=HEAD) as file:
        file.attrs["about"] = about
        file["x"] = np.arange(3)
    with open(path, "r+b") as raw:
        seal(raw, FORMAT)
    with pytest.raises(ResultFileError, match="is no (state of a )?checkpoint"):
        network().run(20 * ms, checkpoint=kept, resume=True)


def test_every_flipped_bit_of_the_first_kilobyte_is_seen(tmp_path: Path) -> None:
    """HDF5 itself may crash on such a file; it is never asked."""
    kept = tmp_path / "kept"
    network().run(10 * ms, checkpoint=kept)
    path = kept / "state-000000000100.h5"
    data = path.read_bytes()
    for at in range(0, 1024, 3):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 8
        path.write_bytes(bytes(changed))
        with pytest.raises(ResultFileError, match="damaged|truncated"):
            Checkpoints(kept, True)


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(ResultFileError, match=f"cannot write '{tmp_path}/file': "):
        network().run(5 * ms, checkpoint=tmp_path / "file")


# -- the command ----------------------------------------------------------------------------------------------------


def test_the_command_goes_on(tmp_path: Path) -> None:
    os.chdir(tmp_path)
    call = ["run", "cuba", "--set", "n=400", "-q", "-o", "out.h5"]
    runner = CliRunner()
    assert runner.invoke(cli, [*call, "-d", "100ms"]).exit_code == 0
    whole = RunResult.load("out.h5")
    assert runner.invoke(cli, [*call, "-d", "40ms", "--checkpoint-every", "20ms"]).exit_code == 0
    assert (tmp_path / "out.h5.checkpoint").is_dir()
    again = runner.invoke(cli, [*call, "-d", "100ms", "--checkpoint-every", "20ms"])
    assert (
        again.exit_code == 2 and "holds a checkpoint at step 400: resume from it, or remove the folder" in again.stderr
    )
    assert runner.invoke(cli, [*call, "-d", "100ms", "--checkpoint-every", "20ms", "--resume"]).exit_code == 0
    result = RunResult.load("out.h5")
    assert all(result.spikes[k].identical(whole.spikes[k]) for k in whole.spikes)
    none = runner.invoke(cli, [*call, "--resume", "--checkpoint", "nowhere"])
    assert none.exit_code == 2 and "there is no checkpoint 'nowhere' to resume from" in none.stderr


def test_ctrl_c_keeps_the_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "neurosim", "run", "cuba", "-d", "500s", "--checkpoint-every", "50ms",
               "--checkpoint", "kept", "--no-raster"]  # fmt: skip
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    begin = time.monotonic()
    while not list(tmp_path.glob("kept/state-*.h5")) and time.monotonic() - begin < 120:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "the run is kept in kept: the same command with --resume goes on" in err
    assert ns.network("cuba")().run(1 * second, checkpoint=tmp_path / "kept2").provenance.status == "finished"


def test_a_recording_that_only_the_last_state_needs(tmp_path: Path) -> None:
    """The state before is gone on from, as the message says."""
    net, kept = network(), tmp_path / "kept"
    net.run(40 * ms, checkpoint=kept, checkpoint_every=10 * ms)
    (kept / "recorded-00000004.h5").unlink()
    last, before = sorted(kept.glob("state-*"), reverse=True)[:2]
    with pytest.raises(ResultFileError, match=f"remove '{last.name}' to go on from '{before.name}', the state before"):
        net.run(60 * ms, checkpoint=kept, resume=True)
    last.unlink()
    assert same(net.run(60 * ms, checkpoint=kept, resume=True), net.run(60 * ms))
    (kept / "recorded-00000002.h5").unlink()
    with pytest.raises(ResultFileError, match="to start at 0"):
        net.run(80 * ms, checkpoint=kept, resume=True)
