"""Spikes that act as a pulse of one step: what NIR, and networks made with tensor libraries, mean by an input."""

from __future__ import annotations

from neurosim.lang.components import Receptor

PulseCurrent = Receptor(
    "x[n+1] = 0*x",
    event="x += w",
    output="x",
    when="before",
    name="PulseCurrent",
    doc="the weight is the input of the step in which the spike arrives, and of no other; its effect scales with dt",
    source="J. E. Pedersen et al., Nat. Commun. 15 (2024), Neuromorphic intermediate representation",
)
