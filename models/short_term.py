"""Short-term plasticity: depression and facilitation by what the source has released before."""

from __future__ import annotations

from neurosim.lang.short_term import ShortTerm
from neurosim.params import Param
from neurosim.units import ms

__all__ = ["Depression", "TsodyksMarkram", "TsodyksUzielMarkram"]

_U = Param(0.5, None, "fraction that a spike of a rested source releases", lo=0.0, hi=1.0)
_REC = Param(800 * ms, ms, "time constant of recovery from depression", lo=0 * ms, lo_open=True)
_FACIL = Param(1000 * ms, ms, "time constant of facilitation", lo=0 * ms, lo_open=True)

TsodyksMarkram = ShortTerm(
    "du/dt = -u/tau_facil; dx/dt = (1 - x)/tau_rec",
    on_spike="u += U*(1 - u); release = u*x; x -= release",
    init={"x": 1.0},
    U=_U,
    tau_rec=_REC,
    tau_facil=_FACIL,
    name="TsodyksMarkram",
    doc="a spike raises the fraction u by facilitation, and releases that fraction of the available x",
    source="H. Markram, Y. Wang, M. Tsodyks, PNAS 95 (1998), eqs. 2-4; NEST's tsodyks2_synapse",
)

Depression = ShortTerm(
    "dx/dt = (1 - x)/tau_rec",
    on_spike="release = U*x; x -= release",
    init={"x": 1.0},
    U=_U,
    tau_rec=_REC,
    name="Depression",
    doc="a spike releases the fraction U of the available x: TsodyksMarkram without facilitation",
    source="M. Tsodyks, H. Markram, PNAS 94 (1997), eqs. 2-3, with an inactivation that takes no time",
)

TsodyksUzielMarkram = ShortTerm(
    "du/dt = -u/tau_facil; dy/dt = -y/tau_psc; dz/dt = y/tau_psc - z/tau_rec",
    on_spike="u += U*(1 - u); release = u*(1 - y - z); y += release",
    U=_U,
    tau_rec=_REC,
    tau_facil=_FACIL,
    tau_psc=Param(3 * ms, ms, "time constant of inactivation, usually the receptor's", lo=0 * ms, lo_open=True),
    name="TsodyksUzielMarkram",
    doc="what is released is active (y), then inactive (z), before it can be released again",
    source="M. Tsodyks, A. Uziel, H. Markram, J. Neurosci. 20 (2000), eqs. 3-4; NEST's tsodyks_synapse",
)
