"""Dendritic spikes without kinetics: a current up and a current down, for a time each."""

from __future__ import annotations

from neurosim.lang.compartments import Channel
from neurosim.lang.event import Event
from neurosim.params import Param
from neurosim.units import ms, mV, nS

DendriticSpike = Channel(
    """
    rising = where(spike <= in_steps(duration_rise), 1, 0)
    falling = where(spike >= in_steps(offset_fall) and spike <= in_steps(offset_fall) + in_steps(duration_fall), 1, 0)
    """,
    output="g_rise*rising*(e_rise - v) + g_fall*falling*(e_fall - v)",
    # Dendrify counts from spike to spike; Event(refractory=…) would count the steps between them, one less
    events={"spike": Event("v >= v_th and spike >= in_steps(refractory)")},
    v_th=Param(-35 * mV, mV, "potential at which the spike begins"),
    g_rise=Param(30 * nS, nS, "conductance that depolarises", lo=0 * nS),
    g_fall=Param(15 * nS, nS, "conductance that repolarises", lo=0 * nS),
    e_rise=Param(70 * mV, mV, "reversal potential of the first: 70 mV for sodium, 136 mV for calcium"),
    e_fall=Param(-89 * mV, mV, "reversal potential of the second"),
    duration_rise=Param(1.2 * ms, ms, "how long the first lasts", lo=0 * ms),
    duration_fall=Param(2.4 * ms, ms, "how long the second lasts", lo=0 * ms),
    offset_fall=Param(0.2 * ms, ms, "when the second begins", lo=0 * ms),
    refractory=Param(5 * ms, ms, "time from one spike to the earliest next", lo=0 * ms),
    name="DendriticSpike",
    doc=(
        "event-driven sodium spike of a dendrite (or calcium spike, with e_rise and the durations of one): two "
        "conductances that open one after the other; `rising` and `falling` are 1 while they do"
    ),
    source="M. Pagkalos, S. Chavlis, P. Poirazi, Nat. Commun. 14 (2023), as in Dendrify 2.2; its examples' parameters",
)

__all__ = ["DendriticSpike"]
