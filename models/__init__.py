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
    ClopathAdEx,
    CubaLIF,
    ErrorUnit,
    EscapeLIF,
    HodgkinHuxley,
    HodgkinHuxleyPeak,
    IntrinsicUnit,
    Izhikevich,
    LiveSource,
    PoissonSource,
    Prediction,
    RateUnit,
    Relay,
    ReleaseSite,
    SpikeSource,
    UrbanczikSenn,
)
from neurosim.models.dendrites import CA1Pyramidal, DendriticSpike, L5Pyramidal, Passive
from neurosim.models.inputs import (
    ArrayCurrent,
    DCInput,
    LiveCurrent,
    OUNoise,
    PoissonInput,
    SineCurrent,
    StepCurrent,
    WhiteNoise,
)
from neurosim.models.plasticity import (
    CalciumSTDP,
    ClopathSTDP,
    DendriticPrediction,
    GuetigSTDP,
    HeterosynapticSTDP,
    InhibitorySTDP,
    MultiplicativeSTDP,
    NearestSTDP,
    PairSTDP,
    PowerLawSTDP,
    PreCentredSTDP,
    RestrictedSTDP,
    RewardSTDP,
    Surprise,
    SynapticScaling,
    TripletSTDP,
)
from neurosim.models.short_term import Depression, TsodyksMarkram, TsodyksUzielMarkram
from neurosim.models.synapses import (
    NMDA,
    AlphaConductance,
    AlphaCurrent,
    DeltaCurrent,
    ExpConductance,
    ExpCurrent,
    GapJunction,
    GradedSynapse,
    Modulator,
    PulseCurrent,
    RateLink,
)

__all__ = [
    "ALIF", "AdEx", "AlphaConductance", "AlphaCurrent", "ArrayCurrent", "CA1Pyramidal", "CalciumSTDP",
    "ClopathAdEx", "ClopathSTDP", "CubaLIF", "DCInput", "DeltaCurrent", "DendriticPrediction", "DendriticSpike",
    "Depression", "EIF", "ErrorUnit", "EscapeLIF", "ExpConductance", "ExpCurrent", "GLIF", "GapJunction",
    "GradedSynapse", "GuetigSTDP", "HeterosynapticSTDP", "HodgkinHuxley", "HodgkinHuxleyPeak", "IF",
    "InhibitorySTDP", "IntrinsicUnit", "Izhikevich", "L5Pyramidal", "LIF", "LiveCurrent", "LiveSource", "Modulator",
    "MultiplicativeSTDP", "NMDA", "NearestSTDP", "OUNoise", "PairSTDP", "Passive", "PoissonInput", "PoissonSource",
    "PowerLawSTDP", "PreCentredSTDP", "Prediction", "PulseCurrent", "RateLink", "RateUnit", "Relay", "ReleaseSite",
    "RestrictedSTDP", "RewardSTDP", "SineCurrent", "SpikeSource", "StepCurrent", "Surprise", "SynapticScaling",
    "TripletSTDP", "TsodyksMarkram", "TsodyksUzielMarkram", "UrbanczikSenn", "WhiteNoise",
]  # fmt: skip
