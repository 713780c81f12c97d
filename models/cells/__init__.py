"""Cells: neuron models, each one declaration."""

from neurosim.models.cells.lif import LIF

__all__ = ["LIF"]
