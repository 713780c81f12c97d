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


def test_long_names_leave_room_and_every_letter_can_be_read() -> None:
    from matplotlib.colors import to_rgb

    name = "layer_2_3_pyramidal_cells_of_the_primary_visual_cortex_"
    rng, spikes = np.random.default_rng(3), {}
    for k in range(6):
        spikes[name + str(k)] = Spikes(np.arange(50), rng.integers(0, 20, 50), 20, DT, STEPS)
    trace = Trace("g", "S", np.array([3, 7]), (np.arange(STEPS) + 1) * DT, rng.random((STEPS, 2)) * 1e-8)
    provenance = Provenance(network="network_" + 3 * name, dt=DT, n_steps=STEPS)
    figure = RunResult({n: 20 for n in spikes}, provenance, spikes, {name + "0": {"g": trace}}).plot()
    figure.canvas.draw()
    raster, panel = figure.axes[0], figure.axes[-1]
    assert raster.get_position().width > 0.5
    labels = [text.get_text() for text in raster.get_yticklabels()]
    assert len(set(labels)) == 6 and max(map(len, labels)) <= 24
    assert [text.get_text() for text in panel.get_legend().get_texts()] == ["neuron 3", "neuron 7"]
    assert len({line.get_color() for line in panel.get_lines()}) == 2
    for text in [*raster.get_yticklabels(), *figure.axes[2].get_yticklabels(), panel.title]:
        rgb = np.array(to_rgb(text.get_color()))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        assert 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05) >= 4.45


def test_events_are_drawn_as_events() -> None:
    """Not as the counts of steps, of up to 16,777,216, that their probes hold."""
    steps = np.arange(STEPS)
    since = np.where(steps < 500, float(1 << 24), (steps - 500.0) % 400)[:, None]
    times = (steps + 1) * DT
    state = {"p": {"plateau": Trace("plateau", "1", np.array([0]), times, since),
                   "v": Trace("v", "V", np.array([0]), times, since * 0)}}  # fmt: skip
    spikes = {"p": Spikes([1], [0], 1, DT, STEPS)}
    figure = RunResult({"p": 1}, Provenance(dt=DT, n_steps=STEPS), spikes, state).plot()
    offsets = [np.asarray(c.get_offsets()) for c in figure.axes[0].collections]
    assert [len(o) for o in offsets] == [1, 4] and offsets[1][:, 0] == pytest.approx([50, 90, 130, 170])
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == ["rate (Hz)", "v (V)"]
