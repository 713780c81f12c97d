"""The library: cells, receptors and stimuli, all of them declarations; networks are in ``neurosim.models.networks``."""

from neurosim.models.cells import IF, LIF, AdEx, CubaLIF, HodgkinHuxley, Izhikevich, PoissonSource, SpikeSource
from neurosim.models.inputs import ArrayCurrent, DCInput, OUNoise, PoissonInput, SineCurrent, StepCurrent, WhiteNoise
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
    "ExpCurrent", "HodgkinHuxley", "IF", "Izhikevich", "LIF", "OUNoise", "PoissonInput", "PoissonSource",
    "PulseCurrent", "SineCurrent", "SpikeSource", "StepCurrent", "WhiteNoise",
]  # fmt: skip
