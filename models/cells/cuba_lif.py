"""The leaky integrate-and-fire cell with a synaptic filter of NIR."""

from __future__ import annotations

from neurosim.lang.components import Cell
from neurosim.models.synapses.pulse import PulseCurrent
from neurosim.params import Param
from neurosim.units import ms

CubaLIF = Cell(
    """
    di_syn/dt = (w_in*i - i_syn)/tau_syn
    dv/dt = (v_leak - v + r*i_syn)/tau_mem
    """,
    threshold="v > v_threshold",
    reset="v = v_reset",
    receptors={"input": PulseCurrent},
    init={"v": "v_leak"},
    tau_syn=Param(5 * ms, ms, "time constant of the synaptic filter", lo=0 * ms, lo_open=True),
    tau_mem=Param(10 * ms, ms, "membrane time constant", lo=0 * ms, lo_open=True),
    r=Param(1.0, 1, "resistance"),
    w_in=Param(1.0, 1, "weight of the input"),
    v_leak=Param(0.0, 1, "resting potential"),
    v_threshold=Param(1.0, 1, "threshold, to be exceeded"),
    v_reset=Param(0.0, 1, "potential after a spike"),
    name="CubaLIF",
    doc=(
        "NIR's CubaLIF: everything but time is dimensionless, i is NIR's input S. Integrated exactly; "
        "method='euler' gives the update of snnTorch and most NIR importers"
    ),
    source="J. E. Pedersen et al., Nat. Commun. 15 (2024), Neuromorphic intermediate representation",
)
