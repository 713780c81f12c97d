"""Synapses that make the membrane potential jump."""

from __future__ import annotations

from neurosim.lang.components import Receptor

DeltaCurrent = Receptor(
    event="v += w",
    name="DeltaCurrent",
    doc=(
        "delta synapse: the potential v jumps by the weight. The jump comes after the decay of the step and is not "
        "decayed in it (NEST's iaf_psc_delta); with when='before' it comes first and decays with v, which is what "
        "Brian2 does with a spike that it delivered at the end of the step before. A clamped v takes nothing while "
        "refractory"
    ),
    source="N. Brunel, J. Comput. Neurosci. 8 (2000), eq. 2",
)
