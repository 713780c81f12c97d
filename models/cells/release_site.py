"""Sites of synapses that release a vesicle or do not."""

from __future__ import annotations

from neurosim.lang.components import Cell
from neurosim.lang.event import Event
from neurosim.models.cells.relay import Relay
from neurosim.params import Param
from neurosim.units import ms

ReleaseSite = Cell(
    """
    x[n+1] = 0*x
    du/dt = -u/tau_facil
    docked[n+1] = where(uniform() < 1 - exp(-dt/tau_rec), 1, docked)
    """,
    threshold="x > 0 and uniform() < (u + U*(1 - u))*docked",
    reset="docked = 0",
    events={"arrived": Event("x > 0", "u = u + U*(1 - u)")},
    receptors=Relay.receptors,
    init={"docked": 1.0},
    U=Param(0.5, 1, "probability with which a rested site releases its vesicle", lo=0.0, hi=1.0),
    tau_rec=Param(800 * ms, ms, "mean time until an empty site has a vesicle again", lo=0 * ms, lo_open=True),
    tau_facil=Param(1000 * ms, ms, "time constant of facilitation", lo=0 * ms, lo_open=True),
    name="ReleaseSite",
    doc=(
        "a release site with room for one vesicle: a spike that reaches it raises its probability of release by "
        "facilitation, and it passes the spike on if it has a vesicle and releases it. A synapse with N sites is N of "
        "them between source and target; what they release on average is TsodyksMarkram's release, their "
        "receptor input takes plain numbers, and they add a delay of their own"
    ),
    source=(
        "G. Fuhrmann, I. Segev, H. Markram, M. Tsodyks, J. Neurophysiol. 87 (2002), the stochastic counterpart of "
        "M. Tsodyks, H. Markram, PNAS 94 (1997)"
    ),
)
