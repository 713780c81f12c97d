"""From a document to the network, through the functions and constructors that a user calls."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.errors import placed
from neurosim.ir.rules.base import GROUP_LIMIT, Rule
from neurosim.lang.components import Cell, Current, Drive
from neurosim.lang.groups import Group, Population
from neurosim.lang.network import Network
from neurosim.lang.plasticity import Plasticity
from neurosim.lang.short_term import ShortTerm
from neurosim.saving.describe import NAME, VERSION
from neurosim.saving.nodes import Node
from neurosim.saving.rules import take_rule
from neurosim.saving.table import component
from neurosim.saving.values import take
from neurosim.units import LENGTH, TIME, Quantity


def network(node: Node, shown: str) -> Network:
    """Return the network of a document.

    Parameters
    ----------
    node : Node
        The document.
    shown : str
        Its file, for what is said of the network and of what is in it.

    Raises
    ------
    DocumentError
        It is not as the format has it.
    NeurosimError
        It is, and describes no network: what the language says of such a one, with the place in the file.
    """
    found = node.object(("format", "version", "name", "dt", "seed", "populations", "built", "probes"),
                        ("duration", "published", "settings", "links"))  # fmt: skip
    found["format"].choice(NAME)
    found["version"].whole(VERSION, VERSION)
    with placed(shown):
        dt = Quantity(float(found["dt"].number()), TIME)
        net = Network(found["name"].label(), dt=dt, seed=found["seed"].whole(0, 2**64 - 1))
    if "duration" in found:
        value = take(found["duration"])
        if not isinstance(value, Quantity) or value.dim != TIME or value.shape:
            found["duration"].fail("is not a time")
        net.default_duration = value
    if "published" in found:
        net.published = _published(found["published"])
    for each in found["populations"].items():
        _population(net, each, shown)
    for each in found["built"].items():
        stimulus = isinstance(each.value, dict) and "stimulus" in each.value
        (_stimulus if stimulus else _projection)(net, each, shown)
    for each in found["links"].items() if "links" in found else ():
        _projection(net, each, shown, linked=True)
    for each in found["settings"].items() if "settings" in found else ():
        setting = each.object(("parameter", "value"))
        with placed(f"{shown}: {each.path}"):
            net.set_parameter(setting["parameter"].label(), take(setting["value"]))
    for each in found["probes"].items():
        _probe(net, each, shown)
    node.arrays.all_taken()
    return net


def _published(node: Node) -> dict[str, dict[str, float]]:
    out: dict[str, dict[str, float]] = {}
    for label, rates in node.members().items():
        Node(label, f"a name in {node.path}", node.arrays).label()
        out[label] = {}
        for key, rate in rates.members().items():
            Node(key, f"a name in {rates.path}", node.arrays).label()
            out[label][key] = float(rate.number())
    return out


def _population(net: Network, node: Node, shown: str) -> None:
    found = node.object(("name", "n", "cell"), ("init", "positions"))
    name = found["name"].label()
    with placed(f"{shown}: population '{name[:80]}'"):
        init = {key: take(each) for key, each in found["init"].members().items()} if "init" in found else {}
        positions = Quantity(found["positions"].array("values", 2), LENGTH) if "positions" in found else None
        net.population(name, found["n"].whole(1, GROUP_LIMIT - 1), component(found["cell"], Cell), init=init,
                       positions=positions)  # fmt: skip


def _stimulus(net: Network, node: Node, shown: str) -> None:
    found = node.object(("stimulus", "at", "of"))
    key = found["stimulus"].label()
    with placed(f"{shown}: stimulus '{key[:80]}'"):
        target = _part(net, found["at"])
        pop = target.parts[0][0]
        made = component(found["of"], Current, Drive)
        # a name that the network gave is made again, as it need not be one that a user may give
        own = next(k for k in (f"{made.name.lower()}{i or ''}" for i in range(10**6)) if k not in pop.scope.parts)
        net.stimulate(target, made, name=None if own == key else key)


def _projection(net: Network, node: Node, shown: str, linked: bool = False) -> None:
    needs = ("projection", "pre", "post", "receptor", "rule", "weight")
    more = ("delay",), ("plasticity", "short_term")
    found = node.object(needs, ()) if linked else node.object((*needs, *more[0]), more[1])
    label = found["projection"].label()
    with placed(f"{shown}: {'link' if linked else 'projection'} '{label[:80]}'"):
        pre, post = _group(net, found["pre"]), _group(net, found["post"])
        learned = component(found["plasticity"], Plasticity) if "plasticity" in found else None
        model = component(found["short_term"], ShortTerm) if "short_term" in found else None
        rule = take_rule(found["rule"], pre, post)
        weight = _in_kernel(take(found["weight"]), rule)
        delay = None if linked else _in_kernel(take(found["delay"]), rule)
        net.connect(
            pre, post, receptor=found["receptor"].label(), rule=rule, weight=weight, delay=delay, plasticity=learned,
            short_term=model, name=label,
        )  # fmt: skip
        if (label in net.links) != linked:
            node.fail(f"leads to a receptor that takes {'' if linked else 'no '}spikes")


def _in_kernel(value: Any, rule: Rule) -> Any:
    """Return values that edges share in the shape of their kernel; others as they are, to be looked at."""
    shape = rule.kernel_shape
    raw = value.value if isinstance(value, Quantity) else value
    if shape is None or np.ndim(raw) != 1 or np.size(raw) != np.prod(shape):
        return value
    made = np.asarray(raw).reshape(shape)
    return Quantity(made, value.dim) if isinstance(value, Quantity) else made


def _group(net: Network, node: Node) -> Group:
    parts = [_part(net, each) for each in node.items()]
    if not parts:
        node.fail("is empty")
    if len(parts) == 1:
        return parts[0]
    seen: dict[str, list[np.ndarray | None]] = {}
    for part in parts:
        for pop, ids in part.parts:
            seen.setdefault(pop.label, []).append(ids)
    for label, those in seen.items():
        several = [ids for ids in those if ids is not None]
        if len(those) > 1 and (len(several) < len(those) or _twice(np.concatenate(several))):
            node.fail(f"names a neuron of '{label}' twice")
    return Group([pair for part in parts for pair in part.parts])


def _part(net: Network, node: Node) -> Group:
    """Return a population, or some neurons of one; nothing of the size of the population is made."""
    found = node.object(("population",), ("ids",))
    pop = net[found["population"].label()]
    return pop if "ids" not in found else Group([(pop, _ids(pop, found["ids"]))])


def _ids(pop: Population, node: Node) -> np.ndarray:
    ids = np.array(node.array("indices"))
    if not len(ids) or ids.min() < 0 or ids.max() >= pop.n:
        node.fail(f"does not name neurons of '{pop.label}', of which there are {pop.n}")
    if _twice(ids):
        node.fail(f"names a neuron of '{pop.label}' twice")
    return ids


def _twice(ids: np.ndarray) -> bool:
    return len(np.unique(ids)) < len(ids)


def _probe(net: Network, node: Node, shown: str) -> None:
    found = node.object(("variable",), ("population", "projection", "ids", "every"))
    variable = found["variable"].label()
    with placed(f"{shown}: {node.path}"):
        every = Quantity(float(found["every"].number()), TIME) if "every" in found else None
        target: Any
        if "population" in found and "projection" not in found:
            target = net[found["population"].label()]
            if "ids" in found:
                target = Group([(target, _ids(target, found["ids"]))])
        elif "projection" in found and not found.keys() & {"population", "ids"}:
            target = net.projections.get(found["projection"].label())
            if target is None:
                found["projection"].fail("names no projection of the network")
        else:
            node.fail("is neither of a population nor of a projection")
        net.record(target, variable, every=every)
