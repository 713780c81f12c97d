"""The library: cells, receptors, stimuli and learning rules, all of them declarations.

Networks are in ``neurosim.models.networks``.
"""

from neurosim.models.cells import (
    ALIF,
    EIF,
    GLIF,
    IF,
    LIF,
    AdEx,
    CubaLIF,
    EscapeLIF,
    HodgkinHuxley,
    Izhikevich,
    PoissonSource,
    SpikeSource,
)
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
    NMDA,
    AlphaConductance,
    AlphaCurrent,
    DeltaCurrent,
    ExpConductance,
    ExpCurrent,
    PulseCurrent,
)

__all__ = [
    "ALIF", "AdEx", "AlphaConductance", "AlphaCurrent", "ArrayCurrent", "CubaLIF", "DCInput", "DeltaCurrent", "EIF",
    "EscapeLIF", "ExpConductance", "ExpCurrent", "GLIF", "GuetigSTDP", "HodgkinHuxley", "IF", "InhibitorySTDP",
    "Izhikevich", "LIF", "MultiplicativeSTDP", "NMDA", "NearestSTDP", "OUNoise", "PairSTDP", "PoissonInput",
    "PoissonSource", "PowerLawSTDP", "PulseCurrent", "SineCurrent", "SpikeSource", "StepCurrent", "TripletSTDP",
    "WhiteNoise",
]  # fmt: skip
