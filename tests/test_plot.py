"""neurosim.recording.plot: the picture of a run, small, large, and with many populations."""

# pyright: reportArgumentType=false

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from neurosim.errors import ParameterError
from neurosim.recording import Provenance, RunResult, Spikes, Trace
from neurosim.units import ms, second

DT = 1e-4
STEPS = 2000


def result(*sizes: int) -> RunResult:
    """Populations p0, p1, ... of random spikes, two a neuron, and a conductance of the first."""
    rng = np.random.default_rng(0)
    spikes = {}
    for k, size in enumerate(sizes):
        key = np.unique(rng.integers(0, STEPS * size, 2 * size))
        spikes[f"p{k}"] = Spikes(key // size, key % size, size, DT, STEPS)
    trace = Trace("g", "S", np.arange(3), (np.arange(STEPS) + 1) * DT, rng.random((STEPS, 3)) * 1e-8)
    populations = {name: s.size for name, s in spikes.items()}
    return RunResult(populations, Provenance(network="demo", dt=DT, n_steps=STEPS), spikes, {"p0": {"g": trace}})


def test_plot_is_a_figure_without_global_state(tmp_path: Path) -> None:
    run = result(60, 20)
    figure = run.plot(tmp_path / "run.png")
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")
    assert os.listdir(tmp_path) == ["run.png"]
    assert {axes.get_ylabel() for axes in figure.axes} >= {"rate (Hz)", "g (nS)"}
    assert figure.axes[-1].get_xlabel() == "time (ms)"
    shown = sum(len(c.get_offsets()) for c in figure.axes[0].collections)
    assert shown == sum(map(len, run.spikes.values()))
    assert "matplotlib.pyplot" not in subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n"
         "from neurosim.recording import *; import numpy as np\n"
         "assert not {'matplotlib', 'h5py', 'scipy'} & set(sys.modules)\n"
         "RunResult({'a': 2}, Provenance(dt=1e-3, n_steps=9), {'a': Spikes([1], [0], 2, 1e-3, 9)}).plot()\n"
         "print(*sys.modules)"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    with pytest.raises(ParameterError, match="nothing to plot: this run recorded neither"):
        RunResult({"a": 2}, Provenance(dt=DT, n_steps=5)).plot()
    with pytest.raises(ParameterError, match=r"cannot draw a '.xyz' file"):
        run.plot(tmp_path / "run.xyz")


@pytest.mark.parametrize("populations", [1, 8, 20])
def test_large_rasters_are_thinned(populations: int) -> None:
    run = result(*(20_000 // (k + 1) for k in range(populations)))
    figure = run.plot(start=50 * ms, stop=0.15 * second)
    assert any("recorded neurons" in text.get_text() for text in figure.texts)
    dots = sum(len(c.get_offsets()) for c in figure.axes[0].collections)
    assert 0 < dots < 8000
    assert figure.axes[0].get_xlim() == pytest.approx((50, 150))
