"""neurosim: one spiking network, every engine, the same spikes.

>>> import neurosim as ns
>>> from neurosim.units import ms, mV
>>> net = ns.Network("demo", dt=0.1 * ms, seed=1)
"""

from neurosim.ir.rules import (
    AllToAll,
    EdgeList,
    FixedInDegree,
    FixedOutDegree,
    FixedProbability,
    FixedTotalNumber,
    OneToOne,
    Rule,
)
from neurosim.lang.components import Cell, Current, Drive, Receptor, TimedArray, exponential, lognormal, normal, uniform
from neurosim.lang.connect import DistanceDependent, Where
from neurosim.lang.groups import Group, Population, grid_positions
from neurosim.lang.network import Network
from neurosim.params import Param
from neurosim.registry import load_network as network
from neurosim.run import simulate
from neurosim.units import Quantity

__version__ = "0.1.0"

__all__ = [
    "AllToAll", "Cell", "Current", "DistanceDependent", "Drive", "EdgeList", "FixedInDegree", "FixedOutDegree",
    "FixedProbability", "FixedTotalNumber", "Group", "Network", "OneToOne", "Param", "Population", "Quantity",
    "Receptor", "Rule", "TimedArray", "Where", "exponential", "grid_positions", "lognormal", "network", "normal",
    "simulate", "uniform",
]  # fmt: skip
