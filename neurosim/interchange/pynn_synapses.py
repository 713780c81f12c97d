"""Synapses that change, in PyNN's words: what PyNN has of them is what NEST has, and is told by their mathematics."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from neurosim.ir.graph import Graph, ProjectionNode

_DEPENDENCES = {(0.0, 0.0): "AdditiveWeightDependence", (1.0, 1.0): "MultiplicativeWeightDependence",
                (0.0, 1.0): "AdditivePotentiationMultiplicativeDepression"}  # fmt: skip
_GRID = 1e-9


def synapse_type(graph: Graph, projection: ProjectionNode, factor: Any, weights: np.ndarray,
                 taus: set[float]) -> tuple[str, str]:  # fmt: skip
    """Return PyNN's synapse type for a projection, and what of it is lost (nothing: an empty text).

    Parameters
    ----------
    factor : float or array
        From weights in SI to PyNN's unit.
    weights : array
        Those at the start, in SI.
    taus : set of float
        Time constants, in ms, of the receptors that the projection reaches.
    """
    if projection.plasticity is not None:
        return _mechanism(graph, projection, factor, weights)
    if projection.release is not None:
        return _released(graph, projection, taus)
    return "sim.StaticSynapse()", ""


def _mechanism(graph: Graph, projection: ProjectionNode, factor: Any, weights: np.ndarray) -> tuple[str, str]:
    found = importlib.import_module("neurosim.backends.nest_backend.learning").recognise_rule(graph, projection)
    lost = f"the learning rule of '{projection.name}': PyNN's script gets its weights at the start"
    if isinstance(found, str):
        return "sim.StaticSynapse()", f"{lost} (no {found})"
    if np.ndim(factor) and np.any(factor != np.ravel(factor)[0]):
        return "sim.StaticSynapse()", f"{lost} (w_max would differ from neuron to neuron)"
    if np.any(weights < 0) or np.any(weights > found.w_max * (1 + _GRID)):
        return "sim.StaticSynapse()", f"{lost} (some start outside its bounds)"
    p, top = found.params, found.w_max * float(np.ravel(factor)[0])
    exponents = p["mu_plus"], p["mu_minus"]
    dependence = _DEPENDENCES.get(exponents, "GutigWeightDependence")
    powers = "" if exponents in _DEPENDENCES else f", mu_plus={exponents[0]!r}, mu_minus={exponents[1]!r}"
    timing = (f"sim.SpikePairRule(tau_plus={p['tau_plus']!r}, tau_minus={found.tau_minus!r}, "
              f"A_plus={p['lambda']!r}, A_minus={p['alpha'] * p['lambda']!r})")  # fmt: skip
    return f"sim.STDPMechanism({timing}, sim.{dependence}(w_max={top!r}{powers}))", ""


def _released(graph: Graph, projection: ProjectionNode, taus: set[float]) -> tuple[str, str]:
    found = importlib.import_module("neurosim.backends.nest_backend.short_term").recognise_synapse(graph, projection)
    lost = (f"the short-term plasticity of '{projection.name}': PyNN's script gets its weights, which every spike "
            "delivers")  # fmt: skip
    if isinstance(found, str):
        return "sim.StaticSynapse()", f"{lost} (no {found})"
    p = found.params
    if found.model != "tsodyks_synapse" or not all(np.isclose(p["tau_psc"], tau, rtol=_GRID) for tau in taus):
        what = "PyNN's is that of Tsodyks, Uziel and Markram, with the receptor's time constant"
        return "sim.StaticSynapse()", f"{lost} ({what})"
    return f"sim.TsodyksMarkramSynapse(U={p['U']!r}, tau_rec={p['tau_rec']!r}, tau_facil={p['tau_fac']!r})", ""
