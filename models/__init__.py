"""The library: cells, receptors and stimuli, all of them declarations; networks are in ``neurosim.models.networks``."""

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
    "EscapeLIF", "ExpConductance", "ExpCurrent", "GLIF", "HodgkinHuxley", "IF", "Izhikevich", "LIF", "NMDA", "OUNoise",
    "PoissonInput", "PoissonSource", "PulseCurrent", "SineCurrent", "SpikeSource", "StepCurrent", "WhiteNoise",
]  # fmt: skip
