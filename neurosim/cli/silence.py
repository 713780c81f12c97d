"""Why a population did not spike: what ``neurosim run`` says of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.ir.expr import names
from neurosim.lang.groups import Population
from neurosim.lang.network import Network
from neurosim.units import Quantity

_MOST = 4


def silent(net: Network, result: Any) -> list[str]:
    """Return a sentence for each population of cells of which all spikes were recorded, and there were none.

    It says what the population lacks, a drive or one that is strong enough, and how near the threshold it came as far
    as that was recorded. Sources are left out: their spikes are what they were told.
    """
    if result.provenance.status != "finished" or result.provenance.backend == "null":  # which runs nothing
        return []
    spikes = {name: len(held) for name, held in result.spikes.items() if held.recorded is None}
    quiet = [p for p in net.populations.values() if spikes.get(p.label) == 0 and _watched(p)]
    out = [f"'{pop.label}' did not spike: {_reason(net, pop, result, spikes)}" for pop in quiet[:_MOST]]
    if len(quiet) > _MOST:
        out.append(f"{len(quiet) - _MOST} more populations did not spike")
    return out


def _watched(pop: Population) -> str:
    """Return the variable that a cell's threshold compares, empty where there is none."""
    if pop.cell.threshold is None:
        return ""
    read = set(names(pop.cell.threshold))
    return next((v for v in pop.cell.variables if v in read), "")


def _reason(net: Network, pop: Population, result: Any, spikes: dict[str, int]) -> str:
    onto = [c for c in net.projections.values() if any(pop is other for other, _ in c.post.parts)]
    before = {other.label for c in onto for other, _ in c.pre.parts}
    coupled = any(pop is other for c in net.links.values() for other, _ in c.post.parts)
    if coupled:
        lacks = ""
    elif not pop.stimuli and not onto:
        lacks = "nothing stimulates it, and nothing is connected to it"
    elif not pop.stimuli and all(spikes.get(name) == 0 for name in before):
        lacks = f"what is connected to it did not spike ({', '.join(sorted(before))})"
    else:
        lacks = ""
    near = _near(pop, result)
    return "; ".join(part for part in (lacks, near) if part) or _how_to_see(pop)


def _compared(pop: Population) -> dict[str, Quantity]:
    """Return the parameters that the threshold reads and that have one value with a unit."""
    read = names(pop.cell.threshold) if pop.cell.threshold is not None else ()
    values = {k: pop.cell.value(k) for k in pop.cell.params if k in read}
    return {k: v for k, v in values.items() if isinstance(v, Quantity) and np.ndim(v.value) == 0}


def _threshold(pop: Population) -> str:
    return ", ".join([f"'{pop.cell.threshold_text}'", *(f"{k} = {v}" for k, v in _compared(pop).items())])


def _near(pop: Population, result: Any) -> str:
    """Return how far the variable of the threshold came, empty where that was not recorded."""
    watched = _watched(pop)
    trace = result.state[pop.label].get(watched) if pop.label in result.state else None
    if trace is None or not trace.values.size:
        return ""
    dim = pop.scope.dimension(watched)
    like = next((v.unit_name for v in _compared(pop).values() if v.dim == dim), None)
    low, high = (_short(Quantity(float(f(trace.values)), dim, like)) for f in (np.min, np.max))
    some = "" if len(trace.ids) == pop.n else f" of {len(trace.ids)} of its neurons"
    lay = f"was {low}" if low == high else f"lay between {low} and {high}"
    return f"{watched}{some} {lay}, its threshold is {_threshold(pop)}"


def _how_to_see(pop: Population) -> str:
    line = f"net.record(net['{pop.label}'], '{_watched(pop)}')"
    return f"{line} would show how near it comes to its threshold, {_threshold(pop)}"


def _short(value: Quantity) -> str:
    number, _, unit = str(value).partition(" ")
    return f"{float(number):.4g} {unit}".strip()
