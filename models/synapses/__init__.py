"""Receptors: what an arriving spike does to its target."""

from neurosim.models.synapses.exponential import ExpConductance, ExpCurrent

__all__ = ["ExpConductance", "ExpCurrent"]
