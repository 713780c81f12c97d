"""Mamba: selective state spaces, their blocks and language models, and Jamba, in PyTorch."""

from neurosim.models.mamba.block import Mamba2Block, MambaBlock, MambaState
from neurosim.models.mamba.language import JambaLM, MambaClassifier, MambaLM, MambaOut, MambaStack

__all__ = ["JambaLM", "Mamba2Block", "MambaBlock", "MambaClassifier", "MambaLM", "MambaOut", "MambaStack", "MambaState"]
