"""Learning: networks as PyTorch modules and back, their training, ReLU networks as spikes, learning rules measured."""

from neurosim.learning.bridge import load_torch, to_torch
from neurosim.learning.conversion import convert
from neurosim.learning.fit import History, fit
from neurosim.learning.losses import L1, FirstSpikeLoss, MembraneLoss, RateBounds, RateLoss, SynapticOperations
from neurosim.learning.online import OTTT, EProp
from neurosim.learning.optimisers import muon_adamw, qk_clip
from neurosim.learning.protocol import Window, stdp_window

__all__ = [
    "EProp", "FirstSpikeLoss", "History", "L1", "MembraneLoss", "OTTT", "RateBounds", "RateLoss", "SynapticOperations",
    "Window", "convert", "fit", "load_torch", "muon_adamw", "qk_clip", "stdp_window", "to_torch",
]  # fmt: skip
