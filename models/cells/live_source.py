"""Neurons whose spikes come from outside, while the network runs."""

from __future__ import annotations

from neurosim.lang.components import Cell

LiveSource = Cell(
    "pending[n+1] = 0*pending; due[n+1] = pending",
    threshold="due > 0.5",
    name="LiveSource",
    doc="a source that spikes in the step after simulation.emit(population, ids) named the neuron",
)
