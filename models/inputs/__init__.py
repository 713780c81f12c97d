"""Stimuli: currents, and Poisson input onto receptors."""

from neurosim.models.inputs.current import ArrayCurrent, DCInput, LiveCurrent, SineCurrent, StepCurrent
from neurosim.models.inputs.noise import OUNoise, WhiteNoise
from neurosim.models.inputs.poisson import PoissonInput

__all__ = [
    "ArrayCurrent", "DCInput", "LiveCurrent", "OUNoise", "PoissonInput", "SineCurrent", "StepCurrent", "WhiteNoise",
]  # fmt: skip
