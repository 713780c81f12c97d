"""Layers, files and loops that several learning modules share, in PyTorch."""

from neurosim.models.layers.attention import Attention
from neurosim.models.layers.convolution import causal_convolution
from neurosim.models.layers.files import load, load_state, save, save_state
from neurosim.models.layers.spiking import LIF, activity, spike, ternary
from neurosim.models.layers.text import bits_per_byte, decode, encode, sample, segments, train

__all__ = [
    "Attention", "LIF", "activity", "bits_per_byte", "causal_convolution", "decode", "encode", "load", "load_state",
    "sample", "save", "save_state", "segments", "spike", "ternary", "train",
]  # fmt: skip
