"""A receptor that only tells: for neuromodulators, which learning rules read."""

from __future__ import annotations

from neurosim.lang.components import Receptor
from neurosim.params import Param
from neurosim.units import ms

Modulator = Receptor(
    "dx/dt = -x/tau",
    event="x += w",
    tau=Param(200 * ms, ms, "time constant of the concentration", lo=0 * ms, lo_open=True),
    name="Modulator",
    doc=(
        "concentration of a neuromodulator: jumps by the weight, decays, and moves no charge. A learning rule reads it "
        "by the receptor's name, dopamine_post for receptors={'dopamine': Modulator()}"
    ),
    source="E. M. Izhikevich, Cereb. Cortex 17 (2007), eq. 4",
)
