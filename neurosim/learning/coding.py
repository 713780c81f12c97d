"""Neurons whose spikes stand for the values of a layer: by their time, or by their number.

Samples are shown one after the other. What changes with the step of a sample, when it begins and when a layer listens,
is a parameter in time, which repeats itself with every sample.
"""

from __future__ import annotations

from typing import Any

from neurosim.lang.components import Cell, Receptor
from neurosim.params import Param
from neurosim.units import ms

ToSlope = Receptor(
    event="slope += w",
    when="before",
    name="ToSlope",
    doc="from its arrival on, a spike adds its weight to the slope of the potential",
    source="A. Stanojevic et al., Nat. Commun. 15 (2024), 6837",
)

FirstSpike = Cell(
    """
    slope[n+1] = where(first > 0.5, 0, slope)
    v[n+1] = where(first > 0.5, start, v) + where(ramp > 0.5, 1, slope[n+1])*(dt/window)
    """,
    threshold="v >= theta and listen > 0.5",
    reset="v = 0",
    refractory="window",
    clamp=(),
    receptors={"in": ToSlope},
    window=Param(16 * ms, ms, "time that stands for a value of 1; a layer spikes in it", lo=0 * ms, lo_open=True),
    theta=Param(1.0, 1, "threshold: 1 - b, less half a step of the ramp, which rounds to the nearest step"),
    start=Param(0.0, 1, "potential at the beginning of a sample"),
    first=Param(0.0, 1, "1 in the first step of a sample"),
    ramp=Param(0.0, 1, "1 from t_min on"),
    listen=Param(1.0, 1, "1 where the threshold is tested: in the steps of the window, but for the one of the value 0"),
    name="FirstSpike",
    doc=(
        "spikes once in a sample, the earlier the larger the value that it stands for. Slopes are constant between "
        "steps, so the update is exact"
    ),
    source="A. Stanojevic et al., Nat. Commun. 15 (2024), 6837: the B1 model",
)  # fmt: skip

FirstSpikeReadout = Cell(
    """
    slope[n+1] = where(first > 0.5, 0, slope)
    v[n+1] = where(first > 0.5, start, v) + slope[n+1]*(dt/window)
    """,
    receptors={"in": ToSlope},
    window=Param(16 * ms, ms, "time that stands for a value of 1", lo=0 * ms, lo_open=True),
    start=Param(0.0, 1, "potential at the beginning of a sample: the bias"),
    first=Param(0.0, 1, "1 in the first step of a sample"),
    name="FirstSpikeReadout",
    doc="the last layer of a network of first spikes: at the end of a sample its potential is the output",
    source="A. Stanojevic et al., Nat. Commun. 15 (2024), 6837",
)

_RATE: dict[str, Any] = dict(
    bias=Param(0.0, 1, "what is added in every step"),
    start=Param(0.5, 1, "potential at the beginning of a sample"),
    first=Param(0.0, 1, "1 in the first step of a sample"),
    on=Param(1.0, 1, "1 in the steps in which the layer before is heard"),
)
_RATE_EQUATION = "v[n+1] = where(first > 0.5, start, v) + on*(i + bias)"
RateNeuron = Cell(
    _RATE_EQUATION, threshold="v >= 1", reset="v -= 1", **_RATE, name="RateNeuron",
    doc="integrate-and-fire without a leak; what is above the threshold is kept for the next spike",
    source="B. Rueckauer et al., Front. Neurosci. 11 (2017), 682, eq. 4: reset by subtraction",
)  # fmt: skip
RateNeuronToZero = Cell(
    _RATE_EQUATION, threshold="v >= 1", reset="v = 0", **_RATE, name="RateNeuronToZero",
    doc="integrate-and-fire without a leak; what is above the threshold is lost, so rates stay below the values",
    source="P. U. Diehl et al., IJCNN 2015; B. Rueckauer et al., Front. Neurosci. 11 (2017), 682, eq. 3: reset to zero",
)  # fmt: skip
RateReadout = Cell(
    _RATE_EQUATION, **_RATE, name="RateReadout", doc="the last layer of a network of rates: adds up all that arrives",
    source="B. Rueckauer et al., Front. Neurosci. 11 (2017), 682",
)  # fmt: skip
