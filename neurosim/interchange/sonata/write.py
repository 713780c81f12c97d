"""``neurosim export --to sonata``: a network as a circuit and a simulation that other programs can open and run.

::

    DIR/README.txt                 what was written, and what other programs will take differently
    DIR/simulation_config.json     run, inputs, output; names the circuit
    DIR/circuit_config.json
    DIR/network/                   nodes and edges of every population, with their types
    DIR/inputs/                    spikes of sources and of Poisson drives
    DIR/components/                parameters of the cells
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from neurosim import __version__
from neurosim.compile import compile_network
from neurosim.errors import UnsupportedError
from neurosim.interchange import Written, fixed_weights, new_folder, refuse_losses
from neurosim.interchange.sonata import declared, stimuli
from neurosim.interchange.sonata.circuit import write_edges, write_nodes
from neurosim.interchange.sonata.standard import Standard, in_unit, standard
from neurosim.ir.edges import iter_edges
from neurosim.ir.timegrid import whole_steps
from neurosim.lang.names import free_name
from neurosim.lang.network import Network
from neurosim.units import TIME, Quantity, scalar

START = "simulation_config.json"


def export(network: Network, directory: str, *, duration: Quantity, lossy: bool = False) -> Written:
    """Write a network.

    Parameters
    ----------
    network : Network
        What to write; its random numbers are drawn now.
    directory : str
        A folder that does not exist yet, or is empty.
    duration : Quantity
        Of the simulation (``run.tstop``), and of what is drawn in advance.
    lossy : bool
        Write what can be written where something cannot.

    Raises
    ------
    ParameterError
        Something would be lost and ``lossy`` is not given: the message lists it.
    UnsupportedError
        A population that cannot be written at all.
    """
    seconds = scalar(duration, TIME, "the duration of the export")
    steps = whole_steps(seconds, network.dt, "the duration of the export", None, least=1)
    units, graph = compile_network(network, after="units"), compile_network(network)
    plans = _plans(network, units, graph)
    written = Written(directory, START)
    with new_folder(directory) as part:
        for folder in ("network", "inputs", "components"):
            os.makedirs(os.path.join(part, folder))
        nodes, edges, inputs = _circuit(part, network, units, graph, plans, steps, written)
        written.losses += fixed_weights(graph, "SONATA")
        refuse_losses(written.losses, lossy)
        _common(network, graph, written)
        _configure(part, network, seconds, plans, nodes, edges, inputs)
        written.files = sorted(os.path.relpath(os.path.join(at, f), part) for at, _, fs in os.walk(part) for f in fs)
        written.files.append("README.txt")
        with open(os.path.join(part, "README.txt"), "w", encoding="utf-8") as file:
            file.write(_readme(network, seconds, plans, written))
    return written


# -- what each population becomes


def _plans(network: Network, units: Any, graph: Any) -> dict[str, Standard]:
    """Decide for every population how it is written; the signs of weights are looked at for that."""
    for name, pop in network.populations.items():
        for key, receptor in pop.cell.receptors.items():
            if receptor.link is not None:
                raise UnsupportedError(f"SONATA has no couplings without spikes (receptor '{key}' of population "
                                       f"'{name}': {receptor.link_text})", pop.where)  # fmt: skip
    signs = {name: {key: [False, False] for key in pop.cell.receptors} for name, pop in network.populations.items()}
    offsets = graph.offsets()
    for projection in graph.projections:
        for edges in iter_edges(graph, projection):
            weight = np.broadcast_to(np.asarray(edges.weight), (len(edges),))
            for segment in {s.population for s in projection.post}:
                first = offsets[segment]
                mine = weight[(edges.post >= first) & (edges.post < first + graph.population(segment).size)]
                sign = signs[segment][projection.receptor]
                sign[0] |= bool((mine > 0).any())
                sign[1] |= bool((mine < 0).any())
    for node in graph.populations:
        for receptor, weight in node.drive_weights.values():
            signs[node.name][receptor][0] |= weight > 0
            signs[node.name][receptor][1] |= weight < 0
    out = {}
    for name, pop in network.populations.items():
        node = units.population(name)
        own = [key for key in node.tables if key.rpartition(".")[0] in ("", *pop.cell.receptors)]
        if own:
            raise UnsupportedError(f"population '{name}' has the parameter {own[0]}, which changes in time: SONATA's "
                                   "parameters do not", pop.where)  # fmt: skip
        if pop.cell.schedule is None:
            out[name] = standard(pop, node, {k: (v[0], v[1]) for k, v in signs[name].items()})
    return out


# -- files


def _circuit(part: str, network: Network, units: Any, graph: Any, plans: dict[str, Standard], steps: int,
             written: Written) -> tuple[list[Any], list[Any], dict[str, Any]]:  # fmt: skip
    nodes, edges, inputs = [], [], {}
    folder = os.path.join(part, "network")
    for name, pop in network.populations.items():
        node = units.population(name)
        if name in plans:
            nodes.append(_population(part, pop, node, plans[name], written))
            continue
        columns = {"model_type": "virtual", "model_template": None, "dynamics_params": None}
        nodes.append(write_nodes(folder, name, pop.n, columns, pop.positions, {}))
        at, who = stimuli.schedule(pop, node, steps)
        stimuli.write_spikes(os.path.join(part, "inputs", f"{name}_spikes.h5"), name, at, who, network.dt)
        inputs[f"{name}_spikes"] = {"input_type": "spikes", "module": "sonata", "node_set": name,
                                    "input_file": f"$INPUT_DIR/{name}_spikes.h5"}  # fmt: skip
        if node.schedules["spikes"].period:
            written.changes.append(f"the pattern of the source '{name}', which repeats for ever, is written until "
                                   "the end "
                                   "of the simulation")  # fmt: skip
    names: set[str] = set()
    for projection in graph.projections:
        edges += write_edges(folder, graph, projection, {k: p.of_one for k, p in plans.items()}, names)
    for name, pop in network.populations.items():
        for key, stimulus, ids, receptor in pop.stimuli:
            if stimulus.kind == "drive":
                varying = "rate" not in stimulus.params or key in units.population(name).tables
                source = free_name(f"{name}_{key}", names | network.populations.keys())
                names.add(source)
                out = stimuli.poisson(part, graph, units.population(name), pop, source, key, ids, str(receptor),
                                      plans[name], steps, varying)  # fmt: skip
            else:
                node = units.population(name)
                if any(k.startswith(f"{key}.") for k in node.tables):
                    written.losses.append(f"the current '{key}' of '{name}' ({stimulus.name}) changes in time: "
                                          "SONATA has "
                                          "current clamps only")  # fmt: skip
                    continue
                out = stimuli.current(pop, node, key, stimulus, ids, plans[name], steps * network.dt)
            inputs |= out.inputs
            nodes += out.nodes
            edges += out.edges
            written.changes += out.changes
            written.losses += out.losses
    return nodes, edges, inputs


def _population(part: str, pop: Any, node: Any, how: Standard, written: Written) -> tuple[str, str]:
    components = os.path.join(part, "components")
    words = declared.describe(pop, node, how.of_one)
    words["current"] = {"port": "i", "unit": "1", "of_one_pA": how.of_one_pA}
    if "i" in pop.cell.ports:
        dim = pop.scope.solver.dimension("i")
        words["current"]["unit"] = "1" if dim is None else dim.symbol
    columns: dict[str, Any] = {"model_type": "point_neuron", "model_template": how.template}
    file = f"{pop.label}.neurosim.json"
    if how.named:
        words["beside"] = declared.fingerprint(how.template, how.params, how.arrays)
        columns |= {"dynamics_params": f"{pop.label}.json", "neurosim_model": file}
        _json(os.path.join(components, f"{pop.label}.json"), how.params)
    else:
        columns |= {"dynamics_params": file}
        written.changes.append(f"the cells of '{pop.label}' are written by their equations, as '{how.template}', "
                               "which only "
                               f"neurosim reads: {how.why}")  # fmt: skip
    _json(os.path.join(components, file), words)
    return write_nodes(os.path.join(part, "network"), pop.label, pop.n, columns, pop.positions, how.arrays)


def _common(network: Network, graph: Any, written: Written) -> None:
    """Say what every export changes."""
    written.changes.append("a spike of step n is stamped (n + 1) dt, the end of its step, as NEST does; neurosim "
                           "stamps n dt")
    rules = [p.name for p in graph.projections if p.rule.describe().partition("(")[0] != "EdgeList"]
    if rules:
        written.changes.append(f"connection rules are written as the edges they make with the seed {network.seed}: "
                               "another "
                               "seed will not draw others")  # fmt: skip
    drawn = [f"'{p.variable}' of '{p.target}'" for p in network.probes if p.edge or p.variable == "rate"]
    if drawn:
        written.changes.append(f"what is recorded besides spikes and variables of cells is not written: "
                               f"{', '.join(drawn)}")  # fmt: skip


def _configure(part: str, network: Network, seconds: float, points: Iterable[str], nodes: list[Any], edges: list[Any],
               inputs: dict[str, Any]) -> None:  # fmt: skip
    """Write the two configurations."""
    kinds = {a.removesuffix("_nodes.h5"): {"type": "virtual"} for a, _ in nodes}
    kinds |= {name: {"type": "point_neuron"} for name in points}
    circuit = {
        "manifest": {"$BASE_DIR": ".", "$NETWORK_DIR": "$BASE_DIR/network", "$COMPONENT_DIR": "$BASE_DIR/components"},
        "components": {"point_neuron_models_dir": "$COMPONENT_DIR", "synaptic_models_dir": "$COMPONENT_DIR"},
        "networks": {
            kind: [{f"{kind}_file": f"$NETWORK_DIR/{a}", f"{kind[:-1]}_types_file": f"$NETWORK_DIR/{b}",
                    "populations": {name: kinds.get(name, {})}} for a, b in files
                   for name in [a.removesuffix(f"_{kind}.h5")]]
            for kind, files in (("nodes", nodes), ("edges", edges))
        },
    }  # fmt: skip
    simulation = {
        "manifest": {"$BASE_DIR": ".", "$OUTPUT_DIR": "$BASE_DIR/output", "$INPUT_DIR": "$BASE_DIR/inputs"},
        "network": "$BASE_DIR/circuit_config.json",
        "target_simulator": "NEST",
        "run": {"tstop": float(in_unit(seconds, 1e-3)), "dt": float(in_unit(network.dt, 1e-3)),
                "random_seed": network.seed},
        "inputs": inputs,
        "output": {"output_dir": "$OUTPUT_DIR", "spikes_file": "spikes.h5", "spikes_sort_order": "time"},
        "reports": _reports(network),
        "neurosim": {"name": network.name, "version": __version__},
    }  # fmt: skip
    _json(os.path.join(part, "circuit_config.json"), circuit)
    _json(os.path.join(part, START), simulation)


def _reports(network: Network) -> dict[str, Any]:
    """Return what the probes of state variables are in the configuration."""
    out = {}
    for probe in network.probes:
        if probe.edge or probe.variable in ("spikes", "rate"):
            continue
        cells: dict[str, Any] = {"population": probe.target}
        if probe.ids is not None:
            cells["node_id"] = [int(i) for i in probe.ids]
        every = network.dt if probe.every is None else probe.every
        out[f"{probe.target}_{probe.variable.replace('.', '_')}"] = {
            "module": "membrane_report", "cells": cells, "variable_name": probe.variable, "sections": "soma",
            "dt": float(in_unit(every, 1e-3)), "enabled": True,
        }  # fmt: skip
    return out


def _json(path: str, value: dict[str, Any]) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        json.dump(value, file, indent=2, ensure_ascii=False, allow_nan=False)
        file.write("\n")


def _readme(network: Network, seconds: float, plans: dict[str, Standard], written: Written) -> str:
    """Return the text beside the files."""
    rows = [f"  {name}: {pop.n} nodes, {plans[name].template if name in plans else 'virtual'}"
            for name, pop in network.populations.items()]  # fmt: skip

    def listed(title: str, items: list[str]) -> list[str]:
        return ["", title, *(f"  - {item}" for item in items)] if items else []

    text = [
        f"The network '{network.name}' in SONATA, written by neurosim {__version__}: {seconds:g} s at dt = "
        f"{network.dt * 1e3:g} ms, seed {network.seed}.",
        f"Begin with {START}; 'neurosim run {START}' gives the spikes of the original.",
        "",
        "Populations",
        *rows,
        *listed("What other programs take differently", written.changes),
        *listed("What is not here (--lossy)", written.losses),
        "",
        "The column 'neurosim_model' and the entries 'neurosim' are for neurosim: with them it builds the original "
        "cells",
        "and stimuli, to the bit. Other programs use what stands beside them: parameters in ms, mV, pF, weights in "
        "pA (mV",
        "onto iaf_psc_delta). Where you change one, take the entry of neurosim's out.",
    ]
    return "\n".join(text) + "\n"
