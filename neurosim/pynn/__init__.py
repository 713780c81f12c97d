"""PyNN's interface on top of neurosim: a script for PyNN runs with ``import neurosim.pynn as sim``.

>>> import neurosim.pynn as sim
>>> _ = sim.setup(timestep=0.1)
>>> cells = sim.Population(10, sim.IF_curr_exp(i_offset=1.0))
>>> cells.record("spikes")
>>> _ = sim.run(100.0)
>>> cells.mean_spike_count()
3.0

What is there, what is refused, and where a choice had to be made is on the page ``docs/pynn.md``. PyNN itself is not
needed; ``get_data`` needs Neo.
"""

from __future__ import annotations

from typing import Any

from neurosim.pynn import connectors, random, space
from neurosim.pynn.celltypes import LACKING as _CELLS
from neurosim.pynn.celltypes import (
    STANDARD,
    EIF_cond_alpha_isfa_ista,
    EIF_cond_exp_isfa_ista,
    HH_cond_exp,
    IF_cond_alpha,
    IF_cond_exp,
    IF_curr_alpha,
    IF_curr_delta,
    IF_curr_exp,
    Izhikevich,
    Sequence,
    SpikeSourceArray,
    SpikeSourcePoisson,
)
from neurosim.pynn.connectors import (
    AllToAllConnector,
    ArrayConnector,
    CloneConnector,
    DisplacementDependentProbabilityConnector,
    DistanceDependentProbabilityConnector,
    FixedNumberPostConnector,
    FixedNumberPreConnector,
    FixedProbabilityConnector,
    FixedTotalNumberConnector,
    FromFileConnector,
    FromListConnector,
    IndexBasedProbabilityConnector,
    OneToOneConnector,
)
from neurosim.pynn.control import (
    end,
    get_current_time,
    get_max_delay,
    get_min_delay,
    get_time_step,
    network,
    num_processes,
    rank,
    reset,
    run,
    run_for,
    run_until,
    setup,
)
from neurosim.pynn.electrodes import ACSource, DCSource, NoisyCurrentSource, StepCurrentSource
from neurosim.pynn.populations import Assembly, Population, PopulationView
from neurosim.pynn.projections import Projection
from neurosim.pynn.random import GSLRNG, NativeRNG, NumpyRNG, RandomDistribution
from neurosim.pynn.space import Cuboid, Grid2D, Grid3D, Line, RandomStructure, Space, Sphere
from neurosim.pynn.stdp import (
    AdditivePotentiationMultiplicativeDepression,
    AdditiveWeightDependence,
    GutigWeightDependence,
    MultiplicativeWeightDependence,
    SpikePairRule,
    STDPMechanism,
)
from neurosim.pynn.synapses import LACKING as _SYNAPSES
from neurosim.pynn.synapses import StaticSynapse, TsodyksMarkramSynapse
from neurosim.pynn.values import RoundingWarning

_REFUSED = {**_CELLS, **_SYNAPSES, **connectors.LACKING}
globals().update(_REFUSED)


def list_standard_models() -> list[str]:
    """Return the names of the cell types."""
    return list(STANDARD)


def create(cellclass: Any, cellparams: Any = None, n: int = 1) -> Population:
    """Return a population of ``n`` cells."""
    return Population(n, cellclass, cellparams)


def connect(pre: Any, post: Any, weight: Any = 0.0, delay: Any = None, receptor_type: str | None = None, p: float = 1,
            rng: Any = None) -> Projection:  # fmt: skip
    """Connect cells or populations, each pair with probability ``p``."""
    pre, post = (g.as_view() if hasattr(g, "as_view") else g for g in (pre, post))
    return Projection(pre, post, FixedProbabilityConnector(p, rng=rng), StaticSynapse(weight=weight, delay=delay),
                      receptor_type=receptor_type)  # fmt: skip


def set(cells: Any, **parameters: Any) -> None:
    """Change parameters of a population, view or assembly."""
    cells.set(**parameters)


def initialize(cells: Any, **initial_values: Any) -> None:
    """Set initial values of a population, view or assembly."""
    cells.initialize(**initial_values)


def record(
    variables: Any, source: Any, filename: Any = None, sampling_interval: float | None = None, annotations: Any = None
) -> None:
    """Record variables of cells or populations to a file, which ``end`` writes."""
    source = source.as_view() if hasattr(source, "as_view") else source
    source.record(variables, filename, sampling_interval)
    if annotations:
        source.annotate(**annotations)


__all__ = [
    "ACSource", "AdditivePotentiationMultiplicativeDepression", "AdditiveWeightDependence", "AllToAllConnector",
    "ArrayConnector", "Assembly", "CloneConnector", "Cuboid", "DCSource", "DisplacementDependentProbabilityConnector",
    "DistanceDependentProbabilityConnector", "EIF_cond_alpha_isfa_ista", "EIF_cond_exp_isfa_ista",
    "FixedNumberPostConnector", "FixedNumberPreConnector", "FixedProbabilityConnector", "FixedTotalNumberConnector",
    "FromFileConnector", "FromListConnector", "GSLRNG", "Grid2D", "Grid3D", "GutigWeightDependence", "HH_cond_exp",
    "IF_cond_alpha", "IF_cond_exp", "IF_curr_alpha", "IF_curr_delta", "IF_curr_exp", "IndexBasedProbabilityConnector",
    "Izhikevich", "Line", "MultiplicativeWeightDependence", "NativeRNG", "NoisyCurrentSource", "NumpyRNG",
    "OneToOneConnector", "Population", "PopulationView", "Projection", "RandomDistribution", "RandomStructure",
    "RoundingWarning", "STDPMechanism", "Sequence", "Space", "Sphere", "SpikePairRule", "SpikeSourceArray",
    "SpikeSourcePoisson", "StaticSynapse", "StepCurrentSource", "TsodyksMarkramSynapse", "connect", "create", "end",
    "get_current_time", "get_max_delay", "get_min_delay", "get_time_step", "initialize", "list_standard_models",
    "network", "num_processes", "random", "rank", "record", "reset", "run", "run_for", "run_until", "set", "setup",
    "space", *_REFUSED,
]  # fmt: skip
