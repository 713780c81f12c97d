"""Neurons that repeat the spikes that reach them."""

from __future__ import annotations

from neurosim.lang.components import Cell, Receptor

Relay = Cell(
    "x[n+1] = 0*x",
    threshold="x > 0",
    receptors={"input": Receptor(event="x += w", name="Arrivals", doc="the sum of what arrives in a step")},
    name="Relay",
    doc=(
        "a relay without memory: it spikes in the step in which spikes arrive, once however many they are, if their "
        "weights (plain numbers) add up to more than 0; the delay is that of the connections"
    ),
    source="NEST's parrot_neuron, which ignores weights, and sends as many spikes as arrive",
)
