"""Pair rules of spike-timing-dependent plasticity.

With s the time from an arrival to a spike of the target, every pair changes the weight by A_plus(w) exp(-s/tau_plus)
for s >= 0 and by -A_minus(w) exp(s/tau_minus) for s < 0. The rules differ in A_plus and A_minus, and in the pairs that
count.
"""

from __future__ import annotations

from typing import Any

from neurosim.lang.plasticity import Plasticity
from neurosim.params import Param
from neurosim.units import ms

GUETIG = "R. Gütig, R. Aharonov, S. Rotter, H. Sompolinsky, J. Neurosci. 23 (2003), eqs. 1-2"


def _pair(potentiation: str, depression: str, jump: str = "+=", **options: Any) -> Plasticity:
    bounded = "w_max" in potentiation
    greatest = {"w_max": Param(1.0, None, "greatest weight")} if bounded else {}
    return Plasticity(
        pre="dx/dt = -x/tau_plus",
        post="dy/dt = -y/tau_minus",
        on_pre=f"w -= alpha*rate*{depression}*y; x {jump} 1",
        on_post=f"w += rate*{potentiation}*x; y {jump} 1",
        lower=0,
        upper="w_max" if bounded else None,
        tau_plus=Param(20 * ms, ms, "time constant of the source's trace", lo=0 * ms, lo_open=True),
        tau_minus=Param(20 * ms, ms, "time constant of the target's trace", lo=0 * ms, lo_open=True),
        rate=Param(0.01, None, "step of potentiation, as a fraction", lo=0.0),
        alpha=Param(1.05, None, "depression over potentiation", lo=0.0),
        **greatest,
        **options,
    )


PairSTDP = _pair(
    "w_max",
    "w_max",
    name="PairSTDP",
    doc="additive, all pairs",
    source="S. Song, K. D. Miller, L. F. Abbott, Nat. Neurosci. 3 (2000)",
)

MultiplicativeSTDP = _pair(
    "(w_max - w)",
    "w",
    name="MultiplicativeSTDP",
    doc="potentiation in proportion to the distance from w_max, depression to the weight; all pairs",
    source=f"J. Rubin, D. D. Lee, H. Sompolinsky, Phys. Rev. Lett. 86 (2001); {GUETIG} with mu = 1",
)

GuetigSTDP = _pair(
    "w_max*(1 - w/w_max)**mu",
    "w_max*(w/w_max)**mu",
    mu=Param(0.02, None, "dependence on the weight: towards 0 additive, 1 multiplicative", lo=0.0, hi=1.0),
    name="GuetigSTDP",
    doc="between additive and multiplicative; all pairs",
    source=GUETIG,
)

PowerLawSTDP = _pair(
    "w_0*(w/w_0)**mu",
    "w",
    mu=Param(0.4, None, "exponent of potentiation", lo=0.0, hi=1.0),
    w_0=Param(1.0, None, "the weight at which potentiation is a fraction `rate` of it"),
    name="PowerLawSTDP",
    doc="potentiation by a power of the weight, depression in proportion to it; all pairs, no upper bound",
    source="A. Morrison, A. Aertsen, M. Diesmann, Neural Comput. 19 (2007), eq. 3",
)

NearestSTDP = _pair(
    "w_max",
    "w_max",
    jump="=",
    name="NearestSTDP",
    doc="additive; an arrival pairs with the last spike of the target, and a spike of the target with the last arrival",
    source="A. Morrison, M. Diesmann, W. Gerstner, Biol. Cybern. 98 (2008), sec. 4.1.2: symmetric",
)


def _at_the_synapse(arrival: str, **about: str) -> Plasticity:
    """Return an additive rule whose pairs depend on the order of spikes at this synapse, so that its traces are there;
    ``arrival`` says what an arrival does to them."""
    return Plasticity(
        edge="dx/dt = -x/tau_plus; dy/dt = -y/tau_minus",
        on_pre=f"w -= alpha*rate*w_max*y; {arrival}",
        on_post="w += rate*w_max*x; x = 0; y = 1",
        lower=0,
        upper="w_max",
        tau_plus=Param(20 * ms, ms, "time constant of the arrivals' trace", lo=0 * ms, lo_open=True),
        tau_minus=Param(20 * ms, ms, "time constant of the target's trace", lo=0 * ms, lo_open=True),
        rate=Param(0.01, None, "step of potentiation, as a fraction", lo=0.0),
        alpha=Param(1.05, None, "depression over potentiation", lo=0.0),
        w_max=Param(1.0, None, "greatest weight"),
        **about,
    )


PreCentredSTDP = _at_the_synapse(
    "x += 1",
    name="PreCentredSTDP",
    doc="additive; every arrival pairs with the last and with the next spike of the target, whatever arrives between",
    source="A. Morrison, M. Diesmann, W. Gerstner, Biol. Cybern. 98 (2008), sec. 4.1.2: presynaptic centered",
)

RestrictedSTDP = _at_the_synapse(
    "x = 1; y = 0",
    name="RestrictedSTDP",
    doc="additive; an arrival and a spike of the target pair only where neither came again between them",
    source="A. Morrison, M. Diesmann, W. Gerstner, Biol. Cybern. 98 (2008), sec. 4.1.2: reduced symmetric",
)
