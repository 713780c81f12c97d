"""From a network to its document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from neurosim.ir.distributions import Draw, PerEdge, Shared
from neurosim.ir.program import Program
from neurosim.lang.connect import Connection
from neurosim.lang.groups import Group, Population
from neurosim.lang.links import weight_dimension
from neurosim.lang.network import Network, Probe
from neurosim.lang.plasticity import Traces
from neurosim.lang.short_term import LABEL, ShortTerm
from neurosim.lang.values import Random
from neurosim.saving.rules import put_expression, put_rule
from neurosim.saving.table import describe
from neurosim.saving.values import number, put
from neurosim.saving.writer import Writer
from neurosim.units import DIMENSIONLESS, TIME, Dimension, Quantity

NAME, VERSION = "neurosim network", 1


def document(network: Network, w: Writer) -> dict[str, Any]:
    """Return a network as a document; its arrays go to the writer.

    Raises
    ------
    UnsaveableError
        Something in it has no description.
    """
    for label, pop in network.populations.items():
        if pop.label != label or pop.network is not network:
            w.refuse(f"its population '{label}' is called '{pop.label}' by itself, or belongs to another network")
    with w.of("the network's name"):
        name = w.label(network.name)
    out: dict[str, Any] = {
        "format": NAME, "version": VERSION, "name": name, "dt": float(network.dt), "seed": int(network.seed),
    }  # fmt: skip
    if network.default_duration is not None:
        with w.of("default_duration"):
            out["duration"] = put(network.default_duration, w)
    if network.published:
        with w.of("published"):
            out["published"] = {w.label(label): {w.label(key): number(value, w) for key, value in rates.items()}
                                for label, rates in network.published.items()}  # fmt: skip
    out["populations"] = [_population(pop, w) for pop in network.populations.values()]
    out["built"] = list(_built(network, w))
    links = [_projection(c, w, linked=True) for c in network.links.values()]
    out |= {"links": links} if links else {}
    settings = [setting for c in network.projections.values() for setting in _settings(c, w)]
    out |= {"settings": settings} if settings else {}
    out["probes"] = [_probe(probe, w) for probe in network.probes]
    return out


def _population(pop: Population, w: Writer) -> dict[str, Any]:
    with w.of(f"population '{pop.label}'"):
        out: dict[str, Any] = {"name": pop.label, "n": int(pop.n), "cell": describe(pop.cell, w, "the cell")}
        init: dict[str, Any] = {}
        for key, value in pop.init.items():
            with w.of(f"the initial {key}"):
                init[key] = put(value, w)
        out |= {"init": init} if init else {}
        if pop.positions is not None:
            out["positions"] = w.array(pop.positions, "values")
        return out


# -- projections and stimuli, in an order in which they can be made again


def _built(network: Network, w: Writer) -> Iterator[dict[str, Any]]:
    """Yield projections in their order, and before each what was made before it at the populations it changes.

    The parts of a population are in the order in which they were made, and so are its state variables.
    """
    done = {label: 0 for label in network.populations}
    waiting = {pop.label: _added(network, pop, w) for pop in network.populations.values()}

    def stimuli(pop: Population, until: str | None) -> Iterator[dict[str, Any]]:
        parts = waiting[pop.label]
        while done[pop.label] < len(parts):
            key = parts[done[pop.label]]
            if key == until:
                done[pop.label] += 1
                return
            if key not in {k for k, *_ in pop.stimuli}:
                break
            done[pop.label] += 1
            yield _stimulus(pop, key, w)

    for c in network.projections.values():
        for label in (c.name, f"{c.name}.{LABEL}"):
            for pop in dict.fromkeys(pop for pop, _ in (*c.pre.parts, *c.post.parts)):
                if label in waiting[pop.label]:
                    yield from stimuli(pop, label)
        yield _projection(c, w)
    for pop in network.populations.values():
        yield from stimuli(pop, None)
        if done[pop.label] < len(waiting[pop.label]):
            w.refuse(f"the parts of population '{pop.label}' are not in the order of its projections")


def _added(network: Network, pop: Population, w: Writer) -> list[str]:
    """Return the names of what projections and stimuli have added to a population, after a look at all its parts."""
    stimuli = {key: stimulus for key, stimulus, _, _ in pop.stimuli}
    added = []
    for key, part in pop.scope.parts.items():
        known: Any = None
        if key == "":
            known = pop.cell
        elif key in pop.cell.receptors:
            known = pop.cell.receptors[key]
        else:
            added.append(key)
            if key in stimuli:
                known = stimuli[key]
            elif type(part) in (Traces, ShortTerm) and key.removesuffix(f".{LABEL}") in network.projections:
                known = part
        if known is not part:
            w.refuse(f"population '{pop.label}' has {part.kind} '{key}', which was not put there by the functions of "
                     "Network")  # fmt: skip
    missing = [key for key in (*pop.cell.receptors, *stimuli) if key not in pop.scope.parts]
    if missing:
        w.refuse(f"population '{pop.label}' has lost its part '{missing[0]}'")
    return added


def _stimulus(pop: Population, key: str, w: Writer) -> dict[str, Any]:
    stimulus, ids = next((stimulus, ids) for k, stimulus, ids, _ in pop.stimuli if k == key)
    with w.of(f"population '{pop.label}'"):
        made = describe(stimulus, w, f"stimulus '{key}'")
    return {"stimulus": key, "at": _part(pop, ids, w), "of": made}


def _projection(c: Connection, w: Writer, linked: bool = False) -> dict[str, Any]:
    with w.of(f"{'link' if linked else 'projection'} '{c.name}'"):
        out: dict[str, Any] = {
            "projection": c.name,
            "pre": [_part(pop, ids, w) for pop, ids in c.pre.parts],
            "post": [_part(pop, ids, w) for pop, ids in c.post.parts],
            "receptor": c.receptor,
            "rule": put_rule(c.rule, w),
        }
        weight = weight_dimension(c.pre, c.post, c.receptor, c.where) if linked else _weight(c.post, c.receptor)
        for key, value, dim in (("weight", c.weight, weight), *(() if linked else (("delay", c.delay, TIME),))):
            with w.of(f"the {key}"):
                out[key] = _edge_value(value, dim, w)
        if c.plasticity is not None:
            out["plasticity"] = describe(c.plasticity, w, "the learning rule")
        if c.short_term is not None:
            out["short_term"] = describe(c.short_term, w, "the short-term plasticity")
        return out


def _weight(post: Group, receptor: str) -> Dimension:
    return post.parts[0][0].scope.weight_dimension(receptor)


def _edge_value(value: Any, dim: Dimension, w: Writer) -> Any:
    """Write a weight or delay: it is in SI, and an expression is a program."""
    if isinstance(value, Program):
        return put_expression(value, w)
    if isinstance(value, Shared):  # in one row: the rule has the kernel's shape
        value = value.values if isinstance(value.values, Draw) else value.values.reshape(-1)
    if isinstance(value, Draw):
        return put(Random(value, dim), w)
    if isinstance(value, PerEdge):
        w.refuse(f"it is {value.describe()}, which a file does not hold: give the values, net.edges(NAME)")
    if isinstance(value, np.ndarray) and value.ndim:  # without a copy: there may be a billion
        return {**w.array(value, "values"), "unit": dim.symbol}
    return put(float(value) if dim == DIMENSIONLESS else Quantity(value, dim), w)


def _part(pop: Population, ids: np.ndarray | None, w: Writer) -> dict[str, Any]:
    return {"population": pop.label, **({} if ids is None else {"ids": w.array(ids, "indices")})}


def _settings(c: Connection, w: Writer) -> Iterator[dict[str, Any]]:
    """Yield the parameters of learning rules and short-term plasticity that were set where they live, at the neurons:
    ``set_parameter`` does that, at one population at a time."""
    for label, rule in ((c.name, c.plasticity), (f"{c.name}.{LABEL}", c.short_term)):
        for pop in dict.fromkeys(pop for pop, _ in (*c.pre.parts, *c.post.parts)):
            part = pop.scope.parts.get(label)
            if rule is None or part is None:
                continue
            for key in part.params:
                path = f"{pop.label}.{label}.{key}"
                with w.of(path):
                    if put(part.value(key), Writer()) != put(rule.value(key), Writer()):
                        yield {"parameter": path, "value": put(part.value(key), w)}


def _probe(probe: Probe, w: Writer) -> dict[str, Any]:
    out: dict[str, Any] = {"projection" if probe.edge else "population": probe.target, "variable": probe.variable}
    if probe.ids is not None:
        out["ids"] = w.array(probe.ids, "indices")
    if probe.every is not None:
        out["every"] = float(probe.every)
    return out
