"""A neuron that fires what was not predicted."""

from __future__ import annotations

from neurosim.lang.components import Cell, Receptor
from neurosim.params import Param

Prediction = Receptor(
    event="u -= w",
    name="Prediction",
    doc="what is predicted: each arrival takes its weight from what is still to be explained",
    source="R. Rao, D. Ballard, Nat. Neurosci. 2 (1999)",
)

ErrorUnit = Cell(
    "u[n+1] = u + i; count[n+1] = count",
    threshold="abs(u) >= theta",
    reset="count = count + u/abs(u); u = u - theta*u/abs(u)",
    theta=Param(1.0, 1, "error that a spike stands for", lo=0, lo_open=True),
    receptors={"prediction": Prediction},
    name="ErrorUnit",
    doc=(
        "a pair of neurons, ON and OFF, in one: u gathers the target i of each step less the predictions that arrive, "
        "and a spike is fired for every theta of it, count telling those for (+1) and against (-1)"
    ),
    source="S. Deneve, C. Machens, Nat. Neurosci. 19 (2016), for spikes that stand for an error",
)

RateUnit = Cell(
    "u[n+1] = u + i",
    threshold="u >= theta",
    reset="u = u - theta",
    theta=Param(1.0, 1, "input that a spike stands for", lo=0, lo_open=True),
    name="RateUnit",
    doc="rate coding without loss: fires a spike for every theta of its input i of a step, by subtraction",
    source="B. Rueckauer et al., Front. Neurosci. 11 (2017), reset by subtraction",
)
