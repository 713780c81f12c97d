"""The library: cells, receptors, stimuli (declarations only) and published networks."""

from neurosim.models.cells import LIF
from neurosim.models.synapses import ExpConductance, ExpCurrent

__all__ = ["LIF", "ExpConductance", "ExpCurrent"]
