"""The backend ``nest`` on several MPI ranks: what one process does, one voice, and an end to every error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from nest_kit import agree

from neurosim.recording import RunResult

pytestmark = [pytest.mark.engine("nest"), pytest.mark.mpi]

HERE = Path(__file__).parent
# as many ranks as a test asks for, and for root too: Open MPI 4 and 5 want to be told
OPEN_MPI = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
}
EVERYTHING = "from test_nest_runs import varied\nnetwork = varied()\n"
SHORT_TERM = """
import neurosim as ns
from neurosim.models import LIF, ExpCurrent, PoissonInput, PoissonSource, TsodyksMarkram, TsodyksUzielMarkram
from neurosim.units import Hz, ms, mV

network = ns.Network("short", dt=0.1 * ms, seed=5)
cell = LIF(tau_m=20 * ms, t_ref=2 * ms, receptors={"e": ExpCurrent(tau=3 * ms), "i": ExpCurrent(tau=6 * ms)})
pop = network.population("pop", 101, cell)
source = network.population("source", 30, PoissonSource(60 * Hz))
network.stimulate(pop, PoissonInput(900 * Hz, weight=4 * mV, receptor="e", n=2))
network.connect(source, pop, receptor="e", rule=ns.FixedProbability(0.3), weight=1 * mV, delay=2 * ms,
                short_term=TsodyksMarkram())
network.connect(pop, pop, receptor="i", rule=ns.FixedProbability(0.1), weight=-1 * mV, delay=0.4 * ms,
                short_term=TsodyksUzielMarkram())
network.record(pop, "spikes")
network.record(source, "spikes")
network.record(pop[:7], "v")
"""
ONE_TARGET = """
import neurosim as ns
from neurosim.models import LIF, ExpCurrent, SpikeSource
from neurosim.units import ms, mV

network = ns.Network("one", dt=0.1 * ms)
pop = network.population("pop", 1, LIF(receptors={"e": ExpCurrent(tau=3 * ms)}))
source = network.population("source", 1, SpikeSource([[1.0, 2.0, 2.5, 3.0, 3.1] * ms]))
network.connect(source, pop, receptor="e", weight=90 * mV, delay=0.3 * ms)
network.record(pop, "spikes")
network.record(pop, "v")
"""
SMALL_MODELS = """
from test_nest_runs import recurrent
from neurosim.backends.nest_backend import delivery

delivery.MOST = 500
network = recurrent()
"""
OTHER = """
import neurosim as ns
from neurosim import Cell
from neurosim.units import ms, mV

network = ns.Network("other", dt=0.1 * ms)
network.population("pop", 10, Cell("dv/dt = -v/tau", threshold="v > v_th", reset="v = 0*mV", tau=20 * ms, v_th=5 * mV))
"""
ON_RANK_1 = f"""
from mpi4py import MPI
from neurosim.backends.nest_backend import engine
from neurosim.errors import BackendError

def connect(*args, make=engine.connect):
    if MPI.COMM_WORLD.rank == 1:
        raise BackendError("this rank has no memory left")
    return make(*args)

engine.connect = connect
{ONE_TARGET}"""


def mpirun(ranks: int, folder: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a network on several ranks, or a script if there are no arguments; a deadlock fails."""
    (folder / "net.py").write_text(text, encoding="utf-8")
    run = ["-m", "neurosim", "run", "net.py", *arguments] if arguments else ["net.py"]
    command = ["mpirun", "-n", str(ranks), sys.executable, *run]
    # without the variables that MPI leaves in a process that has loaded it: those are not in os.environ
    env = {**os.environ, **OPEN_MPI, "PYTHONPATH": str(HERE)}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)


def alone(folder: Path, *arguments: str) -> RunResult:
    """Run the same network in one process, without mpirun and without NEST."""
    command = [sys.executable, "-m", "neurosim", "run", "net.py", "--backend", "reference", "-o", "alone.h5"]
    env = {**os.environ, "PYTHONPATH": str(HERE)}
    subprocess.run([*command, *arguments], cwd=folder, env=env, capture_output=True, check=True)
    return RunResult.load(folder / "alone.h5")


@pytest.mark.parametrize(("text", "duration", "least"), [
    (EVERYTHING, "90ms", 50), (SHORT_TERM, "100ms", 200), (ONE_TARGET, "20ms", 1), (SMALL_MODELS, "40ms", 50),
], ids=["everything", "short-term", "one-target", "small-models"])  # fmt: skip
@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_do_what_one_process_does(tmp_path: Path, text: str, duration: str, least: int, ranks: int):
    done = mpirun(ranks, tmp_path, text, "--backend", "nest", "-d", duration, "-o", "out.h5", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)  # one object: the other ranks are silent
    agree(alone(tmp_path, "-d", duration), RunResult.load(tmp_path / "out.h5"), least=least)
    assert sorted(p.name for p in tmp_path.glob("*.h5*")) == ["alone.h5", "out.h5"]


@pytest.mark.parametrize(("text", "output", "says"), [
    (OTHER, "out.h5", "error: backend 'nest' cannot run this network: no cell of NEST's like that of population 'pop'"),
    (ONE_TARGET, "no/such/out.h5", "error: cannot write 'no/such/out.h5': its directory does not exist"),
    (ON_RANK_1, "out.h5", "rank 1: error: this rank has no memory left"),
], ids=["refused", "unwritable", "one-rank"])  # fmt: skip
def test_an_error_ends_all_ranks_and_is_told_once(tmp_path: Path, text: str, output: str, says: str):
    done = mpirun(3, tmp_path, text, "--backend", "nest", "-d", "10ms", "-o", output)
    assert done.returncode != 0
    assert done.stderr.count("error:") == 1 and says in done.stderr, done.stderr


def test_weights_that_learn(tmp_path: Path):
    text = """
import numpy as np
from test_nest_learning import RULES, ms, recurrent

net = recurrent(RULES["guetig"], 1.5 * ms)
result = net.run(150 * ms, backend="nest")
np.savez(f"{result.provenance.n_steps}.npz", result.spikes["a"].ids, *(result.weights(p) for p in net.projections))
"""
    assert mpirun(3, tmp_path, text).returncode == 0
    (tmp_path / "1500.npz").rename(tmp_path / "ranks.npz")
    subprocess.run([sys.executable, "net.py"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(HERE)}, check=True)
    one, ranks = (np.load(tmp_path / name) for name in ("1500.npz", "ranks.npz"))
    assert len(one["arr_0"]) > 300
    assert all(np.array_equal(one[key], ranks[key]) for key in one)


def test_a_script_that_fails_on_one_rank_ends_all(tmp_path: Path):
    done = mpirun(2, tmp_path, ON_RANK_1 + "network.run(10 * ms, backend='nest')\n")
    assert done.returncode != 0
    assert "BackendError: this rank has no memory left" in done.stderr
