"""Dendrites: compartments, dendritic spikes, cells made of them, and Dendrify's words for all of it."""

from neurosim.models.dendrites.passive import Passive, axial, cable, cylinder
from neurosim.models.dendrites.pyramidal import L5Pyramidal
from neurosim.models.dendrites.spikes import DendriticSpike

__all__ = ["DendriticSpike", "L5Pyramidal", "Passive", "axial", "cable", "cylinder"]
