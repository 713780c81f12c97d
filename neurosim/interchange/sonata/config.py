"""The configuration of a circuit and its simulation: JSON, with variables in the paths.

A simulation names its circuit under ``network``; a third file may name both (``{"network": …, "simulation": …}``).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from neurosim.errors import ParameterError, UnknownNameError, suggest
from neurosim.interchange.sonata.files import display, read_json

SECTIONS = ("manifest", "components", "networks", "network", "simulation", "run", "inputs", "output", "reports",
            "node_sets", "node_sets_file", "conditions", "target_simulator", "version", "simulator", "metadata",
            "neurosim", "connection_overrides", "circuit")  # fmt: skip

_MEANINGLESS = {"connection_overrides": "changes of connections", "circuit": "a second name for the network"}


@dataclass
class Config:
    """A simulation, with every variable replaced and every path made absolute.

    Attributes
    ----------
    path : str
        The file that was given.
    tstop, dt : float or None
        In ms, as the file has them.
    nodes, edges : list of dict
        The files of the circuit: ``nodes_file``, ``node_types_file``; ``edges_file``, ``edge_types_file``.
    """

    path: str
    tstop: float | None
    dt: float | None
    seed: int | None
    nodes: list[dict[str, Any]]
    edges: list[dict[str, Any]]
    components: dict[str, str]
    inputs: dict[str, dict[str, Any]]
    output: dict[str, Any]
    reports: dict[str, Any]
    node_sets: dict[str, Any]
    neurosim: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    def component(self, kind: str, name: str, extra: str | None, what: str) -> str:
        """Return the path of a file of parameters.

        Parameters
        ----------
        kind : str
            ``point_neuron_models_dir`` or ``synaptic_models_dir``.
        name : str
            The file, as the table of types has it.
        extra : str, optional
            A folder of the user's that is looked into where the circuit's own has not got it.
        """
        own = self.components.get(kind)
        short = {"point_neuron_models_dir": "cell_models", "synaptic_models_dir": "synaptic_models"}[kind]
        places = [own] if own else []
        places += [os.path.join(extra, short), extra] if extra else []
        for place in places:
            if os.path.isfile(path := os.path.join(place, name)):
                return path
        if not places:
            raise UnknownNameError(f"{what}: the file '{name}' is needed, and the circuit's components name no "
                                   f"'{kind}'")
        looked = " and ".join(f"'{display(p)}'" for p in places)
        raise ParameterError(f"{what}: the file '{name}' is needed, and it is not in {looked} ({kind} of "
                             f"'{display(self.path)}'): add it there, or name a folder that has it with "
                             "--set components=FOLDER")  # fmt: skip


def read_config(path: str) -> Config:
    """Read a simulation's configuration and its circuit's.

    Raises
    ------
    ResultFileError, ParameterError
        A file that is not there or is no JSON; a key that is missing, unknown or has the wrong type.
    """
    found = _load(path)
    notes: list[str] = []
    if "simulation" in found and "run" not in found:
        inner = _load(_text(found, "simulation", path))
        if "network" not in inner and "network" in found:
            inner["network"] = found["network"]
        found = inner
    if "networks" not in found:
        if "network" not in found:
            raise ParameterError(f"'{display(path)}' names no circuit: it needs the key 'network' (a circuit's "
                                 "configuration) or 'networks'; or run the file that names both")  # fmt: skip
        circuit = _load(_text(found, "network", path))
        for key in ("networks", "components"):
            found[key] = circuit.get(key, found.get(key))
        found.setdefault("node_sets_file", circuit.get("node_sets_file"))
    for key in found:
        if key not in SECTIONS:
            hint = suggest(key, SECTIONS)
            if hint.endswith("?"):
                raise UnknownNameError(f"'{display(path)}' has no section '{key}' that is known{hint}")
            notes.append(f"the section '{key}' of '{display(path)}' is not read")
    for key, meaning in _MEANINGLESS.items():
        if found.get(key):
            raise UnknownNameError(f"'{display(path)}' has the section '{key}' ({meaning}), which neurosim cannot read")
    networks = _section(found, "networks", path)
    run = _section(found, "run", path)
    inputs = _section(found, "inputs", path)
    for name, entry in inputs.items():
        if not isinstance(entry, dict):
            raise ParameterError(f"the input '{name}' of '{display(path)}' must be an object {{…}}, got {entry!r}")
    sets = dict(_section(found, "node_sets", path))
    if found.get("node_sets_file"):
        sets |= read_json(_text(found, "node_sets_file", path), "the node sets")
    conditions = _section(found, "conditions", path)
    if conditions:
        notes.append(f"the conditions {', '.join(sorted(conditions))} are for cells with channels: point neurons start "
                     "from their own parameters")  # fmt: skip
    seed = run.get("random_seed")
    if seed is not None and not (isinstance(seed, int) and 0 <= seed < 2**64):
        raise ParameterError(f"run.random_seed of '{display(path)}' must be a whole number, got {seed!r}")
    return Config(
        os.path.abspath(path),
        _positive(run, "tstop", path),
        _positive(run, "dt", path),
        seed,
        _files(networks, "nodes", ("nodes_file", "node_types_file"), path),
        _files(networks, "edges", ("edges_file", "edge_types_file"), path),
        {k: v for k, v in _section(found, "components", path).items() if isinstance(v, str)},
        inputs,
        _section(found, "output", path),
        _section(found, "reports", path),
        sets,
        _section(found, "neurosim", path),
        notes,
    )


def _load(path: str) -> dict[str, Any]:
    """Read one file and put the values of its variables into all of its texts."""
    found = read_json(path, "the configuration")
    base = os.path.dirname(os.path.abspath(path))
    manifest = found.get("manifest", {})
    if not isinstance(manifest, dict) or not all(isinstance(v, str) for v in manifest.values()):
        raise ParameterError(f"the manifest of '{display(path)}' must give each variable a text")
    variables = {"${configdir}": base, "$configdir": base, "${workingdir}": os.getcwd(), "$workingdir": os.getcwd()}
    for key, value in manifest.items():
        if not key.startswith("$"):
            raise ParameterError(f"the variable '{key}' in the manifest of '{display(path)}' must begin with '$'")
        variables[key] = value
    return {k: v if k == "manifest" else _filled(v, variables, base, path, k) for k, v in found.items()}


def _filled(value: Any, variables: dict[str, str], base: str, path: str, key: str) -> Any:
    if isinstance(value, dict):
        return {k: _filled(v, variables, base, path, k) for k, v in value.items()}
    if isinstance(value, list):
        return [_filled(v, variables, base, path, key) for v in value]
    if not isinstance(value, str):
        return value
    is_path = "$" in value or value.startswith(("./", "../")) or key in _PATHS or key.endswith(("_file", "_dir"))
    for _ in range(len(variables) + 1):
        if "$" not in value:
            break
        for name in sorted(variables, key=len, reverse=True):  # $DIR must not take the beginning of $DIR_2
            value = value.replace(name, variables[name])
    if "$" in value:
        raise UnknownNameError(f"'{value}' in '{display(path)}' has a variable that its manifest does not define, or "
                               "one that refers to itself; defined: "
                               f"{', '.join(sorted(variables)) or 'none'}")  # fmt: skip
    if is_path and key not in _NAMES:
        return os.path.normpath(os.path.join(base, value))
    return value


_PATHS = ("network", "simulation", "file")
_NAMES = ("spikes_file", "log_file", "file_name", "spikes_file_csv")  # relative to the output folder


def _section(found: dict[str, Any], key: str, path: str) -> dict[str, Any]:
    value = found.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ParameterError(f"'{key}' of '{display(path)}' must be an object {{…}}, got {value!r}")
    return value


def _text(found: dict[str, Any], key: str, path: str) -> str:
    value = found[key]
    if not isinstance(value, str):
        raise ParameterError(f"'{key}' of '{display(path)}' must be the name of a file, got {value!r}")
    return value


def _positive(found: dict[str, Any], key: str, path: str) -> float | None:
    value = found.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e15:
        raise ParameterError(f"run.{key} of '{display(path)}' must be a positive number of milliseconds, got {value!r}")
    return float(value)


def _files(networks: dict[str, Any], kind: str, keys: tuple[str, str], path: str) -> list[dict[str, Any]]:
    entries = networks.get(kind, [])
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise ParameterError(f"networks.{kind} of the circuit of '{display(path)}' must be a list of objects {{…}}")
    for entry in entries:
        if not isinstance(entry.get(keys[0]), str):
            raise ParameterError(f"an entry of networks.{kind} of the circuit of '{display(path)}' has no '{keys[0]}'; "
                                 f"it has {', '.join(entry) or 'nothing'}{suggest(keys[0], entry)}")  # fmt: skip
        if not isinstance(entry.get(keys[1]), (str, type(None))):
            raise ParameterError(f"'{keys[1]}' of networks.{kind} must be the name of a file, got {entry[keys[1]]!r}")
        if entry[keys[0]] and entry.get(keys[1]) == "":
            entry[keys[1]] = None
    if kind == "nodes" and not entries:
        raise ParameterError(f"the circuit of '{display(path)}' has no nodes: networks.nodes is empty or missing")
    return entries
