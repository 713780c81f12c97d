"""The library: cells, receptors, stimuli and learning rules, all of them declarations.

Networks are in ``neurosim.models.networks``.
"""

from neurosim.models.cells import IF, LIF, AdEx, CubaLIF, HodgkinHuxley, Izhikevich, PoissonSource, SpikeSource
from neurosim.models.inputs import ArrayCurrent, DCInput, OUNoise, PoissonInput, SineCurrent, StepCurrent, WhiteNoise
from neurosim.models.plasticity import (
    GuetigSTDP,
    InhibitorySTDP,
    MultiplicativeSTDP,
    NearestSTDP,
    PairSTDP,
    PowerLawSTDP,
    TripletSTDP,
)
from neurosim.models.synapses import (
    AlphaConductance,
    AlphaCurrent,
    DeltaCurrent,
    ExpConductance,
    ExpCurrent,
    PulseCurrent,
)

__all__ = [
    "AdEx", "AlphaConductance", "AlphaCurrent", "ArrayCurrent", "CubaLIF", "DCInput", "DeltaCurrent", "ExpConductance",
    "ExpCurrent", "GuetigSTDP", "HodgkinHuxley", "IF", "InhibitorySTDP", "Izhikevich", "LIF", "MultiplicativeSTDP",
    "NearestSTDP", "OUNoise", "PairSTDP", "PoissonInput", "PoissonSource", "PowerLawSTDP", "PulseCurrent",
    "SineCurrent", "SpikeSource", "StepCurrent", "TripletSTDP", "WhiteNoise",
]  # fmt: skip
