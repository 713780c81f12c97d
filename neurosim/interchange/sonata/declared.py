"""Cells and stimuli by their equations, in JSON: what neurosim writes where SONATA has no name, and reads back exactly.

::

    {"neurosim_cell": 1, "name": …, "equations": …, "threshold": …, "reset": […], "refractory": …, "clamp": […],
     "ports": […], "params": {NAME: {"unit": "V", "value": number or one per neuron}}, "init": {…},
     "receptors": {NAME: {"equations": …, "event": …, "output": …, "when": …, "port": …, "params": {…}}},
     "weights": {NAME: {"unit": "A", "of_one": what a syn_weight of 1 is, in that unit}},
     "current": {"port": …, "unit": …, "of_one_pA": …},
     "beside": the standard parameters it was written with}

Values are SI: JSON's decimal numbers give the same doubles back.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from neurosim.errors import NeurosimError, ParameterError, ResultFileError
from neurosim.interchange.sonata.cells import Built
from neurosim.interchange.sonata.files import display, read_json
from neurosim.lang.components import Cell, Event, Receptor
from neurosim.lang.network import Network
from neurosim.units import TIME, Dimension, Quantity, parse_quantity

VERSION = 1

_CELL = ("name", "equations", "threshold", "reset", "refractory", "edge", "clamp", "method", "ports", "params", "init",
         "receptors", "weights")  # fmt: skip
_RECEPTOR = ("name", "equations", "event", "output", "when", "port", "params", "init")


# -- values


def encode(value: float | np.ndarray, dim: Dimension) -> dict[str, Any]:
    """Return a value in SI as JSON takes it."""
    array = np.asarray(value, dtype=np.float64)
    return {"unit": dim.symbol, "value": float(array) if array.ndim == 0 else array.tolist()}


def decode(entry: Any, what: str) -> Any:
    """Return the quantity (or plain number) that was encoded."""
    try:
        value = entry["value"]
        dim = parse_quantity(f"1 {entry['unit']}") if entry["unit"] != "1" else 1.0
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, KeyError, ValueError, NeurosimError):
        raise ResultFileError(f'{what} must be {{"unit": …, "value": a number or a list}}, got {entry!r:.80}') from None
    plain: Any = float(array) if array.ndim == 0 else array
    return Quantity(plain, dim.dim) if isinstance(dim, Quantity) else plain


# -- cells


def read(path: str, n: int, template: str, beside: dict[str, Any] | None, dynamics: Mapping[str, np.ndarray],
         what: str) -> Built:  # fmt: skip
    """Read a declaration.

    Parameters
    ----------
    n : int
        Neurons it is for.
    template : str
        The model_template beside it.
    beside : dict or None
        The standard parameters beside it, which must be those it was written with; None where there are none.
    dynamics : mapping
        Standard parameters neuron by neuron; the same holds for them.
    """
    shown = f"the cell '{display(path)}' of {what}"
    found = read_json(path, shown)
    if found.get("neurosim_cell") != VERSION:
        raise ResultFileError(f"{shown} is no declaration by neurosim (neurosim_cell must be {VERSION}, got "
                              f"{found.get('neurosim_cell')!r})")  # fmt: skip
    missing = [key for key in _CELL if key not in found]
    if missing:
        raise ResultFileError(f"{shown} lacks {', '.join(missing)}")
    if beside is not None and found.get("beside") != fingerprint(template, beside, dynamics):
        raise ParameterError(f"{shown} was written beside other parameters of {template} than those that now stand "
                             "there: take the column 'neurosim_model' out of the table of types to use the new "
                             "ones")  # fmt: skip
    try:
        receptors = {key: _receptor(entry, f"receptor '{key}' of {shown}") for key, entry in found["receptors"].items()}
        cell = Cell(
            found["equations"],
            threshold=found["threshold"],
            reset="\n".join(found["reset"]) or None,
            refractory=found["refractory"],
            edge=bool(found["edge"]),
            clamp=found["clamp"],
            method=found["method"],
            ports=tuple(found["ports"]),
            events={
                key: Event(e["condition"], e["reaction"], refractory=e["refractory"], edge=bool(e["edge"]))
                for key, e in found.get("events", {}).items()
            },
            receptors=receptors,
            name=found["name"],
            **{key: decode(entry, f"{key} of {shown}") for key, entry in found["params"].items()},
        )
        init = {key: decode(entry, f"initial {key} of {shown}") for key, entry in found["init"].items()}
        units = {key: decode({"unit": entry["unit"], "value": entry["of_one"]}, f"the weight onto {key} of {shown}")
                 for key, entry in found["weights"].items()}  # fmt: skip
        current = found.get("current")
        scale = None if current is None else decode({"unit": current["unit"], "value": current["of_one_pA"]}, shown)
        port = "i" if current is None else current["port"]
    except (AttributeError, TypeError, KeyError) as error:
        raise ResultFileError(f"{shown} is malformed: {type(error).__name__}: {error}") from None
    return Built(cell, tuple(receptors), units, init=init, port=port, current_unit=scale)


def _receptor(entry: dict[str, Any], what: str) -> Receptor:
    missing = [key for key in _RECEPTOR if key not in entry]
    if missing:
        raise ResultFileError(f"{what} lacks {', '.join(missing)}")
    params = {key: decode(value, f"{key} of {what}") for key, value in entry["params"].items()}
    return Receptor(entry["equations"], event=entry["event"], output=entry["output"], when=entry["when"],
                    port=entry["port"], name=entry["name"], **params)  # fmt: skip


def describe(pop: Any, node: Any, weights: dict[str, float]) -> dict[str, Any]:
    """Return the declaration of a population.

    Parameters
    ----------
    pop : Population
        As the user wrote it: the texts.
    node : PopulationNode
        After the pass ``units``: every number, drawn where it is drawn.
    weights : mapping of str to float
        What a syn_weight of 1 is in SI, by receptor.
    """
    cell, known = pop.cell, pop.scope.solver.known
    states = {state.name: state for state in node.states}

    def params(prefix: str) -> dict[str, Any]:
        lead = f"{prefix}." if prefix else ""
        return {key: encode(node.params[lead + key], known[lead + key]) for key in pop.scope.parts[prefix].params}

    own = {*cell.variables, *(f"{r}.{v}" for r, part in cell.receptors.items() for v in part.variables)}
    return {
        "neurosim_cell": VERSION,
        "name": cell.name,
        "equations": _text(cell),
        "threshold": cell.threshold_text or None,
        "reset": [st.text for st in cell.reset],
        "refractory": cell.refractory_text or None,
        "edge": cell.edge,
        "clamp": list(cell.clamp),
        "method": cell.method,
        "ports": list(cell.ports),
        "events": {
            key: {"condition": e.event.condition, "reaction": e.event.reaction, "refractory": e.refractory_text or None,
                  "edge": e.edge}
            for key, e in cell.events.items()
        },
        "params": params(""),
        "init": {key: encode(states[key].init, pop.scope.dimension(key)) for key in states if key in own},
        "receptors": {
            key: {"name": r.name, "equations": _text(r), "event": r.event_text, "output": r.output_text or None,
                  "when": r.when, "port": r.port, "params": params(key), "init": {}}
            for key, r in cell.receptors.items()
        },
        "weights": {key: {"unit": pop.scope.weight_dimension(key).symbol, "of_one": weights[key]}
                    for key in cell.receptors},
    }  # fmt: skip


def _text(part: Any) -> str:
    return "\n".join(eq.text for eq in part.equations)


def fingerprint(template: str, params: Mapping[str, Any], dynamics: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return what tells whether the standard parameters beside a declaration were changed after it was written."""
    arrays = {key: hashlib.blake2b(np.ascontiguousarray(values, dtype="<f8").tobytes(), digest_size=8).hexdigest()
              for key, values in dynamics.items()}  # fmt: skip
    return {"template": template, "params": dict(params), "arrays": arrays}


# -- stimuli


def restore(net: Network, entry: Any, what: str) -> None:
    """Give a population the stimulus that neurosim wrote; other programs play the input's spikes or current."""
    models = importlib.import_module("neurosim.models")
    try:
        if entry["kind"] == "written with":  # one of several clamps that are one stimulus here
            return
        pop = net[entry["population"]]
        ids = entry["neurons"]
        group = pop if ids is None else pop[np.asarray(ids, dtype=np.int64)]
        if entry["kind"] == "poisson":
            values = {key: decode(entry[key], f"{key} of {what}") for key in ("rate", "weight", "n")}
            stimulus = models.PoissonInput(receptor=entry["receptor"], **values)
        else:
            span = [None if entry[key] is None else Quantity(float(entry[key]), TIME) for key in ("start", "stop")]
            stimulus = models.DCInput(decode(entry["amplitude"], what), *span)(port=entry["port"])
        key = entry["key"]
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, NeurosimError):
            raise
        raise ResultFileError(f"{what}: what neurosim wrote there is malformed ({type(error).__name__}: {error})") \
            from None  # fmt: skip
    net.stimulate(group, stimulus, name=key)


