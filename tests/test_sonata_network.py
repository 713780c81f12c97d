"""SONATA networks in and out: the Allen Institute's circuits against NEST, round trips to the bit, and mistakes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import sonata_kit as kit
from click.testing import CliRunner
from conftest import SHARED

import neurosim as ns
from neurosim.cli.load import load
from neurosim.cli.main import cli
from neurosim.errors import NeurosimError, ParameterError, ResultFileError
from neurosim.interchange.sonata import edges as edge_reader
from neurosim.interchange.sonata import files
from neurosim.interchange.sonata.build import Circuit, read_network
from neurosim.interchange.sonata.write import export
from neurosim.models import (
    LIF,
    AlphaCurrent,
    DCInput,
    DeltaCurrent,
    DendriticSpike,
    ExpConductance,
    ExpCurrent,
    Passive,
    PoissonInput,
    PoissonSource,
    SpikeSource,
)
from neurosim.recording import read_spikes
from neurosim.units import Hz, Quantity, ms, mV, nS, ohm, pA, pF

ALLEN = SHARED / "sonata"
NEST = Path(__file__).with_name("sonata_nest.py")


def raster(circuit: Circuit, duration: Quantity, backend: str = "reference") -> set[tuple[str, int, int]]:
    """Every spike as (SONATA's population, its node id, step)."""
    result = circuit.network.run(duration, backend=backend)
    out = set()
    for part in circuit.parts:
        if part.built is not None:
            spikes = result.spikes[part.label]
            ids = part.nodes.ids[part.rows[spikes.ids]]
            out |= {(part.nodes.name, i, s) for i, s in zip(ids.tolist(), spikes.steps.tolist(), strict=True)}
    return out


def in_nest(tmp: Path, circuit: Path, spikes: Path, tstop: float, dt: float, *more: str) -> set[tuple[str, int, int]]:
    """The same circuit in NEST, read by libsonata, in a process of its own."""
    out = tmp / "nest.npz"
    subprocess.run([sys.executable, str(NEST), str(circuit), str(spikes), str(tstop), str(dt), str(out), *more],
                   check=True, capture_output=True, text=True)  # fmt: skip
    with np.load(out) as found:
        names = [key.removesuffix("_ids") for key in found if key.endswith("_ids")]
        return {(name, i, s) for name in names
                for i, s in zip(found[f"{name}_ids"], found[f"{name}_steps"], strict=True)}  # fmt: skip


# -- the Allen Institute's circuits


@pytest.mark.engine("nest")
@pytest.mark.shared_data("sonata")
@pytest.mark.parametrize(
    ("simulation", "outline", "spikes", "dt", "span", "options"),
    [
        ("bmtk_point_120cells/config.simulation.json", "bmtk_point_120cells/config.circuit.json",
         "bmtk_point_120cells/inputs/thalamus_spikes.h5", 0.02, 250, {}),
        ("bmtk_point_450glifs/config.simulation.json", "bmtk_point_450glifs/config.circuit.json",
         "bmtk_point_450glifs/inputs/lgn_spikes.h5", 0.1, 600, {}),
        ("sonata_300_pointneurons/config.json", "sonata_300_pointneurons/circuit_config.json",
         "sonata_300_pointneurons/inputs/external_spike_trains.h5", 0.05, 250, {"delay": 1 * ms}),
    ],
    ids=["120cells", "450glifs", "300_pointneurons"],
)  # fmt: skip
def test_circuits_of_the_allen_institute_spike_as_in_nest(
    simulation: str, outline: str, spikes: str, dt: float, span: int, options: dict[str, Any], tmp_path: Path
) -> None:
    components = str(ALLEN / "point_components")
    circuit = read_network(str(ALLEN / simulation), dt=dt * ms, components=components, **options)
    ours = raster(circuit, span * ms, "native")
    theirs = in_nest(tmp_path, ALLEN / outline, ALLEN / spikes, span, dt, components)
    assert len(theirs) > 50
    assert ours == theirs


def intfire_components(folder: Path) -> str:
    """The parameters that the circuit names and the shared data lack; tau in seconds, as BMTK reads it."""
    folder.mkdir()
    for name, tau in (("exc", 0.024), ("inh", 0.007)):
        (folder / f"IntFire1_{name}_1.json").write_text(json.dumps({"tau": tau, "refrac": 0.003}), encoding="utf-8")
    for name, sign in (("Exc", 1), ("Inh", -1)):
        text = json.dumps({"level_of_detail": "instantaneous", "sign": sign})
        (folder / f"instanteneous{name}.json").write_text(text, encoding="utf-8")
    return str(folder)


def event_driven(circuit: Circuit, steps: int) -> set[tuple[str, int, int]]:
    """IntFire1 as NEURON computes it, from event to event: m decays as exp(-t/tau); what arrives at once is added."""
    net = circuit.network
    (part,) = [p for p in circuit.parts if p.built is not None]
    n, dt = len(part.rows), net.dt
    tau, refractory = (np.broadcast_to(part.group.cell.value(key).value, (n,)) for key in ("tau", "refrac"))
    due: list[dict[int, float]] = [{} for _ in range(steps + 1000)]
    rows: dict[str, list[tuple[np.ndarray, np.ndarray, int]]] = {}
    for p in net.projections.values():
        order = np.argsort(p.rule.pre, kind="stable")
        first = np.searchsorted(p.rule.pre[order], np.arange(len(p.pre) + 1))
        rows.setdefault(p.pre.name, []).append((order, first, p))

    def send(population: str, neuron: int, step: int) -> None:
        for order, first, p in rows[population]:
            for k in order[first[neuron] : first[neuron + 1]]:
                wait = step + round((p.delay if np.ndim(p.delay) == 0 else p.delay[k]) / dt)
                target = int(p.rule.post[k])
                due[wait][target] = due[wait].get(target, 0.0) + (p.weight if np.ndim(p.weight) == 0 else p.weight[k])

    for other in circuit.parts:
        if other.built is None:
            schedule = other.group.cell.schedule.lower(len(other.rows), dt, other.label, None)
            for step, neuron in zip(schedule.steps.tolist(), schedule.neurons.tolist(), strict=True):
                if step < steps:
                    send(other.label, neuron, step)
    m, at, free = np.zeros(n), np.zeros(n, int), np.full(n, -1)
    found = set()
    for step in range(steps):
        for target, weight in due[step].items():
            if step <= free[target]:
                continue  # refractory: the event is lost
            start = max(at[target], free[target])
            m[target] = m[target] * np.exp(-(step - start) * dt / tau[target]) + weight
            at[target] = step
            if m[target] > 1:
                found.add((part.nodes.name, target, step))
                m[target], free[target] = 0.0, step + round(refractory[target] / dt)
                send(part.label, target, step)
    return found


@pytest.mark.shared_data("sonata")
def test_the_circuit_of_intfire_cells_follows_neurons_events(tmp_path: Path) -> None:
    components = intfire_components(tmp_path / "components")
    circuit = read_network(str(ALLEN / "sonata_300_intfire/config.json"), components=components)
    weights = {name: p.weight for name, p in circuit.network.projections.items()}
    assert min(weights["v1_to_v1"]) == -0.15 * 10 and max(weights["v1_to_v1"]) == pytest.approx(3.0)  # sign * nsyns
    ours = raster(circuit, 600 * ms, "native")
    assert len(ours) > 100 and ours == event_driven(circuit, 6000)


@pytest.mark.shared_data("sonata")
@pytest.mark.parametrize(
    ("path", "options", "sentence"),
    [
        ("sonata_300_intfire/config.json", {}, "'instanteneousInh.json' is needed, .*synaptic_models_dir"),
        ("sonata_300_intfire/config.json", {"components": str(ALLEN / "point_components")},
         "'IntFire1_exc_1.json' is needed, .*--set components=FOLDER"),
        ("sonata_300_intfire/simulation_config.json", {}, "names no circuit.*'network'"),
        ("sonata_300_pointneurons/config.json", {}, "'ExcToExc.json' is needed"),
        ("sonata_300_pointneurons/config.json", {"components": str(ALLEN / "point_components")},
         "'external_to_internal' .* no 'delay'.*--set delay=1ms"),
        ("bmtk_point_120cells/config.simulation_iclamp.nwb.json", {}, "'current_clamp_1' is of the type 'nwb'"),
        ("bmtk_point_120cells/config.simulation_perturbations.json", {}, "no file '.*thalamus_spikes.csv'"),
        ("bmtk_point_120cells/config.simulation.json", {"dt": 0.1 * ms}, "2 spikes of 'thalamus' fall into the step"),
    ],
)  # fmt: skip
def test_what_the_allen_circuits_need_and_lack_is_named(path: str, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(NeurosimError) as told:
        read_network(str(ALLEN / path), **options)
    assert re.search(sentence, str(told.value), re.DOTALL)


@pytest.mark.shared_data("sonata")
@pytest.mark.parametrize("kind", ["", ".aslist", ".csv"])
def test_current_clamps_of_all_spellings(kind: str) -> None:
    """250 pF, 10 ms: 150 pA lift the membrane by 6 mV, 175 by 7, 200 by 8."""
    circuit = read_network(str(ALLEN / f"bmtk_point_120cells/config.simulation_iclamp{kind}.json"), dt=0.5 * ms)
    circuit.network.record(circuit.network["cortex"][:1], "v")
    trace = circuit.network.run(3 * 1000 * ms, backend="native").state["cortex"]["v"]
    ends = (800.0, 1300.0, 1800.0, 2300.0) if kind == ".csv" else (500.0, 1000.0, 1500.0, 2000.0)
    for start, stop, pulse in ((ends[0], ends[1], 150.0), (ends[2], ends[3], 175.0)):
        at = np.searchsorted(trace.times, (stop - 1.0) / 1e3)
        before = np.searchsorted(trace.times, (start - 1.0) / 1e3)
        exact = -70e-3 + pulse * 1e-12 * 40e6 * (1 - np.exp(-(trace.times[at] - start * 1e-3) / 10e-3))
        assert trace.values[at, 0] == pytest.approx(exact, abs=1e-9)
        assert trace.values[before, 0] == pytest.approx(-70e-3, abs=1e-9)


# -- circuits of our own


@pytest.mark.engine("nest")
@pytest.mark.parametrize("template", ["iaf_psc_alpha", "iaf_psc_exp", "iaf_psc_delta"])
def test_a_small_circuit_spikes_as_in_nest(template: str, tmp_path: Path) -> None:
    path = kit.small(tmp_path)
    table = tmp_path / "net_node_types.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("iaf_psc_alpha", template), encoding="utf-8")
    if template == "iaf_psc_delta":
        file = tmp_path / "cells" / "iaf.json"
        file.write_text(json.dumps({k: v for k, v in kit.IAF.items() if "syn" not in k} | {"I_e": 130.0}), "utf-8")
        with h5py.File(tmp_path / "in_edges.h5", "r+") as edges:
            edges["edges/in/0/syn_weight"][:] = [9.0, 8.0, 7.0]
    ours = raster(read_network(str(path)), 100 * ms)
    assert len(ours) > 10
    assert ours == in_nest(tmp_path, tmp_path / "circuit.json", tmp_path / "in.h5", 100.0, 0.1)


@pytest.mark.engine("nest")
def test_all_five_glif_models_spike_as_in_nest(tmp_path: Path) -> None:
    """Two neurons of each level, driven through both receptors, with parameters that tell the terms apart."""
    kit.small(tmp_path)
    flags = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0), (1, 1, 1)]
    rows = ["node_type_id model_type model_template dynamics_params"]
    for k, on in enumerate(flags):
        cell = {"E_L": -70.0, "V_m": -68.0, "V_th": -50.0, "g": 8.0, "C_m": 70.0, "t_ref": 2.4, "V_reset": -71.0,
                "asc_decay": [0.003, 0.1], "asc_amps": [-9.0, -120.0], "asc_r": [1.0, 0.7], "tau_syn": [5.5, 2.8],
                "th_spike_add": 2.0, "th_spike_decay": 0.03, "voltage_reset_fraction": 0.3, "voltage_reset_add": 3.0,
                "th_voltage_index": 0.004, "th_voltage_decay": 0.07,
                **dict(zip(("spike_dependent_threshold", "after_spike_currents", "adapting_threshold"),
                           map(bool, on), strict=True))}  # fmt: skip
        (tmp_path / "cells" / f"glif{k + 1}.json").write_text(json.dumps(cell), encoding="utf-8")
        rows.append(f"{k} point_neuron nest:glif_psc glif{k + 1}.json")
    kit.nodes(tmp_path, "net", [0, 1, 2, 3, 4] * 2, "\n".join(rows))
    for name, number in (("one", 1), ("two", 2)):
        (tmp_path / "synapses" / f"{name}.json").write_text(json.dumps({"receptor_type": number}), encoding="utf-8")
    every = list(range(10))
    kit.edges(tmp_path, "in", ("ext", "net"), [0] * 10 + [1] * 10, every * 2, [1] * 10 + [2] * 10,
              "edge_type_id dynamics_params delay\n1 one.json 1.5\n2 two.json 1.0\n",
              {"syn_weight": [150.0 + 7 * k for k in every] + [-40.0] * 10})  # fmt: skip
    rng = np.random.default_rng(5)
    steps = np.sort(rng.choice(np.arange(1, 2900), 900, replace=False))
    kit.spikes(tmp_path / "in.h5", "ext", (steps * 0.1).tolist(), (rng.random(900) < 0.3).astype(int).tolist())
    path = kit.circuit(tmp_path, ["net", "ext"], ["in"])
    circuit = read_network(str(path))
    assert sorted(p.built.cell.name for p in circuit.parts if p.built) == [f"GLIF{k}" for k in range(1, 6)]
    ours = raster(circuit, 300 * ms)
    assert len({node for _, node, _ in ours}) == 10
    assert ours == in_nest(tmp_path, tmp_path / "circuit.json", tmp_path / "in.h5", 300.0, 0.1)


def test_nodes_of_several_groups_types_and_orders(tmp_path: Path) -> None:
    kit.small(tmp_path)
    table = ("node_type_id model_type model_template dynamics_params\n7 point_neuron nest:iaf_psc_alpha iaf.json\n"
             "8 point_neuron nest:iaf_psc_exp iaf.json\n")  # fmt: skip
    kit.nodes(tmp_path, "net", [7, 8, 7], table, {"0": {"x": [5.0]}, "1": {"x": [1.0, 2.0]}}, [1, 0, 1])
    circuit = read_network(str(tmp_path / "simulation.json"))
    parts = {p.label: p.rows.tolist() for p in circuit.parts}
    assert parts == {"net_iaf_psc_alpha": [0, 2], "net_iaf_psc_exp": [1], "ext": [0, 1]}
    assert circuit.network["net_iaf_psc_alpha"].positions[:, 0] * 1e6 == pytest.approx([1.0, 2.0])
    ends = {(p.pre.name, p.post.name, p.receptor): p.rule.pre.tolist() for p in circuit.network.projections.values()}
    assert ends["net_iaf_psc_alpha", "net_iaf_psc_exp", "exc"] == [0]
    assert ends["net_iaf_psc_exp", "net_iaf_psc_alpha", "inh"] == [0]


def test_weights_by_orientation_order_and_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups may hold their edges in any order, and pieces of any size give the same network."""
    kit.small(tmp_path)
    kit.nodes(tmp_path, "net", [7, 7, 7], (tmp_path / "net_node_types.csv").read_text(encoding="utf-8"),
              {"0": {"tuning_angle": [0.0, 30.0, 170.0]}})  # fmt: skip
    table = "edge_type_id weight_function weight_sigma delay\n5 gaussianLL 50.0 2.0\n"
    kit.edges(tmp_path, "rec", ("net", "net"), [0, 1, 2, 0], [1, 2, 0, 2], [5] * 4, table,
              {"syn_weight": [4.0, 3.0, 2.0, 1.0]}, [3, 0, 2, 1])  # fmt: skip
    whole = read_network(str(tmp_path / "simulation.json")).network.projections["rec"]
    apart = np.array([30.0, 40.0, 10.0, 10.0])  # 170 and 0 degrees are 10 apart: orientation, not direction
    assert whole.weight == pytest.approx(np.array([1.0, 4.0, 2.0, 3.0]) * np.exp(-((apart / 50) ** 2)) * 1e-12)
    for module in (files, edge_reader):
        monkeypatch.setattr(module, "CHUNK", 1)
    pieces = read_network(str(tmp_path / "simulation.json")).network.projections["rec"]
    assert np.array_equal(pieces.weight, whole.weight) and np.array_equal(pieces.rule.post, whole.rule.post)


def test_spikes_between_steps_and_at_zero(tmp_path: Path) -> None:
    path = kit.small(tmp_path)
    kit.spikes(tmp_path / "in.h5", "ext", [0.1, 0.31, 0.4000000001, 0.05], [0, 0, 1, 1])
    circuit = read_network(str(path))
    steps = circuit.network["ext"].cell.schedule.lower(2, 1e-4, "ext", None).steps.tolist()
    assert steps == [0, 0, 3, 3]  # stamped at the end of their step, the first one as it stands
    assert any("2 of 4 spikes lie between two steps" in note for note in circuit.notes)
    kit.spikes(tmp_path / "in.h5", "ext", [0.0], [0])
    with pytest.raises(ParameterError, match="the first one possible is at 0.1 ms"):
        read_network(str(path))
    (tmp_path / "in.csv").write_text("timestamps population node_ids\n1.0 ext 0\n2.0 ext 1\n", encoding="utf-8")
    csv = {"in": {"input_type": "spikes", "module": "csv", "input_file": "./in.csv", "node_set": "ext"}}
    circuit = read_network(str(kit.circuit(tmp_path, ["net", "ext"], ["in", "rec"], inputs=csv)))
    assert circuit.network["ext"].cell.schedule.lower(2, 1e-4, "ext", None).steps.tolist() == [9, 19]


def test_a_run_writes_the_spikes_that_the_configuration_wants(tmp_path: Path) -> None:
    import libsonata

    path = kit.small(tmp_path, output={"output_dir": "./out", "spikes_file": "s.h5", "spikes_file_csv": "s.csv"})
    loaded = load(str(path), ("dt=0.05ms", "net.tau_m=11ms"), 4)
    assert loaded.network.dt == 0.05e-3 and loaded.network.seed == 4 and loaded.duration is not None
    assert loaded.finish is not None
    loaded.finish.ready()
    result = loaded.network.run(loaded.duration, backend="reference")
    out = tmp_path / "out"
    assert loaded.finish(result) == {"spikes": str(out / "s.h5"), "spikes as text": str(out / "s.csv")}
    times, ids = read_spikes(tmp_path / "out" / "s.h5")["net"]
    assert np.array_equal(np.rint(times / 0.05e-3) - 1, result.spikes["net"].steps) and len(ids) > 10
    assert len(libsonata.SpikeReader(str(tmp_path / "out" / "s.h5"))["net"].get()) == len(ids)
    assert len((tmp_path / "out" / "s.csv").read_text(encoding="utf-8").splitlines()) == len(ids) + 1


def test_the_command_runs_a_configuration(tmp_path: Path) -> None:
    path = kit.small(tmp_path)
    done = CliRunner().invoke(cli, ["run", str(path), "-b", "reference", "--set", f"output={tmp_path / 'elsewhere'}"])
    assert done.exit_code == 0, done.output
    assert len(read_spikes(tmp_path / "elsewhere" / "spikes.h5")["net"][0]) > 10


# -- mistakes


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def edit(path: Path, name: str, values: Any) -> None:
    with h5py.File(path, "r+") as file:
        attributes = dict(file[name].attrs) if name in file else {}
        if name in file:
            del file[name]
        if values is not None:
            file[name] = values
            file[name].attrs.update(attributes)


TYPES, SIM, CIRCUIT = "net_node_types.csv", "simulation.json", "circuit.json"
MISTAKES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no configuration": (lambda d: (d / SIM).unlink(), "no file '.*simulation.json'"),
    "no JSON": (lambda d: change(d / SIM, "{", "{,"), "is not valid JSON"),
    "no circuit": (lambda d: (d / CIRCUIT).unlink(), "no file '.*circuit.json'"),
    "no nodes": (lambda d: (d / "net_nodes.h5").unlink(), "the nodes: there is no file '.*net_nodes.h5'"),
    "wrong section": (lambda d: change(d / SIM, '"inputs"', '"input"'), "no section 'input'.*did you mean 'inputs'"),
    "wrong key": (lambda d: change(d / CIRCUIT, '"nodes_file"', '"node_file"'), "no 'nodes_file'.*did you mean "
                                                                                "'node_file'"),
    "wrong variable": (lambda d: change(d / CIRCUIT, '"$NET/net_nodes.h5"', '"$NOT/net_nodes.h5"'), "variable that"),
    "wrong number": (lambda d: change(d / SIM, '"dt": 0.1', '"dt": -1'), "run.dt .* positive"),
    "wrong node set": (lambda d: change(d / SIM, '"ext"', '"exd"'), "node set 'exd'.*did you mean 'ext'"),
    "spikes of others": (lambda d: kit.spikes(d / "in.h5", "exd", [1.0], [0]), "no spikes of the population "
                                                                               "'ext'.*'exd'"),
    "spikes of nobody": (lambda d: kit.spikes(d / "in.h5", "ext", [1.0], [2]), "node 2, which the population 'ext' "
                                                                               "of 2"),
    "spikes for cells": (lambda d: (change(d / SIM, '"ext"', '"net"'), kit.spikes(d / "in.h5", "net", [1.0], [0])),
                         "'net', whose nodes are not virtual"),
    "input type": (lambda d: change(d / SIM, '"spikes"', '"lfp"'), "the input 'in' is of the type 'lfp'"),
    "module": (lambda d: change(d / SIM, '"h5"', '"nwb"'), "the input 'in' .* module 'nwb'"),
    "wrong population": (lambda d: change(d / CIRCUIT, '{"nodes_file": "$NET/ext_nodes.h5", "node_types_file": '
                                          '"$NET/ext_node_types.csv"}', '{"nodes_file": "$NET/x_nodes.h5"}')
                         or kit.nodes(d, "x", [], "a\n"), "population 'x' has 0 nodes"),
    "biophysical": (lambda d: change(d / TYPES, "point_neuron", "biophysical"), "nodes 'net' .*no cells with a "
                                                                                "morphology"),
    "model type": (lambda d: change(d / TYPES, "point_neuron", "point_neuro"), "'point_neuro'.*did you mean "
                                                                               "'point_neuron'"),
    "template": (lambda d: change(d / TYPES, "iaf_psc_alpha", "aeif_psc_alpha"), "'nest:aeif_psc_alpha', which "
                                                                                 "neurosim"),
    "parameter": (lambda d: change(d / "cells/iaf.json", '"V_th"', '"Vth"'), "no parameter 'Vth'; did you mean 'V_th'"),
    "lowest": (lambda d: change(d / "cells/iaf.json", '"E_L"', '"V_min": -90.0, "E_L"'), "'V_min' .a lowest potential"),
    "parameters": (lambda d: (d / "cells/iaf.json").unlink(), "'iaf.json' is needed.*--set components=FOLDER"),
    "type of node": (lambda d: change(d / TYPES, "7 point", "8 point"), "node_type_id 7.*known: 8"),
    "type of edge": (lambda d: change(d / "rec_edge_types.csv", "6 -200.0", "9 -200.0"), "edge_type_id 6.*known: 5, 9"),
    "row": (lambda d: change(d / TYPES, "iaf.json e", "iaf.json"), "line 2 of .* has 4 entries for 5 columns"),
    "commas": (lambda d: change(d / TYPES, " ", ","), "no column 'node_type_id'.*separated by spaces"),
    "synapse": (lambda d: change(d / "in_edge_types.csv", "static_synapse", "stdp_synapse"), "'stdp_synapse'"),
    "function": (lambda d: change(d / "rec_edge_types.csv", "target_query", "weight_function"), "the function 'ei == "
                                                                                                "'e''"),
    "receptor": (lambda d: (d / "synapses/none.json").write_text('{"receptor_type": 2}'), "receptor_type 2"),
    "synaptic": (lambda d: (d / "synapses/none.json").write_text('{"tau_rec": 2}'), "parameters tau_rec"),
    "no weight": (lambda d: edit(d / "in_edges.h5", "edges/in/0/syn_weight", None), "have no weight"),
    "no delay": (lambda d: change(d / "in_edge_types.csv", " 1.5", " NULL"), "have no 'delay'.*--set delay=1ms"),
    "bad delay": (lambda d: change(d / "in_edge_types.csv", " 1.5", " 1.57"), "nearest legal"),
    "negative delay": (lambda d: change(d / "in_edge_types.csv", " 1.5", " -1"), "must be positive"),
    "edges of nobody": (lambda d: edit(d / "in_edges.h5", "edges/in/source_node_id", np.array([0, 9, 1])),
                        "names node 9, which the population 'ext'"),
    "end": (lambda d: h5py.File(d / "in_edges.h5", "r+")["edges/in/source_node_id"].attrs.__setitem__(
        "node_population", "exd"), "population 'exd'.*did you mean 'ext'"),
    "lengths": (lambda d: edit(d / "in_edges.h5", "edges/in/target_node_id", np.zeros(2, int)), "has 2 entries where"),
    "kind": (lambda d: edit(d / "in_edges.h5", "edges/in/target_node_id", np.zeros(3)), "not an array of whole "
                                                                                        "numbers"),
    "outside": (lambda d: edit(d / "in_edges.h5", "edges/in/edge_group_index", np.array([0, 1, 7])), "entry 7 is "
                                                                                                     "asked"),
    "infinite": (lambda d: edit(d / "in_edges.h5", "edges/in/0/syn_weight", np.array([1, np.inf, 1])), "infinite"),
    "twice": (lambda d: edit(d / "net_nodes.h5", "nodes/net/node_id", np.array([0, 1, 1])), "names a node twice"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_sentences(name: str, tmp_path: Path) -> None:
    kit.small(tmp_path)
    spoil, sentence = MISTAKES[name]
    spoil(tmp_path)
    done = CliRunner().invoke(cli, ["run", str(tmp_path / SIM), "-b", "reference"])
    assert done.exit_code in (2, 3), done.output
    assert re.search(sentence, done.output, re.DOTALL), done.output
    assert "not your fault" not in done.output


def test_files_that_lie_or_are_cut_short(tmp_path: Path) -> None:
    kit.small(tmp_path)
    clean = {name: (tmp_path / name).read_bytes() for name in ("net_nodes.h5", "rec_edges.h5", "in.h5")}
    for name, data in clean.items():
        for part in (0, 7, 100, 600, len(data) // 2, len(data) - 9):
            (tmp_path / name).write_bytes(data[:part])
            with pytest.raises(ResultFileError, match=name):
                read_network(str(tmp_path / SIM))
        (tmp_path / name).write_bytes(data)
    edges = tmp_path / "rec_edges.h5"
    with h5py.File(edges, "r+") as file:  # a dataset that claims 8 TB and holds nothing
        del file["edges/rec/0"], file["edges/rec/edge_type_id"]
        file.create_dataset("edges/rec/edge_type_id", shape=(10**12,), dtype="u8", chunks=(1024,))
    with pytest.raises(ResultFileError, match="claims 8000000000000 bytes"):
        read_network(str(tmp_path / SIM))
    edges.write_bytes(clean["rec_edges.h5"])
    with h5py.File(edges, "r+") as file:
        del file["edges/rec/source_node_id"]
        file["edges/rec/source_node_id"] = h5py.ExternalLink("/etc/passwd", "/x")
    with pytest.raises(ResultFileError, match="'source_node_id' in /edges/rec is a link"):
        read_network(str(tmp_path / SIM))
    edges.write_bytes(clean["rec_edges.h5"])
    with h5py.File(edges, "r+") as file:
        file.attrs.modify("magic", np.uint32(7))
    with pytest.raises(ResultFileError, match="not a SONATA one"):
        read_network(str(tmp_path / SIM))


# -- out


def lif(**more: Any) -> Any:
    return LIF(tau_m=17 * ms, v_rest=-70 * mV, v_th=-55 * mV, v_reset=-64 * mV, t_ref=1.5 * ms, r_m=1.3e8 * ohm, **more)


def exponential() -> ns.Network:
    net = ns.Network("exponential", dt=0.1 * ms, seed=8)
    cell = LIF(v_rest=-49 * mV, t_ref=5 * ms, receptors={"e": ExpCurrent(tau=5 * ms), "i": ExpCurrent(tau=10 * ms)})
    a = net.population("a", 40, cell, init={"v": ns.uniform(-60 * mV, -50 * mV)})
    b = net.population("b", 10, cell(tau_m=ns.uniform(15 * ms, 25 * ms)), init={"v": ns.uniform(-60 * mV, -50 * mV)})
    weight, delay = ns.normal(1.6 * mV, 0.3 * mV, lo=0 * mV, hi=3 * mV), ns.uniform(0.1 * ms, 2 * ms)
    net.connect(a, a + b, receptor="e", rule=ns.FixedProbability(0.2), weight=weight, delay=delay)
    net.connect(b, [a, b], receptor="i", rule=ns.FixedInDegree(3), weight=-9 * mV, delay=0.3 * ms)
    return net


def alpha() -> ns.Network:
    net = ns.Network("alpha", dt=0.1 * ms, seed=3)
    cells = net.population("cells", 12, lif(receptors={"syn": AlphaCurrent(tau=2.5 * ms)}), init={"v": -66 * mV},
                           positions=ns.grid_positions((3, 4), Quantity(1e-5, ns.units.LENGTH)))  # fmt: skip
    source = net.population("source", 3, SpikeSource([np.array([1.0, 4.0]) * ms, 2 * ms, []], period=7 * ms))
    net.connect(source, cells, weight=ns.uniform(150 * pA, 400 * pA), delay=0.7 * ms)
    net.connect(cells, cells, rule=ns.FixedProbability(0.3), weight=ns.uniform(-90 * pA, 90 * pA), delay=1.1 * ms)
    net.stimulate(cells[2:7], DCInput(90 * pA, 10 * ms, 50 * ms))
    return net


def delta() -> ns.Network:
    net = ns.Network("delta", dt=0.1 * ms, seed=5)
    cells = net.population("cells", 20, lif(receptors={"jump": DeltaCurrent}))
    net.stimulate(cells, PoissonInput(15000 * Hz, 0.37 * mV), name="noise")
    net.connect(cells, cells, rule=ns.FixedInDegree(4), weight=ns.uniform(-1 * mV, 1 * mV), delay=1.5 * ms)
    return net


def unnamed() -> ns.Network:
    """Cells that SONATA has no name for: conductances, an equation of one's own, random sources."""
    net = ns.Network("unnamed", dt=0.1 * ms, seed=6)
    coba = LIF(v_rest=-60 * mV, v_th=ns.normal(-50 * mV, 1 * mV), receptors={"exc": ExpConductance(tau=5 * ms)},
               r_m=100 * mV / (1000 * pA))  # fmt: skip
    own = ns.Cell("dv/dt = (1.2 + 0.1*normal() + i - v)/tau\nu[n+1] = 0.9*u", threshold="v > 1 + u", reset="v = 0; u "
                                                                                                           "= u + 0.3",
                  refractory="t_ref", tau=9 * ms, t_ref=0.5 * ms, init={"v": "0.5*index/N"}, name="Own",
                  receptors={"r": ns.Receptor("dx/dt = -x/tau_s", event="x += w", output="x", tau_s=ms)})  # fmt: skip
    a, b = net.population("a", 10, coba), net.population("b", 10, own)
    c = net.population("c", 10, PoissonSource(300 * Hz))
    net.connect(c, a, weight=Quantity(8e-9, ns.units.CONDUCTANCE), rule=ns.FixedProbability(0.5))
    net.connect(a, b, weight=ns.uniform(0.0, 0.5), rule=ns.FixedProbability(0.5), delay=0.4 * ms)
    return net


def branched() -> ns.Network:
    """A soma and a branch with a channel and events: nothing of it has a name in SONATA."""
    net = ns.Network("branched", dt=0.1 * ms, seed=9)
    soma = ns.Cell("dv/dt = (g_l*(e_l - v) + i)/c_m", threshold="v > -50*mV", reset="v = -60*mV", refractory=2 * ms,
                   init={"v": "e_l"}, c_m=200 * pF, g_l=10 * nS, e_l=-65 * mV)  # fmt: skip
    cell = ns.compartments(
        {"s": soma, "d": Passive.insert(na=DendriticSpike())}, {("s", "d"): 15 * nS},
        receptors={"exc": ExpConductance(tau=2 * ms).at("d")},
        events={"late": ns.Event("v_d > -40*mV", "v_d -= 1*mV", refractory=3 * ms, edge=True)},
    )  # fmt: skip
    cells = net.population("cells", 8, cell, init={"late": 5.0})
    source = net.population("source", 20, PoissonSource(200 * Hz))
    net.connect(source, cells, rule=ns.FixedProbability(0.5), weight=ns.uniform(1 * nS, 4 * nS), delay=0.4 * ms)
    return net


@pytest.mark.parametrize("make", [exponential, alpha, delta, unnamed, branched])
def test_a_network_written_and_read_spikes_the_same_to_the_bit(make: Callable[[], ns.Network], tmp_path: Path) -> None:
    net = make()
    net.record(net.populations.values(), "spikes")
    written = export(net, str(tmp_path / "out"), duration=80 * ms)
    before = net.run(80 * ms, backend="reference")
    loaded = load(str(tmp_path / "out" / written.start))
    loaded.network.record(loaded.network.populations.values(), "spikes")
    after = loaded.network.run(loaded.duration, backend="reference")
    assert loaded.network.seed == net.seed and loaded.network.name == net.name
    for name in net.populations:
        assert len(before.spikes[name].steps) > 5
        assert np.array_equal(before.spikes[name].steps, after.spikes[name].steps), name
        assert np.array_equal(before.spikes[name].ids, after.spikes[name].ids), name


@pytest.mark.parametrize("make", [exponential, alpha, delta, unnamed])
def test_libsonata_opens_everything_written(make: Callable[[], ns.Network], tmp_path: Path) -> None:
    import libsonata

    net = make()
    export(net, str(tmp_path / "out"), duration=20 * ms)
    config = libsonata.CircuitConfig.from_file(str(tmp_path / "out" / "circuit_config.json"))
    for name, pop in net.populations.items():
        assert config.node_population(name).size == pop.n
    if make is alpha:
        x = config.node_population("cells").get_attribute("x", libsonata.Selection([4]))
        assert x == pytest.approx([10.0]) and config.node_population("cells").dynamics_attribute_names == set()
    edges = [config.edge_population(name) for name in config.edge_populations]
    assert {e.source for e in edges} | {e.target for e in edges} == config.node_populations
    for each in edges:
        every = each.select_all()
        post, weight = each.target_nodes(every), each.get_attribute("syn_weight", every)
        assert len(weight) == each.size == len(each.get_attribute("delay", every))
        for node in np.unique(post)[:3]:
            assert np.array_equal(each.afferent_edges([int(node)]).flatten(), np.flatnonzero(post == node))
        for node in np.unique(each.source_nodes(every))[:3]:
            found = each.efferent_edges([int(node)]).flatten()
            assert np.array_equal(found, np.flatnonzero(each.source_nodes(every) == node))
    for path in (tmp_path / "out" / "inputs").iterdir():
        reader = libsonata.SpikeReader(str(path))
        assert len(reader[reader.get_population_names()[0]].get()) > 5


@pytest.mark.engine("nest")
@pytest.mark.parametrize("make", [exponential, alpha, delta])
def test_what_is_written_for_others_spikes_the_same_in_nest(make: Callable[[], ns.Network], tmp_path: Path) -> None:
    """NEST reads what other programs read; so does neurosim, where its own words are taken out."""
    net = make()
    if make is alpha:
        net.populations["cells"].stimuli.clear()  # no current clamps in the script for NEST
    net.record([p for p in net.populations.values() if p.cell.schedule is None], "spikes")
    export(net, str(tmp_path / "out"), duration=60 * ms)
    result = net.run(60 * ms, backend="reference")
    ours = {(name, i, s) for name, spikes in result.spikes.items()
            for i, s in zip(spikes.ids.tolist(), spikes.steps.tolist(), strict=True)}  # fmt: skip
    inputs = list((tmp_path / "out" / "inputs").iterdir())
    kit.spikes(tmp_path / "none.h5", "none", [], [])
    played = inputs[0] if inputs else tmp_path / "none.h5"
    theirs = in_nest(tmp_path, tmp_path / "out/circuit_config.json", played, 60.0, 0.1)
    if make is delta:  # the spikes of the first step are missing there, and say so
        assert "the first step" in (tmp_path / "out" / "README.txt").read_text(encoding="utf-8")
        assert abs(len(theirs) - len(ours)) < 0.1 * len(ours)
    else:
        assert theirs == ours
    for table in (tmp_path / "out" / "network").glob("*_node_types.csv"):
        table.write_text(table.read_text(encoding="utf-8").replace("neurosim_model", "was_neurosim_model"), "utf-8")
    change(tmp_path / "out" / "simulation_config.json", '"neurosim"', '"metadata"')
    plain = read_network(str(tmp_path / "out" / "simulation_config.json"))
    assert raster(plain, 60 * ms) == theirs


def test_an_edited_parameter_is_not_passed_over(tmp_path: Path) -> None:
    export(exponential(), str(tmp_path / "out"), duration=10 * ms)
    change(tmp_path / "out" / "components" / "a.json", '"tau_m": 20.0', '"tau_m": 21.0')
    with pytest.raises(ParameterError, match="take the column 'neurosim_model' out"):
        read_network(str(tmp_path / "out" / "simulation_config.json"))


NETWORK = """
import neurosim as ns
from neurosim.models import LIF, DeltaCurrent, SineCurrent
from neurosim.units import Hz, ms, mV
net = ns.Network("n", dt=0.1*ms, seed=1)
cells = net.population("cells", 5, LIF(receptors={"jump": DeltaCurrent}))
net.connect(cells, cells, weight=1*mV, rule=ns.FixedProbability(0.5))
net.stimulate(cells, SineCurrent(20*mV, 5*Hz), name="wave")
net.record(cells, "v")
"""


def test_the_command_lists_what_it_changes_and_refuses_losses(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NETWORK, encoding="utf-8")

    def call(*more: str) -> Any:
        return CliRunner().invoke(cli, ["export", str(tmp_path / "net.py"), "-o", str(tmp_path / "out"), *more])

    refused = call("--to", "sonata", "-d", "10ms")
    assert refused.exit_code == 2 and "'wave' of 'cells' (SineCurrent) is not constant" in refused.output
    assert not (tmp_path / "out").exists() and "--lossy" in refused.output
    done = call("--to", "sonata", "-d", "10ms", "--lossy")
    assert done.exit_code == 0, done.output
    text = (tmp_path / "out" / "README.txt").read_text(encoding="utf-8")
    for part in ("stamped (n + 1) dt", "connection rules", "not constant"):
        assert part in done.output and part in text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.py", "out"]  # no half-written folder beside it
    assert "not an empty folder" in call("--to", "sonata", "--lossy").output
    assert "did you mean 'sonata'" in call("--to", "sonatta").output
