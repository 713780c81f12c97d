"""C. elegans: the published counts of two reconstructions, and the dynamics of a solver that shares no code of ours."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from neurosim.errors import ParameterError, UnknownNameError
from neurosim.models.networks import c_elegans
from neurosim.models.networks.c_elegans import ablated, equilibrium, modes
from neurosim.models.networks.connectomes import Worm, read_c_elegans
from neurosim.run import simulate
from neurosim.units import ms, nA, pA, pS, second

COOK = "celegans/cook2019_herm.npz"
cook_data = pytest.mark.shared_data(COOK)


def matrices(worm: Worm) -> tuple[np.ndarray, np.ndarray]:
    """Return synapses [post, pre] and gap junctions, symmetric, as dense matrices."""
    n = len(worm.names)
    synapses, junctions = np.zeros((n, n)), np.zeros((n, n))
    synapses[worm.post, worm.pre] = worm.n_syn
    junctions[worm.left, worm.right] = junctions[worm.right, worm.left] = worm.n_gap
    return synapses, junctions


# -- the data ---------------------------------------------------------------------------------------------------------


def test_the_published_counts_of_varshney() -> None:
    """Varshney et al. count 279 neurons, 6393 synapses and 890 gap junctions, three of which join a cell to itself."""
    worm = read_c_elegans()
    assert len(worm.names) == 279 and abs(worm.n_syn.sum() - 6393) <= 1 and worm.n_gap.sum() == 890 - 3
    assert len(worm.pre) == 2194 and len(worm.left) == 514 and np.all(worm.left < worm.right)
    assert not {"CANL", "CANR", "VC6", "I1L", "M1", "NSML"} & set(worm.names)
    assert worm.gabaergic.sum() == 26
    synapses, _ = matrices(worm)
    a, b = worm.cells("AVAL"), worm.cells("VA8")
    assert synapses.sum() == 6394 and synapses[b, a] > synapses[a, b] == 0  # command neurons drive motor neurons


@cook_data
def test_the_counts_of_cook(shared: Path) -> None:
    worm = read_c_elegans(shared / COOK, "cook2019")
    assert len(worm.names) == 302 and worm.gabaergic.sum() == 26
    pharynx = [n for n in worm.names if re.fullmatch(r"I\d[LR]?|M\d[LR]?|MC[LR]|MI|NSM[LR]", n)]
    assert len(pharynx) == 20
    assert (len(worm.pre), worm.n_syn.sum(), len(worm.left), worm.n_gap.sum()) == (3709, 20_965, 1091, 5744)
    with np.load(shared / COOK) as z:  # one connection, by hand
        names, pre, post = z["nodes"], z["Generic_CS_pre"], z["Generic_CS_post"]
        here = (names[pre] == "PLML") & (names[post] == "DVA")
        size = z["Generic_CS_w"][here]
    synapses, junctions = matrices(worm)
    assert synapses[worm.cells("DVA"), worm.cells("PLML")] == size == 9
    assert junctions[worm.cells("PLML"), worm.cells("PVCL")] == 4


@cook_data
def test_the_json_file_of_cect_and_its_wheel_are_read_too(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with np.load(shared / COOK) as z:
        n = len(z["nodes"])
        dense = {}
        for kind in ("Generic_CS", "Generic_GJ"):
            dense[kind] = np.zeros((n, n))
            dense[kind][z[f"{kind}_pre"], z[f"{kind}_post"]] = z[f"{kind}_w"]
        data = {"nodes": z["nodes"].tolist(), "connections": {k: m.tolist() for k, m in dense.items()}}
    file, member = tmp_path / "Cook2019HermReader.json", "cect/cache/Cook2019HermReader.json"
    file.write_text(json.dumps(data))
    with zipfile.ZipFile(tmp_path / "cect-0.3.5-py3-none-any.whl", "w") as archive:
        archive.write(file, member)
    ours = read_c_elegans(shared / COOK, "cook2019")
    for path in (file, tmp_path / "cect-0.3.5-py3-none-any.whl"):
        theirs = read_c_elegans(path, "cook2019")
        assert theirs.names == ours.names and np.array_equal(theirs.n_gap, ours.n_gap)
    with zipfile.ZipFile(tmp_path / "cect-0.3.5-py3-none-any.whl") as archive:
        archive.extractall(tmp_path / "site")
    (tmp_path / "site" / "cect" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert np.array_equal(read_c_elegans(dataset="cook2019").n_syn, ours.n_syn)
    data["connections"]["Generic_GJ"][0][1] += 1.0
    file.write_text(json.dumps(data))
    with pytest.raises(ParameterError, match=r"no connectome of C\. elegans.*cect==0\.3\.5"):
        read_c_elegans(file, "cook2019")


def test_what_cannot_be_read_says_where_the_data_come_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    with pytest.raises(ParameterError, match=r"'cect' is not installed here.*pip download --no-deps cect==0\.3\.5"):
        read_c_elegans(dataset="cook2019")
    (tmp_path / "other.json").write_text("{}")
    for file in (tmp_path / "none.json", tmp_path / "other.json"):
        with pytest.raises(ParameterError, match="cect==0.3.5") as e:
            read_c_elegans(file, "cook2019")
        assert str(file) in str(e.value)
    with pytest.raises(ParameterError, match="dataset must be 'varshney2011' or 'cook2019', got 'white'"):
        read_c_elegans(dataset="white")


def test_neurons_are_found_by_name_and_by_class() -> None:
    worm = read_c_elegans()

    def found(which: str) -> list[str]:
        return [worm.names[k] for k in worm.cells(which)]

    assert found("PLM, AVAL") == ["AVAL", "PLML", "PLMR"] and found("") == []
    assert found("RME") == ["RMED", "RMEL", "RMER", "RMEV"] and len(found("VB")) == 11 and found("DVA") == ["DVA"]
    assert found("SMD") == ["SMDDL", "SMDDR", "SMDVL", "SMDVR"] and len(found("DB,VB,DD,VD")) == 7 + 11 + 6 + 13
    with pytest.raises(UnknownNameError, match="is named 'PLN1'; did you mean 'PLN[LR]'"):
        worm.cells("PLN1")


# -- the dynamics -----------------------------------------------------------------------------------------------------


class Oracle:
    """The same equations with dense matrices, in mV, s and 100 pS, for SciPy's solver of stiff systems."""

    def __init__(self, worm: Worm, current: float, syn: float = 1.0, gap: float = 1.0) -> None:
        """`current` in nA, into PLM; `syn` and `gap` are factors."""
        self.syn, self.gap = matrices(worm)
        self.syn, self.gap = syn * self.syn, gap * self.gap
        self.e = np.where(worm.gabaergic, -48.0, 0.0)
        self.input = np.zeros(len(worm.names))
        self.leak, self.c, self.up, self.down, self.slope = 0.1, 0.015, 1 / 1.5, 5 / 1.5, 0.125
        self.rest = self._equilibrium()
        self.input[[worm.names.index(name) for name in ("PLML", "PLMR")]] = 1e4 * current
        self.half = self._equilibrium()

    def _equilibrium(self) -> np.ndarray:
        s = self.up / (self.up + 2 * self.down)
        matrix = np.diag(self.leak + self.gap.sum(1) + s * self.syn.sum(1)) - self.gap
        return np.linalg.solve(matrix, self.input - 35 * self.leak + s * self.syn @ self.e)

    def change(self, t: float, y: np.ndarray) -> np.ndarray:
        """Return the derivatives of potentials and open fractions."""
        v, s = np.split(y, 2)
        flow = -self.leak * (v + 35) + self.gap @ v - self.gap.sum(1) * v - (self.syn @ s) * v + self.syn @ (s * self.e)
        release = 1 / (1 + np.exp(-np.clip(self.slope * (v - self.half), -500, 500)))
        return np.concatenate([(flow + self.input) / self.c, self.up * (1 - s) * release - self.down * s])

    def jacobian(self, t: float, y: np.ndarray) -> np.ndarray:
        """Return what each derivative changes with each variable."""
        v, s = np.split(y, 2)
        release = 1 / (1 + np.exp(-np.clip(self.slope * (v - self.half), -500, 500)))
        of_v = (self.gap - np.diag(self.leak + self.gap.sum(1) + self.syn @ s)) / self.c
        of_s = self.syn * (self.e - v[:, None]) / self.c
        rise = np.diag(self.up * (1 - s) * self.slope * release * (1 - release))
        return np.block([[of_v, of_s], [rise, np.diag(-self.up * release - self.down)]])

    def leading(self) -> complex:
        """Return the eigenvalue with the largest real part at the fixed point, in 1/s."""
        s = np.full(len(self.half), self.up / (self.up + 2 * self.down))
        values = np.linalg.eigvals(self.jacobian(0.0, np.concatenate([self.half, s])))
        return complex(values[values.real.argmax()])

    def solve(self, times: np.ndarray) -> np.ndarray:
        """Return the potentials [time, neuron] after a touch that comes at 0 to a worm at rest."""
        start = np.concatenate([self.rest, np.full(len(self.rest), self.up / (self.up + 2 * self.down))])
        done = solve_ivp(self.change, (0.0, times[-1]), start, "BDF", times, jac=self.jacobian, rtol=1e-8, atol=1e-8)
        assert done.success
        return done.y[: len(self.rest)].T


def potentials(duration: float, **options: object) -> tuple[np.ndarray, np.ndarray]:
    """Return times (s) and potentials (mV) of the network."""
    v = c_elegans(**options).run(duration * second).state["neurons"]["v"]  # type: ignore[arg-type]
    return v.times, 1e3 * np.asarray(v.values)


def test_potentials_are_those_of_another_solver() -> None:
    """After the first 100 ms, in which PLM comes to 8 V; couplings are those of the start of a step: first order."""
    motor = read_c_elegans().cells("DA, DB, DD, VA, VB, VD, AS")
    times, coarse = potentials(0.6)
    _, fine = potentials(0.6, dt=0.05 * ms)
    exact = Oracle(read_c_elegans(), 2.0).solve(times)
    late = times >= 0.1
    errors = [np.abs(v - exact)[late][:, motor].max() for v in (coarse, fine)]
    assert np.ptp(exact[late][:, motor], axis=0).max() > 10
    assert errors[0] < 0.1 and errors[1] == pytest.approx(errors[0] / 2, rel=0.1)


def test_a_touch_makes_the_motor_neurons_oscillate_as_published() -> None:
    motor = read_c_elegans().cells("DA, DB, DD, VA, VB, VD, AS")
    times, v = potentials(26.0)
    exact = Oracle(read_c_elegans(), 2.0).solve(times)
    late = times >= 13
    ours, theirs = (modes(times[late], x[late][:, motor]) for x in (v, exact))
    assert theirs.period == pytest.approx(1.803, abs=0.005) and theirs.share > 0.995
    assert ours.period == pytest.approx(theirs.period, rel=0.003)
    assert ours.amplitude == pytest.approx(theirs.amplitude, rel=0.01)
    assert ours.share == pytest.approx(theirs.share, abs=5e-4)
    assert abs(np.sum(ours.shapes[0] * theirs.shapes[0])) > 0.999


def test_rest_becomes_unstable_by_an_oscillation_in_one_reconstruction_only() -> None:
    """A Hopf bifurcation: two complex eigenvalues cross; none does without gap junctions."""
    worm = read_c_elegans()
    before, after = Oracle(worm, 1.2).leading(), Oracle(worm, 1.3).leading()
    assert before.real < 0 < after.real and abs(after.imag) == pytest.approx(2.9, abs=0.05)
    assert 2 * np.pi / abs(after.imag) == pytest.approx(2.17, abs=0.03)
    assert Oracle(worm, 2.0, gap=0.0).leading().real < -2
    assert Oracle(ablated(worm, "AVA"), 2.0).leading().imag != 0


@cook_data
def test_in_the_other_reconstruction_rest_gives_way_to_rest(shared: Path) -> None:
    worm, first = read_c_elegans(shared / COOK, "cook2019"), read_c_elegans()
    for syn, gap in ((1.0, 1.0), (first.n_syn.sum() / worm.n_syn.sum(), first.n_gap.sum() / worm.n_gap.sum())):
        for current in (0.5, 1.0, 2.0, 3.0):
            assert Oracle(worm, current, syn, gap).leading().imag == 0


def test_at_rest_nothing_moves_and_all_engines_agree() -> None:
    still = c_elegans(current=0 * pA).run(50 * ms).state["neurons"]["v"]
    assert np.abs(np.diff(np.asarray(still.values), axis=0)).max() < 1e-12
    a, b = (simulate(c_elegans(), 30 * ms, backend=k).state["neurons"]["v"] for k in ("native", "reference"))
    assert np.array_equal(a.values, b.values) and np.ptp(np.asarray(a.values)) > 1


def test_what_is_connected_is_what_was_read() -> None:
    worm, net = read_c_elegans(), c_elegans(g_gap=50 * pS, current=1 * nA)
    exc, inh, gap = (net.edges(name) for name in ("exc", "inh", "gap"))
    assert len(exc.pre) + len(inh.pre) == 2194 and len(gap.pre) == 2 * 514
    assert np.all(worm.gabaergic[inh.pre]) and not np.any(worm.gabaergic[exc.pre])
    assert (exc.weight.sum() + inh.weight.sum()) == pytest.approx(6394 * 100e-12)
    assert gap.weight.sum() == pytest.approx(2 * 887 * 50e-12)
    cell = net["neurons"].cell
    given = cell.value("current").value
    assert set(np.flatnonzero(given)) == set(worm.cells("PLM")) and given.max() == pytest.approx(1e-9)
    assert cell.value("v_half").value == pytest.approx(equilibrium(worm, given, g_gap=50 * pS))
    cut = c_elegans(ablate="AVA, AVB")
    gone = worm.cells("AVAL, AVAR, AVBL, AVBR")
    for name in ("exc", "inh", "gap"):
        edges = cut.edges(name)
        assert not np.any(np.isin(edges.pre, gone) | np.isin(edges.post, gone))
    with pytest.raises(ParameterError, match="g_gap must be 0 pS or more"):
        c_elegans(g_gap=-1 * pS)


def test_modes_of_a_made_up_wave() -> None:
    t = np.arange(0, 10, 0.01)
    wave = np.stack([2 * np.sin(np.pi * t), np.cos(np.pi * t), 0 * t + 5], axis=1)
    found = modes(t, wave)
    assert found.period == pytest.approx(2.0) and found.share == pytest.approx(1.0)
    assert found.amplitude == pytest.approx(np.sqrt(2), rel=1e-3) and found.courses.shape == (1000, 2)
    assert modes(t, 0 * wave).share == 0.0 and np.isnan(modes(t, 0 * wave).period)
