"""Learning: networks as PyTorch modules and back, their training, learning rules measured by a protocol."""

from neurosim.learning.bridge import load_torch, to_torch
from neurosim.learning.fit import History, fit
from neurosim.learning.losses import L1, FirstSpikeLoss, MembraneLoss, RateBounds, RateLoss, SynapticOperations
from neurosim.learning.optimisers import muon_adamw, qk_clip
from neurosim.learning.protocol import Window, stdp_window

__all__ = [
    "FirstSpikeLoss", "History", "L1", "MembraneLoss", "RateBounds", "RateLoss", "SynapticOperations", "Window", "fit",
    "load_torch", "muon_adamw", "qk_clip", "stdp_window", "to_torch",
]  # fmt: skip


"""Learning: networks as PyTorch modules and back, ReLU networks as spikes, learning rules measured by a protocol."""

from neurosim.learning.bridge import load_torch, to_torch
from neurosim.learning.conversion import convert
from neurosim.learning.protocol import Window, stdp_window

__all__ = ["Window", "convert", "load_torch", "stdp_window", "to_torch"]
