"""Learning: a network as a PyTorch module and back, and learning rules measured by a protocol."""

from neurosim.learning.bridge import load_torch, to_torch
from neurosim.learning.protocol import Window, stdp_window

__all__ = ["Window", "load_torch", "stdp_window", "to_torch"]
