"""Dendrites: compartments, dendritic spikes, cells made of them, and Dendrify's words for all of it."""

from neurosim.models.dendrites.passive import Passive, axial, cable, cylinder, tree
from neurosim.models.dendrites.pyramidal import CA1Pyramidal, L5Pyramidal
from neurosim.models.dendrites.spikes import DendriticSpike
from neurosim.models.dendrites.wiring import receptive_fields, wire

__all__ = [
    "CA1Pyramidal", "DendriticSpike", "L5Pyramidal", "Passive", "axial", "cable", "cylinder", "receptive_fields",
    "tree", "wire",
]  # fmt: skip
