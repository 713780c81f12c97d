"""Learning by gradients: a network as a PyTorch module, and what it has learned back in the network."""

from neurosim.learning.bridge import load_torch, to_torch

__all__ = ["load_torch", "to_torch"]
