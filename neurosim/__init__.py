"""neurosim: one spiking network, every engine, the same spikes.

>>> import neurosim as ns
>>> from neurosim.units import ms, mV
>>> net = ns.Network("demo", dt=0.1 * ms, seed=1)

Names are loaded when they are first used, so that ``import neurosim`` and ``neurosim --help`` wait for nothing.
"""

import importlib
import typing

if typing.TYPE_CHECKING:
    from neurosim.comparison import compare
    from neurosim.ir.rules import (
        AllToAll,
        Convolution,
        EdgeList,
        FixedInDegree,
        FixedOutDegree,
        FixedProbability,
        FixedTotalNumber,
        OneToOne,
        Rule,
        pooling,
    )
    from neurosim.lang.compartments import Channel, compartments
    from neurosim.lang.components import (
        Cell,
        Current,
        Drive,
        Event,
        Receptor,
        TimedArray,
        exponential,
        lognormal,
        normal,
        uniform,
    )
    from neurosim.lang.connect import DistanceDependent, Where
    from neurosim.lang.groups import Group, Population, grid_positions
    from neurosim.lang.network import Network
    from neurosim.lang.plasticity import Plasticity
    from neurosim.lang.short_term import ShortTerm
    from neurosim.params import Param
    from neurosim.registry import load_network as network
    from neurosim.run import simulate
    from neurosim.units import Quantity

__version__ = "0.1.0"

_RULES, _PARTS, _GROUPS = "neurosim.ir.rules", "neurosim.lang.components", "neurosim.lang.groups"
_HOMES = {
    "AllToAll": _RULES, "Convolution": _RULES, "EdgeList": _RULES, "FixedInDegree": _RULES, "FixedOutDegree": _RULES,
    "FixedProbability": _RULES, "FixedTotalNumber": _RULES, "OneToOne": _RULES, "Rule": _RULES, "pooling": _RULES,
    "compare": "neurosim.comparison",
    "Channel": "neurosim.lang.compartments", "compartments": "neurosim.lang.compartments",
    "Cell": _PARTS, "Current": _PARTS, "Drive": _PARTS, "Event": _PARTS, "Receptor": _PARTS, "TimedArray": _PARTS,
    "exponential": _PARTS, "lognormal": _PARTS, "normal": _PARTS, "uniform": _PARTS,
    "DistanceDependent": "neurosim.lang.connect", "Where": "neurosim.lang.connect",
    "Group": _GROUPS, "Population": _GROUPS, "grid_positions": _GROUPS, "Network": "neurosim.lang.network",
    "Param": "neurosim.params", "Plasticity": "neurosim.lang.plasticity",
    "ShortTerm": "neurosim.lang.short_term",
    "network": "neurosim.registry:load_network", "simulate": "neurosim.run",
    "Quantity": "neurosim.units",
}  # fmt: skip
_MODULES = ("analysis", "errors", "recording", "units")

__all__ = [
    "AllToAll", "Cell", "Channel", "Convolution", "Current", "DistanceDependent", "Drive", "EdgeList", "Event",
    "FixedInDegree", "FixedOutDegree", "FixedProbability", "FixedTotalNumber", "Group", "Network", "OneToOne", "Param",
    "Plasticity", "Population", "Quantity", "Receptor", "Rule", "ShortTerm", "TimedArray", "Where", "compare",
    "compartments", "exponential", "grid_positions", "lognormal", "network", "normal", "pooling", "simulate", "uniform",
]  # fmt: skip


def __getattr__(name: str) -> typing.Any:
    if name in _HOMES:
        module, _, attribute = _HOMES[name].partition(":")
        globals()[name] = found = getattr(importlib.import_module(module), attribute or name)
        return found
    if name in _MODULES:
        return importlib.import_module(f"neurosim.{name}")
    raise AttributeError(f"module 'neurosim' has no attribute '{name}'{_hint(name)}")


def _hint(name: str) -> str:
    """Return where a name that is not here is, or what does here what it does in another simulator."""
    if name.startswith("_"):  # Python's own questions
        return ""
    habits = importlib.import_module("neurosim.habits")
    if name in habits.PUBLIC:
        return str(habits.elsewhere(name, habits.PUBLIC))
    for home in ("models", "units"):
        if hasattr(importlib.import_module(f"neurosim.{home}"), name):
            return f": write 'from neurosim.{home} import {name}'"
    return ""


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
