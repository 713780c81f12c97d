"""Stimuli: currents, and Poisson input onto receptors."""

from neurosim.models.inputs.current import ArrayCurrent, DCInput, SineCurrent, StepCurrent
from neurosim.models.inputs.noise import OUNoise, WhiteNoise
from neurosim.models.inputs.poisson import PoissonInput

__all__ = ["ArrayCurrent", "DCInput", "OUNoise", "PoissonInput", "SineCurrent", "StepCurrent", "WhiteNoise"]
