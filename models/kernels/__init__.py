"""Kernels that several learning modules share, in PyTorch."""

from neurosim.models.kernels.deep_chunk import DeepRecall, DeepState, deep_chunk, perceptron
from neurosim.models.kernels.gated_chunk import MemoryState, Recall, decay_matrix, gated_chunk, gated_loop
from neurosim.models.kernels.selective_scan import scan_step, selective_scan

__all__ = [
    "DeepRecall", "DeepState", "MemoryState", "Recall", "decay_matrix", "deep_chunk", "gated_chunk", "gated_loop",
    "perceptron", "scan_step", "selective_scan",
]  # fmt: skip
