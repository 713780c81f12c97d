"""The examples: each runs for a short time and returns the numbers that its docstring promises."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from neurosim.units import ms, second

pytestmark = pytest.mark.checkout
FOLDER = Path(__file__).resolve().parent.parent / "examples"
LONGEST = {"18": 185, "19": 130, "21": 152, "22": 120, "23": 160, "24": 90, "25": 125, "26": 90}
"""Lines: models, controllers, training, and the pictures of what came of them."""
SCRIPTS = {p.stem[:2]: p for p in sorted(FOLDER.glob("*.py"))}


def main(number: str, **arguments: Any) -> Any:
    """Run an example's main()."""
    path = SCRIPTS[number]
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
        return module.main(**arguments)
    finally:
        del sys.modules[spec.name]


def test_numbers_run_from_one_and_each_is_tested() -> None:
    assert list(SCRIPTS) == [f"{k + 1:02}" for k in range(len(SCRIPTS))] and len(SCRIPTS) == 26
    for path in SCRIPTS.values():
        text = path.read_text(encoding="utf-8")
        assert "def main(" in text and len(text.splitlines()) <= LONGEST.get(path.stem[:2], 80), path.name
        assert f'main("{path.stem[:2]}"' in Path(__file__).read_text(encoding="utf-8")


def test_one_neuron() -> None:
    found = main("01", duration=200 * ms, backend="reference")
    assert found["rate_hz"] == pytest.approx(63, rel=0.005)
    assert 0 <= found["interval_ms"] - found["closed_form_ms"] < 0.1  # a spike falls on the grid


def test_cuba() -> None:
    found = main("02")
    assert found["exc_hz"] == pytest.approx(5.5, rel=0.1) and found["inh_hz"] == pytest.approx(5.5, rel=0.1)
    assert found["cv"] == pytest.approx(0.5, abs=0.08)
    assert found["same_as_library"] == 1


def test_coba() -> None:
    found = main("03")
    assert found["exc_hz"] == pytest.approx(21, rel=0.1) and found["inh_hz"] == pytest.approx(21, rel=0.1)
    assert found["lowest_mv"] > -80  # the reversal potential of inhibition


def test_brunel_regimes(full: bool) -> None:
    found = main("04") if full else main("04", duration=400 * ms, regimes=("SR", "AI"))
    assert found["SR"]["rate_hz"] > 300 and found["SR"]["cv"] < 0.05
    assert found["AI"]["rate_hz"] == pytest.approx(37.7, rel=0.05) and found["AI"]["cv"] > 0.3
    if full:
        assert found["SI_fast"]["rate_hz"] == pytest.approx(60.7, rel=0.05) and found["SI_fast"]["cv"] > 0.3
        assert found["SI_slow"]["rate_hz"] < 10


def test_microcircuit() -> None:
    found = main("05")
    for name, rate in found["published"].items():
        assert found["rates"][name] == pytest.approx(rate, rel=0.2), name
    lowest = sorted(found["rates"], key=found["rates"].__getitem__)[:2]
    assert set(lowest) == {"L23E", "L6E"}


def test_own_cell() -> None:
    found = main("06", duration=300 * ms)
    assert found["found_hz"] == pytest.approx(found["expected_hz"], rel=0.005)
    assert found["expected_hz"][1] == pytest.approx(32.0, abs=0.05)


def test_stimuli() -> None:
    found = main("07")
    assert found["peak_hz"] == 8.0
    assert found["power_with_rhythm"] > 20 * found["power_without"]
    assert found["after_step_hz"] > 5 * found["before_step_hz"]


def test_distance_dependent() -> None:
    found = main("08", backend="reference")
    assert found["at_200um_ms"] < found["at_400um_ms"]
    assert found["speed_mm_per_ms"] == pytest.approx(0.33, abs=0.05)
    assert found["fired"] == 1 and found["spikes_per_cell"] == 1


def test_same_spikes() -> None:
    found = main("09")
    assert found.pop("spikes") > 100
    assert found == {"one_thread": 1, "two_threads": 1, "file": 1}


def test_twenty_behaviours() -> None:
    found = main("10", backend="reference")
    assert len(found) == 20
    spikes = {name: times for name, (times, _) in found.items()}
    gaps = {name: np.diff(times) for name, times in spikes.items()}

    def between(name: str, start: float, stop: float) -> int:
        return int(np.sum((spikes[name] > start) & (spikes[name] < stop)))

    def bursts(name: str) -> list[int]:
        """Spikes of each burst: gaps of 20 ms and more part them."""
        return [len(part) for part in np.split(spikes[name], np.flatnonzero(gaps[name] >= 20) + 1)]

    assert between("tonic spiking", 20, 100) >= 3 and gaps["tonic spiking"][-2:] == pytest.approx(27.2, abs=0.2)
    for name in ("phasic spiking", "rebound spike", "spike latency", "accommodation", "afterpotential"):
        assert len(spikes[name]) == 1, name
    assert len(bursts("tonic bursting")) == 4 and min(bursts("tonic bursting")) >= 5
    assert bursts("phasic bursting") == [7] and bursts("rebound burst") == [10]
    assert bursts("mixed mode") == [3, 1, 1, 1, 1]
    assert np.all(np.diff(gaps["frequency adaptation"]) > 0) and gaps["frequency adaptation"][-1] > 10 * 1.8
    slow, fast = gaps["class 1 excitable"], gaps["class 2 excitable"]
    assert np.all(np.diff(slow) < 0) and slow[0] > 2.5 * slow[-1] and slow[0] > 40  # from a low rate on
    assert fast[0] < 21  # its first rate is that of 20 ms
    assert spikes["spike latency"][0] > 13 + 4  # the pulse ended at 13 ms
    _, v = found["subthreshold oscillation"]
    late = v[400:] - v[-1]
    assert len(spikes["subthreshold oscillation"]) == 1 and np.sum(np.diff(np.sign(late)) != 0) >= 6
    assert between("resonator", 0, 280) == 0 and between("resonator", 320, 400) == 1  # 40 ms is its period, 20 not
    assert between("integrator", 14, 30) == 1 and between("integrator", 30, 100) == 0
    assert spikes["rebound spike"][0] > 25 and spikes["rebound burst"][0] > 25  # inhibition ends at 25 ms
    assert between("threshold variability", 0, 80) == 0 and between("threshold variability", 80, 100) == 1
    assert between("bistability", 37.5, 209) == 5 and between("bistability", 209, 300) == 0
    _, v = found["afterpotential"]
    assert v[130] > -70 + 10 and v[150] > -70 + 10 and v[-1] == pytest.approx(-70, abs=0.1)  # depolarised, for 8 ms
    assert spikes["accommodation"][0] > 300  # a slow ramp to 8 mV/ms makes none, a fast one to 4 does
    assert between("inhibition-induced spiking", 0, 50) == 0 and between("inhibition-induced spiking", 50, 250) == 3
    assert between("inhibition-induced spiking", 262, 350) == 0
    assert between("inhibition-induced bursting", 0, 50) == 0 and min(bursts("inhibition-induced bursting")) >= 5
    assert between("inhibition-induced bursting", 290, 350) == 0


def test_a_spiking_memory_learns_what_surprises_it() -> None:
    found = main("11", steps=(8, 16, 32, 64))
    assert -1.2 < found["slope"] < -0.8 and found["errors"][64] < 0.03
    assert found["novel"] > 2 * found["known"]


@pytest.mark.engine("torch")
def test_surprise(tmp_path: Path) -> None:
    found = main("12", path=str(tmp_path / "page.html"))
    assert found["bits_at_last"] < 5 < found["bits_at_first"]
    assert found["second"] < 0.95 * found["first"]
    assert found["second_emptied"] == pytest.approx(found["first_emptied"], rel=1e-5)
    assert (tmp_path / "page.html").read_text(encoding="utf-8").count("<span") == 640


def test_a_branch_tells_a_cluster_from_a_crowd(tmp_path: Path) -> None:
    found = main("14", path=str(tmp_path / "dendrites.png"))
    active, passive = found["spikes"], found["none"]
    assert active["clustered"] > 1.8 * active["scattered"] and passive["clustered"] < 0.8 * passive["scattered"]
    single = active["branch"][0] * np.arange(1, 11)
    assert np.all(active["branch"][1:4] < single[1:4]) and active["branch"][4] > 2.8 * single[4]
    assert np.ptp(active["branch"][4:]) < 0.05 * active["branch"][4] and np.all(passive["branch"][1:] < single[1:])
    assert (tmp_path / "dendrites.png").stat().st_size > 20_000


@pytest.mark.engine("snntorch")
def test_training() -> None:
    found = main("13", iterations=30)
    assert found["before"] < 0.5 < 0.7 < found["after"]
    assert found["same"] == found["total"] > 2000


def test_short_term(tmp_path: Path) -> None:
    found = main("15", path=str(tmp_path / "short_term.png"))
    assert (tmp_path / "short_term.png").stat().st_size > 20_000
    rates, depressing = np.array([1, 2, 5, 10, 20, 50, 100, 200.0]), found["released"]["depressing"]
    assert np.all(np.diff(depressing * rates) > 0) and 1.23 < depressing[-1] * 200 < 1 / 0.8
    assert depressing[-1] * 200 / (depressing[-3] * 50) < 1.03  # four times the rate, and nothing more arrives
    assert found["limiting"] == 2.5 and found["peak"] == pytest.approx(22, rel=0.01)
    assert rates[np.argmax(found["released"]["facilitating"])] == 20  # the nearest to the peak frequency
    before, peak, after = found["step"]
    assert peak > 1.5 * before and after == pytest.approx(before, rel=0.1)


@pytest.mark.shared_data("fly_optic_lobe/fib25-fib19_v2.2.json")
def test_the_wiring_of_t4_and_t5_tells_directions(tmp_path: Path, shared: Path, full: bool) -> None:
    picture = tmp_path / "optic_lobe.png"
    lobe = str(shared / "fly_optic_lobe/fib25-fib19_v2.2.json")
    found = main("16", connectome=lobe, extent=15 if full else 5, plot=picture)
    assert picture.stat().st_size > 20_000
    assert list(found["angles"]) == list(range(0, 360, 30)) and len(found["types"]) == 8
    for name, of in found["types"].items():
        seen, other = (of["on"], of["off"]) if name.startswith("T4") else (of["off"], of["on"])
        assert seen.max() > 5 and other.max() < 0.1 * seen.max(), name
        assert abs(of["error"]) < 20, name
        low, high = (0.14, 0.65) if name.startswith("T4") else (0.42, 0.75)
        assert low < of["index"] < high, name
    cut = main("16", connectome=lobe, extent=5, silence="Mi4,C3,CT1(M10),CT1(Lo1)")  # what makes them selective
    for name, of in cut["types"].items():
        assert of["index"] < 0.1 and (of["on"] if name.startswith("T4") else of["off"]).max() > 5, name


@pytest.mark.shared_data("fly_mushroom_body/mb_fafb783.npz")
def test_the_apl_keeps_kenyon_cells_sparse(tmp_path: Path, shared: Path, full: bool) -> None:
    picture = tmp_path / "mushroom_body.png"
    fewer = {} if full else {"seeds": (1, 3), "similarities": (0.75,)}
    found = main("17", connectome=str(shared / "fly_mushroom_body/mb_fafb783.npz"), plot=picture, **fewer)
    assert picture.stat().st_size > 20_000
    sparse, dense = found["with"], found["without"]
    assert 0.03 < np.mean(sparse["active"]) < 0.07 and 0.25 < np.mean(dense["active"]) < 0.36
    assert np.all(sparse["active"] < 0.25 * dense["active"])
    alike = {word: of["alike"][1:, of["alike"][0] == 0.75].mean(axis=1) for word, of in found.items()}
    assert alike["with"][0] == alike["without"][0]  # the same projection neurons
    assert alike["with"][1] < alike["with"][0] - 0.05 and alike["without"][1] > alike["with"][1] + 0.08
    if full:
        assert alike["with"] == pytest.approx([0.61, 0.52], abs=0.01)
        assert alike["without"][1] == pytest.approx(0.65, abs=0.01)


def test_hidden_pattern() -> None:
    found = main("20", duration=50 * second)
    first, last = found["first"], found["last"]
    assert first.hit_rate > 0.9 and first.false_alarms > 300  # it fires at anything
    assert last.hit_rate > 0.95 and last.false_alarms == 0 and last.latency < 0.010
    assert found["strong"][0] > 100 and found["strong"][1] == 0


@pytest.mark.shared_data("neural_recordings/grasshopper_1.npz", "neural_recordings/grasshopper_2.npz")
def test_a_receptor_is_fitted_and_predicted() -> None:
    """A sixth of the generations, on the faster sound: enough to be better than both GLMs where nothing was fitted."""
    found = main("18", generations=25, trials=8, fitted_to=("grasshopper_2",))
    same, other = found["grasshopper_2", "grasshopper_2"], found["grasshopper_2", "grasshopper_1"]
    assert same["GLM"]["bits"] == pytest.approx(1.799, abs=0.01)  # the same every time: its likelihood is concave
    assert same["GLM of dB"]["bits"] == pytest.approx(1.525, abs=0.01)
    for scores in (same, other):
        for model in ("GLM", "GLM of dB"):
            assert scores["cell"]["gamma"] > scores[model]["gamma"] and scores["cell"]["psth"] > scores[model]["psth"]
    assert same["cell"]["bits"] > 2 and other["cell"]["bits"] > 1.4
    assert 5.5 < found["grasshopper_2"]["latency"] < 7


@pytest.mark.engine("torch")
@pytest.mark.shared_data("mnist/mnist.npz")
def test_one_spike_is_enough(tmp_path: Path, full: bool) -> None:
    picture = tmp_path / "first.png"
    fewer: dict[str, Any] = {} if full else {"epochs": 1, "count": 200, "grids": (4, 16), "shown": (2, 16)}
    found = main("22", path=picture, **fewer)
    assert picture.stat().st_size > 20_000
    assert found["exact"] == found["network"] > (98 if full else 96) and found["error"] < 1e-9
    assert found["spikes"] < 0.35
    for way in ("first spikes", "first spikes, cut", "rates"):
        (first, *_), (last, spikes, operations) = list(found[way].values())[0], list(found[way].values())[-1]
        assert last > found["network"] - 2 and last > first
        assert spikes < 0.35 if way != "rates" else spikes > 4 * found["spikes"]
        assert (operations < 1.1 * found["macs"]) == (way != "rates")
    assert found["first spikes, cut"][13][0] > found["first spikes"][13][0] + 20


def test_poles_are_balanced(tmp_path: Path) -> None:
    found = main("19", poles=20, path=str(tmp_path / "pole.gif"), frames=3)
    assert found["stand"] >= 19 and found["stand_without_a_tenth"] > 10
    assert 0.2 < found["angle_deg"] < 5  # hits and noise move it, and it is brought back
    assert found["stand_without_pushes"] == 0
    with Image.open(tmp_path / "pole.gif") as film:
        assert getattr(film, "n_frames", 1) == 3


@pytest.mark.engine("snntorch")
@pytest.mark.shared_data("nmnist_small/nmnist_small.npz")
def test_recordings_of_digits_are_told_apart(tmp_path: Path, shared: Path, full: bool) -> None:
    picture, data = tmp_path / "event_camera.png", shared / "nmnist_small" / "nmnist_small.npz"
    found = main("21", data=data, epochs=40 if full else 8, path=picture)
    assert picture.stat().st_size > 20_000
    assert found["module"] > (0.93 if full else 0.8) and found["same"] >= 0.98
    assert found["confusion"].sum() == 100 and np.trace(found["confusion"]) == round(100 * found["native"])


@pytest.mark.shared_data("fsdd/fsdd_8khz.npz")
def test_spoken_digits(tmp_path: Path, shared: Path) -> None:
    """A quarter of the recordings and few epochs: far above chance, not yet good."""
    found = main("23", epochs=4, fraction=0.25, folder=shared / "fsdd", path=str(tmp_path / "spoken_digits.png"))
    assert found["before"] < 0.3 < 0.4 < found["after"]
    assert found["integers"] > 0.4 and found["two_bits_trained"] > max(0.3, found["two_bits"] - 0.1)
    assert found["same"] == found["total"] > 2000
    assert (tmp_path / "spoken_digits.png").stat().st_size > 20_000
    with pytest.raises(SystemExit, match="is missing: main"):
        main("23", folder=tmp_path)


@pytest.mark.shared_data("celegans/cook2019_herm.npz")
def test_a_touched_worm(tmp_path: Path, shared: Path, full: bool, capsys: pytest.CaptureFixture[str]) -> None:
    picture, file = tmp_path / "c_elegans.png", shared / "celegans" / "cook2019_herm.npz"
    fewer: dict[str, Any] = {} if full else {"currents": (1.0, 2.0), "variants": ("no gap junctions",), "seconds": 26}
    found = main("24", connectome=str(file), plot=picture, **fewer)
    assert picture.stat().st_size > 20_000
    for current, m in found["touched"].items():
        assert (m.amplitude > 1) == (current > 1.25), current
    assert found["touched"][2.0].period == pytest.approx(1.80, abs=0.01)
    assert found["touched"][2.0].share == pytest.approx(0.997, abs=1e-3)
    assert found["touched"][2.0].amplitude == pytest.approx(7.3, abs=0.1)
    for name, m in found["variants"].items():
        assert (m.amplitude > 1) == (name in ("without AVA", "without AVB")), name
    assert list(found["cook"]) == list(found["touched"]) and all(m.amplitude < 0.1 for m in found["cook"].values())
    found = main("24", connectome=str(tmp_path / "none.whl"), currents=(2.0,), variants=(), seconds=1)
    assert found["cook"] == {} and "is left out: there is no file" in capsys.readouterr().out


@pytest.mark.shared_data("fly_brain_reference/shiu_sugar_spikes.npz")
def test_sugar(tmp_path: Path, shared: Path, full: bool) -> None:
    """Of one neuron, or, in the full tier, of all; the whole brain is a made-up one in the published format."""
    from test_fly_brain import write_brain

    from neurosim.models.networks.fly_brain import MN9, SUGAR
    from neurosim.models.networks.fly_circuit import read_sugar_spikes

    spikes, picture = shared / "fly_brain_reference" / "shiu_sugar_spikes.npz", tmp_path / "fly_sugar.png"
    ids = read_sugar_spikes(spikes).ids
    sugar, mn9 = np.flatnonzero(np.isin(ids, SUGAR)), np.searchsorted(ids, MN9)
    table, neurons = write_brain(tmp_path, sugar, np.full(len(sugar), mn9), np.full(len(sugar), 15), ids)
    fewer: dict[str, Any] = {} if full else {"ids": [MN9], "trials": 4}
    found = main("25", spikes=spikes, connectivity=table, neurons=neurons, plot=picture, **fewer)
    assert picture.stat().st_size > 20_000
    assert found["alone"]["same_step"] > 0.98 and found["alone"]["mn9"][1] == pytest.approx(67, abs=3)
    assert found["whole"] > 0.95 and found["connections"] > (14_000 if full else 40)
    brain = found["brain"]
    assert brain["active"] == (448, 22) and brain["mn9"][0] == pytest.approx(93.3, abs=0.1) and brain["mn9"][1] > 50
    assert brain["synapses_right"] < 0.2  # that brain is not the one that made the spikes
    if full:
        assert found["against_dale"] < 0.006
        assert found["together"]["mn9"][1] == pytest.approx(66, abs=2)
        assert np.corrcoef(found["together"]["rates"])[0, 1] > 0.998


@pytest.mark.shared_data("mnist/mnist.npz")
def test_digits_without_a_teacher(tmp_path: Path, shared: Path, full: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """A few hundred images: far above chance, not yet good."""
    file, kept, picture = shared / "mnist" / "mnist.npz", tmp_path / "digits.npz", tmp_path / "digits.png"
    few: dict[str, Any] = {"n": 100, "images": 5000} if full else {"n": 50, "images": 300, "labelled": 300}
    found = main("26", **few, tested=1000 if full else 200, checkpoint=kept, path=picture, file=file)
    assert picture.stat().st_size > 20_000 and kept.stat().st_size > 784 * few["n"] * 8
    assert found["right"] > (0.7 if full else 0.4) and found["confusion"].sum() == (1000 if full else 200)
    assert set(found["labels"]) <= set(range(-1, 10)) and found["learned"].shown == few["images"]
    assert f"{few['images']:,} of {few['images']:,} images" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="is missing: main"):
        main("26", file=tmp_path / "none.npz")
