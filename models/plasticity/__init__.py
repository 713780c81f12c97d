"""Learning rules: how the weights of a projection change."""

from neurosim.models.plasticity.inhibitory import InhibitorySTDP
from neurosim.models.plasticity.pair import GuetigSTDP, MultiplicativeSTDP, NearestSTDP, PairSTDP, PowerLawSTDP
from neurosim.models.plasticity.triplet import TripletSTDP

__all__ = [
    "GuetigSTDP", "InhibitorySTDP", "MultiplicativeSTDP", "NearestSTDP", "PairSTDP", "PowerLawSTDP", "TripletSTDP",
]  # fmt: skip
