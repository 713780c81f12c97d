"""Networks of published connectomes: every edge as published, rest as declared, errors that say where the data are."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from neurosim.cli.main import cli
from neurosim.errors import ParameterError, UnknownNameError
from neurosim.models.networks import mushroom_body, optic_lobe
from neurosim.models.networks.connectomes import read_mushroom_body, read_optic_lobe
from neurosim.models.networks.mushroom_body import Odours, odours_of
from neurosim.models.networks.optic_lobe import DETECTORS, PREFERRED, SLOW, moving_edges, population, selectivity
from neurosim.run import simulate
from neurosim.units import Hz, ms, mV, second

LOBE, EXPANDED = "fly_optic_lobe/fib25-fib19_v2.2.json", "fly_optic_lobe/optic_lobe_e15.npz"
BODY = "fly_mushroom_body/mb_fafb783.npz"
lobe_data, body_data = pytest.mark.shared_data(LOBE), pytest.mark.shared_data(BODY)


def wheel(path: Path, member: str, file: Path) -> Path:
    """Write a wheel that holds a file."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(file, member)
    return path


# -- the optic lobe ---------------------------------------------------------------------------------------------------


@pytest.mark.shared_data(LOBE, EXPANDED)
def test_the_expansion_is_the_published_network_edge_for_edge(shared: Path) -> None:
    """The other file was made by flyvis' own code; order, counts and signs are the same."""
    ours, theirs = read_optic_lobe(shared / LOBE), read_optic_lobe(shared / EXPANDED)
    assert len(ours.kind) == 45_669 and len(ours.pre) == 1_513_231 and len(ours.types) == 65
    assert ours.types == theirs.types
    for key in ("kind", "u", "v", "pre", "post", "n_syn", "sign"):
        assert np.array_equal(getattr(ours, key), getattr(theirs, key)), key
    assert np.mean(ours.sign > 0) == pytest.approx(0.650, abs=5e-4)
    small, cut = read_optic_lobe(shared / LOBE, 4), read_optic_lobe(shared / EXPANDED, 4)
    assert len(small.kind) == len(cut.kind) == 63 * 61 + 2 * 11
    assert np.array_equal(small.pre, cut.pre) and np.array_equal(small.n_syn, cut.n_syn)


@lobe_data
def test_columns_lie_on_a_hexagonal_lattice(shared: Path) -> None:
    lobe = read_optic_lobe(shared / LOBE, 2)
    cells = lobe.cells("Mi1")
    distance = np.hypot(lobe.x[cells][:, None] - lobe.x[cells], lobe.y[cells][:, None] - lobe.y[cells])
    assert np.sort(distance[9])[1:7] == pytest.approx(1.0) and np.hypot(lobe.x[cells[9]], lobe.y[cells[9]]) == 0
    assert np.max(np.hypot(lobe.x, lobe.y)) == pytest.approx(2.0)


@lobe_data
def test_a_wheel_and_an_installed_package_are_read_too(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = wheel(tmp_path / "flyvis-1.2.0-py3-none-any.whl", "flyvis/connectome/fib25-fib19_v2.2.json", shared / LOBE)
    assert np.array_equal(read_optic_lobe(packed, 1).post, read_optic_lobe(shared / LOBE, 1).post)
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(tmp_path / "site")
    (tmp_path / "site" / "flyvis" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert len(read_optic_lobe(extent=1).kind) == 63 * 7 + 2


@lobe_data
def test_what_cannot_be_read_says_where_the_data_come_from(shared: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"nodes": []}')
    for path in (tmp_path / "none.json", other, shared / LOBE.replace("fib25-fib19_v2.2.json", "README.txt"), tmp_path):
        with pytest.raises(ParameterError, match=r"pip download --no-deps flyvis==1\.2\.0") as e:
            read_optic_lobe(path)
        assert str(path) in str(e.value)
    with pytest.raises(ParameterError, match=r"fly-ftl-extract==0\.1\.0"):
        read_mushroom_body(shared / LOBE)
    with pytest.raises(ParameterError, match="from 1 to 15, got 16"):
        read_optic_lobe(shared / LOBE, 16)


def test_without_the_package_the_command_line_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    for name, package in (("optic_lobe", "flyvis"), ("mushroom_body", "fly_ftl_extract")):
        with pytest.raises(ParameterError, match=f"'{package}' is not installed here.*set path to the wheel"):
            optic_lobe() if name == "optic_lobe" else mushroom_body()
    said = CliRunner().invoke(cli, ["run", "optic_lobe", "--set", "path=none.json"])
    assert said.exit_code != 0 and "no file 'none.json'" in said.output and "flyvis==1.2.0" in said.output


@lobe_data
def test_t4a_to_d_differ_in_their_wiring_only(shared: Path) -> None:
    net = optic_lobe(str(shared / LOBE), extent=2)
    assert sum(p.n for p in net.populations.values()) == 63 * 19 + 2 * 3
    assert sum(len(c.rule.pre) for c in net.projections.values()) == len(read_optic_lobe(shared / LOBE, 2).pre)
    for group in (DETECTORS[:4], DETECTORS[4:]):
        cells = [net[name].cell for name in group]
        for key in ("tau_m", "v_rest", "v_th", "tau_a", "jump"):
            assert len({float(c.value(key).value) for c in cells}) == 1, key
    into = np.cumsum([0, *(p.n for p in net.populations.values())])
    slow_types = [list(net.populations).index(population(name)) for name in SLOW]
    source = np.searchsorted(into, net.projections["slow"].rule.pre, side="right") - 1
    assert set(source) == set(slow_types)


@lobe_data
def test_in_grey_every_cell_rests_where_it_should(shared: Path) -> None:
    """The biases come from a mean-field formula; what runs are spikes."""
    net = optic_lobe(str(shared / LOBE), extent=3, rate=40 * Hz, margin=5 * mV)
    rates = net.run(550 * ms, backend="native").rates(start=100 * ms)
    assert max(rates[name] for name in DETECTORS) == 0
    others = np.array([r for name, r in rates.items() if name not in DETECTORS])
    assert np.mean(others) == pytest.approx(40, rel=0.03) and np.all(np.abs(others - 40) < 20)


@lobe_data
@pytest.mark.parametrize("backend", ["native"])
def test_the_lobe_has_the_spikes_of_the_reference(shared: Path, backend: str) -> None:
    net = optic_lobe(str(shared / LOBE), extent=1, angle=90.0, polarity="off")
    a, b = (simulate(net, 60 * ms, backend=k) for k in (backend, "reference"))
    assert sum(len(s) for s in a.spikes.values()) > 500
    assert all(np.array_equal(a.spikes[k].ids, b.spikes[k].ids) for k in a.spikes)
    assert all(np.array_equal(a.spikes[k].steps, b.spikes[k].steps) for k in a.spikes)


@lobe_data
def test_an_edge_reaches_a_column_when_it_should(shared: Path) -> None:
    """Photoreceptors fall silent in the order in which a dark edge comes (R4: others also have feedback)."""
    net, edges = optic_lobe(str(shared / LOBE), extent=4, angle=0.0, polarity="off"), moving_edges(0.0, "off", extent=4)
    spikes = net.run(edges.duration, backend="native").spikes["R4"]
    lobe = read_optic_lobe(shared / LOBE, 4)
    cells = lobe.cells("R4")
    due = edges.arrivals(lobe.x[cells], lobe.y[cells])[0]
    last = np.array([spikes.t[spikes.ids == k].max() for k in range(len(cells))])
    assert np.corrcoef(last, due)[0, 1] > 0.95 and np.all(np.abs(last - due) < 0.1)
    assert np.ptp(due) == pytest.approx(2 * 4 * np.sqrt(3) / 2 / 12)


def test_tuning_of_made_up_spikes() -> None:
    edges = moving_edges(extent=5)
    assert len(edges.angles) == 24 and edges.contrasts == (1,) * 12 + (-1,) * 12
    x, y = np.array([0.0, 1.0, 4.0]), np.array([0.0, 0.0, 0.0])
    due = edges.arrivals(x, y)
    times = np.concatenate([due[3] + 0.005, due[3] + 0.015, due[15, :1] + 0.1])  # upwards: two spikes and one
    ids = np.array([0, 1, 2, 0, 1, 2, 0])
    found = edges.responses(times, ids, x, y, radius=2.0)
    assert found[3] == pytest.approx(2 / 0.05) and found[15] == pytest.approx(0.5 / 0.05)
    assert np.count_nonzero(found) == 2
    angles = np.array(edges.angles[:12])
    assert selectivity(angles, found[:12]) == pytest.approx((1.0, 90.0))
    assert selectivity(angles, np.ones(12))[0] == pytest.approx(0.0, abs=1e-12)
    assert selectivity(angles, np.zeros(12))[0] == 0.0
    assert selectivity(np.array([0.0, 180.0]), np.array([3.0, 1.0])) == pytest.approx((0.5, 0.0))
    assert set(PREFERRED.values()) == {0.0, 90.0, 180.0, 270.0}


@lobe_data
def test_silenced_types_have_no_output_and_the_others_rest_as_before(shared: Path) -> None:
    path = str(shared / LOBE)
    whole, cut = optic_lobe(path, extent=1), optic_lobe(path, extent=1, silence="Mi9, CT1(M10)")
    lobe = read_optic_lobe(path, 1)
    gone = np.isin(lobe.kind, [lobe.types.index("Mi9"), lobe.types.index("CT1(M10)")])
    for name in ("fast", "slow"):
        rule, weight = cut.projections[name].rule, cut.projections[name].weight
        assert np.array_equal(weight, np.where(gone[rule.pre], 0.0, whole.projections[name].weight))
    rise = [float(np.mean(n["T4a"].cell.value("bias").value)) for n in (whole, cut)]
    assert rise[1] < rise[0]  # less inhibition in grey, less bias
    with pytest.raises(UnknownNameError, match="no cell type 'Mi99'.*Mi9"):
        optic_lobe(path, extent=1, silence="Mi99")


def test_numbers_that_mean_nothing_are_refused() -> None:
    for wrong, message in (({"polarity": "bright"}, "'on', 'off' or 'both'"), ({"speed": 0.0}, "columns per second"),
                           ({"gain": -1.0}, "gain must be 0 or more"), ({"rate": 300 * Hz}, "at most 200 Hz"),
                           ({"margin": -1 * mV}, "margin must be 0 mV"), ({"record": "T4a"}, "'all' or 'detectors'"),
                           ({"adaptation": float("nan")}, "adaptation must be")):  # fmt: skip
        with pytest.raises(ParameterError, match=message):
            optic_lobe("unread", **wrong)
    with pytest.raises(ParameterError, match="apl must be 0 or more"):
        mushroom_body("unread", apl=-1.0)


# -- the mushroom body ------------------------------------------------------------------------------------------------


@body_data
def test_the_mushroom_body_as_published(shared: Path, tmp_path: Path) -> None:
    body = read_mushroom_body(shared / BODY)
    assert {k: len(v) for k, v in body.groups.items()} == {"PN": 124, "KC": 2597, "APL": 1, "MBON": 48, "DAN": 165}
    assert len(body.pre) == 24_777 and body.n_syn.min() == 5
    assert body.sign[body.groups["APL"][0]] == -1 and np.all(body.sign[body.groups["KC"]] == 1)
    sources, targets, n_syn = body.between("KC", "APL")
    assert len(sources) == 2596 and set(targets) == {0} and n_syn.sum() == 56_261
    with np.load(shared / BODY) as raw:  # one connection, by hand
        row, first = int(body.groups["APL"][0]), raw["indptr"][int(body.groups["APL"][0])]
        assert raw["data"][first] == -body.n_syn[(body.pre == row)][0]
    packed = wheel(tmp_path / "f.whl", "fly_ftl_extract/data/mb_fafb783.npz", shared / BODY)
    assert np.array_equal(read_mushroom_body(packed).n_syn, body.n_syn)


@body_data
def test_weights_are_counts_times_the_weight_of_a_synapse(shared: Path) -> None:
    net = mushroom_body(str(shared / BODY), apl=0.5, w_syn=0.1 * mV)
    body = read_mushroom_body(shared / BODY)
    assert set(net.projections) == {"PN_KC", "PN_APL", "KC_KC", "KC_APL", "KC_MBON", "APL_KC", "APL_MBON", "MBON_KC",
                                    "MBON_APL", "MBON_MBON"}  # fmt: skip
    assert net.projections["PN_KC"].weight == pytest.approx(1e-4 * body.between("PN", "KC")[2])
    assert net.projections["APL_KC"].weight == pytest.approx(-0.5e-4 * body.between("APL", "KC")[2])
    assert set(np.sign(net.projections["MBON_MBON"].weight)) == {-1, 1}


@body_data
def test_odours_excite_glomeruli(shared: Path) -> None:
    body = read_mushroom_body(shared / BODY)
    glomerulus = body.glomerulus[body.groups["PN"]]
    same, odours = odours_of(body, similarity=1.0), odours_of(body, odours=40, similarity=0.0)
    assert np.ptp(same.rates, axis=0).max() == 0
    assert np.all(odours.rates[:, np.char.startswith(glomerulus, "VP")] == 2)
    for name in set(glomerulus):
        assert np.ptp(odours.rates[:, glomerulus == name], axis=1).max() == 0
    excited = odours.rates[:, ~np.char.startswith(glomerulus, "VP")] > 2
    assert np.mean(excited) == pytest.approx(0.5, abs=0.05) and odours.rates.max() < 167
    assert odours_of(body, seed=2).rates.tolist() != odours_of(body, seed=3).rates.tolist()
    for wrong, message in (({"odours": 0}, "odours must be a whole number"), ({"trials": 1.5}, "trials must be"),
                           ({"similarity": 1.5}, "from 0 to 1"), ({"peak": -1 * Hz}, "peak must be 0 Hz")):  # fmt: skip
        with pytest.raises(ParameterError, match=message):
            mushroom_body(str(shared / BODY), **wrong)


def test_spikes_are_counted_during_odours() -> None:
    odours = Odours(np.array([[10.0, 0.0], [0.0, 20.0]]), trials=2, spontaneous=1.0)
    assert odours.duration == 4 * second
    course = np.asarray(odours.course.values)
    assert course.shape == (40, 2) and course[[0, 5, 10, 15, 25], 0].tolist() == [1, 10, 1, 0, 10]
    t = np.array([0.4999, 0.5, 0.9999, 1.2, 1.7, 2.6, 3.9])
    counts = odours.counts(t, np.array([0, 0, 0, 1, 1, 0, 1]), 2)
    assert counts.tolist() == [[[2, 0], [0, 1]], [[1, 0], [0, 1]]]
