"""Titans: memories that learn at test time, the blocks around them, and a language model of them, in PyTorch."""

from neurosim.models.titans.blocks import MemoryAsContext, MemoryAsGate, MemoryAsLayer, TitansBlock
from neurosim.models.titans.language import BrainMimeticLM, LMOut, LMState
from neurosim.models.titans.memory import NeuralMemory, NeuralState, Remembered
from neurosim.models.titans.page import surprise_page

__all__ = [
    "BrainMimeticLM", "LMOut", "LMState", "MemoryAsContext", "MemoryAsGate", "MemoryAsLayer", "NeuralMemory",
    "NeuralState", "Remembered", "TitansBlock", "surprise_page",
]  # fmt: skip
