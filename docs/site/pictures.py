"""The pictures of the gallery: an example is run as its script runs it, and what it found is drawn.

Those that take seconds are drawn whenever the site is built. Those that take longer, or need PyTorch, are kept in
docs/images: ``scripts/site --picture 04`` draws one anew. Some are drawn by the example itself.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from neurosim.lang.network import Network

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
SHARED = Path(os.environ.get("NEUROSIM_SHARED_DATA") or ROOT.parent / "shared" / "data")
KEPT = {"04": "brunel_regimes.png", "05": "microcircuit.png", "11": "surprise.png", "12": "surprising_text.png",
        "13": "train_it.png", "14": "dendrites.png", "15": "short_term.png", "16": "optic_lobe.png",
        "17": "mushroom_body.png", "18": "grasshopper.png", "19": "pole.png", "20": "hidden_pattern.png",
        "21": "event_camera.png", "22": "time_to_first_spike.png", "23": "spoken_digits.png",
        "24": "c_elegans.png", "25": "fly_sugar.png", "26": "digits.png"}  # fmt: skip
"""Number of an example -> its picture in docs/images. All others are drawn when the site is built."""

Draw = Callable[[Any, list[Any]], Any]
DRAW: dict[str, Draw] = {}


def example(number: str) -> Path:
    """Return the script of a number."""
    return next((ROOT / "examples").glob(f"{number}_*.py"))


def numbers() -> list[str]:
    """Return the numbers of all examples."""
    return sorted(path.name[:2] for path in (ROOT / "examples").glob("[0-9][0-9]_*.py"))


def draws(number: str) -> Callable[[Draw], Draw]:
    """Enter a function that makes a figure of what main() returned and of the results of its runs."""

    def enter(draw: Draw) -> Draw:
        DRAW[number] = draw
        return draw

    return enter


def make(number: str, path: Path) -> None:
    """Run an example and save its picture."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    module, before, found = _load(example(number)), Network.run, []

    def run(net: Network, *args: Any, **options: Any) -> Any:
        found.append(before(net, *args, **options))
        return found[-1]

    here = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:  # what else it writes is not wanted
        os.chdir(folder)
        try:
            Network.run = run  # type: ignore[method-assign]
            figure = DRAW[number](module, found)
        finally:
            Network.run = before  # type: ignore[method-assign]
            os.chdir(here)
    if figure is not None:
        figure.savefig(path, dpi=120, metadata={"Software": None})
    plt.close("all")


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _axes(rows: int = 1, columns: int = 1, **options: Any) -> tuple[Any, Any]:
    import matplotlib.pyplot as plt

    return plt.subplots(rows, columns, figsize=options.pop("figsize", (7, 3.6)), layout="constrained", **options)


def _raster(ax: Any, spikes: Any, count: int, window: tuple[float, float] = (0, np.inf), color: str = "C0") -> None:
    """Draw the spikes of the first neurons of a population, in ms."""
    shown = (spikes.ids < count) & (spikes.t >= window[0]) & (spikes.t < window[1])
    ax.plot(1e3 * spikes.t[shown], spikes.ids[shown], "|", color=color, ms=3, mew=0.8)


@draws("01")
def one_neuron(module: Any, runs: list[Any]) -> Any:
    found = module.main()
    trace, times = runs[0].state["neuron"]["v"], runs[0].spikes["neuron"].t
    figure, ax = _axes()
    ax.plot(1e3 * trace.times, 1e3 * trace.of(0), lw=1)
    ax.vlines(1e3 * times, -50, -40, color="C1", label="spikes")
    ax.set(xlim=(0, 200), xlabel="time (ms)", ylabel="v (mV)")
    ax.set_title(f"every {found['interval_ms']:.1f} ms; closed form {found['closed_form_ms']:.2f} ms", fontsize=10)
    ax.legend(loc="lower right")
    return figure


@draws("02")
def cuba(module: Any, runs: list[Any]) -> Any:
    module.main()
    figure, (top, bottom) = _axes(2, 1, height_ratios=(3, 1), sharex=True)
    _raster(top, runs[0].spikes["exc"], 200)
    counts = np.bincount((runs[0].spikes["exc"].t / 5e-3).astype(int))
    bottom.stairs(counts / 5e-3 / 3200, 5 * np.arange(len(counts) + 1), color="C0")
    top.set(ylabel="200 of 3200 cells", xlim=(0, 1000))
    bottom.set(xlabel="time (ms)", ylabel="rate (Hz)")
    return figure


@draws("03")
def coba(module: Any, runs: list[Any]) -> Any:
    module.main()
    trace = runs[0].state["exc"]["v"]
    figure, (top, bottom) = _axes(2, 1, sharex=True)
    _raster(top, runs[0].spikes["exc"], 200)
    for k in range(3):
        bottom.plot(1e3 * trace.times, 1e3 * trace.of(k), lw=0.8)
    top.set(ylabel="200 cells", xlim=(0, 500))
    bottom.set(xlabel="time (ms)", ylabel="v of three (mV)")
    return figure


@draws("04")
def brunel(module: Any, runs: list[Any]) -> Any:
    found = module.main()
    figure, axes = _axes(2, 2, sharex=True, sharey=True, figsize=(7, 4.4))
    for ax, (regime, row), result in zip(axes.flat, found.items(), runs, strict=True):
        _raster(ax, result.spikes["exc"], 50, (0.4, 0.5))
        ax.set_title(f"{regime}: {row['rate_hz']:.0f} Hz, CV {row['cv']:.2f}", fontsize=10)
    figure.supxlabel("time (ms)", fontsize=10), figure.supylabel("50 of 10,000 cells", fontsize=10)
    return figure


@draws("05")
def microcircuit(module: Any, runs: list[Any]) -> Any:
    module.main(plot=str(IMAGES / KEPT["05"]))


@draws("06")
def own_cell(module: Any, runs: list[Any]) -> Any:
    found = module.main()
    eta = np.linspace(0.1, 4.5, 200)
    figure, ax = _axes()
    ax.plot(eta, np.sqrt(eta) / (np.pi * 0.01), "k", lw=1, label=r"$\sqrt{\eta}/(\pi\tau)$")
    ax.plot([0.25, 1, 4], found["found_hz"], "o", label="simulated")
    ax.set(xlabel=r"$\eta$", ylabel="rate (Hz)")
    ax.legend()
    return figure


@draws("07")
def stimuli(module: Any, runs: list[Any]) -> Any:
    module.main()
    figure, axes = _axes(3, 1, sharex=True, figsize=(7, 4.4))
    for ax, (name, color) in zip(axes, (("rhythm", "C0"), ("noise", "C1"), ("step", "C2")), strict=True):
        counts = np.bincount((runs[0].spikes[name].t / 10e-3).astype(int), minlength=200)
        ax.stairs(counts / 10e-3 / 200, 10 * np.arange(len(counts) + 1), color=color, fill=True, alpha=0.8)
        ax.set_ylabel(f"{name} (Hz)")
    axes[-1].set(xlabel="time (ms)", xlim=(0, 1500))
    return figure


@draws("08")
def distance_dependent(module: Any, runs: list[Any]) -> Any:
    module.main()
    spikes, side = runs[0].spikes["sheet"], module.SIDE
    first = np.full(side * side, np.nan)
    first[spikes.ids] = 1e3 * spikes.t
    figure, ax = _axes(figsize=(7, 4.4))
    extent = (0, (side - 1) * 25, 0, (side - 1) * 25)
    picture = ax.imshow(first.reshape(side, side), origin="lower", extent=extent, cmap="viridis")
    figure.colorbar(picture, label="time of the spike (ms)")
    ax.set(xlabel="x (um)", ylabel="y (um)")
    return figure


@draws("09")
def same_spikes(module: Any, runs: list[Any]) -> Any:
    found = module.main()
    figure, ax = _axes()
    names = ("reference", "native, one thread", "native, two threads")
    for k, (name, result) in enumerate(zip(names, runs, strict=True)):
        spikes = result.spikes["exc"]
        shown = spikes.ids < 40
        ax.plot(1e3 * spikes.t[shown], spikes.ids[shown], "o", ms=12 - 4 * k, mfc="none", color=f"C{k}", label=name)
    ax.set(xlabel="time (ms)", ylabel="40 of 800 cells", xlim=(0, 100))
    ax.set_title(f"{found['spikes']} spikes of all cells, the same in each run", fontsize=10)
    ax.legend(loc="upper left", fontsize=8)
    return figure


@draws("10")
def twenty_behaviours(module: Any, runs: list[Any]) -> Any:
    found = module.main()
    figure, axes = _axes(5, 4, figsize=(8, 6.5))
    for ax, (title, (times, path)) in zip(axes.flat, found.items(), strict=True):
        ax.plot(0.1 * np.arange(len(path)), path, lw=0.8)
        ax.vlines(times, 0, 30, color="C0", lw=0.8)
        ax.set(ylim=(-100, 35), xticks=[], yticks=[])
        ax.set_title(title, fontsize=8)
    return figure


@draws("11")
def surprise(module: Any, runs: list[Any]) -> Any:
    _as_script("11", "surprise.png")


@draws("12")
def surprising_text(module: Any, runs: list[Any]) -> Any:
    """The page that the example writes, as Chromium shows it."""
    import shutil
    import subprocess

    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise RuntimeError("the picture of example 12 is of a page: Chromium is needed to draw it")
    module.main(path="surprise.html")
    picture = f"--screenshot={IMAGES / KEPT['12']}"
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--window-size=760,420",
        picture,
        Path("surprise.html").resolve().as_uri(),
    ]
    subprocess.run(command, check=True, capture_output=True)


@draws("13")
def train_it(module: Any, runs: list[Any]) -> Any:
    found = module.main()
    figure, axes = _axes(2, 4, sharex=True, sharey="row", height_ratios=(3, 1), figsize=(7.5, 3.8))
    for (top, bottom), result in zip(axes.T, runs, strict=False):
        _raster(top, result.spikes["hidden"], module.HIDDEN)
        _raster(bottom, result.spikes["out"], module.CLASSES, color="C1")
        bottom.set(ylim=(-0.5, module.CLASSES - 0.5), yticks=range(module.CLASSES))
    axes[0, 0].set_ylabel("hidden"), axes[1, 0].set_ylabel("out")
    figure.supxlabel("time (ms)", fontsize=10)
    figure.suptitle(f"four unseen patterns; {found['after']:.0%} of 400 are told right", fontsize=10)
    return figure


@draws("14")
def dendrites(module: Any, runs: list[Any]) -> Any:
    module.main(path=str(IMAGES / KEPT["14"]))


@draws("15")
def short_term(module: Any, runs: list[Any]) -> Any:
    module.main(path=str(IMAGES / KEPT["15"]))


@draws("16")
def optic_lobe(module: Any, runs: list[Any]) -> Any:
    module.main(plot=str(IMAGES / KEPT["16"]))


@draws("17")
def mushroom_body(module: Any, runs: list[Any]) -> Any:
    module.main(plot=str(IMAGES / KEPT["17"]))


@draws("18")
def grasshopper(module: Any, runs: list[Any]) -> Any:
    module.main(path=str(IMAGES / KEPT["18"]))


@draws("19")
def pole(module: Any, runs: list[Any]) -> Any:
    module.main(path=str(IMAGES / KEPT["19"]))


@draws("20")
def hidden_pattern(module: Any, runs: list[Any]) -> Any:
    module.main(path=str(IMAGES / KEPT["20"]))


@draws("21")
def event_camera(module: Any, runs: list[Any]) -> Any:
    module.main(path=str(IMAGES / KEPT["21"]))


@draws("23")
def spoken_digits(module: Any, runs: list[Any]) -> Any:
    module.main(path=str(IMAGES / KEPT["23"]))


@draws("24")
def c_elegans(module: Any, runs: list[Any]) -> Any:
    module.main(SHARED / "celegans" / "cook2019_herm.npz", plot=str(IMAGES / KEPT["24"]))


@draws("25")
def fly_sugar(module: Any, runs: list[Any]) -> Any:
    module.main(SHARED / "fly_brain_reference" / "shiu_sugar_spikes.npz", plot=str(IMAGES / KEPT["25"]))


@draws("26")
def digits(module: Any, runs: list[Any]) -> Any:
    module.main(file=SHARED / "mnist" / "mnist.npz", path=str(IMAGES / KEPT["26"]))


@draws("22")
def time_to_first_spike(module: Any, runs: list[Any]) -> Any:
    module.main(path=str(IMAGES / KEPT["22"]))


def _as_script(number: str, picture: str) -> None:
    """Run a script that draws in its last lines, and keep what it has drawn."""
    import runpy
    import shutil

    runpy.run_path(str(example(number)), run_name="__main__")
    shutil.copy(picture, IMAGES / KEPT[number])
