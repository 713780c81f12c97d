"""Learning rules: how the weights of a projection change."""

from neurosim.models.plasticity.calcium import CalciumSTDP
from neurosim.models.plasticity.homeostatic import HeterosynapticSTDP, SynapticScaling
from neurosim.models.plasticity.inhibitory import InhibitorySTDP
from neurosim.models.plasticity.pair import GuetigSTDP, MultiplicativeSTDP, NearestSTDP, PairSTDP, PowerLawSTDP
from neurosim.models.plasticity.reward import RewardSTDP
from neurosim.models.plasticity.surprise import Surprise
from neurosim.models.plasticity.triplet import TripletSTDP

__all__ = [
    "CalciumSTDP", "GuetigSTDP", "HeterosynapticSTDP", "InhibitorySTDP", "MultiplicativeSTDP", "NearestSTDP",
    "PairSTDP", "PowerLawSTDP", "RewardSTDP", "Surprise", "SynapticScaling", "TripletSTDP",
]  # fmt: skip
