"""Receptors: what an arriving spike does to its target."""

from neurosim.models.synapses.alpha import AlphaConductance, AlphaCurrent
from neurosim.models.synapses.delta import DeltaCurrent
from neurosim.models.synapses.exponential import ExpConductance, ExpCurrent
from neurosim.models.synapses.link import GapJunction, GradedSynapse, RateLink
from neurosim.models.synapses.modulator import Modulator
from neurosim.models.synapses.nmda import NMDA
from neurosim.models.synapses.pulse import PulseCurrent

__all__ = [
    "AlphaConductance", "AlphaCurrent", "DeltaCurrent", "ExpConductance", "ExpCurrent", "GapJunction",
    "GradedSynapse", "Modulator", "NMDA", "PulseCurrent", "RateLink",
]  # fmt: skip
