"""Learning rules: how the weights of a projection change."""

from neurosim.models.plasticity.calcium import CalciumSTDP
from neurosim.models.plasticity.dendritic_prediction import DendriticPrediction
from neurosim.models.plasticity.homeostatic import HeterosynapticSTDP, SynapticScaling
from neurosim.models.plasticity.inhibitory import InhibitorySTDP
from neurosim.models.plasticity.pair import (
    GuetigSTDP,
    MultiplicativeSTDP,
    NearestSTDP,
    PairSTDP,
    PowerLawSTDP,
    PreCentredSTDP,
    RestrictedSTDP,
)
from neurosim.models.plasticity.reward import RewardSTDP
from neurosim.models.plasticity.surprise import Surprise
from neurosim.models.plasticity.triplet import TripletSTDP
from neurosim.models.plasticity.voltage import ClopathSTDP

__all__ = [
    "CalciumSTDP", "ClopathSTDP", "DendriticPrediction", "GuetigSTDP", "HeterosynapticSTDP", "InhibitorySTDP",
    "MultiplicativeSTDP", "NearestSTDP", "PairSTDP", "PowerLawSTDP", "PreCentredSTDP", "RestrictedSTDP", "RewardSTDP",
    "Surprise", "SynapticScaling", "TripletSTDP",
]  # fmt: skip
