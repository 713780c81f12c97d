"""Kernels that several learning modules share, in PyTorch."""

from neurosim.models.kernels.gated_chunk import MemoryState, Recall, decay_matrix, gated_chunk, gated_loop

__all__ = ["MemoryState", "Recall", "decay_matrix", "gated_chunk", "gated_loop"]
